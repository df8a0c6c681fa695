"""Times of every type that stands for one, exact to the nanosecond."""

import datetime
import decimal
import fractions
import re
import zoneinfo
from collections.abc import Callable
from typing import Any

import numpy
import pandas
import pytest

import sprockets_influxdb as influxdb
from sprockets_influxdb import Measurement, testing

UTC = datetime.timezone.utc
BERLIN = zoneinfo.ZoneInfo("Europe/Berlin")
#: 2023-11-14T22:13:20.123456789Z
TIME = 1_700_000_000_123_456_789
SECOND = 1_000_000_000

TIMES = [
    pytest.param(*values, id=str(values[0]))
    for values in [
        (datetime.datetime(2023, 11, 14, 22, 13, 20, 123456, UTC), TIME - 789),
        (datetime.datetime(2023, 11, 14, 23, 13, 20, 123456, BERLIN), TIME - 789),
        (datetime.datetime(1969, 12, 31, 23, 59, 59, 999999, UTC), -1000),
        # The hour that is twice there when the clocks are put back.
        (datetime.datetime(2023, 10, 29, 2, 30, tzinfo=BERLIN), 1_698_539_400 * SECOND),
        (datetime.datetime(2023, 10, 29, 2, 30, tzinfo=BERLIN, fold=1), 1_698_543_000 * SECOND),
        (pandas.Timestamp(TIME, tz="UTC"), TIME),
        (pandas.Timestamp(TIME, tz="Asia/Kolkata"), TIME),
        (pandas.Timestamp("2023-11-14T22:13:20Z").as_unit("s"), TIME // SECOND * SECOND),
        (pandas.Timestamp(-1, tz="UTC"), -1),
        (numpy.datetime64("2023-11-14T22:13:20.123456789"), TIME),
        (numpy.datetime64("2023-11-14T22:13:20"), TIME // SECOND * SECOND),
        (numpy.datetime64("2023-11-14T22"), 1_699_999_200 * SECOND),
        (numpy.datetime64("2023-11-14"), 1_699_920_000 * SECOND),
        (numpy.datetime64("2023-11"), 1_698_796_800 * SECOND),
        (numpy.datetime64("2023"), 1_672_531_200 * SECOND),
        (numpy.datetime64(25, ("s", 25)), 625 * SECOND),
        (numpy.datetime64(-1, "ps"), -1),
        (numpy.int64(3), 3 * SECOND),
        (numpy.float32(1.5), 1_500_000_000),
        (decimal.Decimal("1700000000.123456789"), TIME),
        (fractions.Fraction(TIME, SECOND), TIME),
        (fractions.Fraction(-1, 3), -333_333_334),
        ("2023-11-14T22:13:20.123456789Z", TIME),
        ("2023-11-14 22:13:20,123456789+00:00", TIME),
        ("2023-11-14t23:13:20.123456789000+0100", TIME),
        ("2023-11-14T16:43:20.123456789-05:30", TIME),
        ("2023-11-14T22:13z", 1_699_999_980 * SECOND),
        ("2023-11-14T22:13:20.1+00", 1_700_000_000_100_000_000),
        ("2024-02-29T00:00:00Z", 1_709_164_800 * SECOND),
        ("2000-03-01T00:00:00Z", 951_868_800 * SECOND),
        ("1900-03-01T00:00:00Z", -2_203_891_200 * SECOND),
        ("1969-12-31T23:59:59.999999999Z", -1),
    ]
]

EXPECTED = "timestamp is .*: expected seconds since the epoch, a datetime with a time zone"


@pytest.fixture
def measurement() -> Measurement:
    measurement = Measurement("db", "m")
    measurement.set_field("n", 1)
    return measurement


@pytest.mark.parametrize(("time", "nanoseconds"), TIMES)
def test_a_time_is_exact(measurement: Measurement, time: Any, nanoseconds: int) -> None:
    measurement.set_timestamp(time)
    assert measurement.timestamp_ns == nanoseconds
    assert measurement.marshall().endswith(f" {nanoseconds}")
    measurement.timestamp_ns = 0
    measurement.timestamp = time
    assert measurement.timestamp_ns == nanoseconds


@pytest.mark.parametrize(("time", "nanoseconds"), TIMES)
def test_record_takes_the_same(client: testing.Server, time: Any, nanoseconds: int) -> None:
    influxdb.record("db", "m", {}, {"n": 1}, time)
    influxdb.record("db", "m", {"other": "yes"}, {"n": 1}, timestamp=time)
    influxdb.flush_sync()
    assert [point.timestamp for point in client.points()] == [nanoseconds] * 2


@pytest.mark.parametrize("nanoseconds", [0, -1, TIME, numpy.int64(TIME), 2**63 - 2, -(2**63) + 2])
def test_nanoseconds(client: testing.Server, measurement: Measurement, nanoseconds: Any) -> None:
    measurement.set_timestamp_ns(nanoseconds)
    assert measurement.timestamp_ns == nanoseconds
    influxdb.add_measurement(measurement)
    measurement.timestamp_ns = nanoseconds
    influxdb.record("db", "record", {}, {"n": 1}, timestamp_ns=nanoseconds)
    influxdb.series("db", "series")(n=1, timestamp_ns=nanoseconds)
    influxdb.flush_sync()
    assert [point.timestamp for point in client.points()] == [nanoseconds] * 3


@pytest.mark.parametrize("wrong", [1.5, "1", None, 2**63, -(2**63) - 1, numpy.float64(1), UTC])
def test_nanoseconds_are_an_int(measurement: Measurement, wrong: Any) -> None:
    expected = r"timestamp_ns is .*: expected an int of nanoseconds"
    before = measurement.timestamp_ns
    with pytest.raises(ValueError, match=expected):
        measurement.set_timestamp_ns(wrong)
    with pytest.raises(ValueError, match=expected):
        measurement.timestamp_ns = wrong
    assert measurement.timestamp_ns == before
    if wrong is not None:
        with pytest.raises(ValueError, match=expected):
            influxdb.record("db", "m", {}, {"n": 1}, timestamp_ns=wrong)
        with pytest.raises(ValueError, match=expected):
            influxdb.series("db", "m")(n=1, timestamp_ns=wrong)


def test_no_nanoseconds_are_now(client: testing.Server) -> None:
    before = Measurement("db", "m").timestamp_ns
    influxdb.record("db", "m", {}, {"n": 1}, timestamp=None, timestamp_ns=None)
    influxdb.series("db", "m")(n=2, timestamp_ns=None)
    influxdb.flush_sync()
    after = Measurement("db", "m").timestamp_ns
    assert [before < point.timestamp < after for point in client.points()] == [True, True]


def test_record_takes_one_of_both() -> None:
    with pytest.raises(ValueError, match="timestamp and timestamp_ns are both given"):
        influxdb.record("db", "m", {}, {"n": 1}, 1, timestamp_ns=1)


@pytest.mark.parametrize(
    "naive", [datetime.datetime(2023, 11, 14), pandas.Timestamp("2023-11-14T22:13:20")]
)
def test_a_datetime_without_a_time_zone_is_refused(measurement: Measurement, naive: Any) -> None:
    def put() -> None:
        measurement.timestamp = naive

    calls: list[Callable[[], None]] = [
        put,
        lambda: measurement.set_timestamp(naive),
        lambda: influxdb.record("db", "m", {}, {"n": 1}, naive),
    ]
    for call in calls:
        with pytest.raises(ValueError, match=f"{EXPECTED}.*; add a time zone") as caught:
            call()
        assert repr(naive) in str(caught.value)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("2023-11-14T22:13:20", "add the offset from UTC, such as Z or +01:00"),
        ("2023-11-14T22:13", "add the offset from UTC"),
        ("2023-11-14T22:13:20 UTC", "after the time, only an offset"),
        ("2023-11-14T22:13:20+1", "after the time, only an offset"),
        ("2023-11-14T22:13:20+24:00", "after the time, only an offset"),
        ("2023-11-14T22:13:20Z ", "after the time, only an offset"),
        ("2023-11-14", "this is no ISO 8601 date and time"),
        ("2023-02-29T00:00:00Z", "this is no ISO 8601 date and time"),
        ("2023-13-01T00:00:00Z", "this is no ISO 8601 date and time"),
        ("2023-11-31T00:00:00Z", "this is no ISO 8601 date and time"),
        ("2023-11-14T24:00:00Z", "this is no ISO 8601 date and time"),
        ("2023-11-14T22:13:60Z", "this is no ISO 8601 date and time"),
        ("2023-11-14T22:13:20.Z", "this is no ISO 8601 date and time"),
        ("2023-11-14T22:13:20.1234567891Z", "this is no ISO 8601 date and time"),
        ("1700000000", "this is no ISO 8601 date and time"),
        ("", "this is no ISO 8601 date and time"),
        ("\ud800", "this is no ISO 8601 date and time"),
        ("２０２３-11-14T22:13:20Z", "this is no ISO 8601 date and time"),  # noqa: RUF001
        ("9999-01-01T00:00:00Z", "its time is not between 1677-09-21 and 2262-04-11"),
        ("0001-01-01T00:00:00Z", "its time is not between 1677-09-21 and 2262-04-11"),
    ],
)
def test_a_wrong_text_is_an_error_with_the_reason(
    measurement: Measurement, text: str, reason: str
) -> None:
    with pytest.raises(ValueError, match=f"{EXPECTED}.*; {re.escape(reason)}"):
        measurement.set_timestamp(text)


