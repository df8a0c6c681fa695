"""A Django project for the tests."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from typing import Any

import django
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from django.http import FileResponse, Http404, HttpResponse, StreamingHttpResponse
from django.urls import include, path, re_path
from django.views import View

settings.configure(
    ALLOWED_HOSTS=["*"],
    INFLUXDB_REQUESTS={"database": "db"},
    LOGGING_CONFIG=None,
    MIDDLEWARE=["sprockets_influxdb.django.InfluxDBMiddleware"],
    ROOT_URLCONF=__name__,
    SECRET_KEY="tests",
)
django.setup()
logging.getLogger("django").setLevel(logging.CRITICAL + 1)
logging.getLogger("asyncio").setLevel(logging.CRITICAL)


def use(measurement: Any) -> None:
    """What the view of ``/`` does with its measurement."""


def used(request: Any) -> HttpResponse:
    use(request.influxdb)
    return HttpResponse("Hello")


def user(request: Any, user: int) -> HttpResponse:
    request.influxdb.set_field("rows", user)
    return HttpResponse("Hello")


def finished(request: Any) -> HttpResponse:
    return HttpResponse("Hello")


async def waiting(request: Any) -> HttpResponse:
    await asyncio.get_running_loop().create_future()
    raise AssertionError


def failing(request: Any) -> HttpResponse:
    raise ValueError("no such row")


def missing(request: Any) -> HttpResponse:
    raise Http404


def streamed(request: Any) -> StreamingHttpResponse:
    if not hasattr(request, "scope"):
        return StreamingHttpResponse(b"Hello" for _ in range(10))

    async def parts() -> AsyncIterator[bytes]:
        for _ in range(10):
            yield b"Hello"

    return StreamingHttpResponse(parts())


def endless(request: Any) -> StreamingHttpResponse:
    if hasattr(request, "scope"):

        async def parts() -> AsyncIterator[bytes]:
            while True:
                yield b"x" * 10_000
                await asyncio.sleep(0)

        return StreamingHttpResponse(parts())

    def all_parts() -> Iterator[bytes]:
        while True:
            yield b"x" * 10_000

    return StreamingHttpResponse(all_parts())


def breaking(request: Any) -> StreamingHttpResponse:
    def parts() -> Iterator[bytes]:
        yield b"Hello"
        raise ValueError("no such row")

    return StreamingHttpResponse(parts())


def file(request: Any) -> FileResponse:
    return FileResponse(open(__file__, "rb"))


class Page(View):
    def get(self, request: Any) -> HttpResponse:
        return HttpResponse("Hello")


urlpatterns = [
    path("users/", include([path("<int:user>/", user)])),
    path("", used),
    path("finished", finished),
    path("waiting", waiting),
    path("failed", failing),
    path("missing", missing),
    path("streamed", streamed),
    path("endless", endless),
    path("breaking", breaking),
    path("file", file),
    path("page", Page.as_view()),
    re_path("^articles/(?P<year>[0-9]{4})$", lambda request, year: HttpResponse(year)),
]


def wsgi() -> Any:
    return get_wsgi_application()


def asgi() -> Any:
    return get_asgi_application()
