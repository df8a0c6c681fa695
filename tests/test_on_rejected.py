"""``on_rejected``: a function that is called with each line that the server rejected."""

import logging
import queue
import re
import threading
from collections.abc import Callable
from typing import Any, TypeAlias

import pytest

import sprockets_influxdb as influxdb
from receiver import NEEDS_GEVENT, Launch, Receiver
from sprockets_influxdb import Client, Rejected, testing
from sprockets_influxdb.testing import Fault

#: A program that writes to the scripted server of its own, which rejects lines with ``bad``.
PROGRAM = """
from sprockets_influxdb import testing
server = testing.Server()
server.inject_always(testing.Fault.reject_lines("bad"))
def rejected(rejected):
    print(os.getpid() == main, rejected.line.split()[1], threading.current_thread().name)
main = os.getpid()
influxdb.install(server.url, on_rejected=rejected, tag_hostname=False)
def record(name="bad"):
    influxdb.record("db", "m", {}, {name: 1})
"""


Lines: TypeAlias = "queue.Queue[tuple[Rejected, str]]"
Keep: TypeAlias = Callable[[Rejected], object]


@pytest.fixture
def lines(server: testing.Server) -> Lines:
    """What the functions of the tests were called with, and on which thread."""
    server.inject_always(Fault.reject_lines("bad"))
    return queue.Queue()


@pytest.fixture
def keep(lines: Lines) -> Keep:
    return lambda rejected: lines.put((rejected, threading.current_thread().name))


def record(client: Any, *names: str) -> None:
    for number, name in enumerate(names):
        client.record("db", "m", {}, {name: number}, 7)


def test_it_gets_line_database_and_reason(server: testing.Server, lines: Lines, keep: Keep) -> None:
    influxdb.install(server.url, tag_hostname=False, on_rejected=keep)
    record(influxdb, "good", "bad", "good")
    assert influxdb.flush_sync()["rejected"] == 1
    rejected, thread = lines.get(timeout=20)
    assert (rejected.line, rejected.database) == ("m bad=1i 7000000000", "db")
    assert rejected.reason
    assert thread == "influxdb-log"
    assert repr(rejected).startswith("<Rejected 'm bad=1i 7000000000' database='db' reason='")
    assert lines.empty()


def test_each_client_has_its_own(server: testing.Server, lines: Lines, keep: Keep) -> None:
    own: queue.Queue[str] = queue.Queue()
    influxdb.install(server.url, on_rejected=keep)
    with Client(server.url, on_rejected=lambda rejected: own.put(rejected.line)) as client:
        record(client, "bad")
    assert "bad" in own.get(timeout=20)
    record(influxdb, "bad")
    influxdb.flush_sync()
    lines.get(timeout=20)
    assert own.empty()


