"""One measurement for each request of a Tornado application, whatever becomes of it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from tornado import httpclient, routing, web, websocket
from tornado.httpserver import HTTPServer
from tornado.testing import bind_unused_port

import sprockets_influxdb as influxdb
from sprockets_influxdb import testing

SETTINGS: dict[str, Any] = {influxdb.REQUEST_DATABASE: "db", "service": "tests"}


@contextlib.asynccontextmanager
async def serving(application: Any) -> AsyncIterator[int]:
    listener, port = bind_unused_port()
    server = HTTPServer(application)
    server.add_socket(listener)
    try:
        yield port
    finally:
        server.stop()
        await server.close_all_connections()


def request(application: Any, path: str, **options: Any) -> httpclient.HTTPResponse:
    async def main() -> httpclient.HTTPResponse:
        async with serving(application) as port:
            client = httpclient.AsyncHTTPClient(force_instance=True)
            return await client.fetch(f"http://127.0.0.1:{port}{path}", raise_error=False, **options)

    return asyncio.run(main())


class Hello(influxdb.InfluxDBMixin, web.RequestHandler):
    def get(self, name: str = "world") -> None:
        self.write(f"Hello, {name}")

    head = get


@pytest.fixture
def server() -> Any:
    with testing.Server() as server:
        influxdb.install(server.url, tag_hostname=False, trigger_size=1)
        yield server


@pytest.fixture
def only_point(server: testing.Server) -> Callable[[], testing.Point]:
    def point() -> testing.Point:
        influxdb.flush_sync(10)
        (point,) = server.points("db")
        return point

    return point


def test_a_request_has_the_tags_and_fields_of_2_2_1(only_point: Callable[[], testing.Point]) -> None:
    application = web.Application([(r"/hello/(\w+)", Hello)], **SETTINGS)
    assert request(application, "/hello/you").body == b"Hello, you"
    point = only_point()
    assert point.measurement == "tests"
    assert point.tags == {
        "endpoint": r"/hello/(\w+)",
        "handler": f"{__name__}.Hello",
        "method": "GET",
        "remote_ip": "127.0.0.1",
        "status_code": "200",
    }
    assert point.fields["content_length"] == len("Hello, you")
    assert isinstance(point.fields["duration"], float)
    assert point.fields.keys() == {"content_length", "duration"}


def test_the_endpoint_is_the_pattern_of_the_rule_that_routed(server: testing.Server) -> None:
    inner = web.Application([(r"/inner/(\w+)", Hello)], **SETTINGS)
    application = web.Application([(r"/named/(\w+)", Hello, {}, "name")], **SETTINGS)
    application.add_handlers(r".*", [(r"/added/(\w+)", Hello)])
    application.add_handlers(r"other\.example", [(r"/hello/(\w+)", Hello)])
    router = routing.RuleRouter([(routing.PathMatches(r"/inner/.*"), inner), (routing.AnyMatches(), application)])
    for path in ("/named/a", "/added/b"):
        assert request(application, path).code == 200
    assert request(router, "/inner/c").code == 200
    influxdb.flush_sync(10)
    endpoints = {point.tags["endpoint"] for point in server.points("db")}
    assert endpoints == {r"/named/(\w+)", r"/added/(\w+)", r"/inner/(\w+)"}


def test_a_request_that_no_rule_matches_has_one_endpoint(only_point: Callable[[], testing.Point]) -> None:
    class Missing(influxdb.InfluxDBMixin, web.ErrorHandler):
        pass

    application = web.Application(
        [(r"/hello", Hello)], default_handler_class=Missing, default_handler_args={"status_code": 404}, **SETTINGS
    )
    assert request(application, "/wp-admin/setup.php").code == 404
    point = only_point()
    assert (point.tags["endpoint"], point.tags["status_code"]) == ("(unmatched)", "404")


def test_an_unknown_method_has_one_value(only_point: Callable[[], testing.Point]) -> None:
    application = web.Application([(r"/hello", Hello)], **SETTINGS)
    assert request(application, "/hello", method="PROPFIND", allow_nonstandard_methods=True).code == 405
    assert only_point().tags["method"] == "(unknown)"


def test_what_was_streamed_is_counted(only_point: Callable[[], testing.Point]) -> None:
    class Streaming(influxdb.InfluxDBMixin, web.RequestHandler):
        async def get(self) -> None:
            for _ in range(10):
                self.write(b"x" * 1000)
                await self.flush()
            self.write(b"end")

    assert len(request(web.Application([(r"/", Streaming)], **SETTINGS), "/").body) == 10_003
    assert only_point().fields["content_length"] == 10_003


@pytest.mark.parametrize("where", ["prepare", "get"])
def test_a_handler_that_raises_is_recorded(only_point: Callable[[], testing.Point], where: str) -> None:
    class Failing(influxdb.InfluxDBMixin, web.RequestHandler):
        def prepare(self) -> None:
            if where == "prepare":
                raise web.HTTPError(418)

        def get(self) -> None:
            raise web.HTTPError(418)

    assert request(web.Application([(r"/", Failing)], **SETTINGS), "/").code == 418
    assert only_point().tags["status_code"] == "418"


def test_a_client_that_hangs_up_is_recorded_once(only_point: Callable[[], testing.Point]) -> None:
    async def main() -> None:
        has_begun, may_end = asyncio.Event(), asyncio.Event()

        class Slow(influxdb.InfluxDBMixin, web.RequestHandler):
            async def get(self) -> None:
                has_begun.set()
                await may_end.wait()

            def on_connection_close(self) -> None:
                super().on_connection_close()
                may_end.set()

        async with serving(web.Application([(r"/", Slow)], **SETTINGS)) as port:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            await has_begun.wait()
            writer.close()
            await may_end.wait()

    asyncio.run(main())
    assert only_point().tags["status_code"] == "499"


def test_a_websocket_is_recorded_when_it_closes(server: testing.Server) -> None:
    async def main() -> None:
        is_closed = asyncio.Event()

        class Echo(influxdb.InfluxDBMixin, websocket.WebSocketHandler):
            async def on_message(self, message: str | bytes) -> None:
                await self.write_message(message)

            def on_close(self) -> None:
                is_closed.set()

        async with serving(web.Application([(r"/echo", Echo)], **SETTINGS)) as port:
            connection = await websocket.websocket_connect(f"ws://127.0.0.1:{port}/echo")
            await connection.write_message("hello")
            assert await connection.read_message() == "hello"
            influxdb.flush_sync(10)
            assert server.points("db") == []
            connection.close()
            await is_closed.wait()

    asyncio.run(main())
    influxdb.flush_sync(10)
    (point,) = server.points("db")
    assert (point.tags["status_code"], point.fields["content_length"]) == ("101", 5)


def test_handlers_add_tags_and_fields_from_initialize_on(only_point: Callable[[], testing.Point]) -> None:
    class Own(influxdb.InfluxDBMixin, web.RequestHandler):
        def initialize(self) -> None:
            self.influxdb.set_tag("from", "initialize")

        def prepare(self) -> None:
            self.influxdb.set_field("rows", 3)

        def get(self) -> None:
            with self.influxdb.duration("query"):
                self.write("x")

        def on_finish(self) -> None:
            self.influxdb.set_field("late", True)
            super().on_finish()

    request(web.Application([(r"/", Own)], **SETTINGS), "/")
    point = only_point()
    assert point.tags["from"] == "initialize"
    assert (point.fields["rows"], point.fields["late"]) == (3, True)
    assert isinstance(point.fields["query"], float)


@pytest.mark.parametrize("as_tag", [True, False])
def test_the_correlation_id_and_the_address_are_tags_or_fields(
    only_point: Callable[[], testing.Point], monkeypatch: pytest.MonkeyPatch, as_tag: bool
) -> None:
    monkeypatch.setenv("INFLUXDB_TAG_CORRELATION_ID", str(as_tag))
    monkeypatch.setenv("INFLUXDB_TAG_REMOTE_IP", str(as_tag))

    class Correlated(Hello):
        correlation_id = "c0ffee"

    request(web.Application([(r"/", Correlated)], **SETTINGS), "/")
    point = only_point()
    place = point.tags if as_tag else point.fields
    assert (place["correlation_id"], place["remote_ip"]) == ("c0ffee", "127.0.0.1")


def test_a_missing_database_is_one_warning_and_no_broken_request(
    server: testing.Server, caplog: pytest.LogCaptureFixture
) -> None:
    application = web.Application([(r"/", Hello)])
    for _ in range(3):
        assert request(application, "/").code == 200
    influxdb.flush_sync(10)
    assert server.points("db") == []
    warnings = [record for record in caplog.records if influxdb.REQUEST_DATABASE in record.getMessage()]
    assert len(warnings) == 1


def test_a_disabled_client_records_nothing(server: testing.Server) -> None:
    testing.reset()
    assert influxdb.install(server.url, enabled=False) is None
    assert request(web.Application([(r"/", Hello)], **SETTINGS), "/").code == 200
    assert influxdb.stats()["pending"] == 0
    assert server.points("db") == []


def test_the_stats_handler_serves_the_books_and_masked_settings(server: testing.Server) -> None:
    from sprockets_influxdb.tornado import StatsHandler

    influxdb.set_auth_credentials("me", "hunter2")
    response = request(web.Application([(r"/stats", StatsHandler)], **SETTINGS), "/stats")
    assert b"hunter2" not in response.body
    assert {b'"stats"', b'"settings"'} <= {part for part in (b'"stats"', b'"settings"') if part in response.body}


def test_the_module_does_not_load_tornado(python: Callable[..., Any]) -> None:
    python("import sys, sprockets_influxdb; assert 'tornado' not in sys.modules")
