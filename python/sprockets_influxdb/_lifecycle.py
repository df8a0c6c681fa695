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
from collections.abc import Callable, Iterator
from typing import Any

from sprockets_influxdb import _hooks, _native, _rejected, _secrets
from sprockets_influxdb._warnings import print_error

LOGGER = logging.getLogger("sprockets_influxdb")

#: The priority of the finalizer in a child of multiprocessing or billiard: after all others.
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

#: The file descriptor that becomes readable when there are log messages, and its reader: a thread,
#: or a watcher of an event loop, which this function stops.
_bell: int | None = None
_writer: threading.Thread | None = None
_stop_watcher: Callable[[], None] | None = None
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
    """Hide the password and install the hooks. Called when the client is made, and when its
    configuration changes.
    """
    if _secrets.is_hidden_by_parent():
        LOGGER.warning(
            "INFLUXDB_PASSWORD consists of X only: a parent process hides its password, and this "
            "process got a copy. Start it with env=None, or pass the password in another way"
        )
    _secrets.hide_password()
    _hooks.install_hooks(end)
    write_log()


def end() -> None:
    """Shut down within the shutdown timeout, and write the log. Called at the end of the process,
    possibly twice.
    """
    global _has_ended
    if _has_ended:
        return
    _has_ended = True
    # A flush when the server stopped has already waited for the shutdown timeout.
    _native.end(not _hooks.has_just_failed())
    write_log()
    _native.log_end()
    _native.close_log()
    if _writer is not None and _writer is not threading.current_thread() and _writer.is_alive():
        _writer.join(_WRITER_TIMEOUT)
    write_log()
    _rejected.pass_rejected(write_log, _WRITER_TIMEOUT)


def start_writer() -> bool:
    """Start the thread that writes the log. Called before the first measurement of a process, and
    again later if it returned ``False``.

    :returns: whether the log is written from now on
    """
    global _bell
    if _has_ended:
        # The interpreter may start no more threads, and not say so.
        return False
    if _writer is not None:
        # Another thread starts it.
        return True
    if _bell is None:
        _hooks.end_with_billiard(end, _LAST)
        try:
            _bell = _native.open_log()
        except OSError:
            # The process has no file descriptor left.
            return False
    try:
        return _start_writer(_bell)
    except RuntimeError:
        # The system or the interpreter starts no more threads. In an interpreter that is shutting
        # down, end() writes the log.
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
    # A thread inherits the signal mask of the thread that starts it.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        _writer.start()
    except RuntimeError:
        _writer = None
        raise
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return True


def _taken_logs() -> Iterator[tuple[int, str]]:
    """Take the log messages of the core. When they are written, say so: a process that a signal
    ends waits for that.
    """
    messages = _native.take_logs()
    try:
        yield from messages
    finally:
        _native.note_done(len(messages))


def write_log() -> None:
    """Write the log messages of the core."""
    for level, message in _taken_logs():
        try:
            LOGGER.log(level, "%s", message)
        except Exception:
            print_error()


def _write_in_background() -> None:
    """Write the log messages of the core, and call the functions ``on_rejected``.

    Nothing that a logging handler or such a function raises ends the caller.
    """
    _write_log_and_go_on()
    _rejected.pass_rejected(_write_log_and_go_on)


def _write_log_and_go_on() -> None:
    for level, message in _taken_logs():
        try:
            LOGGER.log(level, "%s", message)
        except BaseException:
            print_error()


def _write(bell: int) -> None:
    while os.read(bell, 4096):
        _write_in_background()


def _is_patched(patcher: str, function: str, name: str) -> bool:
    module: Any = sys.modules.get(patcher)
    return module is not None and bool(getattr(module, function)(name))


def _write_with_gevent(bell: int) -> None:
    """Write the log in greenlets: under gevent, a thread that blocks would block all of them."""
    global _stop_watcher
    gevent: Any = importlib.import_module("gevent")

    def rung() -> None:
        if os.read(bell, 4096):
            gevent.spawn(_write_in_background)
        else:
            watcher.stop()

    # Waiting for the end of the hub's loop must not wait for this watcher.
    watcher = gevent.get_hub().loop.io(bell, 1, ref=False)
    watcher.start(rung)
    _stop_watcher = watcher.stop


def _write_with_eventlet(bell: int) -> None:
    """As with gevent. Before eventlet 0.37, ``os.read`` does not yield, so wait with the hub."""
    eventlet: Any = importlib.import_module("eventlet")
    hubs: Any = importlib.import_module("eventlet.hubs")

    def write() -> None:
        while True:
            hubs.trampoline(bell, read=True)
            # A forked child has closed it.
            if bell != _bell or not os.read(bell, 4096):
                break
            _write_in_background()

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
    """Register a finalizer: children of multiprocessing end without ``atexit``."""
    if multiprocessing.process.parent_process() is not None:
        multiprocessing.util.Finalize(None, _end_of_child, exitpriority=_LAST)


def _end_of_child() -> None:
    # Other threads of a child may add measurements after its function has returned. The child waits
    # for them after this, so wait for them first.
    threading._shutdown()  # type: ignore[attr-defined]
    end()
