"""Requests of real clients, httpx and requests, to a real server."""

import asyncio
import functools
import http.server
import importlib.util
import threading
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

import sprockets_influxdb as influxdb
from ports import free_port
from sprockets_influxdb import testing
from sprockets_influxdb.httpx import instrument as instrument_httpx
from sprockets_influxdb.requests import instrument as instrument_requests

CLIENTS = [
    "httpx",
    "httpx, async",
    pytest.param(
        "requests",
        marks=pytest.mark.skipif(
            importlib.util.find_spec("requests") is None, reason="requests is not installed"
        ),
    ),
]


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers with the status that is the path."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        status = int(self.path[1:])
        self.send_response(status)
        if status == 302:
            self.send_header("Location", "/200")
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def web() -> Iterator[str]:
    """The host and port of a server."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


Get = Callable[..., list[int]]


@pytest.fixture(params=CLIENTS)
def get(request: pytest.FixtureRequest) -> Get:
    """Makes requests with an instrumented client, and returns the status codes."""
    kind = request.param

    def get(*urls: str, **options: Any) -> list[int]:
        if kind == "requests":
            import requests

            with requests.Session() as session:
                session.trust_env = False
                instrument_requests(session, **options)
                return [session.get(url).status_code for url in urls]
        if kind == "httpx":
            with httpx.Client(follow_redirects=True, trust_env=False) as client:
                instrument_httpx(client, **options)
                return [client.get(url).status_code for url in urls]

        async def main() -> list[int]:
            async with httpx.AsyncClient(follow_redirects=True, trust_env=False) as client:
                instrument_httpx(client, **options)
                return [(await client.get(url)).status_code for url in urls]

        return asyncio.run(main())

    return get


def points(server: testing.Server) -> list[testing.Point]:
    influxdb.flush_sync()
    return server.points("db")


class TestRequests:
    def test_each_request_is_a_point(self, client: testing.Server, web: str, get: Get) -> None:
        assert get(f"http://{web}/200", f"http://{web}/503", database="db") == [200, 503]
        ok, failed = points(client)
        assert ok.measurement == "http_client"
        assert ok.tags == {"method": "GET", "host": web, "status_code": "200", "outcome": "ok"}
        assert ok.fields["content_length"] == 2
        assert isinstance(ok.fields["duration"], float)
        assert failed.tags["status_code"] == "503"
        assert failed.tags["outcome"] == "error"

    def test_redirects_are_part_of_the_request(
        self, client: testing.Server, web: str, get: Get
    ) -> None:
        assert get(f"http://{web}/302", database="db", measurement="calls") == [200]
        [point] = points(client)
        assert point.measurement == "calls"
        assert point.tags["status_code"] == "200"

    def test_a_request_without_a_response_has_its_exception(
        self, client: testing.Server, get: Get
    ) -> None:
        port = free_port()
        with pytest.raises(Exception, match=r"refused|All connection attempts failed"):
            get(f"http://user:secret@127.0.0.1:{port}/", database="db")
        [point] = points(client)
        assert point.tags == {"method": "GET", "host": f"127.0.0.1:{port}", "outcome": "error"}
        assert str(point.fields["exception"]).endswith("ConnectError") or str(
            point.fields["exception"]
        ).endswith("ConnectionError")

    def test_a_function_may_name_the_endpoint(
        self, client: testing.Server, web: str, get: Get, caplog: pytest.LogCaptureFixture
    ) -> None:
        def endpoint(request: Any) -> str | None:
            if str(request.url).endswith("/404"):
                raise LookupError("on purpose")
            return "/{status}" if str(request.url).endswith("/200") else None

        urls = [f"http://{web}/{status}" for status in (200, 201, 404)]
        assert get(*urls, database="db", endpoint=endpoint) == [200, 201, 404]
        found = [point.tags.get("endpoint") for point in points(client)]
        assert found == ["/{status}", None, None]
        assert "LookupError: on purpose" in caplog.text

    def test_endpoints_and_methods_are_bounded(self, client: testing.Server) -> None:
        requests = iter(range(210))
        transport = httpx.MockTransport(lambda _: httpx.Response(200))
        with httpx.Client(transport=transport) as http_client:
            instrument_httpx(http_client, database="db", endpoint=lambda _: str(next(requests)))
            for number in range(210):
                http_client.request(f"X{number}", "http://example.com")
        found = points(client)
        assert {point.tags["method"] for point in found} == {"(other)"}
        endpoints = [point.tags["endpoint"] for point in found]
        assert endpoints.count("(other)") == 10

    def test_a_second_call_replaces_the_first(self, client: testing.Server) -> None:
        transport = httpx.MockTransport(lambda _: httpx.Response(200))
        with httpx.Client(transport=transport) as http_client:
            instrument_httpx(http_client, database="first")
            instrument_httpx(http_client, database="db")
            http_client.get("http://example.com")
        assert len(points(client)) == 1
        assert client.points("first") == []

    def test_a_request_does_not_notice_what_fails(
        self, client: testing.Server, web: str, get: Get, caplog: pytest.LogCaptureFixture
    ) -> None:
        assert get(f"http://{web}/200", f"http://{web}/200") == [200, 200]
        [warning] = [each for each in caplog.records if "is not recorded" in each.message]
        assert "has no database" in warning.message

    def test_a_wrong_option_is_an_error(self) -> None:
        with httpx.Client() as http_client, pytest.raises(TypeError, match="endpoint is 3"):
            instrument_httpx(http_client, endpoint=3)  # type: ignore[arg-type]


def test_the_request_may_be_a_keyword_and_a_wrapper_stays(web: str, client: testing.Server) -> None:
    sent = []
    with httpx.Client() as http_client:
        instrument_httpx(http_client, database="db")
        send = http_client.send

        @functools.wraps(send)
        def wrapper(**options: Any) -> httpx.Response:
            sent.append(options)
            return send(**options)

        http_client.send = wrapper  # type: ignore[method-assign,assignment]
        instrument_httpx(http_client, database="db", measurement="again")
        http_client.send(request=http_client.build_request("GET", f"http://{web}/200"))
    assert len(sent) == 1
    influxdb.flush_sync()
    assert {point.measurement for point in client.points("db")} == {"http_client", "again"}
