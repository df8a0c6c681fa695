"""What 2.2.1 got wrong, and what has to stay right: one test for each of its known faults."""

import asyncio
import multiprocessing
import os
import threading
from collections.abc import Callable
from typing import Any

import numpy
import pytest

import sprockets_influxdb as influxdb
from programs import wait_until
from sprockets_influxdb import (
    Measurement,
    add_measurement,
    flush_sync,
    install,
    record,
    stats,
    testing,
)
from sprockets_influxdb.testing import Fault

HOUR = 3_600_000

#: 2.2.1 stored nothing with this program; as it stands in its documents, with a flush that the loop
#: does not wait for.
STOPPED_LOOP = """
    import asyncio, os
    import sprockets_influxdb as influxdb
    from tornado import ioloop

    asyncio.set_event_loop(asyncio.new_event_loop())
    io_loop = ioloop.IOLoop.current()

    measurement = influxdb.Measurement(os.environ["DATABASE"], "measurement-name")
    measurement.set_tag("foo", "bar")
    measurement.set_field("baz", 1.05)

    def stop():
        influxdb.shutdown()
        io_loop.stop()

    influxdb.install()
    influxdb.add_measurement(measurement)
    io_loop.add_callback(stop)
    io_loop.start()
"""


def add(count: int = 1, database: str = "db") -> None:
    for number in range(count):
        record(database, "m", {}, {"n": number})


class TestValues:
    """Written into a real influxd and read back."""

    @pytest.fixture
    def roundtrip(self, influxd: Any, database: str) -> Callable[[Measurement], dict[str, Any]]:
        install(influxd.url, tag_hostname=False)

        def roundtrip(measurement: Measurement) -> dict[str, Any]:
            measurement.database = database
            add_measurement(measurement)
            assert flush_sync()["delivered"] == 1, stats()
            [row] = influxd.query("SELECT * FROM m", database)
            del row["time"]
            return dict(row)

        return roundtrip

    @pytest.fixture
    def measurement(self) -> Measurement:
        measurement = Measurement("", "m")
        measurement.set_field("n", 1)
        return measurement

    @pytest.mark.parametrize(
        "value", [True, False, "123", "", "a b,c", 'q"\\', "é", 1, 1.0, 2**63 - 1, -(2**63)]
    )
    def test_fields_keep_value_and_type(
        self,
        roundtrip: Callable[[Measurement], dict[str, Any]],
        measurement: Measurement,
        value: Any,
    ) -> None:
        measurement.fields = {"f": value}
        stored = roundtrip(measurement)["f"]
        # JSON has one kind of number.
        assert (stored, type(stored)) == (
            value,
            int if value == 1.0 and value is not True else type(value),
        )

    @pytest.mark.parametrize(
        ("value", "expected"),
        [
            (numpy.bool_(True), True),
            (numpy.int32(-7), -7),
            (numpy.float32(0.5), 0.5),
            (numpy.str_("123"), "123"),
            ("\ud800", "\N{REPLACEMENT CHARACTER}"),
        ],
    )
    def test_scalars_and_lone_surrogates(
        self,
        roundtrip: Callable[[Measurement], dict[str, Any]],
        measurement: Measurement,
        value: Any,
        expected: Any,
    ) -> None:
        measurement.fields = {"f": value}
        assert roundtrip(measurement) == {"f": expected}

    def test_a_measurement_without_tags(
        self, roundtrip: Callable[[Measurement], dict[str, Any]], measurement: Measurement
    ) -> None:
        assert roundtrip(measurement) == {"n": 1}

    @pytest.mark.parametrize(
        ("value", "stored"),
        [
            ("a=b,c d", "a=b,c d"),
            ("a\nforged f=1", "a forged f=1"),
            ("end\\", "end/"),
            ('"quoted"', '"quoted"'),
            ("\ud800", "\N{REPLACEMENT CHARACTER}"),
        ],
    )
    def test_tags_do_not_break_or_forge_lines(
        self,
        roundtrip: Callable[[Measurement], dict[str, Any]],
        measurement: Measurement,
        value: str,
        stored: str,
    ) -> None:
        measurement.set_tag("t", value)
        assert roundtrip(measurement) == {"t": stored, "n": 1}

    @pytest.mark.parametrize(
        "value", [float("nan"), float("inf"), -float("inf"), numpy.float32("nan")]
    )
    def test_what_is_not_finite_is_left_out_alone(
        self,
        roundtrip: Callable[[Measurement], dict[str, Any]],
        measurement: Measurement,
        value: Any,
    ) -> None:
        measurement.set_field("f", value)
        assert roundtrip(measurement) == {"n": 1}
        assert stats()["non_finite"] == 1

    def test_equal_measurements_are_points_of_their_own(self, influxd: Any, database: str) -> None:
        install(influxd.url)
        for _ in range(1_000):
            record(database, "m", {"same": "tags"}, {"n": 1})
        flush_sync()
        assert influxd.query("SELECT count(n) FROM m", database) == [{"time": 0, "count": 1_000}]

    @pytest.mark.parametrize("value", [2**64, -(2**63) - 1, 2**63])
    def test_integers_that_it_has_not(self, influxd: Any, value: int) -> None:
        install(influxd.url)
        with pytest.raises(ValueError, match=str(value)):
            record("db", "m", {}, {"f": value})


