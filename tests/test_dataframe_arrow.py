"""Data frames that are streams of Arrow's record batches: those of polars, pyarrow and others."""

import datetime
import decimal
from collections.abc import Callable
from typing import Any, TypeAlias

import pytest

import sprockets_influxdb as influxdb
from sprockets_influxdb import testing

polars = pytest.importorskip("polars")
pyarrow = pytest.importorskip("pyarrow")

UTC = datetime.timezone.utc
NOON = 1_700_049_600_000_000_000
SECOND = 1_000_000_000
TIMES = [datetime.datetime(2023, 11, 15, 12, 0, second, tzinfo=UTC) for second in range(3)]
LONG = "a text of more than twelve bytes, é"

Make: TypeAlias = Callable[[dict[str, Any]], Any]


def table(columns: dict[str, Any]) -> Any:
    return pyarrow.table(columns)


def chunked_table(columns: dict[str, Any]) -> Any:
    """A table of two batches, of which the first is empty, and whose columns begin later."""
    longer = pyarrow.table({name: [*values[:1], *values] for name, values in columns.items()})
    return pyarrow.concat_tables([longer[:0], longer[1:2], longer[2:]])


def reader(columns: dict[str, Any]) -> Any:
    return pyarrow.table(columns).to_reader(max_chunksize=1)


def record_batch(columns: dict[str, Any]) -> Any:
    return pyarrow.record_batch(columns)


def polars_frame(columns: dict[str, Any]) -> Any:
    return polars.DataFrame(columns, strict=False)


def polars_slice(columns: dict[str, Any]) -> Any:
    longer = {name: [*values[:1], *values, *values[:1]] for name, values in columns.items()}
    return polars.DataFrame(longer, strict=False)[1:-1]


class Foreign:
    """Any other frame."""

    def __init__(self, columns: dict[str, Any]) -> None:
        self.table = pyarrow.table(columns)

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        stream: object = self.table.__arrow_c_stream__(requested_schema)
        return stream


MAKES: list[Make] = [
    table,
    chunked_table,
    reader,
    record_batch,
    polars_frame,
    polars_slice,
    Foreign,
]

every_frame = pytest.mark.parametrize("make", MAKES)


def points(server: testing.Server) -> list[testing.Point]:
    return sorted(server.points("db"), key=lambda point: point.timestamp)


@every_frame
def test_each_row_is_a_measurement(client: testing.Server, make: Make) -> None:
    frame = make(
        {
            "when": TIMES,
            "host": ["a", None, LONG],
            "load": [0.5, None, float("nan")],
            "jobs": [1, -2, None],
            "ok": [True, None, False],
            "text": ["", LONG, 'b "c" \\'],
        }
    )
    report = influxdb.write_dataframe(
        frame, "cpu", database="db", tag_columns=["host"], timestamp_column="when"
    )
    assert (report["rows"], report["skipped"], report["delivered"]) == (3, 0, 3)
    assert points(client) == [
        testing.Point("cpu", {"host": "a"}, {"load": 0.5, "jobs": 1, "ok": True, "text": ""}, NOON),
        testing.Point("cpu", {}, {"jobs": -2, "text": LONG}, NOON + SECOND),
        testing.Point("cpu", {"host": LONG}, {"ok": False, "text": 'b "c" \\'}, NOON + 2 * SECOND),
    ]


@every_frame
def test_rows_without_a_field_are_skipped(client: testing.Server, make: Make) -> None:
    frame = make({"when": TIMES, "f": [1.5, None, float("inf")]})
    report = influxdb.write_dataframe(frame, "m", database="db", timestamp_column="when")
    assert (report["rows"], report["skipped"], report["delivered"]) == (3, 2, 1)


