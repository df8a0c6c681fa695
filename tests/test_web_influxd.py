"""Web frameworks under real servers, with a real influxd: each request is one point, and scanners
make no new series.
"""

import asyncio
import contextlib
import os
import pathlib
import random
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import receiver
import sprockets_influxdb as influxdb
import web
from programs import bound
from sprockets_influxdb.asgi import InfluxDBMiddleware

ROOT = pathlib.Path(__file__).parent.parent

for name in ("django", "fastapi", "flask", "uvicorn"):
    pytest.importorskip(name)


async def endless_parts() -> Any:
    while True:
        yield b"x" * 10_000
        await asyncio.sleep(0)


def parts() -> Iterator[bytes]:
    for _ in range(10):
        yield b"Hello"


def failing() -> Any:
    raise ValueError("no such row")


def starlette(database: str) -> Any:
    from starlette.applications import Starlette
    from starlette.responses import PlainTextResponse, StreamingResponse
    from starlette.routing import Route

    async def finished(request: Any) -> Any:
        return PlainTextResponse("Hello")

    async def streamed(request: Any) -> Any:
        return StreamingResponse(parts())

    async def endless(request: Any) -> Any:
        return StreamingResponse(endless_parts())

    async def failed(request: Any) -> Any:
        failing()

    views = [finished, streamed, endless, failed]
    application = Starlette(routes=[Route(f"/{view.__name__}", view) for view in views])
    application.add_middleware(InfluxDBMiddleware, database=database)
    return web.uvicorn_serving(application)


def fastapi(database: str) -> Any:
    from fastapi import FastAPI
    from fastapi.responses import StreamingResponse

    application = FastAPI()
    application.add_middleware(InfluxDBMiddleware, database=database)
    application.get("/finished")(lambda: "Hello")
    application.get("/streamed")(lambda: StreamingResponse(parts()))
    application.get("/endless")(lambda: StreamingResponse(endless_parts()))
    application.get("/failed")(failing)
    return web.uvicorn_serving(application)


def flask(database: str) -> Any:
    from flask import Flask, Response

    from sprockets_influxdb.flask import InfluxDB

    def endless() -> Iterator[bytes]:
        while True:
            yield b"x" * 10_000

    application = Flask("tests")
    application.logger.disabled = True
    application.add_url_rule("/finished", "finished", lambda: "Hello")
    application.add_url_rule("/streamed", "streamed", lambda: Response(parts()))
    application.add_url_rule("/endless", "endless", lambda: Response(endless()))
    application.add_url_rule("/failed", "failed", failing)
    InfluxDB(application, database=database)
    return web.wsgiref_serving(application)


@contextlib.contextmanager
def django(database: str, interface: str) -> Iterator[int]:
    from django.test import override_settings

    import web_django

    with override_settings(INFLUXDB_REQUESTS={"database": database}):
        if interface == "wsgi":
            serving: Any = web.wsgiref_serving(web_django.wsgi())
        else:
            serving = web.uvicorn_serving(web_django.asgi(), lifespan="off")
        with serving as port:
            yield port


SERVICES: dict[str, Callable[[str], Any]] = {
    "starlette": starlette,
    "fastapi": fastapi,
    "flask": flask,
    "django-wsgi": lambda database: django(database, "wsgi"),
    "django-asgi": lambda database: django(database, "asgi"),
}


def points(influxd: Any, database: str) -> dict[tuple[object, object], list[dict[str, object]]]:
    """The stored points, by endpoint and status."""
    found: dict[tuple[object, object], list[dict[str, object]]] = {}
    for row in influxd.query("SELECT * FROM request", database):
        found.setdefault((row["endpoint"], row["status_code"]), []).append(row)
    return found


@pytest.mark.parametrize("service", SERVICES)
def test_each_request_is_one_point(influxd: Any, database: str, service: str) -> None:
    influxdb.install(influxd.url, tag_hostname=False)
    with SERVICES[service](database) as port:
        for path in ("/finished", "/streamed", "/failed", "/nowhere"):
            web.get(port, path)
        web.hang_up(port, "/endless", after=1_000_000)
    influxdb.flush_sync(10)
    found = points(influxd, database)
    assert {key: len(rows) for key, rows in found.items()} == {
        ("/finished", "200"): 1,
        ("/streamed", "200"): 1,
        ("/failed", "500"): 1,
        ("(unmatched)", "404"): 1,
        ("/endless", "200"): 1,
    }
    [streamed], [failed], [endless] = (
        found["/streamed", "200"],
        found["/failed", "500"],
        found["/endless", "200"],
    )
    assert streamed["content_length"] == 50
    assert failed["exception"] == "ValueError: no such row"
    assert int(str(endless["content_length"])) >= 1_000_000


class Scanner:
    """Malicious requests, the same in each run."""

    def __init__(self) -> None:
        self.random = random.Random(5)

    def text(self) -> str:
        alphabet = "abc/../%00%ff\0\n\r\t ,=\"'\\{}<>#?&;é\u202e\U0001f4a9\udc80"
        return "".join(self.random.choices(alphabet, k=self.random.choice([1, 10, 100, 1000])))

    def header(self) -> bytes:
        return bytes(self.random.choices(range(256), k=self.random.choice([1, 10, 300, 10_000])))

    def options(self) -> dict[str, Any]:
        headers = [
            (name, self.header())
            for name in (b"correlation-id", b"content-length", b"x-real-ip", self.header())
        ]
        method = self.random.choice(["GET", "get", "PROPFIND", self.text()])
        return {"path": f"/{self.text()}", "method": method, "headers": headers}


