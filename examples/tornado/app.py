"""A Tornado application that records each of its requests in the database "example" of the InfluxDB
that the variables INFLUXDB_* name:

    python examples/tornado/app.py
"""

import asyncio
import contextlib
import os

from tornado import web

import sprockets_influxdb


class User(sprockets_influxdb.InfluxDBMixin, web.RequestHandler):
    def get(self, user: str) -> None:
        with self.influxdb.duration("query"):
            rows = int(user) % 10
        self.influxdb.set_field("rows", rows)
        self.write({"rows": rows})


class Stream(sprockets_influxdb.InfluxDBMixin, web.RequestHandler):
    async def get(self) -> None:
        for number in range(1000):
            self.write(f"{number}\n")
            await self.flush()


class Fail(sprockets_influxdb.InfluxDBMixin, web.RequestHandler):
    def get(self) -> None:
        raise ValueError("this one fails")


class Missing(sprockets_influxdb.InfluxDBMixin, web.ErrorHandler):
    def initialize(self) -> None:
        super().initialize(404)


async def main() -> None:
    application = web.Application(
        [(r"/users/(\d+)", User), (r"/stream", Stream), (r"/fail", Fail)],
        default_handler_class=Missing,
        **{sprockets_influxdb.REQUEST_DATABASE: os.environ.get("DATABASE", "example")},
    )
    port = int(os.environ.get("PORT", "8000"))
    application.listen(port, "127.0.0.1")
    print(f"http://127.0.0.1:{port}", flush=True)
    try:
        await asyncio.Event().wait()
    finally:
        await sprockets_influxdb.shutdown()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main())
