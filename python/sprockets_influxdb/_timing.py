"""Durations of blocks, functions and coroutines, as measurements or as fields of one."""

import functools
import inspect
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, TypeVar

from sprockets_influxdb import _warnings
from sprockets_influxdb._native import Measurement, add_measurement, base_tag_text

_Function = TypeVar("_Function", bound=Callable[..., Any])


class Timed:
    """Records how long each call of a function takes, or a block. Made by :func:`timed`."""

    def __init__(
        self,
        place: tuple[str, ...],
        field: str,
        tags: Mapping[str, object] | None,
        outcome: bool,
        add: Callable[[Measurement], None],
    ) -> None:
        if len(place) not in (1, 2) or not all(isinstance(name, str) for name in place):
            raise TypeError(
                "timed() takes the name of a measurement, or a database and a name, as in "
                'timed("job")'
            )
        if outcome and tags is not None and "outcome" in tags:
            raise ValueError('tags has "outcome", which outcome=True records: rename the tag')
        texts = {name: base_tag_text(name, value) for name, value in (tags or {}).items()}
        self._arguments = (place, field, tags, outcome, add)
        self._tags = {name: text for name, text in texts.items() if text is not None}
        self._running: tuple[Measurement, float] | None = None

    def __enter__(self) -> Measurement:
        if self._running is not None:
            raise RuntimeError("this block is timed already: call timed() for each block")
        place = self._arguments[0]
        measurement = Measurement(*place)
        # What is timed does not fail for its metrics.
        measurement._forgive()
        measurement.set_tags(self._tags)
        self._running = measurement, time.perf_counter()
        return measurement

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        ended = time.perf_counter()
        if self._running is None:
            return
        measurement, began = self._running
        self._running = None
        _, field, _, outcome, add = self._arguments
        try:
            measurement.set_field(field, ended - began)
            if outcome:
                measurement.set_tag("outcome", "ok" if kind is None else "error")
            add(measurement)
        except Exception as wrong:
            # What is timed does not fail for its metrics.
            _warnings.warn(wrong, "a duration is not recorded")

    async def __aenter__(self) -> Measurement:
        return self.__enter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.__exit__(kind, error, traceback)

    def __call__(self, function: _Function) -> _Function:
        """Decorates a function or a coroutine function."""
        return decorated(function, Timed, *self._arguments)


def timed(
    *place: str,
    field: str = "duration",
    tags: Mapping[str, object] | None = None,
    outcome: bool = False,
) -> Timed:
    """Records how long something takes, in seconds: as a decorator of a function or a coroutine
    function, for each call; with ``with`` or ``async with``, for the block. Those return the
    :class:`Measurement`, to set more tags and fields. It is recorded also when an exception is
    raised, and its timestamp is when the call or the block began.

    :param place: the database (bucket) to write to, and the name of the measurement
    :param field: the field for the duration
    :param tags: tags beside the base tags
    :param outcome: add a tag ``outcome``, which is ``error`` if an exception is raised, else ``ok``
    :raises TypeError: as a decorator, for an object that is not a function, and for generator
        functions: time the block that iterates
    """
    return Timed(place, field, tags, outcome, add_measurement)


def decorated(
    function: _Function, context: Callable[..., AbstractContextManager[object]], *arguments: object
) -> _Function:
    """A function that runs in a new context each time it is called."""
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise TypeError(
            f"{_name(function)} is a generator function, whose call only makes the generator: "
            "time the block that iterates"
        )
    if isinstance(function, staticmethod | classmethod):
        kind = type(function).__name__
        raise TypeError(f"{_name(function)} is a {kind}: put @{kind} above this decorator")
    if isinstance(function, type) or not callable(function):
        raise TypeError(f"{function!r} is not a function: only functions can be timed")
    is_coroutine = inspect.iscoroutinefunction
    if is_coroutine(function) or is_coroutine(getattr(function, "__call__", None)):  # noqa: B004

        @functools.wraps(function)
        async def run_coroutine(*args: Any, **kwargs: Any) -> Any:
            with context(*arguments):
                return await function(*args, **kwargs)

        return run_coroutine  # type: ignore[return-value]

    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        with context(*arguments):
            return function(*args, **kwargs)

    return run  # type: ignore[return-value]


def _name(function: object) -> str:
    return getattr(function, "__qualname__", None) or repr(function)
