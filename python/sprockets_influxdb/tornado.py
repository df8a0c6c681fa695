"""One measurement for each request of a Tornado application, and what an application registers. This module needs
Tornado 6; the rest of the package does not load it.
"""

import asyncio
import functools
import inspect
import logging
from typing import TYPE_CHECKING, Any

from tornado import httputil, web

from sprockets_influxdb import _client, _native
from sprockets_influxdb._endpoints import ANY_PATH, UNMATCHED, Endpoints
from sprockets_influxdb._native import Measurement, add_measurement
from sprockets_influxdb._requests import REQUEST_DATABASE, RequestTags, request_tags, warn

__all__ = [
    "ANY_PATH",
    "CLIENT_CLOSED_REQUEST",
    "REQUEST_DATABASE",
    "UNKNOWN_METHOD",
    "UNMATCHED",
    "InfluxDBMixin",
    "StatsHandler",
    "on_shutdown",
    "on_start",
]

LOGGER = logging.getLogger("sprockets_influxdb")

#: The tag ``method`` of requests with a method that their handler does not know.
UNKNOWN_METHOD = "(unknown)"
#: The tag ``status_code`` of requests whose client hung up before there was a response, as nginx has it.
CLIENT_CLOSED_REQUEST = _native.CLIENT_CLOSED_REQUEST

if TYPE_CHECKING:
    _Base = web.RequestHandler
else:
    _Base = object


class _Application:
    """What the mixin knows of an application."""

    def __init__(self, application: web.Application) -> None:
        self.endpoints = Endpoints(application)
        self.has_warned = False
        try:
            self.tags = request_tags()
        except ValueError as error:
            LOGGER.warning("%s; it is taken for true", error)
            self.tags = RequestTags()

    @classmethod
    def of(cls, application: web.Application) -> "_Application":
        known: object = getattr(application, "_sprockets_influxdb", None)
        if not isinstance(known, cls):
            known = application._sprockets_influxdb = cls(application)  # type: ignore[attr-defined]
        return known

    def warn_of_database(self) -> None:
        if not self.has_warned:
            self.has_warned = True
            LOGGER.warning(
                "the requests of this application are not recorded: it has no setting %r, which names their database",
                REQUEST_DATABASE,
            )


