"""A Django project in one file that records each of its requests in the database "example" of the
InfluxDB that the variables INFLUXDB_* name:

    python examples/django/app.py
"""

import os
from collections.abc import Iterator

from django.conf import settings
from django.core.management import execute_from_command_line
from django.http import HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.urls import path

settings.configure(
    ALLOWED_HOSTS=["*"],
    INFLUXDB_REQUESTS={"database": os.environ.get("DATABASE", "example")},
    MIDDLEWARE=["sprockets_influxdb.django.InfluxDBMiddleware"],
    ROOT_URLCONF=__name__,
    SECRET_KEY="an example",
)


def user(request: HttpRequest, user: int) -> JsonResponse:
    with request.influxdb.duration("query"):
        rows = user % 10
    request.influxdb.set_field("rows", rows)
    return JsonResponse({"rows": rows})


def stream(request: HttpRequest) -> StreamingHttpResponse:
    def numbers() -> Iterator[str]:
        for number in range(1000):
            yield f"{number}\n"

    return StreamingHttpResponse(numbers(), content_type="text/plain")


def fail(request: HttpRequest) -> HttpResponse:
    raise ValueError("this one fails")


urlpatterns = [path("users/<int:user>", user), path("stream", stream), path("fail", fail)]

if __name__ == "__main__":
    address = f"127.0.0.1:{os.environ.get('PORT', '8000')}"
    execute_from_command_line(["app.py", "runserver", "--noreload", address])
