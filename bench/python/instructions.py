"""Runs the hot calls of the package one after the other. Callgrind writes its counts whenever this
calls ``getppid``, which nothing else does: before the first call, and after each.

``count.py`` runs this, and compares the counts with those that are published.
"""

import contextlib
import gc
import os
import sys

import calls

import sprockets_influxdb as influxdb
from sprockets_influxdb.asgi import InfluxDBMiddleware
from sprockets_influxdb.wsgi import InfluxDBMiddleware as WSGIMiddleware

#: Calls before the counted ones, which make and fill what is used again.
WARM_UP = 300

SCOPE = {
    "type": "http",
    "method": "GET",
    "path": "/api/v1/users/7",
    "headers": [(b"host", b"example.com"), (b"user-agent", b"curl"), (b"accept", b"*/*")],
    "client": ("192.0.2.17", 4711),
}
ENVIRON = {
    "REQUEST_METHOD": "GET",
    "PATH_INFO": "/api/v1/users/7",
    "HTTP_HOST": "example.com",
    "REMOTE_ADDR": "192.0.2.17",
}
LENGTH = (b"content-length", b"12")


def rows():
    """Four sets of tags, so that a series has seen those that it is given."""
    n = 0
    while True:
        n += 1
        endpoint = calls.ENDPOINTS[n % 4]
        yield calls.HANDLERS[n % 4], endpoint, calls.METHODS[0], calls.STATUSES[0], n


def install():
    """A client that sends nothing while instructions are counted."""
    influxdb.install(
        "http://127.0.0.1:1",
        max_buffer_size=1_000_000,
        trigger_size=1_000_000,
        submission_interval=3_600_000,
        sample_probability=0.0,
        shutdown_timeout=0,
        tag_hostname=False,
    )
    # The first batch does not wait for the interval.
    influxdb.record("bench", "first", {}, {"n": 1})
    influxdb.flush_sync(60)


def asgi(wrapped):
    async def application(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": [LENGTH]})
        await send({"type": "http.response.body", "body": b"Hello, world"})

    async def receive():
        return {"type": "http.request"}

    async def send(message):
        pass

    application = wrapped(application)

    def call():
        with contextlib.suppress(StopIteration):
            application(dict(SCOPE), receive, send).__await__().send(None)

    return call


def wsgi(wrapped):
    def application(environ, start_response):
        start_response("200 OK", [("Content-Length", "12")])
        return [b"Hello, world"]

    def start_response(status, headers, exc_info=None):
        pass

    application = wrapped(application)

    def call():
        body = application(dict(ENVIRON), start_response)
        for _ in body:
            pass
        getattr(body, "close", lambda: None)()

    return call


def bare(application):
    return application


def count(name, call, number):
    loop = range(number)
    for _ in range(WARM_UP):
        call()
    os.getppid()
    for _ in loop:
        call()
    os.getppid()
    print(name)


def main(number):
    install()
    calls.rows = rows
    gc.collect()
    gc.freeze()
    # What begins with a dash is taken from those after it.
    count("- values", calls.values(), number)
    for name, form in {**calls.FORMS, "record": calls.record, "series": calls.series}.items():
        count(name, form(influxdb, influxdb.add_measurement), number)
    count("- ASGI", asgi(bare), number)
    count("ASGI request", asgi(lambda app: InfluxDBMiddleware(app, database="bench")), number)
    count("- WSGI", wsgi(bare), number)
    count("WSGI request", wsgi(lambda app: WSGIMiddleware(app, database="bench")), number)


if __name__ == "__main__":
    main(int(sys.argv[1]))
