"""The WSGI middleware records each request once, and does not change the response."""

import gc
import io
import wsgiref.util
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import sprockets_influxdb as influxdb
import web
from serving import Recording
from sprockets_influxdb.wsgi import InfluxDBMiddleware


def answering(body: Any, status: str = "200 OK") -> Callable[..., Any]:
    def application(environ: Any, start_response: Any) -> Any:
        start_response(status, [])
        return body() if callable(body) else body

    return application


def parts() -> Iterator[bytes]:
    for _ in range(10):
        yield b"Hello"


def failing(before: int) -> Callable[[], Iterator[bytes]]:
    def body() -> Iterator[bytes]:
        for _ in range(before):
            yield b"Hello"
        raise ValueError("no such row")

    return body


def middleware(application: Any, **options: Any) -> InfluxDBMiddleware:
    return InfluxDBMiddleware(application, database="db", **options)


def is_one(recording: Recording, status_code: str, content_length: int) -> None:
    point = recording.point()
    assert (point.tags["status_code"], point.fields["content_length"]) == (
        status_code,
        content_length,
    )


class TestAttributes:
    def test_a_request_has_all_attributes(self, recording: Recording) -> None:
        variables = {"HTTP_CORRELATION_ID": "42", "CONTENT_LENGTH": "7"}
        web.wsgi(middleware(answering([b"Hello"])), web.environ("/", "POST", **variables))
        point = recording.point()
        assert point.tags == {"endpoint": "(unmatched)", "method": "POST", "status_code": "200"}
        assert (point.fields["request_id"], point.fields["client_ip"]) == ("42", "192.0.2.1")
        assert (point.fields["content_length"], point.fields["request_length"]) == (5, 7)
        assert 0 < float(point.fields["time_to_first_byte"]) <= float(point.fields["duration"])

    def test_what_the_handler_sets_takes_precedence(self, recording: Recording) -> None:
        def own(environ: Any, start_response: Any) -> Any:
            measurement = environ["sprockets_influxdb.measurement"]
            assert type(measurement) is influxdb.Measurement
            measurement.set_tag("endpoint", "/own")
            return answering([b"Hello"])(environ, start_response)

        web.wsgi(middleware(own), web.environ())
        assert recording.point().tags["endpoint"] == "/own"

    def test_headers_are_decoded_as_utf_8(self, recording: Recording) -> None:
        web.wsgi(
            middleware(answering([])),
            web.environ(HTTP_CORRELATION_ID="ü".encode().decode("latin-1")),
        )
        assert recording.point().fields["request_id"] == "ü"

    def test_skipped_requests_are_not_recorded(self, recording: Recording) -> None:
        application = middleware(
            answering([]), skip=lambda environ: environ["PATH_INFO"] == "/health"
        )
        for path in ("/health", "/other"):
            web.wsgi(application, web.environ(path))
        recording.point()

    def test_ctrl_c_in_a_skip_is_not_lost(self, recording: Recording) -> None:
        def interrupted(_environ: object) -> bool:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            web.wsgi(middleware(answering([]), skip=interrupted), web.environ())

    def test_a_missing_database_is_one_warning(
        self, recording: Recording, caplog: pytest.LogCaptureFixture
    ) -> None:
        application = InfluxDBMiddleware(answering([b"Hello"]))
        for _ in range(3):
            assert web.wsgi(application, web.environ()) == b"Hello"
        (record,) = caplog.records
        assert "have no database" in record.getMessage()
        assert recording.points() == []


