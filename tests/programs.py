"""Processes that tests start: they handle signals by default, and do not outlive the tests."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable

import pytest

#: Seconds after which a program that should have ended hangs.
DEADLINE = 30

NEEDS_ROOT = pytest.mark.skipif(
    os.geteuid() != 0, reason="not applicable: other users cannot raise their limits"
)

#: The beginning of each program that the fixture ``start`` starts.
BEGINNING = """
import os, signal, sys, threading, time
import sprockets_influxdb as influxdb
def add(count=1):
    for number in range(count):
        influxdb.record("db", "m", {"pid": os.getpid()}, {"number": number})
"""

Start = Callable[..., "subprocess.Popen[str]"]


def bound(command: list[str]) -> list[str]:
    """The command, changed to die with the thread that starts it, where Linux allows that."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "KILL", "--", *command] if setpriv else command


def reset_signals() -> None:
    """Handles signals that this process inherited as ignored, as under ``nohup``.

    Its children would inherit that too, and a test that sends SIGINT would never end.
    """
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM):
        if signal.getsignal(number) is signal.SIG_IGN:
            is_interrupt = number == signal.SIGINT
            signal.signal(number, signal.default_int_handler if is_interrupt else signal.SIG_DFL)


def end(process: "subprocess.Popen[str]", code: int = 0) -> tuple[str, str]:
    """Waits until a program ends with this exit code. Returns its output and its errors."""
    stdout, stderr = process.communicate(timeout=DEADLINE)
    assert process.returncode == code, stderr
    return stdout, stderr


def wait_until(is_done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE
    while not is_done():
        assert time.monotonic() < deadline, "it does not happen"
        time.sleep(0.01)


def read_line(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline().rstrip("\n")
