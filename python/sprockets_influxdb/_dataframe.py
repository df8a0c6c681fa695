"""Writes data frames: each row is a measurement."""

import logging
import operator
from collections.abc import Callable, Iterable
from fractions import Fraction
from typing import TYPE_CHECKING, Any, NoReturn, Protocol, SupportsIndex, TypedDict

from sprockets_influxdb import _native
from sprockets_influxdb._options import DATAFRAME_NAMES, with_hints

if TYPE_CHECKING:
    from sprockets_influxdb._types import Dataframe

LOGGER = logging.getLogger("sprockets_influxdb")

#: Rows of a pandas frame that are written at once.
_BLOCK = 10_000

#: Seconds to wait, unless the caller says how many.
_TIMEOUT = 60.0


class FrameReport(TypedDict):
    """What became of a frame. What other threads record for the same database during the call is
    included from ``delivered`` on. ``pending`` rows are still delivered later.
    """

    #: Rows of the frame.
    rows: int
    #: Rows without a field.
    skipped: int
    #: Rows without tags that have the time of another row, beside one for each time. The server
    #: keeps one point for each time. Only the first million rows are compared.
    duplicates: int
    #: Rows with a name or a tag that was repaired.
    repaired: int
    delivered: int
    rejected: int
    sampled_out: int
    dropped: int
    pending: int
    #: The newest failure for this database, if rows are pending or rejected.
    error: str | None


class _Writer(Protocol):
    """Writes a frame."""

    def write(self) -> int | None:
        """Write the next rows. Return how many there were; ``None`` at the end."""

    def finish(self) -> FrameReport:
        """Wait for the delivery."""


@with_hints(DATAFRAME_NAMES)
def write_dataframe(
    frame: "Dataframe",
    measurement: str,
    *misplaced: NoReturn,
    database: str | None = None,
    tag_columns: Iterable[str] = (),
    field_columns: Iterable[str] | None = None,
    timestamp_column: str | None = None,
    timeout: float | None = None,
    progress: Callable[[int], object] | None = None,
) -> FrameReport:
    """Writes a data frame, each row as a measurement. At the end it waits until all are delivered,
    the server refuses the database, or the timeout is over. It blocks the thread: in an event loop,
    call it by ``asyncio.to_thread``.

    The frame is one of pandas, or any object with ``__arrow_c_stream__``, such as those of polars,
    pyarrow and DuckDB. Values that are null, NA or NaN are left out, and so are rows without a
    field. A full buffer is waited for, whatever ``overflow`` says.

    :param frame: the data frame
    :param measurement: the name of the measurements
    :param misplaced: none: the other arguments are keywords
    :param database: the database (bucket) to write to; default: that of the client
    :param tag_columns: the columns that are tags
    :param field_columns: the columns that are fields; default: all others
    :param timestamp_column: the column with the time, in a pandas frame also the name of an index;
        default: the index of a pandas frame. Times without a time zone are in UTC
    :param timeout: seconds to wait for each row that finds the buffer full, and once for the
        delivery at the end; default: 60
    :param progress: called with the number of rows written so far, from time to time
    :raises TypeError: for an object that is not a data frame, for column names that are one str,
        and for a third argument without its name
    :raises ValueError: for a column that is not there or cannot be stored, for a row that cannot be
        stored, and for a frame other than one of pandas without ``timestamp_column``. The rows
        before it are delivered later
    :raises TimeoutError: if there was no room in the buffer in time, or the server refuses the
        database. The rows before it are delivered later
    """
    return write(
        None,
        frame,
        measurement,
        *misplaced,
        database=database,
        tag_columns=tag_columns,
        field_columns=field_columns,
        timestamp_column=timestamp_column,
        timeout=timeout,
        progress=progress,
    )


