"""Durations of blocks, functions and coroutines."""

import asyncio
import functools
import inspect
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

import sprockets_influxdb as influxdb
from sprockets_influxdb import Measurement, testing
from sprockets_influxdb._timing import Timed


def points(server: testing.Server) -> list[testing.Point]:
    influxdb.flush_sync()
    return server.points("db")


class Longest:
    """An upper bound for what is measured meanwhile, in seconds."""

    def __enter__(self) -> "Longest":
        self.began = time.monotonic()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds = time.monotonic() - self.began


class TestDuration:
    def test_async_with(self) -> None:
        async def run() -> Measurement:
            measurement = Measurement("db", "m")
            async with measurement.duration("took") as nothing:
                await asyncio.sleep(0)
            assert nothing is None
            with pytest.raises(KeyError):
                async with measurement.duration("failed"):
                    raise KeyError
            return measurement

        with Longest() as longest:
            fields = asyncio.run(run()).fields
        assert fields.keys() == {"took", "failed"}
        assert all(0 <= value <= longest.seconds for value in fields.values())

    @pytest.mark.parametrize("method", ["duration", "timer"])
    def test_a_function(self, method: str) -> None:
        measurement = Measurement("db", "m")

        duration: Any = getattr(measurement, method)

        @duration("took")  # type: ignore[untyped-decorator]
        def double(n: int, *, more: int = 0) -> int:
            """Double it."""
            if n < 0:
                raise KeyError(n)
            return 2 * n + more

        assert measurement.fields == {}
        assert double(3, more=1) == 7
        assert (double.__name__, double.__doc__) == ("double", "Double it.")
        assert measurement.fields.pop("took") >= 0
        with pytest.raises(KeyError):
            double(-1)
        assert measurement.fields["took"] >= 0

    def test_a_coroutine_function(self) -> None:
        measurement = Measurement("db", "m")
        release = asyncio.Event()

        @measurement.duration("took")
        async def wait() -> str:
            await release.wait()
            return "done"

        async def run() -> None:
            waiting = asyncio.create_task(wait())
            await asyncio.sleep(0)
            assert "took" not in measurement.fields
            release.set()
            assert await waiting == "done"

        assert inspect.iscoroutinefunction(wait)
        asyncio.run(run())
        assert measurement.fields["took"] > 0

    def test_calls_within_calls(self) -> None:
        measurement = Measurement("db", "m")
        inner: list[float] = []

        @measurement.duration("took")
        def descend(depth: int) -> None:
            if depth:
                descend(depth - 1)
                inner.append(measurement.fields["took"])

        descend(2)
        assert 0 <= inner[0] <= inner[1] <= measurement.fields["took"]


