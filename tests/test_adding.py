"""``add_measurement()`` and ``record()``."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

import sprockets_influxdb as influxdb
from measurements import HOUR, add, in_a_thread, measurement
from sprockets_influxdb import Measurement, flush_sync, install, record, stats, testing
from sprockets_influxdb.testing import Fault


class TestAdding:
    def test_a_measurement_is_not_consumed(self, client: testing.Server) -> None:
        one = measurement()
        influxdb.add_measurement(one)
        line = one.marshall()
        one.fields["n"] += 1
        influxdb.add_measurement(one)
        flush_sync()
        points = client.points()
        assert [point.fields for point in points] == [{"n": 1}, {"n": 2}]
        assert testing.parse(line) == points[:1]

    def test_without_a_field(self, client: testing.Server) -> None:
        with pytest.raises(ValueError, match="no field"):
            influxdb.add_measurement(Measurement("db", "m"))
        assert stats()["dropped"]["invalid"] == 1

    def test_only_measurements(self, client: testing.Server) -> None:
        with pytest.raises(TypeError):
            influxdb.add_measurement({"n": 1})  # type: ignore[arg-type]

    def test_before_install(self, server: testing.Server, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("INFLUXDB_URL", server.url)
        add()
        assert stats()["pending"] == 1
        assert install() is True
        assert flush_sync()["delivered"] == 1

    def test_while_stopping(self, client: testing.Server, caplog: pytest.LogCaptureFixture) -> None:
        influxdb.shutdown_sync()
        add()
        assert (stats()["delivered"], stats()["dropped"]["closed"]) == (0, 1)

    @pytest.mark.parametrize(
        ("reason", "program"),
        [
            ("disabled", "s.install(enabled=False); add()"),
            ("closed", "s.install(); s.shutdown_sync(); add()"),
            (
                "newest",
                "s.install('http://127.0.0.1:1', max_buffer_size=1, shutdown_timeout=0); "
                "add(); add()",
            ),
        ],
    )
    def test_what_is_discarded_is_logged(
        self, python: Callable[..., Any], reason: str, program: str
    ) -> None:
        python(
            f"""
            import logging, threading, sprockets_influxdb as s
            logged = threading.Event()
            class Handler(logging.Handler):
                def emit(self, record):
                    if "1 measurement was dropped ({reason})" in record.getMessage():
                        logged.set()
            logging.getLogger("sprockets_influxdb").addHandler(Handler())
            add = lambda: s.record("db", "m", {{}}, {{"n": 1}})
            {program}
            assert logged.wait(60)
            """
        )

    def test_a_full_buffer_of_the_oldest(self, server: testing.Server) -> None:
        install(server.url, max_buffer_size=3, max_clients=1, overflow="oldest")
        server.inject(Fault.black_hole())
        add()
        flush_sync(0)
        # What is on its way cannot be dropped.
        server.wait_for_requests(1)
        add(5)
        assert (stats()["pending"], stats()["dropped"]["oldest"], stats()["dropped"]["newest"]) == (
            3,
            3,
            0,
        )

    def test_a_full_buffer_that_blocks_lets_other_threads_run(self, server: testing.Server) -> None:
        install(server.url, max_buffer_size=1, overflow="block", block_timeout=HOUR)
        server.inject(Fault.black_hole())
        add()
        flush_sync(0)
        server.wait_for_requests(1)
        blocked = threading.Thread(target=add)
        blocked.start()
        server.clear_faults()
        blocked.join()
        server.wait_for_points(1)

    def test_from_threads_and_executors(self, client: testing.Server) -> None:
        async def main() -> None:
            loop = asyncio.get_running_loop()
            await asyncio.gather(*(loop.run_in_executor(None, add, 100) for _ in range(10)))

        asyncio.run(main())
        in_a_thread(add, 100)
        flush_sync()
        assert len(client.points()) == 1_100

    def test_in_one_call(self, client: testing.Server) -> None:
        record("db", "m", {"a": 1, "none": None, "empty": ""}, {"n": 1}, 1.5)
        record("db", "m", fields={"n": 2}, timestamp=3)
        record("db", None, None, {"n": 3}, 4)
        flush_sync()
        points = [(p.measurement, p.tags, p.fields, p.timestamp) for p in client.points()]
        assert points == [
            ("m", {"a": "1"}, {"n": 1}, 1_500_000_000),
            ("m", {}, {"n": 2}, 3_000_000_000),
            ("None", {}, {"n": 3}, 4_000_000_000),
        ]
        for wrong in ({}, {"n": None}, {"n": 2**64}, None):
            with pytest.raises(ValueError, match="field"):
                record("db", "m", {}, wrong)
        with pytest.raises(ValueError, match="timestamp"):
            record("db", "m", {}, {"n": 1}, float("inf"))
