"""``Client``: several clients in one process, beside the installed one."""

import asyncio
import gc
import pathlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import sprockets_influxdb as influxdb
from frameworks import FRAMEWORKS, Request
from measurements import measurement
from sprockets_influxdb import Client, Measurement, testing
from sprockets_influxdb.testing import Fault


@pytest.fixture
def other() -> Iterator[testing.Server]:
    """A second server."""
    with testing.Server() as server:
        yield server


@pytest.fixture
def own(other: testing.Server) -> Iterator[Client]:
    """A client of its own for the second server."""
    with Client(other.url, base_tags={"of": "own"}, tag_hostname=False) as client:
        yield client


class TestSeveral:
    def test_each_writes_to_its_own_server(
        self, client: testing.Server, other: testing.Server, own: Client
    ) -> None:
        own.record("db", "own", {"t": 1}, {"n": 1})
        influxdb.record("db", "installed", {"t": 1}, {"n": 1})
        own.add_measurement(measurement())
        series = own.series("db", "series", tags=("queue",))
        series.bind(queue="mail")(n=1)
        assert own.flush_sync()["delivered"] == 3
        assert influxdb.flush_sync()["delivered"] == 1
        assert [point.measurement for point in client.points("db")] == ["installed"]
        assert {point.measurement: point.tags for point in other.points("db")} == {
            "own": {"of": "own", "t": "1"},
            "m": {"of": "own"},
            "series": {"of": "own", "queue": "mail"},
        }
        assert (own.stats()["added"], influxdb.stats()["added"]) == (3, 1)
        assert own.settings()["url"] == f"{other.url}/write"
        assert influxdb.settings()["url"] == f"{client.url}/write"

    def test_one_measurement_is_added_to_both_with_the_base_tags_of_each(
        self, server: testing.Server, other: testing.Server, own: Client
    ) -> None:
        influxdb.install(server.url, base_tags={"of": "installed", "zone": "a"}, tag_hostname=False)
        plain, shown, changed, removed = (Measurement("db", name) for name in "abcd")
        assert shown.tags == {"of": "installed", "zone": "a"}
        changed.set_tag("of", "me")
        del removed.tags["zone"], removed.tags["of"]
        for each in (plain, shown, changed, removed):
            each.set_field("n", 1)
            influxdb.add_measurement(each)
            own.add_measurement(each)
        influxdb.flush_sync()
        own.flush_sync()
        assert {point.measurement: point.tags for point in server.points("db")} == {
            "a": {"of": "installed", "zone": "a"},
            "b": {"of": "installed", "zone": "a"},
            "c": {"of": "me", "zone": "a"},
            "d": {},
        }
        assert {point.measurement: point.tags for point in other.points("db")} == {
            "a": {"of": "own"},
            "b": {"of": "own"},
            "c": {"of": "me"},
            "d": {},
        }

    def test_a_tag_that_is_removed_is_not_that_of_the_installed_client(
        self, client: testing.Server, other: testing.Server, own: Client
    ) -> None:
        own.record("db", "m", {"of": None}, {"n": 1})
        own.record("db", "m", {"gone": None}, {"n": 1})
        own.flush_sync()
        assert [point.tags for point in other.points("db")] == [{}, {"of": "own"}]

    def test_a_full_buffer_of_one_blocks_only_that_one(
        self, client: testing.Server, other: testing.Server
    ) -> None:
        other.stop()
        with Client(
            other.url, max_buffer_size=1, overflow="block", block_timeout=1, shutdown_timeout=1
        ) as own:
            for number in range(3):
                own.record("db", "m", {}, {"n": number})
                influxdb.record("db", "m", {}, {"n": number})
            assert own.stats()["dropped"]["block_timeout"] == 2
        assert influxdb.flush_sync()["delivered"] == 3
        other.restart()
        other.wait_for_points(1)