def write(
    client: _native.BaseClient | None,
    frame: "Dataframe",
    measurement: str,
    *misplaced: NoReturn,
    database: str | None,
    tag_columns: Iterable[str],
    field_columns: Iterable[str] | None,
    timestamp_column: str | None,
    timeout: float | None,
    progress: Callable[[int], object] | None,
) -> FrameReport:
    """Write a data frame by a client, else by the installed one."""
    if misplaced:
        raise TypeError(
            "write_dataframe() takes a frame and the name of the measurements: pass the database "
            f"by its name, as in write_dataframe(frame, {misplaced[0]!r}, database={measurement!r})"
        )
    timeout = _TIMEOUT if timeout is None else timeout
    tags = _names("tag_columns", tag_columns)
    fields = None if field_columns is None else _names("field_columns", field_columns)
    # The core knows the default database.
    place = (database or "", measurement)
    writer: _Writer
    if type(frame).__module__.partition(".")[0] == "pandas" and hasattr(frame, "iloc"):
        writer = _PandasFrame(client, frame, place, timestamp_column, tags, fields, timeout)
    elif hasattr(frame, "__arrow_c_stream__"):
        if timestamp_column is None:
            raise ValueError("this frame has no index: name the time by timestamp_column=")
        stream = frame.__arrow_c_stream__()
        writer = _native.ArrowFrame(client, stream, place, timestamp_column, tags, fields, timeout)
    else:
        kind = type(frame).__qualname__
        if kind == "LazyFrame":
            raise TypeError("a LazyFrame is not a data frame: call its collect()")
        raise TypeError(
            f"a {kind} is not a data frame: expected one of pandas, or an "
            "object with __arrow_c_stream__, such as those of polars and pyarrow"
        )
    rows = 0
    while (written := writer.write()) is not None:
        rows += written
        if progress is not None:
            progress(rows)
    report = writer.finish()
    if report["duplicates"]:
        LOGGER.warning(
            "%d of %d rows of the data frame have the time of another row, and no tag: InfluxDB "
            "keeps one point for each time and set of tags. Name the columns that tell the rows "
            "apart in tag_columns",
            report["duplicates"],
            report["rows"],
        )
    return report


def _names(argument: str, names: Iterable[str]) -> list[str]:
    if isinstance(names, str):
        raise TypeError(f"{argument} is {names!r}: expected several names, as in [{names!r}]")
    return list(names)


class _PandasFrame:
    """Writes a frame of pandas, block by block. pandas is not imported: its methods are enough."""

    def __init__(
        self,
        client: _native.BaseClient | None,
        frame: Any,
        place: tuple[str, str],
        time: str | None,
        tags: list[str],
        fields: list[str] | None,
        timeout: float,
    ) -> None:
        if not hasattr(frame, "columns"):
            raise TypeError(
                f"a {type(frame).__qualname__} is not a data frame: call its to_frame()"
            )
        names = list(frame.columns)
        levels = list(frame.index.names)
        times = [time] if time is not None and time not in levels else []
        for name in [*tags, *(fields or ()), *times]:
            if name not in names:
                raise ValueError(f"there is no column {name!r}: the columns are {names}")
        for name in names if fields is None else [*tags, *fields]:
            if isinstance(name, tuple):
                raise ValueError(
                    f"column {name!r} has a name of several levels: join them, as in "
                    "frame.columns = frame.columns.map('_'.join)"
                )
        if fields is None:
            for name in frame.columns[frame.columns.duplicated()]:
                raise ValueError(
                    f"several columns are named {name!r}: rename them, or name field_columns"
                )
            fields = [name for name in names if name != time and name not in tags]

        def column(name: str) -> Any:
            return frame.iloc[:, names.index(name)]

        self._time_name = "the index" if time is None else f"column {time!r}"
        if time is not None and time in names:
            self._times = column(time)
        else:
            if time is None and len(levels) > 1:
                raise ValueError(
                    "the index has several levels: name the one with the time by timestamp_column=,"
                    " and call reset_index() if others are tags or fields"
                )
            index = frame.index if time is None else frame.index.get_level_values(time)
            self._times = index.to_series()
        self._tags = [column(name) for name in tags]
        self._fields = [column(name) for name in fields]
        self._writer = _native.ObjectFrame(client, place, tags, fields, timeout)
        self._blocks = iter(range(0, len(frame), _BLOCK))
        if type(self._times.dtype).__name__ == "PeriodDtype":
            raise ValueError(
                f"{self._time_name} has periods, not times: call the index's to_timestamp(), or "
                "dt.to_timestamp() of a column"
            )
        if self._times.dtype.kind in "biufc":
            raise ValueError(
                f"{self._time_name} has numbers, not times: use pandas.to_datetime() with "
                "its unit, or name another column by timestamp_column="
            )

    def write(self) -> int | None:
        first = next(self._blocks, None)
        if first is None:
            return None
        block = slice(first, first + _BLOCK)
        times = _times(self._times.iloc[block])
        tags = [column.iloc[block].tolist() for column in self._tags]
        fields = [column.iloc[block].tolist() for column in self._fields]
        self._writer.write(first, times, tags, fields)
        return len(times)

    def finish(self) -> FrameReport:
        return self._writer.finish()


def _times(column: Any) -> list[Any]:
    """Times as nanoseconds since the epoch, or as what they are."""
    if column.dtype.kind == "M":
        times: list[Any] = (
            column.dt.as_unit("ns").to_numpy("datetime64[ns]").astype("int64").tolist()
        )
        return times
    # An integer, also of NumPy, would pass for nanoseconds. A fraction has the same value, in
    # seconds. For numbers.Integral, NumPy's timedelta64 is an integer as well.
    return [
        Fraction(operator.index(time)) if isinstance(time, SupportsIndex) else time
        for time in column.tolist()
    ]
