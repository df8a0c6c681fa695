"""From ``install()`` to a query of a real influxd."""

from typing import Any

from measurements import add
from sprockets_influxdb import flush_sync, install, record, stats


class TestRealServer:
    def test_from_install_to_a_query(self, influxd: Any, database: str) -> None:
        install(influxd.url, base_tags={"region": "eu"}, tag_hostname=False)
        record(
            database,
            "m",
            {"t": "a b"},
            {"f": 1.5, "i": 2, "b": True, "s": 'a "b" \\'},
            1_700_000_000.123,
        )
        assert flush_sync() == {
            "delivered": 1,
            "rejected": 0,
            "sampled_out": 0,
            "dropped": 0,
            "pending": 0,
            "closed": 0,
        }
        [row] = influxd.query("SELECT * FROM m", database)
        expected = {"region": "eu", "t": "a b", "f": 1.5, "i": 2, "b": True, "s": 'a "b" \\'}
        assert row == {"time": 1_700_000_000_123_000_000, **expected}

    def test_a_missing_database_keeps_what_waits(self, influxd: Any, database: str) -> None:
        influxd.query(f'DROP DATABASE "{database}"')
        install(influxd.url)
        add(database=database)
        assert flush_sync(0.2)["pending"] == 1
        assert "does not exist" in (stats()["last_error"] or "")
        influxd.query(f'CREATE DATABASE "{database}"')
        assert flush_sync(30)["delivered"] == 1