class InfluxDBMixin(_Base):
    """Records each request of a handler. It stands before Tornado's class::

        class MainHandler(sprockets_influxdb.InfluxDBMixin, tornado.web.RequestHandler):
            def get(self):
                self.influxdb.set_field("rows", 3)
                self.write("Hello, world")

        application = tornado.web.Application(
            [(r"/", MainHandler)], **{"service": "hello", sprockets_influxdb.REQUEST_DATABASE: "example"}
        )

    The database is the application's setting :data:`REQUEST_DATABASE`; without it, nothing is recorded, and the log
    says so once. The measurement is named by the setting ``service``, else ``request``. It is ``influxdb``, from
    before ``initialize()`` on, for tags and fields of the handler's own.

    ========================  ====================================================================================
    tag ``handler``           ``module.Class``
    tag ``endpoint``          the pattern of the rule that routed the request, without its ``$``: of nested rules the
                              innermost pattern. ``(unmatched)`` if no rule did, as with a ``default_handler_class``;
                              for rules without a pattern their name, or ``(any)``
    tag ``method``            ``(unknown)`` for one that is not in the handler's ``SUPPORTED_METHODS``
    tag ``status_code``       101 for a websocket; 499 if the client hung up before there was a response; 500 if
                              ``initialize()`` raised, which Tornado answers by closing the connection
    tag ``remote_ip``         a field with ``INFLUXDB_TAG_REMOTE_IP=false``
    tag ``correlation_id``    if the handler has an attribute ``correlation_id`` that is not ``None``; a field with
                              ``INFLUXDB_TAG_CORRELATION_ID=false``
    field ``content_length``  bytes of body that were written, after compression; for a websocket those of the
                              messages, before it. What is written on a stream got by ``detach()`` is not counted
    field ``duration``        seconds, from the request's headers until it is recorded
    ========================  ====================================================================================

    A request is recorded once: when its response is finished, when its client hangs up, when a websocket closes, and
    after ``detach()`` when the handler's method returns. ``on_finish()`` may be overridden, and calls the next class's;
    what that sets is recorded.

    Nothing here breaks a request: what goes wrong is a warning in the log, at most once a minute.
    """

    #: The tag ``handler``.
    _influxdb_name = ""
    #: When the handler was made, as long as the request is still to be recorded.
    _influxdb_stamp: int | None = None
    _influxdb_length = 0
    _influxdb_measurement: Measurement | None = None
    _influxdb_transform: "_Length | None" = None
    _influxdb_websocket: Any = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls._influxdb_name = f"{cls.__module__}.{cls.__name__}"
        _watch(cls)

    def __init__(self, application: web.Application, request: httputil.HTTPServerRequest, **kwargs: Any) -> None:
        # The base class sets them too, but what comes before it may ask for the measurement.
        self.application = application
        self.request = request
        self._influxdb_stamp = _native.stamp()
        try:
            super().__init__(application, request, **kwargs)
        except Exception:
            # Tornado closes the connection, and asks the handler nothing more.
            self._influxdb_record(500)
            raise

    @property
    def influxdb(self) -> Measurement:
        """The measurement of this request. A request whose handler does not ask for it is recorded without one."""
        measurement = self._influxdb_measurement
        if measurement is None:
            measurement = self._influxdb_measurement = self._influxdb_make()
        return measurement

    @influxdb.setter
    def influxdb(self, measurement: Measurement) -> None:
        self._influxdb_measurement = measurement

    def flush(self, include_footers: bool = False) -> "asyncio.Future[None]":
        if include_footers and not self._headers_written and not self._transforms:
            # Most responses are written in one piece.
            self._influxdb_length = sum(map(len, self._write_buffer))
            return super().flush(True)
        return self._influxdb_flush(include_footers)

    def on_finish(self) -> None:
        try:
            super().on_finish()
        finally:
            # A websocket's handshake is finished like a response, which it is only the beginning of.
            if self._status_code != 101 or getattr(self, "ws_connection", None) is None:
                self._influxdb_record(self._status_code)

    def on_connection_close(self) -> None:
        try:
            super().on_connection_close()
        finally:
            self._influxdb_close()

    def detach(self) -> Any:
        stream = super().detach()
        if self._influxdb_stamp is not None:
            self._influxdb_websocket = getattr(self, "ws_connection", None)
            # From here on Tornado may not tell the handler of its end: not without a websocket, and not when the
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

    def _influxdb_make(self) -> Measurement:
        settings = self.application.settings
        # Without a database it is a measurement all the same, which is not recorded.
        database: Any = settings.get(REQUEST_DATABASE)
        name = settings.get("service", "request")
        if self._influxdb_stamp is None:
            return Measurement(database, name)
        measurement = _native.measurement_at(self._influxdb_stamp, database, name)
        try:
            for tag, value in self._influxdb_tags(_Application.of(self.application)).items():
                measurement.set_tag(tag, value)
        except Exception as error:
            _warn(type(self), error)
        return measurement

    def _influxdb_tags(self, known: _Application) -> dict[str, Any]:
        """What is known of the request from the beginning."""
        request = self.request
        method = request.method
        return {
            "handler": self._influxdb_name,
            "endpoint": known.endpoints.of(type(self), request),
            "method": method if method in self.SUPPORTED_METHODS else UNKNOWN_METHOD,
        }

    def _influxdb_flush(self, include_footers: bool) -> "asyncio.Future[None]":
        """Writes a part of the body, or what transforms make of it, which only one after the last of them can tell."""
        if self._influxdb_stamp is None:
            return super().flush(include_footers)
        transform = self._influxdb_transform
        if self._transforms and transform is None:
            transform = self._influxdb_transform = _Length()
            self._transforms = [*self._transforms, transform]
        length = sum(map(len, self._write_buffer))
        future = super().flush(include_footers)
        if transform is not None:
            length = transform.take()
        # Without a connection nothing is written. (A class between may have made something else of the future.)
        if not (isinstance(future, asyncio.Future) and future.done() and future.exception()):
            self._influxdb_length += length
        return future

    def _influxdb_close(self) -> None:
        self._influxdb_record(self._status_code if self._headers_written else CLIENT_CLOSED_REQUEST)

    def _influxdb_record(self, status_code: int) -> None:
        """Records the request, unless that is done. Never raises."""
        stamp = self._influxdb_stamp
        if stamp is None:
            return
        self._influxdb_stamp = None
        try:
            request, measurement = self.request, self._influxdb_measurement
            known = getattr(self.application, "_sprockets_influxdb", None)
            if type(known) is not _Application:
                known = _Application.of(self.application)
            tags = self._influxdb_tags(known) if measurement is None else {}
            tags["status_code"] = status_code
            length = 0 if request.method == "HEAD" else self._influxdb_length
            if self._influxdb_websocket is not None:
                length += getattr(self._influxdb_websocket, "_message_bytes_out", 0)
            fields: dict[str, Any] = {"content_length": length, "duration": request.request_time()}
            if known.tags.remote_ip:
                tags["remote_ip"] = request.remote_ip
            elif request.remote_ip:
                fields["remote_ip"] = request.remote_ip
            correlation_id = getattr(self, "correlation_id", None)
            if correlation_id is not None:
                if known.tags.correlation_id:
                    tags["correlation_id"] = correlation_id
                else:
                    fields["correlation_id"] = str(correlation_id)
            if measurement is None:
                settings = self.application.settings
                database = settings.get(REQUEST_DATABASE)
                if not database:
                    return known.warn_of_database()
                _native.record_at(stamp, database, settings.get("service", "request"), tags, fields)
            elif not measurement.database:
                known.warn_of_database()
            else:
                for name, value in tags.items():
                    measurement.set_tag(name, value)
                for name, value in fields.items():
                    measurement.set_field(name, value)
                add_measurement(measurement)
        except Exception as error:
            _warn(type(self), error)


