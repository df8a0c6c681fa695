"""Gunicorn, uWSGI and Tornado with several processes."""

import collections
import importlib.util
import os
import pathlib
import signal
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable

import pytest

from ports import free_port
from receiver import DEADLINE, NEEDS_GEVENT, NO_FORKED_THREADS, PROCESSES, Launch, Receiver

NEEDS_GUNICORN = pytest.mark.skipif(
    importlib.util.find_spec("gunicorn") is None, reason="there is no gunicorn here"
)

UWSGI = pathlib.Path(sys.executable).parent / "uwsgi"

NEEDS_UWSGI = pytest.mark.skipif(not UWSGI.exists(), reason="there is no uWSGI here")

INSTALL = pytest.mark.parametrize("install", ["before", "after"])


def request_until(
    port: int, enough: Callable[[collections.Counter[str]], bool]
) -> collections.Counter[str]:
    """Makes requests until that is enough; returns how many each worker answered."""
    answers: collections.Counter[str] = collections.Counter()
    end = threading.Event()
    timer = threading.Timer(DEADLINE, end.set)
    timer.start()
    try:
        while not enough(answers) and not end.is_set():
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=DEADLINE) as reply:
                    answers[reply.read().decode()] += 1
            except urllib.error.URLError:
                # It does not listen yet.
                end.wait(0.05)
    finally:
        timer.cancel()
    assert enough(answers), answers
    return answers


def wait_until_idle(processes: Iterable[str]) -> None:
    """Waits until each process sleeps, as far as that can be seen here."""
    for process in processes:
        stat = pathlib.Path("/proc", process, "stat")
        while stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "S":
            threading.Event().wait(0.01)


def two_workers(answers: collections.Counter[str]) -> bool:
    return answers.total() >= 50 and len(answers) == 2


class TestServers:
    """Servers with several processes: each request that was answered is recorded, once."""

    @INSTALL
    @pytest.mark.parametrize(
        "worker", ["sync", "gthread", pytest.param("gevent", marks=NEEDS_GEVENT), "tornado"]
    )
    @NEEDS_GUNICORN
    def test_gunicorn(self, receiver: Receiver, launch: Launch, install: str, worker: str) -> None:
        port = free_port()
        options = ["--preload"] if install == "before" else []
        command = [sys.executable, *NO_FORKED_THREADS, "-m", "gunicorn"]
        command += [*options, "-c", str(PROCESSES / "gunicorn_conf.py"), "-k", worker, "-w", "2"]
        program = launch([*command, "-b", f"127.0.0.1:{port}", "wsgi:application"], INSTALL=install)
        answers = request_until(port, two_workers)
        program.signal(signal.SIGTERM)
        _, stderr = program.end()
        assert "may lead to deadlocks" not in stderr
        assert receiver.arrived() == {"request": answers.total()}

    @INSTALL
    @pytest.mark.parametrize("start_by", ["start", "fork_processes"])
    def test_tornado(self, receiver: Receiver, launch: Launch, install: str, start_by: str) -> None:
        port = free_port()
        command = [
            sys.executable,
            *NO_FORKED_THREADS,
            str(PROCESSES / "tornado_app.py"),
            start_by,
            str(port),
        ]
        program = launch(command, INSTALL=install)
        workers = [int(program.line().removeprefix("worker ")) for _ in range(2)]
        answers = request_until(port, lambda answers: answers.total() >= 50)
        for worker in workers:
            os.kill(worker, signal.SIGTERM)
        program.end()
        assert receiver.arrived() == {"request": answers.total()}

    @INSTALL
    @pytest.mark.parametrize("threads", [[], ["--enable-threads"], ["--threads", "2"]])
    @NEEDS_UWSGI
    def test_uwsgi(
        self, receiver: Receiver, launch: Launch, install: str, threads: list[str]
    ) -> None:
        port = free_port()
        command = [str(UWSGI), "--http-socket", f"127.0.0.1:{port}", "--master", "--processes", "2"]
        command += ["--hook-master-start", "unix_signal:15 gracefully_kill_them_all"]
        command += ["--venv", sys.prefix, *threads, "--module", "wsgi:application"]
        program = launch(command, INSTALL=install)
        answers = request_until(port, two_workers)
        # It ends a worker that is not quite done with a request without Python's exit.
        wait_until_idle(answers)
        program.signal(signal.SIGTERM)
        program.end()
        assert receiver.arrived() == {"request": answers.total()}
