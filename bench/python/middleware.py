"""What a middleware adds to a request: microseconds of processor time."""

import asyncio
import gc
import logging
import socket
import statistics
import sys
import time

from sample import NOWHERE, sampled_out

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


def original_requests():
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


class PassingOn:
    """A coroutine that a request passes through, as through any ASGI middleware."""

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        await self.app(scope, receive, send)


class RecordingAlone:
    """Records a request without a look at its messages."""

    def __init__(self, app):
        from sprockets_influxdb._requests import recorder
        from sprockets_influxdb.asgi import AsgiRequest

        self.app = app
        self.recorder = recorder(database="bench")
        self.kind = AsgiRequest

    async def __call__(self, scope, receive, send):
        request = self.recorder.asgi(self.kind, scope, receive, send)
        await self.app(scope, receive, send)
        request.end_with(None)


class WsgiRecordingAlone(RecordingAlone):
    """The same for WSGI."""

    def __call__(self, environ, start_response):
        request = self.recorder.wsgi(environ, start_response, None)
        body = self.app(environ, start_response)
        request.end()
        return body


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


def within(middleware):
    def wrap(application):
        application.wsgi_app = middleware(application.wsgi_app)

    return wrap


def asgi(name):
    """Microseconds of this process's processor time for a request to uvicorn, without and with a
    middleware.

    The applications take turns; the first quartile of many short turns.
    """
    import uvicorn
    from prometheus_fastapi_instrumentator import Instrumentator

    from sprockets_influxdb.asgi import InfluxDBMiddleware

    sampled_out()
    add = {
        "ours": lambda application: application.add_middleware(
            InfluxDBMiddleware, database="bench"
        ),
        "least": lambda application: application.add_middleware(StatusAndDuration),
        "passing": lambda application: application.add_middleware(PassingOn),
        "recording": lambda application: application.add_middleware(RecordingAlone),
        "theirs": lambda application: Instrumentator().instrument(application),
    }
    applications = {"plain_us": starlette(), "us": starlette(add[name])}
    current = None

    def application(scope, receive, send):
        return current(scope, receive, send)

    count, turns = 400, 60

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


def wsgi(name, before=""):
    """Microseconds of processor time for a call of a Flask application, without a server.

    The application is the only one of its process, as in production: CPython adapts code to the
    objects that it meets, and applications that take turns spoil that for each other. With
    ``before="socket"`` 200 bytes pass through a local socket before each call, as a server's
    requests do.
    """
    from sprockets_influxdb.flask import InfluxDB

    sampled_out()
    middleware = {
        "plain": [],
        "ours": [lambda application: InfluxDB(application, database="bench")],
        "least": [within(WsgiStatusAndDuration)],
        "recording": [within(WsgiRecordingAlone)],
    }
    application = flask(*middleware[name])
    from werkzeug.test import EnvironBuilder

    environ = EnvironBuilder("/hello/world").get_environ()
    listener = socket.create_server(("127.0.0.1", 0))
    client = socket.create_connection(listener.getsockname())
    server, _ = listener.accept()
    taken = []
    for _ in range(40):
        start = time.process_time()
        for _ in range(200):
            if before == "socket":
                client.sendall(bytes(200))
                server.recv(1_000)
            body = application(dict(environ), lambda *_: None)
            assert b"".join(body) == b"Hello, world"
            getattr(body, "close", lambda: None)()
        taken.append((time.process_time() - start) / 200 * 1e6)
    return {"us": statistics.quantiles(taken)[0]}