def fields() -> list[tuple[Any, list[Any]]]:
    arrow, decimals = pyarrow.array, [decimal.Decimal("1.5"), None]
    small = [decimal.Decimal("-0.1"), decimal.Decimal("123456789012345678.9")]
    return [
        *((arrow([1, None], getattr(pyarrow, name)()), [1, None]) for name in ("int8", "uint8")),
        *((arrow([-1, 2], getattr(pyarrow, f"int{bits}")()), [-1, 2]) for bits in (16, 32, 64)),
        *((arrow([1, 2], getattr(pyarrow, f"uint{bits}")()), [1, 2]) for bits in (16, 32)),
        (arrow([2**63 - 1, None], pyarrow.uint64()), [2**63 - 1, None]),
        (arrow([0.1, None], pyarrow.float32()), [0.10000000149011612, None]),
        (arrow([0.1, float("nan")], pyarrow.float64()), [0.1, None]),
        (arrow([True, None], pyarrow.bool_()), [True, None]),
        (arrow(["a", None], pyarrow.string()), ["a", None]),
        (arrow([LONG, "a"], pyarrow.large_string()), [LONG, "a"]),
        (arrow([LONG, "a" * 12], pyarrow.string_view()), [LONG, "a" * 12]),
        (arrow(["x", None], pyarrow.string()).dictionary_encode(), ["x", None]),
        (arrow([7, None], pyarrow.int64()).dictionary_encode(), [7, None]),
        (arrow([None, None], pyarrow.null()), [None, None]),
        (arrow(decimals, pyarrow.decimal128(9, 2)), [1.5, None]),
        (arrow(decimals, pyarrow.decimal256(40, 2)), [1.5, None]),
        (arrow(decimals, pyarrow.decimal32(5, 1)), [1.5, None]),
        (arrow(small, pyarrow.decimal128(30, 1)), [-0.1, 123456789012345678.9]),
    ]


@pytest.mark.parametrize(("column", "stored"), fields(), ids=lambda value: str(value)[:40])
def test_types_of_fields(client: testing.Server, column: Any, stored: list[Any]) -> None:
    frame = pyarrow.table({"when": TIMES[:2], "f": column, "n": [0, 0]})
    influxdb.write_dataframe(frame, "m", database="db", timestamp_column="when")
    found = [point.fields.get("f") for point in points(client)]
    assert found == stored
    assert [type(value) for value in found] == [type(value) for value in stored]


def test_types_of_polars(client: testing.Server) -> None:
    frame = polars.DataFrame(
        {
            "when": TIMES,
            "category": polars.Series(["x", None, LONG], dtype=polars.Categorical),
            "enum": polars.Series(["x", None, "y"], dtype=polars.Enum(["y", "x"])),
            "decimal": polars.Series(
                [decimal.Decimal("1.50"), None, decimal.Decimal(2)], dtype=polars.Decimal(9, 2)
            ),
            "u64": polars.Series([1, None, 2**63 - 1], dtype=polars.UInt64),
            "f32": polars.Series([0.5, None, 0.1], dtype=polars.Float32),
            "null": [None, None, None],
        }
    )
    influxdb.write_dataframe(
        frame, "m", database="db", tag_columns=["category", "enum"], timestamp_column="when"
    )
    found = [(point.tags, point.fields) for point in points(client)]
    assert found == [
        ({"category": "x", "enum": "x"}, {"decimal": 1.5, "u64": 1, "f32": 0.5}),
        (
            {"category": LONG, "enum": "y"},
            {"decimal": 2.0, "u64": 2**63 - 1, "f32": 0.10000000149011612},
        ),
    ]


@pytest.mark.parametrize(
    ("column", "stored"),
    [
        ([1, None], ["1", None]),
        ([True, False], ["True", "False"]),
        ([LONG, ""], [LONG, None]),
        ([None, None], [None, None]),
    ],
    ids=str,
)
def test_types_of_tags(client: testing.Server, column: Any, stored: list[Any]) -> None:
    frame = pyarrow.table({"when": TIMES[:2], "t": column, "n": [1, 2]})
    influxdb.write_dataframe(frame, "m", database="db", tag_columns=["t"], timestamp_column="when")
    assert [point.tags.get("t") for point in points(client)] == stored


