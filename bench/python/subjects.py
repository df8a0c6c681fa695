"""The subjects of the benchmark. Each runs in a process of its own, and prints JSON."""

import asyncio
import gc
import http.client
import json
import logging
import statistics
import sys
import time
import timeit
import urllib.parse
import urllib.request

import sink
from calls import floor_calls, ours_calls, questdb_calls, seed_calls  # noqa: F401
from frames import influxdb_client_frames, ours_frames, questdb_frames  # noqa: F401

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


def sampled_out():
    """A client that does everything but send: it samples every batch out."""
    import sprockets_influxdb as influxdb

    influxdb.install(NOWHERE, sample_probability=0.0, max_buffer_size=1_000_000, tag_hostname=False)
    return influxdb


def ours_classic():
    influxdb = sampled_out()
    return {"ns": best(classic(influxdb, influxdb.add_measurement))}


def ours_one_call():
    influxdb = sampled_out()

    def record():
        influxdb.record(
            "bench",
            "request",
            {
                "handler": "app.handlers.RequestHandler",
                "endpoint": "/api/v1/users/{id}",
                "method": "GET",
                "status_code": "200",
            },
            {"content_length": 51234, "duration": 0.0234567, "cached": True},
        )

    return {"ns": best(record)}


def seed_classic():
    from tornado import ioloop

    import sprockets_influxdb as influxdb

    logging.disable(logging.CRITICAL)
    ioloop.IOLoop.current()
    influxdb.install(NOWHERE)
    influxdb.set_max_buffer_size(10**9)
    influxdb.set_trigger_size(10**9)
    record = classic(influxdb, influxdb.add_measurement)
    sent = classic(influxdb, lambda measurement: measurement.marshall())
    made = classic(influxdb, lambda measurement: None)
    number = 20_000
    return {"ns": best(record, number, 5) + best(sent, number, 5) - best(made, number, 5)}


def questdb_row():
    from questdb.ingress import Buffer, TimestampNanos

    buffer = Buffer(protocol_version=1)

    def record():
        buffer.row(
            "request",
            symbols={
                "handler": "app.handlers.RequestHandler",
                "endpoint": "/api/v1/users/{id}",
                "method": "GET",
                "status_code": "200",
            },
            columns={"content_length": 51234, "duration": 0.0234567, "cached": True},
            at=TimestampNanos.now(),
        )
        if len(buffer) > 60_000:
            buffer.clear()

    return {"ns": best(record)}


#: Reads numbers from its standard input. For each it sends so many requests on one connection, then
#: prints a line.
CLIENT = """
import socket, sys
port = int(sys.argv[1])
connection = socket.create_connection(("127.0.0.1", port))
for line in sys.stdin:
    for _ in range(int(line)):
        connection.sendall(b"GET /hello/world HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n")
        reply = b""
        while not reply.endswith(b"Hello, world"):
            reply += connection.recv(65536)
    print("done", flush=True)
"""


def requests(mixin):
    """Microseconds of this process's processor time for a request, without and with the mixin.

    The first quartile of many short turns, as other processes only ever make a turn slower.
    """
    from tornado import web
    from tornado.httpserver import HTTPServer
    from tornado.testing import bind_unused_port

    logging.getLogger("tornado.access").disabled = True
    count, turns = 100, 200
    handlers = {
        "plain_us": hello(),
        "us": hello(mixin),
        "least_us": hello(TornadoStatusAndDuration),
    }

    async def serve():
        clients, taken = {}, {name: [] for name in handlers}
        for name, handler in handlers.items():
            application = web.Application(
                [web.url(r"/hello/(\w+)", handler)], **{mixin_database(): "bench"}
            )
            listener, port = bind_unused_port()
            HTTPServer(application).add_socket(listener)
            pipes = {"stdin": asyncio.subprocess.PIPE, "stdout": asyncio.subprocess.PIPE}
            clients[name] = await asyncio.create_subprocess_exec(
                sys.executable, "-c", CLIENT, str(port), **pipes
            )
        gc.collect()
        for turn in range(turns):
            for name, client in sorted(clients.items(), reverse=bool(turn % 2)):
                start = time.process_time()
                client.stdin.write(b"%d\n" % count)
                await client.stdout.readline()
                if turn >= 4:
                    taken[name].append((time.process_time() - start) / count * 1e6)
        for client in clients.values():
            client.stdin.close()
            await client.wait()
        return {name: statistics.quantiles(each)[0] for name, each in taken.items()}

    return asyncio.run(serve())


def mixin_database():
    import sprockets_influxdb

    return sprockets_influxdb.REQUEST_DATABASE


def hello(*mixins):
    from tornado import web

    class Hello(*mixins, web.RequestHandler):
        def get(self, name):
            self.write(f"Hello, {name}")

    return Hello


