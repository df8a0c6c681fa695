"""Options that are typed by name: a misspelt one is an error, for mypy and when it runs.

``mypy --strict`` checks this file: an ``ignore`` that nothing needs would be an error.
"""

import asyncio
import importlib
import inspect
from typing import Any

import pytest

import sprockets_influxdb as influxdb
from sprockets_influxdb import Client, _options, testing
from sprockets_influxdb.asgi import InfluxDBMiddleware as AsgiMiddleware
from sprockets_influxdb.wsgi import InfluxDBMiddleware as WsgiMiddleware

SAYS_SO = r"no option 'databse': did you mean 'database'\?"


async def asgi(scope: Any, receive: Any, send: Any) -> None:
    pass


def wsgi(environ: Any, start_response: Any) -> list[bytes]:
    return []


def test_install() -> None:
    with pytest.raises(TypeError, match=SAYS_SO):
        influxdb.install(databse="db")  # type: ignore[call-arg]
    with pytest.raises(ValueError, match="api"):
        influxdb.install(api="v9")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="timeout"):
        influxdb.install(timeout="soon")  # type: ignore[arg-type]
    assert influxdb.installed() is None
    assert influxdb.install(database="db", timeout=500, overflow="block", spool=None) is True


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("triger_size", "trigger_size"),
        ("max_bufer_size", "max_buffer_size"),
        ("interval", "submission_interval"),
        ("user", "auth_username"),
        ("username", "auth_username"),
        ("password", "auth_password"),
        ("tags", "base_tags"),
        ("base_tag", "base_tags"),
        ("bucket", "database"),
        ("on_reject", "on_rejected"),
    ],
)
@pytest.mark.parametrize("make", [influxdb.install, Client])
def test_the_nearest_argument_is_named(make: Any, wrong: str, right: str) -> None:
    with pytest.raises(TypeError, match=f"no option '{wrong}': did you mean '{right}'"):
        make(**{wrong: 1})


@pytest.mark.parametrize("function", [influxdb.install, Client.__init__])
def test_every_argument_can_be_suggested(function: Any) -> None:
    parameters = set(inspect.signature(function).parameters)
    assert parameters - {"self", "io_loop", "options"} == set(_options._NAMED)


def test_client(server: testing.Server) -> None:
    with pytest.raises(TypeError, match=SAYS_SO):
        Client(databse="db")  # type: ignore[call-arg]
    with pytest.raises(ValueError, match="on_rejected"):
        Client(on_rejected=3)  # type: ignore[arg-type]
    with Client(server.url, database="db", base_tags={"a": 1}, on_rejected=print) as client:
        client.record("job", {"queue": "mail"}, {"rows": 3})
        with pytest.raises(ValueError, match="has no field"):
            client.record("job")  # type: ignore[call-overload]
        with pytest.raises(KeyError):
            client.stats()["aded"]  # type: ignore[typeddict-item]
    assert len(server.points("db")) == 1


def test_asgi() -> None:
    with pytest.raises(TypeError, match=SAYS_SO):
        AsgiMiddleware(asgi, databse="db")  # type: ignore[call-arg]


def test_starlette_and_fastapi_when_the_server_starts() -> None:
    # Starlette makes its middlewares when the server starts, in an event loop. The start fails.
    applications = pytest.importorskip("starlette.applications")
    application = applications.Starlette()
    application.add_middleware(AsgiMiddleware, databse="db")
    sent: list[Any] = []

    async def start() -> None:
        async def receive() -> Any:
            return {"type": "lifespan.startup"}

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}
        with pytest.raises(TypeError, match=SAYS_SO):
            await application(scope, receive, send)

    asyncio.run(start())
    assert sent[0]["type"] == "lifespan.startup.failed"


def test_wsgi() -> None:
    with pytest.raises(TypeError, match=SAYS_SO):
        WsgiMiddleware(wsgi, databse="db")  # type: ignore[call-arg]


def test_flask() -> None:
    flask = pytest.importorskip("flask")
    module = pytest.importorskip("sprockets_influxdb.flask")
    with pytest.raises(TypeError, match=SAYS_SO):
        module.InfluxDB(flask.Flask("tests"), databse="db")
    with pytest.raises(TypeError, match=SAYS_SO):
        module.InfluxDB(databse="db")
    with pytest.raises(TypeError, match=SAYS_SO):
        module.InfluxDB().init_app(flask.Flask("tests"), databse="db")
    with pytest.raises(TypeError, match=SAYS_SO):
        module.init_app(flask.Flask("tests"), databse="db")


def test_django() -> None:
    pytest.importorskip("django")
    from django.core.exceptions import ImproperlyConfigured
    from django.test import override_settings

    import web_django

    with override_settings(INFLUXDB_REQUESTS={"databse": "db"}):
        for make in (web_django.wsgi, web_django.asgi):
            with pytest.raises(
                ImproperlyConfigured, match=f"INFLUXDB_REQUESTS: there is {SAYS_SO}"
            ):
                make()


HINTS = [
    ("databse", "did you mean 'database'"),
    ("db", "did you mean 'database'"),
    ("cleint", "did you mean 'client'"),
    ("xyz", "it has .*database.*client"),
]


@pytest.mark.parametrize(("option", "hint"), HINTS)
@pytest.mark.parametrize(
    ("module", "function"),
    [
        ("celery", "instrument"),
        ("httpx", "instrument"),
        ("process", "watch"),
        ("redis", "instrument"),
        ("requests", "instrument"),
        ("sqlalchemy", "instrument"),
    ],
)
def test_integrations_name_the_nearest_option(
    module: str, function: str, option: str, hint: str
) -> None:
    if module != "process":
        pytest.importorskip(module)
    call = getattr(importlib.import_module(f"sprockets_influxdb.{module}"), function)
    with pytest.raises(TypeError, match=rf"{function}\(\) has no option '{option}': {hint}"):
        call(object(), **{option: "db"})


@pytest.mark.parametrize(
    ("option", "hint"),
    [
        ("tags", "did you mean 'tag_columns'"),
        ("fields", "did you mean 'field_columns'"),
        ("time", "did you mean 'timestamp_column'"),
        ("databse", "did you mean 'database'"),
        ("tag_colums", "did you mean 'tag_columns'"),
        ("xyz", "it has database, tag_columns"),
    ],
)
def test_data_frames_name_the_nearest_option(option: str, hint: str) -> None:
    client = influxdb.Client("http://127.0.0.1:1", enabled=False)
    for write in (influxdb.write_dataframe, client.write_dataframe):
        message = rf"write_dataframe\(\) has no option '{option}': {hint}"
        with pytest.raises(TypeError, match=message):
            write(object(), "m", **{option: "x"})  # type: ignore[arg-type]
