"""Each request is recorded once, however it ends, with the status and bytes that were sent."""

import asyncio
import zlib
from typing import Any

import pytest
from tornado import iostream, web

import sprockets_influxdb as influxdb
from serving import SETTINGS, Hello, Recording, connect, request, send, serving
from sprockets_influxdb.tornado import CLIENT_CLOSED_REQUEST


class Handler(influxdb.InfluxDBMixin, web.RequestHandler):
    pass


def application(handler: Any, **settings: Any) -> web.Application:
    return web.Application([(r"/", handler)], **SETTINGS, **settings)


class Streaming(Handler):
    """Writes one piece, and nine more."""

    async def get(self) -> None:
        for number in range(10):
            self.write(f"{number}" * 1000)
            await self.flush()

    head = get


class TestContentLength:
    def test_of_a_body_in_one_piece(self, recording: Recording) -> None:
        request(application(Hello))
        recording.is_one(200, 5)

    def test_of_a_body_in_characters(self, recording: Recording) -> None:
        class Own(Handler):
            def get(self) -> None:
                self.write("é")
                self.finish("ü")

        request(application(Own))
        recording.is_one(200, 4)

    def test_of_a_body_in_many_pieces(self, recording: Recording) -> None:
        assert len(request(application(Streaming)).body) == 10_000
        recording.is_one(200, 10_000)

    def test_of_pieces_that_nobody_waits_for(self, recording: Recording) -> None:
        class Own(Handler):
            def get(self) -> None:
                for _ in range(10):
                    self.write(b"x" * 100)
                    self.flush()
                self.finish(b"end")

        assert len(request(application(Own)).body) == 1003
        recording.is_one(200, 1003)

    @pytest.mark.parametrize("handler", [Hello, Streaming])
    def test_of_head(self, recording: Recording, handler: Any) -> None:
        request(application(handler), method="HEAD")
        recording.is_one(200, 0)

    @pytest.mark.parametrize("compress", [False, True])
    def test_of_what_the_client_has(self, recording: Recording, compress: bool) -> None:
        serving = application(Hello, compress_response=compress)
        etag = request(serving).headers["ETag"]
        assert request(serving, headers={"If-None-Match": etag}).code == 304
        found = [
            (point.tags["status_code"], point.fields["content_length"])
            for point in recording.points()
        ]
        assert found == [("200", 5), ("304", 0)]

    def test_of_no_content(self, recording: Recording) -> None:
        class Own(Handler):
            def get(self) -> None:
                self.set_status(204)

        request(application(Own))
        recording.is_one(204, 0)

    def test_of_an_error_page(self, recording: Recording) -> None:
        response = request(application(Handler))
        assert response.code == 405
        recording.is_one(405, len(response.body))

    def test_of_a_compressed_body(self, recording: Recording) -> None:
        class Own(Handler):
            def get(self) -> None:
                self.write("x" * 5000)

        body = request(
            application(Own, compress_response=True), headers={"Accept-Encoding": "gzip"}
        ).body
        assert zlib.decompress(body, 31) == b"x" * 5000
        recording.is_one(200, len(body))

    def test_of_a_compressed_body_in_many_pieces(self, recording: Recording) -> None:
        body = request(
            application(Streaming, compress_response=True), headers={"Accept-Encoding": "gzip"}
        ).body
        assert len(zlib.decompress(body, 31)) == 10_000
        recording.is_one(200, len(body))

    def test_of_a_body_that_could_be_compressed(self, recording: Recording) -> None:
        body = request(
            application(Streaming, compress_response=True), headers={"Accept-Encoding": "identity"}
        ).body
        assert len(body) == 10_000
        recording.is_one(200, 10_000)

    @pytest.mark.parametrize(
        ("method", "headers", "code", "length"),
        [
            ("GET", {}, 200, 200_000),
            ("HEAD", {}, 200, 0),
            ("GET", {"Range": "bytes=10-19"}, 206, 10),
            ("GET", {"Range": "bytes=900000-"}, 416, 0),
        ],
    )
    def test_of_a_file(
        self,
        recording: Recording,
        tmp_path: Any,
        method: str,
        headers: dict[str, str],
        code: int,
        length: int,
    ) -> None:
        class Static(influxdb.InfluxDBMixin, web.StaticFileHandler):
            pass

        (tmp_path / "a").write_bytes(b"x" * 200_000)
        files = web.Application([(r"/(.*)", Static, {"path": str(tmp_path)})], **SETTINGS)
        response = request(files, "/a", method=method, headers=headers)
        assert (response.code, len(response.body)) == (code, length)
        point = recording.point()
        assert (point.tags["status_code"], point.fields["content_length"]) == (str(code), length)

    def test_of_what_goes_nowhere(self, recording: Recording) -> None:
        class Own(Handler):
            async def get(self) -> None:
                self.write("sent")
                await self.flush()
                connection: Any = self.request.connection
                connection.stream.close()
                self.write("not sent")
                self.finish("nor this")

        assert b"sent" in send(application(Own), b"GET / HTTP/1.1")[0]
        recording.is_one(200, 4)

    def test_of_each_request_of_a_connection(self, recording: Recording) -> None:
        async def main() -> bytes:
            async with serving(application(Streaming)) as port:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                again = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * 2
                writer.write(again + b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
                reply = await reader.read()
                writer.close()
                return reply

        assert asyncio.run(main()).count(b"9" * 1000) == 3
        assert [point.fields["content_length"] for point in recording.points()] == [10_000] * 3


class TestFailures:
    @pytest.mark.parametrize("where", ["prepare", "get"])
    @pytest.mark.parametrize("waits", [False, True])
    @pytest.mark.parametrize(
        ("error", "code"),
        [(web.HTTPError(418), 418), (RuntimeError("on purpose"), 500), (web.Finish("early"), 200)],
        ids=["HTTPError", "RuntimeError", "Finish"],
    )
    def test_what_raises_is_recorded(
        self, recording: Recording, where: str, waits: bool, error: Exception, code: int
    ) -> None:
        async def fail(self: web.RequestHandler) -> None:
            if waits:
                await asyncio.sleep(0)
            raise error

        class Failing(Handler):
            def get(self) -> None:
                self.write("not reached, or replaced by an error page")

        setattr(Failing, where, fail)
        response = request(application(Failing))
        assert response.code == code
        recording.is_one(code, len(response.body))

    @pytest.mark.parametrize("uses_measurement", [False, True])
    def test_what_raises_in_initialize_is_recorded(
        self, recording: Recording, uses_measurement: bool
    ) -> None:
        class Failing(Hello):
            def initialize(self) -> None:
                if uses_measurement:
                    self.influxdb.set_tag("used", True)
                raise RuntimeError("on purpose")

        assert send(application(Failing), b"GET / HTTP/1.1") == [b""]
        recording.is_one(500, 0)

    def test_what_prepare_finishes_is_recorded(self, recording: Recording) -> None:
        class Refusing(Hello):
            def prepare(self) -> None:
                self.set_status(401)
                self.finish("no")

        assert request(application(Refusing)).body == b"no"
        recording.is_one(401, 2)

    def test_what_raises_in_the_middle_has_the_status_that_was_sent(
        self, recording: Recording
    ) -> None:
        class Failing(Handler):
            async def get(self) -> None:
                self.write("part")
                await self.flush()
                raise RuntimeError("on purpose")

        assert b"part" in send(application(Failing), b"GET / HTTP/1.1")[0]
        recording.is_one(200, 4)

    def test_an_error_page_that_raises_is_recorded(self, recording: Recording) -> None:
        class Failing(Handler):
            def write_error(self, status_code: int, **kwargs: Any) -> None:
                raise RuntimeError("on purpose")

        assert request(application(Failing)).code == 405
        recording.is_one(405, 0)

    def test_a_correlation_id_that_raises_breaks_nothing(
        self, recording: Recording, caplog: pytest.LogCaptureFixture
    ) -> None:
        class Failing(Hello):
            @property
            def correlation_id(self) -> str:
                raise RuntimeError("on purpose")

        assert request(application(Failing)).body == b"Hello"
        assert recording.points() == []
        assert "is not recorded: RuntimeError: on purpose" in caplog.text

    def test_a_correlation_id_without_a_text_is_left_out(
        self, recording: Recording, caplog: pytest.LogCaptureFixture
    ) -> None:
        class Unprintable:
            def __str__(self) -> str:
                raise NotImplementedError

        class Failing(Hello):
            correlation_id = Unprintable()

        assert request(application(Failing)).body == b"Hello"
        assert "correlation_id" not in recording.point().tags
        assert "NotImplementedError" in caplog.text


class TestHangUps:
    @pytest.mark.parametrize("overrides", ["nothing", "without super", "raises"])
    @pytest.mark.parametrize("resets", [False, True])
    def test_before_the_response(self, recording: Recording, overrides: str, resets: bool) -> None:
        has_begun, may_end = asyncio.Event(), asyncio.Event()

        class Slow(Handler):
            async def get(self) -> None:
                has_begun.set()
                await may_end.wait()
                self.write("too late")

        class Closing(Slow):
            def on_connection_close(self) -> None:
                if overrides == "raises":
                    raise RuntimeError("on purpose")

        async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            await has_begun.wait()
            writer.transport.abort() if resets else writer.close()
            await recording.wait()
            may_end.set()

        connect(recording, application(Slow if overrides == "nothing" else Closing), client)
        recording.is_one(CLIENT_CLOSED_REQUEST, 0)

    def test_in_the_middle_of_the_response(self, recording: Recording) -> None:
        outcomes: list[type[Exception]] = []

        class Endless(Handler):
            async def get(self) -> None:
                self.write(b"x" * 1000)
                await self.flush()
                try:
                    while True:
                        self.write(b"x" * 1_000_000)
                        await self.flush()
                except iostream.StreamClosedError as error:
                    outcomes.append(type(error))

        async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            await reader.readuntil(b"x" * 1000)
            writer.transport.abort()

        connect(recording, application(Endless), client)
        recording.is_one(200)
        length = recording.point().fields["content_length"]
        assert isinstance(length, int)
        assert length % 1_000_000 == 1000

    @pytest.mark.parametrize("streams", [False, True])
    def test_in_the_middle_of_the_requests_body(self, recording: Recording, streams: bool) -> None:
        has_begun = asyncio.Event()

        class Receiving(Handler):
            def prepare(self) -> None:
                has_begun.set()

            def data_received(self, chunk: bytes) -> None:
                has_begun.set()

            def put(self) -> None:
                self.write("stored")

        async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nonly a part")
            if streams:
                await has_begun.wait()
            else:
                # Tornado makes the handler after the body, so nothing is recorded.
                await writer.drain()
                request = b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"
                other, another = await asyncio.open_connection(*writer.get_extra_info("peername"))
                another.write(request)
                await other.readuntil(b"stored")
                another.close()
            writer.close()

        handler = web.stream_request_body(Receiving) if streams else Receiving
        connect(recording, application(handler), client)
        recording.is_one(CLIENT_CLOSED_REQUEST if streams else 200)

    def test_a_streamed_body_that_comes_whole(self, recording: Recording) -> None:
        @web.stream_request_body
        class Receiving(Handler):
            length = 0

            def data_received(self, chunk: bytes) -> None:
                self.length += len(chunk)

            def put(self) -> None:
                self.write(str(self.length))

        assert request(application(Receiving), method="PUT", body="x" * 100_000).body == b"100000"
        recording.is_one(200, 6)


class TestDetach:
    @pytest.mark.parametrize("waits", [False, True])
    def test_it_is_recorded_when_the_method_returns(
        self, recording: Recording, waits: bool
    ) -> None:
        class Detaching(Handler):
            async def get(self) -> None:
                stream = self.detach()
                if waits:
                    await asyncio.sleep(0)
                await stream.write(b"HTTP/1.0 200 OK\r\n\r\nown")
                assert influxdb.stats()["added"] == 0
                stream.close()

        async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            assert (await reader.read()).endswith(b"own")

        connect(recording, application(Detaching), client)
        recording.is_one(200, 0)

    def test_a_method_that_raises_afterwards_is_recorded(self, recording: Recording) -> None:
        class Detaching(Handler):
            def get(self) -> None:
                self.detach().close()
                raise RuntimeError("on purpose")

        assert send(application(Detaching), b"GET / HTTP/1.1") == [b""]
        assert len(recording.points()) == 1
