"""The life of a process: the flush at its end, the new start after a fork, and the thread that
writes the log.

The functions here may run in any thread, in a child just after a fork, or while the interpreter
shuts down. No thread is started before the first measurement, so that a process can install a
client and then fork safely.
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
from typing import Any

from sprockets_influxdb import _native

LOGGER = logging.getLogger("sprockets_influxdb")

#: The priority of the finalizer in a child of multiprocessing: after all others.
_LAST = -100

#: Maximum time that the end of the process waits for a slow logging handler, in seconds.
_WRITER_TIMEOUT = 1

#: Signals that are blocked in the writer: all but those that a thread's own fault raises. A
#: server's handler, such as uWSGI's, may end the process on the thread that it runs on, and the end
#: waits for the writer.
_SIGNALS = signal.valid_signals() - {
    signal.SIGBUS,
    signal.SIGFPE,
    signal.SIGILL,
    signal.SIGSEGV,
    signal.SIGTRAP,
}

#: The file descriptor that becomes readable when there are log messages, and its readers.
_bell: int | None = None
_writer: threading.Thread | None = None
_watcher: Any = None
_has_ended = False


def watch() -> None:
    """Register the callbacks. Called when the package is imported.

    Exit callbacks that are registered later run before ours, and may add measurements.
    """
    atexit.register(end)
    os.register_at_fork(after_in_child=_after_fork)
    multiprocessing.util.register_after_fork(end, lambda _: _end_with_multiprocessing())
    _end_with_multiprocessing()


def begin() -> None:
    """Mask the password. Called when the client is made, and when its configuration changes."""
    password = os.environ.get("INFLUXDB_PASSWORD")
    if password:
        os.environ["INFLUXDB_PASSWORD"] = "X" * len(password)
    write_log()


def end() -> None:
    """Shut down within the shutdown timeout, and write the log. Called at the end of the process,
    possibly twice.
    """
    global _has_ended
    if _has_ended:
        return
    _has_ended = True
    pending = _native.end()["pending"]
    write_log()
    spooled = min(pending, _native.stats()["spooled"])
    if spooled:
        _log(logging.WARNING, f"{spooled} measurements wait in the spool for the next process")
    lost = pending - spooled
    if lost:
        _log(logging.ERROR, f"{lost} measurements are lost: not delivered when the client ended")
    _native.close_log()
    if _writer is not None and _writer is not threading.current_thread():
        _writer.join(_WRITER_TIMEOUT)
    write_log()


def start_writer() -> None:
    """Start the thread that writes the log. Called before the first measurement of a process."""
    global _bell, _writer
    _bell = _native.open_log()
    if _is_patched_by_gevent():
        _write_with_gevent(_bell)
        return
    _writer = threading.Thread(target=_write, args=(_bell,), name="influxdb-log", daemon=True)
    # A thread inherits the signal mask of the thread that starts it.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        _writer.start()
    except RuntimeError:
        # The interpreter is shutting down, and starts no more threads. end() writes the log.
        _writer = None
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def write_log() -> None:
    """Write the log messages of the core."""
    for level, message in _native.take_logs():
        _log(level, message)


def _log(level: int, message: str) -> None:
    try:
        LOGGER.log(level, "%s", message)
    except Exception:
        # A failing handler must not lose the messages that follow.
        if logging.raiseExceptions:
            traceback.print_exc()


def _write(bell: int) -> None:
    while os.read(bell, 4096):
        write_log()


def _is_patched_by_gevent() -> bool:
    monkey = sys.modules.get("gevent.monkey")
    return monkey is not None and bool(monkey.is_module_patched("threading"))


def _write_with_gevent(bell: int) -> None:
    """Write the log in greenlets: under gevent, a thread that blocks would block all of them."""
    global _watcher
    gevent: Any = importlib.import_module("gevent")

    def rung() -> None:
        if os.read(bell, 4096):
            gevent.spawn(write_log)
        else:
            watcher.stop()

    # Waiting for the end of the hub's loop must not wait for this watcher.
    _watcher = watcher = gevent.get_hub().loop.io(bell, 1, ref=False)
    watcher.start(rung)


def _after_fork() -> None:
    global _bell, _has_ended, _watcher, _writer
    if _watcher is not None:
        _watcher.stop()
    if _bell is not None:
        os.close(_bell)
    _bell, _has_ended, _watcher, _writer = None, False, None, None
    _end_with_multiprocessing()


def _end_with_multiprocessing() -> None:
    """Register a finalizer: children of multiprocessing end without ``atexit``."""
    if multiprocessing.process.parent_process() is not None:
        multiprocessing.util.Finalize(None, _end_of_child, exitpriority=_LAST)


def _end_of_child() -> None:
    # Other threads of a child may add measurements after its function has returned. The child waits
    # for them after this, so wait for them first.
    threading._shutdown()  # type: ignore[attr-defined]
    end()
