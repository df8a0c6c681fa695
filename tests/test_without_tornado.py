"""The package needs no other package. Tornado is an extra."""

import importlib.metadata
from collections.abc import Callable
from typing import Any

from sprockets_influxdb import testing

#: Makes Tornado unavailable to a program.
WITHOUT_TORNADO = """
import sys

sys.modules["tornado"] = None
"""


def test_every_requirement_belongs_to_an_extra() -> None:
    requirements = importlib.metadata.requires("sprockets-influxdb") or []
    assert requirements
    assert [requirement for requirement in requirements if "extra ==" not in requirement] == []
    extras = importlib.metadata.metadata("sprockets-influxdb").get_all("Provides-Extra")
    assert extras is not None
    assert {"tornado", "asgi", "flask", "django", "celery", "nats", "all"} <= set(extras)


def test_measurements_are_delivered_without_tornado(
    server: testing.Server, python: Callable[..., Any]
) -> None:
    program = """
import asyncio
import sprockets_influxdb as influxdb
from sprockets_influxdb import *
from sprockets_influxdb import asgi, testing, wsgi

influxdb.record("db", "before", {}, {"n": 1})

async def main():
    assert await influxdb.flush() is True
    influxdb.record("db", "within", {}, {"n": 1})
    future = influxdb.shutdown()
    assert asyncio.isfuture(future) and future is influxdb.shutdown()
    assert await future is True

asyncio.run(main())

# Without a running loop, the futures belong to the current one, which is made if there is none.
future = influxdb.flush()
assert future.get_loop() is influxdb.flush().get_loop()
assert future.get_loop().run_until_complete(future) is True
future.get_loop().close()
assert not any(name.startswith("tornado.") for name in sys.modules)
"""
    python(WITHOUT_TORNADO + program, INFLUXDB_URL=server.url)
    names = [point.measurement for point in server.points("db")]
    assert sorted(names) == ["before", "within"]


def test_the_mixin_says_which_extra_it_needs(python: Callable[..., Any]) -> None:
    program = """
import sprockets_influxdb

def uses():
    yield lambda: sprockets_influxdb.InfluxDBMixin
    yield lambda: sprockets_influxdb.tornado
    yield lambda: __import__("sprockets_influxdb.tornado")

for use in uses():
    try:
        use()
    except ImportError as error:
        assert "pip install sprockets-influxdb[tornado]" in str(error), error
        assert error.name == "tornado"
    else:
        raise AssertionError("it was imported")
"""
    python(WITHOUT_TORNADO + program)
