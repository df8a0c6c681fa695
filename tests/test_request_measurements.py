"""The measurement of a request in its handler, in every framework."""

import datetime
import decimal
import enum
import logging
import re
from typing import Any

import numpy
import pandas
import pytest

import sprockets_influxdb as influxdb
from frameworks import FRAMEWORKS, ID, Request, django_asgi, django_wsgi, tornado
from serving import Recording
from sprockets_influxdb import testing

every_framework = pytest.mark.parametrize("request_of", FRAMEWORKS)


class Colour(enum.Enum):
    RED = "red"


def use_all(measurement: influxdb.Measurement) -> None:
    """Do all that a handler may do, and what it should not."""
    untyped: Any = measurement
    measurement.set_tag("queue", "mail")
    measurement.set_tags({"region": None, "more": 1})
    untyped.set_tags(5)
    for value in (3, 1.5, "text", True, None, object(), Colour.RED, decimal.Decimal(1), 2**70):
        untyped.set_field("rows", value)
    with measurement.duration("query"):
        measurement.fields["own"] = object()
    measurement.tags["own"] = "x"
    untyped.set_timestamp("never")
    untyped.timestamp = None
    untyped.fields = 5
    measurement.set_field("n", 1)
    measurement.fields["n"] += 1
    assert measurement.fields["n"] == 2
    measurement.marshall()


@every_framework
class TestNothingIsRecorded:
    """The handler has a measurement that takes everything."""

    @pytest.mark.parametrize(
        ("options", "variables"),
        [
            pytest.param({"database": "db"}, {"INFLUXDB_ENABLED": "false"}, id="disabled"),
            pytest.param({}, {}, id="no-database"),
            pytest.param({"database": "db"}, {"INFLUXDB_PORT": "maybe"}, id="variable"),
            pytest.param({"database": "db"}, {"INFLUXDB_TAG_REMOTE_IP": "maybe"}, id="tag"),
            pytest.param({"database": "db", "skip": lambda _: True}, {}, id="skipped"),
            pytest.param({"database": "db", "names": "other"}, {}, id="names"),
        ],
    )
    @pytest.mark.parametrize("is_installed", [False, True])
    def test_the_handler_responds(
        self,
        server: testing.Server,
        monkeypatch: pytest.MonkeyPatch,
        request_of: Request,
        options: Any,
        variables: dict[str, str],
        is_installed: bool,
    ) -> None:
        if request_of is tornado and (len(options) > 1 or "INFLUXDB_TAG_REMOTE_IP" in variables):
            pytest.skip("not applicable: the mixin has no options, and ignores such a variable")
        if "INFLUXDB_PORT" not in variables:
            # A URL overrides the port.
            monkeypatch.setenv("INFLUXDB_URL", server.url)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        if is_installed and "maybe" in variables.values():
            with pytest.raises(ValueError, match="maybe"):
                influxdb.install()
        elif is_installed:
            influxdb.install(tag_hostname=False)
        measurements: list[influxdb.Measurement] = []

        def use(measurement: influxdb.Measurement) -> None:
            use_all(measurement)
            assert not measurement.is_recording
            measurements.append(measurement)

        assert request_of(use, options) == 200
        [measurement] = measurements
        influxdb.add_measurement(measurement)
        monkeypatch.setenv("INFLUXDB_PORT", "1")
        influxdb.flush_sync(10)
        assert server.points() == []

    def test_after_the_request_the_measurement_takes_everything(
        self, recording: Recording, request_of: Request
    ) -> None:
        measurements: list[influxdb.Measurement] = []

        def use(measurement: influxdb.Measurement) -> None:
            assert measurement.is_recording
            measurements.append(measurement)

        assert request_of(use, {"database": "db"}) == 200
        recording.point()
        [measurement] = measurements
        assert not measurement.is_recording
        use_all(measurement)
        influxdb.add_measurement(measurement)
        recording.point()


