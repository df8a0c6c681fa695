"""The default database: ``database=``, ``INFLUXDB_DATABASE`` or ``INFLUXDB_BUCKET``."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

import sprockets_influxdb as influxdb
from frameworks import FRAMEWORKS, Request
from sprockets_influxdb import Client, Measurement, testing


@pytest.fixture
def own(server: testing.Server) -> Iterator[Client]:
    with Client(server.url, database="usual", tag_hostname=False) as client:
        yield client


RECORDS: dict[str, Callable[[Any], None]] = {
    "positional": lambda to: to.record("job", {"queue": "mail"}, {"rows": 3}),
    "timestamp": lambda to: to.record("job", {"queue": "mail"}, {"rows": 3}, 7),
    "timestamp by name": lambda to: to.record("job", {"queue": "mail"}, {"rows": 3}, timestamp=7),
    "fields by name": lambda to: to.record("job", {"queue": "mail"}, fields={"rows": 3}),
    "both by name": lambda to: to.record("job", tags={"queue": "mail"}, fields={"rows": 3}),
    "all by name": lambda to: to.record(name="job", tags={"queue": "mail"}, fields={"rows": 3}),
}


class TestRecord:
    @pytest.mark.parametrize("record", RECORDS.values(), ids=list(RECORDS))
    @pytest.mark.parametrize("is_own", [False, True])
    def test_one_name_is_that_of_the_measurement(
        self, server: testing.Server, own: Client, record: Callable[[Any], None], is_own: bool
    ) -> None:
        influxdb.install(server.url, database="usual", tag_hostname=False)
        record(own if is_own else influxdb)
        assert (own if is_own else influxdb).flush_sync()["delivered"] == 1
        [point] = server.points("usual")
        assert (point.measurement, point.tags) == ("job", {"queue": "mail"})
        assert point.fields == {"rows": 3}
        assert (point.timestamp == 7_000_000_000) == (record in list(RECORDS.values())[1:3])

    def test_two_names_are_database_and_measurement(
        self, server: testing.Server, own: Client
    ) -> None:
        own.record("other", "job", {"queue": "mail"}, {"rows": 3}, 7)
        own.record("other", "job", None, {"rows": 3})
        own.record("other", "job", fields={"rows": 3})
        own.record("other", None, None, {"rows": 3})
        own.record(database="other", name="job", fields={"rows": 3})
        own.flush_sync()
        assert [point.measurement for point in server.points("other")].count("job") == 4
        assert len(server.points("other")) == 5
        assert server.databases() == ["other"]

    def test_one_name_without_tags(self, server: testing.Server, own: Client) -> None:
        own.record("job", None, {"rows": 3})
        own.record("job", {}, {"rows": 3})
        own.record("job", None, {"rows": 3}, 7)
        own.record("job", fields={"rows": 3})
        own.flush_sync()
        assert [point.fields for point in server.points("usual")] == 4 * [{"rows": 3}]

    def test_the_environment_names_it(
        self, server: testing.Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("INFLUXDB_URL", server.url)
        monkeypatch.setenv("INFLUXDB_BUCKET", "usual")
        influxdb.record("job", {}, {"n": 1})
        assert influxdb.settings()["database"] == "usual"
        influxdb.shutdown_sync()
        monkeypatch.delenv("INFLUXDB_BUCKET")
        monkeypatch.setenv("INFLUXDB_DATABASE", "usual")
        influxdb.install(database="argument")
        influxdb.record("job", {}, {"n": 1})
        influxdb.flush_sync()
        assert server.databases() == ["argument", "usual"]

    def test_a_series(self, server: testing.Server, own: Client) -> None:
        influxdb.install(server.url, database="usual", tag_hostname=False)
        for client in (own, influxdb):
            jobs = client.series("job", tags=("queue",))
            jobs(queue="mail", rows=3)
            jobs.bind(queue="news")(rows=4)
            client.series(name="job")(rows=5)
            client.series("other", "job")(rows=6)
            client.flush_sync()
        assert len(server.points("usual")) == 6
        assert len(server.points("other")) == 2


class TestMeasurement:
    def test_one_argument_is_the_name(self, server: testing.Server, own: Client) -> None:
        for job in (Measurement("job"), Measurement(name="job")):
            assert (job.database, job.name) == (None, "job")
            job.set_field("rows", 3)
            assert job.marshall().startswith("job rows=3i ")
            own.add_measurement(job)
            job.database = "other"
            own.add_measurement(job)
        own.flush_sync()
        assert [len(server.points(name)) for name in ("usual", "other")] == [2, 2]

    def test_it_is_added_to_the_default_database_of_each_client(
        self, server: testing.Server, own: Client
    ) -> None:
        influxdb.install(server.url, database="another")
        job = Measurement("job")
        job.set_field("rows", 3)
        own.add_measurement(job)
        influxdb.add_measurement(job)
        own.flush_sync()
        influxdb.flush_sync()
        assert server.databases() == ["another", "usual"]

    def test_a_subclass_may_name_it(self, server: testing.Server, own: Client) -> None:
        class Job(Measurement):
            def __init__(self, queue: str) -> None:
                super().__init__("job")
                self.set_tag("queue", queue)

        job = Job("mail")
        job.set_field("rows", 3)
        own.add_measurement(job)
        own.flush_sync()
        assert server.points("usual")[0].tags == {"queue": "mail"}


class TestErrors:
    def test_without_a_default_database(self, client: testing.Server) -> None:
        job = Measurement("job")
        job.set_field("rows", 3)
        says_so = pytest.raises(ValueError, match=r'"job" has no database: .*INFLUXDB_DATABASE')
        with says_so:
            influxdb.add_measurement(job)
        with says_so:
            influxdb.record("job", {}, {"rows": 3})
        with says_so:
            influxdb.series("job")(rows=3)
        with pytest.raises(ValueError, match="has no database"):
            influxdb.record("", "job", {}, {"rows": 3})
        assert influxdb.stats()["dropped"]["invalid"] == 4

    @pytest.mark.parametrize("database", ["usual", None])
    def test_none_is_no_database(self, server: testing.Server, database: str | None) -> None:
        untyped: Any = influxdb
        influxdb.install(server.url, database=database)
        calls: list[Callable[[], object]] = [
            lambda: untyped.record(None, "job", {}, {"rows": 3}),
            lambda: untyped.record(None, "job", fields={"rows": 3}),
            lambda: untyped.record(database=None, name="job", fields={"rows": 3}),
            lambda: untyped.series(None, "job"),
            lambda: untyped.Measurement(None, "job"),
        ]
        for call in calls:
            with pytest.raises(ValueError, match="database is None: name one, or leave it out"):
                call()
        influxdb.flush_sync()
        assert server.databases() == []

    def test_arguments_that_fit_no_form(self, own: Client) -> None:
        untyped: Any = own
        with pytest.raises(TypeError, match="name of the measurement is missing"):
            untyped.record()
        with pytest.raises(TypeError, match="tags are given twice"):
            untyped.record("job", {}, {"rows": 3}, {"rows": 4})
        with pytest.raises(TypeError, match="tags is 'job': expected a dict"):
            untyped.record("other", "job", "job")
        with pytest.raises(TypeError, match="fields is 3: expected a dict"):
            untyped.record("other", "job", {}, 3)
        with pytest.raises(TypeError, match=r"name is \{'n': 1\}: expected a str"):
            untyped.series("job", {"n": 1})
        assert own.stats()["added"] == 0


@pytest.mark.parametrize("request_of", FRAMEWORKS)
class TestRequests:
    @pytest.mark.parametrize("options", [{}, {"database": None}])
    def test_middlewares_use_it(
        self, server: testing.Server, request_of: Request, options: dict[str, Any]
    ) -> None:
        influxdb.install(server.url, database="usual")
        used: list[object] = []
        assert request_of(lambda m: used.append((m.database, m.is_recording)), options) == 200
        assert request_of(lambda m: None, options) == 200
        influxdb.flush_sync()
        assert used == [("usual", True)]
        assert len(server.points("usual")) == 2

    def test_a_database_of_their_own_takes_precedence(
        self, server: testing.Server, request_of: Request
    ) -> None:
        influxdb.install(server.url, database="usual")
        assert request_of(lambda _: None, {"database": "own"}) == 200
        influxdb.flush_sync()
        assert server.databases() == ["own"]

    def test_it_is_that_of_their_client(
        self, client: testing.Server, own: Client, request_of: Request
    ) -> None:
        assert request_of(lambda _: None, {"client": own}) == 200
        own.flush_sync()
        assert client.databases() == ["usual"]

    def test_without_any_a_warning_says_so(
        self, client: testing.Server, request_of: Request, caplog: pytest.LogCaptureFixture
    ) -> None:
        used: list[bool] = []
        assert request_of(lambda m: used.append(m.is_recording), {}) == 200
        assert used == [False]
        assert influxdb.stats()["added"] == 0
        [warning] = [record for record in caplog.records if "not recorded" in record.message]
        assert "INFLUXDB_DATABASE" in warning.message
