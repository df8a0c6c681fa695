"""Exits and forks: each client delivers what it has, as the installed one does."""

import signal
import socket

import pytest

from receiver import DEADLINE, Launch, Receiver

#: Two clients beside the installed one, which write to the same server.
CLIENTS = """
first, second = influxdb.Client(), influxdb.Client(trigger_size=10**6)
def record(client, name, count=1):
    for number in range(count):
        client.record(DATABASE, name, {"process": os.getpid()}, {"number": number})
"""


@pytest.mark.parametrize(
    ("ending", "code"),
    [
        ("pass", 0),
        ("sys.exit(3)", 3),
        ("raise RuntimeError('on purpose')", 1),
        ("del first, second", 0),
        ("influxdb.shutdown_sync()", 0),
    ],
)
def test_the_end_of_a_process_delivers_what_all_have(
    receiver: Receiver, launch: Launch, ending: str, code: int
) -> None:
    launch(f"{CLIENTS}\nrecord(first, 'a', 2)\nrecord(second, 'b', 3)\nadd('m', 4)\n{ending}").end(
        code
    )
    assert receiver.arrived() == {"a": 2, "b": 3, "m": 4}


def test_sigterm_delivers_what_all_have(receiver: Receiver, launch: Launch) -> None:
    program = launch(f"""{CLIENTS}
import signal
record(first, "a", 2)
record(second, "b", 3)
print("ready")
signal.pause()
""")
    assert program.line() == "ready"
    program.signal(signal.SIGTERM)
    program.end(-signal.SIGTERM)
    assert receiver.arrived() == {"a": 2, "b": 3}


def test_what_several_lose_is_one_sum(receiver: Receiver, launch: Launch) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        program = f"{CLIENTS}\nrecord(first, 'a', 2)\nrecord(second, 'b', 3)"
        _, stderr = launch(program, INFLUXDB_URL=url, INFLUXDB_SHUTDOWN_TIMEOUT="500").end()
    assert stderr.count(" lost: ") == 1
    assert "5 measurements are lost" in stderr


def test_the_end_waits_for_all_at_the_same_time(receiver: Receiver, launch: Launch) -> None:
    receiver.answers.clear()
    timeout = str(DEADLINE * 1000 // 12)
    program = """
        for number in range(40):
            client = influxdb.Client()
            client.record(DATABASE, "m", {"process": 1}, {"number": number})
    """
    # One after the other, they would take longer than a program may.
    _, stderr = launch(program, INFLUXDB_SHUTDOWN_TIMEOUT=timeout).end()
    assert "40 measurements are lost" in stderr


@pytest.mark.parametrize("ending", ["pass", "sys.exit()", "first.shutdown_sync(); os._exit(0)"])
def test_a_forked_child_starts_with_an_empty_buffer(
    receiver: Receiver, launch: Launch, ending: str
) -> None:
    launch(
        f"""{CLIENTS}
record(first, "parent", 5)
child = os.fork()
if child == 0:
    assert first.stats()["added"] == second.stats()["added"] == 0
    record(first, "child", 2)
    {ending}
else:
    wait_for_children(child)
""",
        "-W",
        "ignore",
    ).end()
    assert receiver.arrived() == {"parent": 5, "child": 2}


def test_a_client_made_before_a_fork_leaves_the_process_with_one_thread(
    receiver: Receiver, launch: Launch
) -> None:
    launch(
        f"""{CLIENTS}
first.stats(), first.settings(), first.flush_sync()
child = os.fork()
if child:
    wait_for_children(child)
record(first, "both")
""",
        "-W",
        "error",
    ).end()
    assert receiver.arrived() == {"both": 2}


def test_the_block_of_a_client_ends_in_parent_and_child(receiver: Receiver, launch: Launch) -> None:
    launch(
        """
        with influxdb.Client() as client:
            child = os.fork()
            client.record(DATABASE, "both", {"process": os.getpid()}, {"number": 1})
            if child:
                wait_for_children(child)
        """,
        "-W",
        "ignore",
    ).end()
    assert receiver.arrived() == {"both": 2}


def test_a_child_has_shutdown_futures_of_its_own(receiver: Receiver, launch: Launch) -> None:
    launch(
        f"""{CLIENTS}
import asyncio
loop = asyncio.new_event_loop()
asyncio.set_event_loop(loop)
record(first, "parent")
future = first.shutdown()
child = os.fork()
if child:
    wait_for_children(child)
    assert first.shutdown() is future
    assert loop.run_until_complete(future)
else:
    # The parent's loop is not to be used here: its selector is shared.
    asyncio.set_event_loop(asyncio.new_event_loop())
    record(first, "child")
    assert first.shutdown() is not future
    assert asyncio.get_event_loop().run_until_complete(first.shutdown())
    os._exit(first.stats()["pending"])
""",
        "-W",
        "ignore",
    ).end()
    assert receiver.arrived() == {"parent": 1, "child": 1}
