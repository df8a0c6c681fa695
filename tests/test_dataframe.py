"""Data frames of pandas, whose rows are measurements."""

import datetime
import decimal
import enum
import signal
from typing import Any

import numpy
import pandas
import pytest

import sprockets_influxdb as influxdb
from sprockets_influxdb import testing

NOON = 1_700_049_600_000_000_000
SECOND = 1_000_000_000


def index(rows: int, zone: str | None = "UTC") -> pandas.DatetimeIndex:
    return pandas.date_range("2023-11-15T12:00", periods=rows, freq="s", tz=zone)


def points(server: testing.Server) -> list[testing.Point]:
    return sorted(server.points("db"), key=lambda point: point.timestamp)


def test_each_row_is_a_measurement(client: testing.Server) -> None:
    frame = pandas.DataFrame(
        {"host": ["a", "b", "a"], "load": [0.5, 1.5, 2.5], "jobs": [1, 2, 3]}, index=index(3)
    )
    report = influxdb.write_dataframe(frame, "cpu", database="db", tag_columns=["host"])
    assert report == {
        "rows": 3,
        "skipped": 0,
        "duplicates": 0,
        "repaired": 0,
        "delivered": 3,
        "rejected": 0,
        "sampled_out": 0,
        "dropped": 0,
        "pending": 0,
        "error": None,
    }
    assert points(client) == [
        testing.Point("cpu", {"host": "a"}, {"load": 0.5, "jobs": 1}, NOON),
        testing.Point("cpu", {"host": "b"}, {"load": 1.5, "jobs": 2}, NOON + SECOND),
        testing.Point("cpu", {"host": "a"}, {"load": 2.5, "jobs": 3}, NOON + 2 * SECOND),
    ]


def test_columns_are_chosen(client: testing.Server) -> None:
    frame = pandas.DataFrame({"a": [1], "b": [2], "c": [3], "when": index(1)})
    influxdb.write_dataframe(
        frame,
        "m",
        database="db",
        tag_columns=("a",),
        field_columns=("c",),
        timestamp_column="when",
    )
    assert points(client) == [testing.Point("m", {"a": "1"}, {"c": 3}, NOON)]


def test_base_tags_are_added(server: testing.Server) -> None:
    influxdb.install(server.url, base_tags={"region": "eu", "host": "x"}, tag_hostname=False)
    frame = pandas.DataFrame({"host": ["a", None], "n": [1, 2]}, index=index(2))
    influxdb.write_dataframe(frame, "m", database="db", tag_columns=["host"])
    assert [point.tags for point in points(server)] == [
        {"region": "eu", "host": "a"},
        {"region": "eu", "host": "x"},
    ]


