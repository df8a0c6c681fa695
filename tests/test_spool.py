"""Measurements in the spool outlive their process."""

import pathlib
import signal
import textwrap

from receiver import Launch, Receiver


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

    def test_a_relative_spool_stays_where_it_was(
        self, launch: Launch, tmp_path: pathlib.Path
    ) -> None:
        (tmp_path / "other").mkdir()
        process = launch(
            f"""
            os.chdir({str(tmp_path)!r})
            with influxdb.Client("http://127.0.0.1:1", spool="spool", shutdown_timeout=1) as client:
                os.chdir("other")
                for number in range(2_000):
                    client.record("db", "m", {{}}, {{"number": number, "text": "x" * 500}})
        """,
        )
        process.end()
        assert (tmp_path / "spool").exists()
        assert not (tmp_path / "other" / "spool").exists()

    def test_what_a_killed_process_added_the_next_one_delivers(
        self, receiver: Receiver, launch: Launch, tmp_path: pathlib.Path
    ) -> None:
        killed = launch(
            """
            add("killed", 10_000)
            serve("requests", 100)
            assert influxdb.stats()["spooled"] == 10_100
            os.kill(os.getpid(), 9)
        """,
            INFLUXDB_URL="http://127.0.0.1:1",
            INFLUXDB_SPOOL=str(tmp_path),
        )
        killed.end(-signal.SIGKILL)
        _, stderr = launch(
            self.AWAIT
            + textwrap.dedent("""
            add("next", 1)
            wait_for(10_101)
            assert influxdb.stats()["recovered"] == 10_100
        """),
            INFLUXDB_SPOOL=str(tmp_path),
        ).end()
        arrived = {"killed": 10_000, "requests": 100, "next": 1}
        assert (receiver.arrived(), stderr) == (arrived, "")

    def test_a_process_that_ends_while_the_server_is_down_leaves_nothing_lost(
        self, receiver: Receiver, launch: Launch, tmp_path: pathlib.Path
    ) -> None:
        variables = {"INFLUXDB_SPOOL": str(tmp_path), "INFLUXDB_SHUTDOWN_TIMEOUT": "100"}
        _, stderr = launch(
            "add('first', 100)", INFLUXDB_URL="http://127.0.0.1:1", **variables
        ).end()
        assert "100 measurements wait in the spool for the next process" in stderr
        launch(self.AWAIT + "add('second', 1)\nwait_for(101)", **variables).end()
        assert receiver.arrived() == {"first": 100, "second": 1}
        assert list((tmp_path / "slots").iterdir()) == []

    def test_a_forked_child_has_a_part_of_the_spool_of_its_own(
        self, receiver: Receiver, launch: Launch, tmp_path: pathlib.Path
    ) -> None:
        launch(
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
        launch(self.AWAIT + "add('next', 1)\nwait_for(201)", INFLUXDB_SPOOL=str(tmp_path)).end()
        assert receiver.arrived() == {"parent": 150, "child": 50, "next": 1}