@pytest.mark.parametrize(
    ("time", "reason"),
    [
        (1_700_000_000_000, "are these milliseconds: divide them by 1000?"),
        (1_700_000_000_000.5, "are these milliseconds: divide them by 1000?"),
        (1_700_000_000_000_000, "are these microseconds: divide them by 1000000?"),
        (1_700_000_000_000_000_000, "are these nanoseconds: pass an int as timestamp_ns?"),
        (datetime.date(2023, 11, 14), "a date has no time of day: make it a datetime"),
        (pandas.Period("2023"), "call its to_timestamp(), and add a time zone"),
        (None, "there is no time"),
        (pandas.NaT, "there is no time"),
        (pandas.NA, "there is no time"),
        (float("nan"), "there is no time"),
        (("a", 1), "this is no time"),
    ],
    ids=str,
)
def test_what_is_no_time_is_an_error_with_the_reason(
    measurement: Measurement, time: Any, reason: str
) -> None:
    with pytest.raises(ValueError, match=f"{EXPECTED}.*; .*{re.escape(reason)}"):
        measurement.set_timestamp(time)


class Broken(datetime.tzinfo):
    """A time zone that fails."""

    def utcoffset(self, _: object) -> datetime.timedelta:
        raise RuntimeError("no offset")

    dst = tzname = utcoffset  # type: ignore[assignment]


