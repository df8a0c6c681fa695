"""Measurements that tests add."""

import threading
from collections.abc import Callable

import sprockets_influxdb as influxdb
from sprockets_influxdb import Measurement

HOUR = 3_600_000


def measurement(database: str = "db") -> Measurement:
    measurement = Measurement(database, "m")
    measurement.set_field("n", 1)
    return measurement


def add(count: int = 1, database: str = "db") -> None:
    for _ in range(count):
        influxdb.add_measurement(measurement(database))


def in_a_thread(function: Callable[..., object], *arguments: object) -> None:
    thread = threading.Thread(target=function, args=arguments)
    thread.start()
    thread.join()
