"""Starlette and FastAPI: the whole template of the route that a request took, and its handler."""

import contextlib
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

import web
from serving import Recording
from sprockets_influxdb.asgi import InfluxDBMiddleware

pytest.importorskip("fastapi")

from fastapi import APIRouter, FastAPI
from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.routing import Host, Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.websockets import WebSocketDisconnect


async def hello(request: Any) -> PlainTextResponse:
    return PlainTextResponse("Hello")


async def socket(websocket: Any) -> None:
    await websocket.accept()
    await websocket.close()


class Page(HTTPEndpoint):
    async def get(self, request: Any) -> PlainTextResponse:
        return PlainTextResponse("Hello")


def starlette(tmp_path: Any) -> Any:
    (tmp_path / "a.txt").write_text("a")
    inner = Starlette(routes=[Route("/deep/{item}", hello), Route("/", Page)])
    application = Starlette(
        routes=[
            Route("/users/{user:int}", hello),
            WebSocketRoute("/socket/{room}", socket),
            Mount(
                "/{tenant}/api", routes=[Route("/files/{path:path}", hello), Mount("/inner", inner)]
            ),
            Mount("/static", StaticFiles(directory=tmp_path)),
            Host("api.example", inner),
        ]
    )
    application.add_middleware(InfluxDBMiddleware, database="db")
    return application


def fastapi(_tmp_path: Any) -> Any:
    inner, outer, sub = APIRouter(prefix="/items"), APIRouter(prefix="/outer"), FastAPI()

    @inner.get("/{item}")
    def item(item: int) -> int:
        return item

    @outer.websocket("/socket/{room}")
    async def room(websocket: Any) -> None: ...

    room.__annotations__.clear()
    outer.include_router(inner)
    application = FastAPI()
    # The same handler, by three routes.
    application.include_router(outer, prefix="/v1")
    application.include_router(outer, prefix="/v2")
    sub.include_router(inner)
    application.mount("/sub/{tenant}", sub)
    application.add_middleware(InfluxDBMiddleware, database="db")
    return application


@pytest.mark.parametrize(
    ("make", "path", "method", "endpoint", "handler", "status_code"),
    [
        (starlette, "/users/7", "GET", "/users/{user:int}", "hello", 200),
        (starlette, "/users/7", "HEAD", "/users/{user:int}", "hello", 200),
        (starlette, "/users/7", "DELETE", "/users/{user:int}", "hello", 405),
        (starlette, "/users/x", "GET", "(unmatched)", None, 404),
        (
            starlette,
            "/acme/api/files/a/b/c",
            "GET",
            "/{tenant}/api/files/{path:path}",
            "hello",
            200,
        ),
        (
            starlette,
            "/acme/api/inner/deep/7",
            "GET",
            "/{tenant}/api/inner/deep/{item}",
            "hello",
            200,
        ),
        (starlette, "/acme/api/inner/", "GET", "/{tenant}/api/inner/", "Page", 200),
        (starlette, "/acme/api/inner/none", "GET", "(unmatched)", None, 404),
        (starlette, "/acme/api/none", "GET", "(unmatched)", None, 404),
        (starlette, "/users/7/", "GET", "(unmatched)", None, 307),
        (starlette, "/static/a.txt", "GET", "/static", "StaticFiles", 200),
        (starlette, "/static/b.txt", "GET", "/static", "StaticFiles", 404),
        (
            fastapi,
            "/v1/outer/items/7",
            "GET",
            "/v1/outer/items/{item}",
            "fastapi.<locals>.item",
            200,
        ),
        (
            fastapi,
            "/v2/outer/items/7",
            "GET",
            "/v2/outer/items/{item}",
            "fastapi.<locals>.item",
            200,
        ),
        (
            fastapi,
            "/v2/outer/items/x",
            "GET",
            "/v2/outer/items/{item}",
            "fastapi.<locals>.item",
            422,
        ),
        (
            fastapi,
            "/v2/outer/items/7",
            "POST",
            "/v2/outer/items/{item}",
            "fastapi.<locals>.item",
            405,
        ),
        (
            fastapi,
            "/sub/acme/items/7",
            "GET",
            "/sub/{tenant}/items/{item}",
            "fastapi.<locals>.item",
            200,
        ),
        (fastapi, "/sub/acme/none", "GET", "(unmatched)", None, 404),
        (fastapi, "/none", "GET", "(unmatched)", None, 404),
    ],
)
def test_the_endpoint_is_the_full_template(
    recording: Recording,
    tmp_path: Any,
    make: Callable[[Any], Any],
    path: str,
    method: str,
    endpoint: str,
    handler: str | None,
    status_code: int,
) -> None:
    web.asgi(make(tmp_path), path=path, method=method)
    tags = recording.point().tags
    name = tags.get("handler")
    assert (tags["endpoint"], tags["status_code"]) == (endpoint, str(status_code))
    assert name == handler or str(name).endswith(f".{handler}")


