"""Passes rejected lines to the function ``on_rejected`` of their client."""

import inspect
import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from sprockets_influxdb import _native
from sprockets_influxdb._warnings import print_error, warn

LOGGER = logging.getLogger("sprockets_influxdb")

_thread = threading.local()


def check(on_rejected: Any) -> None:
    """Raise ``ValueError`` for what cannot be called."""
    if on_rejected is None:
        return
    if not callable(on_rejected):
        raise ValueError(f"on_rejected is {on_rejected!r}: expected a function")
    if inspect.iscoroutinefunction(on_rejected):
        raise ValueError(f"on_rejected is {on_rejected!r}: expected a function, not a coroutine")


def pass_rejected(then: Callable[[], None], timeout: float | None = None) -> None:
    """Call each function, and ``then`` after each call.

    Nothing that a function raises ends the caller.

    :param timeout: seconds after which no more functions are called; what is left is dropped
    """
    until = None if timeout is None else time.monotonic() + timeout
    while until is None or time.monotonic() < until:
        rejection = _native.take_rejected()
        if rejection is None:
            break
        function, rejected = rejection
        try:
            try:
                _call(function, rejected)
            except BaseException:
                # A filter or handler of the log.
                print_error()
            then()
        finally:
            _native.note_done(1)
    dropped = _native.take_dropped_rejections(until is not None)
    if dropped:
        lines = "1 rejected line was" if dropped == 1 else f"{dropped:,} rejected lines were"
        try:
            LOGGER.warning("%s not passed to on_rejected: it takes too long", lines)
        except BaseException:
            print_error()


def is_in_on_rejected() -> bool:
    """Whether this thread is in a function ``on_rejected``. What it logs or calls is not recorded:
    that could be rejected too, and so on without end.
    """
    return getattr(_thread, "is_calling", False)


def _call(function: Callable[[Any], object], rejected: Any) -> None:
    _thread.is_calling = True
    try:
        function(rejected)
    except BaseException as error:
        warn(error, "on_rejected has failed")
    finally:
        _thread.is_calling = False
