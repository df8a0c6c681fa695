"""The fixture that pytest finds by the entry point ``pytest11``."""

import os
from collections.abc import Iterator

import pytest

from sprockets_influxdb import testing


@pytest.fixture
def influxdb(monkeypatch: pytest.MonkeyPatch) -> Iterator[testing.Server]:
    """A scripted InfluxDB that everything recorded in this test goes to, at once.

    The code under test may install the client or leave that out: the environment points to the server. When it gives
    ``install()`` a URL of its own, that has to be the server's ``url``. Before and after the test there is no client.
    """
    testing.reset()
    for name in [name for name in os.environ if name.startswith("INFLUXDB_")]:
        monkeypatch.delenv(name)
    with testing.Server() as server:
        monkeypatch.setenv("INFLUXDB_URL", server.url)
        monkeypatch.setenv("INFLUXDB_TRIGGER_SIZE", "1")
        monkeypatch.setenv("INFLUXDB_INTERVAL", "1")
        yield server
        testing.reset()