@every_framework
class TestValuesThatCannotBeStored:
    """They are a warning, and the request is recorded without them."""

    @pytest.mark.parametrize("value", [object(), b"x", numpy.datetime64(5, "ns"), 2**70])
    @pytest.mark.parametrize("in_dict", [False, True])
    def test_a_field(
        self,
        recording: Recording,
        caplog: pytest.LogCaptureFixture,
        request_of: Request,
        value: Any,
        in_dict: bool,
    ) -> None:
        def use(measurement: influxdb.Measurement) -> None:
            if in_dict:
                measurement.fields["bad"] = value
            else:
                measurement.set_field("bad", value)
            measurement.set_field("rows", 3)

        for _ in range(3):
            assert request_of(use, {"database": "db"}) == 200
        points = recording.points()
        assert [point.fields["rows"] for point in points] == [3, 3, 3]
        warnings = [record for record in caplog.records if record.levelno >= logging.WARNING]
        [warning] = warnings
        assert "field 'bad' is " in warning.getMessage()
        assert all("bad" not in point.fields for point in points)

    def test_each_of_several_mistakes_is_a_warning_that_says_where(
        self, recording: Recording, caplog: pytest.LogCaptureFixture, request_of: Request
    ) -> None:
        def use(measurement: influxdb.Measurement) -> None:
            untyped: Any = measurement
            untyped.set_field("bad", [1])
            untyped.fields["worse"] = [2]
            measurement.set_field("status_code", 1)
            measurement.set_timestamp(datetime.datetime.now())

        for _ in range(2):
            assert request_of(use, {"database": "db"}) == 200
        endpoint = recording.points()[0].tags["endpoint"]
        messages = sorted(record.getMessage() for record in caplog.records)
        of = "" if endpoint == "(unmatched)" else f" of {endpoint}"
        beginning = f"a request{of} is not recorded as it should be: ValueError: "
        place = r"a value is not recorded \(test_request_measurements.py:\d+, in use\): "
        expected = [
            rf"{re.escape(beginning)}field 'worse' is \[2\]",
            rf"{re.escape(beginning)}\"status_code\" is a field of this request",
            rf"{place}ValueError: .* time zone",
            rf"{place}ValueError: field 'bad' is \[1\]",
        ]
        assert len(messages) == len(expected), messages
        for pattern in expected:
            assert any(re.match(pattern, message) for message in messages), (pattern, messages)

    @pytest.mark.parametrize("in_dict", [False, True])
    def test_bytes_in_a_tag(
        self,
        recording: Recording,
        caplog: pytest.LogCaptureFixture,
        request_of: Request,
        in_dict: bool,
    ) -> None:
        def use(measurement: influxdb.Measurement) -> None:
            if in_dict:
                measurement.tags["bad"] = b"\xff"
            else:
                measurement.set_tag("bad", b"\xff")
            measurement.set_tag("good", b"x")

        assert request_of(use, {"database": "db"}) == 200
        point = recording.point()
        assert (point.tags["good"], point.tags.get("bad")) == ("x", None)
        [warning] = caplog.records
        assert "tag 'bad' is b'\\xff'" in warning.getMessage()

    def test_a_timestamp(
        self, recording: Recording, caplog: pytest.LogCaptureFixture, request_of: Request
    ) -> None:
        def use(measurement: influxdb.Measurement) -> None:
            measurement.set_timestamp(datetime.datetime.now())

        assert request_of(use, {"database": "db"}) == 200
        assert recording.point()
        [warning] = caplog.records
        assert "add a time zone" in warning.getMessage()

    def test_a_tag_whose_str_fails(
        self, recording: Recording, caplog: pytest.LogCaptureFixture, request_of: Request
    ) -> None:
        class Unprintable:
            def __str__(self) -> str:
                raise NotImplementedError

        def use(measurement: influxdb.Measurement) -> None:
            measurement.set_tags({"bad": Unprintable(), "good": "x"})

        for _ in range(3):
            assert request_of(use, {"database": "db"}) == 200
        tags = [point.tags for point in recording.points()]
        assert [(tags.get("good"), tags.get("bad")) for tags in tags] == [("x", None)] * 3
        [warning] = caplog.records
        assert "NotImplementedError" in warning.getMessage()

    def test_use_of_every_kind(
        self, recording: Recording, caplog: pytest.LogCaptureFixture, request_of: Request
    ) -> None:
        assert request_of(use_all, {"database": "db"}) == 200
        point = recording.point()
        assert (point.fields["n"], point.tags["queue"], point.tags["more"]) == (2, "mail", "1")


@every_framework
def test_values_of_other_types_are_stored_and_missing_ones_left_out(
    recording: Recording, caplog: pytest.LogCaptureFixture, request_of: Request
) -> None:
    def use(measurement: influxdb.Measurement) -> None:
        measurement.set_field("amount", decimal.Decimal("1.5"))
        measurement.set_field("colour", Colour.RED)
        measurement.set_field("size", numpy.int16(3))
        measurement.set_tag("colour_tag", Colour.RED)
        for nothing in (None, pandas.NA, pandas.NaT):
            measurement.set_field("nothing", nothing)
            measurement.set_tag("no_tag", nothing)
        measurement.timestamp_ns = 1_700_000_000_123_456_789

    assert request_of(use, {"database": "db"}) == 200
    point = recording.point()
    assert (point.fields["amount"], point.fields["colour"], point.fields["size"]) == (1.5, "red", 3)
    assert point.tags["colour_tag"] == "red"
    assert "nothing" not in point.fields
    assert "no_tag" not in point.tags
    assert point.timestamp == 1_700_000_000_123_456_789
    assert not caplog.records


