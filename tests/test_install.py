"""``install()``: its arguments, and what it returns."""

import asyncio
import inspect
import pathlib
import socket
from typing import Any

import pytest

import sprockets_influxdb as influxdb
from measurements import add
from sprockets_influxdb import flush_sync, install, stats, testing
from sprockets_influxdb.testing import Fault


class TestInstall:
    def test_the_order_of_its_arguments(self) -> None:
        parameters = inspect.signature(install).parameters.values()
        positional = {p.name: p.default for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD}
        assert list(positional.items()) == [
            ("url", None),
            ("auth_username", None),
            ("auth_password", None),
            ("submission_interval", None),
            ("max_batch_size", None),
            ("max_clients", 10),
            ("base_tags", None),
            ("max_buffer_size", None),
            ("trigger_size", None),
            ("sample_probability", 1.0),
        ]

    def test_all_of_them_by_position(self, server: testing.Server) -> None:
        assert install(server.url, "me", "secret", 1000, 20, 3, {"a": 1}, 400, 50, 0.5) is True
        settings = influxdb.settings()
        expected = {
            "url": f"{server.url}/write",
            "auth_username": "me",
            "auth_password": "***",
            "submission_interval": 1000,
            "max_batch_size": 20,
            "max_clients": 3,
            "max_buffer_size": 400,
            "trigger_size": 50,
            "sample_probability": 0.5,
        }
        assert {name: settings[name] for name in expected} == expected
        assert settings["base_tags"] == {"hostname": socket.gethostname(), "a": "1"}

    def test_url_user_and_password_by_position(self, server: testing.Server) -> None:
        server.require_basic("me", "secret")
        install(server.url, "me", "secret")
        add()
        assert flush_sync()["delivered"] == 1

    def test_a_default_that_is_given_wins_over_the_environment(
        self, server: testing.Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("INFLUXDB_SAMPLE_PROBABILITY", "0")
        monkeypatch.setenv("INFLUXDB_TRIGGER_SIZE", "7")
        install(server.url, trigger_size=5_000, sample_probability=1.0)
        assert (influxdb.settings()["sample_probability"], influxdb.settings()["trigger_size"]) == (
            1.0,
            5_000,
        )

    def test_the_first_call_wins(
        self, server: testing.Server, caplog: pytest.LogCaptureFixture
    ) -> None:
        assert install(server.url) is True
        assert install("http://other:1") is False
        assert "installed already" in caplog.text
        assert "call shutdown_sync() first" in caplog.text
        assert influxdb.settings()["url"] == f"{server.url}/write"

    @pytest.mark.parametrize("value", ["false", "False", "0", "no", "OFF"])
    def test_a_variable_turns_it_off(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, value: str
    ) -> None:
        monkeypatch.setenv("INFLUXDB_ENABLED", value)
        assert install() is None
        assert "not enabled" in caplog.text
        add(2)
        assert (stats()["added"], stats()["dropped"]["disabled"]) == (2, 2)
        monkeypatch.setenv("INFLUXDB_ENABLED", "true")
        assert install() is True

    def test_io_loop_is_ignored_and_deprecated(self) -> None:
        with pytest.warns(DeprecationWarning, match="io_loop") as warnings:
            assert install(io_loop=object()) is True
        assert warnings[0].filename == __file__

    def test_new_options_are_keywords(self, server: testing.Server) -> None:
        install(
            server.url,
            api="v2",
            token="t",
            org="o",
            precision="ms",
            timeout=500,
            overflow="oldest",
            gzip=True,
        )
        add()
        flush_sync()
        [request] = server.writes()
        assert request.path == "/api/v2/write"
        assert (
            request.parameter("bucket"),
            request.parameter("org"),
            request.parameter("precision"),
        ) == (
            "db",
            "o",
            "ms",
        )
        assert request.header("authorization") == "Token t"
        settings = influxdb.settings()
        assert (settings["timeout"], settings["overflow"], settings["gzip"]) == (
            500,
            "oldest",
            True,
        )

    @pytest.mark.parametrize(
        ("argument", "value"),
        [
            ("url", "ftp://localhost"),
            ("auth_username", "with:colon"),
            ("auth_username", object()),
            ("submission_interval", -1),
            ("submission_interval", 0.5),
            ("max_batch_size", 0),
            ("max_clients", 0),
            ("base_tags", ["a"]),
            ("max_buffer_size", "many"),
            ("trigger_size", True),
            ("sample_probability", 1.5),
            ("timeout", 0),
            ("api", "v9"),
            ("host", "http://localhost"),
        ],
    )
    def test_a_wrong_argument_is_named(self, argument: str, value: Any) -> None:
        with pytest.raises(ValueError, match=argument):
            install(**{argument: value})
        assert install() is True, "nothing was installed"

    def test_a_wrong_argument_does_not_show_a_secret(self) -> None:
        with pytest.raises(ValueError, match="url") as caught:
            install("ftp://me:hunter2@localhost")
        assert "hunter2" not in str(caught.value)

    def test_base_tags(self, server: testing.Server) -> None:
        install(server.url, base_tags={"a": 1, "b": True, "none": None, "bad": "\ud800"})
        add()
        flush_sync()
        hostname = socket.gethostname()
        assert server.points()[0].tags == {
            "hostname": hostname,
            "a": "1",
            "b": "True",
            "bad": "\N{REPLACEMENT CHARACTER}",
        }


class TestInstallAgain:
    """After the shutdown of the installed client, another can be installed."""

    def test_a_new_client_with_new_counters(self, server: testing.Server) -> None:
        for run in range(3):
            assert install(server.url, max_batch_size=run + 1) is True
            assert influxdb.settings()["max_batch_size"] == run + 1
            assert stats()["added"] == 0
            add(2)
            assert influxdb.shutdown_sync()["delivered"] == 2
            assert stats()["added"] == 2
        assert len(server.points()) == 6

    def test_what_is_added_in_between_is_closed(self, server: testing.Server) -> None:
        async def main() -> None:
            assert install(server.url) is True
            add()
            assert await influxdb.shutdown() is True
            add(2)
            assert (stats()["dropped"]["closed"], await influxdb.flush()) == (2, False)
            assert flush_sync()["closed"] == 2
            assert install(server.url) is True
            assert (stats()["dropped"]["closed"], await influxdb.flush()) == (0, True)
            add()
            assert await influxdb.flush() is True
            assert await influxdb.shutdown() is True

        asyncio.run(main())
        assert len(server.points()) == 2

    def test_after_the_shutdown_of_one_that_was_not_installed(
        self, server: testing.Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("INFLUXDB_URL", server.url)
        add()
        influxdb.shutdown_sync()
        add()
        assert stats()["dropped"]["closed"] == 1
        assert install() is True
        add()
        assert flush_sync()["delivered"] == stats()["added"] == 1

    def test_while_a_shutdown_runs(self, server: testing.Server) -> None:
        async def main() -> None:
            server.inject(Fault.black_hole())
            install(server.url)
            add()
            ending = influxdb.shutdown()
            await asyncio.to_thread(server.wait_for_requests, 1)
            assert install(server.url) is True
            add()
            assert await influxdb.flush() is True
            server.clear_faults()
            assert await ending is True

        asyncio.run(main())
        assert len(server.points()) == 2

    def test_a_wrong_argument_leaves_the_old_one(self, server: testing.Server) -> None:
        install(server.url)
        add()
        influxdb.shutdown_sync()
        with pytest.raises(ValueError, match="max_batch_size"):
            install(server.url, max_batch_size=0)
        assert stats()["delivered"] == 1
        assert install(server.url) is True

    def test_series_and_middlewares_made_before_record_with_the_new_one(
        self, server: testing.Server
    ) -> None:
        install(server.url)
        series = influxdb.series("db", "m")
        series(n=1)
        influxdb.shutdown_sync()
        install(server.url)
        series(n=2)
        assert flush_sync()["delivered"] == stats()["added"] == 1

    def test_the_old_one_delivers_its_spool(
        self, server: testing.Server, tmp_path: pathlib.Path
    ) -> None:
        spool = str(tmp_path / "spool")
        server.stop()
        install(server.url, spool=spool, shutdown_timeout=1)
        add(2)
        assert influxdb.shutdown_sync()["pending"] == stats()["spooled"] == 2
        old = influxdb.installed()
        assert old is not None
        assert install(server.url, spool=spool) is True
        server.restart()
        add()
        assert flush_sync()["delivered"] == 1
        assert old.flush_sync(30)["pending"] == 0
        assert len(server.points()) == 3
        assert (old.stats()["spooled"], stats()["recovered"]) == (0, 0)

    def test_an_old_one_without_a_spool_delivers_later(self, server: testing.Server) -> None:
        server.stop()
        install(server.url, shutdown_timeout=1)
        add(2)
        assert influxdb.shutdown_sync()["pending"] == 2
        old = influxdb.installed()
        assert old is not None
        assert install(server.url) is True
        server.restart()
        add()
        assert flush_sync()["delivered"] == 1
        assert old.flush_sync(30)["pending"] == 0
        assert len(server.points()) == 3

    def test_a_setting_made_before_the_first_install_holds(self, server: testing.Server) -> None:
        influxdb.set_trigger_size(7)
        for _ in range(2):
            assert install(server.url) is True
            assert influxdb.settings()["trigger_size"] == 7
            influxdb.shutdown_sync()
