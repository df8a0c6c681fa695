"""``Measurement`` is compatible with release 2.2.1. Values are checked when set or added."""

import datetime
import enum
import functools
import time
from collections.abc import Mapping
from typing import Any

import numpy
import pytest

import sprockets_influxdb
from sprockets_influxdb import Measurement, add_measurement, flush_sync, install, testing
from sprockets_influxdb.testing import Point


@pytest.fixture
def measurement() -> Measurement:
    measurement = Measurement("db", "m")
    measurement.set_field("n", 1)
    return measurement


def stored(measurement: Measurement) -> Point:
    """The point in its line."""
    [point] = testing.parse(measurement.marshall())
    return point


class TestAttributes:
    def test_a_new_measurement(self) -> None:
        before = time.time()
        measurement = Measurement("db", "m")
        assert (measurement.database, measurement.name) == ("db", "m")
        assert (measurement.tags, measurement.fields) == ({}, {})
        assert before <= measurement.timestamp <= time.time()
        assert Measurement(name="m", database="db").name == "m"
        assert repr(measurement) == "<Measurement 'db' 'm' tags={} fields={}>"
        for wrong in ((), ("db", "m", 1)):
            with pytest.raises(TypeError):
                Measurement(*wrong)

    def test_all_are_assignable(self, measurement: Measurement) -> None:
        measurement.database, measurement.name = "other", "n"
        measurement.tags = {"t": "a"}
        measurement.fields = {"f": 0.5}
        measurement.timestamp = 2
        assert measurement.database == "other"
        assert stored(measurement) == Point("n", {"t": "a"}, {"f": 0.5}, 2_000_000_000)

    def test_tags_and_fields_are_real_dicts(self, measurement: Measurement) -> None:
        assert type(measurement.tags) is type(measurement.fields) is dict
        assert measurement.fields is measurement.fields
        measurement.fields["n"] += 1
        measurement.fields.setdefault("m", 5)
        measurement.fields.update(s="x")
        measurement.tags["t"] = 1
        measurement.set_field("late", True)
        measurement.set_tag("later", True)
        assert measurement.fields == {"n": 2, "m": 5, "s": "x", "late": True}
        assert measurement.tags == {"t": 1, "later": True}
        assert stored(measurement).fields == measurement.fields
        del measurement.fields["m"]
        assert "m" not in stored(measurement).fields

    def test_an_assigned_dict_is_kept(self, measurement: Measurement) -> None:
        fields = {"a": 1}
        measurement.fields = fields
        fields["b"] = 2
        assert measurement.fields is fields
        assert stored(measurement).fields == {"a": 1, "b": 2}

    def test_other_mappings_are_copied(self, measurement: Measurement) -> None:
        class Sorted(Mapping[str, int]):
            def __getitem__(self, key: str) -> int:
                return {"a": 1}[key]

            def __iter__(self) -> Any:
                return iter("a")

            def __len__(self) -> int:
                return 1

        measurement.fields = Sorted()
        assert measurement.fields == {"a": 1}
        for attribute in ("tags", "fields"):
            with pytest.raises(ValueError, match=f"{attribute} is 3: expected a dict"):
                setattr(measurement, attribute, 3)

    def test_base_tags_are_copied(self) -> None:
        install(base_tags={"region": "eu"}, tag_hostname=False)
        first = Measurement("db", "m")
        assert first.tags == {"region": "eu"}
        first.tags["region"] = "us"
        del first.tags["region"]
        first.set_field("n", 1)
        assert Measurement("db", "m").tags == {"region": "eu"}
        assert stored(first).tags == {}

    @pytest.mark.parametrize("name", [None, 1, "None"])
    def test_a_name_is_written_as_its_str(self, measurement: Measurement, name: Any) -> None:
        measurement.name = name
        assert stored(measurement).measurement == str(name)

    def test_it_takes_further_attributes(self, measurement: Measurement) -> None:
        measurement.request = "x"  # type: ignore[attr-defined]
        assert measurement.request == "x"  # type: ignore[attr-defined]


class TestTimestamp:
    @pytest.mark.parametrize(
        ("seconds", "nanoseconds"),
        [
            (0, 0),
            (1.5, 1_500_000_000),
            (-1.25, -1_250_000_000),
            (1_700_000_000, 1_700_000_000_000_000_000),
            (1_700_000_000.123, 1_700_000_000_123_000_000),
            (1_700_000_000.1234567, 1_700_000_000_123_456_700),
            (1e-9, 1),
            (1e9, 1_000_000_000_000_000_000),
            (numpy.float64(1.5), 1_500_000_000),
            (numpy.int64(3), 3_000_000_000),
        ],
    )
    def test_seconds(self, measurement: Measurement, seconds: Any, nanoseconds: int) -> None:
        measurement.set_timestamp(seconds)
        assert measurement.timestamp == seconds
        assert stored(measurement).timestamp == nanoseconds
        measurement.timestamp = seconds
        assert stored(measurement).timestamp == nanoseconds

    def test_a_clock_is_read_back(self, measurement: Measurement) -> None:
        for _ in range(100):
            measurement.timestamp = now = time.time()
            assert measurement.timestamp == now

    @pytest.mark.parametrize(
        "wrong",
        ["now", None, float("nan"), float("inf"), 1e10, -1e10, 10**30, datetime.date.today()],
    )
    def test_a_value_that_is_no_time_is_an_error(
        self, measurement: Measurement, wrong: Any
    ) -> None:
        with pytest.raises(ValueError, match=r"timestamp is .*: expected seconds since the epoch"):
            measurement.set_timestamp(wrong)
        with pytest.raises(ValueError, match=r"timestamp is .*: expected seconds since the epoch"):
            measurement.timestamp = wrong

    def test_it_is_renewed_unless_it_was_set(self, client: testing.Server) -> None:
        for _ in range(2):
            measurement = Measurement("db", "m")
            measurement.set_field("n", 1)
            add_measurement(measurement)
            add_measurement(measurement)
            measurement.timestamp = 1
            add_measurement(measurement)
            add_measurement(measurement)
        flush_sync()
        assert (len(client.points()), client.lines_received("db")) == (5, 8)


