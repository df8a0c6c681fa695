"""Flask: the rule and the view of each request."""

import collections
import gc
import logging
import weakref
from typing import Any

import pytest

import web
from serving import Recording
from sprockets_influxdb import testing

pytest.importorskip("flask")

import flask
from flask.views import MethodView

from sprockets_influxdb.flask import InfluxDB, init_app
from sprockets_influxdb.wsgi import InfluxDBMiddleware


@pytest.fixture
def application() -> Any:
    application = flask.Flask("tests")
    application.logger.setLevel(logging.CRITICAL)
    users = flask.Blueprint("users", __name__, url_prefix="/users")

    @users.get("/<int:user>")
    def user(user: int) -> str:
        flask.g.influxdb.set_field("rows", user)
        return "Hello"

    @application.get("/failing")
    def failing() -> str:
        raise ValueError("no such row")

    @application.get("/streamed")
    def streamed() -> Any:
        return flask.Response(b"Hello" for _ in range(10))

    @application.get("/file")
    def file() -> Any:
        return flask.send_file(__file__)

    class View(MethodView):
        def get(self) -> str:
            return "view"

    application.add_url_rule("/view", view_func=View.as_view("view"))
    application.register_blueprint(users)
    InfluxDB(application, database="db")
    return application


def one(recording: Recording, application: Any, path: str, method: str = "GET") -> testing.Point:
    web.wsgi(application, web.environ(path, method))
    return recording.point()


@pytest.mark.parametrize(
    ("path", "method", "endpoint", "handler", "status_code"),
    [
        ("/users/7", "GET", "/users/<int:user>", "test_flask.application.<locals>.user", "200"),
        ("/users/7", "DELETE", "/users/<int:user>", "test_flask.application.<locals>.user", "405"),
        ("/users/x", "GET", "(unmatched)", None, "404"),
        ("/view", "GET", "/view", "test_flask.application.<locals>.View", "200"),
        ("/streamed", "GET", "/streamed", "test_flask.application.<locals>.streamed", "200"),
        ("/file", "GET", "/file", "test_flask.application.<locals>.file", "200"),
        ("/failing", "GET", "/failing", "test_flask.application.<locals>.failing", "500"),
    ],
)
def test_endpoint_and_handler_are_rule_and_view(
    recording: Recording,
    application: Any,
    path: str,
    method: str,
    endpoint: str,
    handler: str | None,
    status_code: str,
) -> None:
    point = one(recording, application, path, method)
    assert (point.tags["endpoint"], point.tags.get("handler")) == (endpoint, handler)
    assert point.tags["status_code"] == status_code


def test_a_view_that_is_replaced_is_the_handler(recording: Recording, application: Any) -> None:
    def other() -> str:
        return "other"

    def another() -> str:
        return "another"

    for _ in range(2):
        web.wsgi(application, web.environ("/streamed"))
    application.view_functions["streamed"] = other
    for _ in range(2):
        web.wsgi(application, web.environ("/streamed"))
    views: Any = collections.UserDict({**application.view_functions, "streamed": another})
    for application.view_functions in (dict(views), views):
        web.wsgi(application, web.environ("/streamed"))
    handlers = [point.tags["handler"].rpartition(".")[2] for point in recording.points()]
    assert handlers == ["streamed", "streamed", "other", "other", "another", "another"]


def test_an_application_is_released(recording: Recording) -> None:
    application = flask.Flask("released")
    application.get("/<name>")(lambda name: f"Hello, {name}")
    InfluxDB(application, database="db")
    web.wsgi(application, web.environ("/you"))
    reference = weakref.ref(application)
    del application
    gc.collect()
    assert reference() is None


def test_the_view_has_the_measurement(recording: Recording, application: Any) -> None:
    assert one(recording, application, "/users/7").fields["rows"] == 7


def test_an_exception_that_became_an_error_page_is_recorded(
    recording: Recording, application: Any
) -> None:
    assert one(recording, application, "/failing").fields["exception"] == "ValueError: no such row"


def test_a_streamed_body_is_counted(recording: Recording, application: Any) -> None:
    assert one(recording, application, "/streamed").fields["content_length"] == 50


class TestHooksThatRespond:
    """The rule matched, so it is recorded, although the view was not called."""

    @pytest.fixture
    def late(self) -> flask.Flask:
        """The extension is registered after the hooks."""
        application = flask.Flask("tests")

        @application.before_request
        def closed() -> tuple[str, int] | None:
            return ("closed", 503) if "closed" in flask.request.args else None

        @application.url_value_preprocessor
        def refuse(endpoint: str | None, values: dict[str, Any] | None) -> None:
            if values and values["user"] == 0:
                flask.abort(404)

        @application.get("/users/<int:user>")
        def user(user: int) -> str:
            flask.g.influxdb.set_field("rows", user)
            return "Hello"

        @application.errorhandler(404)
        def missing(error: Exception) -> tuple[str, int]:
            flask.g.influxdb.set_tag("page", "missing")
            return "missing", 404

        InfluxDB(application, database="db")
        return application

    @pytest.mark.parametrize(
        ("path", "query", "status_code"),
        [
            ("/users/7", "", "200"),
            ("/users/7", "closed", "503"),
            ("/users/0", "", "404"),
            ("/none", "", "404"),
            ("/none", "closed", "503"),
        ],
    )
    def test_the_rule_is_recorded(
        self, recording: Recording, late: flask.Flask, path: str, query: str, status_code: str
    ) -> None:
        web.wsgi(late, web.environ(path, QUERY_STRING=query))
        point = recording.point()
        endpoint = "(unmatched)" if path == "/none" else "/users/<int:user>"
        assert (point.tags["endpoint"], point.tags["status_code"]) == (endpoint, status_code)
        assert point.tags.get("page") == ("missing" if status_code == "404" else None)


def test_an_error_handler_decides_the_status(recording: Recording, application: Any) -> None:
    application.register_error_handler(ValueError, lambda error: ("later", 503))
    point = one(recording, application, "/failing")
    assert (point.tags["status_code"], point.tags["endpoint"]) == ("503", "/failing")


def test_a_wrapped_application_has_the_measurement(recording: Recording, application: Any) -> None:
    point = one(recording, InfluxDBMiddleware(application, database="db"), "/users/7")
    assert point.fields["rows"] == 7


def test_options_of_init_app_take_precedence(recording: Recording) -> None:
    application = flask.Flask("tests")
    InfluxDB(database="none").init_app(application, database="db")
    one(recording, application, "/")


def test_a_missing_database_is_one_warning(
    recording: Recording, caplog: pytest.LogCaptureFixture
) -> None:
    application = flask.Flask("tests")
    init_app(application)
    for _ in range(3):
        web.wsgi(application, web.environ("/"))
    (record,) = caplog.records
    assert "have no database" in record.getMessage()
    assert recording.points() == []


def test_a_misspelt_option_fails_before_there_is_an_application() -> None:
    options: Any = {"databse": "db"}
    with pytest.raises(TypeError, match="did you mean 'database'"):
        InfluxDB(**options)


def test_a_response_that_nobody_closes_is_recorded_when_it_is_released(
    recording: Recording, application: Any
) -> None:
    # The environment refers to the request. This must be no circle, which would wait for the
    # garbage collector, or for the end of the interpreter.
    gc.disable()
    try:
        body = application(web.environ("/users/7"), lambda *_: None)
        del body
        assert recording.point().tags["endpoint"] == "/users/<int:user>"
    finally:
        gc.enable()
