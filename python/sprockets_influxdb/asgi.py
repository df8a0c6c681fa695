"""One measurement for each request of an ASGI application, for example Starlette or FastAPI."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from sprockets_influxdb import _hooks
from sprockets_influxdb._native import AsgiRequest
from sprockets_influxdb._requests import RequestOptions, check_names, recorder
from sprockets_influxdb._routes import Routes
from sprockets_influxdb._warnings import warn

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["InfluxDBMiddleware"]

_Scope: TypeAlias = MutableMapping[str, Any]
_Message: TypeAlias = MutableMapping[str, Any]
_Receive: TypeAlias = Callable[[], Awaitable[_Message]]
_Send: TypeAlias = Callable[[_Message], Awaitable[None]]
_App: TypeAlias = Callable[[_Scope, _Receive, _Send], Awaitable[None]]

#: Codes of websockets that were closed normally: by intent, as the peer goes away, without a code.
_NORMAL_CLOSURE = (1000, 1001, 1005)


class InfluxDBMiddleware:
    """Records each request of an ASGI application, and each websocket::

        app = FastAPI()
        app.add_middleware(InfluxDBMiddleware, database="example")

    or around any application: ``app = InfluxDBMiddleware(app, database="example")``. The handler
    finds the measurement at ``scope["sprockets_influxdb.measurement"]``. The request is recorded
    when the application returns, also when it fails or is cancelled.

    What is further outside can still replace the response. Starlette calls a handler of
    ``Exception`` or 500 outside all middlewares that ``add_middleware()`` adds: the request is
    recorded with 500, whatever that handler sends. Wrap the application to record what it sends.

    A websocket that its client closed with 1000, 1001 or no code has no ``exception``.

    :param app: the application
    :param options: see :class:`~sprockets_influxdb._requests.RequestOptions`
    :raises TypeError: for an unknown option. Starlette makes its middlewares when the server
        starts. Then the start fails.
    """

    def __init__(self, app: _App, **options: "Unpack[RequestOptions]") -> None:
        try:
            check_names(options)
        except TypeError as error:
            if not _is_asyncio():
                raise
            # Starlette makes its middlewares when the server has started.
            app = _failing(str(error))
            options = _known(options)
        self.app = app
        self._routes = Routes(app)
        self._recorder = recorder(**options)

    async def __call__(self, scope: _Scope, receive: _Receive, send: _Send) -> None:
        kind = scope["type"]
        if kind != "http" and kind != "websocket":
            if kind == "lifespan" and self._recorder.is_recording:
                send = _flushing(send)
            return await self.app(scope, receive, send)
        request = self._recorder.asgi(_Request, scope, receive, send)
        if request is None:
            return await self.app(scope, receive, send)
        try:
            await self.app(scope, request.receive, request.send)
        except (Exception, KeyboardInterrupt, SystemExit) as error:
            if kind == "http" or not _is_normal_closure(error):
                request.fail(error)
            raise
        except BaseException:
            # Cancelled by asyncio or Trio, or the coroutine is closed.
            request.give_up()
            raise
        finally:
            if not request.end(scope, self._routes.plain):
                route = None
                try:
                    route = self._routes.of(scope)
                except Exception as error:
                    warn(error)
                request.end_with(route)


class _Request(AsgiRequest):
    """Passes the messages of a request on."""

    __slots__ = ()

    async def receive(self) -> _Message:
        message = await self.receive_from_server()
        self.received(message)
        return message

    async def send(self, message: _Message) -> None:
        try:
            return await self.send_to_server(message)
        except OSError:
            # The client is gone, which is no failure of the handler.
            self.refused(message)
            raise


def _known(options: RequestOptions) -> RequestOptions:
    names = RequestOptions.__annotations__
    known = {name: value for name, value in options.items() if name in names}
    return cast("RequestOptions", known)


def _failing(reason: str) -> _App:
    """Return an application that cannot start."""

    async def failing(scope: _Scope, receive: _Receive, send: _Send) -> None:
        if scope["type"] == "lifespan":
            # A server takes an exception for an application without a lifespan, and goes on.
            await receive()
            message = f"sprockets_influxdb.asgi.InfluxDBMiddleware: {reason}"
            await send({"type": "lifespan.startup.failed", "message": message})
        raise TypeError(reason)

    return failing


def _is_normal_closure(error: BaseException) -> bool:
    """Return whether an exception says that the client closed the websocket normally.

    Frameworks raise it in handlers that wait for the next message, most of which let it pass.
    """
    members = getattr(error, "exceptions", None)
    if isinstance(members, tuple) and members:
        return all(map(_is_normal_closure, members))
    return isinstance(error, Exception) and getattr(error, "code", None) in _NORMAL_CLOSURE


def _flushing(send: _Send) -> _Send:
    """Flush before the server learns that the application has shut down."""

    async def flushing(message: _Message) -> None:
        if message["type"] in ("lifespan.shutdown.complete", "lifespan.shutdown.failed"):
            try:
                # In another event loop than asyncio's, the end of the process flushes.
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
