"""The client's own counters are measurements, which do not count themselves."""

import pytest

import sprockets_influxdb as influxdb
from receiver import Launch, Receiver
from sprockets_influxdb import testing


def own_points(server: testing.Server, count: int) -> list[testing.Point]:
    return server.wait_for_points(count, 30, database="own")


def test_a_point_has_the_counters_and_is_not_counted(server: testing.Server) -> None:
    influxdb.install(server.url, self_database="own", base_tags={"region": "eu"}, max_buffer_size=2)
    for number in range(5):
        influxdb.record("db", "m", {}, {"n": number})
    assert own_points(server, 1)
    influxdb.shutdown_sync()
    points = own_points(server, 2)
    assert {point.measurement for point in points} == {"sprockets_influxdb"}
    # No base tags: they are those of measurements.
    assert all(set(point.tags) == {"hostname"} for point in points)
    last = points[-1].fields
    stats = influxdb.stats()
    for name in ("added", "delivered", "rejected", "pending", "batches", "bytes_sent"):
        assert last[name] == stats[name], name
    assert (last["added"], last["delivered"], last["dropped"]) == (5, 2, 3)
    assert (last["dropped_newest"], last["dropped_closed"]) == (3, 0)
    assert isinstance(last["pid"], int)
    assert stats["added"] == 5


def test_there_are_none_by_default(client: testing.Server) -> None:
    influxdb.record("db", "m", {}, {"n": 1})
    influxdb.shutdown_sync()
    assert client.databases() == ["db"]


def test_each_process_writes_a_last_point(receiver: Receiver, launch: Launch) -> None:
    launch(
        "add('m', 7)",
        INFLUXDB_SELF_DATABASE=receiver.database,
    ).end()
    assert receiver.lines == {"m": 7, "sprockets_influxdb": 1}


def test_a_failure_to_write_them_is_one_warning_and_delays_nothing(
    server: testing.Server, caplog: pytest.LogCaptureFixture
) -> None:
    server.only_databases(["db"])
    influxdb.install(server.url, self_database="missing", submission_interval=1000)
    influxdb.record("db", "m", {}, {"n": 1})
    assert len(server.wait_for_points(1, 30, database="db")) == 1
    # Two attempts.
    server.wait_for_requests(3, 30)
    influxdb.record("db", "m", {}, {"n": 2})
    assert influxdb.flush_sync()["delivered"] == 1
    influxdb.shutdown_sync()
    testing.reset()
    messages = [record.getMessage() for record in caplog.records]
    [warning] = [message for message in messages if "own counters" in message]
    assert 'database "missing" does not exist: create it' in warning
