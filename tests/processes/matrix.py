"""What the programs that the fixture ``launch`` starts share. ``DATABASE`` is the test's own."""

import os

import sprockets_influxdb as influxdb

DATABASE = os.environ.get("MATRIX_DATABASE", "")


def add(name: str, count: int = 1) -> None:
    """Adds so many measurements, by the classic calls."""
    for number in range(count):
        measurement = influxdb.Measurement(DATABASE, name)
        # Two processes do not know of each other's timestamps.
        measurement.set_tag("process", os.getpid())
        measurement.set_field("number", number)
        influxdb.add_measurement(measurement)


def wait_for_children(*children: int) -> None:
    """Waits until the children have ended well."""
    for child in children:
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == 0, (child, status)
