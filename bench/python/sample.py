"""What the subjects of the benchmark share: the measurement, and the client."""

import logging
import timeit

TAGS = {
    "handler": "app.handlers.RequestHandler",
    "endpoint": "/api/v1/users/{id}",
    "method": "GET",
    "status_code": "200",
}
FIELDS = {"content_length": 51234, "duration": 0.0234567, "cached": True}
NOWHERE = "http://127.0.0.1:1"


def best(function, number=50_000, repeat=7):
    function()
    return min(timeit.repeat(function, number=number, repeat=repeat)) / number * 1e9


def classic(influxdb, add):
    def record():
        measurement = influxdb.Measurement("bench", "request")
        measurement.set_tag("handler", "app.handlers.RequestHandler")
        measurement.set_tag("endpoint", "/api/v1/users/{id}")
        measurement.set_tag("method", "GET")
        measurement.set_tag("status_code", "200")
        measurement.set_field("content_length", 51234)
        measurement.set_field("duration", 0.0234567)
        measurement.set_field("cached", True)
        add(measurement)

    return record


def original():
    """Release 2.2.1, which keeps what is added."""
    from tornado import ioloop

    import sprockets_influxdb as influxdb

    logging.disable(logging.CRITICAL)
    ioloop.IOLoop.current()
    influxdb.install(NOWHERE)
    influxdb.set_max_buffer_size(10**9)
    influxdb.set_trigger_size(10**9)
    return influxdb


def sampled_out():
    """A client that does everything but send: it samples every batch out."""
    import sprockets_influxdb as influxdb

    influxdb.install(NOWHERE, sample_probability=0.0, max_buffer_size=1_000_000, tag_hostname=False)
    return influxdb
