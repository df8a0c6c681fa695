"""Servers that serve ten requests and are stopped: how many of their measurements arrive.

``python tests/stops.py docs/process-ends.md`` runs all cases and writes the table into the page.
"""

import argparse
import concurrent.futures
import contextlib
import dataclasses
import importlib.util
import os
import pathlib
import platform
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator

from sprockets_influxdb import testing

REQUESTS = 10

#: Seconds for a server to start, and to stop.
TIMEOUT = 45

APPLICATIONS = {
    "FastAPI": """
        from fastapi import FastAPI
        from sprockets_influxdb.asgi import InfluxDBMiddleware
        app = FastAPI()
        app.add_middleware(InfluxDBMiddleware, database="db")
        @app.get("/x")
        def x(): return {}
    """,
    "FastAPI, mounted": """
        from fastapi import FastAPI
        from sprockets_influxdb.asgi import InfluxDBMiddleware
        app, mounted = FastAPI(), FastAPI()
        mounted.add_middleware(InfluxDBMiddleware, database="db")
        @mounted.get("/x")
        def x(): return {}
        app.mount("/", mounted)
    """,
    "ASGI, record()": """
        import sprockets_influxdb as influxdb
        async def app(scope, receive, send):
            if scope["type"] != "http":
                raise RuntimeError("no lifespan")
            influxdb.record("db", "m", {}, {"number": 1})
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"x"})
    """,
    "Django (ASGI)": """
        from stops_django import get_asgi_application
        app = get_asgi_application()
    """,
    "Django (WSGI)": """
        from stops_django import get_wsgi_application
        app = application = get_wsgi_application()
    """,
    "Flask": """
        from flask import Flask
        from sprockets_influxdb.flask import InfluxDB
        app = application = Flask(__name__)
        InfluxDB(app, database="db")
        @app.get("/x")
        def x(): return {}
    """,
    "WSGI, record()": """
        import sprockets_influxdb as influxdb
        def app(environ, start_response):
            influxdb.record("db", "m", {}, {"number": 1})
            start_response("200 OK", [("Content-Type", "text/plain")])
            return [b"x"]
        application = app
    """,
    "Tornado": """
        from tornado import web
        import sprockets_influxdb as influxdb
        class X(influxdb.InfluxDBMixin, web.RequestHandler):
            def get(self): self.write("x")
        app = web.Application([("/x", X)], **{influxdb.REQUEST_DATABASE: "db"}, service="x")
    """,
}

DJANGO = """
    import django
    from django.conf import settings
    settings.configure(
        ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, SECRET_KEY="x",
        INFLUXDB_REQUESTS={"database": "db"},
        MIDDLEWARE=["sprockets_influxdb.django.InfluxDBMiddleware"])
    django.setup()
    from django.core.asgi import get_asgi_application
    from django.core.wsgi import get_wsgi_application
    from django.http import HttpResponse
    from django.urls import path
    urlpatterns = [path("x", lambda request: HttpResponse("x"))]
"""

ASGI = ("FastAPI", "FastAPI, mounted", "ASGI, record()", "Django (ASGI)")
WSGI = ("Flask", "Django (WSGI)", "WSGI, record()")


@dataclasses.dataclass(frozen=True)
class Server:
    """A server as it is started: a command in which ``{port}`` and ``{folder}`` are replaced."""

    name: str
    command: tuple[str, ...]
    applications: tuple[str, ...]
    stops: tuple[str, ...]
    #: The module or program that it needs.
    needs: str
    #: Stops at which the server itself does not end as it should, with or without this package.
    faults: tuple[tuple[str, str], ...] = ()

    def is_here(self) -> bool:
        found = (
            importlib.util.find_spec(self.needs)
            if "/" not in self.needs
            else shutil.which(self.needs)
        )
        return found is not None

    def __str__(self) -> str:
        return self.name


def _python(module: str, arguments: str) -> tuple[str, ...]:
    return (sys.executable, "-m", module, *arguments.split())


