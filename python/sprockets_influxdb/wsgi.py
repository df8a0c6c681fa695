"""One measurement for each request of a WSGI application."""

import os
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeAlias

from sprockets_influxdb._native import FlaskRoutes, WsgiRequest
from sprockets_influxdb._requests import recorder

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from sprockets_influxdb._requests import RequestOptions

__all__ = ["InfluxDBMiddleware"]

_Environ: TypeAlias = dict[str, Any]
_App: TypeAlias = Callable[..., Iterable[bytes]]


class InfluxDBMiddleware:
    """Records each request of a WSGI application::

        application = InfluxDBMiddleware(application, database="example")

    The handler finds the measurement at ``environ["sprockets_influxdb.measurement"]``. The request
    is recorded when the server closes the response. A middleware further outside can still replace
    the response: make this one the outermost.

    WSGI has no routes: ``endpoint`` is ``(unmatched)`` unless the handler sets it. For Flask use
    :class:`sprockets_influxdb.flask.InfluxDB`, for Django
    :class:`sprockets_influxdb.django.InfluxDBMiddleware`.

    :param app: the application
    :param options: see :class:`~sprockets_influxdb._requests.RequestOptions`
    :raises TypeError: for an unknown option
    """

    def __init__(self, app: _App, **options: "Unpack[RequestOptions]") -> None:
        self.app = app
        self._recorder = recorder(**options)

    def __call__(self, environ: _Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        request = self._recorder.wsgi(environ, start_response, self._routes)
        if request is None:
            return self.app(environ, start_response)
        try:
            body = self.app(environ, request)
        except BaseException as error:
            request.fail(error)
            request.end()
            raise
        followed = request.follow(body)
        return _watched_file(request, body) if followed is None else followed

    #: Those of the application, if it is one of Flask.
    _routes: FlaskRoutes | None = None


def _watched_file(request: WsgiRequest, body: Any) -> Iterable[bytes]:
    """Record the request when the server closes the file.

    The server may send the file without reading it here, so it must get the same object. The file's
    position at the end says how much was sent.
    """
    file = getattr(body, "filelike", None) or getattr(body, "file", None)
    start = _position(file)
    close = getattr(body, "close", None)

    def closing() -> None:
        request.sent_length(_sent(file, start))
        request.complete()
        try:
            if close is not None:
                close()
        finally:
            request.end()

    try:
        body.close = closing
    except (AttributeError, TypeError):
        # The server's own type does not report its end.
        request.sent_length(_left(file, start))
        request.complete()
        request.end()
    return body  # type: ignore[no-any-return]


def _position(file: Any) -> int:
    try:
        return int(file.tell())
    except Exception:
        return 0


def _sent(file: Any, start: int) -> int:
    # A server that uses sendfile() may not move the position.
    return max(_position(file) - start, 0) or _left(file, start)


def _left(file: Any, start: int) -> int:
    try:
        return max(os.fstat(file.fileno()).st_size - start, 0)
    except Exception:
        return 0
