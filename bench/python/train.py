"""Runs what applications run most: the calls that record, requests, data frames, delivery.

The compiler lays out and optimizes the native module by what this runs: see `scripts/train`. What
this leaves out becomes smaller and slower. Left out are TLS, NATS, Django and the handler of logs.
"""

import asyncio
import importlib.util
import os
import tempfile

import calls
import instructions
import sink

import sprockets_influxdb as influxdb

#: Calls of each kind. What runs much less often than the rest is not optimized for speed, so those
#: of the first configuration outweigh what happens once for a batch.
CALLS = 20_000
MORE_CALLS = 500


def measurements(number):
    for form in (*calls.FORMS.values(), calls.record, calls.series):
        call = form(influxdb, influxdb.add_measurement)
        for _ in range(number):
            call()


def requests(number):
    database = {"database": "bench"}
    for call in (
        instructions.asgi(lambda app: instructions.InfluxDBMiddleware(app, **database)),
        instructions.wsgi(lambda app: instructions.WSGIMiddleware(app, **database)),
    ):
        for _ in range(number):
            call()


def frameworks(number):
    if not has("starlette", "flask"):
        return
    import middleware
    from werkzeug.test import EnvironBuilder

    from sprockets_influxdb.flask import InfluxDB

    def add(application):
        application.add_middleware(instructions.InfluxDBMiddleware, database="bench")

    starlette = middleware.starlette(add)
    flask = middleware.flask(lambda application: InfluxDB(application, database="bench"))
    environ = EnvironBuilder("/hello/world").get_environ()

    async def send(message): ...

    async def run():
        for _ in range(number):
            await starlette({**instructions.SCOPE, "path": "/hello/world"}, None, send)

    asyncio.run(run())
    for _ in range(number):
        body = flask(dict(environ), lambda *_: None)
        assert b"".join(body) == b"Hello, world"
        body.close()


def has(*packages):
    """Return whether packages are installed. With ``TRAIN_ALL`` they have to be."""
    missing = [package for package in packages if importlib.util.find_spec(package) is None]
    if missing:
        message = f"not trained, for lack of {', '.join(missing)}"
        if os.environ.get("TRAIN_ALL"):
            raise SystemExit(message)
        print(message)
    return not missing


def frames():
    if not has("pandas", "pyarrow", "polars"):
        return
    import frames
    import polars

    frame = frames.pandas_frame()
    arrow = polars.from_pandas(frame, include_index=True)
    options = {"database": "bench", "tag_columns": ["host", "region"]}
    influxdb.write_dataframe(frame, "cpu", **options)
    influxdb.write_dataframe(arrow, "cpu", timestamp_column="when", **options)


def mixin():
    if has("tornado"):
        import middleware

        middleware.requests(influxdb.InfluxDBMixin)


def run(url, number, **options):
    influxdb.install(url, overflow="block", **options)
    measurements(number)
    requests(number)
    frameworks(number)
    if not options:
        frames()
        mixin()
    influxdb.shutdown_sync(60)
    stats = influxdb.stats()
    assert stats["delivered"] == stats["added"] > 0, stats


def main():
    # The package's own server would be most of the profile.
    with sink.running() as url, tempfile.TemporaryDirectory() as spool:
        run(url, CALLS)
        for options in ({"gzip": True}, {"spool": spool}, {"api": "v3"}):
            run(url, MORE_CALLS, **options)


if __name__ == "__main__":
    main()