@pytest.mark.parametrize(
    "wrong",
    [
        None,
        pandas.NA,
        pandas.NaT,
        numpy.datetime64("NaT", "ns"),
        numpy.datetime64("3000", "s"),
        numpy.datetime64(2**62, "s"),
        numpy.timedelta64(1, "s"),
        numpy.array([1]),
        numpy.array(["2023"], dtype="datetime64[ns]"),
        pandas.Timestamp("3000-01-01T00:00:00Z"),
        datetime.datetime.max.replace(tzinfo=UTC),
        datetime.datetime.min.replace(tzinfo=UTC),
        datetime.datetime(2023, 1, 1, tzinfo=Broken()),
        datetime.date(2023, 11, 14),
        datetime.timedelta(1),
        decimal.Decimal("NaN"),
        decimal.Decimal("Infinity"),
        10**30,
        float("nan"),
        1j,
        b"2023-11-14T22:13:20Z",
        object(),
    ],
)
def test_what_is_no_time_is_an_error(measurement: Measurement, wrong: Any) -> None:
    before = measurement.timestamp_ns
    with pytest.raises(ValueError, match=EXPECTED):
        measurement.set_timestamp(wrong)
    assert measurement.timestamp_ns == before


def test_influxd_returns_the_same_nanoseconds(influxd: Any, database: str) -> None:
    influxdb.install(influxd.url, tag_hostname=False)
    points: Any = [param.values for param in TIMES]
    for number, (time, nanoseconds) in enumerate(points):
        influxdb.record(database, "m", {"number": number}, {"ns": nanoseconds}, time)
    report = influxdb.flush_sync()
    assert (report["delivered"], report["rejected"]) == (len(TIMES), 0)
    rows = influxd.query("SELECT ns FROM m", database)
    assert len(rows) == len(TIMES)
    assert all(row["time"] == row["ns"] for row in rows)
