"""``stats()`` and ``settings()``."""

import inspect
import typing
from typing import Any

import pytest

import sprockets_influxdb as influxdb
from measurements import add
from sprockets_influxdb import flush_sync, install, record, stats, testing
from sprockets_influxdb.testing import Fault


class TestCounters:
    def test_they_balance(self, server: testing.Server) -> None:
        install(server.url, max_buffer_size=10, trigger_size=1_000)

        def balance() -> dict[str, Any]:
            counters: dict[str, Any] = {**stats()}
            decided = (
                counters["delivered"]
                + counters["rejected"]
                + counters["sampled_out"]
                + sum(counters["dropped"].values())
            )
            assert counters["added"] == decided + counters["pending"]
            return counters

        server.inject_always(Fault.error(400, "unable to parse 'm'").for_database("bad"))
        add(2)
        add(1, "bad")
        balance()
        flush_sync()
        assert "unable to parse" in str(stats()["last_error"])
        record("db", "m", {}, {"n": float("nan")})
        record("db", "m", {"t\n": 1}, {"n": 1, "nan": float("nan")})
        with pytest.raises(ValueError, match="field"):
            record("db", "m")
        influxdb.set_sample_probability(0)
        flush_sync()
        influxdb.set_sample_probability(1)
        # A server that is up would make room for more.
        server.stop()
        add(15)
        balance()
        server.restart()
        influxdb.shutdown_sync()
        add()
        counters = balance()
        expected = {
            "added": 22,
            "delivered": 12,
            "rejected": 1,
            "sampled_out": 1,
            "pending": 0,
            "spooled": 0,
            "non_finite": 2,
            "repaired": 1,
        }
        assert {name: counters[name] for name in expected} == expected
        dropped = {reason: count for reason, count in counters["dropped"].items() if count}
        assert dropped == {"newest": 5, "invalid": 1, "non_finite": 1, "closed": 1}
        assert counters["batches"] >= 3
        assert counters["bytes_sent"] > 0

    def test_all_are_zero_before_there_is_a_client(self) -> None:
        counters = stats()
        assert (counters["added"], counters["last_error"], set(counters["dropped"].values())) == (
            0,
            None,
            {0},
        )


class TestSettings:
    def test_secrets_are_masked(self) -> None:
        install("http://me:hunter2@localhost:1/write?key=hunter2")
        settings = influxdb.settings()
        assert (settings["auth_username"], settings["auth_password"]) == ("me", "***")
        assert settings["url"] == "http://localhost:1/write?key=***"
        assert "hunter2" not in repr(settings)
        testing.reset()
        install(api="v2", token="hunter2", org="o")
        assert influxdb.settings()["token"] == "***"

    def test_whole_floats_are_numbers_too(self) -> None:
        install(submission_interval=1000.0)  # type: ignore[arg-type]
        influxdb.set_max_batch_size(20.0)  # type: ignore[arg-type]
        settings = influxdb.settings()
        assert (settings["submission_interval"], settings["max_batch_size"]) == (1000, 20)

    def test_whatever_it_shows_install_takes(self) -> None:
        install(max_batch_size=7, base_tags={"a": "b"}, retention_policy="year", precision="s")
        shown = influxdb.settings()
        testing.reset()
        assert install(**shown) is True
        assert influxdb.settings() == shown

    def test_install_takes_every_setting_by_name_and_type(self) -> None:
        # Unset settings have no type of their own: they are given a value here.
        texts = {"ca_file", "client_cert", "client_key", "database", "environment", "org"}
        texts |= {"nats_creds", "nats_stream", "retention_policy", "self_database", "spool"}
        texts |= {"token"}
        settings = {**influxdb.settings(), **dict.fromkeys(texts, "")}
        positional = {
            name
            for name, parameter in inspect.signature(install).parameters.items()
            if parameter.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD
        }
        options = typing.get_type_hints(influxdb.Options)
        assert set(settings) == positional | set(options)
        for name, annotation in options.items():
            kinds = set()
            for kind in set(typing.get_args(annotation)) - {type(None)}:
                kinds |= {str} if typing.get_origin(kind) is typing.Literal else {kind}
            assert kinds == {type(settings[name])}, name
            assert f"``{name}``" in str(influxdb.install.__doc__)

    def test_base_tags_are_a_dict_of_its_own(self) -> None:
        install(base_tags={"a": "b,c=d"}, tag_hostname=False)
        influxdb.settings()["base_tags"]["x"] = "y"
        assert influxdb.settings()["base_tags"] == {"a": "b,c=d"}