class TestFields:
    @pytest.mark.parametrize(
        "value",
        [1, -(2**63), 2**63 - 1, 1.5, -0.0, 1e300, True, False, "", "a", "é 🎈", '"\\,= \n'],
    )
    def test_values_are_stored_unchanged(self, measurement: Measurement, value: Any) -> None:
        measurement.set_field("f", value)
        field = stored(measurement).fields["f"]
        assert (field, type(field)) == (value, type(value))

    class Level(enum.IntEnum):
        LOW = 1

    class Color(str, enum.Enum):
        RED = "red"

    class Text(str):
        pass

    @pytest.mark.parametrize(
        ("value", "expected"),
        [
            (Level.LOW, 1),
            (Color.RED, "red"),
            (Text("a"), "a"),
            (numpy.float32(1.5), 1.5),
            (numpy.float64(1.5), 1.5),
            (numpy.longdouble(1.5), 1.5),
            (numpy.int8(-3), -3),
            (numpy.uint64(3), 3),
            (numpy.bool_(True), True),
            (numpy.str_("a"), "a"),
            ("\ud800a\udfff", "\N{REPLACEMENT CHARACTER}a\N{REPLACEMENT CHARACTER}"),
        ],
    )
    def test_other_types_are_converted(
        self, measurement: Measurement, value: Any, expected: Any
    ) -> None:
        measurement.set_field("f", value)
        field = stored(measurement).fields["f"]
        assert (field, type(field)) == (expected, type(expected))

    @pytest.mark.parametrize(
        "wrong",
        [
            b"bytes",
            [1],
            {"a": 1},
            1 + 2j,
            object(),
            2**64,
            -(2**63) - 1,
            datetime.datetime.now(),
            numpy.datetime64("2020"),
            numpy.array([1]),
            numpy.complex128(1),
        ],
    )
    def test_a_wrong_value_is_an_error_that_names_field_value_and_type(
        self, measurement: Measurement, wrong: Any
    ) -> None:
        def put() -> None:
            measurement.fields["f"] = wrong
            add_measurement(measurement)

        for use in (functools.partial(measurement.set_field, "f", wrong), put):
            with pytest.raises(ValueError, match="field 'f' is ") as caught:
                use()
            message = str(caught.value)
            assert repr(wrong) in message
            assert isinstance(wrong, int) or type(wrong).__name__ in message
            assert "f" not in measurement.fields or measurement.fields.pop("f") is wrong

    def test_integers_above_63_bits_depend_on_the_api(
        self, server: testing.Server, measurement: Measurement
    ) -> None:
        measurement.set_field("n", 2**63)
        install(server.url)
        with pytest.raises(
            ValueError, match=r'"n" of measurement "m" is 9223372036854775808: InfluxDB 1\.x'
        ):
            add_measurement(measurement)
        testing.reset()
        install(server.url, token="t", api="v3")
        add_measurement(measurement)
        flush_sync()
        assert server.points()[0].fields == {"n": 2**63}

    def test_a_long_value_is_cut_in_the_message(self, measurement: Measurement) -> None:
        with pytest.raises(ValueError, match="field 'f'") as caught:
            measurement.set_field("f", [0] * 10_000)  # type: ignore[arg-type]
        assert len(str(caught.value)) < 500

    def test_names_are_written_as_their_str(self, measurement: Measurement) -> None:
        measurement.set_field(1, 1)  # type: ignore[arg-type]
        measurement.set_field("a b,c=d", 1)
        assert stored(measurement).fields == {"n": 1, "1": 1, "a b,c=d": 1}

    def test_a_field_whose_str_fails(self, measurement: Measurement) -> None:
        class Bad(str):
            def __str__(self) -> str:
                raise RuntimeError("no str today")

        measurement.set_tag("t", Bad("x"))
        with pytest.raises(RuntimeError, match="no str today"):
            add_measurement(measurement)

    def test_values_that_change_the_dict_while_they_are_written(
        self, measurement: Measurement
    ) -> None:
        class Meddler:
            def __str__(self) -> str:
                measurement.tags.clear()
                measurement.fields["more"] = 1
                return "meddled"

        measurement.set_tags({"a": Meddler(), "b": Meddler()})
        point = stored(measurement)
        assert point.tags == {"a": "meddled", "b": "meddled"}
        assert measurement.tags == {}


