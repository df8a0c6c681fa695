"""One measurement for each request of a WSGI application."""

import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeAlias

from sprockets_influxdb._native import Request
from sprockets_influxdb._requests import Names, Requests

__all__ = ["InfluxDBMiddleware"]

_Environ: TypeAlias = dict[str, Any]
_App: TypeAlias = Callable[..., Iterable[bytes]]


class InfluxDBMiddleware:
    """Records each request of a WSGI application::

        application = InfluxDBMiddleware(application, database="example")

    The handler finds the measurement at ``environ["sprockets_influxdb.measurement"]``, for tags, fields and timings of
    its own, which win. WSGI knows no routes: ``endpoint`` is ``(unmatched)`` unless the handler sets it; for Flask see
    :class:`sprockets_influxdb.flask.InfluxDB`, for Django :class:`sprockets_influxdb.django.InfluxDBMiddleware`. A
    request is recorded when the server closes the response.

    :param app: the application
    :param database: the database (bucket) of the measurements
    :param measurement: their name
    :param names: ``"sprockets"``, or ``"opentelemetry"`` for the names of its conventions for HTTP servers
    :param leave_out: names of tags and fields that are not wanted
    :param skip: called with a request's environment; requests for which it returns true are not recorded
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
        skip: Callable[[_Environ], bool] | None = None,
        correlation_id_header: str = "correlation-id",
        remote_ip_header: str | None = None,
    ) -> None:
        self.app = app
        self._requests: Requests[_Environ] = Requests(
            database=database,
            measurement=measurement,
            names=names,
            leave_out=leave_out,
            skip=skip,
            correlation_id_header=correlation_id_header,
            remote_ip_header=remote_ip_header,
        )

    def __call__(self, environ: _Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        request = self._requests.wsgi(environ, environ)
        if request is None:
            return self.app(environ, start_response)
        return self._record(request, environ, start_response)

    def _record(self, request: Request, environ: _Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        def start(status: str, headers: list[tuple[str, str]], *more: Any, **named: Any) -> Callable[[bytes], Any]:
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
            # There is nothing between this and the server's writing it, nor does the server tell of its end.
            for data in body:
                request.sent(data)
            request.complete()
            request.end()
            return body
        return _SizedBody(request, body) if hasattr(body, "__len__") else _Body(request, body)


class _Body:
    """A response's body on its way to the server, which closes it when it is done, or when its client is gone."""

    def __init__(self, request: Request, body: Any) -> None:
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
    """Of one that has a length servers take what they need to say of the response's."""

    def __len__(self) -> int:
        return len(self._body)


def _watched_file(request: Request, body: Any) -> Iterable[bytes]:
    """A file that the server sends by a way of its own: it stays what the server knows it by, and is recorded when the
    server closes it. How much was sent is told by where the file is then.
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
        # The server's own type: it tells nobody of its end.
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
    # A server that has the system send the file may leave it where it was.
    return max(_position(file) - start, 0) or _left(file, start)


def _left(file: Any, start: int) -> int:
    try:
        return max(os.fstat(file.fileno()).st_size - start, 0)
    except Exception:
        return 0
