"""The ASGI middleware records each request once, and does not change the response."""

import asyncio
import gc
import inspect
import logging
import sys
import weakref
from typing import Any

import pytest

import sprockets_influxdb as influxdb
import web
from serving import Recording
from sprockets_influxdb import testing
from sprockets_influxdb._native import RouteTable
from sprockets_influxdb.asgi import InfluxDBMiddleware

START = {"type": "http.response.start", "status": 200, "headers": []}
END = {"type": "http.response.body", "body": b"Hello"}
GONE = {"type": "http.disconnect"}


async def hello(scope: Any, receive: Any, send: Any) -> None:
    await send(START)
    await send(END)


def recorded(
    recording: Recording, application: Any, *received: Any, **options: Any
) -> testing.Point:
    """The only point of the only request of an application."""
    middleware = {
        name: options.pop(name)
        for name in ("names", "leave_out", "remote_ip_header")
        if name in options
    }
    web.asgi(InfluxDBMiddleware(application, database="db", **middleware), *received, **options)
    return recording.point()


def status_and_length(point: testing.Point) -> tuple[str, object]:
    return point.tags["status_code"], point.fields["content_length"]


class TestAttributes:
    def test_a_request_has_all_attributes(self, recording: Recording) -> None:
        headers = [(b"correlation-id", b"42"), (b"content-length", b"7")]
        point = recorded(recording, hello, method="POST", headers=headers)
        assert point.measurement == "request"
        assert point.tags == {"endpoint": "(unmatched)", "method": "POST", "status_code": "200"}
        assert sorted(point.fields) == [
            "client_ip",
            "content_length",
            "duration",
            "request_id",
            "request_length",
            "time_to_first_byte",
        ]
        assert (point.fields["request_id"], point.fields["client_ip"]) == ("42", "192.0.2.1")
        assert (point.fields["content_length"], point.fields["request_length"]) == (5, 7)
        assert 0 < float(point.fields["time_to_first_byte"]) <= float(point.fields["duration"])

    def test_names_can_be_those_of_opentelemetry(self, recording: Recording) -> None:
        point = recorded(
            recording, hello, method="BREW", names="opentelemetry", leave_out=["time_to_first_byte"]
        )
        assert point.tags == {
            "http.route": "(unmatched)",
            "http.request.method": "_OTHER",
            "http.response.status_code": "200",
        }
        assert sorted(point.fields) == [
            "client.address",
            "http.server.request.body.size",
            "http.server.request.duration",
            "http.server.response.body.size",
        ]

    def test_variables_make_tags_of_fields(
        self, recording: Recording, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("INFLUXDB_TAG_REMOTE_IP", "true")
        monkeypatch.setenv("INFLUXDB_TAG_CORRELATION_ID", "on")
        point = recorded(recording, hello, headers=[(b"correlation-id", b"42")])
        assert (point.tags["remote_ip"], point.tags["correlation_id"]) == ("192.0.2.1", "42")

    def test_the_address_comes_from_the_proxys_header(self, recording: Recording) -> None:
        headers = [(b"x-forwarded-for", b"198.51.100.7, 10.0.0.1")]
        point = recorded(recording, hello, headers=headers, remote_ip_header="X-Forwarded-For")
        assert point.fields["client_ip"] == "198.51.100.7"

    def test_what_the_handler_sets_takes_precedence(self, recording: Recording) -> None:
        async def own(scope: Any, receive: Any, send: Any) -> None:
            measurement = scope["sprockets_influxdb.measurement"]
            assert type(measurement) is influxdb.Measurement
            measurement.set_tags({"endpoint": "/own", "queue": "mail"})
            with measurement.duration("query"):
                measurement.set_field("content_length", 1)
            await hello(scope, receive, send)

        point = recorded(recording, own)
        assert (point.tags["endpoint"], point.tags["queue"], point.fields["content_length"]) == (
            "/own",
            "mail",
            1,
        )
        assert "query" in point.fields

    def test_an_attribute_replaces_a_base_tag_of_its_name(self, server: testing.Server) -> None:
        influxdb.install(server.url, tag_hostname=False, base_tags={"method": "base", "zone": "a"})
        web.asgi(InfluxDBMiddleware(hello, database="db"))
        assert Recording(server).point().tags["method"] == "GET"
        assert Recording(server).point().tags["zone"] == "a"

    def test_skipped_requests_are_not_recorded(self, recording: Recording) -> None:
        application = InfluxDBMiddleware(
            hello, database="db", skip=lambda scope: scope["path"] == "/health"
        )
        for path in ("/health", "/other"):
            web.asgi(application, path=path)
        recording.point()

    def test_two_middlewares_record_a_request_once(self, recording: Recording) -> None:
        recorded(recording, InfluxDBMiddleware(hello, database="db"))

    def test_the_measurement_can_be_named(self, recording: Recording) -> None:
        web.asgi(InfluxDBMiddleware(hello, database="db", measurement="http"))
        assert recording.point().measurement == "http"


class TestEnds:
    def test_a_streamed_body_is_counted(self, recording: Recording) -> None:
        async def streamed(scope: Any, receive: Any, send: Any) -> None:
            await send(START)
            for _ in range(10):
                await send({**END, "more_body": True})
            await send({"type": "http.response.body"})

        assert status_and_length(recorded(recording, streamed)) == ("200", 50)

    def test_a_response_to_head_has_no_content(self, recording: Recording) -> None:
        assert status_and_length(recorded(recording, hello, method="HEAD")) == ("200", 0)

    def test_the_duration_ends_with_the_last_byte(self, recording: Recording) -> None:
        waited: list[float] = []

        async def with_task(scope: Any, receive: Any, send: Any) -> None:
            loop = asyncio.get_running_loop()
            start = loop.time()
            await hello(scope, receive, send)
            sent = loop.time()
            while loop.time() < sent + 10 * (sent - start) + 0.2:
                await asyncio.sleep(0)
            waited.append(loop.time() - sent)

        point = recorded(recording, with_task)
        assert float(point.fields["duration"]) < waited[0]

    def test_an_exception_before_the_response_is_500(self, recording: Recording) -> None:
        async def failing(scope: Any, receive: Any, send: Any) -> None:
            raise ValueError("no such row" + "x" * 1000)

        point = recorded(recording, failing, raises=ValueError)
        assert status_and_length(point) == ("500", 0)
        assert str(point.fields["exception"]).startswith("ValueError: no such row")
        assert len(str(point.fields["exception"])) == 256

    def test_an_exception_in_the_body_keeps_the_status_that_was_sent(
        self, recording: Recording
    ) -> None:
        async def failing(scope: Any, receive: Any, send: Any) -> None:
            await send(START)
            await send({**END, "more_body": True})
            raise ValueError

        point = recorded(recording, failing, raises=ValueError)
        assert status_and_length(point) == ("200", 5)
        assert point.fields["exception"] == "ValueError"

    def test_an_application_without_a_response_is_500(self, recording: Recording) -> None:
        async def silent(scope: Any, receive: Any, send: Any) -> None:
            pass

        assert status_and_length(recorded(recording, silent)) == ("500", 0)

    def test_a_disconnect_before_the_response_is_499(self, recording: Recording) -> None:
        async def waiting(scope: Any, receive: Any, send: Any) -> None:
            assert await receive() == GONE
            await hello(scope, receive, send)

        assert status_and_length(recorded(recording, waiting, GONE)) == ("499", 0)

    @pytest.mark.parametrize(
        ("refused", "end"),
        [("http.response.start", ("499", 0)), ("http.response.body", ("200", 0))],
    )
    @pytest.mark.parametrize("version", ["2.4", "2.10", "3.0"])
    def test_an_oserror_of_send_is_a_disconnect(
        self, recording: Recording, refused: str, end: Any, version: str
    ) -> None:
        point = recorded(
            recording,
            hello,
            refuses=refused,
            raises=OSError,
            asgi={"version": "3.0", "spec_version": version},
        )
        assert status_and_length(point) == end

    def test_an_oserror_of_the_application_is_500(self, recording: Recording) -> None:
        async def failing(scope: Any, receive: Any, send: Any) -> None:
            raise FileNotFoundError

        assert recorded(recording, failing, raises=OSError).tags["status_code"] == "500"

    @pytest.mark.parametrize("begun", [False, True])
    def test_a_cancelled_request_is_recorded(self, recording: Recording, begun: bool) -> None:
        async def cancelled(scope: Any, receive: Any, send: Any) -> None:
            if begun:
                await send(START)
                await send({**END, "more_body": True})
            raise asyncio.CancelledError

        point = recorded(recording, cancelled, raises=asyncio.CancelledError)
        assert status_and_length(point) == (("200", 5) if begun else ("499", 0))
        assert "exception" not in point.fields

    def test_a_coroutine_that_is_closed_is_recorded(self, recording: Recording) -> None:
        async def waiting(scope: Any, receive: Any, send: Any) -> None:
            await receive()

        async def receive() -> Any:
            await asyncio.sleep(0)

        async def send(message: Any) -> None: ...

        coroutine = InfluxDBMiddleware(waiting, database="db")(web.scope(), receive, send)
        coroutine.send(None)
        coroutine.close()
        assert status_and_length(recording.point()) == ("499", 0)

    def test_the_requests_body_is_counted_without_a_length_header(
        self, recording: Recording
    ) -> None:
        async def reading(scope: Any, receive: Any, send: Any) -> None:
            while (await receive()).get("more_body"):
                pass
            await hello(scope, receive, send)

        parts = [
            {"type": "http.request", "body": b"abc", "more_body": more} for more in (True, False)
        ]
        assert recorded(recording, reading, *parts).fields["request_length"] == 6

    @pytest.mark.parametrize(
        "asgi", [{}, {"spec_version": "2.3"}, {"spec_version": "2.4"}, {"spec_version": 2}, None]
    )
    def test_send_is_called_as_the_application_calls_it(
        self, recording: Recording, asgi: Any
    ) -> None:
        arguments: list[Any] = []

        def send(message: Any) -> Any:
            arguments.append(message)
            # What a server returns need not be a coroutine.
            future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
            future.set_result("sent")
            return future

        async def application(scope: Any, receive: Any, send: Any) -> None:
            assert await send(START) == "sent"
            assert await send(message={**END, "more_body": True}) == "sent"
            assert await send("no message") == "sent"
            assert await send(END) == "sent"
            with pytest.raises(TypeError, match=r"send\(\)|sending\(\)"):
                await send(START, END)

        async def main() -> None:
            middleware: Any = InfluxDBMiddleware(application, database="db")
            await middleware(web.scope(asgi=asgi), None, send)

        asyncio.run(main())
        assert arguments == [START, {**END, "more_body": True}, "no message", END]
        assert status_and_length(recording.point()) == ("200", 10)

    def test_a_message_counts_when_it_is_awaited(self, recording: Recording) -> None:
        async def application(scope: Any, receive: Any, send: Any) -> None:
            # asgiref warns of one that is not.
            assert inspect.iscoroutinefunction(send)
            assert inspect.iscoroutinefunction(receive)
            send(END).close()
            await hello(scope, receive, send)

        assert status_and_length(recorded(recording, application)) == ("200", 5)

    def test_a_message_after_the_end_reaches_the_server(self, recording: Recording) -> None:
        late: list[Any] = []

        async def application(scope: Any, receive: Any, send: Any) -> None:
            late.append(send)
            await hello(scope, receive, send)

        async def main() -> None:
            sent: list[Any] = []

            async def send(message: Any) -> None:
                sent.append(message)

            middleware: Any = InfluxDBMiddleware(application, database="db")
            await middleware(web.scope(), None, send)
            await late[0](END)
            assert sent == [START, END, END]

        asyncio.run(main())
        assert status_and_length(recording.point()) == ("200", 5)

    def test_requests_in_circles_are_collected(self, recording: Recording) -> None:
        class Send:
            """A server's, which the application refers to."""

            def __init__(self) -> None:
                self.wrapped: Any = None

            async def __call__(self, message: Any) -> None: ...

        made: list[weakref.ref[Send]] = []

        async def application(scope: Any, receive: Any, send: Any) -> None:
            made[-1]().wrapped = send  # type: ignore[union-attr]
            await hello(scope, receive, send)

        async def main() -> None:
            middleware: Any = InfluxDBMiddleware(application, database="db")
            for _ in range(10):
                send = Send()
                made.append(weakref.ref(send))
                await middleware(web.scope(), None, send)

        asyncio.run(main())
        gc.collect()
        assert [send() for send in made] == [None] * 10
        assert len(recording.points()) == 10

    def test_requests_release_what_they_use(self, server: testing.Server) -> None:
        database = "".join(["us", "ual"])
        client = influxdb.Client(server.url, database=database)
        route = object()

        async def application(scope: Any, receive: Any, send: Any) -> None:
            scope["route"] = route
            await hello(scope, receive, send)

        middleware: Any = InfluxDBMiddleware(application, client=client)
        middleware._routes.plain = RouteTable({id(route): ("/hello", "handler")})

        def requests(count: int) -> None:
            async def main() -> None:
                async def send(message: Any) -> None: ...

                for _ in range(count):
                    await middleware(web.scope(), None, send)

            asyncio.run(main())

        requests(10)
        name = sys.intern(database)
        before = sys.getrefcount(name)
        requests(1_000)
        assert sys.getrefcount(name) - before < 100
        client.shutdown_sync()
        assert client.stats()["delivered"] == 1_010

    def test_extensions_of_servers_are_counted(self, recording: Recording, tmp_path: Any) -> None:
        file = tmp_path / "file"
        file.write_bytes(b"x" * 100)

        async def extended(scope: Any, receive: Any, send: Any) -> None:
            await send({"type": "http.response.early_hint", "links": []})
            await send({**START, "trailers": True})
            await send({"type": "http.response.pathsend", "path": str(file), "more_body": True})
            await send({"type": "http.response.zerocopysend", "file": 0, "count": 10})
            await send({"type": "http.response.trailers", "headers": []})

        assert status_and_length(recorded(recording, extended)) == ("200", 110)


class TestWebsockets:
    @staticmethod
    def recorded(recording: Recording, *sent: Any, **options: Any) -> tuple[str, object]:
        async def application(scope: Any, receive: Any, send: Any) -> None:
            for message in sent:
                await send(message)

        point = recorded(recording, application, type="websocket", **options)
        assert point.tags["method"] == "GET"
        return status_and_length(point)

    def test_an_accepted_one_is_101(self, recording: Recording) -> None:
        messages = [
            {"type": "websocket.send", "text": "ü"},
            {"type": "websocket.send", "bytes": b"abc", "text": None},
        ]
        accept, close = {"type": "websocket.accept"}, {"type": "websocket.close"}
        assert self.recorded(recording, accept, *messages, close) == ("101", 5)

    def test_a_rejected_one_is_403(self, recording: Recording) -> None:
        assert self.recorded(recording, {"type": "websocket.close"}) == ("403", 0)

    def test_a_rejected_one_has_the_status_of_its_response(self, recording: Recording) -> None:
        start = {"type": "websocket.http.response.start", "status": 401, "headers": []}
        assert self.recorded(
            recording, start, {"type": "websocket.http.response.body", "body": b"no"}
        ) == ("401", 2)

    def test_a_disconnect_before_it_is_accepted_is_499(self, recording: Recording) -> None:
        async def application(scope: Any, receive: Any, send: Any) -> None:
            await receive()

        point = recorded(
            recording, application, {"type": "websocket.disconnect", "code": 1006}, type="websocket"
        )
        assert point.tags["status_code"] == "499"


class TestLifespan:
    def test_shutdown_flushes(self, server: testing.Server) -> None:
        influxdb.install(server.url)

        async def application(scope: Any, receive: Any, send: Any) -> None:
            influxdb.record("db", "last", {}, {"count": 1})
            await send({"type": "lifespan.shutdown.complete"})

        seen: list[int] = []

        async def send(message: Any) -> None:
            seen.append(len(server.points("db")))

        middleware: Any = InfluxDBMiddleware(application, database="db")
        asyncio.run(middleware({"type": "lifespan"}, None, send))
        assert seen == [1]

    def test_failures_reach_the_server(self, recording: Recording) -> None:
        async def without(scope: Any, receive: Any, send: Any) -> None:
            assert scope["type"] == "http"

        web.asgi(InfluxDBMiddleware(without, database="db"), type="lifespan", raises=AssertionError)
        assert recording.points() == []


class TestWrongConfiguration:
    @pytest.mark.parametrize(
        ("options", "words"),
        [
            ({}, "have no database"),
            ({"database": ""}, "database is ''"),
            ({"database": 5}, "database is 5"),
            ({"database": "db", "measurement": None}, "measurement is missing"),
            ({"database": "db", "names": "other"}, 'names is "other"'),
            ({"database": "db", "leave_out": ["ip"]}, 'leave_out has "ip"'),
            ({"database": "db", "leave_out": "duration"}, "leave_out is 'duration'"),
            ({"database": "db", "skip": True}, "skip is True"),
            ({"database": "db", "remote_ip_header": b"x"}, "remote_ip_header is b'x'"),
        ],
    )
    def test_an_option_is_one_warning(
        self, recording: Recording, caplog: pytest.LogCaptureFixture, options: Any, words: str
    ) -> None:
        application = InfluxDBMiddleware(hello, **options)
        for _ in range(3):
            assert web.asgi(application) == [START, END]
        (record,) = caplog.records
        assert (record.levelno, record.name) == (logging.WARNING, "sprockets_influxdb")
        assert words in record.getMessage()
        assert recording.points() == []

    @pytest.mark.parametrize("variable", ["INFLUXDB_TAG_REMOTE_IP", "INFLUXDB_PORT"])
    def test_a_variable_is_one_warning(
        self, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, variable: str
    ) -> None:
        monkeypatch.setenv(variable, "maybe")
        application = InfluxDBMiddleware(hello, database="db")
        for _ in range(3):
            assert web.asgi(application) == [START, END]
        (record,) = caplog.records
        assert variable in record.getMessage()

    def test_the_first_request_installs_the_environments_client(
        self, server: testing.Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("INFLUXDB_URL", server.url)
        monkeypatch.setenv("ENVIRONMENT", "test")
        web.asgi(InfluxDBMiddleware(hello, database="db"))
        assert Recording(server).point().tags["environment"] == "test"

    def test_errors_are_one_warning_a_minute(
        self, recording: Recording, caplog: pytest.LogCaptureFixture
    ) -> None:
        class Unprintable:
            def __str__(self) -> str:
                raise NotImplementedError

        async def own(scope: Any, receive: Any, send: Any) -> None:
            scope["sprockets_influxdb.measurement"].set_tag("own", Unprintable())
            await hello(scope, receive, send)

        for _ in range(3):
            assert web.asgi(InfluxDBMiddleware(own, database="db")) == [START, END]
        (record,) = caplog.records
        assert "NotImplementedError" in record.getMessage()
        assert ["own" in point.tags for point in recording.points()] == [False] * 3

    def test_a_skip_that_raises_skips_nothing(
        self, recording: Recording, caplog: pytest.LogCaptureFixture
    ) -> None:
        application = InfluxDBMiddleware(hello, database="db", skip=lambda scope: scope["none"])
        assert web.asgi(application) == [START, END]
        assert "KeyError" in caplog.text
        recording.point()

    def test_ctrl_c_in_a_skip_is_not_lost(self, recording: Recording) -> None:
        def interrupted(_scope: object) -> bool:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            web.asgi(InfluxDBMiddleware(hello, database="db", skip=interrupted))