def test_the_first_measurement_may_come_before_install(
    server: testing.Server, lines: Lines, keep: Keep, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INFLUXDB_URL", server.url)
    record(influxdb, "bad")
    influxdb.install(on_rejected=keep)
    influxdb.set_trigger_size(7)
    influxdb.flush_sync()
    lines.get(timeout=20)


def test_what_it_raises_is_logged_and_the_next_line_comes(
    server: testing.Server, lines: Lines, keep: Keep, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(rejected: Rejected) -> None:
        keep(rejected)
        if len(errors) > 0:
            raise errors.pop()

    errors: list[BaseException] = [SystemExit("on purpose"), ZeroDivisionError("on purpose")]
    influxdb.install(server.url, on_rejected=fail)
    record(influxdb, "bad1", "bad2", "bad3")
    influxdb.flush_sync()
    names = {lines.get(timeout=20)[0].line.split()[1] for _ in range(3)}
    assert names == {"bad1=0i", "bad2=1i", "bad3=2i"}
    messages = [record.getMessage() for record in caplog.records]
    assert any("on_rejected has failed: ZeroDivisionError: on purpose" in m for m in messages)
    assert any("on_rejected has failed: SystemExit: on purpose" in m for m in messages)


def test_it_may_use_its_client(server: testing.Server, lines: Lines, keep: Keep) -> None:
    def dead_letter(rejected: Rejected) -> None:
        influxdb.record("rejected", "line", {}, {"line": rejected.line.replace("bad", "")})
        influxdb.flush_sync()
        influxdb.stats()
        influxdb.set_trigger_size(7)
        keep(rejected)

    influxdb.install(server.url, on_rejected=dead_letter)
    record(influxdb, "bad")
    influxdb.flush_sync()
    lines.get(timeout=20)
    assert len(server.points("rejected")) == 1


@pytest.mark.parametrize("make", [influxdb.install, Client])
@pytest.mark.parametrize("function", [3, "print"])
def test_anything_else_is_an_error(make: Callable[..., Any], function: Any) -> None:
    async def coroutine(rejected: Rejected) -> None:
        pass

    for wrong in (function, coroutine):
        with pytest.raises(ValueError, match=r"on_rejected is .*: expected a function"):
            make(on_rejected=wrong)
    assert influxdb.installed() is None


def test_one_that_takes_too_long_loses_lines_and_the_log_says_so(server: testing.Server) -> None:
    called, goes_on = threading.Event(), threading.Event()
    messages: queue.Queue[str] = queue.Queue()

    def wait(rejected: Rejected) -> None:
        called.set()
        goes_on.wait(20)

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if "on_rejected" in record.getMessage():
                messages.put(record.getMessage())

    server.inject_always(Fault.reject_lines("bad"))
    client = Client(server.url, on_rejected=wait, max_batch_size=1)
    handler, logger = Handler(), logging.getLogger("sprockets_influxdb")
    logger.addHandler(handler)
    try:
        record(client, "bad")
        client.flush_sync()
        assert called.wait(20)
        # More than 64 MiB.
        for _ in range(30):
            client.record("db", "m", {}, {"text": "bad" * 1_000_000})
            client.flush_sync()
        goes_on.set()
        message = messages.get(timeout=20)
    finally:
        goes_on.set()
        logger.removeHandler(handler)
    assert re.match(
        r"\d+ rejected lines were not passed to on_rejected: it takes too long", message
    )
    assert client.stats()["rejected"] == 31


class TestProcesses:
    def test_the_end_of_a_process_passes_all_on(self, receiver: Receiver, launch: Launch) -> None:
        stdout, _ = launch(f"{PROGRAM}\nfor number in range(100):\n    record()").end()
        assert stdout.count("True bad=1i") == 100

    def test_one_that_is_slow_does_not_keep_the_process(
        self, receiver: Receiver, launch: Launch
    ) -> None:
        _, stderr = launch(f"""{PROGRAM}
def slow(rejected):
    threading.Event().wait(30 if threading.current_thread() is not threading.main_thread() else 0.3)
with influxdb.Client(server.url, on_rejected=slow) as client:
    for number in range(100):
        client.record("db", "m", {{}}, {{"bad": number}})
""").end()
        assert "rejected lines were not passed to on_rejected: it takes too long" in stderr

    def test_a_child_has_only_its_own(self, receiver: Receiver, launch: Launch) -> None:
        stdout, _ = launch(
            f"""{PROGRAM}
record("bad_of_parent")
child = os.fork()
if child == 0:
    record("bad_of_child")
else:
    wait_for_children(child)
""",
            "-W",
            "ignore",
        ).end()
        lines = sorted(line.rsplit(" ", 1)[0] for line in stdout.splitlines())
        assert lines == ["False bad_of_child=1i", "True bad_of_parent=1i"]

    @NEEDS_GEVENT
    def test_gevent_calls_it_in_a_greenlet(self, receiver: Receiver, launch: Launch) -> None:
        program = "from gevent import monkey; monkey.patch_all()\nimport gevent\n"
        stdout, _ = launch(
            program
            + PROGRAM
            + """
from gevent.event import Event
called = Event()
client = influxdb.Client(server.url, on_rejected=lambda rejected: called.set(), trigger_size=1)
client.record("db", "m", {}, {"bad": 1})
print(called.wait(20))
"""
        ).end()
        assert "True" in stdout
