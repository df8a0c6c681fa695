"""One measurement for each request of a Tornado application, and the application's callbacks.

Only this module needs Tornado 6. It is in the extra ``sprockets-influxdb[tornado]``.
"""

import asyncio
import functools
import inspect
import logging
from typing import TYPE_CHECKING, Any

try:
    from tornado import httputil, web, websocket
except ImportError as _error:
    raise ImportError(
        "sprockets_influxdb.InfluxDBMixin needs Tornado 6: pip install sprockets-influxdb[tornado]",
        name=_error.name,
    ) from _error

from sprockets_influxdb import _client, _native
from sprockets_influxdb._clients import Client
from sprockets_influxdb._endpoints import ANY_PATH, UNMATCHED, Endpoints, Snapshots
from sprockets_influxdb._fallback import FallbackConnection
from sprockets_influxdb._native import Measurement
from sprockets_influxdb._requests import REQUEST_DATABASE
from sprockets_influxdb._warnings import warn

__all__ = [
    "ANY_PATH",
    "CLIENT_CLOSED_REQUEST",
    "REQUEST_CLIENT",
    "REQUEST_DATABASE",
    "UNKNOWN_METHOD",
    "UNMATCHED",
    "InfluxDBMixin",
    "StatsHandler",
    "on_shutdown",
    "on_start",
]

LOGGER = logging.getLogger("sprockets_influxdb")

#: The setting of an application that has the client for its requests. Default: the installed one.
REQUEST_CLIENT = "sprockets_influxdb.client"
#: The tag ``method`` of requests with a method that is not in ``SUPPORTED_METHODS``.
UNKNOWN_METHOD = "(unknown)"
#: The tag ``status_code`` of requests whose client disconnected before the response began.
CLIENT_CLOSED_REQUEST = _native.CLIENT_CLOSED_REQUEST

_finish = _native.finish_request

if TYPE_CHECKING:
    _Base = web.RequestHandler
else:
    _Base = object


class _Application:
    """The state of the mixin for one application."""

    def __init__(self, application: web.Application) -> None:
        self.has_warned = False
        client = application.settings.get(REQUEST_CLIENT)
        #: Whether requests can be recorded at all.
        self.is_usable = client is None or isinstance(client, Client)
        if not self.is_usable:
            LOGGER.warning(
                "the requests of this application are not recorded: "
                "its setting %r is %r: expected a Client",
                REQUEST_CLIENT,
                client,
            )
            client = None
        try:
            self.recorder = _native.TornadoRecorder(True, client)
        except ValueError as error:
            LOGGER.warning("%s; the default, true, is used", error)
            self.recorder = _native.TornadoRecorder(False, client)
        self.endpoints = Endpoints(application, self._learn)

    def _learn(self, rules: Snapshots, endpoints: dict[type, str]) -> None:
        if self.is_usable:
            handlers = {
                handler: (handler._influxdb_name, endpoint)
                for handler, endpoint in endpoints.items()
                if issubclass(handler, InfluxDBMixin)
            }
            self.recorder.set_routes(rules, handlers)

    @classmethod
    def of(cls, application: web.Application) -> "_Application":
        known: object = getattr(application, "_sprockets_influxdb", None)
        if not isinstance(known, cls):
            holder: Any = application
            known = holder._sprockets_influxdb = cls(application)
            if known.is_usable:
                holder._sprockets_influxdb_recorder = known.recorder
        return known

    def warn_of_database(self) -> None:
        if not self.has_warned:
            self.has_warned = True
            LOGGER.warning(
                "the requests of this application are not recorded: "
                "name their database in its setting %r, or with INFLUXDB_DATABASE",
                REQUEST_DATABASE,
            )


class _State:
    """What is known of a request that is not plain. A plain one is recorded without it."""

    __slots__ = ("fallback", "is_recorded", "length", "measurement", "transform", "websocket")

    def __init__(self) -> None:
        self.is_recorded = False
        #: Bytes of the body. ``None`` if the response was not written in parts.
        self.length: int | None = None
        self.measurement: Measurement | None = None
        self.transform: _Length | None = None
        self.websocket: Any = None
        #: Of a ``FallbackHandler``.
        self.fallback: FallbackConnection | None = None


