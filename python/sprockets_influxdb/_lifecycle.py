"""What a process owes its measurements: delivery at its end, a fresh start after a fork, and a
Python thread that writes the log.

Functions here run in any thread, in a child just forked, or while the interpreter shuts down. No
thread is started before the first measurement, so that a process with a client can still fork
safely.
"""

import atexit
import importlib
import logging
import multiprocessing.process
import multiprocessing.util
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from typing import Any

from sprockets_influxdb import _hooks, _native, _secrets

LOGGER = logging.getLogger("sprockets_influxdb")

#: After everything else that a child of multiprocessing or billiard does at its end.
_LAST = -100

#: Seconds that the end of the process waits for a slow logging handler.
_WRITER_TIMEOUT = 1

#: Signals that the writer leaves to the application's threads: all except those that a fault of the
#: thread itself raises. A server's handler may end the process on the thread that it runs on, as
#: uWSGI's does, and the end waits for the writer.
_SIGNALS = signal.valid_signals() - {
    signal.SIGBUS,
    signal.SIGFPE,
    signal.SIGILL,
    signal.SIGSEGV,
    signal.SIGTRAP,
}

#: The descriptor that becomes readable when there are messages, and who waits for it: a thread, or
#: a function that stops the watcher of an event loop.
_bell: int | None = None
_writer: threading.Thread | None = None
_stop_watcher: Callable[[], None] | None = None
_has_ended = False


def watch() -> None:
    """Called when the package is imported. Exit handlers of other modules are mostly registered
    later, so they run before, and may add measurements.
    """
    atexit.register(end)
    os.register_at_fork(after_in_child=_after_fork)
    multiprocessing.util.register_after_fork(end, lambda _: _end_with_multiprocessing())
    _end_with_multiprocessing()


def begin() -> None:
    """Called when the configuration has changed, as it has when the process gets its client."""
    if _secrets.is_hidden_by_parent():
        LOGGER.warning(
            "INFLUXDB_PASSWORD consists of X only: a parent process hides its password, and this "
            "process got a copy. Start it with env=None, or pass the password in another way"
        )
    _secrets.hide_password()
    _hooks.install_hooks()
    write_log()


def end() -> None:
    """Called at the end of the process, perhaps twice: delivers within the shutdown timeout, and
    writes the log.
    """
    global _has_ended
    if _has_ended:
        return
    _has_ended = True
    # A server that has just stopped has waited as long as it may.
    report = _native.shutdown_sync(0) if _hooks.has_just_failed() else _native.end()
    pending = report["pending"]
    write_log()
    spooled = min(pending, _native.stats()["spooled"])
    _native.log_losses(pending - spooled, spooled)
    _native.close_log()
    if _writer is not None and _writer is not threading.current_thread() and _writer.is_alive():
        _writer.join(_WRITER_TIMEOUT)
    write_log()


def start_writer() -> bool:
    """Called with the first measurement of a process, and again after it has returned ``False``.

    :returns: whether the log is written from now on
    """
    global _bell
    if _writer is not None:
        # Another thread starts it.
        return True
    if _bell is None:
        _hooks.end_with_billiard(end, _LAST)
        try:
            _bell = _native.open_log()
        except OSError:
            # Out of descriptors.
            return False
    try:
        return _start_writer(_bell)
    except RuntimeError:
        # Out of threads, or at the end of the interpreter, which writes the log itself.
        return False


def _start_writer(bell: int) -> bool:
    global _writer
    if _is_patched("gevent.monkey", "is_module_patched", "threading"):
        _write_with_gevent(bell)
        return True
    if _is_patched("eventlet.patcher", "is_monkey_patched", "thread"):
        _write_with_eventlet(bell)
        return True
    _writer = threading.Thread(target=_write, args=(bell,), name="influxdb-log", daemon=True)
    # A thread begins with the mask of the one that starts it.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        _writer.start()
    except RuntimeError:
        _writer = None
        raise
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return True


def write_log() -> None:
    """Writes what the core has logged."""
    for level, message in _native.take_logs():
        try:
            LOGGER.log(level, "%s", message)
        except Exception:
            _print_error()


def _write_log_in_background() -> None:
    """Like :func:`write_log`, where nobody could handle what a logging handler raises."""
    for level, message in _native.take_logs():
        try:
            LOGGER.log(level, "%s", message)
        except BaseException:
            _print_error()


def _print_error() -> None:
    """A handler's mistake must not cost the messages that follow."""
    if logging.raiseExceptions:
        traceback.print_exc()


def _write(bell: int) -> None:
    while os.read(bell, 4096):
        _write_log_in_background()
    _native.log_is_written()


def _is_patched(patcher: str, question: str, name: str) -> bool:
    module: Any = sys.modules.get(patcher)
    return module is not None and bool(getattr(module, question)(name))


def _write_with_gevent(bell: int) -> None:
    """A thread would be a greenlet there, and stop all others while it reads."""
    global _stop_watcher
    gevent: Any = importlib.import_module("gevent")

    def rung() -> None:
        if os.read(bell, 4096):
            gevent.spawn(_write_log_in_background)
        else:
            watcher.stop()

    # Whoever waits for the loop's end does not wait for this.
    watcher = gevent.get_hub().loop.io(bell, 1, ref=False)
    watcher.start(rung)
    _stop_watcher = watcher.stop


def _write_with_eventlet(bell: int) -> None:
    """As with gevent. Before release 0.37, ``os.read`` does not yield."""
    eventlet: Any = importlib.import_module("eventlet")
    hubs: Any = importlib.import_module("eventlet.hubs")

    def write() -> None:
        while True:
            hubs.trampoline(bell, read=True)
            # Closed in a child.
            if bell != _bell or not os.read(bell, 4096):
                break
            _write_log_in_background()

    eventlet.spawn_n(write)


def _after_fork() -> None:
    global _bell, _has_ended, _stop_watcher, _writer
    if _stop_watcher is not None:
        _stop_watcher()
    if _bell is not None:
        os.close(_bell)
    _bell, _has_ended, _stop_watcher, _writer = None, False, None, None
    _hooks.forget()
    _end_with_multiprocessing()


def _end_with_multiprocessing() -> None:
    """Its children end without ``atexit``."""
    if multiprocessing.process.parent_process() is not None:
        multiprocessing.util.Finalize(None, _end_of_child, exitpriority=_LAST)


def _end_of_child() -> None:
    # Threads of a child may go on adding when its function has returned. multiprocessing waits for
    # them next, by the same function.
    threading._shutdown()  # type: ignore[attr-defined]
    end()
