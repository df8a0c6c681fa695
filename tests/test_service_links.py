"""Kubernetes sets ``INFLUXDB_PORT=tcp://…`` in pods next to a service named influxdb."""

import urllib.parse
from collections.abc import Callable

import pytest

import sprockets_influxdb as influxdb
from frameworks import FRAMEWORKS, Request
from sprockets_influxdb import testing

LINK = "tcp://10.96.12.7:8086"


@pytest.fixture(autouse=True)
def _links(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INFLUXDB_PORT", LINK)
    monkeypatch.setenv("INFLUXDB_PORT_8086_TCP", LINK)
    monkeypatch.setenv("INFLUXDB_PORT_8086_TCP_ADDR", "10.96.12.7")
    monkeypatch.setenv("INFLUXDB_SERVICE_HOST", "10.96.12.7")
    monkeypatch.setenv("INFLUXDB_SERVICE_PORT", "8086")


def by_host_and_port(url: str) -> None:
    parts = urllib.parse.urlsplit(url)
    influxdb.install(host=parts.hostname, port=parts.port)


@pytest.mark.parametrize("install", [influxdb.install, by_host_and_port])
def test_arguments_override_the_link(
    server: testing.Server, install: Callable[[str], object]
) -> None:
    install(server.url)
    influxdb.record("db", "m", {}, {"a": 1})
    influxdb.flush_sync(10)
    assert len(server.points("db")) == 1


def test_a_url_in_the_environment_overrides_the_link(
    server: testing.Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("INFLUXDB_URL", server.url)
    influxdb.record("db", "m", {}, {"a": 1})
    influxdb.flush_sync(10)
    assert len(server.points("db")) == 1
    assert LINK not in caplog.text


@pytest.mark.parametrize("request_of", FRAMEWORKS)
def test_requests_are_recorded(
    server: testing.Server, monkeypatch: pytest.MonkeyPatch, request_of: Request
) -> None:
    monkeypatch.setenv("INFLUXDB_URL", server.url)
    assert request_of(lambda measurement: None, {"database": "db"}) == 200
    influxdb.flush_sync(10)
    assert len(server.points("db")) == 1


def test_a_link_alone_is_one_warning_and_the_default_port(
    caplog: pytest.LogCaptureFixture,
) -> None:
    influxdb.install()
    testing.reset()
    [warning] = [record.getMessage() for record in caplog.records if LINK in record.getMessage()]
    assert "INFLUXDB_PORT is not used" in warning
    assert "8086" in warning


def test_another_wrong_port_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INFLUXDB_PORT", "http://10.96.12.7:8086")
    with pytest.raises(ValueError, match="INFLUXDB_PORT"):
        influxdb.install()