def ours_requests():
    return requests(sampled_out().InfluxDBMixin)


def seed_requests():
    from tornado import ioloop

    import sprockets_influxdb as influxdb

    logging.disable(logging.CRITICAL)
    ioloop.IOLoop.current()
    influxdb.install(NOWHERE)
    influxdb.set_sample_probability(0.0)
    return requests(influxdb.InfluxDBMixin)


#: The same on several connections at once, which keeps a server busy.
BUSY_CLIENT = """
import socket, sys
port = int(sys.argv[1])
connections = [socket.create_connection(("127.0.0.1", port)) for _ in range(20)]
for line in sys.stdin:
    for _ in range(int(line) // len(connections)):
        for connection in connections:
            connection.sendall(b"GET /hello/world HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n")
        for connection in connections:
            reply = b""
            while not reply.endswith(b"Hello, world"):
                reply += connection.recv(65536)
    print("done", flush=True)
"""


class StatusAndDuration:
    """What any ASGI middleware has to do that sees how a request ends."""

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        started = time.perf_counter()
        status = 500

        async def sending(message):
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, sending)
        finally:
            self.last = status, time.perf_counter() - started


class WsgiStatusAndDuration:
    """What any WSGI middleware has to do that sees how a request ends."""

    def __init__(self, app):
        self.app = app

    def __call__(self, environ, start_response):
        started = time.perf_counter()
        status = "500"

        def starting(*arguments):
            nonlocal status
            status = arguments[0]
            return start_response(*arguments)

        body = self.app(environ, starting)
        try:
            yield from body
        finally:
            body.close()
            self.last = status, time.perf_counter() - started


class TornadoStatusAndDuration:
    """What any Tornado mixin has to do that sees how a request ends."""

    def on_finish(self):
        type(self).last = self.get_status(), self.request.request_time()


def starlette(*middleware):
    from starlette.applications import Starlette
    from starlette.responses import PlainTextResponse
    from starlette.routing import Route

    async def hello(request):
        return PlainTextResponse(f"Hello, {request.path_params['name']}")

    application = Starlette(routes=[Route("/hello/{name}", hello)])
    for add in middleware:
        add(application)
    return application


def flask(*middleware):
    from flask import Flask

    application = Flask("bench")

    @application.get("/hello/<name>")
    def hello(name):
        return f"Hello, {name}"

    for add in middleware:
        add(application)
    return application


def with_status_and_duration(application):
    application.wsgi_app = WsgiStatusAndDuration(application.wsgi_app)


def asgi():
    """Microseconds of this process's processor time for a request to uvicorn, by application.

    The applications take turns; the first quartile of many short turns.
    """
    import uvicorn
    from prometheus_fastapi_instrumentator import Instrumentator

    from sprockets_influxdb.asgi import InfluxDBMiddleware

    sampled_out()
    applications = {
        "plain_us": starlette(),
        "us": starlette(
            lambda application: application.add_middleware(InfluxDBMiddleware, database="bench")
        ),
        "least_us": starlette(lambda application: application.add_middleware(StatusAndDuration)),
        "theirs_us": starlette(lambda application: Instrumentator().instrument(application)),
    }
    current = None

    def application(scope, receive, send):
        return current(scope, receive, send)

    count, turns = 400, 100

    async def serve():
        nonlocal current
        options = {
            "access_log": False,
            "http": "httptools",
            "lifespan": "off",
            "log_level": "warning",
        }
        config = uvicorn.Config(application, port=0, interface="asgi3", **options)
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve())
        while not server.started:
            await asyncio.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        pipes = {"stdin": asyncio.subprocess.PIPE, "stdout": asyncio.subprocess.PIPE}
        client = await asyncio.create_subprocess_exec(
            sys.executable, "-c", BUSY_CLIENT, str(port), **pipes
        )
        taken = {name: [] for name in applications}
        gc.collect()
        for turn in range(turns):
            for name in sorted(applications, reverse=bool(turn % 2)):
                current = applications[name]
                start = time.process_time()
                client.stdin.write(b"%d\n" % count)
                await client.stdout.readline()
                if turn >= 4:
                    taken[name].append((time.process_time() - start) / count * 1e6)
        client.stdin.close()
        await client.wait()
        server.should_exit = True
        await serving
        return {name: statistics.quantiles(each)[0] for name, each in taken.items()}

    return asyncio.run(serve())


