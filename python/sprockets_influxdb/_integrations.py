"""What the integrations share: where they record, and that they never fail what they record."""

import functools
import inspect
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from sprockets_influxdb import _native
from sprockets_influxdb._clients import Client
from sprockets_influxdb._rejected import is_in_on_rejected
from sprockets_influxdb._warnings import warn

#: The value of a tag that has more different values than are recorded.
OTHER = "(other)"


class Recorder:
    """Records the measurements of one integration. Its errors are warnings, at most one a minute.

    :param name: the name of the measurements
    :param tags: the names of the tags; other names are fields
    :param database: the database; default: that of the client
    :param client: the client; default: the one that is installed when a measurement is recorded
    :raises TypeError: for a database that is not a string, and for an object that is not a client
    """

    def __init__(
        self,
        name: str,
        tags: Iterable[str],
        *,
        database: str | None = None,
        client: Client | None = None,
    ) -> None:
        if database is not None and not isinstance(database, str):
            raise TypeError(f"database is {database!r}: expected a str")
        if client is not None and not isinstance(client, Client):
            raise TypeError(f"client is {client!r}: expected a Client")
        self._name = name
        series = _native.series if client is None else client.series
        tags = tuple(tags)
        self._series = (
            series(name, tags=tags) if database is None else series(database, name, tags=tags)
        )

    def record(self, **items: object) -> None:
        """Record a measurement. Tags and fields that are ``None`` are left out."""
        if is_in_on_rejected():
            # It may be rejected too, and so on without end.
            return
        try:
            given: dict[str, Any] = {
                name: value for name, value in items.items() if value is not None
            }
            self._series(**given)
        except Exception as error:
            self.warn(error)

    def warn(self, error: BaseException) -> None:
        """Log that a measurement is not recorded."""
        warn(error, f"a measurement {self._name!r} is not recorded")


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


#: Returns the tags and fields of a call: its arguments, those by keyword, its result, and its
#: exception or ``None``.
Describe = Callable[
    [tuple[Any, ...], Mapping[str, Any], Any, BaseException | None], Mapping[str, object]
]


def original_of(method: Any) -> Any:
    """Return what a replacement of ours replaces, and any other method as it is.

    A wrapper around a replacement has its attributes, by ``functools.wraps``, and must stay.
    """
    replacement, original = getattr(method, "_observed", (None, method))
    return original if replacement is method else method


def observe(
    owner: Any, name: str, recorder: Recorder, describe: Describe, *, is_nested: bool = False
) -> None:
    """Record each call of a method of one object, a coroutine or not, when it ends. A second call
    replaces the first.

    :param owner: the object
    :param name: the name of the method
    :param is_nested: whether the method calls itself, and only the outermost call is recorded
    """
    original = original_of(getattr(owner, name))
    thread = threading.local()

    def end(
        began: float, arguments: Any, more: Any, result: Any, error: BaseException | None
    ) -> None:
        duration = time.perf_counter() - began
        try:
            items = describe(arguments, more, result, error)
        except Exception as failure:
            recorder.warn(failure)
            return
        exception = None if error is None else error_name(error)
        recorder.record(duration=duration, exception=exception, **items)

    @functools.wraps(original)
    def call(*arguments: Any, **more: Any) -> Any:
        if getattr(thread, "is_calling", False):
            return original(*arguments, **more)
        began = time.perf_counter()
        thread.is_calling = is_nested
        try:
            result = original(*arguments, **more)
        except BaseException as error:
            end(began, arguments, more, None, error)
            raise
        finally:
            thread.is_calling = False
        end(began, arguments, more, result, None)
        return result

    @functools.wraps(original)
    async def call_async(*arguments: Any, **more: Any) -> Any:
        began = time.perf_counter()
        try:
            result = await original(*arguments, **more)
        except BaseException as error:
            end(began, arguments, more, None, error)
            raise
        end(began, arguments, more, result, None)
        return result

    replacement: Any = call_async if inspect.iscoroutinefunction(original) else call
    replacement._observed = replacement, original
    setattr(owner, name, replacement)