class TestTags:
    @pytest.mark.parametrize(
        "value",
        [
            "a",
            1,
            1.5,
            True,
            False,
            "a b",
            "a,b=c",
            "é",
            ("a", 1),
            ValueError("x"),
            "123",
        ],
    )
    def test_any_value_is_written_as_its_str(self, measurement: Measurement, value: Any) -> None:
        measurement.set_tag("t", value)
        assert measurement.tags["t"] is value
        assert stored(measurement).tags == {"t": str(value)}

    @pytest.mark.parametrize("value", [None, ""])
    def test_none_and_the_empty_string_are_left_out(
        self, measurement: Measurement, value: Any
    ) -> None:
        measurement.set_tag("t", value)
        measurement.set_tag("u", "x")
        assert stored(measurement).tags == {"u": "x"}
        measurement.tags["u"] = value
        assert stored(measurement).tags == {}

    def test_the_last_one_set_counts(self, measurement: Measurement) -> None:
        measurement.set_tag("t", 1)
        measurement.set_tag("t", 2)
        assert stored(measurement).tags == {"t": "2"}
        measurement.set_tags({"t": 3, "u": 4})
        assert stored(measurement).tags == {"t": "3", "u": "4"}
        measurement.set_tag("u", None)
        assert stored(measurement).tags == {"t": "3"}

    @pytest.mark.parametrize("nothing", [None, ""])
    @pytest.mark.parametrize("as_dict", [False, True])
    @pytest.mark.parametrize("before", ["set_tag", "set_tags", "base tag"])
    @pytest.mark.parametrize("after", ["set_tag", "set_tags", "tags"])
    def test_none_and_the_empty_string_remove_what_was_set_before(
        self, nothing: str | None, as_dict: bool, before: str, after: str
    ) -> None:
        if before == "base tag":
            install(base_tags={"u": "4"}, tag_hostname=False)
        measurement = Measurement("db", "m")
        measurement.set_field("n", 1)
        if as_dict:
            assert isinstance(measurement.tags, dict)
        if before == "set_tag":
            measurement.set_tag("u", "4")
        elif before == "set_tags":
            measurement.set_tags({"u": "4"})
        measurement.set_tag("v", "5")
        if after == "set_tag":
            measurement.set_tag("u", nothing)
        elif after == "set_tags":
            measurement.set_tags({"u": nothing})
        else:
            measurement.tags["u"] = nothing
        assert stored(measurement).tags == {"v": "5"}
        measurement.set_tag("u", "6")
        assert stored(measurement).tags == {"u": "6", "v": "5"}

    @pytest.mark.parametrize("nothing", [None, ""])
    def test_none_and_the_empty_string_remove_a_base_tag_of_a_record(
        self, server: testing.Server, nothing: str | None
    ) -> None:
        install(server.url, base_tags={"region": "eu", "kept": "yes"}, tag_hostname=False)
        sprockets_influxdb.record("db", "m", {"region": nothing}, {"n": 1})
        flush_sync()
        [point] = server.points("db")
        assert point.tags == {"kept": "yes"}

    def test_characters_that_no_server_stores_are_replaced(self, measurement: Measurement) -> None:
        measurement.set_tags({"line": "a\nb", "end": "a\\", "surrogate": "\ud800", "time": "x"})
        repaired = {
            "line": "a b",
            "end": "a/",
            "surrogate": "\N{REPLACEMENT CHARACTER}",
            "time_": "x",
        }
        assert stored(measurement).tags == repaired


class TestDuration:
    @pytest.mark.parametrize("name", ["duration", "timer"])
    def test_it_is_recorded_in_seconds(self, measurement: Measurement, name: str) -> None:
        before = time.monotonic()
        with getattr(measurement, name)("took"):
            pass
        longest = time.monotonic() - before
        assert isinstance(measurement.fields["took"], float)
        assert 0 <= measurement.fields["took"] <= longest

    def test_also_when_the_block_raises(self, measurement: Measurement) -> None:
        with pytest.raises(KeyError), measurement.duration("took"):
            raise KeyError
        assert measurement.fields["took"] >= 0

    def test_several_at_once(self, measurement: Measurement) -> None:
        with measurement.duration("outer"), measurement.duration("inner"):
            pass
        assert measurement.fields["outer"] >= measurement.fields["inner"] >= 0


class TestMarshall:
    def test_it_returns_a_line(self, measurement: Measurement) -> None:
        measurement.tags = {"foo": "bar"}
        measurement.fields = {"baz": 1.05}
        measurement.timestamp = 1
        assert measurement.marshall() == "m,foo=bar baz=1.05 1000000000"

    def test_it_does_not_change_the_measurement(self, measurement: Measurement) -> None:
        assert measurement.marshall() == measurement.marshall()
        add_measurement(measurement)
        assert measurement.marshall() == measurement.marshall()
