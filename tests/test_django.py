"""Django: the route and the view of each request, under WSGI and ASGI."""

import wsgiref.util
from typing import Any

import pytest

import web
from serving import Recording
from sprockets_influxdb import testing
from sprockets_influxdb.asgi import InfluxDBMiddleware as asgi_middleware
from sprockets_influxdb.wsgi import InfluxDBMiddleware as wsgi_middleware

pytest.importorskip("django")

from django import VERSION
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpResponse
from django.test import override_settings
from django.urls import clear_url_caches

import web_django

INTERFACES = pytest.mark.parametrize("interface", ["wsgi", "asgi"])


def answer(interface: str, path: str, method: str = "GET") -> None:
    if interface == "wsgi":
        web.wsgi(web_django.wsgi(), web.environ(path, method))
    else:
        web.asgi(web_django.asgi(), {"type": "http.request", "body": b""}, path=path, method=method)


def one(recording: Recording, interface: str, path: str, method: str = "GET") -> testing.Point:
    answer(interface, path, method)
    return recording.point()


@INTERFACES
@pytest.mark.parametrize(
    ("path", "endpoint", "handler", "status_code", "length"),
    [
        ("/", "/", "web_django.used", "200", 5),
        ("/users/7/", "/users/<int:user>/", "web_django.user", "200", 5),
        ("/page", "/page", "web_django.Page", "200", 5),
        ("/articles/2026", "^articles/(?P<year>[0-9]{4})$", "web_django.<lambda>", "200", 4),
        ("/streamed", "/streamed", "web_django.streamed", "200", 50),
        ("/failed", "/failed", "web_django.failing", "500", None),
        ("/missing", "/missing", "web_django.missing", "404", None),
        ("/nowhere", "(unmatched)", None, "404", None),
    ],
)
def test_endpoint_and_handler_are_route_and_view(
    recording: Recording,
    interface: str,
    path: str,
    endpoint: str,
    handler: str | None,
    status_code: str,
    length: int | None,
) -> None:
    point = one(recording, interface, path)
    assert (point.tags["endpoint"], point.tags.get("handler")) == (endpoint, handler)
    assert point.tags["status_code"] == status_code
    assert length is None or point.fields["content_length"] == length
    assert point.fields["client_ip"] == "192.0.2.1"


@INTERFACES
def test_the_view_has_the_measurement(recording: Recording, interface: str) -> None:
    assert one(recording, interface, "/users/7/").fields["rows"] == 7


@INTERFACES
def test_a_response_to_head_has_no_content(recording: Recording, interface: str) -> None:
    assert one(recording, interface, "/", "HEAD").fields["content_length"] == 0


@INTERFACES
def test_an_exception_that_became_an_error_page_is_recorded(
    recording: Recording, interface: str
) -> None:
    assert one(recording, interface, "/failed").fields["exception"] == "ValueError: no such row"


def test_a_body_that_raises_is_recorded(recording: Recording) -> None:
    with pytest.raises(ValueError, match="no such row"):
        answer("wsgi", "/breaking")
    point = recording.point()
    assert (point.tags["status_code"], point.fields["content_length"]) == ("200", 5)
    assert point.fields["exception"] == "ValueError: no such row"


def test_an_abandoned_body_is_recorded(recording: Recording) -> None:
    web.wsgi(web_django.wsgi(), web.environ("/endless"), parts=3)
    assert recording.point().fields["content_length"] == 30_000


@pytest.mark.skipif(VERSION < (5,), reason="not applicable: before 5.0 the handler goes on")
def test_a_disconnect_before_the_response_is_499(recording: Recording) -> None:
    received: list[web.Message] = [
        {"type": "http.request", "body": b""},
        {"type": "http.disconnect"},
    ]
    web.asgi(web_django.asgi(), *received, path="/waiting")
    point = recording.point()
    assert (point.tags["endpoint"], point.tags["status_code"]) == ("/waiting", "499")


@pytest.mark.parametrize("wrapper", [None, wsgiref.util.FileWrapper])
def test_a_file_is_counted(recording: Recording, wrapper: Any) -> None:
    body = web.wsgi(web_django.wsgi(), web.environ("/file", **{"wsgi.file_wrapper": wrapper}))
    assert recording.point().fields["content_length"] == len(body) > 0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "have no database"),
        (
            {"database": "db", "names": "other"},
            'INFLUXDB_REQUESTS: names is "other"',
        ),
    ],
)
def test_a_setting_that_cannot_be_used_is_one_warning(
    recording: Recording, caplog: pytest.LogCaptureFixture, options: Any, words: str
) -> None:
    with override_settings(INFLUXDB_REQUESTS=options):
        application = web_django.wsgi()
        for _ in range(3):
            assert web.wsgi(application, web.environ("/")) == b"Hello"
    (record,) = caplog.records
    assert words in record.getMessage()
    assert recording.points() == []


@INTERFACES
def test_a_page_for_errors_decides_the_status(
    recording: Recording, interface: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def handler(request: Any) -> HttpResponse:
        request.influxdb.set_tag("page", "failed")
        return HttpResponse("later", status=503)

    monkeypatch.setattr(web_django, "handler500", handler, raising=False)
    clear_url_caches()
    tags = one(recording, interface, "/failed").tags
    assert (tags["status_code"], tags["page"], tags["endpoint"]) == ("503", "failed", "/failed")


def test_a_setting_that_is_no_dict_of_options_is_an_error() -> None:
    with (
        override_settings(INFLUXDB_REQUESTS=5),
        pytest.raises(ImproperlyConfigured, match="INFLUXDB_REQUESTS: 5 is no dict"),
    ):
        web_django.wsgi()


def test_a_wrapped_application_records_a_request_once(recording: Recording) -> None:
    path = "/users/7/"
    web.asgi(asgi_middleware(web_django.asgi(), database="db"), {"type": "http.request"}, path=path)
    assert recording.point().fields["rows"] == 7


@INTERFACES
def test_what_a_middleware_outside_skips_is_recorded(recording: Recording, interface: str) -> None:
    outer: Any = asgi_middleware if interface == "asgi" else wsgi_middleware
    application = outer(getattr(web_django, interface)(), database="db", skip=lambda _: True)
    if interface == "asgi":
        web.asgi(application, {"type": "http.request"}, path="/users/7/")
    else:
        web.wsgi(application, web.environ("/users/7/"))
    assert recording.point().fields["rows"] == 7