def wsgi():
    """As ``asgi``, for calls of a Flask application without a server."""
    from sprockets_influxdb.flask import InfluxDB

    sampled_out()
    applications = {
        "plain_us": flask(),
        "us": flask(lambda application: InfluxDB(application, database="bench")),
        "least_us": flask(with_status_and_duration),
    }
    from werkzeug.test import EnvironBuilder

    environ = EnvironBuilder("/hello/world").get_environ()

    def call(application):
        body = application(dict(environ), lambda *_: None)
        assert b"".join(body) == b"Hello, world"
        getattr(body, "close", lambda: None)()

    taken = {name: [] for name in applications}
    for _ in range(40):
        for name, application in applications.items():
            start = time.process_time()
            for _ in range(200):
                call(application)
            taken[name].append((time.process_time() - start) / 200 * 1e6)
    return {name: statistics.quantiles(each)[0] for name, each in taken.items()}


def create(url):
    body = urllib.parse.urlencode({"q": "CREATE DATABASE bench"}).encode()
    urllib.request.urlopen(f"{url}/query", body).read()


def event_loop(influxdb, url):
    figures = {}

    async def main():
        influxdb.install(f"{url}/write")
        influxdb.set_max_buffer_size(100_000)
        influxdb.set_trigger_size(100_000)
        record = classic(influxdb, influxdb.add_measurement)
        start = time.perf_counter()
        for _ in range(10_000):
            record()
        figures["adding_ms"] = (time.perf_counter() - start) * 1e3
        await asyncio.sleep(0)
        gc.collect()
        gc.disable()
        longest, last = 0.0, time.perf_counter()
        flushed = influxdb.flush()
        while not flushed.done():
            await asyncio.sleep(0)
            now = time.perf_counter()
            longest, last = max(longest, now - last), now
        figures["pause_ms"] = longest * 1e3

    asyncio.run(main())
    return figures


def ours_loop(url):
    import sprockets_influxdb as influxdb

    return event_loop(influxdb, url)


def seed_loop(url):
    import sprockets_influxdb as influxdb

    logging.disable(logging.CRITICAL)
    return event_loop(influxdb, url)


DELIVERED = 200_000


def by_hand(url):
    create(url)
    start, cpu = time.perf_counter(), time.process_time()
    connection = http.client.HTTPConnection(url.removeprefix("http://"))
    lines = []

    def post():
        connection.request("POST", "/write?db=bench&precision=ns", "\n".join(lines).encode())
        reply = connection.getresponse()
        reply.read()
        assert reply.status == 204
        lines.clear()

    for n in range(DELIVERED):
        tags = ",".join([f"{name}={value}" for name, value in TAGS.items()])
        lines.append(
            f"by_hand,{tags} content_length={n}i,duration={n / 7},cached=true {time.time_ns()}"
        )
        if len(lines) == 10_000:
            post()
    return {"s": time.perf_counter() - start, "cpu_s": time.process_time() - cpu}


def ours_delivering(url):
    import sprockets_influxdb as influxdb

    create(url)
    start, cpu = time.perf_counter(), time.process_time()
    influxdb.install(url, overflow="block", block_timeout=60_000, tag_hostname=False)
    for n in range(DELIVERED):
        influxdb.record(
            "bench", "ours", TAGS, {"content_length": n, "duration": n / 7, "cached": True}
        )
    report = influxdb.shutdown_sync(60)
    figures = {"s": time.perf_counter() - start, "cpu_s": time.process_time() - cpu}
    assert report["pending"] == 0
    assert influxdb.stats()["delivered"] == DELIVERED
    return figures


def ours_memory():
    import sprockets_influxdb as influxdb

    influxdb.install(
        NOWHERE,
        max_buffer_size=10**9,
        max_buffer_bytes=10**9,
        shutdown_timeout=0,
        tag_hostname=False,
    )
    count = 500_000

    def record(times):
        for _ in range(times):
            influxdb.record("bench", "request", {"endpoint": "/api/v1/users/{id}", **TAGS}, FIELDS)

    record(1_000)
    before = private()
    record(count)
    used = private() - before
    measurement = influxdb.Measurement("bench", "request")
    measurement.set_tags({"endpoint": "/api/v1/users/{id}", **TAGS})
    measurement.fields = FIELDS
    return {"bytes": used / count, "line": len(measurement.marshall()) + 1}


def ours_first_lines():
    """What a process takes that records now and then: ten lines, one after the other."""
    import sprockets_influxdb as influxdb

    with sink.running() as url:
        before = private()
        influxdb.install(url)
        for n in range(10):
            influxdb.record("bench", "request", TAGS, {"n": n})
            assert influxdb.flush_sync(30)["pending"] == 0
        return {"kib": private() / 1024 - before / 1024}


def private():
    """The memory of this process, without the pages of files, which processes share."""
    with open("/proc/self/status") as status:
        line = next(line for line in status if line.startswith("RssAnon:"))
    return int(line.split()[1]) * 1024


if __name__ == "__main__":
    subject, *arguments = sys.argv[1:]
    print(json.dumps(globals()[subject](*arguments)))
