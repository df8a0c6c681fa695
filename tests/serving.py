"""Tornado applications on a port of their own, clients for them, and what their requests record."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

from tornado import httpclient, web
from tornado.httpserver import HTTPServer
from tornado.testing import bind_unused_port

import sprockets_influxdb as influxdb
from sprockets_influxdb import testing

SETTINGS: dict[str, Any] = {influxdb.REQUEST_DATABASE: "db", "service": "tests"}


class Hello(influxdb.InfluxDBMixin, web.RequestHandler):
    def get(self, *arguments: str, **more: str) -> None:
        self.write("Hello")

    head = get


class Missing(influxdb.InfluxDBMixin, web.ErrorHandler):
    """For the setting ``default_handler_class``."""

    def initialize(self, status_code: int = 404) -> None:
        super().initialize(status_code)


class Recording:
    """What requests record in the database ``db`` of the scripted server."""

    def __init__(self, server: testing.Server) -> None:
        self.server = server

    def points(self) -> list[testing.Point]:
        influxdb.flush_sync(10)
        return self.server.points("db")

    def point(self) -> testing.Point:
        """The only one."""
        (point,) = self.points()
        return point

    def is_one(self, status_code: int, content_length: int | None = None) -> None:
        """There is only one, of the rule ``/``, and with these."""
        point = self.point()
        assert (point.tags["endpoint"], point.tags["status_code"]) == ("/", str(status_code))
        assert content_length is None or point.fields["content_length"] == content_length

    async def wait(self, count: int = 1) -> None:
        """Until so many points are stored; the event loop goes on meanwhile."""
        await asyncio.to_thread(self.server.wait_for_points, count)


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


def request(application: Any, path: str = "/", **options: Any) -> httpclient.HTTPResponse:
    """One request, whose redirects are not followed and whose response is left as it came."""

    async def main() -> httpclient.HTTPResponse:
        async with serving(application) as port:
            # A client of its own keeps no connection that would outlive the loop.
            client = httpclient.AsyncHTTPClient(force_instance=True)
            url = f"http://127.0.0.1:{port}{path}"
            return await client.fetch(
                url, raise_error=False, follow_redirects=False, decompress_response=False, **options
            )

    return asyncio.run(main())


def send(application: Any, *requests: bytes) -> list[bytes]:
    """What comes back for requests as they stand, each on a connection of its own."""

    async def main() -> list[bytes]:
        async with serving(application) as port:
            return [await exchange(port, request) for request in requests]

    async def exchange(port: int, request: bytes) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request + b"\r\nHost: a.example\r\nConnection: close\r\n\r\n")
        reply = await reader.read()
        writer.close()
        return reply

    return asyncio.run(main())


Client = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]]


def connect(recording: Recording, application: web.Application, client: Client) -> None:
    """Serves one connection, and ends when its request is recorded."""

    async def main() -> None:
        async with serving(application) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            await client(reader, writer)
            await recording.wait()
            writer.close()

    asyncio.run(main())
