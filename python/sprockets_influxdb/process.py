"""What the process itself uses: CPU, memory, garbage collection, threads, the event loop, files::

    from sprockets_influxdb import process

    process.watch(database="example")

It reads only the standard library and ``/proc``. Where there is no ``/proc``, its fields are
absent.
"""

import asyncio
import gc
import math
import os
import sys
import threading
import time
import weakref
from types import TracebackType
from typing import TYPE_CHECKING, Any

from sprockets_influxdb._clients import Client
from sprockets_influxdb._integrations import Recorder
from sprockets_influxdb._options import INTEGRATION_NAMES, with_hints

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Watch", "watch"]

#: Seconds between two looks at the event loop, unless the interval is shorter.
_PROBE_INTERVAL = 1.0

_current: "Watch | None" = None


@with_hints(INTEGRATION_NAMES)
def watch(
    interval: float = 10.0,
    *,
    name: str | None = None,
    loop: asyncio.AbstractEventLoop | None = None,
    measurement: str = "process",
    database: str | None = None,
    client: Client | None = None,
) -> "Watch":
    """Record the state of this process after a second, and then at an interval, on a thread of its
    own. A forked child is watched as well. A second call stops the first watch. Call it after
    :func:`sprockets_influxdb.install`.

    - Tag: ``process``, the ``name``, if there is one.
    - Fields of CPU and memory: ``cpu`` (cores that were used since the last point, so 1.0 is one
      core), ``cpu_user`` and ``cpu_system`` (seconds since the begin), ``memory`` (resident bytes),
      ``memory_peak`` (bytes).
    - Fields of Python: ``gc_collections`` and ``gc_collected`` (numbers since the begin),
      ``gc_pause`` (seconds of garbage collection since the last point), ``threads`` (of the system,
      those of extensions included), ``open_files`` (descriptors).
    - ``loop_lag``: the longest time since the last point that the event loop needed to run a
      callback, in seconds. It is looked at once a second.
    - ``pid`` and ``uptime`` (seconds since the watch began in this process).

    What cannot be recorded is a warning in the log, at most one a minute.

    :param interval: seconds between two points
    :param name: a name for this kind of process, such as ``"worker"``
    :param loop: the event loop to look at; default: the one that is running, if there is one
    :param measurement: the name of the measurements
    :param database: the database (bucket); default: that of the client
    :param client: the client; default: the installed one
    :raises ValueError: for an interval that is not positive
    :raises TypeError: for a database that is not a string, and for an object that is not a client
    """
    global _current
    if not (interval > 0 and math.isfinite(interval)):
        raise ValueError(f"interval is {interval!r}: expected seconds, more than 0")
    if loop is None:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            loop = None
    recorder = Recorder(measurement, ("process",), database=database, client=client)
    if _current is not None:
        _current.stop()
    _current = Watch(recorder, interval, name, loop)
    return _current


