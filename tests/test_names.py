"""Public names, the version and the user agent."""

import logging
from collections.abc import Callable
from typing import Any

import pytest

import sprockets_influxdb as influxdb
from measurements import add
from sprockets_influxdb import flush_sync, install, testing


class TestNames:
    def test_constants(self) -> None:
        assert influxdb.__version__ == ".".join(map(str, influxdb.version_info))
        assert influxdb.version_info[0] == 3
        assert f"sprockets-influxdb/v{influxdb.__version__}" == influxdb.USER_AGENT
        assert influxdb.REQUEST_DATABASE == "sprockets_influxdb.database"

    def test_every_name_is_public_and_documented(self) -> None:
        for name in influxdb.__all__:
            public = getattr(influxdb, name)
            if callable(public):
                assert public.__module__.startswith("sprockets_influxdb")
                assert public.__doc__ or name == "InfluxDBMixin"

    def test_the_user_agent_is_sent(self, client: testing.Server) -> None:
        add()
        flush_sync()
        assert client.writes()[0].header("user-agent") == influxdb.USER_AGENT

    def test_the_log_is_that_of_the_package(
        self, server: testing.Server, caplog: pytest.LogCaptureFixture
    ) -> None:
        install(server.url)
        assert install() is False
        [entry] = caplog.records
        assert (entry.name, entry.levelno) == ("sprockets_influxdb", logging.WARNING)

    def test_failures_are_logged_with_pythons_levels(self, python: Callable[..., Any]) -> None:
        done = python(
            """
            import logging, sprockets_influxdb
            logging.basicConfig(format="%(levelname)s %(name)s %(message)s", level=logging.DEBUG)
            sprockets_influxdb.install("http://127.0.0.1:1", "me", "hunter2", shutdown_timeout=0)
            sprockets_influxdb.record("db", "m", {}, {"n": 1})
            sprockets_influxdb.flush_sync(0.1)
            """
        )
        assert (
            'WARNING sprockets_influxdb cannot write to database "db" at http://127.0.0.1:1'
            in done.stderr
        )
        assert "hunter2" not in done.stderr
