"""One measurement for each request of an ASGI application, as of Starlette and FastAPI."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any, TypeAlias

from sprockets_influxdb import _hooks
from sprockets_influxdb._requests import Names, Requests, warn
from sprockets_influxdb._routes import Routes

__all__ = ["InfluxDBMiddleware"]

_Scope: TypeAlias = MutableMapping[str, Any]
_Message: TypeAlias = MutableMapping[str, Any]
_Receive: TypeAlias = Callable[[], Awaitable[_Message]]
_Send: TypeAlias = Callable[[_Message], Awaitable[None]]
_App: TypeAlias = Callable[[_Scope, _Receive, _Send], Awaitable[None]]

_clock = time.perf_counter


class InfluxDBMiddleware:
    """Records each request of an ASGI application, and each websocket::

        app = FastAPI()
        app.add_middleware(InfluxDBMiddleware, database="example")

    or around any application: ``app = InfluxDBMiddleware(app, database="example")``. The handler finds the measurement
    at ``scope["sprockets_influxdb.measurement"]``, for tags, fields and timings of its own, which win. It is recorded
    when the application is done with the request, whatever became of it.

    :param app: the application
    :param database: the database (bucket) of the measurements
    :param measurement: their name
    :param names: ``"sprockets"``, or ``"opentelemetry"`` for the names of its conventions for HTTP servers
    :param leave_out: names of tags and fields that are not wanted
    :param skip: called with a request's scope; requests for which it returns true are not recorded
    :param correlation_id_header: the header that has the request's correlation id
    :param remote_ip_header: the header that has the client's address, as a proxy in front writes it

    Nothing here breaks a request: what cannot be used is one warning in the log, and nothing is recorded.
    """

    def __init__(
        self,
        app: _App,
        *,
        database: str | None = None,
        measurement: str = "request",
        names: Names = "sprockets",
        leave_out: Iterable[str] = (),
        skip: Callable[[_Scope], bool] | None = None,
        correlation_id_header: str = "correlation-id",
        remote_ip_header: str | None = None,
    ) -> None:
        self.app = app
        self._routes = Routes()
        self._requests: Requests[_Scope] = Requests(
            database=database,
            measurement=measurement,
            names=names,
            leave_out=leave_out,
            skip=skip,
            correlation_id_header=correlation_id_header,
            remote_ip_header=remote_ip_header,
        )

    async def __call__(self, scope: _Scope, receive: _Receive, send: _Send) -> None:
        kind = scope["type"]
        if kind != "http" and kind != "websocket":
            if kind == "lifespan" and self._requests.is_recording:
                send = _flushing(send)
            return await self.app(scope, receive, send)
        request = self._requests.asgi(scope)
        if request is None:
            return await self.app(scope, receive, send)
        # Of most responses these are all there is to know. They are kept here, as the interpreter's code is in the
        # processor's caches, and the native module's is not.
        started, status, began, ended, length, is_gone = _clock(), None, 0.0, None, 0, False

        async def received() -> _Message:
            nonlocal is_gone
            message = await receive()
            request.received(message)
            is_gone = is_gone or (status is None and message["type"] == "http.disconnect")
            return message

        async def sent(message: _Message) -> None:
            nonlocal status, began, ended, length
            sending = message["type"]
            if is_gone:
                pass
            elif sending == "http.response.body":
                length += len(message.get("body", b""))
                if not message.get("more_body"):
                    ended = _clock() - started
            elif sending == "http.response.start":
                status, began = message["status"], _clock() - started
            else:
                request.sends(message)
            try:
                await send(message)
            except OSError:
                if sending == "http.response.start":
                    status = None
                elif sending == "http.response.body":
                    length -= len(message.get("body", b""))
                request.refused(message)
                raise

        try:
            await self.app(scope, received, sent)
        except (Exception, KeyboardInterrupt, SystemExit) as error:
            request.fail(error)
            raise
        except BaseException:
            # Cancelled: asyncio's, Trio's, or that of a coroutine that is closed.
            request.give_up()
            raise
        finally:
            route = None
            try:
                route = self._routes.plain.get(id(scope.get("route"))) or self._routes.of(scope)
            except Exception as error:
                warn(error)
            request.end_with(status, began, ended, length, route)


def _flushing(send: _Send) -> _Send:
    """Delivers what is buffered before the server is told that the application is down."""

    async def flushing(message: _Message) -> None:
        if message["type"] in ("lifespan.shutdown.complete", "lifespan.shutdown.failed"):
            try:
                # In another loop than asyncio's, the end of the process delivers.
                if _is_asyncio():
                    await _hooks.flush_at_stop()
            except Exception as error:
                warn(error)
        await send(message)

    return flushing


def _is_asyncio() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