def _gunicorn(worker: str, applications: tuple[str, ...] = WSGI, needs: str = "gunicorn") -> Server:
    arguments = f"-k {worker} -w 2 --log-level critical -b 127.0.0.1:{{port}} app:app"
    stops: tuple[str, ...] = ("SIGTERM", "SIGINT", "Ctrl-C", "SIGHUP")
    faults: tuple[tuple[str, str], ...] = ()
    if needs == "uvicorn_worker":
        faults = (("SIGINT", "the worker does not end, and is killed after 30 s"),)
        stops = ("SIGTERM", "Ctrl-C", "SIGHUP")
    name = f"gunicorn -k {worker.rpartition('.')[2]}"
    return Server(name, _python("gunicorn", arguments), applications, stops, needs, faults)


_UVICORN = "--log-level critical --port {port}"
_UWSGI = str(pathlib.Path(sys.executable).parent / "uwsgi")
_UWSGI_OPTIONS = (
    "--http-socket 127.0.0.1:{port} --master --processes 2 --enable-threads --wsgi-file app.py "
    "--die-on-term"
)

SERVERS = (
    Server(
        "uvicorn",
        _python("uvicorn", f"app:app {_UVICORN}"),
        ASGI,
        ("SIGTERM", "SIGINT", "Ctrl-C"),
        "uvicorn",
    ),
    Server(
        "uvicorn --lifespan off",
        _python("uvicorn", f"app:app --lifespan off {_UVICORN}"),
        ("FastAPI",),
        ("SIGTERM", "SIGINT"),
        "uvicorn",
    ),
    Server(
        "uvicorn --workers 2",
        _python("uvicorn", f"app:app --workers 2 {_UVICORN}"),
        ASGI,
        ("SIGTERM", "SIGINT", "Ctrl-C", "SIGHUP"),
        "uvicorn",
    ),
    Server(
        "uvicorn --reload",
        _python("uvicorn", f"app:app --reload {_UVICORN}"),
        ("FastAPI", "Django (ASGI)", "ASGI, record()"),
        ("edit", "SIGTERM", "Ctrl-C"),
        "uvicorn",
    ),
    Server(
        "uvicorn --limit-max-requests",
        _python("uvicorn", f"app:app --limit-max-requests {REQUESTS} {_UVICORN}"),
        ("FastAPI", "Django (ASGI)", "ASGI, record()"),
        ("by itself",),
        "uvicorn",
    ),
    _gunicorn("sync"),
    _gunicorn("gthread"),
    _gunicorn("gevent", needs="gevent"),
    _gunicorn("tornado", ("Tornado",)),
    _gunicorn("asgi", ASGI),
    _gunicorn("uvicorn_worker.UvicornWorker", ASGI, "uvicorn_worker"),
    Server(
        "hypercorn",
        _python("hypercorn", "app:app --log-level critical -b 127.0.0.1:{port}"),
        ASGI,
        ("SIGTERM", "SIGINT", "Ctrl-C"),
        "hypercorn",
    ),
    Server(
        "hypercorn -w 2",
        _python("hypercorn", "app:app -w 2 --log-level critical -b 127.0.0.1:{port}"),
        ASGI,
        ("SIGTERM", "SIGINT", "Ctrl-C", "SIGHUP"),
        "hypercorn",
    ),
    Server(
        "granian --workers 2 (ASGI)",
        _python("granian", "app:app --interface asgi --workers 2 --no-log --port {port}"),
        ASGI,
        ("SIGTERM", "SIGINT", "Ctrl-C", "SIGHUP"),
        "granian",
    ),
    Server(
        "granian --workers 2 (WSGI)",
        _python("granian", "app:app --interface wsgi --workers 2 --no-log --port {port}"),
        WSGI,
        ("SIGTERM", "SIGINT", "SIGHUP"),
        "granian",
        (("Ctrl-C", "the server does not end"),),
    ),
    Server(
        "daphne",
        _python("daphne", "-v 0 -p {port} app:app"),
        ASGI,
        ("SIGTERM", "SIGINT", "Ctrl-C"),
        "daphne",
    ),
    Server(
        "waitress",
        _python("waitress", "--listen 127.0.0.1:{port} app:app"),
        WSGI,
        ("SIGTERM", "SIGINT", "Ctrl-C"),
        "waitress",
    ),
    Server(
        "uWSGI",
        (_UWSGI, *_UWSGI_OPTIONS.split()),
        WSGI,
        ("SIGTERM", "SIGINT", "Ctrl-C", "SIGHUP"),
        _UWSGI,
    ),
    Server(
        "mod_wsgi, daemon mode",
        ("/usr/sbin/apache2", "-DFOREGROUND", "-f", "{folder}/apache2.conf"),
        WSGI,
        ("SIGTERM", "SIGWINCH", "SIGUSR1"),
        "/usr/sbin/apache2",
    ),
)

