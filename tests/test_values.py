"""Values of other types than Python's plain ones, in every call that takes values."""

import collections
import datetime
import decimal
import enum
import fractions
import types
from collections.abc import Callable
from typing import Any

import numpy
import pandas
import pytest

import sprockets_influxdb as influxdb
from sprockets_influxdb import Measurement, testing


class Colour(enum.Enum):
    RED = "red"
    SIZE = 3
    NOTHING = None
    NESTED = (1, 2)


class Text(str, enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    LOW = 1


class Bits(enum.Flag):
    BOTH = 3


FIELDS = [
    (decimal.Decimal("1.5"), 1.5),
    (decimal.Decimal("1e400"), None),
    (decimal.Decimal("NaN"), None),
    (fractions.Fraction(1, 4), 0.25),
    (Colour.RED, "red"),
    (Colour.SIZE, 3),
    (Colour.NOTHING, None),
    (Text.RED, "red"),
    (Level.LOW, 1),
    (Bits.BOTH, 3),
    (numpy.float16(1.5), 1.5),
    (numpy.float32(0.5), 0.5),
    (numpy.float64(1.5), 1.5),
    (numpy.longdouble(1.5), 1.5),
    (numpy.int64(-3), -3),
    (numpy.uint8(3), 3),
    (numpy.bool_(True), True),
    (numpy.str_("a"), "a"),
    (numpy.float64("nan"), None),
    (None, None),
    (pandas.NA, None),
    (pandas.NaT, None),
    (numpy.datetime64("NaT", "ns"), None),
    (numpy.timedelta64("NaT", "ns"), None),
]

TAGS = [
    (Colour.RED, "red"),
    (Colour.SIZE, "3"),
    (Colour.NESTED, "(1, 2)"),
    (Colour.NOTHING, None),
    (Text.RED, "red"),
    (Level.LOW, "1"),
    (b"caf\xc3\xa9", "café"),
    (b"", None),
    (numpy.bytes_(b"a"), "a"),
    (numpy.int64(3), "3"),
    (numpy.str_("a"), "a"),
    (decimal.Decimal("1.50"), "1.50"),
    (datetime.date(2023, 1, 2), "2023-01-02"),
    (None, None),
    (pandas.NA, None),
    (pandas.NaT, None),
    (numpy.datetime64("NaT", "ns"), None),
]

REFUSED_FIELDS = [
    b"bytes",
    Colour.NESTED,
    decimal.Decimal("sNaN"),
    fractions.Fraction(10**400),
    pandas.Timestamp("2023-01-01T00:00Z"),
    pandas.Timedelta("1s"),
    numpy.datetime64(5, "ns"),
    numpy.timedelta64(5, "ns"),
    numpy.array(1),
    numpy.bytes_(b"a"),
    pandas.Series([1]),
    datetime.timedelta(1),
    [1],
    1j,
]

Put = Callable[[Any, Any], None]


def set_one(tag: Any, field: Any) -> None:
    measurement = Measurement("db", "m")
    measurement.set_tag("t", "before")
    measurement.set_field("f", "before")
    measurement.set_tag("t", tag)
    measurement.set_field("f", field)
    measurement.set_field("n", 1)
    influxdb.add_measurement(measurement)


def set_several(tag: Any, field: Any) -> None:
    measurement = Measurement("db", "m")
    measurement.set_tags({"t": tag})
    measurement.set_field("n", 1)
    measurement.set_field("f", field)
    influxdb.add_measurement(measurement)


def write_the_dicts(tag: Any, field: Any) -> None:
    measurement = Measurement("db", "m")
    measurement.tags["t"] = tag
    measurement.fields["f"] = field
    measurement.fields["n"] = 1
    influxdb.add_measurement(measurement)


def assign(tag: Any, field: Any) -> None:
    measurement = Measurement("db", "m")
    measurement.tags = {"t": tag}
    measurement.fields = {"f": field, "n": 1}
    influxdb.add_measurement(measurement)


def record(tag: Any, field: Any) -> None:
    influxdb.record("db", "m", {"t": tag}, {"f": field, "n": 1})


def record_other_mappings(tag: Any, field: Any) -> None:
    tags: types.MappingProxyType[str, Any] = types.MappingProxyType({"t": tag})
    fields: collections.ChainMap[str, Any] = collections.ChainMap({"f": field}, {"n": 1})
    influxdb.record("db", "m", tags, fields)


def record_to_the_default_database(tag: Any, field: Any) -> None:
    tags: types.MappingProxyType[str, Any] = types.MappingProxyType({"t": tag})
    influxdb.record("m", tags, {"f": field, "n": 1})


def series(tag: Any, field: Any) -> None:
    influxdb.series("db", "m", tags=["t"])(t=tag, f=field, n=1)


def bound_series(tag: Any, field: Any) -> None:
    influxdb.series("db", "m", tags=["t"]).bind(t=tag)(f=field, n=1)


def base_tags(tag: Any, field: Any) -> None:
    influxdb.install(influxdb.settings()["url"], base_tags={"t": tag}, tag_hostname=False)
    influxdb.record("db", "m", {}, {"f": field, "n": 1})


CALLS: list[Put] = [
    set_one,
    set_several,
    write_the_dicts,
    assign,
    record,
    record_other_mappings,
    record_to_the_default_database,
    series,
    bound_series,
    base_tags,
]


@pytest.fixture(params=CALLS)
def put(request: pytest.FixtureRequest, server: testing.Server) -> Put:
    """Records the tag ``t``, the field ``f``, and the field ``n``."""
    call: Put = request.param
    if call is base_tags:
        influxdb.set_base_url(server.url)
    else:
        influxdb.install(server.url, database="db", tag_hostname=False)
    return call


def recorded(server: testing.Server) -> testing.Point:
    influxdb.flush_sync()
    [point] = server.points("db")
    return point


@pytest.mark.parametrize(("value", "stored"), FIELDS)
def test_a_field(server: testing.Server, put: Put, value: Any, stored: Any) -> None:
    put("x", value)
    fields = recorded(server).fields
    assert fields == ({"n": 1} if stored is None else {"n": 1, "f": stored})
    assert type(fields.get("f")) is type(stored)


@pytest.mark.parametrize(("value", "stored"), TAGS)
def test_a_tag(server: testing.Server, put: Put, value: Any, stored: str | None) -> None:
    put(value, 1)
    assert recorded(server).tags == ({} if stored is None else {"t": stored})


@pytest.mark.parametrize("value", REFUSED_FIELDS, ids=repr)
def test_a_field_that_cannot_be_stored_is_an_error(
    server: testing.Server, put: Put, value: Any
) -> None:
    with pytest.raises(ValueError, match=r"(?s)field .f. is .* of type .*: a field is an int"):
        put("x", value)


def test_bytes_that_are_no_text_are_an_error(server: testing.Server, put: Put) -> None:
    with pytest.raises(ValueError, match=r"tag 't' is b'.xff': bytes in a tag are UTF-8"):
        put(b"\xff", 1)


def test_a_tag_is_checked_when_it_is_set() -> None:
    with pytest.raises(ValueError, match="bytes in a tag are UTF-8"):
        Measurement("db", "m").set_tag("t", b"\xff")


def test_what_is_left_out_takes_back_what_was_set(client: testing.Server) -> None:
    measurement = Measurement("db", "m")
    for nothing in (None, pandas.NA, pandas.NaT, Colour.NOTHING):
        measurement.set_field("f", 1)
        measurement.set_tag("t", "x")
        measurement.set_field("f", nothing)
        measurement.set_tag("t", nothing)
        with pytest.raises(ValueError, match="has no field"):
            influxdb.add_measurement(measurement)
    measurement.set_field("f", 2)
    influxdb.add_measurement(measurement)
    influxdb.flush_sync()
    [point] = client.points("db")
    assert (point.tags, point.fields) == ({}, {"f": 2})


def test_what_is_left_out_does_not_hide_a_base_tag_of_a_bound_series(
    server: testing.Server,
) -> None:
    influxdb.install(server.url, base_tags={"region": "eu"}, tag_hostname=False)
    requests = influxdb.series("db", "m", tags=["region"])
    for nothing in (None, pandas.NA, Colour.NOTHING):
        requests.bind(region=nothing)(n=1)
    influxdb.flush_sync()
    assert [point.tags for point in server.points("db")] == [{"region": "eu"}] * 3


def test_a_class_with_the_name_of_a_missing_value_is_another_class(client: testing.Server) -> None:
    class NAType:
        def __str__(self) -> str:
            return "mine"

    influxdb.record("db", "m", {"t": NAType()}, {"n": 1})
    influxdb.flush_sync()
    assert client.points("db")[0].tags == {"t": "mine"}


def test_an_enum_whose_value_fails(client: testing.Server) -> None:
    class Failing(enum.Enum):
        ONE = 1

        @property
        def value(self) -> int:
            raise RuntimeError("no value today")

    with pytest.raises(RuntimeError, match="no value today"):
        influxdb.record("db", "m", {}, {"f": Failing.ONE})


def test_influxd_has_the_types(influxd: Any, database: str) -> None:
    influxdb.install(influxd.url, tag_hostname=False)
    fields: dict[str, Any] = {
        f"f{number}": value for number, (value, stored) in enumerate(FIELDS) if stored is not None
    }
    tags = {f"t{number}": value for number, (value, stored) in enumerate(TAGS) if stored}
    influxdb.record(database, "m", tags, fields)
    report = influxdb.flush_sync()
    assert (report["delivered"], report["rejected"]) == (1, 0)
    [row] = influxd.query("SELECT * FROM m", database)
    del row["time"]
    assert row == {
        **{f"f{number}": stored for number, (_, stored) in enumerate(FIELDS) if stored is not None},
        **{f"t{number}": stored for number, (_, stored) in enumerate(TAGS) if stored},
    }