class TestLife:
    def test_the_end_of_a_block_delivers(self, server: testing.Server) -> None:
        with Client(server.url) as client:
            client.record("db", "m", {}, {"n": 1})
        assert len(server.points("db")) == 1
        client.record("db", "m", {}, {"n": 2})
        assert client.stats()["dropped"]["closed"] == 1
        assert client.flush_sync()["closed"] == 1

    def test_the_end_of_an_async_block_delivers(self, server: testing.Server) -> None:
        async def main() -> None:
            async with Client(server.url) as client:
                client.record("db", "m", {}, {"n": 1})
                assert await client.flush() is True
                client.record("db", "m", {}, {"n": 2})
            assert client.shutdown() is client.shutdown()
            assert await client.shutdown() is True
            client.record("db", "m", {}, {"n": 3})
            assert await client.flush() is False

        asyncio.run(main())
        assert len(server.points("db")) == 2

    def test_a_block_that_raises_delivers(self, server: testing.Server) -> None:
        def block() -> None:
            with Client(server.url) as client:
                client.record("db", "m", {}, {"n": 1})
                raise ZeroDivisionError

        async def async_block() -> None:
            async with Client(server.url) as client:
                client.record("db", "async", {}, {"n": 1})
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            block()
        with pytest.raises(ZeroDivisionError):
            asyncio.run(async_block())
        assert [point.measurement for point in server.points("db")] == ["m", "async"]

    def test_a_block_ends_within_the_shutdown_timeout(self, server: testing.Server) -> None:
        server.inject(Fault.black_hole())
        with Client(server.url, shutdown_timeout=1, trigger_size=1) as client:
            client.record("db", "m", {}, {"n": 1})
        assert client.stats()["pending"] == 1
        server.clear_faults()
        server.wait_for_points(1)

    def test_one_that_nobody_holds_delivers(self, server: testing.Server) -> None:
        Client(server.url).record("db", "m", {}, {"n": 1})
        gc.collect()
        server.wait_for_points(1)

    def test_a_series_keeps_its_client_open(self, server: testing.Server) -> None:
        series = Client(server.url, trigger_size=1).series("db", "m")
        gc.collect()
        series(n=1)
        series.bind()(n=2)
        server.wait_for_points(2)

    def test_a_disabled_one_drops(self, server: testing.Server) -> None:
        with Client(server.url, enabled=False) as client:
            client.record("db", "m", {}, {"n": 1})
        assert client.stats()["dropped"]["disabled"] == 1

    def test_a_subclass_may_have_other_arguments(self, server: testing.Server) -> None:
        class Metrics(Client):
            def __init__(self, name: str) -> None:
                super().__init__(server.url, base_tags={"name": name}, tag_hostname=False)

        with Metrics("a") as client:
            client.record("db", "m", {}, {"n": 1})
        assert server.points("db")[0].tags == {"name": "a"}

    def test_one_that_is_not_open_says_so(self) -> None:
        class Forgetful(Client):
            def __init__(self) -> None:
                pass

        client = Forgetful()
        with pytest.raises(RuntimeError, match="not open"):
            client.record("db", "m", {}, {"n": 1})
        with pytest.raises(RuntimeError, match="not open"):
            client.stats()

    def test_two_share_a_spool(self, server: testing.Server, tmp_path: pathlib.Path) -> None:
        server.stop()
        spool = str(tmp_path / "spool")
        clients = [Client(server.url, spool=spool, shutdown_timeout=1) for _ in range(2)]
        for client in clients:
            with client:
                client.record("db", "m", {}, {"n": 1})
            assert client.stats()["spooled"] == 1
        server.restart()
        server.wait_for_points(2)


