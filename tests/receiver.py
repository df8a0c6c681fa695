"""A server that counts the lines that it receives, and programs that write to it.

It forwards the lines to a real influxd if there is one, and compares the counts.
"""

import collections
import contextlib
import http.client
import http.server
import importlib.util
import os
import pathlib
import queue
import signal
import subprocess
import sys
import textwrap
import threading
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

import pytest

from programs import bound

PROCESSES = pathlib.Path(__file__).parent / "processes"

#: Seconds after which what should have ended long ago hangs.
DEADLINE = 20

NEEDS_GEVENT = pytest.mark.skipif(
    importlib.util.find_spec("gevent") is None, reason="there is no gevent here"
)

#: From 3.12 on, a fork of a process that has several threads is then an error.
NO_FORKED_THREADS = ["-W", "error:This process:DeprecationWarning"]


class Receiver(http.server.ThreadingHTTPServer):
    """Counts the lines that it is sent, by their measurement's name."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, influxd: Any, database: str) -> None:
        super().__init__(("127.0.0.1", 0), Request)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.influxd = influxd
        self.database = database
        self.lines: collections.Counter[str] = collections.Counter()
        self.lock = threading.Lock()
        # influxd 1.6.7 sometimes loses one of two first writes to a database that come at the same
        # time, and answers 204.
        self.handing_on = threading.Lock()
        #: So many requests are refused first.
        self.refusals = 0
        #: While this is not set no request is answered.
        self.answers = threading.Event()
        self.answers.set()
        self.has_request = threading.Event()

    def refuses(self) -> bool:
        with self.lock:
            self.refusals -= 1
            return self.refusals >= 0

    def receive(self, path: str, body: bytes) -> int:
        self.has_request.set()
        assert self.answers.wait(DEADLINE)
        if self.refuses():
            return http.client.SERVICE_UNAVAILABLE
        if self.influxd is not None:
            with self.handing_on, urllib.request.urlopen(self.influxd.url + path, body) as reply:
                assert reply.status == http.client.NO_CONTENT
        lines = body.decode().splitlines()
        with self.lock:
            self.lines.update(line.partition(",")[0] for line in lines)
        return http.client.NO_CONTENT

    def arrived(self) -> dict[str, int]:
        """How many lines of each measurement came; no fewer and no more of them are stored."""
        with self.lock:
            arrived = dict(self.lines)
        if self.influxd is not None:
            for name, count in arrived.items():
                [row] = self.influxd.query(f'SELECT COUNT(*) FROM "{name}"', self.database)
                counts = [row[key] for key in row if key.startswith("count_")]
                assert max(counts) == count, (name, row)
        return arrived


class Request(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        status = self.server.receive(self.path, body)
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_ignored: object) -> None:
        pass


@pytest.fixture
def receiver(request: pytest.FixtureRequest) -> Iterator[Receiver]:
    try:
        influxd = request.getfixturevalue("influxd")
        database = request.getfixturevalue("database")
    except (pytest.FixtureLookupError, pytest.skip.Exception):
        influxd, database = None, "matrix"
    with Receiver(influxd, database) as receiver:
        threading.Thread(target=receiver.serve_forever, args=(0.01,), daemon=True).start()
        yield receiver
        receiver.answers.set()
        receiver.shutdown()


class Program:
    """A program in a process of its own, and of a group of its own."""

    def __init__(self, receiver: Receiver, command: list[str], variables: dict[str, str]) -> None:
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith("INFLUXDB_")
        }
        environment.update(
            INFLUXDB_URL=receiver.url,
            INFLUXDB_TAG_HOSTNAME="false",
            INFLUXDB_SHUTDOWN_TIMEOUT="30000",
            MATRIX_DATABASE=receiver.database,
            PYTHONPATH=str(PROCESSES),
            PYTHONFAULTHANDLER="1",
            PYTHONUNBUFFERED="1",
        )
        environment.update(variables)
        self.process = subprocess.Popen(
            bound(command),
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.stdout: queue.Queue[str] = queue.Queue()
        self.stderr: queue.Queue[str] = queue.Queue()
        self.readers = [
            threading.Thread(target=self._read, args=(self.process.stdout, self.stdout)),
            threading.Thread(target=self._read, args=(self.process.stderr, self.stderr)),
        ]
        for reader in self.readers:
            reader.start()

    @staticmethod
    def _read(pipe: Any, lines: "queue.Queue[str]") -> None:
        for line in pipe:
            lines.put(line.rstrip("\n"))
        pipe.close()

    @staticmethod
    def _rest(lines: "queue.Queue[str]") -> str:
        rest = []
        with contextlib.suppress(queue.Empty):
            while True:
                rest.append(lines.get_nowait())
        return "\n".join(rest)

    def line(self) -> str:
        """The next line that it prints."""
        try:
            return self.stdout.get(timeout=DEADLINE)
        except queue.Empty:
            self.abort("it printed nothing")

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def end(self, code: int = 0) -> tuple[str, str]:
        """Waits for its end with that code, and returns what is left of what it printed."""
        try:
            ended = self.process.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            self.abort("it hangs")
        self.close()
        stdout, stderr = self._rest(self.stdout), self._rest(self.stderr)
        assert ended == code, stderr
        return stdout, stderr

    def abort(self, reason: str) -> NoReturn:
        # Python prints then what each thread was at.
        self.process.send_signal(signal.SIGABRT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(5)
        self.close()
        pytest.fail(f"{reason}\n{self._rest(self.stdout)}\n{self._rest(self.stderr)}")

    def close(self) -> None:
        """No process of the group outlives the test."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        for reader in self.readers:
            reader.join()


Launch = Callable[..., Program]


@pytest.fixture
def launch(receiver: Receiver) -> Iterator[Launch]:
    """Starts a program: a command, or the text of a Python program, without its imports."""
    programs = []

    def launch(program: str | list[str], *options: str, **variables: str) -> Program:
        if isinstance(program, str):
            beginning = (
                "import os, sys, threading\n"
                "import sprockets_influxdb as influxdb\n"
                "from matrix import *\n"
            )
            program = [sys.executable, *options, "-c", beginning + textwrap.dedent(program)]
        programs.append(Program(receiver, program, variables))
        return programs[-1]

    yield launch
    for program in programs:
        program.close()
