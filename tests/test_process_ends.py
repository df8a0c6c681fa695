"""Ends of processes without exit handlers, environments that they pass on, and starts that fail.

The programs run in processes of their own, and write to the scripted server.
"""

import contextlib
import importlib.util
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator

import pytest

from sprockets_influxdb import testing

#: Seconds after which what should have ended long ago hangs.
DEADLINE = 30

NEEDS_BILLIARD = pytest.mark.skipif(
    importlib.util.find_spec("billiard") is None, reason="there is no billiard here"
)
NEEDS_CELERY = pytest.mark.skipif(
    importlib.util.find_spec("celery") is None, reason="there is no Celery here"
)
NEEDS_EVENTLET = pytest.mark.skipif(
    importlib.util.find_spec("eventlet") is None, reason="there is no eventlet here"
)
NEEDS_UVICORN = pytest.mark.skipif(
    importlib.util.find_spec("uvicorn") is None, reason="there is no uvicorn here"
)
NEEDS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root's limits can be taken from it")

BEGINNING = """
import os, signal, sys, threading, time
import sprockets_influxdb as influxdb
def add(count=1):
    for number in range(count):
        influxdb.record("db", "m", {"pid": os.getpid()}, {"number": number})
"""

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(server: testing.Server, tmp_path: pathlib.Path) -> Iterator[Start]:
    """Starts a program that writes to the scripted server, in a process group of its own."""
    started: list[subprocess.Popen[str]] = []

    def start(program: str, **variables: str) -> "subprocess.Popen[str]":
        path = tmp_path / f"program{len(started)}.py"
        path.write_text(BEGINNING + textwrap.dedent(program))
        environment = {
            "INFLUXDB_URL": server.url,
            "INFLUXDB_SHUTDOWN_TIMEOUT": "20000",
            "PYTHONUNBUFFERED": "1",
        }
        process = subprocess.Popen(
            [sys.executable, str(path)],
            env={**os.environ, **environment, **variables},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def end(process: "subprocess.Popen[str]", code: int = 0) -> tuple[str, str]:
    """Waits for the end of a program with that code, and returns what it printed."""
    stdout, stderr = process.communicate(timeout=DEADLINE)
    assert process.returncode == code, stderr
    return stdout, stderr


def read_line(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline().rstrip("\n")


class TestSigterm:
    """A process without a handler for SIGTERM delivers, and dies of it as it would otherwise."""

    @pytest.mark.parametrize(
        "wait",
        [
            "signal.pause()",
            "time.sleep(60)",
            "threading.Event().wait()",
            # Neither this nor the interpreter's lock lets a Python handler run.
            "import ctypes; ctypes.PyDLL(None).pause()",
        ],
    )
    def test_what_is_buffered_arrives_whatever_the_main_thread_does(
        self, server: testing.Server, start: Start, wait: str
    ) -> None:
        process = start(f"add(10)\nprint('ready')\n{wait}")
        assert read_line(process) == "ready"
        time.sleep(0.1)
        process.terminate()
        end(process, -signal.SIGTERM)
        assert len(server.points()) == 10

    def test_python_sees_the_default_action(self, start: Start) -> None:
        end(start("add()\nassert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL"))

    def test_a_program_that_goes_on_when_the_signal_wakes_it_dies_of_it(
        self, server: testing.Server, start: Start
    ) -> None:
        process = start("add(10)\nprint('ready')\nsignal.pause()\nprint('woken')\nsys.exit(3)")
        assert read_line(process) == "ready"
        time.sleep(0.1)
        process.terminate()
        end(process, -signal.SIGTERM)
        assert len(server.points()) == 10

    @pytest.mark.parametrize("order", ["before", "after"])
    def test_a_handler_of_the_application_is_left_alone(
        self, server: testing.Server, start: Start, order: str
    ) -> None:
        process = start(
            f"""
            if {order!r} == "after": add(3)
            signal.signal(signal.SIGTERM, lambda *_: os._exit(7))
            if {order!r} == "before": add(3)
            print("ready")
            signal.pause()
            """
        )
        assert read_line(process) == "ready"
        process.terminate()
        end(process, 7)
        assert server.points() == []

    def test_an_ignored_signal_stays_ignored(self, start: Start) -> None:
        process = start("""
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            add()
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.3)
            print("alive")
        """)
        assert end(process)[0] == "alive\n"

    def test_it_waits_no_longer_than_the_shutdown_timeout_and_tells_of_losses(
        self, server: testing.Server, start: Start
    ) -> None:
        server.inject_always(testing.Fault.black_hole())
        process = start("add(7)\nprint('ready')\nsignal.pause()", INFLUXDB_SHUTDOWN_TIMEOUT="500")
        assert read_line(process) == "ready"
        began = time.monotonic()
        process.terminate()
        _, stderr = end(process, -signal.SIGTERM)
        assert time.monotonic() - began < 5
        assert "7 measurements are lost: not delivered when the client ended" in stderr

    def test_a_second_signal_ends_the_process_at_once(
        self, server: testing.Server, start: Start
    ) -> None:
        server.inject_always(testing.Fault.black_hole())
        process = start("add(7)\nprint('ready')\nsignal.pause()")
        assert read_line(process) == "ready"
        process.terminate()
        time.sleep(0.3)
        assert process.poll() is None
        began = time.monotonic()
        process.terminate()
        end(process, -signal.SIGTERM)
        assert time.monotonic() - began < 5

    def test_a_forked_child_that_records_nothing_dies_alone(
        self, server: testing.Server, start: Start
    ) -> None:
        process = start("""
            import warnings; warnings.simplefilter("ignore")
            add()
            child = os.fork()
            if child == 0:
                time.sleep(60)
            os.kill(child, signal.SIGTERM)
            assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGTERM
            time.sleep(0.2)
            print("alive", influxdb.stats()["pending"])
        """)
        assert end(process)[0] == "alive 1\n"

    def test_a_forked_child_that_records_delivers_its_own(
        self, server: testing.Server, start: Start
    ) -> None:
        process = start("""
            import warnings; warnings.simplefilter("ignore")
            add()
            read, write = os.pipe()
            child = os.fork()
            if child == 0:
                add(5)
                os.write(write, b"x")
                time.sleep(60)
            os.read(read, 1)
            os.kill(child, signal.SIGTERM)
            assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGTERM
            assert influxdb.stats()["pending"] == 1
        """)
        end(process)
        assert len(server.points()) == 6

    @NEEDS_ROOT
    def test_the_first_process_of_a_container_delivers_and_goes_on(
        self, server: testing.Server, start: Start
    ) -> None:
        unshare = ["unshare", "--pid", "--fork", "--kill-child"]
        if shutil.which("unshare") is None or subprocess.run([*unshare, "true"]).returncode != 0:
            pytest.skip("there are no namespaces of processes here")
        program = """
import sys, sprockets_influxdb as influxdb
for number in range(2):
    influxdb.record("db", "m", {}, {"number": number})
    print("ready", flush=True)
    sys.stdin.readline()
"""
        environment = {**os.environ, "INFLUXDB_URL": server.url}
        command = [*unshare, sys.executable, "-c", program]
        with subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdin is not None
            children = pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children")
            for count in (1, 2):
                assert read_line(process) == "ready"
                os.kill(int(children.read_text()), signal.SIGTERM)
                server.wait_for_points(count)
                # The handler is there again a moment after the delivery.
                time.sleep(0.2)
                process.stdin.write("\n")
                process.stdin.flush()
            assert process.wait(DEADLINE) == 0

    @pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
    def test_the_workers_of_a_terminated_pool_deliver(
        self, server: testing.Server, start: Start, method: str
    ) -> None:
        process = start(f"""
            import multiprocessing
            if __name__ == "__main__":
                with multiprocessing.get_context({method!r}).Pool(2) as pool:
                    pool.map(add, [5] * 4, chunksize=1)
        """)
        end(process)
        assert len(server.points()) == 20


class TestLibraries:
    """What ends processes in ways of its own."""

    @NEEDS_BILLIARD
    @pytest.mark.parametrize("what", ["Process", "Pool"])
    def test_children_of_billiard_deliver(
        self, server: testing.Server, start: Start, what: str
    ) -> None:
        process = start(f"""
            import billiard, billiard.pool
            if __name__ == "__main__":
                if {what!r} == "Process":
                    for _ in range(2):
                        child = billiard.Process(target=add, args=(5,))
                        child.start()
                        child.join()
                else:
                    pool = billiard.pool.Pool(2)
                    pool.map(add, [5] * 2)
                    pool.close()
                    pool.join()
        """)
        end(process)
        assert len(server.points()) == 10

    @NEEDS_CELERY
    @pytest.mark.parametrize(
        "options", [["-c", "2"], ["-c", "1", "--max-tasks-per-child", "2"]], ids=str
    )
    def test_celery_workers_deliver(
        self, server: testing.Server, start: Start, tmp_path: pathlib.Path, options: list[str]
    ) -> None:
        for name in "qc":
            (tmp_path / name).mkdir()
        process = start(f"""
            from celery import Celery
            from celery.signals import worker_process_shutdown
            app = Celery("program0", broker="filesystem://")
            app.conf.broker_transport_options = {{
                "data_folder_in": {str(tmp_path / "q")!r},
                "data_folder_out": {str(tmp_path / "q")!r},
                "control_folder": {str(tmp_path / "c")!r}}}
            app.conf.task_ignore_result = True
            @app.task
            def work(number):
                add()
            @worker_process_shutdown.connect
            def shut_down(**_):
                influxdb.record("db", "shutdown", {{"pid": os.getpid()}}, {{"number": 1}})
            if __name__ == "__main__":
                for number in range(10):
                    work.delay(number)
                options = "-l ERROR --without-gossip --without-mingle --without-heartbeat".split()
                app.worker_main(["worker", *options, *{options!r}])
        """)
        deadline = time.monotonic() + DEADLINE
        while not list((tmp_path / "q").iterdir()) and time.monotonic() < deadline:
            time.sleep(0.1)
        while list((tmp_path / "q").iterdir()) and time.monotonic() < deadline:
            time.sleep(0.1)
        time.sleep(1)
        process.terminate()
        process.communicate(timeout=DEADLINE)
        assert len([point for point in server.points() if point.measurement == "m"]) == 10
        # Also what the application records when it is told of the end.
        assert [point for point in server.points() if point.measurement == "shutdown"]

    UVICORN = """
        async def app(scope, receive, send):
            assert scope["type"] == "http"
        {before}
        import uvicorn
        class Server(uvicorn.Server):
            async def startup(self, sockets=None):
                await super().startup(sockets)
                add(3)
                os.kill(os.getpid(), signal.{signal})
        if __name__ == "__main__":
            Server(uvicorn.Config(app, port=0, lifespan="off", log_level="critical")).run()
    """

    @NEEDS_UVICORN
    @pytest.mark.parametrize("before", ["", "add()"])
    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    def test_uvicorn_delivers_before_it_raises_the_signal_again(
        self, server: testing.Server, start: Start, before: str, number: signal.Signals
    ) -> None:
        process = start(self.UVICORN.format(before=before, signal=number.name))
        end(process, -number)
        assert len(server.points()) == 3 + len(before[:1])

    @NEEDS_UVICORN
    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    def test_uvicorn_waits_for_the_shutdown_timeout_once(
        self, server: testing.Server, start: Start, number: signal.Signals
    ) -> None:
        server.inject_always(testing.Fault.black_hole())
        program = self.UVICORN.format(before="print('ready')", signal=number.name)
        process = start(program, INFLUXDB_SHUTDOWN_TIMEOUT="3000")
        assert read_line(process) == "ready"
        began = time.monotonic()
        _, stderr = end(process, -number)
        assert time.monotonic() - began < 5.8
        assert "3 measurements are not delivered: the server has stopped" in stderr

    @NEEDS_EVENTLET
    @pytest.mark.parametrize("read", ["new", "old"])
    def test_greenlets_of_eventlet_go_on_after_the_first_measurement(
        self, server: testing.Server, start: Start, read: str
    ) -> None:
        server.inject(testing.Fault.error(503, "overloaded"))
        process = start(
            f"""
            import warnings; warnings.simplefilter("ignore")
            import eventlet; eventlet.monkey_patch()
            if {read!r} == "old":
                # Before release 0.37 it does not yield.
                os.read = eventlet.patcher.original("os").read
            import logging
            messages = []
            class Handler(logging.Handler):
                def emit(self, record): messages.append(record)
            logging.getLogger("sprockets_influxdb").addHandler(Handler())
            influxdb.install(submission_interval=50)
            add()
            while not messages:
                eventlet.sleep(0.05)
            print("went on")
            """
        )
        assert end(process)[0] == "went on\n"
        assert len(server.points()) == 1


class TestPassword:
    """The password is hidden in ``os.environ``, and reaches other processes all the same."""

    CHILD = (
        "import sprockets_influxdb as i; i.record('db', 'm', {}, {'number': 1}); "
        "assert i.flush_sync()['delivered']"
    )

    @pytest.fixture(autouse=True)
    def _password(self, server: testing.Server, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("INFLUXDB_USER", "user")
        monkeypatch.setenv("INFLUXDB_PASSWORD", "hünter2")

    def assert_authorized(self, server: testing.Server, count: int) -> None:
        headers = {dict(request.headers).get("authorization") for request in server.requests()}
        assert headers == {"Basic dXNlcjpow7xudGVyMg=="}
        assert len(server.points()) == count

    @pytest.mark.parametrize(
        "look",
        [
            "os.environ['INFLUXDB_PASSWORD']",
            "os.environ.copy()['INFLUXDB_PASSWORD']",
            "{**os.environ}['INFLUXDB_PASSWORD']",
            "os.environ",
            "dict(os.environ)",
            "repr(os.environ.copy())",
            "__import__('json').dumps(dict(os.environ))",
            "__import__('pickle').dumps(dict(os.environ))",
            "f\"{os.environ['INFLUXDB_PASSWORD']:>20}\"",
            "os.environ['INFLUXDB_PASSWORD'] + '!'",
            "vars(os.environ['INFLUXDB_PASSWORD'].__class__)",
            "os.environ._data",
        ],
    )
    def test_code_of_the_process_does_not_see_it(self, start: Start, look: str) -> None:
        stdout, _ = end(start(f"influxdb.install()\nprint({look})"))
        assert "nter2" not in stdout
        assert "XXXXXXX" in stdout or "vars" in look

    @pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
    def test_children_of_multiprocessing_get_it(
        self, server: testing.Server, start: Start, method: str
    ) -> None:
        process = start(f"""
            import multiprocessing
            if __name__ == "__main__":
                influxdb.install()
                child = multiprocessing.get_context({method!r}).Process(target=add)
                child.start()
                child.join()
        """)
        end(process)
        self.assert_authorized(server, 1)

    @pytest.mark.parametrize(
        "environment", ["None", "os.environ", "dict(os.environ)", "{**os.environ, 'A': 'b'}"]
    )
    def test_children_of_subprocess_get_it(
        self, server: testing.Server, start: Start, environment: str
    ) -> None:
        process = start(f"""
            import subprocess
            influxdb.install()
            add()
            subprocess.run([sys.executable, "-c", {self.CHILD!r}], env={environment}, check=True)
        """)
        end(process)
        self.assert_authorized(server, 2)

    def test_a_program_that_replaces_itself_gets_it(
        self, server: testing.Server, start: Start
    ) -> None:
        process = start(f"""
            influxdb.install()
            os.execv(sys.executable, [sys.executable, "-c", {self.CHILD!r}])
        """)
        end(process)
        self.assert_authorized(server, 1)

    def test_a_program_that_tornado_reloads_gets_it(
        self, server: testing.Server, start: Start
    ) -> None:
        process = start("""
            from tornado import autoreload
            add()
            influxdb.flush_sync()
            if "RELOADED" not in os.environ:
                os.environ["RELOADED"] = "1"
                autoreload._reload()
        """)
        end(process)
        self.assert_authorized(server, 2)

    def test_it_is_read_again_by_another_installation(
        self, server: testing.Server, start: Start
    ) -> None:
        process = start("""
            from sprockets_influxdb import testing
            for _ in range(2):
                influxdb.install()
                add()
                influxdb.flush_sync()
                testing.reset()
        """)
        end(process)
        self.assert_authorized(server, 2)

    def test_a_changed_password_is_hidden_as_well(self, start: Start) -> None:
        stdout, _ = end(
            start("""
            from sprockets_influxdb import testing
            influxdb.install()
            os.environ["INFLUXDB_PASSWORD"] = "new"
            testing.reset()
            influxdb.install()
            print(os.environ["INFLUXDB_PASSWORD"])
            """)
        )
        assert stdout == "XXX\n"

    def test_a_password_that_a_parent_has_lost_is_warned_of(self, start: Start) -> None:
        _, stderr = end(start("influxdb.install()", INFLUXDB_PASSWORD="XXXXXXX"))
        assert "INFLUXDB_PASSWORD consists of X only" in stderr


class TestStarts:
    """A thread or descriptor that cannot be had at the first measurement is tried for again."""

    PROGRAM = """
        import logging, resource
        messages = []
        class Handler(logging.Handler):
            def emit(self, record): messages.append(record.getMessage())
        logging.getLogger("sprockets_influxdb").addHandler(Handler())
        def wait_for(is_done):
            deadline = time.monotonic() + 20
            while not is_done():
                assert time.monotonic() < deadline, influxdb.stats()
                add()
                time.sleep(0.05)
        influxdb.install(submission_interval=100)
    """

    @NEEDS_ROOT
    def test_threads(self, server: testing.Server, start: Start) -> None:
        process = start(
            textwrap.dedent(self.PROGRAM)
            + textwrap.dedent("""
            hard = resource.getrlimit(resource.RLIMIT_NPROC)[1]
            resource.setrlimit(resource.RLIMIT_NPROC, (1, hard))
            os.setuid(65534)
            add(5)
            assert threading.active_count() == 1
            time.sleep(0.3)
            resource.setrlimit(resource.RLIMIT_NPROC, (500, hard))
            wait_for(lambda: influxdb.stats()["delivered"] >= 5 and messages)
            assert len(messages) == 1 and "cannot start a thread" in messages[0]
            assert len(os.listdir("/proc/self/task")) >= 4
            """)
        )
        end(process)

    def test_descriptors(self, server: testing.Server, start: Start) -> None:
        server.inject(testing.Fault.error(503, "overloaded"))
        process = start(
            textwrap.dedent(self.PROGRAM)
            + textwrap.dedent("""
            resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
            held = []
            try:
                while True:
                    held.append(os.open("/dev/null", os.O_RDONLY))
            except OSError:
                pass
            add(5)
            for each in held:
                os.close(each)
            wait_for(lambda: influxdb.stats()["delivered"] >= 5 and messages)
            """)
        )
        _, stderr = end(process)
        assert stderr == ""


class TestInterruptions:
    def test_a_logging_handler_that_raises_system_exit_costs_no_message(
        self, server: testing.Server, start: Start
    ) -> None:
        server.inject(testing.Fault.error(503, "overloaded"))
        process = start("""
            import logging, queue
            records = queue.Queue()
            class Handler(logging.Handler):
                def emit(self, record):
                    records.put(record)
                    raise SystemExit(3)
            logging.getLogger("sprockets_influxdb").addHandler(Handler())
            logging.getLogger("sprockets_influxdb").setLevel(logging.DEBUG)
            influxdb.install(submission_interval=50)
            add()
            for _ in range(2):
                assert records.get(timeout=20).threadName == "influxdb-log"
        """)
        assert end(process)[1].count("SystemExit: 3") == 2

    def test_ctrl_c_interrupts_an_add_that_blocks(
        self, server: testing.Server, start: Start
    ) -> None:
        server.inject_always(testing.Fault.black_hole())
        process = start(
            """
            add(10)
            print("ready")
            try:
                add()
            except KeyboardInterrupt:
                print(sum(influxdb.stats()["dropped"].values()))
            """,
            INFLUXDB_OVERFLOW="block",
            INFLUXDB_BLOCK_TIMEOUT="20000",
            INFLUXDB_MAX_BUFFER_SIZE="10",
            INFLUXDB_TRIGGER_SIZE="10",
            INFLUXDB_SHUTDOWN_TIMEOUT="0",
        )
        assert read_line(process) == "ready"
        time.sleep(0.3)
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        assert read_line(process) == "1"
        assert time.monotonic() - began < 3
        end(process)