@every_framework
def test_a_request_without_a_body_has_the_length_0(
    recording: Recording, request_of: Request
) -> None:
    if request_of is tornado:
        pytest.skip("not applicable: the mixin does not record the length of requests")
    assert request_of(lambda _: None, {"database": "db"}) == 200
    assert recording.point().fields["request_length"] == 0


@every_framework
class TestOneName:
    """A field of the handler that has the name of a tag does not lose the request."""

    @pytest.mark.parametrize("name", ["endpoint", "method", "status_code", "hostname", "own"])
    def test_the_field_is_recorded_without_the_tag(
        self,
        server: testing.Server,
        caplog: pytest.LogCaptureFixture,
        request_of: Request,
        name: str,
    ) -> None:
        influxdb.install(server.url, base_tags={"region": "eu"}, tag_hostname=True)

        def use(measurement: influxdb.Measurement) -> None:
            measurement.set_tag("own", "x")
            measurement.set_field(name, 7)

        for _ in range(3):
            assert request_of(use, {"database": "db"}) == 200
        points = Recording(server).points()
        assert [point.fields[name] for point in points] == [7, 7, 7]
        tags = {"endpoint", "hostname", "method", "own", "region", "status_code"}
        for point in points:
            assert tags & point.tags.keys() == tags - {name}
        [warning] = [record for record in caplog.records if record.levelno >= logging.WARNING]
        assert f'"{name}" is a field' in warning.getMessage()

    def test_no_name_changes_its_kind_with_a_variable(
        self, monkeypatch: pytest.MonkeyPatch, request_of: Request
    ) -> None:
        with testing.Server("influxdb-3.6") as server:
            _switch(monkeypatch, server.url, request_of)
            stats = influxdb.stats()
            assert (stats["delivered"], stats["rejected"]) == (1, 0)
            points = server.points("db")
            testing.reset()
        assert len(points) == 6
        tagged = 4 if request_of is tornado else 2
        for name in ("remote_ip", "correlation_id"):
            assert sum(name in point.tags for point in points) == tagged
            assert not any(name in point.fields for point in points)
        assert [point.fields.get("request_id") for point in points].count(ID) == 6 - tagged

    def test_influxd_has_each_name_once(
        self, influxd: Any, database: str, monkeypatch: pytest.MonkeyPatch, request_of: Request
    ) -> None:
        _switch(monkeypatch, influxd.url, request_of, database)
        testing.reset()
        tags = {row["tagKey"] for row in influxd.query("SHOW TAG KEYS", database)}
        fields = {row["fieldKey"] for row in influxd.query("SHOW FIELD KEYS", database)}
        assert {"remote_ip", "correlation_id"} <= tags
        assert {"client_ip", "request_id"} <= fields
        assert not tags & fields
        [row] = influxd.query('SELECT count("duration") FROM request', database)
        assert row["count"] == 6


def _switch(
    monkeypatch: pytest.MonkeyPatch, url: str, request_of: Request, database: str = "db"
) -> None:
    """Change the variables back and forth, and record a request each time."""
    for value in ("true", "false", None, "false", "true", None):
        for name in ("INFLUXDB_TAG_REMOTE_IP", "INFLUXDB_TAG_CORRELATION_ID"):
            if value is None:
                monkeypatch.delenv(name)
            else:
                monkeypatch.setenv(name, value)
        testing.reset()
        influxdb.install(url)
        assert request_of(lambda _: None, {"database": database}) == 200
        report = influxdb.flush_sync(10)
        assert (report["delivered"], report["rejected"]) == (1, 0)


@every_framework
def test_a_misspelt_option_fails_when_the_application_is_built(
    recording: Recording, request_of: Request
) -> None:
    if request_of is tornado:
        pytest.skip("not applicable: the mixin has no options")
    errors: list[type[Exception]] = [TypeError]
    if request_of in (django_asgi, django_wsgi):
        from django.core.exceptions import ImproperlyConfigured

        errors = [ImproperlyConfigured]
    with pytest.raises(tuple(errors), match=r"'databse'.* did you mean 'database'"):
        request_of(lambda _: None, {"databse": "db"})
