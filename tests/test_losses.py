"""The log says what was lost in all, by reason, and what prevents it."""

import re

import pytest

from receiver import Launch, Receiver

PROGRAM = """
import logging
logging.basicConfig(format="%(levelname)s %(message)s", level=logging.INFO)
"""


def losses(stderr: str) -> list[str]:
    """The lines about losses."""
    return [line for line in stderr.splitlines() if " lost: " in line]


@pytest.mark.parametrize("overflow", ["newest", "oldest"])
def test_a_full_buffer_is_one_last_line_that_counts_everything(
    receiver: Receiver, launch: Launch, overflow: str
) -> None:
    receiver.refusals = 10**6
    _, stderr = launch(
        PROGRAM + "influxdb.set_max_clients(1)\nadd('m', 1_000)\nadd('m', 2_580)",
        INFLUXDB_OVERFLOW=overflow,
        INFLUXDB_MAX_BUFFER_SIZE="500",
        # What is being sent cannot be dropped for a newer one: at most this one batch.
        INFLUXDB_MAX_BATCH_SIZE="100",
        INFLUXDB_SHUTDOWN_TIMEOUT="0",
    ).end()
    [line] = losses(stderr)
    assert line.startswith("ERROR 3,580 measurements are lost: ")
    dropped = re.findall(r"([\d,]+) dropped \((newest|oldest)\)", line)
    assert sum(int(count.replace(",", "")) for count, _ in dropped) == 3_080
    assert overflow in dict(map(reversed, dropped))
    assert "500 not delivered when the client ended. " in line
    assert "set INFLUXDB_OVERFLOW=block to wait for room" in line
    assert "set INFLUXDB_SPOOL to keep them on disk" in line


def test_the_setting_that_is_in_force_is_named(receiver: Receiver, launch: Launch) -> None:
    receiver.refusals = 10**6
    _, stderr = launch(
        PROGRAM + "influxdb.install(overflow='oldest', max_buffer_size=5)\nadd('m', 7)",
        INFLUXDB_SHUTDOWN_TIMEOUT="0",
    ).end()
    [line] = losses(stderr)
    assert "set the argument overflow to block" in line


def test_late_measurements_are_counted(receiver: Receiver, launch: Launch) -> None:
    _, stderr = launch(
        PROGRAM + "add('m')\ninfluxdb.shutdown_sync()\nadd('m')\nadd('m')",
    ).end()
    [line] = losses(stderr)
    expected = "ERROR 2 measurements are lost: dropped (closed). Add no measurement after the"
    assert line.startswith(expected)
    assert receiver.arrived() == {"m": 1}


def test_nothing_is_said_when_nothing_is_lost(receiver: Receiver, launch: Launch) -> None:
    _, stderr = launch(PROGRAM + "add('m', 10)").end()
    assert losses(stderr) == []
    assert receiver.arrived() == {"m": 10}