def series(influxd: Any, database: str) -> int:
    return len(influxd.query("SHOW SERIES", database))


def test_a_scanner_of_10000_requests_makes_no_series(influxd: Any, database: str) -> None:
    from fastapi import FastAPI
    from flask import Flask

    from sprockets_influxdb.flask import InfluxDB

    influxdb.install(influxd.url, tag_hostname=False, overflow="block")
    asgi = FastAPI()
    asgi.get("/users/{user}")(lambda user: None)
    asgi.add_middleware(InfluxDBMiddleware, database=database, remote_ip_header="x-real-ip")
    wsgi = Flask("tests")
    wsgi.add_url_rule("/users/<int:user>", "user", lambda user: "")
    InfluxDB(wsgi, database=database, measurement="wsgi", remote_ip_header="x-real-ip")

    def ask(path: str, method: str, headers: list[tuple[bytes, bytes]] | None = None) -> None:
        given = dict(headers or ())
        web.asgi(
            asgi,
            {"type": "http.request", "body": b""},
            path=path,
            method=method,
            headers=list(given.items()),
        )
        variables = {
            "HTTP_CORRELATION_ID": given.get(b"correlation-id", b"").decode("latin-1"),
            "HTTP_X_REAL_IP": given.get(b"x-real-ip", b"").decode("latin-1"),
            "REMOTE_ADDR": "192.0.2.1",
        }
        web.wsgi(
            wsgi, web.environ(path.encode(errors="replace").decode("latin-1"), method, **variables)
        )

    for method in ("GET", "PROPFIND"):
        ask("/nowhere", method)
    influxdb.flush_sync(10)
    before = series(influxd, database)
    scanner = Scanner()
    for _ in range(5000):
        ask(**scanner.options())
    influxdb.flush_sync(30)
    stats = influxdb.stats()
    assert (stats["delivered"], stats["rejected"], stats["repaired"]) == (10_004, 0, 0), stats[
        "last_error"
    ]
    assert series(influxd, database) == before == 4


class Receiver(receiver.Receiver):
    """A proxy in front of influxd that counts the lines."""

    def __init__(self, influxd: Any, database: str) -> None:
        self.has_more = threading.Condition()
        super().__init__(influxd, database)

    def receive(self, path: str, body: bytes) -> int:
        status = super().receive(path, body)
        with self.has_more:
            self.has_more.notify_all()
        return status

    def wait_for(self, count: int) -> None:
        with self.has_more:
            assert self.has_more.wait_for(lambda: self.lines["request"] >= count, receiver.DEADLINE)

    def __enter__(self) -> "Receiver":
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self.shutdown()
        self.server_close()


class Example:
    """The process of an example of the repository."""

    def __init__(self, name: str, url: str, database: str) -> None:
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            self.port: int = listener.getsockname()[1]
        variables = {
            "DATABASE": database,
            "INFLUXDB_URL": url,
            "PORT": str(self.port),
            "PYTHONUNBUFFERED": "1",
        }
        variables["INFLUXDB_TRIGGER_SIZE"] = "1"
        self.process = subprocess.Popen(
            bound([sys.executable, str(ROOT / "examples" / name / "app.py")]),
            env={**os.environ, **variables},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert self.process.stdout is not None
        self.output = []
        for line in self.process.stdout:
            self.output.append(line)
            if str(self.port) in line:
                break
        self.reader = threading.Thread(target=lambda: self.output.extend(self.process.stdout or ()))
        self.reader.start()

    def __enter__(self) -> "Example":
        return self

    def __exit__(self, *_exception: object) -> None:
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(20)
        finally:
            self.process.kill()
            self.reader.join()
            assert self.process.stdout is not None
            self.process.stdout.close()


@pytest.mark.parametrize(
    ("name", "endpoint"),
    [
        ("fastapi", "/users/{user}"),
        ("flask", "/users/<int:user>"),
        ("django", "/users/<int:user>"),
        ("tornado", r"/users/(\d+)"),
    ],
)
def test_an_example_records_its_requests(
    influxd: Any, database: str, name: str, endpoint: str
) -> None:
    with Receiver(influxd, database) as receiver, Example(name, receiver.url, database) as example:
        for path in ("/users/17", "/stream", "/fail", "/nowhere"):
            web.get(example.port, path)
        web.hang_up(example.port, "/stream")
        # Development servers end before all requests have ended.
        receiver.wait_for(5)
    found = points(influxd, database)
    assert {key: len(rows) for key, rows in found.items()} == {
        (endpoint, "200"): 1,
        ("/stream", "200"): 2,
        ("/fail", "500"): 1,
        ("(unmatched)", "404"): 1,
    }, "".join(example.output)
    [user] = found[endpoint, "200"]
    assert user["rows"] == 7
    assert user["query"] is not None
