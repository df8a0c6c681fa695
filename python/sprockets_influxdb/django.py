"""One measurement for each request of a Django project, under WSGI and ASGI. Only this module needs
Django.
"""

import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django import conf
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import got_request_exception

from sprockets_influxdb._native import MEASUREMENT, RequestGuard, measurement_in
from sprockets_influxdb._requests import handler_name, recorder
from sprockets_influxdb._warnings import warn

__all__ = ["InfluxDBMiddleware"]

#: The attribute of a Django request that has the recorded request.
_REQUEST = "_influxdb_request"


class InfluxDBMiddleware:
    """Records each request of a Django project. List it first: a middleware before it can still
    replace the response::

        MIDDLEWARE = ["sprockets_influxdb.django.InfluxDBMiddleware", ...]
        INFLUXDB_REQUESTS = {"database": "example"}

    The options in ``INFLUXDB_REQUESTS`` are :class:`~sprockets_influxdb._requests.RequestOptions`.

    Views find the measurement at ``request.influxdb``. ``endpoint`` is the route with a leading
    slash, for example ``/users/<int:user>/``, and ``handler`` is the view. The request is recorded
    when Django closes the response: after the last byte, or when the client is gone.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[Any], Any]) -> None:
        options = getattr(conf.settings, "INFLUXDB_REQUESTS", {})
        try:
            self._recorder = recorder("INFLUXDB_REQUESTS", **options)
        except TypeError as error:
            reason = error if isinstance(options, dict) else f"{options!r} is no dict of options"
            raise ImproperlyConfigured(f"INFLUXDB_REQUESTS: {reason}") from None
        self._get_response = get_response
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)
        got_request_exception.connect(_failed, dispatch_uid="sprockets_influxdb")

    def __call__(self, request: Any) -> Any:
        if self._is_async:
            return self._respond(request)
        recorded = self._begin(request)
        if recorded is None:
            return self._get_response(request)
        try:
            response = self._get_response(request)
        except BaseException as error:
            recorded.fail(error)
            _end(recorded, request)
            raise
        return _followed(recorded, request, response)

    async def _respond(self, request: Any) -> Any:
        response: Awaitable[Any] = self._get_response(request)
        recorded = self._begin(request)
        if recorded is None:
            return await response
        try:
            return _followed(recorded, request, await response)
        except (Exception, KeyboardInterrupt, SystemExit) as error:
            recorded.fail(error)
            _end(recorded, request)
            raise
        except BaseException:
            # Cancelled: the client is gone.
            recorded.give_up()
            _end(recorded, request)
            raise

    def _begin(self, request: Any) -> RequestGuard | None:
        outer = getattr(request, "scope", {}).get(MEASUREMENT)
        if outer is not None and outer.is_recording:
            # A middleware around the application records the request.
            request.influxdb = outer
            return None
        recorded = self._recorder.guard(request.META, request)
        request.influxdb = measurement_in(request.META)
        if recorded is not None:
            setattr(request, _REQUEST, recorded)
        return recorded


def _followed(recorded: RequestGuard, request: Any, response: Any) -> Any:
    """Return the response. It is observed until it is closed."""
    try:
        recorded.respond(response.status_code)
        if hasattr(request, "scope"):
            # ASGI servers send the head at once, WSGI servers with the first part of the body.
            recorded.sent_length(0)
        if not response.streaming:
            recorded.sent(response.content)
            recorded.complete()
        elif getattr(response, "file_to_stream", None) is not None:
            return _followed_file(recorded, request, response)
        elif response.is_async:
            response.streaming_content = _counted_async(recorded, response.streaming_content)
        else:
            response.streaming_content = _counted(recorded, response.streaming_content)
        response._resource_closers.append(lambda: _close(recorded, request))
    except Exception as error:
        warn(error)
        _end(recorded, request)
    return response


def _followed_file(recorded: RequestGuard, request: Any, response: Any) -> Any:
    """Record the request when the file is closed.

    The server may send the file without reading it here. The position at the end is what was sent.
    """
    file, length = response.file_to_stream, int(response.headers.get("Content-Length") or 0)
    start = file.tell() if hasattr(file, "tell") else 0

    def closing() -> None:
        try:
            sent = file.tell() - start
        except Exception:
            sent = 0
        recorded.sent_length(sent if sent > 0 else length)
        recorded.complete()
        _end(recorded, request)

    # The first closer runs before the file is closed.
    response._resource_closers.insert(0, closing)
    return response


def _counted(recorded: RequestGuard, parts: Iterator[bytes]) -> Iterator[bytes]:
    try:
        for part in parts:
            recorded.sent(part)
            yield part
    except Exception as error:
        recorded.fail(error)
        raise
    recorded.complete()


async def _counted_async(
    recorded: RequestGuard, parts: AsyncIterator[bytes]
) -> AsyncIterator[bytes]:
    try:
        async for part in parts:
            recorded.sent(part)
            yield part
    except Exception as error:
        recorded.fail(error)
        raise
    recorded.complete()


def _close(recorded: RequestGuard, request: Any) -> None:
    recorded.give_up()
    _end(recorded, request)


def _end(recorded: RequestGuard, request: Any) -> None:
    try:
        match = request.resolver_match
        if match is not None:
            route = match.route if match.route.startswith("^") else f"/{match.route}"
            recorded.route(route, handler_name(getattr(match.func, "view_class", match.func)))
    except Exception as error:
        warn(error)
    recorded.end()


def _failed(sender: object, request: Any = None, **_more: object) -> None:
    """Called when a view raised. Django responds with an error page."""
    recorded: RequestGuard | None = getattr(request, _REQUEST, None)
    error = sys.exc_info()[1]
    if recorded is not None and error is not None:
        recorded.fail(error)
