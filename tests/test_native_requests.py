"""Requests of ASGI and WSGI are objects of the C API. Nobody can tell."""

import gc
import sys
from typing import Any

import pytest

import sprockets_influxdb as influxdb
import web
from sprockets_influxdb import _native, asgi, testing
from sprockets_influxdb._requests import recorder
from sprockets_influxdb.wsgi import InfluxDBMiddleware


@pytest.fixture(autouse=True)
def installed(server: testing.Server) -> None:
    influxdb.install(server.url, base_tags={"region": "eu"}, tag_hostname=False)


def points(server: testing.Server) -> list[testing.Point]:
    influxdb.flush_sync()
    return server.points("db")


def test_a_request_of_asgi_is_only_made_by_a_recorder() -> None:
    kind: Any = asgi._Request
    for made in (kind, _native.AsgiRequest, type("Other", (_native.AsgiRequest,), {})):
        with pytest.raises(TypeError):
            made()
        with pytest.raises(TypeError):
            object.__new__(made)
    begin: Any = recorder(database="db").asgi
    with pytest.raises(TypeError):
        begin(kind, web.scope())
    for other in (int, 1, None, _native.WsgiRequest):
        with pytest.raises(TypeError, match="is no class of AsgiRequest"):
            begin(other, web.scope(), print, print)


@pytest.mark.parametrize("kind", [asgi._Request, _native.AsgiRequest])
def test_a_request_of_asgi_accepts_keyword_arguments(server: testing.Server, kind: Any) -> None:
    def receive() -> Any:
        return "received"

    def send(message: Any) -> Any:
        return "sent", message

    scope = web.scope()
    request: Any = recorder(database="db").asgi(kind=kind, scope=scope, receive=receive, send=send)
    assert issubclass(type(request), _native.AsgiRequest)
    assert request.receive_from_server() == "received"
    start = {"type": "http.response.start", "status": 201}
    assert request.send_to_server(message=start) == ("sent", start)
    body = {"type": "http.response.body", "body": b"Hello"}
    assert request.send_to_server(body) == ("sent", body)
    assert request.send_to_server(message=None) == ("sent", None)
    for arguments in ((), (body, body)):
        with pytest.raises(TypeError, match="send_to_server"):
            request.send_to_server(*arguments)
    assert request.end(scope=scope, routes=_native.RouteTable({})) is False
    scope["route"] = scope
    with pytest.raises(TypeError):
        request.end(scope, {})
    assert request.end(scope, _native.RouteTable({id(scope): ("/hello", None)})) is True
    request.end_with(route=("/again", "handler"))
    (point,) = points(server)
    assert point.tags == {
        "region": "eu",
        "endpoint": "/hello",
        "method": "GET",
        "status_code": "201",
    }
    assert point.fields["content_length"] == 5


def test_a_request_of_asgi_that_never_ends_is_recorded_when_it_is_dropped(
    server: testing.Server,
) -> None:
    scope = web.scope()
    begin: Any = recorder(database="db").asgi
    request = begin(asgi._Request, scope, print, print)
    request.send_to_server({"type": "http.response.start", "status": 201})
    # A cycle: only the collector drops it.
    scope["send"] = request.send
    del request, scope
    gc.collect()
    assert [point.tags["status_code"] for point in points(server)] == ["201"]


def test_a_request_of_wsgi_is_only_made_by_a_recorder() -> None:
    made: Any = _native.WsgiRequest
    with pytest.raises(TypeError):
        made()
    with pytest.raises(TypeError, match="not an acceptable base type"):
        type("Other", (made,), {})
    begin: Any = recorder(database="db").wsgi
    wrong: Any = (({}, print), ([], print, None), ({}, print, {}))
    for arguments in wrong:
        with pytest.raises(TypeError):
            begin(*arguments)


def test_a_request_of_wsgi_accepts_keyword_arguments(server: testing.Server) -> None:
    started: list[Any] = []

    def start(*arguments: Any, **named: Any) -> Any:
        started.append((arguments, named))
        return started.append

    begin: Any = recorder(database="db").wsgi
    request = begin(environ=web.environ(), start_response=start, routes=None)
    assert request("201 Created", []) is request
    assert request("202 Accepted", [], None) is request
    assert request(status="203 Other", headers=[]) is request
    assert started == [
        (("201 Created", []), {}),
        (("202 Accepted", [], None), {}),
        ((), {"status": "203 Other", "headers": []}),
    ]
    for arguments in ((), (1, 2)):
        with pytest.raises(TypeError, match="follow"):
            request.follow(*arguments)
    with pytest.raises(TypeError, match="close"):
        request.close(1)
    assert request.follow(body=iter([b"Hello"])) is request
    assert list(request) == [b"Hello"]
    request.close()
    request.close()
    assert list(request) == []
    (point,) = points(server)
    assert point.tags["status_code"] == "203"
    assert point.fields["content_length"] == 5


def test_an_exception_of_the_server_leaves_a_request_as_it_was(server: testing.Server) -> None:
    def start(status: str, headers: Any) -> Any:
        raise ValueError(status)

    begin: Any = recorder(database="db").wsgi
    request = begin(web.environ(), start, None)
    with pytest.raises(ValueError, match="201 Created"):
        request("201 Created", [])
    request.follow([])
    assert [point.tags["status_code"] for point in points(server)] == ["500"]