def _watch(cls: type[InfluxDBMixin]) -> None:
    """Has a request recorded when its client hangs up, also by an ``on_connection_close()`` that does not call that of
    the next class. Tornado does not ask for it, so few do.
    """
    close = cls.on_connection_close
    if getattr(close, "_influxdb_closes", False) or not inspect.isfunction(close):
        return
    if "on_connection_close" not in vars(cls):
        # Of a class before the mixin, and not for others to change.
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


class _Length(web.OutputTransform):
    """Counts what other transforms make of a body."""

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
        """The bytes since the last time."""
        length, self._length = self._length, 0
        return length


class StatsHandler(web.RequestHandler):
    """Serves the client's books and its configuration in force, as JSON: an object with the keys ``stats``
    (:func:`sprockets_influxdb.stats`) and ``settings`` (:func:`sprockets_influxdb.settings`, secrets masked, times in
    milliseconds). It is not recorded itself. Give it a rule that not everybody can reach::

        tornado.web.Application([(r"/internal/influxdb", sprockets_influxdb.tornado.StatsHandler)])
    """

    def get(self) -> None:
        self.set_header("Cache-Control", "no-store")
        self.write({"stats": _native.stats(), "settings": _client.settings()})


def on_start(application: object = None, io_loop: object = None) -> bool | None:
    """Installs the client by the environment: to be registered as an application's start callback. Both arguments are
    ignored.

    :returns: as :func:`sprockets_influxdb.install`
    :raises ValueError: for a variable that cannot be read
    """
    return _client.install()


def on_shutdown(application: object = None) -> "asyncio.Future[bool]":
    """Delivers what is buffered: to be registered as an application's shutdown callback. The argument is ignored.

    :returns: as :func:`sprockets_influxdb.shutdown`, a future that is done within the shutdown timeout
    """
    return _client.shutdown()


def _warn(handler_class: type, error: Exception) -> None:
    warn(error, f"a request of {handler_class.__module__}.{handler_class.__name__} is not recorded")
