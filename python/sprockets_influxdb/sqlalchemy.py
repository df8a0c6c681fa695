"""One measurement for each statement of SQLAlchemy::

from sprockets_influxdb.sqlalchemy import instrument

engine = sqlalchemy.create_engine("sqlite://")
instrument(engine, database="example")
"""

import time
import weakref
from typing import TYPE_CHECKING, Any

from sqlalchemy import event

from sprockets_influxdb._clients import Client
from sprockets_influxdb._integrations import Bounded, Recorder, error_name
from sprockets_influxdb._options import INTEGRATION_NAMES, with_hints
from sprockets_influxdb._sql import shape

if TYPE_CHECKING:
    from sqlalchemy import Engine
    from sqlalchemy.ext.asyncio import AsyncEngine

__all__ = ["NAME", "instrument"]

#: The execution option that names a statement.
NAME = "influxdb_name"

#: Maximum number of different tables, and of names, of an engine.
_LIMIT = 200

#: The attribute of an execution that has the time when it began.
_BEGAN = "_sprockets_influxdb_began"

_engines: "weakref.WeakKeyDictionary[Any, _Statements]" = weakref.WeakKeyDictionary()


@with_hints(INTEGRATION_NAMES)
def instrument(
    engine: "Engine | AsyncEngine",
    *,
    measurement: str = "sql",
    database: str | None = None,
    client: Client | None = None,
) -> None:
    """Record each statement of an engine, when the database has executed it. Fetching the rows is
    not included. A second call replaces the first.

    - Tags: ``operation`` (``SELECT``, ``INSERT`` …), ``table`` (the first one; after 200 tables
      ``(other)``), ``outcome`` (``ok`` or ``error``), ``name`` (the execution option
      ``influxdb_name``, if there is one; after 200 names ``(other)``).
    - Fields: ``duration`` (seconds), ``rows`` (affected by a statement that returns none),
      ``exception`` (the driver's class).

    A statement that cannot be recorded is a warning in the log, at most one a minute.

    :param engine: the engine
    :param measurement: the name of the measurements
    :param database: the database (bucket); default: that of the client
    :param client: the client; default: the installed one
    :raises TypeError: for a database that is not a string, and for an object that is not a client
    """
    tags = ("operation", "table", "outcome", "name")
    recorder = Recorder(measurement, tags, database=database, client=client)
    engine = getattr(engine, "sync_engine", engine)
    statements = _engines.get(engine)
    if statements is None:
        statements = _engines[engine] = _Statements(recorder)
        event.listen(engine, "before_cursor_execute", statements.begin)
        event.listen(engine, "after_cursor_execute", statements.end)
        event.listen(engine, "handle_error", statements.fail)
    statements.recorder = recorder


class _Statements:
    """The statements of one engine."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder
        self._tables = Bounded(_LIMIT)
        self._names = Bounded(_LIMIT)

    def begin(
        self, conn: Any, cursor: Any, statement: str, parameters: Any, context: Any, many: bool
    ) -> None:
        try:
            setattr(context, _BEGAN, time.perf_counter())
        except Exception as error:
            self.recorder.warn(error)

    def end(
        self, conn: Any, cursor: Any, statement: str, parameters: Any, context: Any, many: bool
    ) -> None:
        try:
            # Of a statement that returns rows, the driver may not know yet how many there are.
            rows = cursor.rowcount if cursor.description is None else -1
            self._record(context, statement, rows=rows if rows >= 0 else None)
        except Exception as error:
            self.recorder.warn(error)

    def fail(self, failure: Any) -> None:
        try:
            # Connecting may fail as well, which is no statement.
            if failure.execution_context is not None and failure.statement is not None:
                exception = error_name(failure.original_exception)
                self._record(failure.execution_context, failure.statement, exception=exception)
        except Exception as error:
            self.recorder.warn(error)

    def _record(self, context: Any, statement: str, **fields: object) -> None:
        began = getattr(context, _BEGAN, None)
        if began is None:
            return
        duration = time.perf_counter() - began
        # What fails after its end is not recorded twice.
        setattr(context, _BEGAN, None)
        operation, table = shape(statement)
        name = context.execution_options.get(NAME)
        self.recorder.record(
            operation=operation,
            table=None if table is None else self._tables(table),
            outcome="error" if "exception" in fields else "ok",
            name=None if name is None else self._names(str(name)),
            duration=duration,
            **fields,
        )