class TestTimed:
    def test_a_block(self, client: testing.Server) -> None:
        with Longest() as longest:
            before = Measurement("db", "m").timestamp_ns
            with influxdb.timed("db", "job", tags={"queue": "mail", "none": None}) as measurement:
                measurement.set_field("rows", 3)
            after = Measurement("db", "m").timestamp_ns
        [point] = points(client)
        assert (point.measurement, point.tags) == ("job", {"queue": "mail"})
        assert point.fields.keys() == {"duration", "rows"}
        assert 0 <= float(point.fields["duration"]) <= longest.seconds
        assert before < point.timestamp < after

    def test_async_with(self, client: testing.Server) -> None:
        async def run() -> None:
            async with influxdb.timed("db", "job", field="took", outcome=True) as measurement:
                await asyncio.sleep(0)
                measurement.set_tag("queue", "mail")

        asyncio.run(run())
        [point] = points(client)
        assert point.tags == {"queue": "mail", "outcome": "ok"}
        assert point.fields.keys() == {"took"}

    def test_each_call_of_a_function_is_recorded(self, client: testing.Server) -> None:
        @influxdb.timed("db", "job", tags={"queue": "mail"}, outcome=True)
        def double(n: int, *, more: int = 0) -> int:
            """Double it."""
            if n < 0:
                raise KeyError(n)
            return 2 * n + more

        assert double.__doc__ == "Double it."
        assert [double(n, more=1) for n in range(3)] == [1, 3, 5]
        with pytest.raises(KeyError):
            double(-1)
        recorded = points(client)
        assert [point.tags["outcome"] for point in recorded] == ["ok", "ok", "ok", "error"]
        assert all(point.tags["queue"] == "mail" for point in recorded)
        assert all(point.fields.keys() == {"duration"} for point in recorded)

    def test_coroutines_at_the_same_time(self, client: testing.Server) -> None:
        async def run() -> None:
            release = asyncio.Event()

            @influxdb.timed("db", "job", outcome=True)
            async def wait(n: int) -> int:
                await release.wait()
                return n

            tasks = [asyncio.create_task(wait(n)) for n in range(3)]
            await asyncio.sleep(0)
            tasks[0].cancel()
            await asyncio.sleep(0)
            assert len(points(client)) == 1
            release.set()
            assert await asyncio.gather(*tasks[1:]) == [1, 2]

        asyncio.run(run())
        assert [point.tags["outcome"] for point in points(client)] == ["error", "ok", "ok"]

    def test_methods_and_other_callables(self, client: testing.Server) -> None:
        class Queue:
            name = "mail"

            @influxdb.timed("db", "method")
            def work(self) -> str:
                return self.name

            @staticmethod
            @influxdb.timed("db", "static")
            def static() -> int:
                return 1

            @classmethod
            @influxdb.timed("db", "class")
            def of_class(cls) -> str:
                return cls.name

        class Asynchronous:
            async def __call__(self) -> int:
                return 2

        assert (Queue().work(), Queue.static(), Queue.of_class()) == ("mail", 1, "mail")
        assert influxdb.timed("db", "partial")(functools.partial(int, "7"))() == 7
        assert asyncio.run(influxdb.timed("db", "async")(Asynchronous())()) == 2
        names = [point.measurement for point in points(client)]
        assert names == ["method", "static", "class", "partial", "async"]

    def test_it_may_be_used_again_but_not_at_the_same_time(self, client: testing.Server) -> None:
        timed = influxdb.timed("db", "job")
        for _ in range(2):
            with timed:
                with pytest.raises(RuntimeError, match="timed already"), timed:
                    pass
                with influxdb.timed("db", "inner"):
                    pass
        names = [point.measurement for point in points(client)]
        assert names == ["job", "inner", "job", "inner"]

    def test_what_is_timed_does_not_fail_for_its_metrics(
        self, client: testing.Server, caplog: pytest.LogCaptureFixture
    ) -> None:
        @influxdb.timed("", "job")
        def work() -> int:
            return 1

        def fill() -> int:
            with influxdb.timed("db", "job") as measurement:
                measurement.fields["bad"] = object()
                untyped: Any = measurement
                untyped.set_field("n", [1])
                untyped.set_timestamp("never")
                measurement.set_tag("queue", "mail")
                return 2

        assert (work(), fill()) == (1, 2)
        with pytest.raises(KeyError), influxdb.timed("", "job"):
            raise KeyError
        expected = "a duration is not recorded: ValueError: "
        assert [expected in message for message in caplog.messages].count(True) == 1
        assert [message for message in caplog.messages if "field 'n' is [1]" in message]
        assert [message for message in caplog.messages if "field 'bad' is " in message]
        [point] = points(client)
        assert (point.tags, list(point.fields)) == ({"queue": "mail"}, ["duration"])

    def test_nothing_is_recorded_while_the_client_is_disabled(
        self, server: testing.Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("INFLUXDB_ENABLED", "false")
        influxdb.install(server.url)
        with influxdb.timed("db", "job"):
            pass
        assert points(server) == []

    def test_one_name_is_that_of_a_measurement(self, server: testing.Server) -> None:
        influxdb.install(server.url, database="db", tag_hostname=False)
        with influxdb.timed("job"):
            pass
        assert [point.measurement for point in points(server)] == ["job"]

    def test_a_client_records_to_its_own_server(self, client: testing.Server) -> None:
        with testing.Server() as other, influxdb.Client(other.url, tag_hostname=False) as own:

            @own.timed("db", "job", outcome=True)
            def work() -> int:
                return 1

            assert work() == 1
            assert own.flush_sync()["delivered"] == 1
            assert other.points("db")[0].tags == {"outcome": "ok"}
        assert influxdb.stats()["added"] == 0

    def test_influxd_has_it(self, influxd: Any, database: str) -> None:
        influxdb.install(influxd.url, tag_hostname=False)
        with pytest.raises(KeyError), influxdb.timed(database, "job", outcome=True):
            raise KeyError
        assert influxdb.flush_sync()["delivered"] == 1
        [row] = influxd.query("SELECT * FROM job", database)
        assert row["outcome"] == "error"
        assert isinstance(row["duration"], float)


def generator() -> Iterator[int]:
    yield 1


async def async_generator() -> AsyncIterator[int]:
    yield 1


DECORATORS: list[Callable[[], Any]] = [
    lambda: influxdb.timed("db", "job"),
    lambda: Measurement("db", "job").duration("took"),
]


@pytest.mark.parametrize("decorator", DECORATORS)
class TestWhatCannotBeTimed:
    @pytest.mark.parametrize("function", [generator, async_generator])
    def test_generator_functions(self, decorator: Callable[[], Any], function: Any) -> None:
        with pytest.raises(
            TypeError, match=r"generator is a generator function, .* time the block"
        ):
            decorator()(function)
        with pytest.raises(TypeError, match="is a generator function"):
            decorator()(functools.partial(function))

    @pytest.mark.parametrize("kind", [staticmethod, classmethod])
    def test_descriptors(self, decorator: Callable[[], Any], kind: Any) -> None:
        name = kind.__name__
        with pytest.raises(TypeError, match=f"is a {name}: put @{name} above this decorator"):
            decorator()(kind(len))

    @pytest.mark.parametrize("wrong", [int, 5, None])
    def test_what_is_no_function(self, decorator: Callable[[], Any], wrong: Any) -> None:
        with pytest.raises(TypeError, match="is not a function: only functions can be timed"):
            decorator()(wrong)


@pytest.mark.parametrize("place", [(), (len,), ("db", "job", "more"), ("db", 1)])
def test_the_place_is_one_or_two_names(place: Any) -> None:
    with pytest.raises(TypeError, match=r'takes the name of a measurement.* timed\("job"\)'):
        influxdb.timed(*place)


def test_tags_are_checked_when_it_is_made() -> None:
    with pytest.raises(ValueError, match="bytes in a tag are UTF-8"):
        influxdb.timed("db", "job", tags={"t": b"\xff"})
    with pytest.raises(ValueError, match='tags has "outcome", which outcome=True records'):
        influxdb.timed("db", "job", tags={"outcome": "x"}, outcome=True)


def test_a_block_does_not_fail_for_its_metrics(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(_: Measurement) -> None:
        raise RuntimeError("on purpose")

    with Timed(("m",), "duration", None, False, fail):
        pass
    assert "a duration is not recorded: RuntimeError: on purpose" in caplog.text
