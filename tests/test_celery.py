"""Tasks of a real Celery, with a real Redis and a real influxd."""

import collections
import contextlib
import datetime
import os
import pathlib
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import sprockets_influxdb as influxdb
from brokers import NEEDS_CELERY
from programs import bound
from receiver import NEEDS_GEVENT, PROCESSES
from sprockets_influxdb import testing

pytestmark = NEEDS_CELERY

Rows = list[dict[str, Any]]

#: Seconds after which what has not happened hangs, also on a busy machine.
DEADLINE = 180


class Celery:
    """Sends tasks, and runs workers, of the application ``tasks``."""

    def __init__(self, influxd: Any, database: str, socket: pathlib.Path, logs: pathlib.Path):
        import redis

        self._influxd, self._database, self._logs = influxd, database, logs
        self.notes = redis.Redis(unix_socket_path=str(socket), decode_responses=True)
        self.environment = {
            **os.environ,
            "BROKER": f"redis+socket://{socket}",
            "INFLUXDB_URL": influxd.url,
            "INFLUXDB_TAG_HOSTNAME": "false",
            # Only the end of a process delivers.
            "INFLUXDB_INTERVAL": "3600000",
            "INFLUXDB_SHUTDOWN_TIMEOUT": "20000",
            "MATRIX_DATABASE": database,
            "PYTHONPATH": str(PROCESSES),
            "PYTHONUNBUFFERED": "1",
        }
        self.workers: list[subprocess.Popen[bytes]] = []

    def run(self, program: str) -> None:
        """Runs a program that sends tasks."""
        command = [sys.executable, "-c", f"from tasks import *\n{program}"]
        subprocess.run(command, env=self.environment, check=True, timeout=DEADLINE)

    def start(self, *options: str, **variables: str) -> "subprocess.Popen[bytes]":
        """Starts a worker."""
        command = [sys.executable, "-m", "celery", "-A", "tasks", "worker", "-l", "INFO"]
        command += ["--without-gossip", "--without-mingle", "--without-heartbeat", *options]
        with open(self._logs / f"worker{len(self.workers)}.log", "wb") as log:
            worker = subprocess.Popen(
                bound(command),
                env={**self.environment, **variables},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.workers.append(worker)
        return worker

    def stop(self, number: int = signal.SIGTERM) -> None:
        """Stops the last worker, and waits for its end."""
        self.workers[-1].send_signal(number)
        self.workers[-1].wait(DEADLINE)

    def log(self) -> str:
        """What the last worker has logged."""
        path = self._logs / f"worker{len(self.workers) - 1}.log"
        return path.read_text(encoding="utf-8", errors="replace")

    def wait_until(self, is_done: Callable[[], bool]) -> None:
        deadline = time.monotonic() + DEADLINE
        while not is_done():
            assert time.monotonic() < deadline, self.log()
            assert self.workers[-1].poll() is None, self.log()
            time.sleep(0.01)

    def rows(self, measurement: str = "task") -> Rows:
        rows: Rows = self._influxd.query(f'SELECT * FROM "{measurement}"', self._database)
        return rows

    def done(self) -> list[str]:
        """The ids of the tasks that were done, once for each time."""
        ids: Any = self.notes.lrange("done", 0, -1)
        return list(ids)

    def close(self) -> None:
        self.notes.close()
        for worker in self.workers:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(worker.pid, signal.SIGKILL)
            worker.wait()


@pytest.fixture
def celery(
    influxd: Any, database: str, redis_socket: pathlib.Path, tmp_path: pathlib.Path
) -> Iterator[Celery]:
    celery = Celery(influxd, database, redis_socket, tmp_path)
    yield celery
    celery.close()


def ids(rows: Rows) -> "collections.Counter[str]":
    return collections.Counter(row["task_id"] for row in rows)


def test_every_task_is_one_point_when_workers_end_after_ten_tasks_and_stop_midway(
    celery: Celery,
) -> None:
    options = ["-c", "8", "--max-tasks-per-child", "10", "--prefetch-multiplier", "4"]
    celery.start(*options)
    celery.run("for _ in range(1000): work.delay()")
    celery.wait_until(lambda: len(celery.done()) >= 400)
    celery.stop()
    finished = celery.done()
    assert 400 <= len(finished) < 1000
    assert ids(celery.rows()) == collections.Counter(finished)
    celery.start(*options)
    celery.wait_until(lambda: len(set(celery.done())) == 1000)
    celery.stop()
    rows = celery.rows()
    assert ids(rows) == collections.Counter(celery.done())
    assert {(row["task"], row["queue"], row["state"]) for row in rows} == {
        ("tasks.work", "celery", "SUCCESS")
    }
    assert all(row["duration"] >= 0 and row["wait"] >= 0 for row in rows)


@pytest.mark.parametrize(
    "pool", ["prefork", "threads", "solo", pytest.param("gevent", marks=NEEDS_GEVENT)]
)
def test_a_warm_shutdown_delivers_what_tasks_recorded(celery: Celery, pool: str) -> None:
    celery.run("for _ in range(50): work.delay()")
    celery.start("-P", pool, "-c", "2")
    celery.wait_until(lambda: len(celery.done()) == 50)
    celery.stop()
    assert ids(celery.rows()) == collections.Counter(celery.done())


@pytest.mark.parametrize("variable", ["OWN_CLIENT", "WITHOUT_HOOK"])
def test_another_client_and_another_release_of_billiard_deliver(
    celery: Celery, variable: str
) -> None:
    celery.run("for _ in range(20): work.delay()")
    celery.start("-c", "2", **{variable: "true"})
    celery.wait_until(lambda: len(celery.done()) == 20)
    celery.stop()
    assert ids(celery.rows()) == collections.Counter(celery.done())


@pytest.mark.parametrize("pool", ["prefork", "threads", "solo"])
def test_a_cold_shutdown_delivers_what_ended_tasks_recorded(celery: Celery, pool: str) -> None:
    celery.run("for _ in range(20): work.delay()")
    celery.start("-P", pool, "-c", "1")
    celery.wait_until(lambda: len(celery.done()) == 20)
    if pool == "prefork":
        # This one does not end.
        celery.run("hold.delay()")
        celery.wait_until(lambda: celery.notes.llen("begun") == 1)
    celery.stop(signal.SIGQUIT)
    assert ids(celery.rows()) == collections.Counter(celery.done())


def test_states_and_fields(celery: Celery) -> None:
    celery.start("-c", "1")
    celery.run(
        "for task in (work, fail, retry, ignore, reject): task.delay()\n"
        "work.apply_async(queue='mail', routing_key='mail.of.user.17')\n"
        "work.apply_async(countdown=1)\n"
        "work.apply_async(expires=-1)\n"
    )
    celery.wait_until(lambda: len(celery.done()) == 3 and celery.notes.llen("begun") == 5)
    celery.wait_until(lambda: "Discarding revoked task" in celery.log())
    celery.stop()
    rows = celery.rows()
    found = collections.Counter((row["task"], row["queue"], row["state"]) for row in rows)
    assert found == {
        ("tasks.work", "celery", "SUCCESS"): 2,
        ("tasks.work", "mail", "SUCCESS"): 1,
        ("tasks.work", "celery", "REVOKED"): 1,
        ("tasks.fail", "celery", "FAILURE"): 1,
        ("tasks.retry", "celery", "RETRY"): 1,
        ("tasks.retry", "celery", "FAILURE"): 1,
        ("tasks.ignore", "celery", "IGNORED"): 1,
        ("tasks.reject", "celery", "REJECTED"): 1,
    }
    by_state = {(row["task"], row["state"]): row for row in rows}
    assert by_state["tasks.fail", "FAILURE"]["exception"] == "LookupError"
    assert by_state["tasks.retry", "RETRY"]["exception"] == "TimeoutError"
    assert by_state["tasks.retry", "RETRY"]["retries"] == 0
    assert by_state["tasks.retry", "FAILURE"]["retries"] == 1
    assert by_state["tasks.work", "REVOKED"]["duration"] is None
    assert by_state["tasks.ignore", "IGNORED"]["exception"] is None


def test_tasks_whose_process_is_lost_are_failures(celery: Celery) -> None:
    celery.start("-c", "1")
    celery.run("die.delay(); hang.delay(); work.delay()")
    celery.wait_until(lambda: len(celery.done()) == 1)
    celery.stop()
    rows = {(row["task"], row["queue"], row["state"]): row for row in celery.rows()}
    assert rows.keys() == {
        ("tasks.die", "celery", "FAILURE"),
        ("tasks.hang", "celery", "FAILURE"),
        ("tasks.work", "celery", "SUCCESS"),
    }
    exceptions = {row["task"]: row["exception"] for row in rows.values()}
    assert exceptions["tasks.die"] == "billiard.exceptions.WorkerLostError"
    assert exceptions["tasks.hang"] == "billiard.exceptions.TimeLimitExceeded"
    # The process left by os._exit.
    assert celery.rows("lost") == []


def nothing() -> None:
    pass


def seven() -> int:
    return 7


class TestInstrument:
    """Tasks that run where they are called."""

    def app(self, **options: Any) -> Any:
        import celery

        from sprockets_influxdb.celery import instrument

        app = celery.Celery("here", set_as_current=False)
        app.conf.task_always_eager = True
        instrument(app, **options)
        return app

    def test_a_second_call_replaces_the_first(self, client: testing.Server) -> None:
        from sprockets_influxdb.celery import instrument

        app = self.app(database="first")
        instrument(app, database="db")
        app.task(nothing, name="nothing").delay()
        influxdb.flush_sync()
        [point] = client.points()
        assert client.databases() == ["db"]
        # It came from no queue, and was not sent.
        assert point.tags == {"task": "nothing", "state": "SUCCESS"}
        assert point.fields.keys() == {"duration", "retries", "task_id"}

    def test_only_the_tasks_of_the_application_are_recorded(self, client: testing.Server) -> None:
        self.app(database="one").task(nothing, name="a").delay()
        self.app(database="two").task(nothing, name="b").delay()
        influxdb.flush_sync()
        assert [point.tags["task"] for point in client.points("one")] == ["a"]
        assert [point.tags["task"] for point in client.points("two")] == ["b"]

    def test_the_database_may_be_that_of_the_environment(
        self, server: testing.Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        task = self.app().task(nothing, name="nothing")
        monkeypatch.setenv("INFLUXDB_URL", server.url)
        monkeypatch.setenv("INFLUXDB_DATABASE", "usual")
        task.delay()
        influxdb.flush_sync()
        assert server.databases() == ["usual"]

    def test_the_client_may_be_another(
        self, server: testing.Server, client: testing.Server
    ) -> None:
        with testing.Server() as other, influxdb.Client(other.url, database="usual") as own:
            self.app(client=own).task(nothing, name="nothing").delay()
            own.flush_sync()
            assert len(other.points("usual")) == 1
        assert client.points() == []

    def test_tasks_run_without_a_database(
        self, client: testing.Server, caplog: pytest.LogCaptureFixture
    ) -> None:
        task = self.app().task(seven, name="seven")
        assert [task.delay().get() for _ in range(3)] == [7] * 3
        [warning] = [each for each in caplog.records if "is not recorded" in each.message]
        assert "has no database" in warning.message

    def test_options_are_checked(self) -> None:
        with pytest.raises(TypeError, match="database is 3"):
            self.app(database=3)
        with pytest.raises(TypeError, match="client is 3"):
            self.app(client=3)

    def test_a_task_waits_from_its_eta(self) -> None:
        from celery.app.task import Context

        from sprockets_influxdb.celery import _wait

        now = datetime.datetime.now(datetime.timezone.utc)
        hour = datetime.timedelta(hours=1)
        sent = {"sprockets_influxdb_sent": (now - 3 * hour).timestamp()}
        for eta, hours in [(None, 3), (now - hour, 1), (now - 4 * hour, 3)]:
            wait = _wait(Context(sent, eta=eta and eta.isoformat()))
            assert wait is not None
            assert wait // 3600 == hours
        # The clock of the sender is ahead.
        assert _wait(Context(sprockets_influxdb_sent=(now + hour).timestamp())) == 0
        assert _wait(Context()) is None
