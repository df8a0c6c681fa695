"""Tags and fields are kept without a dict until somebody asks for one. Nobody can tell."""

import copy
import enum
import http
import pickle
import random
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

import sprockets_influxdb
from sprockets_influxdb import Measurement, add_measurement, flush_sync, install, testing


class Colour(enum.Enum):
    RED = "red"


VALUES = ["a", "", None, 1, 2.5, True, Colour.RED, http.HTTPStatus.OK, "\ud800", "x" * 100]
NAMES = ["a", "b", "region", "time", "n" * 70, "with space", *"cdefg"]

Change = Callable[[Measurement, str, Any], None]


def set_tag(measurement: Measurement, name: str, value: Any) -> None:
    measurement.set_tag(name, value)


def set_tags(measurement: Measurement, name: str, value: Any) -> None:
    measurement.set_tags({name: value, "b": value})


def set_other_tags(measurement: Measurement, name: str, value: Any) -> None:
    class Tags(dict[str, Any]):
        pass

    measurement.set_tags(Tags({name: value}))


def set_item(measurement: Measurement, name: str, value: Any) -> None:
    measurement.tags[name] = value


def assign(measurement: Measurement, name: str, value: Any) -> None:
    measurement.tags = {name: value}


def look(measurement: Measurement, name: str, value: Any) -> None:
    repr(measurement)


def add(measurement: Measurement, name: str, value: Any) -> None:
    measurement.marshall()


CHANGES: list[Change] = [set_tag, set_tags, set_other_tags, set_item, assign, look, add]


def model(tags: dict[str, Any], change: Change, name: str, value: Any) -> dict[str, Any]:
    """What a change makes of a plain dict."""
    if change is set_tags:
        return {**tags, name: value, "b": value}
    if change is assign:
        return {name: value}
    if change in (look, add):
        return tags
    return {**tags, name: value}


@pytest.mark.parametrize("seed", range(20))
def test_any_sequence_of_changes_ends_as_with_a_dict(server: testing.Server, seed: int) -> None:
    chosen = random.Random(seed)
    base = {"region": "eu", "b": "base"}
    install(server.url, base_tags=base, tag_hostname=False)
    for round_ in range(50):
        # The same changes, to one that shows its dict from the first.
        native, shown = Measurement("db", "m"), Measurement("db", "m")
        expected: dict[str, Any] = dict(base)
        assert shown.tags == expected
        for _ in range(chosen.randrange(8)):
            change, name, value = (
                chosen.choice(CHANGES),
                chosen.choice(NAMES),
                chosen.choice(VALUES),
            )
            change(native, name, value)
            change(shown, name, value)
            expected = model(expected, change, name, value)
        for measurement in (native, shown):
            measurement.timestamp = round_
            measurement.set_field("field", round_)
        assert testing.parse(native.marshall()) == testing.parse(shown.marshall())
        add_measurement(native)
        flush_sync()
        [point] = server.points("db")[round_:]
        assert [point] == testing.parse(shown.marshall())
        assert native.tags == expected


@pytest.mark.parametrize("asks", [False, True])
def test_a_base_tag_gives_way_to_a_field_of_its_name(server: testing.Server, asks: bool) -> None:
    install(server.url, base_tags={"region": "eu", "kept": "yes"}, tag_hostname=False)
    measurement = Measurement("db", "m")
    measurement.set_field("region", 1)
    measurement.set_tag("t", "x")
    if asks:
        assert measurement.tags["region"] == "eu"
    add_measurement(measurement)
    flush_sync()
    [point] = server.points("db")
    assert (point.tags, point.fields) == ({"kept": "yes", "t": "x"}, {"region": 1})
    measurement.set_tag("region", "us")
    with pytest.raises(ValueError, match='"region" is a tag and a field'):
        add_measurement(measurement)


@pytest.mark.parametrize("nothing", [None, ""])
def test_a_removed_base_tag_is_not_delivered(server: testing.Server, nothing: str | None) -> None:
    install(server.url, base_tags={"region": "eu", "kept": "yes"}, tag_hostname=False)
    measurement = Measurement("db", "m")
    measurement.set_tags({"region": nothing, "t": "1"})
    measurement.set_field("n", 1)
    add_measurement(measurement)
    flush_sync()
    [point] = server.points("db")
    assert point.tags == {"kept": "yes", "t": "1"}


