"""Calls web applications as a server does, and serves them."""

import asyncio
import contextlib
import http.client
import io
import socket
import socketserver
import struct
import threading
import wsgiref.simple_server
import wsgiref.util
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

Message = dict[str, Any]


def scope(path: str = "/", method: str = "GET", **more: Any) -> dict[str, Any]:
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(errors="replace"),
        "query_string": b"",
        "root_path": "",
        "headers": [],
        "client": ("192.0.2.1", 4711),
        "server": ("127.0.0.1", 80),
        **more,
    }


def asgi(
    application: Any,
    *received: Message,
    refuses: str = "",
    raises: type[BaseException] | None = None,
    **options: Any,
) -> list[Message]:
    """Return what an application sends for a request. Raises what it raises, unless expected.

    :param received: what it is sent; then it waits
    :param refuses: the type of message that the server cannot send any more
    """
    sent: list[Message] = []
    waiting = list(received)

    async def receive() -> Message:
        if waiting:
            return waiting.pop(0)
        return await asyncio.get_running_loop().create_future()  # type: ignore[no-any-return]

    async def send(message: Message) -> None:
        if message["type"] == refuses:
            raise BrokenPipeError
        sent.append(message)

    async def main() -> None:
        await application(scope(**options), receive, send)

    if raises is None:
        asyncio.run(main())
    else:
        with pytest.raises(raises):
            asyncio.run(main())
    return sent


def environ(path: str = "/", method: str = "GET", /, **more: Any) -> dict[str, Any]:
    variables: dict[str, Any] = {
        "PATH_INFO": path,
        "REQUEST_METHOD": method,
        "REMOTE_ADDR": "192.0.2.1",
        **more,
    }
    wsgiref.util.setup_testing_defaults(variables)
    return variables


def wsgi(application: Any, environment: dict[str, Any], parts: int = -1) -> bytes:
    """Return what a server sends: all, or this number of parts before its client is gone."""
    written: list[bytes] = []
    body = application(environment, lambda *_: written.append)
    try:
        for _, part in zip(range(parts) if parts >= 0 else iter(int, 1), body, strict=False):
            written.append(part)
    finally:
        if hasattr(body, "close"):
            body.close()
    return b"".join(written)


@contextlib.contextmanager
def uvicorn_serving(application: Any, **options: Any) -> Iterator[int]:
    """Ends when all requests have ended."""
    uvicorn = pytest.importorskip("uvicorn")
    config = uvicorn.Config(application, port=0, log_level="critical", **options)
    server = uvicorn.Server(config)
    has_started = threading.Event()
    start = server.startup

    async def startup(*arguments: Any, **named: Any) -> None:
        await start(*arguments, **named)
        has_started.set()

    server.startup = startup
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        assert has_started.wait(20)
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(20)
        assert not thread.is_alive()


class _ThreadingServer(socketserver.ThreadingMixIn, wsgiref.simple_server.WSGIServer):
    daemon_threads = False


class _Handler(wsgiref.simple_server.WSGIRequestHandler):
    def log_message(self, *_ignored: object) -> None:
        pass

    def get_stderr(self) -> Any:
        return io.StringIO()


@contextlib.contextmanager
def wsgiref_serving(application: Callable[..., Iterable[bytes]]) -> Iterator[int]:
    """Ends when all requests have ended."""
    with wsgiref.simple_server.make_server(
        "127.0.0.1", 0, application, _ThreadingServer, _Handler
    ) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def get(port: int, path: str = "/", method: str = "GET", **headers: str) -> tuple[int, bytes]:
    """Return status and body. A truncated body is returned as far as it was received."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request(method, path, headers=headers)
        response = connection.getresponse()
        try:
            return response.status, response.read()
        except http.client.IncompleteRead as error:
            return response.status, error.partial
    finally:
        connection.close()


def hang_up(port: int, path: str, after: int = 1) -> None:
    """Read this number of bytes of a response, and reset the connection."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: a.example\r\n\r\n".encode())
        while after > 0:
            data = connection.recv(min(after, 65536))
            assert data, "the server closed the connection"
            after -= len(data)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