class TestSettings:
    @pytest.mark.parametrize("value", ["True", "true", "1", "yes", "ON"])
    def test_enabled_in_any_spelling(self, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
        monkeypatch.setenv("INFLUXDB_ENABLED", value)
        assert install() is True

    def test_the_sample_probability_is_read(
        self, server: testing.Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("INFLUXDB_SAMPLE_PROBABILITY", "0")
        install(server.url)
        add(3)
        assert flush_sync()["sampled_out"] == 3
        assert server.requests() == []

    def test_a_new_timeout_does_not_fire_at_once(self, server: testing.Server) -> None:
        install(server.url, submission_interval=HOUR, max_buffer_size=1_000)
        add()
        influxdb.set_timeout(2 * HOUR)
        # What was due would be sent before what a flush of another database brings.
        assert stats()["batches"] == 0
        influxdb.set_trigger_size(2)
        add()
        server.wait_for_points(2)
        assert [request.lines for request in server.writes()] == [2]

    def test_the_limit_of_the_buffer_is_exact(self) -> None:
        install("http://127.0.0.1:1", max_buffer_size=100)
        add(99)
        assert (stats()["pending"], stats()["dropped"]["newest"]) == (99, 0)
        add(2)
        assert (stats()["pending"], stats()["dropped"]["newest"]) == (100, 1)

    def test_a_changed_setting_keeps_the_connection(self, client: testing.Server) -> None:
        for size in range(1, 6):
            influxdb.set_max_batch_size(size)
            influxdb.set_max_clients(size)
            add()
            flush_sync()
        assert (len(client.writes()), client.connections()) == (5, 1)


class TestReplies:
    @pytest.mark.parametrize("status", [401, 403, 404, 408, 429, 500, 502, 503, 504])
    def test_a_batch_is_kept(self, client: testing.Server, status: int) -> None:
        client.inject(Fault.error(status, "not now"))
        add(10)
        wait_until(lambda: flush_sync(0.1)["pending"] == 0)
        assert (stats()["delivered"], stats()["retries"], len(client.points())) == (10, 1, 10)

    def test_a_batch_that_is_too_large_is_halved(self, client: testing.Server) -> None:
        client.max_body_size(200)
        add(50)
        assert flush_sync(60)["delivered"] == 50
        assert len(client.points()) == 50

    def test_a_bad_line_does_not_cost_the_others_nor_send_them_twice(
        self, client: testing.Server
    ) -> None:
        client.inject_always(Fault.reject_lines("n=7i"))
        client.inject(Fault.reset())
        add(20)
        wait_until(lambda: flush_sync(0.1)["pending"] == 0)
        assert (stats()["delivered"], stats()["rejected"]) == (19, 1)
        assert len(client.points()) == 19

    def test_a_lost_reply_makes_no_second_point(self, client: testing.Server) -> None:
        client.inject(Fault.reset().and_store())
        add(20)
        wait_until(lambda: flush_sync(0.1)["pending"] == 0)
        assert (stats()["delivered"], len(client.points())) == (20, 20)

    def test_a_flush_ends_while_the_server_is_down(self) -> None:
        install("http://127.0.0.1:1", shutdown_timeout=100)
        add()

        async def main() -> list[bool]:
            return [await influxdb.flush(), await influxdb.shutdown()]

        assert asyncio.run(main()) == [False, False]


class TestProcesses:
    def test_a_loop_that_is_stopped_right_after_shutdown(
        self, influxd: Any, database: str, python: Callable[..., Any]
    ) -> None:
        python(
            STOPPED_LOOP, DATABASE=database, INFLUXDB_URL=influxd.url, INFLUXDB_TAG_HOSTNAME="false"
        )
        [row] = influxd.query('SELECT * FROM "measurement-name"', database)
        del row["time"]
        assert row == {"foo": "bar", "baz": 1.05}

    @pytest.mark.parametrize(
        ("end", "status"),
        [
            ("", 0),
            ("import sys; sys.exit(3)", 3),
            ("raise RuntimeError", 1),
            ("influxdb.flush_sync()", 0),
        ],
    )
    def test_what_is_buffered_at_the_end_is_delivered(
        self, server: testing.Server, python: Callable[..., Any], end: str, status: int
    ) -> None:
        program = f"""
            import sprockets_influxdb as influxdb
            influxdb.record("db", "m", {{}}, {{"n": 1}})
            {end}
            """
        assert python(program, check=False, INFLUXDB_URL=server.url).returncode == status
        assert len(server.points("db")) == 1

    def test_an_end_does_not_wait_for_a_server_that_is_down(
        self, python: Callable[..., Any]
    ) -> None:
        program = """
            import sprockets_influxdb as influxdb
            influxdb.record("db", "m", {}, {"n": 1})
            """
        python(program, INFLUXDB_URL="http://127.0.0.1:1", INFLUXDB_SHUTDOWN_TIMEOUT="500")

    def test_a_fork_sends_nothing_twice_and_loses_nothing(self, client: testing.Server) -> None:
        add(100)
        child = os.fork()
        if child == 0:
            add(10, "child")
            pending = flush_sync(30)["pending"]
            os._exit(pending or stats()["added"] != 10)
        assert os.waitpid(child, 0)[1] == 0
        assert flush_sync(30)["delivered"] == 100
        assert (client.lines_received("db"), client.lines_received("child")) == (100, 10)

    @pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
    def test_children_of_multiprocessing(
        self, server: testing.Server, monkeypatch: pytest.MonkeyPatch, method: str
    ) -> None:
        monkeypatch.setenv("INFLUXDB_URL", server.url)
        context: Any = multiprocessing.get_context(method)
        child = context.Process(target=add, args=(10, method))
        child.start()
        child.join()
        assert child.exitcode == 0
        assert len(server.points(method)) == 10

    def test_threads(self, client: testing.Server) -> None:
        def work(number: int) -> None:
            for _ in range(1_000):
                record("db", "m", {"thread": number}, {"n": 1})

        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            flush_sync()
        for thread in threads:
            thread.join()
        flush_sync(30)
        assert (stats()["delivered"], len(client.points())) == (8_000, 8_000)
