"""A status page of a client: its counters, rates, last error, spool and settings, refreshed live.

Nothing is served unless you mount it::

    app.mount("/internal/influxdb", StatusPage())                                # FastAPI
    web.Application([(r"/internal/influxdb", StatusPage().tornado)])             # Tornado
    DispatcherMiddleware(app.wsgi_app, {"/internal/influxdb": StatusPage().wsgi})  # Flask

With ``?format=json`` it is a JSON object. Secrets are masked. Do not expose it to the public: it
shows settings, and what servers say about rejected lines.
"""

import asyncio
import functools
import importlib
import json
import os
import socket
import time
import urllib.parse
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any, NamedTuple, TypeAlias

from sprockets_influxdb import _client, _native
from sprockets_influxdb._clients import Client

__all__ = ["Response", "StatusPage"]

_Scope: TypeAlias = MutableMapping[str, Any]
_Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
_Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class Response(NamedTuple):
    """A response, for frameworks that :class:`StatusPage` has no method for."""

    #: For example 200.
    status: int
    #: Names and values.
    headers: list[tuple[str, str]]
    body: bytes


class StatusPage:
    """The status page of a client. An instance is an ASGI application. See also :meth:`wsgi` and
    :attr:`tornado`.

    A process shows its own client only. A server with several processes answers with any of them,
    and the page offers a choice of those that it has seen.

    A middleware of this package does not record the page's requests.

    :param client: the client. Default: the installed one, whichever that is when a request comes
    """

    def __init__(self, client: Client | None = None) -> None:
        self._client = client
        self._policy = _native.status_policy()

    def snapshot(self) -> dict[str, Any]:
        """Return what the page shows, for JSON.

        :returns: ``stats`` as of :func:`sprockets_influxdb.stats`; ``settings`` as of
            :func:`sprockets_influxdb.settings`, or ``None`` before there is a client; ``spool``,
            a summary of its directory, or ``None`` without one; ``version``, ``process``,
            ``hostname`` and ``time`` (seconds since the epoch)
        """
        client = _client.installed() if self._client is None else self._client
        settings = None if client is None else client.settings()
        return {
            "version": _native.VERSION,
            "process": os.getpid(),
            "hostname": socket.gethostname(),
            "time": time.time(),
            "stats": _native.stats() if client is None else client.stats(),
            "settings": settings,
            "spool": _spool(settings),
        }

    def respond(self, method: str = "GET", query: str = "", accept: str = "") -> Response:
        """Return the response to a request. Reads the directory of the spool.

        :param method: other methods than ``GET`` and ``HEAD`` are a 405
        :param query: the query of the URL. ``format=json`` asks for JSON, ``format=html`` for HTML
        :param accept: the header ``Accept``, which counts if the query names no format
        """
        if method not in ("GET", "HEAD"):
            return _response(405, "text/plain", b"Only GET and HEAD.", ("Allow", "GET, HEAD"))
        if _wants_json(query, accept):
            body = json.dumps(self.snapshot()).encode()
            response = _response(200, "application/json", body)
        else:
            policy = ("Content-Security-Policy", self._policy)
            page = _native.STATUS_PAGE.encode()
            response = _response(200, "text/html; charset=utf-8", page, policy)
        return response._replace(body=b"") if method == "HEAD" else response

    async def __call__(self, scope: _Scope, receive: _Receive, send: _Send) -> None:
        """Respond to a request of ASGI."""
        if scope["type"] == "lifespan":
            return await _lifespan(receive, send)
        _discard(scope)
        if scope["type"] != "http":
            return await send({"type": "websocket.close"})
        headers = scope["headers"]
        accept = b",".join(value for name, value in headers if name.lower() == b"accept")
        query = scope.get("query_string", b"").decode("latin-1")
        respond = functools.partial(self.respond, scope["method"], query, accept.decode("latin-1"))
        response = await _in_a_thread(respond)
        head = [(name.lower().encode(), value.encode()) for name, value in response.headers]
        await send({"type": "http.response.start", "status": response.status, "headers": head})
        await send({"type": "http.response.body", "body": response.body})

    def wsgi(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Respond to a request of WSGI."""
        _discard(environ)
        response = self.respond(
            environ["REQUEST_METHOD"],
            environ.get("QUERY_STRING", ""),
            environ.get("HTTP_ACCEPT", ""),
        )
        reason = "OK" if response.status == 200 else "Method Not Allowed"
        start_response(f"{response.status} {reason}", response.headers)
        return [response.body]

    @functools.cached_property
    def tornado(self) -> type:
        """A handler class for Tornado."""
        web: Any = importlib.import_module("tornado.web")
        page = self

        async def respond(handler: Any) -> None:
            request = handler.request
            accept = request.headers.get("Accept", "")
            answer = functools.partial(page.respond, request.method, request.query, accept)
            response = await _in_a_thread(answer)
            handler.set_status(response.status)
            for name, value in response.headers:
                handler.set_header(name, value)
            handler.finish(response.body)

        methods = {method.lower(): respond for method in web.RequestHandler.SUPPORTED_METHODS}
        handler: type = type("StatusHandler", (web.RequestHandler,), methods)
        return handler


def _discard(place: MutableMapping[str, Any]) -> None:
    """Keep the middleware from recording the request: the page asks every two seconds."""
    measurement = place.get(_native.MEASUREMENT)
    if isinstance(measurement, _native.Measurement):
        measurement.discard()


def _wants_json(query: str, accept: str) -> bool:
    formats = urllib.parse.parse_qs(query).get("format")
    if formats:
        return formats[-1] == "json"
    return "application/json" in accept and "text/html" not in accept


def _response(status: int, kind: str, body: bytes, *more: tuple[str, str]) -> Response:
    headers = [
        ("Content-Type", kind),
        ("Content-Length", str(len(body))),
        ("Cache-Control", "no-store"),
        ("X-Content-Type-Options", "nosniff"),
        *more,
    ]
    return Response(status, headers, body)


def _spool(settings: dict[str, Any] | None) -> dict[str, Any] | None:
    directory = settings and settings["spool"]
    if not directory:
        return None
    summary: dict[str, Any] = json.loads(_native.summarize_spool(directory))
    return summary


async def _in_a_thread(respond: Callable[[], Response]) -> Response:
    """Keep the event loop from waiting for the disk of the spool."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        # Another event loop, such as Trio's.
        return respond()
    return await asyncio.to_thread(respond)


async def _lifespan(receive: _Receive, send: _Send) -> None:
    while True:
        kind = (await receive())["type"]
        await send({"type": f"{kind}.complete"})
        if kind == "lifespan.shutdown":
            return
