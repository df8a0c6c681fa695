"""Starlette and FastAPI: the whole template of the route that a request took, and its handler."""

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
from starlette.responses import PlainTextResponse
from starlette.routing import Host, Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles


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
