"""The state of processes that are watched."""

import asyncio
import gc
import os
import threading
from collections.abc import Iterator

import pytest

from programs import Start, end, wait_until
from sprockets_influxdb import process, testing


@pytest.fixture(autouse=True)
def _stopped() -> Iterator[None]:
    yield
    if process._current is not None:
        process._current.stop()


@pytest.fixture
def sent(server: testing.Server, monkeypatch: pytest.MonkeyPatch) -> testing.Server:
    """A server that gets each point at once."""
    monkeypatch.setenv("INFLUXDB_URL", server.url)
    monkeypatch.setenv("INFLUXDB_TAG_HOSTNAME", "false")
    monkeypatch.setenv("INFLUXDB_TRIGGER_SIZE", "1")
    return server


def test_the_state_of_a_process(sent: testing.Server) -> None:
    before = gc.get_stats()
    with process.watch(0.01, name="worker", database="db"):
        sent.wait_for_points(2)
        gc.collect()
        points = sent.wait_for_points(len(sent.points()) + 2)
    assert {point.measurement for point in points} == {"process"}
    assert {tuple(point.tags.items()) for point in points} == {(("process", "worker"),)}
    last = max(points, key=lambda point: point.timestamp).fields
    assert last.keys() == {
        "cpu",
        "cpu_user",
        "cpu_system",
        "memory",
        "memory_peak",
        "gc_collections",
        "gc_collected",
        "gc_pause",
        "threads",
        "open_files",
        "pid",
        "uptime",
    }
    assert last["pid"] == os.getpid()
    assert isinstance(last["memory"], int)
    assert isinstance(last["memory_peak"], int)
    assert 1_000_000 < last["memory"] <= last["memory_peak"]
    assert isinstance(last["threads"], int)
    assert last["threads"] >= threading.active_count()
    assert isinstance(last["gc_collections"], int)
    assert last["gc_collections"] > sum(each["collections"] for each in before)
    pauses = [point.fields["gc_pause"] for point in points]
    assert any(isinstance(pause, float) and pause > 0 for pause in pauses)


def test_open_files_and_memory_follow_what_the_process_does() -> None:
    files = process._open_files()
    assert files is not None
    held = [os.open("/dev/null", os.O_RDONLY) for _ in range(5)]
    assert process._open_files() == files + 5
    for each in held:
        os.close(each)
    memory = process._bytes(process._status()["VmRSS"])
    data = bytearray(os.urandom(1)) * 50_000_000
    now = process._bytes(process._status()["VmRSS"])
    assert memory is not None
    assert now is not None
    assert now - memory > len(data) / 2


def test_a_blocked_event_loop_is_seen(sent: testing.Server) -> None:
    async def main() -> None:
        with process.watch(0.01, database="db"):
            await asyncio.to_thread(sent.wait_for_points, 2)
            # It blocks until a point says so.
            wait_until(lambda: any(lag > 0.2 for lag in lags()))

    def lags() -> list[float]:
        found = [point.fields.get("loop_lag") for point in sent.points()]
        return [lag for lag in found if isinstance(lag, float)]

    asyncio.run(main())


def test_a_loop_that_runs_is_looked_at_and_one_that_ended_is_not() -> None:
    async def main() -> "process._Loop":
        loop = process._Loop(asyncio.get_running_loop())
        assert loop.take() is None
        loop.probe()
        # The probe's callback is in the loop's queue: it runs before this coroutine goes on.
        await asyncio.sleep(0)
        assert loop._asked is None
        lag = loop.take()
        assert lag is not None
        assert lag >= 0
        assert loop.take() is None
        loop.probe()
        return loop

    loop = asyncio.run(main())
    loop.take()
    loop.probe()
    assert loop._asked is None
    assert loop.take() is None


def test_a_second_watch_stops_the_first(sent: testing.Server) -> None:
    first = process.watch(0.01, name="first", database="db")
    with process.watch(0.01, name="second", database="db"):
        assert first._end.is_set()
        count = len(sent.points())
        sent.wait_for_points(count + 5)
    callbacks = [each for each in gc.callbacks if "Collections" in repr(each)]
    assert callbacks == []


def test_a_forked_child_is_watched(server: testing.Server, start: Start) -> None:
    program = start(
        """
        from sprockets_influxdb import process
        watch = process.watch(0.01, database="db")
        child = os.fork()
        if child == 0:
            # The parent waits for it, and its exit handlers deliver.
            while influxdb.stats()["added"] < 2:
                time.sleep(0.01)
            sys.exit()
        os.waitpid(child, 0)
        print(child)
        """
    )
    child = int(end(program)[0])
    assert len([point for point in server.points() if point.fields["pid"] == child]) >= 2
    assert len([point for point in server.points() if point.fields["pid"] == program.pid]) >= 1


@pytest.mark.parametrize("interval", [0, -1, float("nan"), float("inf")])
def test_an_interval_is_positive(interval: float) -> None:
    with pytest.raises(ValueError, match="interval is"):
        process.watch(interval)


def test_without_a_database_there_is_a_warning(
    sent: testing.Server, caplog: pytest.LogCaptureFixture
) -> None:
    with process.watch(0.01):
        wait_until(lambda: bool(caplog.records))
    assert "has no database" in caplog.text
    assert sent.points() == []