#: Servers of the short form, with one application and one stop each.
SHORT = (
    "uvicorn",
    "uvicorn --workers 2",
    "gunicorn -k sync",
    "gunicorn -k UvicornWorker",
    "waitress",
    "uWSGI",
)

APACHE = """
ServerRoot {folder}
PidFile {folder}/pid
Listen 127.0.0.1:{port}
ServerName localhost
ErrorLog {folder}/error.log
User www-data
Group www-data
LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
LoadModule wsgi_module /usr/lib/apache2/modules/mod_wsgi.so
WSGISocketPrefix {folder}/wsgi
WSGIDaemonProcess app processes=1 threads=2 python-path={folder}:{packages}
WSGIProcessGroup app
WSGIApplicationGroup %{{GLOBAL}}
WSGIScriptAlias / {folder}/app.py
<Directory {folder}>
    Require all granted
</Directory>
"""


@dataclasses.dataclass(frozen=True)
class Result:
    arrived: int
    #: The exit status of the server; ``None`` where it goes on.
    status: int | None


def run(server: Server, application: str, stop: str) -> Result:
    """Starts a server, sends requests, stops or reloads it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with testing.Server() as influxdb, tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        folder.chmod(0o755)
        source = textwrap.dedent(APPLICATIONS[application])
        packages = os.path.dirname(os.path.dirname(os.path.dirname(testing.__file__)))
        variables = {"INFLUXDB_URL": influxdb.url, "INFLUXDB_SHUTDOWN_TIMEOUT": "10000"}
        if server.name.startswith("mod_wsgi"):
            # Apache passes no environment on.
            source = f"import os\nos.environ.update({variables!r})\n{source}"
        (folder / "app.py").write_text(source)
        (folder / "stops_django.py").write_text(textwrap.dedent(DJANGO))
        values = {"folder": name, "port": port, "packages": f"{_packages()}:{packages}"}
        (folder / "apache2.conf").write_text(APACHE.format(**values))
        command = [part.format(**values) for part in server.command]
        environment = {**os.environ, **variables, "PYTHONPATH": name}
        with _started(command, environment, folder) as process:
            _send_requests(port, process)
            # What the last response was followed by.
            time.sleep(0.2)
            if stop == "edit":
                (folder / "app.py").write_text(source + "\n")
            elif stop == "Ctrl-C":
                os.killpg(process.pid, signal.SIGINT)
            elif stop != "by itself":
                process.send_signal(getattr(signal, stop))
            status = None
            if stop in ("edit", "SIGHUP", "SIGUSR1"):
                _await(lambda: len(influxdb.points()) >= REQUESTS)
            else:
                status = process.wait(TIMEOUT)
                # Workers may outlive the server by a moment.
                _await(lambda: len(influxdb.points()) >= REQUESTS, 1)
        return Result(len(influxdb.points()), status)


def _packages() -> str:
    return os.path.dirname(os.path.dirname(importlib.util.find_spec("tornado").origin or ""))  # type: ignore[union-attr]


@contextlib.contextmanager
def _started(
    command: list[str], environment: dict[str, str], folder: pathlib.Path
) -> Iterator["subprocess.Popen[bytes]"]:
    with open(folder / "output", "wb") as output:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        try:
            yield process
        except BaseException:
            sys.stderr.write((folder / "output").read_text(errors="replace"))
            raise
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _send_requests(port: int, process: "subprocess.Popen[bytes]") -> None:
    answered = 0
    end = time.monotonic() + TIMEOUT
    while answered < REQUESTS:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/x", timeout=5).read()
            answered += 1
        except urllib.error.HTTPError:
            raise
        except OSError:
            if process.poll() is not None or time.monotonic() > end:
                raise
            time.sleep(0.05)


def _await(is_done: Callable[[], bool], seconds: float = 15) -> None:
    end = time.monotonic() + seconds
    while not is_done() and time.monotonic() < end:
        time.sleep(0.02)


def cases(is_short: bool) -> Iterator[tuple[Server, str, str]]:
    for server in SERVERS:
        if not is_short:
            for application in server.applications:
                for stop in server.stops:
                    yield server, application, stop
        elif server.name in SHORT:
            yield server, server.applications[-1], server.stops[0]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="servers whose name contains this")
    parser.add_argument(
        "page", nargs="?", type=pathlib.Path, help="the page whose table is replaced"
    )
    parser.add_argument(
        "--jobs", type=int, default=4, help="how many servers run at once (%(default)s)"
    )
    options = parser.parse_args()
    rows: dict[tuple[str, str], dict[str, str]] = {}
    missing, is_right = [], True
    for server in SERVERS:
        if options.only in server.name and not server.is_here():
            missing.append(server.name)
    chosen = [
        case
        for case in cases(is_short=False)
        if options.only in case[0].name and case[0].name not in missing
    ]
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as executor:
        results = list(executor.map(_report, chosen))
    for (server, application, stop), text in zip(chosen, results, strict=True):
        is_right &= text == f"{REQUESTS} of {REQUESTS}"
        rows.setdefault((server.name, application), {})[stop] = text
    if options.page is not None:
        _write_table(options.page, rows, missing)
    return 0 if is_right else 1


def _report(case: tuple[Server, str, str]) -> str:
    server, application, stop = case
    try:
        text = f"{run(server, application, stop).arrived} of {REQUESTS}"
    except Exception as error:
        text = f"failed: {error!r}"[:60]
    print(f"{server.name:28} {application:18} {stop:10} {text}", flush=True)
    return text


def _write_table(
    page: pathlib.Path, rows: dict[tuple[str, str], dict[str, str]], missing: list[str]
) -> None:
    lines = ["| server | application | " + "what arrived, by the stop |", "|---|---|---|"]
    for (server, application), stops in rows.items():
        results: dict[str, list[str]] = {}
        for stop, text in stops.items():
            results.setdefault(text, []).append(stop)
        cell = "; ".join(f"{text}: {', '.join(names)}" for text, names in results.items())
        lines.append(f"| `{server}` | {application} | {cell} |")
    lines.append("")
    for each in SERVERS:
        lines += [f"`{each}`, {stop}, not run: {fault}.\n" for stop, fault in each.faults]
    if missing:
        lines.append(f"Not run, because not installed: {', '.join(missing)}.\n")
    lines += [f"Python {platform.python_version()}, {', '.join(_versions())}."]
    begin, end = "<!-- table: begin -->", "<!-- table: end -->"
    before, _, rest = page.read_text().partition(begin)
    _, _, after = rest.partition(end)
    page.write_text(before + begin + "\n" + "\n".join(lines) + "\n" + end + after)


def _versions() -> Iterator[str]:
    from importlib import metadata

    for name in (
        "uvicorn",
        "gunicorn",
        "hypercorn",
        "granian",
        "daphne",
        "waitress",
        "uwsgi",
        "gevent",
    ):
        with contextlib.suppress(metadata.PackageNotFoundError):
            yield f"{name} {metadata.version(name)}"


if __name__ == "__main__":
    sys.exit(main())