class TestEnds:
    @pytest.mark.parametrize(
        ("body", "length"), [([b"Hello", b"you"], 8), (parts, 50), ((), 0), (lambda: iter(()), 0)]
    )
    def test_a_finished_body_is_counted(self, recording: Recording, body: Any, length: int) -> None:
        assert len(web.wsgi(middleware(answering(body)), web.environ())) == length
        is_one(recording, "200", length)

    @pytest.mark.parametrize("body", [[b"Hello"], parts])
    def test_a_response_to_head_has_no_content(self, recording: Recording, body: Any) -> None:
        web.wsgi(middleware(answering(body)), web.environ("/", "HEAD"), parts=0)
        is_one(recording, "200", 0)

    def test_the_write_callable_is_counted(self, recording: Recording) -> None:
        def writing(environ: Any, start_response: Any) -> Any:
            write = start_response("201 Created", [])
            write(b"abc")
            write(b"de")
            return [b"f"]

        assert web.wsgi(middleware(writing), web.environ()) == b"abcdef"
        is_one(recording, "201", 6)

    def test_start_response_and_write_get_what_the_application_passes(
        self, recording: Recording
    ) -> None:
        calls: list[Any] = []

        def write(*data: Any, **named: Any) -> str:
            calls.append((data, named))
            return "written"

        def start(status: str, headers: Any, exc_info: Any = None) -> Any:
            calls.append((status, headers, exc_info))
            return write

        def application(environ: Any, start_response: Any) -> Any:
            with pytest.raises(TypeError, match="headers"):
                start_response("200 OK")
            write = start_response("200 OK", [])
            assert write(b"abc") == "written"
            write = start_response(status="201 Created", headers=[], exc_info=None)
            assert write(data=b"de") == "written"
            assert write(b"two", b"arguments") == "written"
            with pytest.raises(TypeError, match="headers"):
                start_response("200 OK")
            with pytest.raises(TypeError, match="headers"):
                start_response("200 OK", exc_info=None)
            return [b"f"]

        assert middleware(application)(web.environ(), start) == [b"f"]
        assert calls == [
            ("200 OK", [], None),
            ((b"abc",), {}),
            ("201 Created", [], None),
            ((), {"data": b"de"}),
            ((b"two", b"arguments"), {}),
        ]
        is_one(recording, "201", 9)

    def test_a_write_after_the_end_is_an_error(self, recording: Recording) -> None:
        late: list[Any] = []

        def application(environ: Any, start_response: Any) -> Any:
            late.append(start_response("200 OK", []))
            return [b"f"]

        web.wsgi(middleware(application), web.environ())
        with pytest.raises(TypeError, match="the response has ended"):
            late[0](b"g")
        is_one(recording, "200", 1)

    def test_an_exception_before_the_response_is_500(self, recording: Recording) -> None:
        def raising(environ: Any, start_response: Any) -> Any:
            raise ValueError("no such row")

        with pytest.raises(ValueError, match="no such row"):
            web.wsgi(middleware(raising), web.environ())
        is_one(recording, "500", 0)
        assert recording.point().fields["exception"] == "ValueError: no such row"

    @pytest.mark.parametrize(("before", "status_code"), [(0, "500"), (2, "200")])
    def test_an_exception_in_the_body_keeps_the_status(
        self, recording: Recording, before: int, status_code: str
    ) -> None:
        with pytest.raises(ValueError, match="no such row"):
            web.wsgi(middleware(answering(failing(before))), web.environ())
        is_one(recording, status_code, before * 5)
        assert recording.point().fields["exception"] == "ValueError: no such row"

    def test_an_exception_in_close_is_recorded(self, recording: Recording) -> None:
        class Body(list[bytes]):
            def close(self) -> None:
                raise ValueError

        with pytest.raises(ValueError):  # noqa: PT011
            web.wsgi(middleware(answering(Body([b"Hello"]))), web.environ())
        is_one(recording, "200", 5)
        assert recording.point().fields["exception"] == "ValueError"

    def test_what_an_error_page_outside_sends_is_not_seen(self, recording: Recording) -> None:
        """Only the outermost middleware sees what the client gets."""

        def failing(environ: Any, start: Any) -> Any:
            raise ValueError("no such row")

        def with_page(application: Any) -> Any:
            def page(environ: Any, start: Any) -> Any:
                try:
                    return application(environ, start)
                except ValueError:
                    start("503 Service Unavailable", [])
                    return [b"later"]

            return page

        assert web.wsgi(with_page(middleware(failing)), web.environ("/")) == b"later"
        assert web.wsgi(middleware(with_page(failing)), web.environ("/")) == b"later"
        found = [point.tags["status_code"] for point in recording.points()]
        assert found == ["500", "503"]

    def test_the_last_status_counts(self, recording: Recording) -> None:
        def application(environ: Any, start_response: Any) -> Any:
            start_response("200 OK", [])
            start_response("503 Busy", [], (None, None, None))
            return [b"no"]

        seen: list[Any] = []
        middleware(application)(web.environ(), lambda *arguments: seen.append(arguments))
        assert [len(arguments) for arguments in seen] == [2, 3]
        is_one(recording, "503", 2)

    @pytest.mark.parametrize(("handed", "end"), [(0, ("499", 0)), (3, ("200", 15))])
    def test_a_body_that_the_client_abandons_is_recorded(
        self, recording: Recording, handed: int, end: Any
    ) -> None:
        closed: list[bool] = []

        def body() -> Iterator[bytes]:
            try:
                yield from parts()
            finally:
                closed.append(True)

        web.wsgi(middleware(answering(body)), web.environ(), parts=handed)
        assert closed == ([True] if handed else [])
        is_one(recording, *end)

    def test_a_body_that_is_never_closed_is_recorded(self, recording: Recording) -> None:
        body = iter(middleware(answering(parts))(web.environ(), lambda *_: None))
        next(body)
        assert recording.points() == []
        del body
        gc.collect()
        is_one(recording, "200", 5)

    def test_a_body_keeps_its_length(self) -> None:
        class Body(list[bytes]):
            def close(self) -> None: ...

        body: Any = middleware(answering(Body([b"Hello"])))(web.environ(), lambda *_: None)
        assert len(body) == 1
        body.close()


class TestFiles:
    """A server's file wrapper is left as the server knows it."""

    def test_a_file_that_is_read_to_the_end(self, recording: Recording) -> None:
        file = io.BytesIO(b"x" * 20_000)
        body = self.answered(file)
        assert type(body) is wsgiref.util.FileWrapper
        assert sum(map(len, body)) == 20_000
        body.close()
        assert file.closed
        is_one(recording, "200", 20_000)

    def test_an_abandoned_file(self, recording: Recording) -> None:
        body = self.answered(io.BytesIO(b"x" * 20_000))
        next(body)
        body.close()
        is_one(recording, "200", 8192)

    def test_a_file_sent_by_sendfile(self, recording: Recording, tmp_path: Any) -> None:
        path = tmp_path / "file"
        path.write_bytes(b"x" * 20_000)
        with path.open("rb") as file:
            self.answered(file).close()
        is_one(recording, "200", 20_000)

    @staticmethod
    def answered(file: Any) -> Any:
        def application(environ: Any, start_response: Any) -> Any:
            start_response("200 OK", [])
            return environ["wsgi.file_wrapper"](file)

        environment = web.environ("/", "GET", **{"wsgi.file_wrapper": wsgiref.util.FileWrapper})
        return middleware(application)(environment, lambda *_: None)
