"""A prepared series records measurements of one name by keywords."""

import threading
from typing import Any

import pytest

import sprockets_influxdb as influxdb
from sprockets_influxdb import testing


@pytest.fixture
def requests(server: testing.Server) -> influxdb.Series:
    influxdb.install(server.url, base_tags={"region": "eu"}, tag_hostname=False)
    return influxdb.series("db", "request", tags=("handler", "method"))


def points(server: testing.Server) -> list[testing.Point]:
    influxdb.flush_sync()
    return server.points("db")


def test_a_keyword_that_is_no_tag_is_a_field(
    server: testing.Server, requests: influxdb.Series
) -> None:
    requests(handler="Users", method="GET", duration=0.01, n=7, state="ok", cached=True)
    [point] = points(server)
    assert point.measurement == "request"
    assert point.tags == {"region": "eu", "handler": "Users", "method": "GET"}
    assert point.fields == {"duration": 0.01, "n": 7, "state": "ok", "cached": True}


def test_a_missing_tag_is_left_out(server: testing.Server, requests: influxdb.Series) -> None:
    requests(method="GET", n=1)
    requests(method=None, n=1)
    requests(method="", n=1)
    assert [point.tags for point in points(server)] == [
        {"region": "eu", "method": "GET"},
        {"region": "eu"},
        {"region": "eu"},
    ]


def test_a_tag_wins_over_a_base_tag_and_none_removes_it(server: testing.Server) -> None:
    influxdb.install(server.url, base_tags={"region": "eu", "zone": "a"}, tag_hostname=False)
    series = influxdb.series("db", "m", tags=["region"])
    series(n=1)
    series(region="us", n=2)
    series(region=None, n=3)
    assert [(point.tags, point.fields) for point in points(server)] == [
        ({"region": "eu", "zone": "a"}, {"n": 1}),
        ({"region": "us", "zone": "a"}, {"n": 2}),
        ({"zone": "a"}, {"n": 3}),
    ]


def test_bind_fixes_tags(server: testing.Server, requests: influxdb.Series) -> None:
    users = requests.bind(handler="Users")
    get = users.bind(method="GET")
    get(n=1)
    users(method="POST", n=2)
    requests(n=3)
    get(handler="Other", n=4)
    get.bind(handler=None)(n=5)
    tags = [
        {key: value for key, value in p.tags.items() if key != "region"} for p in points(server)
    ]
    assert tags == [
        {"handler": "Users", "method": "GET"},
        {"handler": "Users", "method": "POST"},
        {},
        {"handler": "Other", "method": "GET"},
        {"method": "GET"},
    ]


def test_bind_takes_only_tags(requests: influxdb.Series) -> None:
    with pytest.raises(ValueError, match="'n' is no tag of the series"):
        requests.bind(n=1)


def test_the_timestamp_is_in_nanoseconds(server: testing.Server, requests: influxdb.Series) -> None:
    requests(n=1, timestamp_ns=1_700_000_000_123_456_789)
    [point] = points(server)
    assert point.timestamp == 1_700_000_000_123_456_789
    assert point.fields == {"n": 1}
    for wrong in (1.5, "1", 2**64):
        with pytest.raises(ValueError, match="timestamp_ns is"):
            requests(n=1, timestamp_ns=wrong)  # type: ignore[arg-type]


def test_each_measurement_is_a_point_of_its_own(
    server: testing.Server, requests: influxdb.Series
) -> None:
    for _ in range(100):
        requests(n=1)
    assert len({point.timestamp for point in points(server)}) == 100


@pytest.mark.parametrize("items", [{}, {"handler": "Users"}, {"n": object()}, {"n": 2**64}])
def test_it_is_checked_like_any_measurement(
    server: testing.Server, requests: influxdb.Series, items: dict[str, Any]
) -> None:
    with pytest.raises(ValueError, match=r"no field|is <object|beyond 64 bits"):
        requests(**items)
    requests(n=1)
    assert len(points(server)) == 1


def test_names_and_values_are_escaped(server: testing.Server) -> None:
    influxdb.install(server.url, tag_hostname=False)
    series = influxdb.series("db", "a b,c", tags=["t g"])
    items: dict[str, Any] = {"t g": "x,y=z", "f d": 'a "b"'}
    series(**items)
    [point] = points(server)
    assert (point.measurement, point.tags, point.fields) == (
        "a b,c",
        {"t g": "x,y=z"},
        {"f d": 'a "b"'},
    )


def test_tags_are_several_names() -> None:
    with pytest.raises(TypeError, match="expected several names"):
        influxdb.series("db", "m", tags="handler")
    with pytest.raises(TypeError):
        influxdb.series("db", "m", tags=[1])  # type: ignore[list-item]
    with pytest.raises(ValueError, match="timestamp_ns is reserved"):
        influxdb.series("db", "m", tags=["timestamp_ns"])
    with pytest.raises(ValueError, match="has no database"):
        influxdb.series("", "m")(n=1)


def test_a_series_may_be_made_before_the_client(server: testing.Server) -> None:
    series = influxdb.series("db", "m")
    influxdb.install(server.url, base_tags={"region": "eu"}, tag_hostname=False)
    series(n=1)
    assert [point.tags for point in points(server)] == [{"region": "eu"}]


def test_it_shows_what_it_is(requests: influxdb.Series) -> None:
    assert repr(requests) == "<Series 'db' 'request' tags=['handler', 'method']>"


def test_a_value_may_record_as_well(server: testing.Server, requests: influxdb.Series) -> None:
    class Recording:
        def __str__(self) -> str:
            requests(handler="inner", n=1)
            return "outer"

    requests(handler=Recording(), n=2)
    found = {point.tags["handler"]: point.fields for point in points(server)}
    assert found == {"inner": {"n": 1}, "outer": {"n": 2}}


def test_threads_share_a_series(server: testing.Server, requests: influxdb.Series) -> None:
    def record(name: str) -> None:
        for n in range(250):
            requests(handler=name, n=n)

    threads = [threading.Thread(target=record, args=(f"t{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = {(point.tags["handler"], point.fields["n"]) for point in points(server)}
    assert found == {(f"t{t}", n) for t in range(4) for n in range(250)}