@pytest.mark.parametrize(
    ("kind", "value", "nanoseconds"),
    [
        (pyarrow.timestamp("s", "UTC"), NOON // SECOND, NOON),
        (pyarrow.timestamp("ms", "Europe/Berlin"), NOON // 10**6, NOON),
        (pyarrow.timestamp("us"), NOON // 1000 - 1, NOON - 1000),
        (pyarrow.timestamp("ns"), NOON + 7, NOON + 7),
        (pyarrow.timestamp("ns"), -1, -1),
        (pyarrow.date32(), 19_676, NOON // (86_400 * SECOND) * 86_400 * SECOND),
        (pyarrow.date64(), 86_400_000, 86_400 * SECOND),
    ],
    ids=str,
)
def test_times(client: testing.Server, kind: Any, value: int, nanoseconds: int) -> None:
    integers = pyarrow.array([value], pyarrow.int32() if kind == pyarrow.date32() else "int64")
    frame = pyarrow.table({"when": integers.cast(kind), "n": [1]})
    influxdb.write_dataframe(frame, "m", database="db", timestamp_column="when")
    assert [point.timestamp for point in points(client)] == [nanoseconds]


def test_it_waits_for_room_in_a_full_buffer(server: testing.Server) -> None:
    influxdb.install(server.url, max_buffer_size=100, max_batch_size=50, tag_hostname=False)
    first = datetime.datetime(2023, 11, 15, tzinfo=UTC)
    times = [first + datetime.timedelta(seconds=second) for second in range(25_000)]
    frame = polars.DataFrame({"when": times, "n": range(25_000)})
    seen: list[int] = []
    report = influxdb.write_dataframe(
        frame, "m", database="db", timestamp_column="when", progress=seen.append
    )
    assert (report["rows"], report["delivered"], report["dropped"]) == (25_000, 25_000, 0)
    assert seen[-1] == 25_000
    assert sorted(point.fields["n"] for point in server.points("db")) == list(range(25_000))


STRUCT = pyarrow.array([{"a": 1}] * 3)


@pytest.mark.parametrize(
    ("columns", "options", "message"),
    [
        ({}, {"timestamp_column": "x"}, 'no column "x": the columns are when, t, n'),
        ({}, {"tag_columns": ["x"]}, 'no column "x"'),
        ({}, {"field_columns": ["x"]}, 'no column "x"'),
        ({}, {"timestamp_column": None}, "no index: name the time by timestamp_column="),
        (
            {},
            {"timestamp_column": "n"},
            'column "n" is of type int64: the time is a .* polars.from_epoch',
        ),
        (
            {},
            {"field_columns": ["when"]},
            r'column "when" is of type timestamp: a field is .* \.dt\.epoch',
        ),
        ({"s": STRUCT}, {}, 'column "s" is of type struct: a field is a number'),
        ({"s": [[1]] * 3}, {}, 'column "s" is of type list'),
        ({}, {"timestamp_column": "t"}, r'"t" is of type string: .* \.str\.to_datetime'),
        (
            {"s": [datetime.timedelta(seconds=1)] * 3},
            {},
            r'"s" is of type duration: .* \.dt\.total_seconds',
        ),
        ({"s": [b"x"] * 3}, {}, 'column "s" is of type binary'),
        ({"s": [0.5] * 3}, {"tag_columns": ["s"]}, 'column "s" .* a tag is a text'),
        ({"s": TIMES}, {"tag_columns": ["s"]}, 'column "s" .* a tag is a text'),
        ({"when": [TIMES[0], None, None]}, {}, "row 1: there is no time: leave such rows out"),
        (
            {"when": pyarrow.array([0, 2**62, 0]).cast(pyarrow.timestamp("s"))},
            {},
            "row 1: its time is not between 1677-09-21 and 2262-04-11",
        ),
        ({"u": pyarrow.array([1, 2, 2**63], pyarrow.uint64())}, {}, r"row 2: .*InfluxDB 1\.x"),
        ({}, {"tag_columns": ["t"], "field_columns": ["t"]}, "row 0: .* a tag and a field"),
    ],
)
def test_what_cannot_be_written_is_an_error(
    client: testing.Server, columns: dict[str, Any], options: dict[str, Any], message: str
) -> None:
    frame = pyarrow.table({"when": TIMES, "t": ["a", "b", "c"], "n": [1, 2, 3], **columns})
    arguments = {"database": "db", "timestamp_column": "when", **options}
    with pytest.raises(ValueError, match=message):
        influxdb.write_dataframe(frame, "m", **arguments)


def test_fields_with_the_same_name_are_an_error(client: testing.Server) -> None:
    when = pyarrow.array([1], pyarrow.timestamp("s"))
    table = pyarrow.table([[1], [2], when], names=["n", "n", "when"])
    with pytest.raises(ValueError, match='several columns are named "n"'):
        influxdb.write_dataframe(table, "m", database="db", timestamp_column="when")


def test_what_is_no_table_is_an_error(client: testing.Server) -> None:
    column = pyarrow.chunked_array([[1, 2]])
    with pytest.raises(ValueError, match="the frame has no columns: expected a table"):
        influxdb.write_dataframe(column, "m", database="db", timestamp_column="when")


@pytest.mark.parametrize("seconds", [[0, 0, 0], [0, 1, 0]])
def test_rows_with_the_same_time_and_no_tag_are_counted(
    client: testing.Server, seconds: list[int]
) -> None:
    frame = polars.DataFrame({"when": [TIMES[second] for second in seconds], "n": [1, 2, 3]})
    report = influxdb.write_dataframe(frame, "m", database="db", timestamp_column="when")
    assert report["duplicates"] == 3 - len(set(seconds))


def test_a_lazy_frame_is_to_be_collected(client: testing.Server) -> None:
    lazy = polars.LazyFrame({"when": TIMES, "n": [1, 2, 3]})
    if hasattr(lazy, "__arrow_c_stream__"):
        pytest.skip("not applicable: a LazyFrame of this polars is a frame")
    with pytest.raises(TypeError, match=r"a LazyFrame is not a data frame: call its collect\(\)"):
        influxdb.write_dataframe(lazy, "m", database="db", timestamp_column="when")


def test_a_stream_can_be_read_once(client: testing.Server) -> None:
    class Used:
        def __init__(self) -> None:
            self.stream = pyarrow.table({"when": TIMES, "n": [1, 2, 3]}).__arrow_c_stream__()

        def __arrow_c_stream__(self, requested_schema: object = None) -> object:
            return self.stream

    used = Used()
    influxdb.write_dataframe(used, "m", database="db", timestamp_column="when")
    with pytest.raises(ValueError, match="the frame's stream was read already"):
        influxdb.write_dataframe(used, "m", database="db", timestamp_column="when")


def test_a_stream_that_fails(client: testing.Server) -> None:
    schema = pyarrow.schema({"when": pyarrow.timestamp("s"), "n": pyarrow.int64()})

    def batches() -> Any:
        yield pyarrow.record_batch({"when": [NOON // SECOND], "n": [1]}, schema=schema)
        raise RuntimeError("the source is gone")

    frame = pyarrow.RecordBatchReader.from_batches(schema, batches())
    with pytest.raises(ValueError, match=r"(?s)the frame cannot be read: .*the source is gone"):
        influxdb.write_dataframe(frame, "m", database="db", timestamp_column="when")
    influxdb.flush_sync()
    assert len(client.points("db")) == 1


class Wrong:
    """A capsule of another kind."""

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return datetime.datetime_CAPI


def test_another_capsule_is_an_error(client: testing.Server) -> None:
    with pytest.raises(ValueError, match="incorrect name"):
        influxdb.write_dataframe(Wrong(), "m", database="db", timestamp_column="when")


@pytest.mark.parametrize("make", [polars.DataFrame, pyarrow.table])
def test_influxd_has_the_types(influxd: Any, database: str, make: Make) -> None:
    influxdb.install(influxd.url, tag_hostname=False)
    # polars has no decimals of 256 bits.
    stored = [
        column
        for column in fields()
        if column[1][0] is not None and "decimal256" not in str(column[0].type)
    ]
    columns = {f"f{at}": column for at, (column, _) in enumerate(stored)}
    frame = make({"when": TIMES[:2], "t": ["a b", None], **columns})
    report = influxdb.write_dataframe(
        frame, "m", database=database, tag_columns=["t"], timestamp_column="when"
    )
    assert (report["delivered"], report["rejected"]) == (2, 0)
    for row, values in enumerate(influxd.query("SELECT * FROM m", database)):
        expected = {f"f{at}": column[row] for at, (_, column) in enumerate(stored)}
        assert values == expected | {"t": ["a b", None][row], "time": NOON + row * SECOND}
    types = {
        str(entry["fieldKey"]): entry["fieldType"]
        for entry in influxd.query("SHOW FIELD KEYS", database)
    }
    names = {int: "integer", float: "float", bool: "boolean", str: "string"}
    assert types == {f"f{at}": names[type(column[0])] for at, (_, column) in enumerate(stored)}
