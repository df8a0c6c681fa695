"""The attributes of requests of a Tornado application, and the application's callbacks."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from tornado import web

import sprockets_influxdb as influxdb
from serving import SETTINGS, Hello, Recording, request
from sprockets_influxdb import testing
from sprockets_influxdb.tornado import REQUEST_CLIENT, StatsHandler, on_shutdown, on_start


def application(handler: Any = Hello) -> web.Application:
    return web.Application([(r"/(.*)", handler)], **SETTINGS)


class Correlated(Hello):
    correlation_id: Any = "c0ffee"


class Quiet(web.RequestHandler):
    def get(self, path: str) -> None:
        pass


def test_a_request_has_the_tags_and_fields_of_2_2_1(recording: Recording) -> None:
    assert request(application(), "/you").body == b"Hello"
    point = recording.point()
    assert point.measurement == "tests"
    assert point.tags == {
        "endpoint": "/(.*)",
        "handler": "serving.Hello",
        "method": "GET",
        "remote_ip": "127.0.0.1",
        "status_code": "200",
    }
    assert point.fields["content_length"] == len("Hello")
    assert isinstance(point.fields["duration"], float)
    assert point.fields.keys() == {"content_length", "duration"}


def test_without_a_service_it_is_named_request(recording: Recording) -> None:
    settings: dict[str, Any] = {influxdb.REQUEST_DATABASE: "db"}
    request(web.Application([("/", Hello)], **settings))
    assert recording.point().measurement == "request"


def test_it_has_the_base_tags(server: testing.Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENVIRONMENT", "testing")
    influxdb.install(server.url, base_tags={"region": "eu"})
    request(application())
    tags = Recording(server).point().tags
    assert (tags["region"], tags["environment"]) == ("eu", "testing")
    assert tags["hostname"] == influxdb.settings()["base_tags"]["hostname"]


def test_handlers_add_tags_and_fields_from_initialize_on(recording: Recording) -> None:
    class Own(influxdb.InfluxDBMixin, web.RequestHandler):
        def initialize(self) -> None:
            self.influxdb.set_tag("from", "initialize")

        def prepare(self) -> None:
            self.influxdb.set_field("rows", 3)

        def get(self, path: str) -> None:
            with self.influxdb.duration("query"):
                self.write("x")

        def on_finish(self) -> None:
            self.influxdb.set_field("late", True)
            super().on_finish()

    request(application(Own))
    point = recording.point()
    assert point.tags["from"] == "initialize"
    assert (point.tags["endpoint"], point.tags["status_code"]) == ("/(.*)", "200")
    assert (point.fields["rows"], point.fields["late"]) == (3, True)
    assert isinstance(point.fields["query"], float)


def test_a_handler_may_replace_the_measurement(recording: Recording) -> None:
    class Own(Hello):
        def prepare(self) -> None:
            self.influxdb = influxdb.Measurement("db", "own")

    request(application(Own))
    point = recording.point()
    assert not {"endpoint", "handler", "method"} & point.tags.keys()
    assert (point.measurement, point.tags["status_code"], point.fields["content_length"]) == (
        "own",
        "200",
        5,
    )


def test_what_the_handler_sets_takes_precedence(recording: Recording) -> None:
    class Own(Hello):
        correlation_id = "c0ffee"

        def prepare(self) -> None:
            self.influxdb.set_tags({"status_code": "fine", "endpoint": "/own", "remote_ip": "none"})
            self.influxdb.set_field("content_length", 7)
            self.influxdb.set_field("duration", 1.5)

    request(application(Own))
    point = recording.point()
    assert point.tags["status_code"] == "fine"
    assert (point.tags["endpoint"], point.tags["remote_ip"]) == ("/own", "none")
    assert point.tags["correlation_id"] == "c0ffee"
    assert point.fields == {"content_length": 7, "duration": 1.5}


@pytest.mark.parametrize("uses_measurement", [False, True])
def test_an_attribute_replaces_a_base_tag_of_its_name(
    server: testing.Server, uses_measurement: bool
) -> None:
    class Own(Hello):
        def prepare(self) -> None:
            if uses_measurement:
                self.influxdb.set_field("used", True)

    base_tags = {"endpoint": "base", "status_code": "base", "region": "eu"}
    influxdb.install(server.url, base_tags=base_tags, tag_hostname=False, trigger_size=1)
    request(application(Own))
    tags = Recording(server).point().tags
    assert (tags["endpoint"], tags["status_code"], tags["region"]) == ("/(.*)", "200", "eu")


def test_a_tag_that_the_handler_removes_is_not_recorded(recording: Recording) -> None:
    class Own(Hello):
        def prepare(self) -> None:
            del self.influxdb.tags["endpoint"]
            self.influxdb.set_tag("method", None)

    request(application(Own))
    tags = recording.point().tags
    assert tags.keys() == {"handler", "remote_ip", "status_code"}


class TestMethods:
    @pytest.mark.parametrize("method", web.RequestHandler.SUPPORTED_METHODS)
    def test_tornados_methods_are_recorded(self, recording: Recording, method: str) -> None:
        code = request(application(), method=method, allow_nonstandard_methods=True).code
        assert code == (200 if method in ("GET", "HEAD") else 405)
        point = recording.point()
        assert (point.tags["method"], point.tags["status_code"]) == (method, str(code))

    @pytest.mark.parametrize("method", ["FOO", "PROPFIND", "get"])
    def test_unknown_methods_share_one_value(self, recording: Recording, method: str) -> None:
        assert request(application(), method=method, allow_nonstandard_methods=True).code == 405
        point = recording.point()
        assert (point.tags["method"], point.tags["status_code"]) == (
            influxdb.tornado.UNKNOWN_METHOD,
            "405",
        )

    def test_a_method_that_the_handler_supports_is_recorded(self, recording: Recording) -> None:
        class WebDAV(Hello):
            SUPPORTED_METHODS = (*web.RequestHandler.SUPPORTED_METHODS, "PROPFIND")

            def propfind(self, path: str) -> None:
                self.set_status(207)

        serving = application(WebDAV)
        for method in ("PROPFIND", "FOO"):
            request(serving, method=method, allow_nonstandard_methods=True)
        found = [(point.tags["method"], point.tags["status_code"]) for point in recording.points()]
        assert found == [("PROPFIND", "207"), ("(unknown)", "405")]


class TestRemoteIpAndCorrelationId:
    @pytest.mark.parametrize("variable", ["INFLUXDB_TAG_CORRELATION_ID", "INFLUXDB_TAG_REMOTE_IP"])
    @pytest.mark.parametrize(
        ("value", "is_tag"), [("", True), ("true", True), ("0", False), ("No", False)]
    )
    @pytest.mark.parametrize("uses_measurement", [False, True])
    def test_variables_make_fields_of_tags(
        self,
        recording: Recording,
        monkeypatch: pytest.MonkeyPatch,
        variable: str,
        value: str,
        is_tag: bool,
        uses_measurement: bool,
    ) -> None:
        class Asking(Correlated):
            def prepare(self) -> None:
                if uses_measurement:
                    self.influxdb.set_tag("used", True)

        monkeypatch.setenv(variable, value)
        request(application(Asking))
        point = recording.point()
        for name, tag, field, text in (
            ("INFLUXDB_TAG_CORRELATION_ID", "correlation_id", "request_id", "c0ffee"),
            ("INFLUXDB_TAG_REMOTE_IP", "remote_ip", "client_ip", "127.0.0.1"),
        ):
            found = (point.tags.get(tag), point.fields.get(field))
            assert found == ((text, None) if is_tag or name != variable else (None, text))
            assert tag not in point.fields
            assert field not in point.tags

    def test_a_wrong_variable_is_a_warning(
        self,
        recording: Recording,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        monkeypatch.setenv("INFLUXDB_TAG_REMOTE_IP", "maybe")
        assert request(application()).code == 200
        assert recording.point().tags["remote_ip"] == "127.0.0.1"
        assert 'INFLUXDB_TAG_REMOTE_IP: "maybe" is not a boolean' in caplog.text

    @pytest.mark.parametrize(("value", "text"), [(None, None), (7, "7"), ("a b,c=d", "a b,c=d")])
    def test_any_value_may_be_a_correlation_id(
        self, recording: Recording, value: Any, text: str | None
    ) -> None:
        class Own(Hello):
            def prepare(self) -> None:
                self.correlation_id = value

        request(application(Own))
        assert recording.point().tags.get("correlation_id") == text

    def test_the_address_is_tornados(self, recording: Recording) -> None:
        class Proxied(Hello):
            def prepare(self) -> None:
                self.request.remote_ip = "2001:db8::1"

        request(application(Proxied))
        assert recording.point().tags["remote_ip"] == "2001:db8::1"


class TestDatabase:
    @pytest.mark.parametrize(
        "missing", [{}, {influxdb.REQUEST_DATABASE: None}, {influxdb.REQUEST_DATABASE: ""}]
    )
    def test_without_a_database_requests_succeed_with_one_warning(
        self, recording: Recording, caplog: pytest.LogCaptureFixture, missing: dict[str, Any]
    ) -> None:
        class Asking(Hello):
            def prepare(self) -> None:
                self.influxdb.set_tag("asked", True)

        serving = web.Application([("/", Hello), ("/asking", Asking)], **missing)
        assert [request(serving, path).body for path in ("/", "/asking") * 3] == [b"Hello"] * 6
        recording.points()
        assert influxdb.stats()["added"] == 0
        [warning] = [
            entry.getMessage() for entry in caplog.records if entry.name == "sprockets_influxdb"
        ]
        assert influxdb.REQUEST_DATABASE in warning

    def test_each_application_has_its_own_database(self, recording: Recording) -> None:
        for database in ("db", "other"):
            settings: dict[str, Any] = {influxdb.REQUEST_DATABASE: database}
            request(web.Application([("/", Hello)], **settings))
        recording.points()
        assert recording.server.databases() == ["db", "other"]

    def test_a_handler_may_choose_the_database(self, recording: Recording) -> None:
        class Own(Hello):
            def prepare(self) -> None:
                self.influxdb.database = "db"

        request(web.Application([("/", Own)]))
        assert recording.point().tags["handler"].endswith("Own")


class TestOnFinish:
    @pytest.mark.parametrize("is_first", [False, True])
    def test_it_calls_the_next_class(self, recording: Recording, is_first: bool) -> None:
        finished = []

        class Other(web.RequestHandler):
            def on_finish(self) -> None:
                finished.append(self.get_status())
                super().on_finish()

        bases = (Other, influxdb.InfluxDBMixin) if is_first else (influxdb.InfluxDBMixin, Other)
        request(application(type("Both", (*bases, Quiet), {})))
        assert finished == [200]
        assert recording.point().tags["status_code"] == "200"

    def test_what_the_next_class_sets_is_recorded(self, recording: Recording) -> None:
        class Other(web.RequestHandler):
            influxdb: influxdb.Measurement

            def on_finish(self) -> None:
                self.influxdb.set_field("late", 1)

        request(application(type("Both", (influxdb.InfluxDBMixin, Other, Quiet), {})))
        assert recording.point().fields["late"] == 1

    def test_a_request_is_recorded_if_it_raises(self, recording: Recording) -> None:
        class Other(web.RequestHandler):
            def on_finish(self) -> None:
                raise RuntimeError("on purpose")

        request(application(type("Both", (influxdb.InfluxDBMixin, Other, Quiet), {})))
        assert recording.point().tags["status_code"] == "200"


def test_a_disabled_client_records_nothing(server: testing.Server) -> None:
    assert influxdb.install(server.url, enabled=False) is None
    assert request(application()).code == 200
    assert influxdb.stats()["pending"] == 0
    assert server.points("db") == []


class TestCallbacks:
    def test_start_installs_and_shutdown_delivers(
        self, server: testing.Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("INFLUXDB_URL", server.url)

        async def main() -> None:
            serving = application()
            assert on_start(serving, asyncio.get_running_loop()) is True
            assert influxdb.settings()["url"].startswith(server.url)
            influxdb.record("db", "m", {}, {"n": 1})
            assert await on_shutdown(serving) is True
            influxdb.record("db", "late", {}, {"n": 1})

        asyncio.run(main())
        assert [point.measurement for point in server.points("db")] == ["m"]
        assert influxdb.stats()["dropped"]["closed"] == 1

    def test_start_does_nothing_if_a_client_is_installed(self, recording: Recording) -> None:
        assert on_start(application()) is False
        assert influxdb.settings()["url"].startswith(recording.server.url)

    def test_start_raises_for_a_wrong_variable(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("INFLUXDB_INTERVAL", "soon")
        with pytest.raises(ValueError, match="INFLUXDB_INTERVAL"):
            on_start(application())

    @pytest.mark.parametrize("secret", ["auth_password", "token"])
    def test_the_stats_handler_serves_stats_and_settings_without_secrets(
        self, server: testing.Server, secret: str
    ) -> None:
        options: dict[str, Any] = {"auth_username": "me", secret: "hunter2"}
        influxdb.install(server.url, **options)
        influxdb.record("db", "m", {}, {"n": 1})
        response = request(web.Application([("/stats", StatsHandler)], **SETTINGS), "/stats")
        assert response.headers["Cache-Control"] == "no-store"
        assert b"hunter2" not in response.body
        served = json.loads(response.body)
        assert served["settings"][secret] == "***"
        assert served["settings"]["url"].startswith(server.url)
        # Its own request is not counted.
        assert (served["stats"]["added"], influxdb.stats()["added"]) == (1, 1)


def test_the_module_does_not_load_tornado(python: Callable[..., Any]) -> None:
    python("import sys, sprockets_influxdb; assert 'tornado' not in sys.modules")


def test_a_real_server_stores_the_requests(
    influxd: Any, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INFLUXDB_TAG_CORRELATION_ID", "false")
    influxdb.install(influxd.url, tag_hostname=False)

    class Own(Hello):
        correlation_id = 'a b,c=d\\\n"e" é'

        def initialize(self) -> None:
            self.influxdb.set_tag("own", "a b,c=d é")

    settings: dict[str, Any] = {influxdb.REQUEST_DATABASE: database, "service": "a service"}
    serving = web.Application([(r"/a,b=(\w+)", Hello), (r"/own/(\w+)", Own)], **settings)
    for path in ("/a,b=c", "/own/x", "/else"):
        request(serving, path)
    request(serving, "/own/y", method="FOO", allow_nonstandard_methods=True)
    assert influxdb.flush_sync(10)["delivered"] == 3, influxdb.stats()
    rows = influxd.query('SELECT * FROM "a service"', database)
    for row in rows:
        assert isinstance(row.pop("duration"), float)
        del row["time"]
    own = {"request_id": Own.correlation_id, "handler": f"{__name__}.Own", "own": "a b,c=d é"}
    expected = {
        "content_length": 5,
        "endpoint": r"/own/(\w+)",
        "method": "GET",
        "status_code": "200",
        **own,
    }
    expected["remote_ip"] = "127.0.0.1"
    other = {
        "request_id": None,
        "endpoint": r"/a,b=(\w+)",
        "handler": "serving.Hello",
        "own": None,
    }
    refused = {
        "content_length": rows[-1]["content_length"],
        "method": "(unknown)",
        "status_code": "405",
    }
    assert rows == [expected | other, expected, expected | refused]
    tags = {row["tagKey"] for row in influxd.query("SHOW TAG KEYS", database)}
    assert tags == {"endpoint", "handler", "method", "own", "remote_ip", "status_code"}


def test_a_client_that_is_not_opened_does_not_fail_requests(
    client: testing.Server, caplog: pytest.LogCaptureFixture
) -> None:
    settings = {**SETTINGS, REQUEST_CLIENT: influxdb.Client.__new__(influxdb.Client)}
    assert request(web.Application([("/", Hello)], **settings)).code == 200
    assert "is not recorded" in caplog.text
