"""The status page, over the servers that it can be mounted in."""

import asyncio
import contextlib
import http.client
import json
import pathlib
import re
import urllib.parse
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tornado import web as tornado_web

import sprockets_influxdb as influxdb
import web
from serving import serving
from sprockets_influxdb import Client, asgi, testing, wsgi
from sprockets_influxdb.status import StatusPage
from sprockets_influxdb.testing import Fault

PATH = "/internal/influxdb"


class Answer:
    """A response of the page."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()

    def json(self) -> Any:
        assert self.headers["Content-Type"].startswith("application/json")
        return json.loads(self.body)


def ask(port: int, path: str, method: str = "GET", **headers: str) -> Answer:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request(method, path, headers=headers)
        answer = Answer(connection.getresponse())
    finally:
        connection.close()
    if answer.status == 307:
        # Starlette adds a slash to the path of a mounted application.
        location = urllib.parse.urlsplit(answer.headers["Location"])
        return ask(port, f"{location.path}?{location.query}", method, **headers)
    return answer


Serve = Callable[[StatusPage], "contextlib.AbstractContextManager[int]"]


@contextlib.contextmanager
def uvicorn(page: StatusPage) -> Iterator[int]:
    fastapi = pytest.importorskip("fastapi")
    app = fastapi.FastAPI()
    app.mount(PATH, page)
    with web.uvicorn_serving(app) as port:
        yield port


@contextlib.contextmanager
def uvicorn_alone(page: StatusPage) -> Iterator[int]:
    with web.uvicorn_serving(page, lifespan="on") as port:
        yield port


@contextlib.contextmanager
def wsgiref(page: StatusPage) -> Iterator[int]:
    with web.wsgiref_serving(page.wsgi) as port:
        yield port


@contextlib.contextmanager
def flask(page: StatusPage) -> Iterator[int]:
    dispatcher = pytest.importorskip("werkzeug.middleware.dispatcher")
    app = pytest.importorskip("flask").Flask("tests")
    with web.wsgiref_serving(
        dispatcher.DispatcherMiddleware(app.wsgi_app, {PATH: page.wsgi})
    ) as port:
        yield port


@contextlib.contextmanager
def tornado(page: StatusPage) -> Iterator[int]:
    import threading

    loop: asyncio.AbstractEventLoop | None = None
    started, ports, ending = threading.Event(), [], []

    async def serve() -> None:
        nonlocal loop
        loop = asyncio.get_running_loop()
        ending.append(asyncio.Event())
        async with serving(tornado_web.Application([(PATH, page.tornado)])) as port:
            ports.append(port)
            started.set()
            await ending[0].wait()

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    try:
        assert started.wait(20)
        yield ports[0]
    finally:
        assert loop is not None
        loop.call_soon_threadsafe(ending[0].set)
        thread.join(20)


every_server = pytest.mark.parametrize("serve", [uvicorn, uvicorn_alone, wsgiref, flask, tornado])


@every_server
class TestServers:
    def test_it_is_a_page_and_json(self, client: testing.Server, serve: Serve) -> None:
        influxdb.record("db", "m", {}, {"n": 1})
        influxdb.flush_sync()
        with serve(StatusPage()) as port:
            page = ask(port, PATH, Accept="text/html,*/*")
            asked = ask(port, f"{PATH}?format=json").json()
            accepted = ask(port, PATH, Accept="application/json").json()
            html = ask(port, f"{PATH}?format=html", Accept="application/json")
        assert page.status == 200
        assert page.headers["Content-Type"] == "text/html; charset=utf-8"
        assert page.headers["Cache-Control"] == "no-store"
        assert page.headers["X-Content-Type-Options"] == "nosniff"
        assert page.body == html.body
        assert page.body.startswith(b"<!doctype html>")
        for found in (asked, accepted):
            assert found["stats"] == influxdb.stats()
            assert found["settings"] == influxdb.settings()
            assert found["spool"] is None

    def test_other_methods_are_refused(self, client: testing.Server, serve: Serve) -> None:
        with serve(StatusPage()) as port:
            head = ask(port, PATH, "HEAD")
            posts = [ask(port, PATH, method) for method in ("POST", "DELETE", "PUT")]
        assert (head.status, head.body) == (200, b"")
        assert int(head.headers["Content-Length"]) > 1_000
        assert [(post.status, post.headers["Allow"]) for post in posts] == 3 * [(405, "GET, HEAD")]


def asgi_app() -> Any:
    app = pytest.importorskip("fastapi").FastAPI()
    app.mount(PATH, StatusPage())
    app.add_middleware(asgi.InfluxDBMiddleware, database="requests")
    return app


def wsgi_app() -> Any:
    return wsgi.InfluxDBMiddleware(
        lambda environ, start: (
            StatusPage().wsgi(environ, start)
            if environ["PATH_INFO"].startswith(PATH)
            else (start("404 Not Found", []), [b""])[1]
        ),
        database="requests",
    )


@pytest.mark.parametrize(
    ("serve", "make"),
    [(web.uvicorn_serving, asgi_app), (web.wsgiref_serving, wsgi_app)],
    ids=["asgi", "wsgi"],
)
def test_a_middleware_does_not_record_its_requests(
    client: testing.Server, serve: Any, make: Callable[[], Any]
) -> None:
    with serve(make()) as port:
        for method in ("GET", "HEAD"):
            assert ask(port, f"{PATH}/?format=json", method).status == 200
        assert ask(port, "/other").status == 404
    influxdb.flush_sync()
    assert [point.tags["status_code"] for point in client.points("requests")] == ["404"]


def test_a_measurement_that_is_discarded_is_not_added(client: testing.Server) -> None:
    measurement = influxdb.Measurement("db", "m")
    measurement.set_field("n", 1)
    measurement.discard()
    assert not measurement.is_recording
    influxdb.add_measurement(measurement)
    assert influxdb.stats()["added"] == 0


class TestContents:
    def status(self, client: Client | None = None) -> Any:
        return json.loads(StatusPage(client).respond(query="format=json").body)

    def test_secrets_are_masked(self, server: testing.Server) -> None:
        url = server.url.replace("//", "//me:hunter2@")
        influxdb.install(f"{url}/write?key=hunter2", base_tags={"region": "eu"})
        found = self.status()
        assert "hunter2" not in json.dumps(found)
        assert found["settings"]["auth_password"] == "***"
        assert found["settings"]["base_tags"]["region"] == "eu"

    def test_before_there_is_a_client(self) -> None:
        found = self.status()
        assert (found["settings"], found["stats"]["added"]) == (None, 0)
        assert influxdb.installed() is None

    def test_a_client_of_its_own(self, client: testing.Server, server: testing.Server) -> None:
        with Client(server.url, trigger_size=7) as own:
            own.record("db", "m", {}, {"n": 1})
            assert self.status(own)["stats"]["added"] == 1
            assert self.status(own)["settings"]["trigger_size"] == 7
            assert self.status()["stats"]["added"] == 0

    def test_spool_and_quarantine(self, server: testing.Server, tmp_path: pathlib.Path) -> None:
        spool = tmp_path / "spool"
        server.inject_always(Fault.reject_lines("bad"))
        with Client(server.url, spool=str(spool), shutdown_timeout=1) as client:
            assert self.status(client)["spool"]["directory"] == str(spool)
            client.record("db", "m", {}, {"bad": 1})
            client.flush_sync(20)
            server.stop()
            client.record("db", "m", {}, {"n": 1})
            found = self.status(client)
            assert found["stats"]["pending"] == 1
            assert found["spool"]["alive"] == 1
            assert found["spool"]["files"] >= 1
            assert found["spool"]["damaged"] == {"files": 0, "bytes": 0}
            quarantine = found["spool"]["quarantine"]
            assert quarantine["files"] == 1
            assert quarantine["newest"]["database"] == "db"
            assert quarantine["newest"]["reason"]
            server.restart()
            server.clear_faults()
            client.flush_sync(20)

    def test_a_spool_that_cannot_be_read(self, tmp_path: pathlib.Path) -> None:
        with Client(spool=str(tmp_path / "none")) as client:
            assert "No such file" in self.status(client)["spool"]["error"]

    def test_the_page_is_one_file_without_anything_of_others(self) -> None:
        page = StatusPage().respond().body.decode()
        assert not re.search(r"(src|href)=\"(https?:)?//", page)
        assert page.count("<script>") == page.count("<style>") == 1
        assert "innerHTML" not in page

    def test_only_its_own_script_and_style_may_run(self) -> None:
        headers = dict(StatusPage().respond().headers)
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert policy.count("'sha256-") == 2
        assert "unsafe" not in policy

    def test_a_websocket_is_closed(self) -> None:
        assert web.asgi(StatusPage(), type="websocket") == [{"type": "websocket.close"}]
