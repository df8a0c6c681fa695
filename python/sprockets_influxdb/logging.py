"""A handler of :mod:`logging` whose records are measurements::

import logging
from sprockets_influxdb.logging import InfluxDBHandler

logging.getLogger().addHandler(InfluxDBHandler(logging.WARNING, database="example"))
"""

import logging
import threading
import traceback
from collections.abc import Iterable
from typing import Any

from sprockets_influxdb._clients import Client
from sprockets_influxdb._integrations import Bounded, Recorder, error_name
from sprockets_influxdb._rejected import is_in_on_rejected

__all__ = ["InfluxDBHandler"]

#: Maximum number of different values of a tag.
_LIMIT = 200

#: Maximum number of characters of a field. InfluxDB 1 takes up to 64 KiB.
_LENGTH = 10_000

#: Names that are used or reserved.
_NAMES = (
    "level",
    "logger",
    "message",
    "file",
    "line",
    "exception",
    "traceback",
    "timestamp_ns",
)

#: The logger of this package. What it logs is not recorded, as it may be about recording.
_OWN = "sprockets_influxdb"


class InfluxDBHandler(logging.Handler):
    """Records what is logged, without waiting for the network.

    - Tags: ``level`` (the name), ``logger`` (the name), and those that ``tags`` names. After 200
      values of a tag, further ones are ``(other)``.
    - Fields: ``message`` (by the formatter, if one is set), ``file``, ``line``, ``exception`` (the
      class) and ``traceback``, if there is an exception, and those that ``fields`` names. Texts
      have at most 10,000 characters.

    ``tags`` and ``fields`` are names of attributes of a record, such as ``extra`` sets. Values that
    are no numbers, booleans or strings are recorded as their ``str()``.

    It does not record what this package logs, nor what is logged while a record is recorded, or by
    ``on_rejected``. Call :func:`sprockets_influxdb.install` before the first record.

    :param level: records of lower levels are not recorded
    :param measurement: the name of the measurements
    :param tags: names of attributes that are tags
    :param fields: names of attributes that are fields
    :param database: the database (bucket); default: that of the client
    :param client: the client; default: the installed one
    :raises TypeError: for a database that is not a string, an object that is not a client, and one
        string of names
    :raises ValueError: for a name that is used twice or reserved
    """

    def __init__(
        self,
        level: int | str = logging.NOTSET,
        *,
        measurement: str = "log",
        tags: Iterable[str] = (),
        fields: Iterable[str] = (),
        database: str | None = None,
        client: Client | None = None,
    ) -> None:
        super().__init__(level)
        if isinstance(tags, str) or isinstance(fields, str):
            raise TypeError(
                "tags or fields is a str: expected several names, as in fields=('order',)"
            )
        self._fields = tuple(fields)
        self._tags = {name: Bounded(_LIMIT) for name in tags}
        names = [*_NAMES, *self._tags, *self._fields]
        for name in {name for name in names if names.count(name) > 1}:
            raise ValueError(f"{name!r} is used twice or reserved: rename the attribute")
        self._levels = Bounded(_LIMIT)
        self._loggers = Bounded(_LIMIT)
        self._recorder = Recorder(
            measurement, ("level", "logger", *self._tags), database=database, client=client
        )
        self._thread = threading.local()

    def createLock(self) -> None:
        # Recording needs no lock. With `INFLUXDB_OVERFLOW=block`, others would wait for it.
        self.lock = None

    def handle(self, record: logging.LogRecord) -> Any:
        # That of the base class takes the lock, from Python 3.13 on without asking whether there
        # is one.
        result: Any = self.filter(record)
        if isinstance(result, logging.LogRecord):
            # From Python 3.12 on a filter may replace the record.
            record = result
        if result:
            self.emit(record)
        return result

    def emit(self, record: logging.LogRecord) -> None:
        if record.name.partition(".")[0] == _OWN or getattr(self._thread, "is_emitting", False):
            return
        if is_in_on_rejected():
            return
        self._thread.is_emitting = True
        try:
            self._recorder.record(**self._items(record))
        except Exception:
            # A message that does not fit its arguments, for example.
            self.handleError(record)
        finally:
            self._thread.is_emitting = False

    def _items(self, record: logging.LogRecord) -> dict[str, object]:
        message = record.getMessage() if self.formatter is None else self.format(record)
        items: dict[str, object] = {
            "level": self._levels(record.levelname),
            "logger": self._loggers(record.name),
            "message": message[:_LENGTH],
            "file": record.pathname,
            "line": record.lineno,
        }
        error = record.exc_info[1] if record.exc_info else None
        if error is not None:
            items["exception"] = error_name(error)
            # The end says what happened.
            items["traceback"] = "".join(traceback.format_exception(error))[-_LENGTH:]
        for name, bounded in self._tags.items():
            value = getattr(record, name, None)
            items[name] = None if value is None else bounded(str(value))
        for name in self._fields:
            items[name] = _field(getattr(record, name, None))
        return items


def _field(value: Any) -> object:
    if value is None or isinstance(value, bool | int | float):
        return value
    return str(value)[:_LENGTH]
