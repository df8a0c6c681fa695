"""What is refused when the program runs is refused by the types as well.

``mypy --strict`` reads this file: it refuses each line with ``type: ignore``, or says that the
comment is not used. The other lines it takes.
"""

import asyncio
import datetime
import decimal
import enum
import fractions
from collections.abc import Callable
from typing import TypeAlias

import numpy
import pandas
import pytest

import sprockets_influxdb as influxdb
from sprockets_influxdb import Measurement, testing


class Colour(enum.Enum):
    RED = "red"


SERIES = pandas.Series([1])
TODAY = datetime.date.today()
TODAY_AT_NOON = datetime.datetime.combine(TODAY, datetime.time(12), datetime.timezone.utc)

Use: TypeAlias = Callable[[Measurement], None]

REFUSED: list[Use] = [
    lambda m: m.set_field("f", b"x"),  # type: ignore[arg-type]
    lambda m: m.set_field("f", [1]),  # type: ignore[arg-type]
    lambda m: m.set_field("f", {"a": 1}),  # type: ignore[arg-type]
    lambda m: m.set_field("f", object()),  # type: ignore[arg-type]
    lambda m: m.set_field("f", 1j),  # type: ignore[arg-type]
    lambda m: m.set_field("f", datetime.datetime.now()),  # type: ignore[arg-type]
    lambda m: m.set_field("f", datetime.timedelta(1)),  # type: ignore[arg-type]
    lambda m: m.set_field("f", numpy.array([1])),  # type: ignore[arg-type]
    lambda m: m.set_field("f", numpy.complex128(1)),  # type: ignore[arg-type]
    lambda m: m.set_field("f", numpy.datetime64(5, "ns")),  # type: ignore[arg-type]
    lambda m: m.set_field("f", numpy.timedelta64(5, "ns")),  # type: ignore[arg-type]
    lambda m: m.set_field("f", numpy.bytes_(b"x")),  # type: ignore[arg-type]
    lambda m: m.set_field("f", pandas.Timestamp.now()),  # type: ignore[arg-type]
    lambda m: m.set_field("f", pandas.Series([1])),  # type: ignore[arg-type]
    lambda m: m.set_timestamp(None),  # type: ignore[arg-type]
    lambda m: m.set_timestamp(b"x"),  # type: ignore[arg-type]
    lambda m: m.set_timestamp(TODAY),  # type: ignore[arg-type]
    lambda m: m.set_timestamp(numpy.array([1])),  # type: ignore[arg-type]
    lambda m: m.set_timestamp(pandas.NaT),  # type: ignore[arg-type]
    lambda m: m.set_timestamp(pandas.NA),  # type: ignore[arg-type]
    lambda m: m.set_timestamp_ns(1.5),  # type: ignore[arg-type]
    lambda m: m.set_timestamp_ns("1"),  # type: ignore[arg-type]
    lambda m: influxdb.record("db", "m", {}, {"f": b"x"}),  # type: ignore[dict-item]
    lambda m: influxdb.record("db", "m", {}, {"f": 1}, TODAY),  # type: ignore[call-overload]
    lambda m: influxdb.record("m", {}, {"f": 1}, timestamp_ns=1.5),  # type: ignore[call-overload]
    lambda m: influxdb.record("m", {}, {"f": b"x"}),  # type: ignore[dict-item]
    lambda m: influxdb.series("db", "m")(n=1, timestamp_ns=1.5),  # type: ignore[arg-type]
    lambda m: print(influxdb.write_dataframe(5, "m", database="db")),  # type: ignore[arg-type]
    lambda m: print(influxdb.write_dataframe(SERIES, "m", database="db")),  # type: ignore[arg-type]
    lambda m: influxdb.timed("db", 5)(print)(),  # type: ignore[arg-type]
    lambda m: influxdb.timed("db", "m")(5)(),  # type: ignore[type-var, operator]
    lambda m: m.duration("took")(None)(),  # type: ignore[type-var, misc]
]

