"""Servers, and applications for them, that ``stops`` starts and stops."""

import dataclasses
import importlib.util
import pathlib
import shutil
import sys

#: Requests that each application serves.
REQUESTS = 10

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
