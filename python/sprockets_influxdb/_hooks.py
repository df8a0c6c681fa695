"""Hooks into libraries that end a process without its exit handlers.

uvicorn raises the signal that stopped it again, and the process dies of it. billiard, which
Celery's prefork pool uses, and RQ end their children with ``os._exit``. A library is hooked into
when the application has imported it. Nothing here imports it.
"""

import asyncio
import functools
import importlib.abc
import importlib.machinery
import importlib.util
import logging
import signal
import sys
import time
import types
from collections.abc import Callable, Sequence
from typing import Any

from sprockets_influxdb import _native
from sprockets_influxdb._futures import future_of

LOGGER = logging.getLogger("sprockets_influxdb")

#: A flush that failed within the last second is part of the same stop.
_SAME_STOP = 1.0

#: How often a flush checks whether the server must stop at once, in seconds.
_INTERVAL = 0.1

_end: Callable[[], None] | None = None
_failed_at: float | None = None
_ends_with_billiard = False


async def flush_at_stop(is_forced: Callable[[], bool] = lambda: False) -> None:
    """Flush all clients when a server stops, within their shutdown timeouts, unless a flush has
    just failed.

    :param is_forced: whether the server must stop at once
    """
    global _failed_at
    if has_just_failed():
        return
    loop = asyncio.get_running_loop()
    flushes = [future_of(loop, flush) for flush in _native.begin_all()]
    while not all(flush.done() for flush in flushes) and not is_forced():
        await asyncio.wait(flushes, timeout=_INTERVAL)
    for flush in flushes:
        if not flush.done():
            flush.cancel()
        if flush.cancelled() or not flush.result():
            _failed_at = time.monotonic()


def has_just_failed() -> bool:
    """Whether a flush at this stop has failed. Then nothing waits for another one."""
    return _failed_at is not None and time.monotonic() - _failed_at < _SAME_STOP


def forget() -> None:
    """Forget the state of the parent. Called in a forked child."""
    global _ends_with_billiard, _failed_at
    _ends_with_billiard, _failed_at = False, None


def install_hooks(end: Callable[[], None]) -> None:
    """Hook into each library, now or when it is imported. Called when the process has a client.

    :param end: delivers at the end of the process
    """
    global _end
    _end = end
    for name, hook in _HOOKS.items():
        module = sys.modules.get(name)
        if module is not None:
            _install(hook, module)
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


class _Finder(importlib.abc.MetaPathFinder):
    """Calls a module's hook when the module is imported later."""

    def __init__(self) -> None:
        self._searching: set[str] = set()

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        hook = _HOOKS.get(name)
        if hook is None or name in self._searching:
            return None
        self._searching.add(name)
        try:
            spec = importlib.util.find_spec(name)
        finally:
            self._searching.discard(name)
        loader: Any = spec and spec.loader
        if hasattr(loader, "exec_module"):
            execute = loader.exec_module

            def exec_module(module: types.ModuleType) -> None:
                execute(module)
                _install(hook, module)

            try:
                loader.exec_module = exec_module
            except AttributeError:
                LOGGER.debug("cannot hook into the import of %s", name)
        return spec


def _warn_of_end(module: types.ModuleType, error: Exception) -> None:
    LOGGER.warning(
        "cannot hook into %s: %r: measurements may be lost when its processes end: "
        "call sprockets_influxdb.shutdown_sync() there",
        module.__name__,
        error,
    )


def _install(hook: Callable[[Any], None], module: types.ModuleType) -> None:
    try:
        hook(module)
    except Exception as error:
        # Another release of the library.
        _warn_of_end(module, error)


def _hook_into_uvicorn(module: Any) -> None:
    """Flush before uvicorn raises a signal again. Without a signal, the process goes on, or ends
    with exit handlers.
    """
    original = module.Server.shutdown
    if getattr(original, "_is_hooked", False):
        return

    @functools.wraps(original)
    async def shutdown(self: Any, *arguments: Any, **more: Any) -> None:
        try:
            await original(self, *arguments, **more)
        finally:
            if getattr(self, "_captured_signals", None):
                try:
                    await flush_at_stop(lambda: self.force_exit)
                except Exception as error:
                    LOGGER.warning("cannot deliver before the server stops: %r", error)
                # Where a handler was in place, the process goes on, or ends with exit handlers.
                if any(before.get(number) is signal.SIG_DFL for number in self._captured_signals):
                    _native.log_end()
                    _lifecycle().write_log()

    # The handlers that uvicorn replaces, and restores before it raises the signals. A server that
    # runs already has replaced the default, as far as we know.
    before: dict[int, Any] = {signal.SIGTERM: signal.SIG_DFL}
    capture: Any = getattr(module.Server, "capture_signals", None)

    def capture_signals(self: Any) -> Any:
        before.update((number, signal.getsignal(number)) for number in signal.valid_signals())
        return capture(self)

    shutdown._is_hooked = True  # type: ignore[attr-defined]
    module.Server.shutdown = shutdown
    if capture is not None:
        module.Server.capture_signals = functools.wraps(capture)(capture_signals)


def _lifecycle() -> Any:
    # It imports this module.
    return importlib.import_module("sprockets_influxdb._lifecycle")


def _hook_into_rq(module: Any) -> None:
    """Deliver when the process of a job has noted how the job ended: ``os._exit`` follows."""
    for name in ("handle_job_success", "handle_job_failure"):
        for worker in module.Worker.__mro__:
            original = vars(worker).get(name)
            if original is not None and not getattr(original, "_is_hooked", False):
                setattr(worker, name, _ending(original))


def _ending(original: Any) -> Any:
    @functools.wraps(original)
    def ending(self: Any, *arguments: Any, **more: Any) -> Any:
        try:
            return original(self, *arguments, **more)
        finally:
            # Other workers run jobs in their own process, which goes on.
            if getattr(self, "is_horse", False) and _end is not None:
                _end()

    ending._is_hooked = True  # type: ignore[attr-defined]
    return ending


_HOOKS: dict[str, Callable[[Any], None]] = {
    "rq.worker": _hook_into_rq,
    "uvicorn.server": _hook_into_uvicorn,
}


def end_with_billiard(end: Callable[[], None], priority: int) -> None:
    """Call ``end`` when billiard ends this process. Called before its first measurement."""
    global _ends_with_billiard
    util: Any = sys.modules.get("billiard.util")
    process: Any = sys.modules.get("billiard.process")
    # The main process has no identity.
    if util is None or process is None or not process.current_process()._identity:
        return
    if _ends_with_billiard:
        return
    util.Finalize(None, end, exitpriority=priority)
    pool: Any = sys.modules.get("billiard.pool")
    if pool is None:
        return
    try:
        _end_with_workers(pool.Worker, end)
    except AttributeError as error:
        _warn_of_end(pool, error)
    else:
        _ends_with_billiard = True


def ends_with_billiard() -> bool:
    """Whether this process delivers when it ends as a worker of billiard's pool."""
    return _ends_with_billiard


def _end_with_workers(worker: Any, end: Callable[[], None]) -> None:
    original = worker._do_exit

    @functools.wraps(original)
    def _do_exit(self: Any, *arguments: Any, **more: Any) -> None:
        on_exit = self.on_exit

        def then_end(*arguments: Any) -> None:
            # The callback of the application may record measurements as well.
            try:
                if on_exit is not None:
                    on_exit(*arguments)
            finally:
                end()

        self.on_exit = then_end
        original(self, *arguments, **more)

    worker._do_exit = _do_exit