TAKEN: list[Use] = [
    lambda m: m.set_field("f", 1),
    lambda m: m.set_field("f", 1.5),
    lambda m: m.set_field("f", True),
    lambda m: m.set_field("f", "x"),
    lambda m: m.set_field("f", None),
    lambda m: m.set_field("f", Colour.RED),
    lambda m: m.set_field("f", decimal.Decimal(1)),
    lambda m: m.set_field("f", fractions.Fraction(1)),
    lambda m: m.set_field("f", pandas.NA),
    lambda m: m.set_field("f", pandas.NaT),
    lambda m: m.set_field("f", numpy.float32(1)),
    lambda m: m.set_field("f", numpy.float64(1)),
    lambda m: m.set_field("f", numpy.int64(1)),
    lambda m: m.set_field("f", numpy.uint8(1)),
    lambda m: m.set_field("f", numpy.bool_(True)),
    lambda m: m.set_field("f", numpy.str_("x")),
    lambda m: m.set_tag("t", object()),
    lambda m: m.set_timestamp(1),
    lambda m: m.set_timestamp(1.5),
    lambda m: m.set_timestamp("2023-11-14T22:13:20Z"),
    lambda m: m.set_timestamp(datetime.datetime.now(datetime.timezone.utc)),
    lambda m: m.set_timestamp(pandas.Timestamp.now("UTC")),
    lambda m: m.set_timestamp(numpy.datetime64("2023-11-14")),
    lambda m: m.set_timestamp(numpy.datetime64(5, "ns")),
    lambda m: m.set_timestamp(decimal.Decimal(1)),
    lambda m: m.set_timestamp_ns(1),
    lambda m: influxdb.record("db", "m", {"t": 1}, {"f": 1}, "2023-11-14T22:13:20Z"),
    lambda m: influxdb.record("m", {"t": 1}, {"f": 1}, TODAY_AT_NOON),
    lambda m: influxdb.record("m", {"t": 1}, {"f": 1}, timestamp_ns=1),
    lambda m: influxdb.record("m", fields={"f": Colour.RED}, timestamp=1),
    lambda m: influxdb.record("db", "m", None, {"f": Colour.RED}, timestamp_ns=1),
    lambda m: influxdb.series("db", "m", tags=["t"])(t=1, f=1, timestamp_ns=None),
]


@pytest.mark.parametrize("use", REFUSED)
def test_what_the_types_refuse_is_an_error(server: testing.Server, use: Use) -> None:
    influxdb.install(server.url, database="db")
    expected = r"field 'f' is |timestamp(_ns)? is |timed\(\) takes|is not a (function|data)"
    with pytest.raises((ValueError, TypeError), match=expected):
        use(Measurement("db", "m"))


@pytest.mark.parametrize("use", TAKEN)
def test_what_the_types_take_is_taken(server: testing.Server, use: Use) -> None:
    influxdb.install(server.url, database="db")
    use(Measurement("db", "m"))


def test_attributes_take_what_their_setters_take() -> None:
    measurement = Measurement("db", "m")
    measurement.timestamp = datetime.datetime.now(datetime.timezone.utc)
    measurement.timestamp_ns += 1
    fields: dict[str, int] = {"n": 1}
    measurement.fields = fields
    influxdb.record("db", "m", fields, {"m": 2} | {"k": 3.5})


def test_a_timed_function_keeps_its_types() -> None:
    measurement = Measurement("db", "m")

    @measurement.duration("took")
    def double(n: int) -> int:
        return 2 * n

    @influxdb.timed("db", "m", outcome=True)
    async def triple(n: int) -> int:
        return 3 * n

    with pytest.raises(TypeError):
        double("x", "y")  # type: ignore[arg-type, call-arg]
    total: int = double(1) + asyncio.run(triple(1))
    assert total == 5
