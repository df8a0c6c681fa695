"""What a ``FallbackHandler`` passes on is recorded as the other application responds."""

import asyncio
import concurrent.futures
import threading
from typing import Any

import pytest
from tornado import web, wsgi

import sprockets_influxdb as influxdb
from serving import SETTINGS, Recording, connect, request
from sprockets_influxdb import testing


class Fallback(influxdb.InfluxDBMixin, web.FallbackHandler):
    pass


def application(fallback: Any, handler: Any = Fallback) -> web.Application:
    return web.Application([("/", handler, {"fallback": fallback})], **SETTINGS)


def created(environ: Any, start_response: Any) -> list[bytes]:
    start_response("201 Created", [("Content-Type", "text/plain")])
    return [b"cre", b"ated"]


def is_fallback(point: testing.Point, status_code: int, content_length: int) -> None:
    assert (point.tags["endpoint"], point.tags["status_code"]) == ("/", str(status_code))
    assert point.tags["handler"].endswith(".Fallback")
    assert point.fields["content_length"] == content_length


def test_a_wsgi_application(recording: Recording) -> None:
    assert request(application(wsgi.WSGIContainer(created))).code == 201
    is_fallback(recording.point(), 201, 7)


def test_a_wsgi_application_on_a_thread(recording: Recording) -> None:
    with concurrent.futures.ThreadPoolExecutor(1) as executor:
        container: Any = wsgi.WSGIContainer
        try:
            fallback = container(created, executor)
        except TypeError:
            pytest.skip("not applicable: Tornado before 6.3 has no executor")
        assert request(application(fallback)).code == 201
    is_fallback(recording.point(), 201, 7)


def test_a_tornado_application(recording: Recording) -> None:
    class Teapot(web.RequestHandler):
        async def get(self) -> None:
            self.set_status(418)
            self.write("short ")
            await self.flush()
            self.write("and stout")

    assert request(application(web.Application([("/", Teapot)]))).code == 418
    is_fallback(recording.point(), 418, 15)


def test_each_request_of_a_connection(recording: Recording) -> None:
    async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(2):
            writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            assert b" 201 " in await reader.readuntil(b"created")

    connect(recording, application(wsgi.WSGIContainer(created)), client)
    for point in recording.points():
        is_fallback(point, 201, 7)
    assert len(recording.points()) == 2


def test_a_fallback_that_raises_is_500(recording: Recording) -> None:
    def failing(request: Any) -> None:
        raise ValueError("no such row")

    response = request(application(failing))
    assert response.code == 500
    is_fallback(recording.point(), 500, len(response.body))


def test_what_prepare_sends_itself(recording: Recording) -> None:
    class Refusing(Fallback):
        def prepare(self) -> None:
            self.influxdb.set_tag("own", "x")
            raise web.HTTPError(403)

    assert request(application(wsgi.WSGIContainer(created), Refusing)).code == 403
    point = recording.point()
    assert (point.tags["status_code"], point.tags["own"]) == ("403", "x")


@pytest.mark.parametrize("is_tornado", [False, True])
def test_a_disconnect_before_the_response_is_499(recording: Recording, is_tornado: bool) -> None:
    has_begun = threading.Event()

    class Waiting(web.RequestHandler):
        async def get(self) -> None:
            has_begun.set()
            await asyncio.get_running_loop().create_future()

    def waiting(request: Any) -> None:
        has_begun.set()

    async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        await asyncio.to_thread(has_begun.wait, 20)
        writer.transport.abort()

    fallback = web.Application([("/", Waiting)]) if is_tornado else waiting
    connect(recording, application(fallback), client)
    is_fallback(recording.point(), 499, 0)


def test_it_has_the_measurement(recording: Recording) -> None:
    class Tagging(Fallback):
        def prepare(self) -> None:
            self.influxdb.set_tag("own", "x")
            super().prepare()

    assert request(application(wsgi.WSGIContainer(created), Tagging)).code == 201
    point = recording.point()
    assert (point.tags["own"], point.tags["status_code"]) == ("x", "201")


def test_a_disabled_client_changes_nothing(server: testing.Server) -> None:
    influxdb.install(server.url)
    testing.reset()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INFLUXDB_ENABLED", "false")
        assert influxdb.install(server.url) is None
        response = request(application(wsgi.WSGIContainer(created)))
    assert (response.code, response.body) == (201, b"created")
    assert server.points() == []
