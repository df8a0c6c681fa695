"""What the integrations share: where they record, and that they never fail what they record."""

import os
from collections.abc import Callable, Iterable
from typing import Protocol

from sprockets_influxdb import _native
from sprockets_influxdb._warnings import warn

#: The variables that name the database if no argument does.
_VARIABLES = ("INFLUXDB_DATABASE", "INFLUXDB_BUCKET")

#: The value of a tag that has more different values than are recorded.
OTHER = "(other)"


class RecordingClient(Protocol):
    """A client, as far as an integration uses it."""

    def series(
        self, database: str, name: str, *, tags: Iterable[str] | None = None
    ) -> Callable[..., None]: ...


class Recorder:
    """Records the measurements of one integration. Its errors are warnings, at most one a minute.

    :param name: the name of the measurements
    :param tags: the names of the tags; other names are fields
    :param database: the database; default: that of the environment, when the first is recorded
    :param client: the client; default: the installed one
    :raises TypeError: for a database that is not a string
    """

    def __init__(
        self,
        name: str,
        tags: Iterable[str],
        *,
        database: str | None = None,
        client: RecordingClient | None = None,
    ) -> None:
        if database is not None and not isinstance(database, str):
            raise TypeError(f"database is {database!r}: expected a str")
        self._name = name
        self._tags = tuple(tags)
        self._database = database
        self._client = client
        self._series: Callable[..., None] | None = None

    def record(self, **items: object) -> None:
        """Record a measurement. Tags and fields that are ``None`` are left out."""
        try:
            series = self._series or self._prepare()
            series(**{name: value for name, value in items.items() if value is not None})
        except Exception as error:
            self.warn(error)

    def warn(self, error: BaseException) -> None:
        """Log that a measurement is not recorded."""
        warn(error, f"a measurement {self._name!r} is not recorded")

    def _prepare(self) -> Callable[..., None]:
        database = self._database
        if database is None:
            database = next(filter(None, map(os.environ.get, _VARIABLES)), None)
        if database is None:
            raise ValueError("no database is named: pass database= or set INFLUXDB_DATABASE")
        if self._client is None:
            self._series = _native.series(database, self._name, tags=self._tags)
        else:
            self._series = self._client.series(database, self._name, tags=self._tags)
        return self._series


class Bounded:
    """Bounds the values of a tag: those after the first ``limit`` different ones are ``(other)``.

    :param limit: maximum number of values
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._values: set[str] = set()

    def __call__(self, value: str) -> str:
        if value not in self._values:
            if len(self._values) >= self._limit:
                return OTHER
            self._values.add(value)
        return value


def error_name(error: BaseException | type[BaseException]) -> str:
    """Return the class of an exception, with its module unless it is built in."""
    kind = error if isinstance(error, type) else type(error)
    module = kind.__module__
    return kind.__qualname__ if module == "builtins" else f"{module}.{kind.__qualname__}"
