"""Start and end of real processes: each test counts what arrives at a server.

The programs run in processes of their own. They write to a receiver that counts every line, so that
duplicates show. It forwards the lines to a real influxd if there is one, and compares the counts.
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
import socket
import subprocess
import sys
import textwrap
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NoReturn

import pytest

from programs import bound

PROCESSES = pathlib.Path(__file__).parent / "processes"

#: Seconds after which what should have ended long ago hangs.
DEADLINE = 20

NEEDS_UVLOOP = pytest.mark.skipif(
    importlib.util.find_spec("uvloop") is None, reason="there is no uvloop here"
)
NEEDS_GEVENT = pytest.mark.skipif(
    importlib.util.find_spec("gevent") is None, reason="there is no gevent here"
)
NEEDS_GUNICORN = pytest.mark.skipif(
    importlib.util.find_spec("gunicorn") is None, reason="there is no gunicorn here"
)
UWSGI = pathlib.Path(sys.executable).parent / "uwsgi"
NEEDS_UWSGI = pytest.mark.skipif(not UWSGI.exists(), reason="there is no uWSGI here")

#: From 3.12 on, a fork of a process that has several threads is then an error.
NO_FORKED_THREADS = ["-W", "error:This process:DeprecationWarning"]

START_METHODS = pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])


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
        self.asked = threading.Event()

    def refuses(self) -> bool:
        with self.lock:
            self.refusals -= 1
            return self.refusals >= 0

    def receive(self, path: str, body: bytes) -> int:
        self.asked.set()
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
                [row] = self.influxd.query(f'SELECT COUNT("number") FROM "{name}"', self.database)
                assert row["count"] == count, name
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


Start = Callable[..., Program]


@pytest.fixture
def start(receiver: Receiver) -> Iterator[Start]:
    """Starts a program: a command, or the text of a Python program, without its imports."""
    programs = []

    def start(program: str | list[str], *options: str, **variables: str) -> Program:
        if isinstance(program, str):
            beginning = (
                "import os, sys, threading\n"
                "import sprockets_influxdb as influxdb\n"
                "from matrix import *\n"
            )
            program = [sys.executable, *options, "-c", beginning + textwrap.dedent(program)]
        programs.append(Program(receiver, program, variables))
        return programs[-1]

    yield start
    for program in programs:
        program.close()


class TestEnd:
    """The end of a process delivers what is buffered."""

    @pytest.mark.parametrize(
        ("ending", "code"),
        [
            ("pass", 0),
            ("sys.exit(3)", 3),
            ("raise SystemExit('on purpose')", 1),
            ("raise RuntimeError('on purpose')", 1),
            ("raise KeyboardInterrupt", -signal.SIGINT),
            ("thread = threading.Thread(target=sys.exit); thread.start(); thread.join()", 0),
        ],
    )
    def test_however_the_program_ends_what_is_buffered_arrives(
        self, receiver: Receiver, start: Start, ending: str, code: int
    ) -> None:
        start(f"influxdb.install()\nadd('m', 100)\n{ending}").end(code)
        assert receiver.arrived() == {"m": 100}

    def test_what_is_added_at_exit_arrives(self, receiver: Receiver, start: Start) -> None:
        start("""
            import atexit
            atexit.register(add, "registered-before", 2)
            influxdb.install()
            atexit.register(add, "registered-after", 3)
        """).end()
        assert receiver.arrived() == {"registered-before": 2, "registered-after": 3}

    def test_the_very_first_measurement_may_be_added_at_exit(
        self, receiver: Receiver, start: Start
    ) -> None:
        _, stderr = start("import atexit; atexit.register(add, 'm')").end()
        assert (receiver.arrived(), stderr) == ({"m": 1}, "")

    def test_threads_that_outlive_the_program_are_waited_for(
        self, receiver: Receiver, start: Start
    ) -> None:
        start("""
            def go_on():
                add("thread", 10)
                threading.main_thread().join()
                add("thread", 10)
            threading.Thread(target=go_on).start()
            add("main", 10)
        """).end()
        assert receiver.arrived() == {"thread": 20, "main": 10}

    @pytest.mark.parametrize("overflow", ["newest", "block"])
    def test_daemon_threads_may_add_until_there_is_no_interpreter(
        self, receiver: Receiver, start: Start, overflow: str
    ) -> None:
        _, stderr = start(
            """
            influxdb.install()
            def go_on():
                while True:
                    add("noise")
            for _ in range(4):
                threading.Thread(target=go_on, daemon=True).start()
            add("main", 100)
            """,
            INFLUXDB_OVERFLOW=overflow,
            INFLUXDB_MAX_BUFFER_SIZE="1000000",
        ).end()
        assert receiver.arrived()["main"] == 100
        # Nothing but what becomes of those that are added too late.
        assert all(" dropped (closed)" in line for line in stderr.splitlines()), stderr

    def test_with_the_server_down_the_process_ends_and_says_what_is_lost(
        self, receiver: Receiver, start: Start
    ) -> None:
        with socket.socket() as nobody:
            nobody.bind(("127.0.0.1", 0))
            url = f"http://127.0.0.1:{nobody.getsockname()[1]}"
            program = start("add('m', 7)", INFLUXDB_URL=url, INFLUXDB_SHUTDOWN_TIMEOUT="500")
            _, stderr = program.end()
        assert "7 measurements are lost" in stderr
        assert receiver.arrived() == {}

    def test_with_a_server_that_never_answers_the_process_ends(
        self, receiver: Receiver, start: Start
    ) -> None:
        receiver.answers.clear()
        _, stderr = start("add('m', 7)", INFLUXDB_SHUTDOWN_TIMEOUT="500").end()
        assert "7 measurements are lost" in stderr

    def test_who_has_waited_for_the_shutdown_is_not_made_to_wait_again(
        self, receiver: Receiver, start: Start
    ) -> None:
        receiver.answers.clear()
        timeout = str(2 * DEADLINE * 1000)
        start("add('m', 7); influxdb.shutdown_sync(0.1)", INFLUXDB_SHUTDOWN_TIMEOUT=timeout).end()
        start(
            f"""
            import asyncio
            async def main():
                assert await influxdb.shutdown() is False
            add("m", 7)
            asyncio.run(main())
            influxdb._native.configure([("shutdown_timeout", "{timeout}")])
            """,
            INFLUXDB_SHUTDOWN_TIMEOUT="100",
        ).end()

    def test_a_process_that_dies_of_sigterm_delivers_before(
        self, receiver: Receiver, start: Start
    ) -> None:
        program = start("import signal; add('m'); print('ready'); signal.pause()")
        assert program.line() == "ready"
        program.signal(signal.SIGTERM)
        program.end(-signal.SIGTERM)
        assert receiver.arrived() == {"m": 1}

    def test_sigterm_with_a_handler_that_exits_delivers(
        self, receiver: Receiver, start: Start
    ) -> None:
        program = start("""
            import signal
            signal.signal(signal.SIGTERM, lambda *_: sys.exit(4))
            add("m", 5)
            print("ready")
            signal.pause()
        """)
        assert program.line() == "ready"
        program.signal(signal.SIGTERM)
        program.end(4)
        assert receiver.arrived() == {"m": 5}

    def test_a_signal_handler_may_add_whatever_it_interrupts(
        self, receiver: Receiver, start: Start
    ) -> None:
        start("""
            import signal
            alarms = 0
            def alarm(*_):
                global alarms
                alarms += 1
                add("alarm")
            signal.signal(signal.SIGALRM, alarm)
            signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
            while alarms < 100:
                add("main")
                influxdb.flush_sync()
            signal.setitimer(signal.ITIMER_REAL, 0)
        """).end()
        assert receiver.arrived()["alarm"] >= 100


class TestFork:
    """After ``os.fork()`` each side delivers what was added on its side, once."""

    @pytest.mark.parametrize(
        ("ending", "arrives"),
        [
            ("pass", 10),
            ("sys.exit()", 10),
            ("influxdb.shutdown_sync(); os._exit(0)", 10),
            ("influxdb.flush_sync(); os._exit(0)", 10),
            ("os._exit(0)", 0),
        ],
    )
    @pytest.mark.parametrize("install", ["before", "after", "never"])
    def test_a_child_starts_empty_and_delivers_its_own(
        self, receiver: Receiver, start: Start, ending: str, arrives: int, install: str
    ) -> None:
        start(f"""
            if {install!r} == "before":
                assert influxdb.install()
            if {install!r} != "after":
                add("parent", 100)
            child = os.fork()
            if {install!r} == "after":
                assert influxdb.install()
            if child == 0:
                assert influxdb.stats()["added"] == influxdb.stats()["pending"] == 0
                add("child", 10)
                assert influxdb.stats()["added"] == 10
                {ending}
            else:
                wait_for_children(child)
                if {install!r} == "after":
                    add("parent", 100)
                assert influxdb.stats()["added"] == influxdb.stats()["pending"] == 100
        """).end()
        assert receiver.arrived() == {"parent": 100} | ({"child": arrives} if arrives else {})

    def test_installing_before_a_fork_leaves_the_process_with_one_thread(
        self, receiver: Receiver, start: Start
    ) -> None:
        # Python 3.12 and later warn of a fork in a process with several threads. The warning makes
        # this program fail.
        start(
            """
            influxdb.install(trigger_size=10**6)
            influxdb.settings(), influxdb.stats(), influxdb.flush_sync()
            influxdb.set_timeout(10**6)
            influxdb.Measurement(DATABASE, "not added").set_field("number", 1)
            for depth in range(3):
                child = os.fork()
                if child:
                    wait_for_children(child)
                    break
            add(f"depth-{depth}")
            """,
            "-W",
            "error",
        ).end()
        assert receiver.arrived() == {"depth-0": 1, "depth-1": 1, "depth-2": 2}

    def test_forks_under_load_lose_nothing_and_send_nothing_twice(
        self, receiver: Receiver, start: Start
    ) -> None:
        stdout, _ = start(
            """
            is_over = threading.Event()
            added = []
            def go_on():
                count = 0
                while not is_over.is_set():
                    add("parent", 10)
                    count += 10
                added.append(count)
            threads = [threading.Thread(target=go_on) for _ in range(4)]
            for thread in threads:
                thread.start()
            for number in range(50):
                child = os.fork()
                if child == 0:
                    add("child", 7)
                    if number % 2:
                        os._exit(influxdb.shutdown_sync()["pending"])
                    sys.exit()
                wait_for_children(child)
            is_over.set()
            for thread in threads:
                thread.join()
            print(sum(added))
            """,
            "-W",
            "ignore",
            INFLUXDB_TRIGGER_SIZE="500",
            INFLUXDB_OVERFLOW="block",
        ).end()
        assert receiver.arrived() == {"parent": int(stdout), "child": 50 * 7}

    def test_a_child_may_fork_on(self, receiver: Receiver, start: Start) -> None:
        start(
            """
            for generation in range(5):
                add(f"generation-{generation}", generation + 1)
                child = os.fork()
                if child:
                    wait_for_children(child)
                    break
            """,
            "-W",
            "ignore",
        ).end()
        assert receiver.arrived() == {
            f"generation-{generation}": generation + 1 for generation in range(5)
        }

    def test_a_thread_may_fork(self, receiver: Receiver, start: Start) -> None:
        start(
            """
            add("parent", 3)
            def fork():
                child = os.fork()
                if child:
                    wait_for_children(child)
                else:
                    add("child", 2)
                    os._exit(influxdb.shutdown_sync()["pending"])
            thread = threading.Thread(target=fork)
            thread.start()
            thread.join()
            """,
            "-W",
            "ignore",
        ).end()
        assert receiver.arrived() == {"parent": 3, "child": 2}

    def test_a_child_has_shutdown_futures_of_its_own(
        self, receiver: Receiver, start: Start
    ) -> None:
        start(
            """
            from tornado import ioloop
            add("parent", 3)
            loop = ioloop.IOLoop.current()
            shutdown = influxdb.shutdown()
            child = os.fork()
            if child:
                wait_for_children(child)
                assert influxdb.shutdown() is shutdown
                assert loop.run_sync(lambda: shutdown)
            else:
                # The parent's loop is not to be used here: its selector is shared.
                import asyncio
                asyncio.set_event_loop(asyncio.new_event_loop())
                add("child", 2)
                assert influxdb.shutdown() is not shutdown
                assert ioloop.IOLoop.current().run_sync(influxdb.shutdown)
                os._exit(influxdb.stats()["pending"])
            """,
            "-W",
            "ignore",
        ).end()
        assert receiver.arrived() == {"parent": 3, "child": 2}

    def test_a_child_of_a_client_that_was_shut_down_has_one_that_is_not(
        self, receiver: Receiver, start: Start
    ) -> None:
        start(
            """
            add("parent", 3)
            influxdb.shutdown_sync()
            child = os.fork()
            add("child" if child == 0 else "too late", 2)
            if child:
                wait_for_children(child)
            """,
            "-W",
            "ignore",
        ).end()
        assert receiver.arrived() == {"parent": 3, "child": 2}


class TestMultiprocessing:
    """What children add arrives, however they are started."""

    def start(self, start: Start, method: str, what: str) -> None:
        start([sys.executable, "-W", "ignore", str(PROCESSES / "children.py"), method, what]).end()

    @START_METHODS
    def test_what_processes_add_arrives_however_they_end(
        self, receiver: Receiver, start: Start, method: str
    ) -> None:
        self.start(start, method, "processes")
        assert receiver.arrived() == {"parent": 100, "child": 50, "grandchild": 3}

    @START_METHODS
    def test_what_a_pool_adds_arrives(self, receiver: Receiver, start: Start, method: str) -> None:
        self.start(start, method, "pool")
        assert receiver.arrived() == {"parent": 100, "child": 200}

    @START_METHODS
    def test_what_an_executor_of_processes_adds_arrives(
        self, receiver: Receiver, start: Start, method: str
    ) -> None:
        self.start(start, method, "executor")
        assert receiver.arrived() == {"parent": 100, "child": 200}


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


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


INSTALL = pytest.mark.parametrize("install", ["before", "after"])


class TestServers:
    """Servers with several processes: each request that was answered is recorded, once."""

    @INSTALL
    @pytest.mark.parametrize(
        "worker", ["sync", "gthread", pytest.param("gevent", marks=NEEDS_GEVENT), "tornado"]
    )
    @NEEDS_GUNICORN
    def test_gunicorn(self, receiver: Receiver, start: Start, install: str, worker: str) -> None:
        port = free_port()
        options = ["--preload"] if install == "before" else []
        command = [sys.executable, *NO_FORKED_THREADS, "-m", "gunicorn"]
        command += [*options, "-c", str(PROCESSES / "gunicorn_conf.py"), "-k", worker, "-w", "2"]
        program = start([*command, "-b", f"127.0.0.1:{port}", "wsgi:application"], INSTALL=install)
        answers = request_until(port, two_workers)
        program.signal(signal.SIGTERM)
        _, stderr = program.end()
        assert "may lead to deadlocks" not in stderr
        assert receiver.arrived() == {"request": answers.total()}

    @INSTALL
    @pytest.mark.parametrize("start_by", ["start", "fork_processes"])
    def test_tornado(self, receiver: Receiver, start: Start, install: str, start_by: str) -> None:
        port = free_port()
        command = [
            sys.executable,
            *NO_FORKED_THREADS,
            str(PROCESSES / "tornado_app.py"),
            start_by,
            str(port),
        ]
        program = start(command, INSTALL=install)
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
        self, receiver: Receiver, start: Start, install: str, threads: list[str]
    ) -> None:
        port = free_port()
        command = [str(UWSGI), "--http-socket", f"127.0.0.1:{port}", "--master", "--processes", "2"]
        command += ["--hook-master-start", "unix_signal:15 gracefully_kill_them_all"]
        command += ["--venv", sys.prefix, *threads, "--module", "wsgi:application"]
        program = start(command, INSTALL=install)
        answers = request_until(port, two_workers)
        # It ends a worker that is not quite done with a request without Python's exit.
        wait_until_idle(answers)
        program.signal(signal.SIGTERM)
        program.end()
        assert receiver.arrived() == {"request": answers.total()}


@pytest.mark.parametrize("loop", ["asyncio", pytest.param("uvloop", marks=NEEDS_UVLOOP)])
class TestLoops:
    """Adds, flushes and shutdowns with no event loop, several, one after another, in another
    thread, and a closed one.
    """

    def start(
        self, start: Start, loop: str, program: str, *options: str, **variables: str
    ) -> Program:
        beginning = "import asyncio\n"
        if loop == "uvloop":
            beginning += "import uvloop\nasyncio.set_event_loop_policy(uvloop.EventLoopPolicy())\n"
        return start(beginning + textwrap.dedent(program), *options, **variables)

    def test_asyncio_run_may_be_called_twice(
        self, receiver: Receiver, start: Start, loop: str
    ) -> None:
        self.start(
            start,
            loop,
            """
            async def main(count):
                add("m", count)
                assert await influxdb.flush()
                assert influxdb.stats()["delivered"] == influxdb.stats()["added"]
            add("m", 1)
            asyncio.run(main(2))
            asyncio.run(main(3))
            async def last():
                add("m", 4)
                assert await influxdb.shutdown()
                assert influxdb.stats()["pending"] == 0
            asyncio.run(last())
            """,
        ).end()
        assert receiver.arrived() == {"m": 10}

    def test_several_loops_may_follow_one_another(
        self, receiver: Receiver, start: Start, loop: str
    ) -> None:
        self.start(
            start,
            loop,
            """
            futures = []
            for number in range(5):
                loop = asyncio.new_event_loop()
                asyncio.set_event_loop(loop)
                add("m")
                async def main():
                    futures.append(influxdb.shutdown() if number == 4 else influxdb.flush())
                    return await futures[-1]
                assert loop.run_until_complete(main())
                assert futures[-1].get_loop() is loop
                loop.close()
            """,
        ).end()
        assert receiver.arrived() == {"m": 5}

    def test_a_second_shutdown_is_the_same_future_and_on_another_loop_another(
        self, receiver: Receiver, start: Start, loop: str
    ) -> None:
        self.start(
            start,
            loop,
            """
            async def main():
                shutdown = influxdb.shutdown("an application", "and its loop")
                assert influxdb.shutdown() is shutdown
                assert await shutdown
                assert influxdb.shutdown() is shutdown
                return shutdown
            add("m")
            assert asyncio.run(main()) is not asyncio.run(main())
            """,
        ).end()
        assert receiver.arrived() == {"m": 1}

    def test_a_future_that_is_cancelled_costs_no_measurement(
        self, receiver: Receiver, start: Start, loop: str
    ) -> None:
        receiver.answers.clear()
        program = self.start(
            start,
            loop,
            """
            async def main():
                add("m", 3)
                for begin in influxdb.flush, influxdb.shutdown:
                    future = begin()
                    try:
                        await asyncio.wait_for(future, 0.01)
                    except asyncio.TimeoutError:
                        assert future.cancelled()
                print("cancelled")
                assert await influxdb.shutdown()
            asyncio.run(main())
            """,
        )
        assert program.line() == "cancelled"
        receiver.answers.set()
        program.end()
        assert receiver.arrived() == {"m": 3}

    def test_a_loop_may_be_closed_before_its_flush_is_done(
        self, receiver: Receiver, start: Start, loop: str
    ) -> None:
        receiver.answers.clear()
        program = self.start(
            start,
            loop,
            """
            import gc, signal
            # A process may choose to die of what is written to nobody.
            signal.signal(signal.SIGPIPE, signal.SIG_DFL)
            async def main():
                add("m", 3)
                influxdb.flush()
            for _ in range(3):
                asyncio.run(main())
            gc.collect()
            print("closed")
            assert influxdb.flush_sync()["pending"] == 0
            assert influxdb.stats()["delivered"] == 9
            """,
        )
        assert program.line() == "closed"
        receiver.answers.set()
        program.end()
        assert receiver.arrived() == {"m": 9}

    def test_a_loop_may_run_in_any_thread(
        self, receiver: Receiver, start: Start, loop: str
    ) -> None:
        self.start(
            start,
            loop,
            """
            async def main(count):
                add("m", count)
                assert await influxdb.flush()
            threads = [threading.Thread(target=lambda: asyncio.run(main(5))) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            def shut_down():
                assert asyncio.run(last())
                print("shut down")
            async def last():
                add("m", 5)
                return await influxdb.shutdown()
            thread = threading.Thread(target=shut_down)
            thread.start()
            thread.join()
            """,
        ).end()
        assert receiver.arrived() == {"m": 25}

    def test_adding_needs_no_loop(self, receiver: Receiver, start: Start, loop: str) -> None:
        self.start(
            start,
            loop,
            """
            import concurrent.futures
            add("before", 3)
            threads = [threading.Thread(target=add, args=("thread", 3)) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            with concurrent.futures.ThreadPoolExecutor(4) as executor:
                list(executor.map(lambda _: add("executor", 3), range(4)))
            async def main():
                loop = asyncio.get_running_loop()
                run = loop.run_in_executor
                await asyncio.gather(*(run(None, add, "executor-of-loop", 3) for _ in range(4)))
                add("loop", 3)
            asyncio.run(main())
            add("after", 3)
            """,
        ).end()
        twelve = {"thread": 12, "executor": 12, "executor-of-loop": 12}
        assert receiver.arrived() == {"before": 3, **twelve, "loop": 3, "after": 3}

    def test_a_loop_may_be_stopped_right_after_shutdown(
        self, receiver: Receiver, start: Start, loop: str
    ) -> None:
        self.start(
            start,
            loop,
            """
            from tornado import ioloop
            # uvloop makes none by itself, nor does the oldest Tornado.
            asyncio.set_event_loop(asyncio.new_event_loop())
            io_loop = ioloop.IOLoop.current()
            influxdb.install()
            add("m", 5)
            def stop():
                influxdb.shutdown()
                io_loop.stop()
            io_loop.add_callback(stop)
            io_loop.start()
            """,
        ).end()
        assert receiver.arrived() == {"m": 5}

    def test_while_the_server_is_down_futures_come_to_their_end(
        self, receiver: Receiver, start: Start, loop: str
    ) -> None:
        receiver.answers.clear()
        self.start(
            start,
            loop,
            """
            async def main():
                add("m", 5)
                assert await influxdb.flush() is False
                assert await influxdb.shutdown() is False
                assert influxdb.stats()["pending"] == 5
            asyncio.run(main())
            """,
            INFLUXDB_SHUTDOWN_TIMEOUT="200",
        ).end()

    def test_done_callbacks_run_on_the_loop_that_goes_on_meanwhile(
        self, receiver: Receiver, start: Start, loop: str
    ) -> None:
        receiver.answers.clear()
        program = self.start(
            start,
            loop,
            """
            async def main():
                add("m", 5)
                called = asyncio.Event()
                where = []
                def done(future):
                    where.append((threading.current_thread(), asyncio.get_running_loop()))
                    called.set()
                future = influxdb.flush()
                future.add_done_callback(done)
                for _ in range(100):
                    await asyncio.sleep(0)
                assert not future.done()
                print("going on")
                await called.wait()
                assert where == [(threading.current_thread(), asyncio.get_running_loop())]
            asyncio.run(main())
            """,
        )
        assert program.line() == "going on"
        receiver.answers.set()
        program.end()
        assert receiver.arrived() == {"m": 5}


@NEEDS_GEVENT
class TestGevent:
    """With everything patched, so that threads are greenlets."""

    def start(self, start: Start, program: str, **variables: str) -> Program:
        patched = "from gevent import monkey\nmonkey.patch_all()\nimport gevent\n"
        return start(patched + textwrap.dedent(program), "-W", "ignore", **variables)

    @pytest.mark.parametrize(
        "ending", ["pass", "influxdb.flush_sync()", "influxdb.shutdown_sync()", "sys.exit()"]
    )
    def test_what_greenlets_add_arrives(
        self, receiver: Receiver, start: Start, ending: str
    ) -> None:
        self.start(
            start,
            f"""
            def work():
                for _ in range(10):
                    add("m", 10)
                    gevent.sleep(0)
            gevent.joinall([gevent.spawn(work) for _ in range(20)], raise_error=True)
            {ending}
            """,
        ).end()
        assert receiver.arrived() == {"m": 2000}

    def test_who_waits_for_the_hub_does_not_wait_for_the_client(
        self, receiver: Receiver, start: Start
    ) -> None:
        self.start(start, "add('m')\nassert gevent.wait()").end()
        assert receiver.arrived() == {"m": 1}

    def test_the_log_is_written_while_greenlets_go_on(
        self, receiver: Receiver, start: Start
    ) -> None:
        receiver.refusals = 10**6
        self.start(
            start,
            """
            import logging
            from gevent.event import Event
            written = Event()
            class Handler(logging.Handler):
                def emit(self, record):
                    written.set()
            logging.getLogger("sprockets_influxdb").addHandler(Handler())
            add("m", 10)
            assert written.wait(30)
            """,
            INFLUXDB_TRIGGER_SIZE="10",
            INFLUXDB_SHUTDOWN_TIMEOUT="0",
        ).end()

    def test_a_thread_of_the_hub_may_flush_while_greenlets_go_on(
        self, receiver: Receiver, start: Start
    ) -> None:
        receiver.answers.clear()
        program = self.start(
            start,
            """
            add("m", 3)
            flushing = gevent.get_hub().threadpool.spawn(influxdb.flush_sync)
            gevent.spawn(print, "going on").join()
            assert flushing.get()["delivered"] == 3
            """,
        )
        assert program.line() == "going on"
        receiver.answers.set()
        program.end()
        assert receiver.arrived() == {"m": 3}

    def test_a_child_of_a_fork_delivers_its_own(self, receiver: Receiver, start: Start) -> None:
        self.start(
            start,
            """
            add("parent", 3)
            child = os.fork()
            if child:
                wait_for_children(child)
            else:
                gevent.joinall([gevent.spawn(add, "child", 2)], raise_error=True)
            """,
        ).end()
        assert receiver.arrived() == {"parent": 3, "child": 2}


class TestThreads:
    """Any thread adds."""

    def test_what_many_threads_add_arrives(self, receiver: Receiver, start: Start) -> None:
        start(
            """
            threads = [threading.Thread(target=add, args=("m", 5000)) for _ in range(16)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            """,
            INFLUXDB_OVERFLOW="block",
            INFLUXDB_BLOCK_TIMEOUT=str(DEADLINE * 1000),
        ).end()
        assert receiver.arrived() == {"m": 80_000}

    def test_many_threads_may_be_the_first_to_add(self, receiver: Receiver, start: Start) -> None:
        program = """
            import gc
            sys.setswitchinterval(1e-6)
            # On some releases, making any object may run what is to be done when another goes.
            gc.set_threshold(1)
            barrier = threading.Barrier(16)
            def first():
                barrier.wait()
                add("m")
            threads = [threading.Thread(target=first) for _ in range(16)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        """
        for _ in range(5):
            start(program).end()
        assert receiver.arrived() == {"m": 5 * 16}

    def test_what_is_recorded_may_record_while_it_is_turned_into_text(
        self, receiver: Receiver, start: Start
    ) -> None:
        start("""
            class Tag:
                def __str__(self):
                    add("inner")
                    return "tag"
            for _ in range(5):
                influxdb.record(DATABASE, "outer", {"tag": Tag()}, {"number": 1})
        """).end()
        assert receiver.arrived() == {"inner": 5, "outer": 5}


class TestLog:
    """Log messages reach the ``sprockets_influxdb`` logger, from a Python thread."""

    BEGINNING = """
import logging, queue, signal
LOGGER = logging.getLogger("sprockets_influxdb")
LOGGER.setLevel(logging.DEBUG)
class Handler(logging.Handler):
    def __init__(self):
        super().__init__()
        self.records = queue.Queue()
    def emit(self, record):
        self.records.put(record)
    def next(self):
        return self.records.get(timeout=30)
"""

    def start(self, start: Start, program: str, **variables: str) -> Program:
        program = self.BEGINNING + textwrap.dedent(program)
        return start(program, "-W", "ignore", **{"INFLUXDB_TRIGGER_SIZE": "10", **variables})

    def test_messages_come_promptly_with_their_level_from_a_thread_of_python(
        self, receiver: Receiver, start: Start
    ) -> None:
        receiver.refusals = 1
        self.start(
            start,
            """
            handler = Handler()
            LOGGER.addHandler(handler)
            add("m", 10)
            failed, recovered = handler.next(), handler.next()
            assert failed.levelno == logging.WARNING, failed
            assert "cannot write to database" in failed.getMessage(), failed
            assert recovered.levelno == logging.INFO, recovered
            assert "takes measurements again" in recovered.getMessage(), recovered
            assert failed.threadName == recovered.threadName == "influxdb-log"
            """,
        ).end()
        assert receiver.arrived() == {"m": 10}

    def test_no_thread_takes_signals_from_those_of_the_application(
        self, receiver: Receiver, start: Start, tmp_path: pathlib.Path
    ) -> None:
        # Also while it starts. Otherwise the system delivers to it a signal that the main thread
        # could handle.
        self.start(
            start,
            """
            def blocked(thread):
                lines = open(f"/proc/self/task/{thread}/status")
                [text] = [line for line in lines if line.startswith("SigBlk:")]
                mask = int(text.split()[1], 16)
                return {number for number in signal.valid_signals() if mask >> number - 1 & 1}
            add("m")
            threads = map(int, os.listdir("/proc/self/task"))
            ours = [thread for thread in threads if thread != os.getpid()]
            # The threads of the log, the sender and the spool, and the one that waits for SIGTERM.
            assert len(ours) == 4
            for thread in ours:
                expected = {signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGALRM}
                assert blocked(thread) >= expected
                # A thread that has just started blocks all signals.
                while blocked(thread) & {signal.SIGSEGV, signal.SIGBUS}:
                    pass
            assert not blocked(os.getpid())
            """,
            INFLUXDB_SPOOL=str(tmp_path),
        ).end()
        assert receiver.arrived() == {"m": 1}

    def test_what_there_is_to_say_of_the_configuration_is_said_at_once(
        self, receiver: Receiver, start: Start
    ) -> None:
        self.start(
            start,
            """
            handler = Handler()
            LOGGER.addHandler(handler)
            influxdb.install(max_buffer_size=100, trigger_size=1000)
            assert "trigger" in handler.records.get_nowait().getMessage()
            assert threading.active_count() == 1
            """,
        ).end()

    def test_a_handler_may_add_measurements(self, receiver: Receiver, start: Start) -> None:
        self.start(
            start,
            """
            # Each message adds more than the buffer takes, which would be logged again, and so on.
            class Adding(Handler):
                def emit(self, record):
                    add("from-the-handler", 50)
                    super().emit(record)
            handler = Adding()
            LOGGER.addHandler(handler)
            add("m", 100)
            handler.next()
            influxdb.shutdown_sync(0)
            assert handler.records.qsize() < 10
            """,
            INFLUXDB_URL="http://127.0.0.1:9",
            INFLUXDB_MAX_BUFFER_SIZE="20",
            INFLUXDB_SHUTDOWN_TIMEOUT="0",
        ).end()

    def test_a_handler_that_raises_costs_no_other_message(
        self, receiver: Receiver, start: Start
    ) -> None:
        receiver.refusals = 1
        _, stderr = self.start(
            start,
            """
            class Raising(Handler):
                def emit(self, record):
                    super().emit(record)
                    raise RuntimeError("on purpose")
            handler = Raising()
            LOGGER.addHandler(handler)
            add("m", 10)
            handler.next(), handler.next()
            """,
        ).end()
        assert stderr.count("RuntimeError: on purpose") == 2
        assert receiver.arrived() == {"m": 10}

    def test_a_child_of_a_fork_writes_its_own_log(self, receiver: Receiver, start: Start) -> None:
        receiver.refusals = 10**6
        self.start(
            start,
            """
            handler = Handler()
            LOGGER.addHandler(handler)
            add("parent", 10)
            assert "cannot write to database" in handler.next().getMessage()
            child = os.fork()
            if child:
                wait_for_children(child)
            else:
                add("child", 10)
                record = handler.next()
                assert "cannot write to database" in record.getMessage()
                assert record.process == os.getpid()
            """,
            INFLUXDB_SHUTDOWN_TIMEOUT="0",
        ).end()

    def test_the_last_messages_are_written_before_logging_ends(
        self, receiver: Receiver, start: Start, tmp_path: pathlib.Path
    ) -> None:
        receiver.refusals = 10**6
        path = tmp_path / "log"
        self.start(
            start,
            f"""
            import logging.handlers
            file = logging.FileHandler({str(path)!r})
            # Kept until logging ends.
            LOGGER.addHandler(logging.handlers.MemoryHandler(1000, logging.CRITICAL, file))
            add("m", 3)
            """,
            INFLUXDB_SHUTDOWN_TIMEOUT="500",
        ).end()
        log = path.read_text()
        assert log.index("cannot write to database") < log.index("3 measurements are lost")

    def test_a_slow_handler_does_not_hold_up_the_end(
        self, receiver: Receiver, start: Start
    ) -> None:
        receiver.refusals = 10**6
        self.start(
            start,
            """
            class Slow(logging.NullHandler):
                def handle(self, record):
                    if threading.current_thread().name == "influxdb-log":
                        handler.records.put(record)
                        threading.Event().wait()
            handler = Handler()
            LOGGER.addHandler(Slow())
            add("m", 10)
            handler.next()
            """,
            INFLUXDB_SHUTDOWN_TIMEOUT="0",
        ).end()

    def test_no_secret_is_in_the_log_nor_in_the_environment(
        self, receiver: Receiver, start: Start
    ) -> None:
        receiver.refusals = 10**6
        url = receiver.url.replace("//", "//user:hunter2@")
        stdout, stderr = self.start(
            start,
            """
            LOGGER.addHandler(logging.StreamHandler())
            LOGGER.addHandler(handler := Handler())
            influxdb.install()
            add("m", 10)
            handler.next()
            influxdb.set_auth_credentials("user", "hunter3")
            influxdb.shutdown_sync(0)
            print(influxdb.settings(), influxdb.stats())
            print(os.environ["INFLUXDB_PASSWORD"])
            """,
            INFLUXDB_URL=url,
            INFLUXDB_PASSWORD="hunter4",
            INFLUXDB_SHUTDOWN_TIMEOUT="0",
        ).end()
        assert "cannot write to database" in stderr
        assert "hunter" not in stdout + stderr
        assert stdout.splitlines()[-1] == "X" * len("hunter4")


class TestSpool:
    """With a spool, what was added outlives the process, however that ends."""

    AWAIT = """
import time
def wait_for(delivered):
    end = time.monotonic() + 20
    while influxdb.stats()["delivered"] < delivered:
        assert time.monotonic() < end, influxdb.stats()
        influxdb.flush_sync(0.1)
"""

    def test_what_a_killed_process_added_the_next_one_delivers(
        self, receiver: Receiver, start: Start, tmp_path: pathlib.Path
    ) -> None:
        killed = start(
            """
            add("killed", 10_000)
            assert influxdb.stats()["spooled"] == 10_000
            os.kill(os.getpid(), 9)
        """,
            INFLUXDB_URL="http://127.0.0.1:1",
            INFLUXDB_SPOOL=str(tmp_path),
        )
        killed.end(-signal.SIGKILL)
        _, stderr = start(
            self.AWAIT
            + textwrap.dedent("""
            add("next", 1)
            wait_for(10_001)
            assert influxdb.stats()["recovered"] == 10_000
        """),
            INFLUXDB_SPOOL=str(tmp_path),
        ).end()
        assert (receiver.arrived(), stderr) == ({"killed": 10_000, "next": 1}, "")

    def test_a_process_that_ends_while_the_server_is_down_leaves_nothing_lost(
        self, receiver: Receiver, start: Start, tmp_path: pathlib.Path
    ) -> None:
        variables = {"INFLUXDB_SPOOL": str(tmp_path), "INFLUXDB_SHUTDOWN_TIMEOUT": "100"}
        _, stderr = start("add('first', 100)", INFLUXDB_URL="http://127.0.0.1:1", **variables).end()
        assert "100 measurements wait in the spool for the next process" in stderr
        start(self.AWAIT + "add('second', 1)\nwait_for(101)", **variables).end()
        assert receiver.arrived() == {"first": 100, "second": 1}
        assert list((tmp_path / "slots").iterdir()) == []

    def test_a_forked_child_has_a_part_of_the_spool_of_its_own(
        self, receiver: Receiver, start: Start, tmp_path: pathlib.Path
    ) -> None:
        start(
            """
            add("parent", 100)
            child = os.fork()
            add("child" if child == 0 else "parent", 50)
            if child == 0:
                os.kill(os.getpid(), 9)
            os.waitpid(child, 0)
            assert influxdb.stats()["spooled"] == 150
            os.kill(os.getpid(), 9)
        """,
            "-W",
            "ignore",
            INFLUXDB_URL="http://127.0.0.1:1",
            INFLUXDB_SPOOL=str(tmp_path),
        ).end(-signal.SIGKILL)
        start(self.AWAIT + "add('next', 1)\nwait_for(201)", INFLUXDB_SPOOL=str(tmp_path)).end()
        assert receiver.arrived() == {"parent": 150, "child": 50, "next": 1}
