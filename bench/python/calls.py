"""Subjects that record as applications do: values that change, the garbage collector on, and a
buffer that grows. Each form of the calls is a function of the module under test and its ``add``.
"""

import gc
import importlib.util
import logging
import subprocess
import sysconfig
import tempfile
import time
import timeit
from pathlib import Path

from sample import NOWHERE, original

NUMBER, REPEAT = 10_000, 5

HANDLERS = [f"app.handlers.Handler{n}" for n in range(20)]
ENDPOINTS = [f"/api/v1/things{n}/{{id}}" for n in range(50)]
METHODS = ["GET", "POST", "GET", "PUT", "GET", "DELETE", "GET"]
STATUSES = ["200", "200", "200", "404", "200", "500"]


def rows():
    """The values of each measurement: handler, endpoint, method, status, and a number."""
    n = 0
    while True:
        n += 1
        yield HANDLERS[n % 20], ENDPOINTS[n % 50], METHODS[n % 7], STATUSES[n % 6], n


def set_fields(measurement, n):
    measurement.set_field("content_length", n)
    measurement.set_field("duration", n / 7)
    measurement.set_field("cached", n % 3 == 0)


def set_tag(influxdb, add):
    row = rows().__next__

    def record():
        handler, endpoint, method, status, n = row()
        measurement = influxdb.Measurement("bench", "request")
        measurement.set_tag("handler", handler)
        measurement.set_tag("endpoint", endpoint)
        measurement.set_tag("method", method)
        measurement.set_tag("status_code", status)
        set_fields(measurement, n)
        add(measurement)

    return record


def set_tags(influxdb, add):
    row = rows().__next__

    def record():
        handler, endpoint, method, status, n = row()
        measurement = influxdb.Measurement("bench", "request")
        measurement.set_tags(
            {"handler": handler, "endpoint": endpoint, "method": method, "status_code": status}
        )
        set_fields(measurement, n)
        add(measurement)

    return record


def items(influxdb, add):
    row = rows().__next__

    def record():
        handler, endpoint, method, status, n = row()
        measurement = influxdb.Measurement("bench", "request")
        measurement.tags["handler"] = handler
        measurement.tags["endpoint"] = endpoint
        measurement.tags["method"] = method
        measurement.tags["status_code"] = status
        measurement.fields["content_length"] = n
        measurement.fields["duration"] = n / 7
        measurement.fields["cached"] = n % 3 == 0
        add(measurement)

    return record


def dicts(influxdb, add):
    row = rows().__next__

    def record():
        handler, endpoint, method, status, n = row()
        measurement = influxdb.Measurement("bench", "request")
        measurement.tags = {
            "handler": handler,
            "endpoint": endpoint,
            "method": method,
            "status_code": status,
        }
        measurement.fields = {"content_length": n, "duration": n / 7, "cached": n % 3 == 0}
        add(measurement)

    return record


FORMS = {"set_tag": set_tag, "set_tags": set_tags, "items": items, "dicts": dicts}


def record(influxdb, _):
    row = rows().__next__

    def call():
        handler, endpoint, method, status, n = row()
        influxdb.record(
            "bench",
            "request",
            {"handler": handler, "endpoint": endpoint, "method": method, "status_code": status},
            {"content_length": n, "duration": n / 7, "cached": n % 3 == 0},
        )

    return call


def series(influxdb, _):
    row = rows().__next__
    requests = influxdb.series(
        "bench", "request", tags=("handler", "endpoint", "method", "status_code")
    )

    def call():
        handler, endpoint, method, status, n = row()
        requests(
            handler=handler,
            endpoint=endpoint,
            method=method,
            status_code=status,
            content_length=n,
            duration=n / 7,
            cached=n % 3 == 0,
        )

    return call


def values():
    row = rows().__next__

    def make():
        handler, endpoint, method, status, n = row()
        return handler, endpoint, method, status, n, n / 7, n % 3 == 0

    return make


def best(function):
    """Nanoseconds of a call, without those for its values."""
    return taken(function) - taken(values())


def taken(function):
    """Nanoseconds of a call, with the garbage collector on."""
    function()
    times = timeit.repeat(
        function, "gc.enable()", time.thread_time, REPEAT, NUMBER, globals={"gc": gc}
    )
    return min(times) / NUMBER * 1e9


def growing():
    """The package, with a buffer that only grows."""
    import sprockets_influxdb as influxdb

    logging.disable(logging.CRITICAL)
    influxdb.install(
        NOWHERE,
        max_buffer_size=10**9,
        max_buffer_bytes=10**10,
        trigger_size=10**9,
        shutdown_timeout=0,
        tag_hostname=False,
    )
    return influxdb


def ours_calls():
    influxdb = growing()
    forms = {**FORMS, "record": record}
    if hasattr(influxdb, "series"):
        forms["series"] = series
    return {name: best(form(influxdb, influxdb.add_measurement)) for name, form in forms.items()}


def original_calls():
    """Release 2.2.1, with ``marshall()``, which it calls when it submits."""
    influxdb = original()

    def add(measurement):
        influxdb.add_measurement(measurement)
        measurement.marshall()

    return {name: best(form(influxdb, add)) for name, form in FORMS.items()}


def questdb_calls():
    from questdb.ingress import Buffer, TimestampNanos

    buffer = Buffer(protocol_version=1)
    row = rows().__next__

    def call():
        handler, endpoint, method, status, n = row()
        buffer.row(
            "request",
            symbols={
                "handler": handler,
                "endpoint": endpoint,
                "method": method,
                "status_code": status,
            },
            columns={"content_length": n, "duration": n / 7, "cached": n % 3 == 0},
            at=TimestampNanos.now(),
        )

    return {"row": best(call)}


def floor_calls():
    """The same calls of native code that does nothing."""
    with tempfile.TemporaryDirectory() as directory:
        library = Path(directory, "floor" + sysconfig.get_config_var("EXT_SUFFIX"))
        include = sysconfig.get_path("include")
        source = Path(__file__).with_name("floor.c")
        command = ["cc", "-O2", "-shared", "-fPIC", f"-I{include}", source, "-o", library]
        subprocess.run(command, check=True)
        spec = importlib.util.spec_from_file_location("floor", library)
        floor = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(floor)
    forms = {"set_tag": set_tag, "set_tags": set_tags, "record": record, "series": series}
    return {name: best(form(floor, floor.add_measurement)) for name, form in forms.items()}
