"""One request to an application of each framework, whose handler uses its measurement."""

import contextlib
import importlib.util
import logging
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import pytest
from tornado import web as tornado_web

import serving
import sprockets_influxdb as influxdb
import web

#: What a handler does with its measurement.
Use: TypeAlias = Callable[[influxdb.Measurement], object]
#: The middleware's options.
Options: TypeAlias = dict[str, Any]
#: Makes an application, sends it one request with a correlation id, and returns the status.
Request: TypeAlias = Callable[[Use, Options], int]

KEY = "sprockets_influxdb.measurement"
ID = "c0ffee"


def asgi(use: Use, options: Options) -> int:
    from sprockets_influxdb.asgi import InfluxDBMiddleware

    async def hello(scope: Any, receive: Any, send: Any) -> None:
        use(scope[KEY])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"Hello"})

    return _asgi(InfluxDBMiddleware(hello, **options))


def starlette(use: Use, options: Options) -> int:
    from starlette.applications import Starlette
    from starlette.middleware import Middleware
    from starlette.responses import PlainTextResponse
    from starlette.routing import Route

    from sprockets_influxdb.asgi import InfluxDBMiddleware

    async def hello(request: Any) -> PlainTextResponse:
        use(request.scope[KEY])
        return PlainTextResponse("Hello")

    middleware = [Middleware(InfluxDBMiddleware, **options)]
    return _asgi(Starlette(routes=[Route("/", hello)], middleware=middleware))


def fastapi(use: Use, options: Options) -> int:
    from fastapi import FastAPI, Request

    from sprockets_influxdb.asgi import InfluxDBMiddleware

    application = FastAPI()
    application.add_middleware(InfluxDBMiddleware, **options)

    def hello(request: Any) -> str:
        use(request.scope[KEY])
        return "Hello"

    hello.__annotations__["request"] = Request
    application.get("/")(hello)
    return _asgi(application)


def wsgi(use: Use, options: Options) -> int:
    from sprockets_influxdb.wsgi import InfluxDBMiddleware

    def hello(environ: Any, start_response: Any) -> list[bytes]:
        use(environ[KEY])
        start_response("200 OK", [])
        return [b"Hello"]

    return _wsgi(InfluxDBMiddleware(hello, **options))


def flask(use: Use, options: Options) -> int:
    import flask

    from sprockets_influxdb.flask import InfluxDB

    application = flask.Flask("tests")
    application.logger.setLevel(logging.CRITICAL + 1)
    InfluxDB(application, **options)

    @application.get("/")
    def hello() -> str:
        use(flask.g.influxdb)
        return "Hello"

    return _wsgi(application)


def django_wsgi(use: Use, options: Options) -> int:
    import web_django

    with _django(use, options):
        return _wsgi(web_django.wsgi())


def django_asgi(use: Use, options: Options) -> int:
    import web_django

    with _django(use, options):
        return _asgi(web_django.asgi())


def tornado(use: Use, options: Options) -> int:
    class Hello(influxdb.InfluxDBMixin, tornado_web.RequestHandler):
        correlation_id = ID

        def get(self) -> None:
            use(self.influxdb)
            self.write("Hello")

    names = {"database": influxdb.REQUEST_DATABASE, "client": "sprockets_influxdb.client"}
    settings = {names[name]: value for name, value in options.items() if name in names}
    return serving.request(tornado_web.Application([("/", Hello)], **settings)).code


_ALL: dict[Request, str] = {
    asgi: "asyncio",
    django_asgi: "django",
    django_wsgi: "django",
    fastapi: "fastapi",
    flask: "flask",
    starlette: "starlette",
    tornado: "tornado",
    wsgi: "wsgiref",
}

FRAMEWORKS = [
    pytest.param(
        request,
        id=request.__name__,
        marks=pytest.mark.skipif(importlib.util.find_spec(needs) is None, reason=f"no {needs}"),
    )
    for request, needs in _ALL.items()
]


@contextlib.contextmanager
def _django(use: Use, options: Options) -> Iterator[None]:
    from django.test import override_settings

    import web_django

    with pytest.MonkeyPatch.context() as patch, override_settings(INFLUXDB_REQUESTS=options):
        patch.setattr(web_django, "use", use)
        yield


def _asgi(application: Any) -> int:
    headers = [(b"correlation-id", ID.encode())]
    try:
        sent = web.asgi(application, {"type": "http.request"}, headers=headers)
    except (AttributeError, KeyError, ValueError):
        return 500
    status: int = sent[0]["status"]
    return status


def _wsgi(application: Any) -> int:
    statuses = []

    def observing(environ: Any, start_response: Any) -> Any:
        def start(status: str, *more: Any) -> Any:
            statuses.append(status)
            return start_response(status, *more)

        return application(environ, start)

    with contextlib.suppress(AttributeError, KeyError, ValueError):
        web.wsgi(observing, web.environ(HTTP_CORRELATION_ID=ID))
    return int(statuses[-1][:3]) if statuses else 500
