"""What the programs that the fixture ``launch`` starts share. ``DATABASE`` is the test's own."""

import os
from collections.abc import Callable
from typing import Any

import sprockets_influxdb as influxdb
from sprockets_influxdb.wsgi import InfluxDBMiddleware

DATABASE = os.environ.get("MATRIX_DATABASE", "")


def add(name: str, count: int = 1) -> None:
    """Adds so many measurements, by the classic calls."""
    for number in range(count):
        measurement = influxdb.Measurement(DATABASE, name)
        # Two processes do not know of each other's timestamps.
        measurement.set_tag("process", os.getpid())
        measurement.set_field("number", number)
        influxdb.add_measurement(measurement)


def serve(name: str, count: int = 1) -> None:
    """Handles so many requests, which set nothing of their own."""

    def respond(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        start_response("200 OK", [("Content-Length", "5")])
        return [b"hello"]

    application = InfluxDBMiddleware(respond, database=DATABASE, measurement=name)
    for _ in range(count):
        application({"REQUEST_METHOD": "GET", "REMOTE_ADDR": "192.0.2.1"}, lambda *_: None)


def wait_for_children(*children: int) -> None:
    """Waits until the children have ended well."""
    for child in children:
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == 0, (child, status)