class InfluxDBMixin(_Base):
    """Records each request of a handler. List it before Tornado's class::

        class MainHandler(sprockets_influxdb.InfluxDBMixin, tornado.web.RequestHandler):
            def get(self):
                self.influxdb.set_field("rows", 3)
                self.write("Hello, world")

        application = tornado.web.Application(
            [(r"/", MainHandler)],
            **{"service": "hello", sprockets_influxdb.REQUEST_DATABASE: "example"},
        )

    The application's setting :data:`REQUEST_DATABASE` names the database. The default is that of
    the client (``INFLUXDB_DATABASE``). Without either nothing is recorded, and the log says so
    once. The setting ``service`` names the measurement (default
    ``request``). The setting ``sprockets_influxdb.client``,
    which is :data:`sprockets_influxdb.tornado.REQUEST_CLIENT`, has a client for the requests,
    instead of the installed one.

    The attribute ``influxdb`` is the measurement, available from ``initialize()`` on. It takes any
    value, also while nothing is recorded:
    :class:`~sprockets_influxdb._requests.RequestOptions` says what becomes of it.

    ========================  ============================================================
    tag ``handler``           ``module.Class``
    tag ``endpoint``          the pattern of the rule that routed the request, without its
                              trailing ``$``. Of nested rules the innermost pattern.
                              ``(unmatched)`` if no rule matched, for example with a
                              ``default_handler_class``. For rules without a pattern their
                              name, or ``(any)``
    tag ``method``            ``(unknown)`` if it is not in ``SUPPORTED_METHODS``
    tag ``status_code``       101 for a websocket; 499 if the client disconnected before the
                              response began; 500 if ``initialize()`` raised, for which
                              Tornado closes the connection
    tag ``remote_ip``         with ``INFLUXDB_TAG_REMOTE_IP=false`` the field ``client_ip``
    tag ``correlation_id``    if the handler has an attribute ``correlation_id`` that is not
                              ``None``; with ``INFLUXDB_TAG_CORRELATION_ID=false`` the field
                              ``request_id``
    field ``content_length``  bytes of the body that were written, after compression. For a
                              websocket the bytes of messages, before compression. Bytes
                              written to a stream from ``detach()`` are not counted
    field ``duration``        seconds from the request's headers until it is recorded
    ========================  ============================================================

    A request is recorded once: when its response is finished, when its client disconnects, when a
    websocket closes, and after ``detach()`` when the handler's method returns. ``on_finish()`` may
    be overridden. It calls the next class's ``on_finish()``, and what that sets is recorded. A
    handler that derives from ``FallbackHandler`` is recorded when what it calls has responded.
    """

    #: The tag ``handler``.
    _influxdb_name = ""
    _influxdb_state: _State | None = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls._influxdb_name = f"{cls.__module__}.{cls.__name__}"
        _watch(cls)
        _watch_init(cls)

    @property
    def influxdb(self) -> Measurement:
        """The measurement of this request. It is made on first use."""
        state = self._influxdb_begin()
        if state.measurement is None:
            state.measurement = self._influxdb_make(state)
        return state.measurement

    @influxdb.setter
    def influxdb(self, measurement: Measurement) -> None:
        self._influxdb_begin().measurement = measurement

    def flush(self, include_footers: bool = False) -> "asyncio.Future[None]":
        if include_footers and not self._headers_written:
            # The response is written in one piece. Its headers have the length.
            return super().flush(True)
        return self._influxdb_flush(include_footers)

    def on_finish(self) -> None:
        try:
            super().on_finish()
        finally:
            try:
                is_recorded = _finish(self, getattr(self, "correlation_id", None))
            except Exception:
                is_recorded = False
            if not is_recorded:
                self._influxdb_finish()

    def on_connection_close(self) -> None:
        try:
            super().on_connection_close()
        finally:
            self._influxdb_close()

    def detach(self) -> Any:
        stream = super().detach()
        if not self._influxdb_is_recorded():
            state = self._influxdb_begin()
            state.websocket = getattr(self, "ws_connection", None)
            # From here on Tornado may not report the end: not without a websocket, and not if the
            # websocket's open() raises.
            try:
                task = asyncio.current_task()
            except RuntimeError:
                task = None
            if task is None:
                self._influxdb_record(self._status_code)
            else:
                task.add_done_callback(lambda _: self._influxdb_record(self._status_code))
        return stream

    def _influxdb_begin(self) -> _State:
        state = self._influxdb_state
        if state is None:
            # A plain request is recorded when it is finished.
            is_recorded = self._influxdb_is_recorded()
            state = self._influxdb_state = _State()
            state.is_recorded = is_recorded
        return state

    def _influxdb_is_recorded(self) -> bool:
        state = self._influxdb_state
        if state is not None:
            return state.is_recorded
        # Tornado sets this to `None` when the request has finished; a plain one is recorded then.
        return getattr(self, "ui", True) is None

    def _influxdb_make(self, state: _State) -> Measurement:
        """Return a measurement in any case. If nothing is recorded, it is dropped."""
        if not state.is_recorded:
            try:
                known = _Application.of(self.application)
                if known.is_usable:
                    settings = self.application.settings
                    database = settings.get(REQUEST_DATABASE) or known.recorder.database()
                    place = (database, settings.get("service", "request"))
                    seconds = self.request.request_time()
                    return known.recorder.measurement(seconds, place, self._influxdb_route(known))
            except Exception as error:
                _warn(type(self), error)
        return _native.measurement_in({})

    def _influxdb_route(self, known: _Application) -> tuple[str, str, str | None]:
        """Return handler, endpoint, and method. The method is ``None`` if it is not supported."""
        request = self.request
        method = request.method
        return (
            self._influxdb_name,
            known.endpoints.of(type(self), request),
            method if method in self.SUPPORTED_METHODS else None,
        )

    def _influxdb_flush(self, include_footers: bool) -> "asyncio.Future[None]":
        """Write a part of the body. A transform of ours counts the output of the others."""
        state = self._influxdb_begin()
        if state.is_recorded:
            return super().flush(include_footers)
        if self._transforms and state.transform is None:
            state.transform = _Length()
            self._transforms = [*self._transforms, state.transform]
        length = sum(map(len, self._write_buffer))
        future = super().flush(include_footers)
        if state.transform is not None:
            length = state.transform.take()
        state.length = state.length or 0
        # Without a connection nothing is written. A class between may return any kind of future.
        if not (isinstance(future, asyncio.Future) and future.done() and future.exception()):
            state.length += length
        return future

    def _influxdb_watch_fallback(self) -> None:
        connection = self.request.connection
        if connection is None:
            return

        def ended() -> None:
            # A response of the handler's own, such as an error page, ends with on_finish().
            if not self._headers_written:
                self._influxdb_close()

        fallback = self._influxdb_begin().fallback = FallbackConnection(connection, ended)
        self.request.connection = fallback  # type: ignore[assignment]

    def _influxdb_finish(self) -> None:
        # The handshake of a websocket finishes as well, and is only the beginning. What a
        # FallbackHandler calls may respond later.
        state = self._influxdb_state
        is_beginning = (
            getattr(self, "ws_connection", None) is not None
            if self._status_code == 101
            else state is not None and state.fallback is not None and not self._headers_written
        )
        if not is_beginning:
            self._influxdb_record(self._status_code)

    def _influxdb_close(self) -> None:
        state = self._influxdb_begin()
        if self._headers_written:
            self._influxdb_record(self._status_code)
        elif state.fallback is not None:
            state.length = state.fallback.length
            self._influxdb_record(state.fallback.status_code)
        else:
            self._influxdb_record(None)

    def _influxdb_record(self, status_code: int | None, error: Exception | None = None) -> None:
        """Record the request, unless it is recorded already. Never raises.

        :param status_code: of the response; ``None`` if there was none
        :param error: the reason why there was no response; ``None`` if the client is gone
        """
        state = self._influxdb_begin()
        if state.is_recorded:
            return
        try:
            request, measurement = self.request, self.influxdb
            length = state.length
            if length is None:
                has_body = getattr(self, "_finished", False) and status_code not in (204, 304)
                length = int(self._headers.get("Content-Length", 0)) if has_body else 0
            if state.websocket is not None:
                length += getattr(state.websocket, "_message_bytes_out", 0)
            known = _Application.of(self.application)
            if measurement.database:
                end = (
                    request.method,
                    status_code,
                    error,
                    length,
                    request.request_time(),
                    request.remote_ip,
                    getattr(self, "correlation_id", None),
                )
                known.recorder.complete(measurement, end)
            elif known.is_usable and known.recorder.is_enabled():
                known.warn_of_database()
        except Exception as failure:
            _warn(type(self), failure)
        finally:
            state.is_recorded = True


