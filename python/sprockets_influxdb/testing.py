"""A scripted InfluxDB in the process, for tests of code that records measurements.

It stores what it receives as points, and fails on command. It needs no network, no container and no
sleeping: tests wait for what they expect.

With pytest, use the fixture ``influxdb``::

    def test_a_job_is_recorded(influxdb):
        run_job()
        [point] = influxdb.wait_for_points(1)
        assert point.tags["queue"] == "mail"
        assert point.fields["rows"] == 3

Without it::

    with testing.Server() as server:
        sprockets_influxdb.install(server.url)
        ...
        sprockets_influxdb.flush_sync()
        points = server.points("example")
    testing.reset()

The client sends on its own threads, so a test may also wait within an event loop.
"""

from sprockets_influxdb import _client, _lifecycle, _native
from sprockets_influxdb._native import (
    Fault,
    Point,
    Request,
    Server,
    foreign_replies,
    parse,
    products,
)

__all__ = [
    "Fault",
    "Point",
    "Request",
    "Server",
    "foreign_replies",
    "parse",
    "products",
    "reset",
]

foreign_replies.__module__ = __name__
parse.__module__ = __name__
products.__module__ = __name__


def reset() -> None:
    """Go back to the state before :func:`sprockets_influxdb.install`: no client, no base tags, all
    counters at zero. Pending measurements are lost. Pending log messages are written.
    """
    _native.reset()
    _client.forget()
    _lifecycle.write_log()
