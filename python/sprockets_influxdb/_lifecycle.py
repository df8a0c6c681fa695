"""What a process owes its measurements: to deliver at its end what is buffered, to start afresh when it is forked, and
to have the log written by a thread of Python's own.
"""

import atexit
import logging
import multiprocessing.process
import multiprocessing.util
import os
import sys
import threading

from sprockets_influxdb import _native

LOGGER = logging.getLogger("sprockets_influxdb")

#: After everything else that a child of multiprocessing does at its end.
_LAST = -100

_writer: threading.Thread | None = None
_has_begun = False


def begin() -> None:
    """Called when the process has got its client."""
    global _has_begun
    _mask_password()
    if _has_begun:
        return
    _has_begun = True
    atexit.register(end)
    os.register_at_fork(after_in_child=_after_fork)
    multiprocessing.util.register_after_fork(begin, lambda _: _end_with_multiprocessing())
    _end_with_multiprocessing()
    _start_writer()


def end() -> None:
    """Called at the end of the process: delivers within the shutdown timeout, and has the log written."""
    global _writer
    _native.shutdown_sync()
    _native.close_log()
    if _writer is not None:
        _writer.join(timeout=1)
        _writer = None
    write_logs(0)


def write_logs(timeout: float) -> bool:
    """Writes what the core has logged, after a wait of so many seconds at most; false when there will be no more."""
    records = _native.take_logs(timeout)
    for level, message in records or ():
        LOGGER.log(level, "%s", message)
    return records is not None


def _after_fork() -> None:
    _native.forget_log()
    _start_writer()


def _end_with_multiprocessing() -> None:
    """Its children end without ``atexit``."""
    if multiprocessing.process.parent_process() is not None:
        multiprocessing.util.Finalize(None, end, exitpriority=_LAST)


def _start_writer() -> None:
    global _writer
    gevent = sys.modules.get("gevent.monkey")
    if gevent is not None and gevent.is_module_patched("threading"):
        # A greenlet that waits in native code would stop all others: then the log is written at the end.
        return
    _writer = threading.Thread(target=_write_all, name="influxdb-log", daemon=True)
    _writer.start()


def _write_all() -> None:
    while write_logs(60):
        pass


def _mask_password() -> None:
    password = os.environ.get("INFLUXDB_PASSWORD")
    if password:
        os.environ["INFLUXDB_PASSWORD"] = "X" * len(password)
