"""What a process owes its measurements: to deliver at its end what is buffered, to start afresh when it is forked, and
to have the log written by a thread of Python's own.

Whatever is called here may run in any thread, in a child just forked, or while the interpreter shuts down; nothing here
starts a thread before there is a measurement, so that a process that installs a client can still fork without a risk.
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

#: After everything else that a child of multiprocessing does at its end.
_LAST = -100

#: How many seconds the end of the process waits for a logging handler that is slow.
_WRITER_TIMEOUT = 1

#: What the writer leaves to the application's threads: all but what a thread's own fault raises. A server's handler may
#: end the process on whichever thread it runs, as uWSGI's does, and the end waits for the writer.
_SIGNALS = signal.valid_signals() - {signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGSEGV, signal.SIGTRAP}

#: What tells that there is something to log, and who listens to it.
_bell: int | None = None
_writer: threading.Thread | None = None
_watcher: Any = None
_has_ended = False


def watch() -> None:
    """Called when the package is imported. What other modules do at the exit is mostly registered later, so that it
    comes before, and may add measurements.
    """
    atexit.register(end)
    os.register_at_fork(after_in_child=_after_fork)
    multiprocessing.util.register_after_fork(end, lambda _: _end_with_multiprocessing())
    _end_with_multiprocessing()


def begin() -> None:
    """Called when the configuration has changed, as it has when the process gets its client."""
    password = os.environ.get("INFLUXDB_PASSWORD")
    if password:
        os.environ["INFLUXDB_PASSWORD"] = "X" * len(password)
    write_log()


def end() -> None:
    """Called at the end of the process, perhaps twice: delivers within the shutdown timeout, has the log written."""
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
    """Called with the first measurement of a process."""
    global _bell, _writer
    _bell = _native.open_log()
    if _is_patched_by_gevent():
        _write_with_gevent(_bell)
        return
    _writer = threading.Thread(target=_write, args=(_bell,), name="influxdb-log", daemon=True)
    # A thread begins with the mask of the one that starts it.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        _writer.start()
    except RuntimeError:
        # There are no new threads any more at the end of the interpreter, which writes the log itself.
        _writer = None
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def write_log() -> None:
    """Writes what the core has logged."""
    for level, message in _native.take_logs():
        _log(level, message)


def _log(level: int, message: str) -> None:
    try:
        LOGGER.log(level, "%s", message)
    except Exception:
        # A handler's mistake is not to cost the messages that follow.
        if logging.raiseExceptions:
            traceback.print_exc()


def _write(bell: int) -> None:
    while os.read(bell, 4096):
        write_log()


def _is_patched_by_gevent() -> bool:
    monkey = sys.modules.get("gevent.monkey")
    return monkey is not None and bool(monkey.is_module_patched("threading"))


def _write_with_gevent(bell: int) -> None:
    """There, a thread is a greenlet, which would stop all others while it listens."""
    global _watcher
    gevent: Any = importlib.import_module("gevent")

    def rung() -> None:
        if os.read(bell, 4096):
            gevent.spawn(write_log)
        else:
            watcher.stop()

    # Nobody who waits for the loop's end is to wait for this.
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
    """Its children end without ``atexit``."""
    if multiprocessing.process.parent_process() is not None:
        multiprocessing.util.Finalize(None, _end_of_child, exitpriority=_LAST)


def _end_of_child() -> None:
    # The threads of a child may go on adding when its function has returned. It waits for them next, in the same way.
    threading._shutdown()  # type: ignore[attr-defined]
    end()