def _watch(cls: type[InfluxDBMixin]) -> None:
    """Record requests whose client disconnects, also if the class's ``on_connection_close()`` does
    not call that of the next class. Tornado does not require that, so few do.
    """
    close = cls.on_connection_close
    if getattr(close, "_influxdb_closes", False) or not inspect.isfunction(close):
        return
    if "on_connection_close" not in vars(cls):
        # It belongs to a class before the mixin, and must not be changed.
        def close(self: Any) -> Any:
            return super(cls, self).on_connection_close()

    @functools.wraps(close)
    def on_connection_close(self: Any) -> Any:
        try:
            return close(self)
        finally:
            self._influxdb_close()

    on_connection_close._influxdb_closes = True  # type: ignore[attr-defined]
    cls.on_connection_close = on_connection_close  # type: ignore[method-assign]


InfluxDBMixin.on_connection_close._influxdb_closes = True  # type: ignore[attr-defined]


#: Methods of Tornado's classes that make a handler, and do not raise.
_PLAIN_INITS = (web.RequestHandler.__init__, websocket.WebSocketHandler.__init__)


def _watch_init(cls: type[InfluxDBMixin]) -> None:
    """Record requests for which making the handler raises, and those of a ``FallbackHandler``.

    Tornado then closes the connection, and does not call the handler again. Also lets a class use
    the measurement before Tornado's ``__init__()``.
    """
    init: Any = cls.__init__
    if not issubclass(cls, web.RequestHandler) or hasattr(init, "_influxdb_watches"):
        return
    if init in _PLAIN_INITS and cls.initialize is web.RequestHandler.initialize:
        return
    if "__init__" not in vars(cls):

        def init(self: Any, application: Any, request: Any, **kwargs: Any) -> None:
            super(cls, self).__init__(application, request, **kwargs)

    @functools.wraps(init)
    def __init__(self: Any, application: Any, request: Any, **kwargs: Any) -> None:
        self.application = application
        self.request = request
        if issubclass(type(self), web.FallbackHandler):
            self._influxdb_watch_fallback()
        try:
            init(self, application, request, **kwargs)
        except Exception as error:
            self._influxdb_record(None, error)
            raise

    __init__._influxdb_watches = True  # type: ignore[attr-defined]
    cls.__init__ = __init__  # type: ignore[method-assign]