TIMES = [
    (index(2), NOON),
    (index(2, "Europe/Berlin"), NOON - 3600 * SECOND),
    (index(2, None), NOON),
    (index(2).as_unit("s"), NOON),
    (index(2) + pandas.Timedelta(7, "ns"), NOON + 7),
    (pandas.Index([pandas.Timestamp(NOON, tz="UTC"), "2023-11-15T12:00:01Z"]), NOON),
    (
        pandas.Index(
            [
                datetime.datetime.fromtimestamp(NOON // SECOND + n, datetime.timezone.utc)
                for n in (0, 1)
            ],
            dtype=object,
        ),
        NOON,
    ),
]


@pytest.mark.parametrize(("times", "first"), TIMES)
@pytest.mark.parametrize("is_index", [True, False])
def test_times(client: testing.Server, times: Any, first: int, is_index: bool) -> None:
    frame = pandas.DataFrame({"n": [1, 2]}, index=times)
    column = None if is_index else "when"
    if not is_index:
        frame = frame.reset_index(names="when")
    influxdb.write_dataframe(frame, "m", database="db", timestamp_column=column)
    found = [(point.fields, point.timestamp) for point in points(client)]
    assert found == [({"n": 1}, first), ({"n": 2}, first + SECOND)]


class Colour(enum.Enum):
    RED = "red"


COLUMNS: list[tuple[Any, list[Any]]] = [
    (numpy.array([1, -2], dtype="int64"), [1, -2]),
    (numpy.array([1, 2], dtype="int8"), [1, 2]),
    (numpy.array([1, 2**63 - 1], dtype="uint64"), [1, 2**63 - 1]),
    (numpy.array([0.1, numpy.nan], dtype="float64"), [0.1, None]),
    (numpy.array([0.1, numpy.inf], dtype="float32"), [float(numpy.float32(0.1)), None]),
    (numpy.array([True, False]), [True, False]),
    (["a", 'b "c" \\'], ["a", 'b "c" \\']),
    (pandas.array(["a", None], dtype="string"), ["a", None]),
    (pandas.Categorical(["x", None]), ["x", None]),
    (pandas.array([1, None], dtype="Int64"), [1, None]),
    (pandas.array([1.5, None], dtype="Float64"), [1.5, None]),
    (pandas.array([True, None], dtype="boolean"), [True, None]),
    ([decimal.Decimal("1.5"), decimal.Decimal("NaN")], [1.5, None]),
    ([Colour.RED, None], ["red", None]),
    (["a", numpy.nan], ["a", None]),
]


@pytest.mark.parametrize(("column", "stored"), COLUMNS, ids=str)
def test_types_of_fields(client: testing.Server, column: Any, stored: list[Any]) -> None:
    frame = pandas.DataFrame({"f": column, "n": [0, 0]}, index=index(2))
    influxdb.write_dataframe(frame, "m", database="db")
    found = [point.fields.get("f") for point in points(client)]
    assert found == stored
    assert [type(value) for value in found] == [type(value) for value in stored]


@pytest.mark.parametrize(
    ("column", "stored"),
    [
        (["a", ""], ["a", None]),
        (["a", None], ["a", None]),
        (["a", numpy.nan], ["a", None]),
        (pandas.Categorical(["x", None]), ["x", None]),
        (pandas.array([1, None], dtype="Int64"), ["1", None]),
        ([True, False], ["True", "False"]),
        ([0.5, numpy.nan], ["0.5", None]),
        ([b"a", Colour.RED], ["a", "red"]),
        (pandas.to_datetime(["2023-11-15", "NaT"]), ["2023-11-15 00:00:00", None]),
    ],
    ids=str,
)
def test_types_of_tags(client: testing.Server, column: Any, stored: list[Any]) -> None:
    frame = pandas.DataFrame({"t": column, "n": [1, 2]}, index=index(2))
    influxdb.write_dataframe(frame, "m", database="db", tag_columns=["t"])
    assert [point.tags.get("t") for point in points(client)] == stored


def test_rows_without_a_field_are_skipped(client: testing.Server) -> None:
    frame = pandas.DataFrame({"f": [1.5, None, numpy.inf, 2.5]}, index=index(4))
    report = influxdb.write_dataframe(frame, "m", database="db")
    assert (report["rows"], report["skipped"], report["delivered"]) == (4, 2, 2)
    stats = influxdb.stats()
    assert (stats["added"], stats["non_finite"]) == (2, 0)


def test_an_empty_frame(client: testing.Server) -> None:
    report = influxdb.write_dataframe(
        pandas.DataFrame({"f": []}, index=index(0)), "m", database="db"
    )
    assert (report["rows"], report["delivered"]) == (0, 0)


@pytest.mark.parametrize("overflow", ["newest", "oldest", "block"])
def test_it_waits_for_room_in_a_full_buffer(server: testing.Server, overflow: Any) -> None:
    influxdb.install(
        server.url, max_buffer_size=100, max_batch_size=50, overflow=overflow, tag_hostname=False
    )
    frame = pandas.DataFrame({"n": numpy.arange(25_000)}, index=index(25_000))
    seen: list[int] = []
    report = influxdb.write_dataframe(frame, "m", database="db", progress=seen.append)
    assert (report["rows"], report["delivered"], report["dropped"]) == (25_000, 25_000, 0)
    assert seen == [10_000, 20_000, 25_000]
    assert len(server.points("db")) == 25_000


def test_no_room_in_time_is_an_error_that_names_the_row(server: testing.Server) -> None:
    influxdb.install(server.url, max_buffer_size=10, tag_hostname=False)
    server.stop()
    frame = pandas.DataFrame({"n": range(50)}, index=index(50))
    message = "row 10 found no room in the buffer in time .*refused.* before it wait there"
    with pytest.raises(TimeoutError, match=message):
        influxdb.write_dataframe(frame, "m", database="db", timeout=0.05)
    stats = influxdb.stats()
    assert (stats["added"], stats["dropped"]["block_timeout"], stats["pending"]) == (11, 1, 10)


@pytest.mark.parametrize("rows", [2, 0])
def test_a_database_that_is_missing_holds_up_no_other(server: testing.Server, rows: int) -> None:
    influxdb.install(server.url, tag_hostname=False)
    server.only_databases(["db"])
    report = influxdb.write_dataframe(FRAME, "m", database="missing", timeout=3600)
    assert (report["rows"], report["delivered"], report["pending"]) == (2, 0, 2)
    assert 'database not found: "missing"' in str(report["error"])
    report = influxdb.write_dataframe(FRAME[:rows], "m", database="db", timeout=3600)
    assert (report["delivered"], report["pending"], report["error"]) == (rows, 0, None)


def test_credentials_that_are_refused_end_the_wait(server: testing.Server) -> None:
    influxdb.install(server.url, tag_hostname=False)
    server.require_basic("user", "password")
    report = influxdb.write_dataframe(FRAME, "m", database="db", timeout=3600)
    assert (report["delivered"], report["pending"]) == (0, 2)
    assert "401" in str(report["error"])


def test_a_database_that_is_missing_ends_the_wait_for_room(server: testing.Server) -> None:
    influxdb.install(server.url, max_buffer_size=10, tag_hostname=False)
    server.only_databases(["db"])
    frame = pandas.DataFrame({"n": range(50)}, index=index(50))
    with pytest.raises(TimeoutError, match=r"row 10 found no room .*database not found"):
        influxdb.write_dataframe(frame, "m", database="missing", timeout=3600)


def test_what_others_record_is_not_in_the_report(client: testing.Server) -> None:
    influxdb.record("db", "before", {}, {"n": 1})
    influxdb.record("other", "before", {}, {"n": 1})
    report = influxdb.write_dataframe(FRAME, "m", database="db")
    assert (report["delivered"], report["pending"]) == (2, 0)


def test_rejected_rows_are_reported_with_the_reason(client: testing.Server) -> None:
    client.inject_always(testing.Fault.reject_lines("n=1i"))
    report = influxdb.write_dataframe(FRAME, "m", database="db")
    assert (report["delivered"], report["rejected"]) == (1, 1)
    assert "partial write" in str(report["error"])


@pytest.mark.parametrize(
    ("seconds", "options", "duplicates"),
    [
        ([0, 0, 0], {}, 2),
        ([0, 1, 0], {}, 1),
        ([1, 0, 2], {}, 0),
        ([0, 0, 0], {"tag_columns": ["t"]}, 0),
    ],
)
def test_rows_with_the_same_time_and_no_tag_are_a_warning(
    client: testing.Server,
    caplog: pytest.LogCaptureFixture,
    seconds: list[int],
    options: dict[str, Any],
    duplicates: int,
) -> None:
    frame = pandas.DataFrame({"t": ["a", "b", "c"], "n": [1, 2, 3]}, index=index(3)[seconds])
    report = influxdb.write_dataframe(frame, "m", database="db", **options)
    assert (report["delivered"], report["duplicates"]) == (3, duplicates)
    warning = f"{duplicates} of 3 rows of the data frame have the time of another row, and no tag"
    assert (warning in caplog.text) == (duplicates > 0)


def test_repaired_rows_are_counted(client: testing.Server) -> None:
    frame = FRAME.assign(t=["C:\\data\\", "b"])
    report = influxdb.write_dataframe(frame, "m", database="db", tag_columns=["t"])
    assert report["repaired"] == 1
    assert [point.tags["t"] for point in points(client)] == ["C:\\data/", "b"]


@pytest.mark.parametrize("names", [["when"], ["host", "when"]])
def test_an_index_can_be_named_as_the_time(client: testing.Server, names: list[str]) -> None:
    frame = pandas.DataFrame({"host": ["a", "b"], "when": index(2), "n": [1, 2]})
    influxdb.write_dataframe(
        frame.set_index(names), "m", database="db", timestamp_column="when", field_columns=["n"]
    )
    assert [(point.fields, point.timestamp) for point in points(client)] == [
        ({"n": 1}, NOON),
        ({"n": 2}, NOON + SECOND),
    ]


def test_a_signal_ends_the_wait_for_room(server: testing.Server) -> None:
    class Interrupted(Exception):
        pass

    def interrupt(*_: object) -> None:
        raise Interrupted

    influxdb.install(server.url, max_buffer_size=10, tag_hostname=False)
    server.stop()
    frame = pandas.DataFrame({"n": range(50)}, index=index(50))
    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        with pytest.raises(Interrupted):
            influxdb.write_dataframe(frame, "m", database="db", timeout=600)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("end", ["disabled", "shut down"])
def test_without_a_client_that_records_all_rows_are_counted(
    server: testing.Server, end: str
) -> None:
    influxdb.install(server.url, enabled=end != "disabled")
    if end == "shut down":
        influxdb.shutdown_sync()
    frame = pandas.DataFrame({"n": range(50)}, index=index(50))
    report = influxdb.write_dataframe(frame, "m", database="db")
    assert (report["rows"], report["dropped"], report["pending"]) == (50, 50, 0)


def test_the_default_database_is_that_of_the_client(server: testing.Server) -> None:
    influxdb.install(server.url, database="db", tag_hostname=False)
    assert influxdb.write_dataframe(FRAME, "m")["delivered"] == 2
    assert len(server.points("db")) == 2


def test_a_client_writes_to_its_own_server(client: testing.Server) -> None:
    with (
        testing.Server() as other,
        influxdb.Client(other.url, database="own", tag_hostname=False) as own,
    ):
        report = own.write_dataframe(FRAME, "m", tag_columns=["t"])
        assert (report["rows"], report["delivered"]) == (2, 2)
        assert len(other.points("own")) == 2
    assert influxdb.stats()["added"] == 0


FRAME = pandas.DataFrame({"t": ["a", "b"], "n": [1, 2]}, index=index(2))


@pytest.mark.parametrize(
    ("frame", "options", "message"),
    [
        (FRAME, {"tag_columns": ["x"]}, r"no column 'x': the columns are \['t', 'n'\]"),
        (FRAME, {"field_columns": ["x"]}, "no column 'x'"),
        (FRAME, {"timestamp_column": "x"}, "no column 'x'"),
        (FRAME, {"timestamp_column": "n"}, "column 'n' has numbers, .* use pandas.to_datetime"),
        (FRAME.reset_index(drop=True), {}, "the index has numbers, not times"),
        (FRAME, {"timestamp_column": "t"}, "row 0: timestamp is 'a': expected seconds"),
        (FRAME, {"database": None}, 'measurement "m" has no database: name one'),
        (FRAME, {"tag_columns": ["t"], "field_columns": ["t"]}, "row 0: .* a tag and a field"),
        (FRAME, {"timeout": -1}, "timeout is -1: expected seconds"),
        (FRAME.assign(n=[b"x", 1]), {}, "field 'n' is b'x' of type bytes"),
        (FRAME.assign(n=index(2)), {}, "field 'n' is Timestamp"),
        (FRAME.assign(n=numpy.array([1, 2**63], dtype="uint64")), {}, "row 1: .*InfluxDB 1.x"),
        (FRAME.assign(w=pandas.to_datetime(["2023", "NaT"])), {"timestamp_column": "w"}, "row 1"),
        (FRAME.assign(w=pandas.Timestamp("3000-01-01")), {"timestamp_column": "w"}, "3000-01-01"),
        (
            FRAME.assign(w=[datetime.date(2023, 1, 1), "x"]),
            {"timestamp_column": "w"},
            "row 0: .* a date has no time of day",
        ),
        (
            FRAME.assign(w=pandas.Series([pandas.Period("2023"), None], index(2), dtype=object)),
            {"timestamp_column": "w"},
            r"row 0: .* call its to_timestamp\(\)",
        ),
        (
            FRAME.assign(w=pandas.Series([1_700_000_000_000, None], index(2), dtype=object)),
            {"timestamp_column": "w"},
            "row 0: .* are these milliseconds",
        ),
        (FRAME.tz_localize(None).to_period("s"), {}, r"the index has periods, .* to_timestamp\(\)"),
        (FRAME.set_index("t", append=True), {}, "the index has several levels: .*reset_index"),
        (
            pandas.DataFrame([[1, 2]], columns=[["a", "a"], ["x", "y"]], index=index(1)),
            {},
            r"column \('a', 'x'\) has a name of several levels: join them",
        ),
        (
            FRAME.assign(w=[datetime.datetime(2023, 1, 1), "x"]),
            {"timestamp_column": "w"},
            "row 0: .* add a time zone",
        ),
    ],
)
def test_what_cannot_be_written_is_an_error(
    client: testing.Server, frame: Any, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        influxdb.write_dataframe(frame, "m", **{"database": "db", **options})


def test_names_that_are_one_text_are_an_error(client: testing.Server) -> None:
    with pytest.raises(TypeError, match="tag_columns is 't': expected several names"):
        influxdb.write_dataframe(FRAME, "m", database="db", tag_columns="t")


def test_a_database_without_its_name_is_an_error(client: testing.Server) -> None:
    write: Any = influxdb.write_dataframe
    message = r"pass the database by its name, .* write_dataframe\(frame, 'm', database='db'\)"
    with pytest.raises(TypeError, match=message):
        write(FRAME, "db", "m")


@pytest.mark.parametrize("wrong", [5, [1], None, FRAME["n"]], ids=str)
def test_what_is_no_frame_is_an_error(client: testing.Server, wrong: Any) -> None:
    with pytest.raises(TypeError, match="is not a data frame"):
        influxdb.write_dataframe(wrong, "m", database="db")


def test_influxd_has_the_types(influxd: Any, database: str) -> None:
    influxdb.install(influxd.url, tag_hostname=False)
    frame = pandas.DataFrame(
        {f"f{at}": column for at, (column, _) in enumerate(COLUMNS)}, index=index(2)
    )
    frame["t"] = pandas.Categorical(["a b", None])
    frame["when"] = index(2, "Europe/Berlin")
    report = influxdb.write_dataframe(
        frame, "m", database=database, tag_columns=["t"], timestamp_column="when"
    )
    assert (report["delivered"], report["rejected"]) == (2, 0)
    stored = influxd.query("SELECT * FROM m", database)
    for row, values in enumerate(stored):
        expected = {f"f{at}": column[row] for at, (_, column) in enumerate(COLUMNS)}
        expected |= {"t": ["a b", None][row], "time": NOON + (row - 3600) * SECOND}
        assert values == expected
    types = {
        str(entry["fieldKey"]): entry["fieldType"]
        for entry in influxd.query("SHOW FIELD KEYS", database)
    }
    names = {int: "integer", float: "float", bool: "boolean", str: "string"}
    assert types == {f"f{at}": names[type(column[0])] for at, (_, column) in enumerate(COLUMNS)}


def test_integers_of_numpy_are_seconds(client: testing.Server) -> None:
    when = pandas.Series([numpy.int64(NOON // SECOND)], dtype=object)
    frame = pandas.DataFrame({"n": [1], "when": when})
    influxdb.write_dataframe(frame, "m", database="db", timestamp_column="when", timeout=None)
    assert [point.timestamp for point in points(client)] == [NOON]
    frame["when"] = pandas.Series([numpy.timedelta64(5, "s")], dtype=object)
    with pytest.raises(ValueError, match="row 0"):
        influxdb.write_dataframe(frame, "m", database="db", timestamp_column="when")


def test_fields_with_the_same_name_are_an_error(client: testing.Server) -> None:
    frame = pandas.DataFrame([[1, 2]], columns=["n", "n"], index=index(1))
    with pytest.raises(ValueError, match="several columns are named 'n'"):
        influxdb.write_dataframe(frame, "m", database="db")
