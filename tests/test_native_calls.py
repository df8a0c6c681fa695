"""The usual calls are made without PyO3, any other call with it. Nobody can tell."""

import gc
import inspect
import pickle
import sys
import weakref
from collections.abc import Callable
from typing import Any

import pytest

import sprockets_influxdb as influxdb
from sprockets_influxdb import Measurement, add_measurement, testing

# What mypy refuses is called through this.
UNTYPED: Any = influxdb


@pytest.fixture(autouse=True)
def installed(server: testing.Server) -> None:
    influxdb.install(server.url, base_tags={"region": "eu"}, tag_hostname=False)


def points(server: testing.Server) -> list[testing.Point]:
    influxdb.flush_sync()
    return server.points("db")


def test_keywords_and_positions_are_the_same(server: testing.Server) -> None:
    measurement = Measurement(database="db", name="m")
    measurement.set_tag(name="a", value="1")
    measurement.set_tags(tags={"b": "2"})
    measurement.set_field(name="n", value=3)
    add_measurement(measurement=measurement)
    influxdb.record("db", "m", {"a": "1", "b": "2"}, fields={"n": 3})
    influxdb.record("db", "m", {"a": "1", "b": "2"}, {"n": 3}, timestamp_ns=7)
    first, second, third = points(server)
    assert first.tags == second.tags == third.tags == {"region": "eu", "a": "1", "b": "2"}
    assert first.fields == second.fields == third.fields == {"n": 3}


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: m.set_tag("a"), r"Measurement\.set_tag\(\) missing 1 required"),
        (lambda m: m.set_tag("a", "b", "c"), r"Measurement\.set_tag\(\) takes"),
        (lambda m: m.set_tag("a", "b", c="d"), r"Measurement\.set_tag\(\) got an unexpected"),
        (lambda m: m.set_field(), r"Measurement\.set_field\(\) missing 2 required"),
        (lambda m: m.set_tags(1), "not iterable"),
        (lambda m: UNTYPED.add_measurement(None), "not an instance of .Measurement."),
        (lambda m: UNTYPED.add_measurement(), r"add_measurement\(\) missing 1 required"),
        (lambda m: UNTYPED.record(), "the name of the measurement is missing"),
        (lambda m: UNTYPED.Measurement(), "the name of the measurement is missing"),
        (lambda m: UNTYPED.Measurement.set_tag(1, "a", "b"), "descriptor 'set_tag'"),
    ],
)
def test_wrong_calls_say_what_is_wrong(call: Callable[[Any], object], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        call(Measurement("db", "m"))


@pytest.mark.parametrize(
    "function", [Measurement.set_tag, Measurement.set_tags, Measurement.set_field, influxdb.record]
)
def test_functions_have_their_signature_and_documentation(function: Any) -> None:
    assert inspect.signature(function).parameters
    assert inspect.getdoc(function)


def test_functions_and_classes_can_be_pickled() -> None:
    for found in (influxdb.record, add_measurement, Measurement, influxdb.Series):
        assert pickle.loads(pickle.dumps(found)) is found


def test_a_new_measurement_has_nothing_of_an_old_one(server: testing.Server) -> None:
    for n in range(100):
        measurement = Measurement("db", "m")
        assert measurement.fields == {}
        assert measurement.tags == {"region": "eu"}
        assert measurement.__dict__ == {}
        if n % 2:
            measurement.fields["n"] = n
            measurement.tags["a"] = "b"
        else:
            measurement.set_field("n", n)
            measurement.set_tag("a", "b")
        measurement.anything = n  # type: ignore[attr-defined]
        if n % 3:
            measurement.set_timestamp(n)
        reference = weakref.ref(measurement)
        add_measurement(measurement)
        del measurement
        assert reference() is None
    assert sorted(point.fields["n"] for point in points(server)) == list(range(100))


def test_a_subclass_with_another_init(server: testing.Server) -> None:
    class Job(Measurement):
        __slots__ = ("queue",)

        def __init__(self, queue: str) -> None:
            super().__init__("db", "job")
            self.queue = queue
            self.set_tag("queue", queue)

    for n in range(50):
        job = Job(f"q{n}")
        job.set_field("n", n)
        add_measurement(job)
    assert {point.tags["queue"] for point in points(server)} == {f"q{n}" for n in range(50)}


def test_the_collector_does_not_find_a_measurement_that_is_released() -> None:
    for _ in range(3):
        made = [influxdb.Measurement("db", "m") for _ in range(100)]
        assert all(map(gc.is_tracked, made))
        released = set(map(id, made))
        del made
        # What the collector still lists gets a reference here, and is released a second time.
        listed = [each for each in gc.get_objects() if type(each) is influxdb.Measurement]
        assert released.isdisjoint(map(id, listed))
        del listed
        again = [influxdb.Measurement("db", str(number)) for number in range(100)]
        assert len(set(map(id, again))) == 100
        assert [each.name for each in again] == [str(number) for number in range(100)]
        del again


def test_an_instance_is_only_made_by_its_class() -> None:
    with pytest.raises(TypeError):
        object.__new__(Measurement)
    with pytest.raises(TypeError):
        Measurement.__base__("db", "m")  # type: ignore[misc]
    with pytest.raises(TypeError):
        type("Other", (influxdb.Series,), {})


def test_calls_release_what_they_hold() -> None:
    name, value = "a name that is used here only", "a value that is used here only"
    before = sys.getrefcount(value)
    for _ in range(10):
        measurement = Measurement("db", "m")
        measurement.set_tags({"t": value})
        measurement.set_tag(name, value)
        measurement.set_field("n", value)
        add_measurement(measurement)
    del measurement
    # Tags that are set again and again are remembered with their value.
    assert sys.getrefcount(value) <= before + 2


def test_a_tag_that_is_remembered_is_written_as_before(server: testing.Server) -> None:
    series: Any = influxdb.series("db", "m", tags=("a b", "s"))
    value = "x, y"
    for n in range(20):
        influxdb.record("db", "m", {"a b": value, "s": 200}, {"n": n})
        series(**{"a b": value, "s": 200, "n": n})
        # Twice the same name: the last one counts.
        measurement = Measurement("db", "m")
        measurement.set_tag("a b", "other")
        measurement.set_tags({"s": 200, "a b": value})
        measurement.set_field("n", n)
        add_measurement(measurement)
    found = points(server)
    assert len(found) == 60
    assert {tuple(sorted(point.tags.items())) for point in found} == {
        (("a b", value), ("region", "eu"), ("s", "200"))
    }


def test_calls_of_a_series_from_many_places(server: testing.Server) -> None:
    series: Any = influxdb.series("db", "m", tags=("a", "b"))
    names = [f"f{n}" for n in range(12)]
    for n in range(240):
        tags = {"a": f"v{n % 5}"} if n % 2 else {"b": "w", "a": f"v{n % 5}"}
        series(**tags, **{names[n % 12]: n})
    found = points(server)
    assert sorted(value for point in found for value in point.fields.values()) == list(range(240))
    for point in found:
        [(name, value)] = point.fields.items()
        assert isinstance(value, int)
        assert name == names[value % 12]
        expected = {"a": f"v{value % 5}", "region": "eu"}
        assert point.tags == (expected if value % 2 else {"b": "w", **expected})


def test_a_series_can_be_called_by_what_it_calls(server: testing.Server) -> None:
    series = influxdb.series("db", "m", tags=("a",))

    class Nested:
        def __str__(self) -> str:
            series(a="inner", n=1)
            return "outer"

    series(a=Nested(), n=2)
    assert {(point.tags["a"], point.fields["n"]) for point in points(server)} == {
        ("inner", 1),
        ("outer", 2),
    }


def test_a_client_that_holds_its_own_series_is_collected(server: testing.Server) -> None:
    class Service(influxdb.Client):
        pass

    service = Service(server.url)
    service.requests = service.series("db", "m", tags=("a",))  # type: ignore[attr-defined]
    service.requests(a="b", n=1)  # type: ignore[attr-defined]
    reference = weakref.ref(service)
    service.shutdown_sync()
    del service
    gc.collect()
    assert reference() is None