class _Length(web.OutputTransform):
    """Counts the output of the other transforms."""

    def __init__(self) -> None:
        self._length = 0

    def transform_first_chunk(
        self, status_code: int, headers: httputil.HTTPHeaders, chunk: bytes, finishing: bool
    ) -> tuple[int, httputil.HTTPHeaders, bytes]:
        return status_code, headers, self.transform_chunk(chunk, finishing)

    def transform_chunk(self, chunk: bytes, finishing: bool) -> bytes:
        self._length += len(chunk)
        return chunk

    def take(self) -> int:
        """Return the bytes since the last call."""
        length, self._length = self._length, 0
        return length


class StatsHandler(web.RequestHandler):
    """Serves the client's counters and settings as a JSON object.

    The key ``stats`` has :func:`sprockets_influxdb.stats`. The key ``settings`` has
    :func:`sprockets_influxdb.settings`, with secrets masked and times in milliseconds. Requests to
    it are not recorded. Do not expose it to the public::

        tornado.web.Application([(r"/internal/influxdb", sprockets_influxdb.tornado.StatsHandler)])
    """

    def get(self) -> None:
        self.set_header("Cache-Control", "no-store")
        self.write({"stats": _native.stats(), "settings": _client.settings()})


def on_start(application: object = None, io_loop: object = None) -> bool | None:
    """Install the client, configured by the environment. A start callback for applications.

    :param application: ignored
    :param io_loop: ignored
    :returns: as :func:`sprockets_influxdb.install`
    :raises ValueError: for a variable that cannot be used
    """
    return _client.install()


def on_shutdown(application: object = None) -> "asyncio.Future[bool]":
    """Flush and shut down. A shutdown callback for applications.

    :param application: ignored
    :returns: as :func:`sprockets_influxdb.shutdown`, a future
    """
    return _client.shutdown()


def _warn(handler_class: type, error: Exception) -> None:
    warn(error, f"a request of {handler_class.__module__}.{handler_class.__name__} is not recorded")