class Watch:
    """A process that is watched, until :meth:`stop` or the end of a ``with`` block."""

    def __init__(
        self,
        recorder: Recorder,
        interval: float,
        name: str | None,
        loop: asyncio.AbstractEventLoop | None,
    ) -> None:
        self._recorder = recorder
        self._interval = interval
        self._name = name
        self._loop = _Loop(loop)
        self._is_stopped = False
        self._begin()

    def stop(self) -> None:
        """Record no more points."""
        self._is_stopped = True
        self._end.set()
        self._collections.stop()

    def __enter__(self) -> "Self":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def _begin(self) -> None:
        """Begin to watch this process."""
        self._began = time.monotonic()
        self._last = self._began, _cpu()
        self._collections = _Collections()
        self._end = threading.Event()
        threading.Thread(target=self._run, name="influxdb-process", daemon=True).start()

    def _go_on_in_child(self) -> None:
        if self._is_stopped:
            return
        self._collections.stop()
        # The parent's loop does not run here.
        self._loop = _Loop(None)
        try:
            self._begin()
        except RuntimeError as error:
            # The system starts no more threads.
            self._recorder.warn(error)

    def _run(self) -> None:
        end, loop = self._end, self._loop
        step = min(self._interval, _PROBE_INTERVAL)
        due = self._began + step
        while True:
            loop.probe()
            if end.wait(min(max(due - time.monotonic(), 0.0), step)):
                return
            if time.monotonic() >= due:
                self._record()
                due = time.monotonic() + self._interval

    def _record(self) -> None:
        try:
            self._recorder.record(process=self._name, **self._fields())
        except Exception as error:
            self._recorder.warn(error)

    def _fields(self) -> dict[str, float | int | None]:
        now, times, used = time.monotonic(), os.times(), _cpu()
        before, used_before = self._last
        cpu = (used - used_before) / (now - before) if now > before else None
        self._last = now, used
        generations = gc.get_stats()
        status = _status()
        return {
            "cpu": cpu,
            "cpu_user": times.user,
            "cpu_system": times.system,
            "memory": _bytes(status.get("VmRSS")),
            "memory_peak": _bytes(status.get("VmHWM")) or _peak(),
            "gc_collections": sum(each["collections"] for each in generations),
            "gc_collected": sum(each["collected"] for each in generations),
            "gc_pause": self._collections.take(),
            "threads": int(status.get("Threads", 0)) or threading.active_count(),
            "open_files": _open_files(),
            "loop_lag": self._loop.take(),
            "pid": os.getpid(),
            "uptime": now - self._began,
        }


class _Collections:
    """The time that garbage collection takes."""

    def __init__(self) -> None:
        self._seconds = 0.0
        self._began: float | None = None
        gc.callbacks.append(self._called)

    def take(self) -> float:
        """Return the seconds since the last call."""
        seconds, self._seconds = self._seconds, 0.0
        return seconds

    def stop(self) -> None:
        if self._called in gc.callbacks:
            gc.callbacks.remove(self._called)

    def _called(self, phase: str, _info: Any) -> None:
        if phase == "start":
            self._began = time.perf_counter()
        elif self._began is not None:
            self._seconds += time.perf_counter() - self._began
            self._began = None


class _Loop:
    """How long an event loop needs to run a callback."""

    def __init__(self, loop: asyncio.AbstractEventLoop | None) -> None:
        self._loop = None if loop is None else weakref.ref(loop)
        #: When a callback was given to the loop that has not run yet.
        self._asked: float | None = None
        self._longest: float | None = None

    def probe(self) -> None:
        """Give the loop a callback, unless it has one."""
        loop = None if self._loop is None else self._loop()
        if loop is None or self._asked is not None or not loop.is_running():
            return
        self._asked = time.perf_counter()
        try:
            loop.call_soon_threadsafe(self._answer)
        except RuntimeError:
            # The loop is closed.
            self._asked = None

    def take(self) -> float | None:
        """Return the longest time since the last call. ``None`` if the loop does not run."""
        asked, longest = self._asked, self._longest
        self._longest = None
        loop = None if self._loop is None else self._loop()
        if loop is None or not loop.is_running():
            self._asked = None
            return longest
        if asked is not None:
            # It is blocked.
            longest = max(longest or 0.0, time.perf_counter() - asked)
        return longest

    def _answer(self) -> None:
        asked = self._asked
        if asked is not None:
            self._longest = max(self._longest or 0.0, time.perf_counter() - asked)
            self._asked = None


def _cpu() -> float:
    times = os.times()
    return times.user + times.system


def _status() -> dict[str, str]:
    """Return the kernel's counters of this process, by name."""
    try:
        with open("/proc/self/status", encoding="utf-8", errors="replace") as file:
            lines = [line.partition(":") for line in file]
    except OSError:
        return {}
    return {name: value.strip() for name, _, value in lines}


def _bytes(value: str | None) -> int | None:
    """Convert a number of kilobytes, as in ``"1234 kB"``."""
    return None if value is None else int(value.split()[0]) * 1024


def _peak() -> int | None:
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _open_files() -> int | None:
    try:
        # Without the one that lists the directory.
        return len(os.listdir("/proc/self/fd")) - 1
    except OSError:
        return None


def _after_fork() -> None:
    if _current is not None:
        _current._go_on_in_child()


os.register_at_fork(after_in_child=_after_fork)