def test_a_websocket_has_an_endpoint(recording: Recording, tmp_path: Any) -> None:
    web.asgi(starlette(tmp_path), {"type": "websocket.connect"}, type="websocket", path="/socket/7")
    tags = recording.point().tags
    assert (tags["endpoint"], tags["status_code"]) == ("/socket/{room}", "101")


def test_a_websocket_without_a_route_is_unmatched(recording: Recording, tmp_path: Any) -> None:
    web.asgi(starlette(tmp_path), {"type": "websocket.connect"}, type="websocket", path="/none/7")
    tags = recording.point().tags
    assert (tags["endpoint"], tags["status_code"]) == ("(unmatched)", "403")


def test_a_host_route_is_no_part_of_the_template(recording: Recording, tmp_path: Any) -> None:
    web.asgi(starlette(tmp_path), path="/deep/7", headers=[(b"host", b"api.example")])
    assert recording.point().tags["endpoint"] == "/deep/{item}"


def test_a_root_path_is_no_part_of_the_template(recording: Recording, tmp_path: Any) -> None:
    web.asgi(fastapi(tmp_path), path="/proxy/v2/outer/items/7", root_path="/proxy")
    assert recording.point().tags["endpoint"] == "/v2/outer/items/{item}"


class Copying:
    """A middleware that passes a copy of the scope."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app(dict(scope), receive, send)


class TestCopiedScope:
    @pytest.mark.parametrize(
        ("make", "path", "method", "endpoint", "status_code"),
        [
            (starlette, "/users/7", "GET", "/users/{user:int}", 200),
            (starlette, "/users/7", "DELETE", "/users/{user:int}", 405),
            (starlette, "/users/x", "GET", "(unmatched)", 404),
            (starlette, "/acme/api/inner/deep/7", "GET", "/{tenant}/api/inner/deep/{item}", 200),
            (starlette, "/static/a.txt", "GET", "/static", 200),
            (starlette, "/socket/7", "GET", "(unmatched)", 404),
            (fastapi, "/v2/outer/items/7", "GET", "/v2/outer/items/{item}", 200),
            (fastapi, "/v2/outer/items/7", "POST", "/v2/outer/items/{item}", 405),
            (fastapi, "/sub/acme/items/7", "GET", "/sub/{tenant}/items/{item}", 200),
            (fastapi, "/none", "GET", "(unmatched)", 404),
        ],
    )
    @pytest.mark.parametrize("place", ["inside", "outside"])
    def test_the_endpoint_is_found(
        self,
        recording: Recording,
        tmp_path: Any,
        make: Callable[[Any], Any],
        path: str,
        method: str,
        endpoint: str,
        status_code: int,
        place: str,
    ) -> None:
        application = make(tmp_path)
        if place == "inside":
            # The first one is the innermost.
            application.user_middleware.append(Middleware(Copying))
        else:
            application.user_middleware.clear()
            application = InfluxDBMiddleware(Copying(application), database="db")
        web.asgi(application, path=path, method=method)
        tags = recording.point().tags
        assert (tags["endpoint"], tags["status_code"]) == (endpoint, str(status_code))

    def test_the_handler_is_the_one_of_the_method(self, recording: Recording) -> None:
        async def change(request: Any) -> PlainTextResponse:
            return PlainTextResponse("Hello")

        routes = [Route("/users", hello), Route("/users", change, methods=["PUT"])]
        application = InfluxDBMiddleware(Copying(Starlette(routes=routes)), database="db")
        web.asgi(application, path="/users", method="PUT")
        assert str(recording.point().tags["handler"]).endswith(".change")

    def test_a_websocket_has_an_endpoint(self, recording: Recording, tmp_path: Any) -> None:
        application = starlette(tmp_path)
        application.user_middleware.append(Middleware(Copying))
        message = {"type": "websocket.connect"}
        web.asgi(application, message, type="websocket", path="/socket/7")
        assert recording.point().tags["endpoint"] == "/socket/{room}"

    def test_the_handler_has_the_measurement(self, recording: Recording) -> None:
        async def own(request: Any) -> PlainTextResponse:
            request.scope["sprockets_influxdb.measurement"].set_field("rows", 3)
            return PlainTextResponse("Hello")

        application = Copying(Starlette(routes=[Route("/", own)]))
        web.asgi(InfluxDBMiddleware(application, database="db"))
        assert recording.point().fields["rows"] == 3

    def test_an_application_without_routes_is_unmatched(self, recording: Recording) -> None:
        async def plain(scope: Any, receive: Any, send: Any) -> None:
            await PlainTextResponse("Hello")(scope, receive, send)

        web.asgi(InfluxDBMiddleware(Copying(plain), database="db"))
        assert recording.point().tags["endpoint"] == "(unmatched)"


@pytest.mark.parametrize(("is_outside", "status_code"), [(True, 503), (False, 500)])
def test_a_handler_of_all_exceptions_is_seen_from_outside_only(
    recording: Recording, is_outside: bool, status_code: int
) -> None:
    """Starlette calls it outside all middlewares that ``add_middleware()`` adds."""

    async def failing(request: Any) -> PlainTextResponse:
        raise ValueError("no such row")

    async def later(request: Any, error: Exception) -> PlainTextResponse:
        return PlainTextResponse("later", 503)

    application: Any = Starlette(
        routes=[Route("/", failing)], exception_handlers={Exception: later}
    )
    if is_outside:
        application = InfluxDBMiddleware(application, database="db")
    else:
        application.add_middleware(InfluxDBMiddleware, database="db")
    sent = web.asgi(_swallowing(application))
    point = recording.point()
    assert sent[0]["status"] == 503
    assert point.tags["status_code"] == str(status_code)
    assert point.fields["exception"] == "ValueError: no such row"


def test_a_handler_of_one_exception_decides_the_status(recording: Recording) -> None:
    async def failing(request: Any) -> PlainTextResponse:
        raise ValueError("no such row")

    async def later(request: Any, error: Exception) -> PlainTextResponse:
        return PlainTextResponse("later", 503)

    routes, handlers = [Route("/", failing)], {ValueError: later}
    application = Starlette(routes=routes, exception_handlers=handlers)
    application.add_middleware(InfluxDBMiddleware, database="db")
    web.asgi(application)
    assert recording.point().tags["status_code"] == "503"


def _swallowing(application: Any) -> Any:
    async def swallowing(scope: Any, receive: Any, send: Any) -> None:
        with contextlib.suppress(ValueError):
            await application(scope, receive, send)

    return swallowing


@pytest.mark.parametrize("code", [1000, 1001, 1005, 1006, 1011])
def test_a_websocket_that_closed_normally_has_no_exception(recording: Recording, code: int) -> None:
    async def listening(websocket: Any) -> None:
        await websocket.accept()
        while True:
            await websocket.receive_text()

    application = Starlette(routes=[WebSocketRoute("/", listening)])
    application.add_middleware(InfluxDBMiddleware, database="db")
    messages: list[Any] = [
        {"type": "websocket.connect"},
        {"type": "websocket.disconnect", "code": code},
    ]
    web.asgi(application, *messages, type="websocket", raises=WebSocketDisconnect)
    point = recording.point()
    assert point.tags["status_code"] == "101"
    assert ("exception" in point.fields) == (code in (1006, 1011))


@pytest.mark.parametrize("error", [ValueError("no such row"), OSError(1000)])
def test_an_error_after_a_websocket_closed_is_recorded(
    recording: Recording, error: Exception
) -> None:
    async def failing(websocket: Any) -> None:
        await websocket.accept()
        with pytest.raises(WebSocketDisconnect):
            await websocket.receive_text()
        raise error

    application = Starlette(routes=[WebSocketRoute("/", failing)])
    application.add_middleware(InfluxDBMiddleware, database="db")
    messages: list[Any] = [
        {"type": "websocket.connect"},
        {"type": "websocket.disconnect", "code": 1000},
    ]
    web.asgi(application, *messages, type="websocket", raises=type(error))
    assert str(recording.point().fields["exception"]).startswith(type(error).__name__)


def test_a_misspelt_option_fails_the_start_of_the_server(
    python: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    """Starlette makes its middlewares when the server has started."""
    pytest.importorskip("uvicorn")
    done = python(
        """
        import uvicorn
        from fastapi import FastAPI
        from sprockets_influxdb.asgi import InfluxDBMiddleware

        application = FastAPI()
        application.add_middleware(InfluxDBMiddleware, databse="db")
        uvicorn.run(application, port=0)
        """,
        check=False,
    )
    assert done.returncode != 0
    assert "there is no option 'databse': did you mean 'database'?" in done.stderr
    assert "Application startup failed" in done.stderr


def test_a_misspelt_option_fails_each_request_without_a_lifespan(recording: Recording) -> None:
    options: Any = {"databse": "db"}
    application = Starlette(routes=[Route("/", hello)])
    application.add_middleware(InfluxDBMiddleware, **options)
    web.asgi(application, raises=TypeError)


def test_routes_can_be_added_later(recording: Recording, tmp_path: Any) -> None:
    application = starlette(tmp_path)
    web.asgi(application, path="/users/7")
    application.router.routes.append(Route("/late", hello))
    web.asgi(application, path="/late")
    assert [point.tags["endpoint"] for point in recording.points()] == [
        "/users/{user:int}",
        "/late",
    ]


def test_modules_import_only_their_own_framework(python: Callable[..., Any]) -> None:
    python(
        """
        import sys
        import sprockets_influxdb.asgi, sprockets_influxdb.wsgi
        assert not {"django", "fastapi", "flask", "starlette", "tornado"} & set(sys.modules)
        """
    )
