"""What `docs/process-models.md` says of functions that are frozen, and of notebooks."""

import importlib.util
import os
import signal
import subprocess
import sys

import pytest

from programs import DEADLINE, Start, end, read_line
from sprockets_influxdb import testing

NEEDS_IPYKERNEL = pytest.mark.skipif(
    importlib.util.find_spec("ipykernel") is None
    or importlib.util.find_spec("jupyter_client") is None,
    reason="the kernel of Jupyter is not installed",
)


class TestFreezing:
    """A platform stops a process between two calls of its function, and kills it some time."""

    PROGRAM = """
        # The first batch of a process may be sent without the interval.
        add()
        influxdb.flush_sync()
        def handler():
            add()
            {last}
        handler()
        print("frozen", flush=True)
        os.kill(os.getpid(), signal.SIGSTOP)
        print("went on", flush=True)
        influxdb.flush_sync()
    """

    def freeze(self, start: Start, last: str) -> "subprocess.Popen[str]":
        # A long interval: nothing but the program itself delivers.
        process = start(self.PROGRAM.format(last=last), INFLUXDB_INTERVAL="3600000")
        assert read_line(process) == "frozen"
        _, status = os.waitpid(process.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status)
        return process

    def test_a_flush_at_the_end_of_the_function_delivers_before(
        self, server: testing.Server, start: Start
    ) -> None:
        process = self.freeze(start, "assert influxdb.flush_sync()['pending'] == 0")
        assert len(server.points()) == 2
        process.kill()
        end(process, -signal.SIGKILL)

    def test_without_a_flush_a_killed_process_loses_what_waits(
        self, server: testing.Server, start: Start
    ) -> None:
        process = self.freeze(start, "pass")
        process.kill()
        end(process, -signal.SIGKILL)
        assert len(server.points()) == 1

    def test_a_process_that_goes_on_delivers(self, server: testing.Server, start: Start) -> None:
        process = self.freeze(start, "pass")
        process.send_signal(signal.SIGCONT)
        end(process)
        assert len(server.points()) == 2


@NEEDS_IPYKERNEL
@pytest.mark.parametrize(
    ("stop", "count"),
    [
        ("manager.shutdown_kernel()", 2),
        ("manager.restart_kernel(); manager.shutdown_kernel()", 2),
        # What "restart" does if the kernel does not answer.
        ("manager.shutdown_kernel(now=True)", 1),
    ],
)
def test_a_kernel_of_a_notebook_delivers_when_it_ends(
    server: testing.Server, stop: str, count: int
) -> None:
    program = f"""
import os
from jupyter_client import KernelManager

manager = KernelManager()
manager.start_kernel(env=dict(os.environ))
client = manager.client()
client.start_channels()
client.wait_for_ready(timeout={DEADLINE})
record = 'sprockets_influxdb.record("db", "cell", {{}}, {{"n": 1}})'
for cell in ("import sprockets_influxdb", record, "sprockets_influxdb.flush_sync()", record):
    reply = client.execute_interactive(cell, timeout={DEADLINE})
    assert reply["content"]["status"] == "ok", reply
client.stop_channels()
{stop}
"""
    environment = {**os.environ, "INFLUXDB_URL": server.url, "INFLUXDB_INTERVAL": "3600000"}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert len(server.points()) == count
