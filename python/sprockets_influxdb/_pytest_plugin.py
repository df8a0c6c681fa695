"""The pytest plugin: the fixture, and no recording without a server. pytest loads it by the entry
point ``pytest11``.
"""

import os
from collections.abc import Iterator

import pytest

from sprockets_influxdb import _native, testing


def pytest_configure() -> None:
    """Disable clients that no test configured. They would write to localhost: tests would reach a
    server by accident, or wait for one at the end.
    """
    _native.need_server(True)


def pytest_unconfigure() -> None:
    _native.need_server(False)


@pytest.fixture
def influxdb(monkeypatch: pytest.MonkeyPatch) -> Iterator[testing.Server]:
    """A scripted InfluxDB that receives everything that the test records, without delay.

    The environment points to the server, so the code under test need not install the client. If it
    passes a URL to ``install()``, that must be the server's ``url``. Clients that were made before
    the test, without a server, write to this one during the test. What ``install()`` was called
    with then, such as a default database, applies too. Otherwise there is no client before and
    after the test.
    """
    testing.reset()
    for name in [name for name in os.environ if name.startswith("INFLUXDB_")]:
        monkeypatch.delenv(name)
    with testing.Server() as server:
        monkeypatch.setenv("INFLUXDB_URL", server.url)
        monkeypatch.setenv("INFLUXDB_TRIGGER_SIZE", "1")
        monkeypatch.setenv("INFLUXDB_INTERVAL", "1")
        _native.direct_clients()
        yield server
        server.stop()
        testing.reset()
        _native.undirect_clients()
