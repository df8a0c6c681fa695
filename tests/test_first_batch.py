"""The first batch of a process shows within seconds where it goes, and whether that works."""

from collections.abc import Iterator

import pytest

from ports import free_port
from receiver import Launch, Program, Receiver
from sprockets_influxdb import testing

#: Milliseconds that no test waits for.
HOUR = "3600000"

PROGRAM = """
import logging, queue
records = queue.Queue()
class Handler(logging.Handler):
    def emit(self, record):
        records.put(record)
logger = logging.getLogger("sprockets_influxdb")
logger.setLevel(logging.INFO)
logger.addHandler(Handler())
def show(level):
    record = records.get(timeout=30)
    assert record.levelname == level, record
    print(record.getMessage())
"""


@pytest.fixture
def protected() -> Iterator[testing.Server]:
    with testing.Server() as server:
        server.require_basic("me", "hunter2")
        server.only_databases(["another"])
        yield server


def start(launch: Launch, program: str, **variables: str) -> Program:
    return launch(PROGRAM + program, INFLUXDB_INTERVAL=HOUR, **variables)


def test_the_first_point_does_not_wait_for_the_interval(
    server: testing.Server, launch: Launch
) -> None:
    url = server.url.replace("//", "//user:hunter2@")
    program = start(
        launch,
        """
influxdb.install()
assert records.empty() and threading.active_count() == 1
influxdb.record("example", "m", {}, {"n": 1})
show("INFO")
threading.Event().wait()
""",
        INFLUXDB_URL=url,
        INFLUXDB_DATABASE="example",
    )
    assert server.wait_for_points(1, 30, database="example")
    recording = f'recording to {server.url}/write, database "example", every 3,600 s or'
    assert program.line() == f"{recording} 5,000 measurements"
    program.close()


def test_a_child_of_a_fork_has_a_first_batch_of_its_own(receiver: Receiver, launch: Launch) -> None:
    start(
        launch,
        """
def wait():
    while influxdb.stats()["delivered"] == 0:
        pass
add("parent")
wait()
child = os.fork()
add("later") if child else add("child")
if child:
    wait_for_children(child)
else:
    wait()
    os._exit(0)
assert influxdb.stats()["delivered"] == 1
""",
    ).end()
    assert receiver.arrived() == {"parent": 1, "child": 1, "later": 1}


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        ("server", "connection refused; start it, or check"),
        ("password", "the server rejected the credentials: check"),
        ("database", 'database "example" does not exist: create it'),
        ("scheme", "does not speak TLS"),
    ],
)
def test_a_wrong_configuration_is_one_warning_within_seconds(
    protected: testing.Server, launch: Launch, wrong: str, expected: str
) -> None:
    url = protected.url.replace("//", "//me:hunter2@")
    if wrong == "server":
        url = f"http://127.0.0.1:{free_port()}"
    elif wrong == "password":
        url = url.replace("hunter2", "wrong")
    elif wrong == "scheme":
        url = url.replace("http:", "https:")
    program = start(
        launch,
        """
influxdb.record("example", "m", {}, {"n": 1})
show("INFO")
show("WARNING")
while influxdb.stats()["retries"] == 0:
    influxdb.flush_sync(0)
print(records.qsize())
""",
        INFLUXDB_URL=url,
        INFLUXDB_SHUTDOWN_TIMEOUT="0",
    )
    assert program.line().startswith("recording to http")
    warning = program.line()
    assert expected in warning, warning
    assert "1 measurement is waiting" in warning
    assert program.line() == "0"
    program.end()
