"""One measurement for each request of a WSGI application."""

import os
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, TypeAlias

from sprockets_influxdb._native import RequestGuard
from sprockets_influxdb._requests import Requests

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
        self._requests = Requests(**options)

    def __call__(self, environ: _Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        request = self._requests.wsgi(environ, environ)
        if request is None:
            return self.app(environ, start_response)
        return self._record(request, environ, start_response)

    def _record(
        self, request: RequestGuard, environ: _Environ, start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        def start(
            status: str, headers: list[tuple[str, str]], *more: Any, **named: Any
        ) -> Callable[[bytes], Any]:
            write = start_response(status, headers, *more, **named)
            request.respond(status)

            def counting(data: bytes) -> Any:
                written = write(data)
                request.sent(data)
                return written

            return counting

        try:
            body = self.app(environ, start)
        except BaseException as error:
            request.fail(error)
            request.end()
            raise
        wrapper = environ.get("wsgi.file_wrapper")
        if isinstance(wrapper, type) and isinstance(body, wrapper):
            return _watched_file(request, body)
        if isinstance(body, list | tuple) and not hasattr(body, "close"):
            # The server writes the list at once, and does not report its end.
            for data in body:
                request.sent(data)
            request.complete()
            request.end()
            return body
        return _SizedBody(request, body) if hasattr(body, "__len__") else _Body(request, body)


class _Body:
    """Counts the body of a response. The server closes it at the end, or if the client is gone."""

    def __init__(self, request: RequestGuard, body: Any) -> None:
        self._request = request
        self._body = body
        self._chunks: Iterator[bytes] | None = None
        self._is_complete = False

    def __iter__(self) -> "_Body":
        return self

    def __next__(self) -> bytes:
        try:
            if self._chunks is None:
                self._chunks = iter(self._body)
            data = next(self._chunks)
        except StopIteration:
            self._is_complete = True
            self._request.complete()
            raise
        except BaseException as error:
            self._request.fail(error)
            raise
        self._request.sent(data)
        return data

    def close(self) -> None:
        if not self._is_complete:
            self._request.give_up()
        try:
            close = getattr(self._body, "close", None)
            if close is not None:
                close()
        except BaseException as error:
            self._request.fail(error)
            raise
        finally:
            self._request.end()


class _SizedBody(_Body):
    """A body with a length: servers derive Content-Length from ``len(body)``."""

    def __len__(self) -> int:
        return len(self._body)


def _watched_file(request: RequestGuard, body: Any) -> Iterable[bytes]:
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
