"""What arrives from processes that SIGTERM ends."""

import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

import pytest

from programs import DEADLINE, NEEDS_ROOT, Start, end, read_line
from sprockets_influxdb import testing


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

    def test_it_waits_no_longer_than_the_shutdown_timeout_and_logs_losses(
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

    @pytest.mark.parametrize(
        ("wait", "message"),
        [("signal.pause()", "recording to http"), ("", "1 measurement is lost")],
        ids=["running", "ending"],
    )
    def test_a_message_that_is_being_written_is_written(
        self, start: Start, wait: str, message: str
    ) -> None:
        program = f"""
            import logging
            class Slow(logging.Handler):
                def emit(self, record):
                    if record.getMessage().startswith({message!r}):
                        os.write(1, b"ready\\n")
                        time.sleep(0.3)
                        os.write(1, record.getMessage().encode())
            logger = logging.getLogger("sprockets_influxdb")
            logger.addHandler(Slow())
            logger.setLevel(logging.INFO)
            add()
            {wait}
            """
        process = start(program, INFLUXDB_URL="http://127.0.0.1:1", INFLUXDB_SHUTDOWN_TIMEOUT="0")
        assert read_line(process) == "ready"
        process.terminate()
        output, _ = process.communicate(timeout=DEADLINE)
        assert output.startswith(message), output

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
            stats = influxdb.stats()
            print("alive", stats["added"], stats["pending"] + stats["delivered"])
        """)
        assert end(process)[0] == "alive 1 1\n"

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
            pytest.skip("not applicable: no namespaces of processes here")
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