class TestArguments:
    def test_the_environment_configures_it(
        self, server: testing.Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("INFLUXDB_URL", server.url)
        monkeypatch.setenv("INFLUXDB_TRIGGER_SIZE", "7")
        monkeypatch.setenv("INFLUXDB_USER", "me")
        monkeypatch.setenv("INFLUXDB_PASSWORD", "hunter2")
        server.require_basic("me", "hunter2")
        for _ in range(2):
            with Client(max_batch_size=3) as client:
                settings = client.settings()
                assert (settings["trigger_size"], settings["max_batch_size"]) == (7, 3)
                assert (settings["auth_username"], settings["auth_password"]) == ("me", "***")
                client.record("db", "m", {}, {"n": 1})
            assert client.stats()["delivered"] == 1

    @pytest.mark.parametrize("make", [Client, influxdb.install])
    def test_a_misspelt_option_is_an_error(self, make: Callable[..., Any]) -> None:
        with pytest.raises(TypeError, match="no option 'max_bach_bytes': did you mean 'max_batch"):
            make(max_bach_bytes=1)
        with pytest.raises(ValueError, match="auth_username: a value of type list"):
            make(auth_username=[])
        with pytest.raises(ValueError, match='max_batch_size: "0" is not a size'):
            make(max_batch_size=0)
        with pytest.raises(ValueError, match="base_tags: a value of type list"):
            make(base_tags=["a"])
        assert influxdb.installed() is None

    def test_the_setters_change_only_the_installed_one(
        self, client: testing.Server, own: Client
    ) -> None:
        before = own.settings()
        influxdb.set_trigger_size(3)
        assert own.settings() == before

    def test_all_but_the_url_are_keywords(self) -> None:
        with pytest.raises(TypeError):
            Client("http://localhost:1", "me")  # type: ignore[call-arg]


class TestInstalled:
    def test_there_is_none_at_first(self) -> None:
        assert influxdb.installed() is None
        assert influxdb.stats()["added"] == 0
        assert influxdb.installed() is None

    def test_it_is_what_the_functions_use(self, client: testing.Server) -> None:
        installed = influxdb.installed()
        assert installed is influxdb.installed()
        assert isinstance(installed, Client)
        installed.record("db", "m", {}, {"n": 1})
        assert influxdb.stats()["added"] == 1
        assert influxdb.flush_sync()["delivered"] == 1
        influxdb.set_trigger_size(3)
        assert installed.settings() == influxdb.settings()
        assert installed.settings()["trigger_size"] == 3

    def test_the_first_measurement_makes_it(
        self, server: testing.Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("INFLUXDB_URL", server.url)
        influxdb.record("db", "m", {}, {"n": 1})
        made = influxdb.installed()
        assert made is not None
        assert influxdb.install() is True
        assert influxdb.installed() is made

    def test_a_client_of_the_programs_is_not_installed(self, own: Client) -> None:
        assert influxdb.installed() is None

    def test_as_a_context_it_is_shut_down(self, client: testing.Server) -> None:
        installed = influxdb.installed()
        assert installed is not None
        with installed:
            influxdb.record("db", "m", {}, {"n": 1})
        assert len(client.points("db")) == 1
        assert influxdb.install(client.url) is True


@pytest.mark.parametrize("request_of", FRAMEWORKS)
class TestRequests:
    """``client=`` of every middleware."""

    def test_requests_are_recorded_by_it(
        self, client: testing.Server, other: testing.Server, own: Client, request_of: Request
    ) -> None:
        def use(used: Measurement) -> None:
            used.set_field("rows", 3)
            assert used.tags["of"] == "own"

        assert request_of(use, {"database": "db", "client": own}) == 200
        own.flush_sync()
        [point] = other.points("db")
        assert (point.tags["of"], point.fields["rows"]) == ("own", 3)
        assert influxdb.stats()["added"] == 0

    def test_requests_whose_handler_sets_nothing_too(
        self, client: testing.Server, other: testing.Server, own: Client, request_of: Request
    ) -> None:
        assert request_of(lambda _: None, {"database": "db", "client": own}) == 200
        own.flush_sync()
        assert len(other.points("db")) == 1
        assert influxdb.stats()["added"] == 0

    def test_none_is_the_installed_one(self, client: testing.Server, request_of: Request) -> None:
        assert request_of(lambda _: None, {"database": "db", "client": None}) == 200
        influxdb.flush_sync()
        assert len(client.points("db")) == 1

    def test_a_disabled_one_records_nothing(
        self, client: testing.Server, request_of: Request
    ) -> None:
        with Client(client.url, enabled=False) as disabled:
            used: list[bool] = []
            options = {"database": "db", "client": disabled}
            assert request_of(lambda m: used.append(m.is_recording), options) == 200
        assert used == [False]
        assert influxdb.stats()["added"] == disabled.stats()["added"] == 0

    def test_an_enabled_one_records_where_the_installed_one_is_disabled(
        self, other: testing.Server, own: Client, request_of: Request
    ) -> None:
        influxdb.install(enabled=False)
        assert request_of(lambda _: None, {"database": "db", "client": own}) == 200
        own.flush_sync()
        assert len(other.points("db")) == 1

    def test_anything_else_is_logged(
        self, client: testing.Server, request_of: Request, caplog: pytest.LogCaptureFixture
    ) -> None:
        assert request_of(lambda _: None, {"database": "db", "client": "metrics"}) == 200
        influxdb.flush_sync()
        assert "expected a Client" in caplog.text
        assert client.points("db") == []
