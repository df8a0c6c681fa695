"""Environment variables that configure the client."""

import logging
import os
from collections.abc import Callable
from typing import Any

import pytest

import sprockets_influxdb as influxdb
from measurements import add
from sprockets_influxdb import flush_sync, install, testing


class TestEnvironment:
    def test_every_variable_of_2_2_1(
        self, server: testing.Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        variables = {
            "INFLUXDB_SCHEME": "http",
            "INFLUXDB_HOST": "127.0.0.1",
            "INFLUXDB_PORT": str(server.port),
            "INFLUXDB_USER": "me",
            "INFLUXDB_PASSWORD": "secret",
            "INFLUXDB_INTERVAL": "1000",
            "INFLUXDB_MAX_BATCH_SIZE": "20",
            "INFLUXDB_MAX_BUFFER_SIZE": "400",
            "INFLUXDB_SAMPLE_PROBABILITY": "0.5",
            "INFLUXDB_TRIGGER_SIZE": "50",
            "INFLUXDB_TAG_HOSTNAME": "No",
            "ENVIRONMENT": "staging",
        }
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        install()
        settings = influxdb.settings()
        expected = {
            "url": f"{server.url}/write",
            "auth_username": "me",
            "auth_password": "***",
            "submission_interval": 1000,
            "max_batch_size": 20,
            "max_buffer_size": 400,
            "sample_probability": 0.5,
            "trigger_size": 50,
            "base_tags": {"environment": "staging"},
        }
        assert {name: settings[name] for name in expected} == expected

    def test_an_argument_wins_over_a_variable_and_that_over_the_default(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("INFLUXDB_MAX_BATCH_SIZE", "20")
        monkeypatch.setenv("INFLUXDB_TRIGGER_SIZE", "50")
        install(max_batch_size=7)
        settings = influxdb.settings()
        assert (
            settings["max_batch_size"],
            settings["trigger_size"],
            settings["max_buffer_size"],
        ) == (7, 50, 25_000)

    @pytest.mark.parametrize(
        ("variable", "value"),
        [
            ("INFLUXDB_SCHEME", "gopher"),
            ("INFLUXDB_PORT", "many"),
            ("INFLUXDB_ENABLED", "perhaps"),
            ("INFLUXDB_INTERVAL", "1s"),
            ("INFLUXDB_MAX_BATCH_SIZE", "0"),
            ("INFLUXDB_MAX_BUFFER_SIZE", "-1"),
            ("INFLUXDB_SAMPLE_PROBABILITY", "2"),
            ("INFLUXDB_TRIGGER_SIZE", "1.5"),
            ("INFLUXDB_TAG_HOSTNAME", "2"),
        ],
    )
    @pytest.mark.parametrize("use", [install, influxdb.Client, influxdb.settings])
    def test_an_unreadable_variable_is_named(
        self, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, use: Callable[[], object]
    ) -> None:
        monkeypatch.setenv(variable, value)
        with pytest.raises(ValueError, match=f"{variable}: .*{value}.*expected"):
            use()

    def test_recording_does_not_fail_for_an_unreadable_variable(
        self,
        server: testing.Server,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        monkeypatch.setenv("INFLUXDB_URL", server.url)
        monkeypatch.setenv("INFLUXDB_INTERVAL", "10s")
        add()
        influxdb.record("db", "m", {}, {"n": 1})
        influxdb.series("db", "m")(n=1)
        assert influxdb.stats()["dropped"]["disabled"] == 3
        with pytest.raises(ValueError, match=r"INFLUXDB_INTERVAL: .*10s"):
            install()
        monkeypatch.setenv("INFLUXDB_INTERVAL", "10")
        assert install() is True
        add()
        assert flush_sync()["delivered"] == 1
        testing.reset()
        [error] = [record for record in caplog.records if record.levelno == logging.ERROR]
        assert error.getMessage().startswith("nothing is recorded: INFLUXDB_INTERVAL: ")

    def test_the_environment_is_that_of_the_installation(
        self, server: testing.Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        add()
        influxdb.set_max_batch_size(7)
        influxdb.set_max_batch_size(8)
        monkeypatch.setenv("INFLUXDB_URL", server.url)
        monkeypatch.setenv("INFLUXDB_TRIGGER_SIZE", "50")
        install()
        settings = influxdb.settings()
        assert (settings["trigger_size"], settings["max_batch_size"]) == (50, 8)
        assert flush_sync()["delivered"] == 1

    def test_the_defaults(self) -> None:
        install()
        settings = influxdb.settings()
        expected = {
            "url": "http://localhost:8086/write",
            "scheme": "http",
            "host": "localhost",
            "port": 8086,
            "auth_username": None,
            "auth_password": None,
            "enabled": True,
            "submission_interval": 60_000,
            "max_batch_size": 10_000,
            "max_buffer_size": 25_000,
            "max_buffer_bytes": 64 << 20,
            "trigger_size": 5_000,
            "overflow": "newest",
            "sample_probability": 1.0,
            "max_clients": 10,
            "api": "v1",
            "precision": "ns",
            "gzip": False,
            "timeout": 10_000,
            "shutdown_timeout": 5_000,
            "tag_hostname": True,
            "environment": None,
        }
        assert {name: settings[name] for name in expected} == expected

    @pytest.mark.parametrize(
        ("host", "scheme"), [("localhost", "http"), ("127.0.0.1", "http"), ("db", "https")]
    )
    def test_https_except_to_a_loopback_host(
        self, monkeypatch: pytest.MonkeyPatch, host: str, scheme: str
    ) -> None:
        monkeypatch.setenv("INFLUXDB_HOST", host)
        install()
        assert influxdb.settings()["scheme"] == scheme

    def test_a_trigger_size_beyond_the_buffer_is_lowered_with_a_warning(
        self, python: Callable[..., Any]
    ) -> None:
        done = python(
            "import sprockets_influxdb as s; s.install(trigger_size=60_000); print(s.settings())"
        )
        assert "'trigger_size': 25000" in done.stdout
        assert "lowered from 60000 to 25000" in done.stderr

    def test_the_password_is_masked(
        self, server: testing.Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        server.require_basic("me", "hunter2")
        monkeypatch.setenv("INFLUXDB_USER", "me")
        monkeypatch.setenv("INFLUXDB_PASSWORD", "hunter2")
        add()
        assert os.environ["INFLUXDB_PASSWORD"] == "XXXXXXX"
        install(server.url)
        assert os.environ["INFLUXDB_PASSWORD"] == "XXXXXXX"
        assert flush_sync()["delivered"] == 1
        assert "hunter2" not in repr(influxdb.settings())

    def test_a_child_process_gets_the_password(self, python: Callable[..., Any]) -> None:
        program = """
            import subprocess, sprockets_influxdb
            sprockets_influxdb.install()
            print(subprocess.check_output(["sh", "-c", "echo $INFLUXDB_PASSWORD"], text=True))
            """
        assert python(program, INFLUXDB_PASSWORD="secret").stdout.strip() == "secret"