def test_requests_of_wsgi_release_what_they_use(server: testing.Server) -> None:
    class Body:
        def __iter__(self) -> Any:
            yield b"Hello"

        def close(self) -> None: ...

    class Start:
        def __call__(self, status: str, headers: Any) -> Any:
            return self

    start, body, address = Start(), Body(), "".join(["192.0.", "2.1"])
    kept = [start, body, address, Start, Body, _native.WsgiRequest, _native.Recorder]

    def application(environ: Any, start: Any) -> Any:
        start("200 OK", [])
        return body

    middleware = InfluxDBMiddleware(application, database="db")

    def requests(count: int) -> None:
        for _ in range(count):
            response: Any = middleware({**web.environ(), "REMOTE_ADDR": address}, start)
            assert list(response) == [b"Hello"]
            response.close()

    requests(10)
    before = [sys.getrefcount(each) for each in kept]
    requests(1_000)
    gc.collect()
    assert [sys.getrefcount(each) for each in kept] == before


@pytest.mark.parametrize("is_started", [True, False])
def test_a_request_of_wsgi_in_a_cycle_is_collected(
    server: testing.Server, is_started: bool
) -> None:
    def application(environ: Any, start: Any) -> Any:
        start("201 Created", [])
        yield b"Hello"

    response: Any = InfluxDBMiddleware(application, database="db")(web.environ(), lambda *_: None)
    if is_started:
        next(response)
    del response
    gc.collect()
    assert [point.tags["status_code"] for point in points(server)] == [
        "201" if is_started else "499"
    ]


def starts(environ: Any, start: Any) -> Any:
    """Return a request whose response has begun."""
    begin: Any = recorder(database="db").wsgi
    request = begin(environ, start, None)
    assert request("201 Created", []) is request
    return request


def test_the_collector_clears_a_request_of_wsgi(server: testing.Server) -> None:
    request = starts(web.environ(), lambda *_: None)
    # The collector can break this circle only at the request.
    request.follow(request.close)
    del request
    gc.collect()
    assert [point.tags["status_code"] for point in points(server)] == ["499"]


@pytest.mark.parametrize("place", ["environ", "write", "start", "file wrapper"])
def test_the_collector_sees_what_a_request_of_wsgi_refers_to(
    server: testing.Server, place: str
) -> None:
    held: Any = type("Held", (), {"__call__": lambda self, *_: self})()
    environ = web.environ()
    start: Any = held if place in ("start", "write") else lambda *_: None
    routes = None
    if place == "environ":
        routes = _native.FlaskRoutes(object(), print)
    elif place == "file wrapper":
        environ["wsgi.file_wrapper"] = held
    begin: Any = recorder(database="db").wsgi
    request = begin(environ, start, routes)
    if place == "write":
        request("201 Created", [])
    held.request = request
    del request, environ, held, start
    gc.collect()
    assert len(points(server)) == 1


class Reason(Exception):
    """What is raised on purpose. Tests count how many are left."""


def left() -> int:
    # By the type: an instance check asks lazy objects, of Django for example, what they are.
    return sum(issubclass(type(each), Reason | TypeError) for each in gc.get_objects())


def test_errors_of_requests_of_wsgi_are_released(server: testing.Server) -> None:
    class Unsized:
        def __len__(self) -> int:
            raise Reason

    def refuse(environ: Any) -> Any:
        raise Reason

    middleware = InfluxDBMiddleware(lambda *_: [Unsized(), 1], database="db", skip=refuse)
    before = left()
    for _ in range(100):
        middleware(web.environ(), print)
    assert left() <= before + 1


@pytest.mark.parametrize(
    "wrong",
    [{"client": None}, {"client": 7}, {"method": "\ud800"}, {"headers": [7, (b"a",)]}],
)
def test_errors_of_requests_of_asgi_are_released(server: testing.Server, wrong: Any) -> None:
    begin: Any = recorder(database="db").asgi
    routes = _native.RouteTable({id(server): ("/hello", None)})

    def request() -> None:
        scope = {**web.scope(), "route": server, **wrong}
        request = begin(asgi._Request, scope, None, lambda message: None)
        request.send_to_server({"type": "http.response.start", "status": "none"})
        request.send_to_server({"type": "http.response.body", "body": 7})
        assert request.end(scope, routes)

    request()
    before = left()
    for _ in range(100):
        request()
    assert left() <= before + 1


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="the limit for native code is another")
def test_requests_that_call_each_other_have_a_limit(server: testing.Server) -> None:
    begin: Any = recorder(database="db").wsgi
    request: Any = lambda *_: None  # noqa: E731
    for _ in range(sys.getrecursionlimit() + 100):
        request = begin(web.environ(), request, None)
    with pytest.raises(RecursionError):
        request("201 Created", [])


def test_immortal_objects_stay_so(server: testing.Server) -> None:
    before = sys.getrefcount(None)
    for _ in range(1_000):
        influxdb.record("db", "m", {"a": "b"}, {"c": True})
        starts(web.environ(), lambda *_: None).follow([])
    # A count that changes is that of the interpreter before 3.12.
    assert abs(sys.getrefcount(None) - before) < 100