def test_base_tags_are_those_of_the_client_that_the_measurement_is_added_to(
    server: testing.Server,
) -> None:
    install(server.url, base_tags={"region": "eu"}, tag_hostname=False)
    plain, shown, changed = (
        Measurement("db", "plain"),
        Measurement("db", "shown"),
        Measurement("db", "changed"),
    )
    assert shown.tags == {"region": "eu"}
    changed.tags["region"] = "me"
    testing.reset()
    install(server.url, base_tags={"region": "us", "zone": "a"}, tag_hostname=False)
    for measurement in (plain, shown, changed):
        measurement.set_field("n", 1)
        add_measurement(measurement)
        base = "region=me,zone=a" if measurement is changed else "region=us,zone=a"
        [point] = testing.parse(measurement.marshall())
        assert point.tags == dict(tag.split("=") for tag in base.split(","))
    flush_sync()
    assert {point.measurement: point.tags for point in server.points("db")} == {
        "plain": {"region": "us", "zone": "a"},
        "shown": {"region": "us", "zone": "a"},
        "changed": {"region": "me", "zone": "a"},
    }


@pytest.mark.parametrize("looks", [False, True])
def test_a_measurement_made_before_the_client_has_its_base_tags(
    server: testing.Server, looks: bool
) -> None:
    measurement = Measurement("db", "m")
    measurement.set_field("n", 1)
    measurement.set_tag("own", "x")
    if looks:
        assert measurement.tags == {"own": "x"}
    install(server.url, base_tags={"region": "eu", "own": "base"}, tag_hostname=False)
    if not looks:
        assert measurement.tags == {"region": "eu", "own": "x"}
    add_measurement(measurement)
    flush_sync()
    assert [point.tags for point in server.points("db")] == [{"region": "eu", "own": "x"}]


