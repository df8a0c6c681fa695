"""Flushes as futures of an event loop."""

import asyncio
import warnings

from sprockets_influxdb import _native


def future_of(loop: asyncio.AbstractEventLoop, flushing: _native.Flush) -> "asyncio.Future[bool]":
    future: asyncio.Future[bool] = loop.create_future()

    def done() -> None:
        report = flushing.report()
        if report is None:
            return
        loop.remove_reader(flushing.fileno())
        if not future.done():
            future.set_result(report["pending"] == 0 and report["closed"] == 0)

    loop.add_reader(flushing.fileno(), done)
    return future


def event_loop() -> asyncio.AbstractEventLoop:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        loop = _current_event_loop()
        if loop.is_closed():
            raise RuntimeError(
                "the current event loop is closed: use flush_sync() or shutdown_sync()"
            ) from None
        return loop


def _current_event_loop() -> asyncio.AbstractEventLoop:
    """Return this thread's loop. Set a new one if there is none, as Tornado does."""
    with warnings.catch_warnings():
        # Python 3.12 and 3.13 warn before they set a new loop. Python 3.14 raises instead.
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            return asyncio.get_event_loop()
        except RuntimeError:
            loop = asyncio.new_event_loop()
            asyncio.set_event_loop(loop)
            return loop