def test_the_first_measurement_without_install_has_the_base_tags(
    server: testing.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INFLUXDB_URL", server.url)
    monkeypatch.setenv("ENVIRONMENT", "staging")
    monkeypatch.setenv("INFLUXDB_TAG_HOSTNAME", "false")
    for number in range(2):
        measurement = Measurement("db", "m")
        measurement.set_tags({"removed": None, "number": number})
        measurement.set_field("n", 1)
        add_measurement(measurement)
    flush_sync()
    assert [point.tags for point in server.points("db")] == [
        {"environment": "staging", "number": "0"},
        {"environment": "staging", "number": "1"},
    ]


@pytest.mark.parametrize("install_first", [True, False])
def test_tags_that_are_assigned_replace_the_base_tags(
    server: testing.Server, install_first: bool
) -> None:
    measurement = Measurement("db", "m")
    for step in ("install", "assign") if install_first else ("assign", "install"):
        if step == "install":
            install(server.url, base_tags={"region": "eu"}, tag_hostname=False)
        else:
            measurement.tags = {"own": "x"}
    measurement.set_field("n", 1)
    add_measurement(measurement)
    flush_sync()
    assert [point.tags for point in server.points("db")] == [{"own": "x"}]


@pytest.mark.parametrize(
    "duplicate",
    [copy.copy, copy.deepcopy, lambda measurement: pickle.loads(pickle.dumps(measurement))],
)
def test_a_base_tag_that_is_removed_stays_removed_in_a_copy(
    server: testing.Server, duplicate: Callable[[Measurement], Measurement]
) -> None:
    install(server.url, base_tags={"region": "eu", "zone": "a"}, tag_hostname=False)
    measurement = Measurement("db", "m")
    del measurement.tags["region"]
    measurement.set_field("n", 1)
    copied = duplicate(duplicate(measurement))
    assert copied.tags == {"zone": "a"}
    add_measurement(copied)
    flush_sync()
    assert [point.tags for point in server.points("db")] == [{"zone": "a"}]


def test_set_tags_copies(server: testing.Server) -> None:
    install(server.url, tag_hostname=False)
    tags = {"a": "1"}
    measurement = Measurement("db", "m")
    measurement.set_tags(tags)
    tags["a"] = "2"
    assert measurement.tags == {"a": "1"}
    measurement.tags["a"] = "3"
    assert tags == {"a": "2"}


def test_set_tags_takes_what_update_takes() -> None:
    class Letters(Mapping[str, str]):
        def __getitem__(self, key: str) -> str:
            return key.upper()

        def __iter__(self) -> Iterator[str]:
            return iter("ab")

        def __len__(self) -> int:
            return 2

    measurement = Measurement("db", "m")
    measurement.set_tags(Letters())
    measurement.set_tags([("c", "C")])  # type: ignore[arg-type]
    assert measurement.tags == {"a": "A", "b": "B", "c": "C"}
    with pytest.raises(TypeError):
        measurement.set_tags(3)  # type: ignore[arg-type]
    many = {f"t{n}": n for n in range(100)}
    measurement = Measurement("db", "m")
    measurement.set_tags(many)
    assert measurement.tags == many


def test_a_failed_set_tags_changes_nothing() -> None:
    measurement = Measurement("db", "m")
    measurement.set_tags({"a": "1"})
    with pytest.raises(ValueError, match="length"):
        measurement.set_tags(["abc"])  # type: ignore[arg-type]
    assert measurement.tags == {"a": "1"}


def test_a_value_may_change_the_measurement_while_it_is_added(server: testing.Server) -> None:
    install(server.url, tag_hostname=False)
    measurement = Measurement("db", "m")

    class Meddling:
        def __str__(self) -> str:
            measurement.set_field("late", 2)
            measurement.set_tag("other", "x")
            sprockets_influxdb.record("db", "within", {"t": "1"}, {"n": 1})
            return "shown"

    measurement.set_field("n", 1)
    measurement.set_tag("t", Meddling())
    add_measurement(measurement)
    flush_sync()
    within, outer = sorted(server.points("db"), key=lambda point: point.measurement == "m")
    assert (within.measurement, within.fields) == ("within", {"n": 1})
    assert outer.tags["t"] == "shown"
    assert outer.fields == {"n": 1, "late": 2}


def test_equal_names_that_are_other_objects_are_one_name() -> None:
    measurement = Measurement("db", "m")
    for n in range(600):
        measurement = Measurement("db", "m")
        name = f"name{n}"
        for value in (n, n + 1):
            measurement.set_tag(str(name.encode(), "ascii"), value)
            measurement.set_field(str(b"f" + name.encode(), "ascii"), value)
        [point] = testing.parse(measurement.marshall())
        assert point.tags == {name: str(n + 1)}
        assert point.fields == {f"f{name}": n + 1}


def test_the_same_name_as_a_tag_and_as_a_field_keeps_both_escapes() -> None:
    name = 'a"b'
    for _ in range(2):
        tag, field = Measurement("db", "m"), Measurement("db", "m")
        tag.set_tag(name, "x")
        tag.set_field("n", 1)
        field.set_field(name, 1)
        assert tag.marshall().startswith('m,a"b=x n=1i ')
        assert field.marshall().startswith("m a'b=1i ")


@pytest.mark.parametrize(
    "duplicate",
    [copy.copy, copy.deepcopy, lambda measurement: pickle.loads(pickle.dumps(measurement))],
)
def test_a_copy_has_the_base_tags_and_is_independent(
    server: testing.Server, duplicate: Callable[[Measurement], Measurement]
) -> None:
    install(server.url, base_tags={"region": "eu"}, tag_hostname=False)
    measurement = Measurement("db", "m")
    measurement.set_tags({"a": "1"})
    measurement.set_field("n", 1)
    copied = duplicate(measurement)
    assert copied.marshall().split(" ")[0] == "m,region=eu,a=1"
    add_measurement(copied)
    add_measurement(measurement)
    flush_sync()
    assert [point.tags for point in server.points("db")] == 2 * [{"region": "eu", "a": "1"}]


def test_threads_that_make_and_add_measurements(server: testing.Server) -> None:
    install(server.url, base_tags={"region": "eu"}, tag_hostname=False)
    shared = [Measurement("db", "m") for _ in range(200)]

    def set_and_leave(index: int) -> None:
        for measurement in shared:
            measurement.set_tags({f"t{index}": index})
            measurement.set_field(f"f{index}", index)

    threads = [threading.Thread(target=set_and_leave, args=(index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for measurement in shared:
        add_measurement(measurement)
    shared.clear()
    flush_sync()
    points = server.points("db")
    assert len(points) == 200
    expected = {"region": "eu", **{f"t{index}": str(index) for index in range(4)}}
    assert all(point.tags == expected for point in points)
    assert all(point.fields == {f"f{index}": index for index in range(4)} for point in points)


def test_the_first_record_of_a_process_has_the_base_tags(
    server: testing.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INFLUXDB_URL", server.url)
    monkeypatch.setenv("ENVIRONMENT", "staging")
    monkeypatch.setenv("INFLUXDB_TAG_HOSTNAME", "false")
    for _ in range(2):
        sprockets_influxdb.record("db", "m", {"t": "1"}, {"n": 1})
    flush_sync()
    assert [point.tags for point in server.points("db")] == 2 * [
        {"environment": "staging", "t": "1"}
    ]
