"""The module's functions, compatible with release 2.2.1."""

import asyncio
import contextlib
import inspect
import logging
import os
import signal
import socket
import threading
import typing
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import tornado.concurrent
import tornado.gen
import tornado.ioloop

import sprockets_influxdb as influxdb
from sprockets_influxdb import Measurement, _client, flush_sync, install, record, stats, testing
from sprockets_influxdb.testing import Fault

HOUR = 3_600_000


def measurement(database: str = "db") -> Measurement:
    measurement = Measurement(database, "m")
    measurement.set_field("n", 1)
    return measurement


def add(count: int = 1, database: str = "db") -> None:
    for _ in range(count):
        influxdb.add_measurement(measurement(database))


def in_a_thread(function: Callable[..., object], *arguments: object) -> None:
    thread = threading.Thread(target=function, args=arguments)
    thread.start()
    thread.join()


@contextlib.contextmanager
def current_loop() -> Iterator[tornado.ioloop.IOLoop]:
    """An event loop that is current, and not running."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        yield tornado.ioloop.IOLoop.current()
    finally:
        asyncio.set_event_loop(None)
        loop.close()


class TestNames:
    def test_constants(self) -> None:
        assert influxdb.__version__ == ".".join(map(str, influxdb.version_info))
        assert influxdb.version_info[0] == 3
        assert f"sprockets-influxdb/v{influxdb.__version__}" == influxdb.USER_AGENT
        assert influxdb.REQUEST_DATABASE == "sprockets_influxdb.database"

    def test_every_name_is_public_and_documented(self) -> None:
        for name in influxdb.__all__:
            public = getattr(influxdb, name)
            if callable(public):
                assert public.__module__.startswith("sprockets_influxdb")
                assert public.__doc__ or name == "InfluxDBMixin"

    def test_the_user_agent_is_sent(self, client: testing.Server) -> None:
        add()
        flush_sync()
        assert client.writes()[0].header("user-agent") == influxdb.USER_AGENT

    def test_the_log_is_that_of_the_package(
        self, server: testing.Server, caplog: pytest.LogCaptureFixture
    ) -> None:
        install(server.url)
        assert install() is False
        [entry] = caplog.records
        assert (entry.name, entry.levelno) == ("sprockets_influxdb", logging.WARNING)

    def test_failures_are_logged_with_pythons_levels(self, python: Callable[..., Any]) -> None:
        done = python(
            """
            import logging, sprockets_influxdb
            logging.basicConfig(format="%(levelname)s %(name)s %(message)s", level=logging.DEBUG)
            sprockets_influxdb.install("http://127.0.0.1:1", "me", "hunter2", shutdown_timeout=0)
            sprockets_influxdb.record("db", "m", {}, {"n": 1})
            sprockets_influxdb.flush_sync(0.1)
            """
        )
        assert (
            'WARNING sprockets_influxdb cannot write to database "db" at http://127.0.0.1:1'
            in done.stderr
        )
        assert "hunter2" not in done.stderr


class TestInstall:
    def test_the_order_of_its_arguments(self) -> None:
        parameters = inspect.signature(install).parameters.values()
        positional = {p.name: p.default for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD}
        assert list(positional.items()) == [
            ("url", None),
            ("auth_username", None),
            ("auth_password", None),
            ("submission_interval", None),
            ("max_batch_size", None),
            ("max_clients", 10),
            ("base_tags", None),
            ("max_buffer_size", None),
            ("trigger_size", None),
            ("sample_probability", 1.0),
        ]

    def test_all_of_them_by_position(self, server: testing.Server) -> None:
        assert install(server.url, "me", "secret", 1000, 20, 3, {"a": 1}, 400, 50, 0.5) is True
        settings = influxdb.settings()
        expected = {
            "url": f"{server.url}/write",
            "auth_username": "me",
            "auth_password": "***",
            "submission_interval": 1000,
            "max_batch_size": 20,
            "max_clients": 3,
            "max_buffer_size": 400,
            "trigger_size": 50,
            "sample_probability": 0.5,
        }
        assert {name: settings[name] for name in expected} == expected
        assert settings["base_tags"] == {"hostname": socket.gethostname(), "a": "1"}

    def test_url_user_and_password_by_position(self, server: testing.Server) -> None:
        server.require_basic("me", "secret")
        install(server.url, "me", "secret")
        add()
        assert flush_sync()["delivered"] == 1

    def test_a_default_that_is_given_wins_over_the_environment(
        self, server: testing.Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("INFLUXDB_SAMPLE_PROBABILITY", "0")
        monkeypatch.setenv("INFLUXDB_TRIGGER_SIZE", "7")
        install(server.url, trigger_size=5_000, sample_probability=1.0)
        assert (influxdb.settings()["sample_probability"], influxdb.settings()["trigger_size"]) == (
            1.0,
            5_000,
        )

    def test_the_first_call_wins(
        self, server: testing.Server, caplog: pytest.LogCaptureFixture
    ) -> None:
        assert install(server.url) is True
        assert install("http://other:1") is False
        assert "installed already" in caplog.text
        assert influxdb.settings()["url"] == f"{server.url}/write"

    @pytest.mark.parametrize("value", ["false", "False", "0", "no", "OFF"])
    def test_a_variable_turns_it_off(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, value: str
    ) -> None:
        monkeypatch.setenv("INFLUXDB_ENABLED", value)
        assert install() is None
        assert "not enabled" in caplog.text
        add(2)
        assert (stats()["added"], stats()["dropped"]["disabled"]) == (2, 2)
        monkeypatch.setenv("INFLUXDB_ENABLED", "true")
        assert install() is True

    def test_io_loop_is_ignored_and_deprecated(self) -> None:
        with pytest.warns(DeprecationWarning, match="io_loop") as warnings:
            assert install(io_loop=object()) is True
        assert warnings[0].filename == __file__

    def test_new_options_are_keywords(self, server: testing.Server) -> None:
        install(
            server.url,
            api="v2",
            token="t",
            org="o",
            precision="ms",
            timeout=500,
            overflow="oldest",
            gzip=True,
        )
        add()
        flush_sync()
        [request] = server.writes()
        assert request.path == "/api/v2/write"
        assert (
            request.parameter("bucket"),
            request.parameter("org"),
            request.parameter("precision"),
        ) == (
            "db",
            "o",
            "ms",
        )
        assert request.header("authorization") == "Token t"
        settings = influxdb.settings()
        assert (settings["timeout"], settings["overflow"], settings["gzip"]) == (
            500,
            "oldest",
            True,
        )

    @pytest.mark.parametrize(
        ("argument", "value"),
        [
            ("url", "ftp://localhost"),
            ("auth_username", "with:colon"),
            ("auth_username", object()),
            ("submission_interval", -1),
            ("submission_interval", 0.5),
            ("max_batch_size", 0),
            ("max_clients", 0),
            ("base_tags", ["a"]),
            ("max_buffer_size", "many"),
            ("trigger_size", True),
            ("sample_probability", 1.5),
            ("timeout", 0),
            ("api", "v9"),
            ("host", "http://localhost"),
            ("nonsense", 1),
        ],
    )
    def test_a_wrong_argument_is_named(self, argument: str, value: Any) -> None:
        with pytest.raises(ValueError, match=argument):
            install(**{argument: value})
        assert install() is True, "nothing was installed"

    def test_a_wrong_argument_does_not_show_a_secret(self) -> None:
        with pytest.raises(ValueError, match="url") as caught:
            install("ftp://me:hunter2@localhost")
        assert "hunter2" not in str(caught.value)

    def test_base_tags(self, server: testing.Server) -> None:
        install(server.url, base_tags={"a": 1, "b": True, "none": None, "bad": "\ud800"})
        add()
        flush_sync()
        hostname = socket.gethostname()
        assert server.points()[0].tags == {
            "hostname": hostname,
            "a": "1",
            "b": "True",
            "bad": "\N{REPLACEMENT CHARACTER}",
        }


class TestEnvironment:
    def test_every_variable_of_2_2_1(
        self, server: testing.Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        variables = {
            "INFLUXDB_SCHEME": "http",
            "INFLUXDB_HOST": "127.0.0.1",
            "INFLUXDB_PORT": str(server.port),
            "INFLUXDB_USER": "me",
            "INFLUXDB_PASSWORD": "secret",
            "INFLUXDB_INTERVAL": "1000",
            "INFLUXDB_MAX_BATCH_SIZE": "20",
            "INFLUXDB_MAX_BUFFER_SIZE": "400",
            "INFLUXDB_SAMPLE_PROBABILITY": "0.5",
            "INFLUXDB_TRIGGER_SIZE": "50",
            "INFLUXDB_TAG_HOSTNAME": "No",
            "ENVIRONMENT": "staging",
        }
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        install()
        settings = influxdb.settings()
        expected = {
            "url": f"{server.url}/write",
            "auth_username": "me",
            "auth_password": "***",
            "submission_interval": 1000,
            "max_batch_size": 20,
            "max_buffer_size": 400,
            "sample_probability": 0.5,
            "trigger_size": 50,
            "base_tags": {"environment": "staging"},
        }
        assert {name: settings[name] for name in expected} == expected

    def test_an_argument_wins_over_a_variable_and_that_over_the_default(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("INFLUXDB_MAX_BATCH_SIZE", "20")
        monkeypatch.setenv("INFLUXDB_TRIGGER_SIZE", "50")
        install(max_batch_size=7)
        settings = influxdb.settings()
        assert (
            settings["max_batch_size"],
            settings["trigger_size"],
            settings["max_buffer_size"],
        ) == (7, 50, 25_000)

    @pytest.mark.parametrize(
        ("variable", "value"),
        [
            ("INFLUXDB_SCHEME", "gopher"),
            ("INFLUXDB_PORT", "many"),
            ("INFLUXDB_ENABLED", "perhaps"),
            ("INFLUXDB_INTERVAL", "1s"),
            ("INFLUXDB_MAX_BATCH_SIZE", "0"),
            ("INFLUXDB_MAX_BUFFER_SIZE", "-1"),
            ("INFLUXDB_SAMPLE_PROBABILITY", "2"),
            ("INFLUXDB_TRIGGER_SIZE", "1.5"),
            ("INFLUXDB_TAG_HOSTNAME", "2"),
        ],
    )
    @pytest.mark.parametrize("use", [install, add, influxdb.settings])
    def test_an_unreadable_variable_is_named(
        self, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, use: Callable[[], object]
    ) -> None:
        monkeypatch.setenv(variable, value)
        with pytest.raises(ValueError, match=f"{variable}: .*{value}.*expected"):
            use()

    def test_the_environment_is_that_of_the_installation(
        self, server: testing.Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        add()
        influxdb.set_max_batch_size(7)
        influxdb.set_max_batch_size(8)
        monkeypatch.setenv("INFLUXDB_URL", server.url)
        monkeypatch.setenv("INFLUXDB_TRIGGER_SIZE", "50")
        install()
        settings = influxdb.settings()
        assert (settings["trigger_size"], settings["max_batch_size"]) == (50, 8)
        assert flush_sync()["delivered"] == 1

    def test_the_defaults(self) -> None:
        install()
        settings = influxdb.settings()
        expected = {
            "url": "http://localhost:8086/write",
            "scheme": "http",
            "host": "localhost",
            "port": 8086,
            "auth_username": None,
            "auth_password": None,
            "enabled": True,
            "submission_interval": 60_000,
            "max_batch_size": 10_000,
            "max_buffer_size": 25_000,
            "max_buffer_bytes": 64 << 20,
            "trigger_size": 5_000,
            "overflow": "newest",
            "sample_probability": 1.0,
            "max_clients": 10,
            "api": "v1",
            "precision": "ns",
            "gzip": False,
            "timeout": 10_000,
            "shutdown_timeout": 5_000,
            "tag_hostname": True,
            "environment": None,
        }
        assert {name: settings[name] for name in expected} == expected

    @pytest.mark.parametrize(
        ("host", "scheme"), [("localhost", "http"), ("127.0.0.1", "http"), ("db", "https")]
    )
    def test_https_except_to_a_loopback_host(
        self, monkeypatch: pytest.MonkeyPatch, host: str, scheme: str
    ) -> None:
        monkeypatch.setenv("INFLUXDB_HOST", host)
        install()
        assert influxdb.settings()["scheme"] == scheme

    def test_a_trigger_size_beyond_the_buffer_is_lowered_with_a_warning(
        self, python: Callable[..., Any]
    ) -> None:
        done = python(
            "import sprockets_influxdb as s; s.install(trigger_size=60_000); print(s.settings())"
        )
        assert "'trigger_size': 25000" in done.stdout
        assert "lowered from 60000 to 25000" in done.stderr

    def test_the_password_is_masked(
        self, server: testing.Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        server.require_basic("me", "hunter2")
        monkeypatch.setenv("INFLUXDB_USER", "me")
        monkeypatch.setenv("INFLUXDB_PASSWORD", "hunter2")
        add()
        assert os.environ["INFLUXDB_PASSWORD"] == "XXXXXXX"
        install(server.url)
        assert os.environ["INFLUXDB_PASSWORD"] == "XXXXXXX"
        assert flush_sync()["delivered"] == 1
        assert "hunter2" not in repr(influxdb.settings())

    def test_a_child_process_gets_the_password(self, python: Callable[..., Any]) -> None:
        program = """
            import subprocess, sprockets_influxdb
            sprockets_influxdb.install()
            print(subprocess.check_output(["sh", "-c", "echo $INFLUXDB_PASSWORD"], text=True))
            """
        assert python(program, INFLUXDB_PASSWORD="secret").stdout.strip() == "secret"


class TestSetters:
    def test_auth_credentials(self, client: testing.Server) -> None:
        client.require_basic("me", "secret")
        in_a_thread(influxdb.set_auth_credentials, "me", "secret")
        add()
        assert flush_sync()["delivered"] == 1
        client.require_nothing()
        client.clear()
        influxdb.set_auth_credentials(None, None)
        add()
        flush_sync()
        assert client.writes()[0].header("authorization") is None

    def test_base_url(self, client: testing.Server) -> None:
        with testing.Server() as other:
            add()
            in_a_thread(influxdb.set_base_url, other.url)
            assert flush_sync()["delivered"] == 1
            assert (len(other.points()), len(client.points())) == (1, 0)

    def test_a_base_url_with_a_path_is_used_as_it_stands(self, client: testing.Server) -> None:
        client.write_path("/behind/a/proxy")
        influxdb.set_base_url(f"{client.url}/behind/a/proxy?key=value")
        add()
        flush_sync()
        [request] = client.writes()
        assert (request.path, request.parameter("key"), request.database) == (
            "/behind/a/proxy",
            "value",
            "db",
        )

    def test_max_batch_size(self, client: testing.Server) -> None:
        in_a_thread(influxdb.set_max_batch_size, 2)
        add(5)
        flush_sync()
        assert sorted(request.lines for request in client.writes()) == [1, 2, 2]

    def test_max_buffer_size(self, client: testing.Server) -> None:
        in_a_thread(influxdb.set_max_buffer_size, 3)
        client.inject_always(Fault.black_hole())
        add(5)
        assert (stats()["pending"], stats()["dropped"]["newest"]) == (3, 2)

    def test_max_clients(self, server: testing.Server) -> None:
        install(server.url, max_clients=1)
        server.inject(Fault.black_hole())
        add(database="stuck")
        flush_sync(0)
        server.wait_for_requests(1)
        add(database="db")
        flush_sync(0)
        assert influxdb.settings()["max_clients"] == 1
        in_a_thread(influxdb.set_max_clients, 2)
        server.wait_for_points(1, database="db")

    def test_sample_probability(self, client: testing.Server) -> None:
        in_a_thread(influxdb.set_sample_probability, 0)
        add(3)
        assert flush_sync() == {
            "delivered": 0,
            "rejected": 0,
            "sampled_out": 3,
            "dropped": 0,
            "pending": 0,
            "closed": 0,
        }
        influxdb.set_sample_probability(1.0)
        add(3)
        assert flush_sync()["delivered"] == 3
        for wrong in (-0.1, 1.1, float("nan")):
            with pytest.raises(ValueError, match="sample_probability"):
                influxdb.set_sample_probability(wrong)

    def test_timeout(self, server: testing.Server) -> None:
        install(server.url, submission_interval=HOUR)
        add()
        in_a_thread(influxdb.set_timeout, 1)
        server.wait_for_points(1)

    def test_trigger_size(self, server: testing.Server) -> None:
        install(server.url, submission_interval=HOUR)
        add(3)
        in_a_thread(influxdb.set_trigger_size, 3)
        server.wait_for_points(3)
        add(3)
        server.wait_for_points(6)

    @pytest.mark.parametrize(
        ("setter", "argument"),
        [
            (influxdb.set_base_url, "url"),
            (influxdb.set_max_batch_size, "max_batch_size"),
            (influxdb.set_max_buffer_size, "max_buffer_size"),
            (influxdb.set_max_clients, "max_clients"),
            (influxdb.set_timeout, "submission_interval"),
            (influxdb.set_trigger_size, "trigger_size"),
        ],
    )
    def test_a_wrong_value_is_an_error_and_changes_nothing(
        self, setter: Callable[[Any], None], argument: str
    ) -> None:
        install()
        before = influxdb.settings()
        for wrong in (-1, "?", object()):
            with pytest.raises(ValueError, match=argument):
                setter(wrong)
        assert influxdb.settings() == before

    def test_before_install(self, server: testing.Server) -> None:
        influxdb.set_base_url(server.url)
        influxdb.set_max_batch_size(1)
        assert install() is True
        add(2)
        flush_sync()
        assert len(server.writes()) == 2

    def test_deprecated_aliases(self, client: testing.Server) -> None:
        with pytest.warns(DeprecationWarning, match="set_max_clients"):
            influxdb.set_clients(4)
        assert influxdb.settings()["max_clients"] == 4
        with pytest.warns(DeprecationWarning, match="no effect"):
            influxdb.set_io_loop(object())

    def test_from_many_threads_at_once(self, client: testing.Server) -> None:
        def change(size: int) -> None:
            for _ in range(50):
                influxdb.set_max_batch_size(size)
                add()

        threads = [threading.Thread(target=change, args=(size,)) for size in range(1, 5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        flush_sync()
        assert (stats()["delivered"], influxdb.settings()["max_batch_size"] in range(1, 5)) == (
            200,
            True,
        )


class TestAdding:
    def test_a_measurement_is_not_consumed(self, client: testing.Server) -> None:
        one = measurement()
        influxdb.add_measurement(one)
        line = one.marshall()
        one.fields["n"] += 1
        influxdb.add_measurement(one)
        flush_sync()
        points = client.points()
        assert [point.fields for point in points] == [{"n": 1}, {"n": 2}]
        assert testing.parse(line) == points[:1]

    def test_without_a_field(self, client: testing.Server) -> None:
        with pytest.raises(ValueError, match="no field"):
            influxdb.add_measurement(Measurement("db", "m"))
        assert stats()["dropped"]["invalid"] == 1

    def test_only_measurements(self, client: testing.Server) -> None:
        with pytest.raises(TypeError):
            influxdb.add_measurement({"n": 1})  # type: ignore[arg-type]

    def test_before_install(self, server: testing.Server, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("INFLUXDB_URL", server.url)
        add()
        assert stats()["pending"] == 1
        assert install() is True
        assert flush_sync()["delivered"] == 1

    def test_while_stopping(self, client: testing.Server, caplog: pytest.LogCaptureFixture) -> None:
        influxdb.shutdown_sync()
        add()
        assert (stats()["delivered"], stats()["dropped"]["closed"]) == (0, 1)

    @pytest.mark.parametrize(
        ("reason", "program"),
        [
            ("disabled", "s.install(enabled=False); add()"),
            ("closed", "s.install(); s.shutdown_sync(); add()"),
            (
                "newest",
                "s.install('http://127.0.0.1:1', max_buffer_size=1, shutdown_timeout=0); "
                "add(); add()",
            ),
        ],
    )
    def test_what_is_discarded_is_logged(
        self, python: Callable[..., Any], reason: str, program: str
    ) -> None:
        python(
            f"""
            import logging, threading, sprockets_influxdb as s
            logged = threading.Event()
            class Handler(logging.Handler):
                def emit(self, record):
                    if "1 measurement was dropped ({reason})" in record.getMessage():
                        logged.set()
            logging.getLogger("sprockets_influxdb").addHandler(Handler())
            add = lambda: s.record("db", "m", {{}}, {{"n": 1}})
            {program}
            assert logged.wait(60)
            """
        )

    def test_a_full_buffer_of_the_oldest(self, server: testing.Server) -> None:
        install(server.url, max_buffer_size=3, max_clients=1, overflow="oldest")
        server.inject(Fault.black_hole())
        add()
        flush_sync(0)
        # What is on its way cannot be dropped.
        server.wait_for_requests(1)
        add(5)
        assert (stats()["pending"], stats()["dropped"]["oldest"], stats()["dropped"]["newest"]) == (
            3,
            3,
            0,
        )

    def test_a_full_buffer_that_blocks_lets_other_threads_run(self, server: testing.Server) -> None:
        install(server.url, max_buffer_size=1, overflow="block", block_timeout=HOUR)
        server.inject(Fault.black_hole())
        add()
        flush_sync(0)
        server.wait_for_requests(1)
        blocked = threading.Thread(target=add)
        blocked.start()
        server.clear_faults()
        blocked.join()
        server.wait_for_points(1)

    def test_from_threads_and_executors(self, client: testing.Server) -> None:
        async def main() -> None:
            loop = asyncio.get_running_loop()
            await asyncio.gather(*(loop.run_in_executor(None, add, 100) for _ in range(10)))

        asyncio.run(main())
        in_a_thread(add, 100)
        flush_sync()
        assert len(client.points()) == 1_100

    def test_in_one_call(self, client: testing.Server) -> None:
        record("db", "m", {"a": 1, "none": None, "empty": ""}, {"n": 1}, 1.5)
        record("db", "m", fields={"n": 2}, timestamp=3)
        record("db", None, None, {"n": 3}, 4)
        flush_sync()
        points = [(p.measurement, p.tags, p.fields, p.timestamp) for p in client.points()]
        assert points == [
            ("m", {"a": "1"}, {"n": 1}, 1_500_000_000),
            ("m", {}, {"n": 2}, 3_000_000_000),
            ("None", {}, {"n": 3}, 4_000_000_000),
        ]
        for wrong in ({}, {"n": None}, {"n": 2**64}, None):
            with pytest.raises(ValueError, match="field"):
                record("db", "m", {}, wrong)
        with pytest.raises(ValueError, match="timestamp"):
            record("db", "m", {}, {"n": 1}, float("inf"))


class TestFutures:
    def test_await_and_callbacks(self, client: testing.Server) -> None:
        async def main() -> None:
            called = asyncio.get_running_loop().create_future()
            add()
            flushed = influxdb.flush()
            assert tornado.concurrent.is_future(flushed)
            assert flushed.get_loop() is asyncio.get_running_loop()
            flushed.add_done_callback(lambda _: called.set_result(threading.current_thread()))
            assert await flushed is True
            assert await called is threading.main_thread()
            assert len(client.points()) == 1

        asyncio.run(main())

    def test_tornados_coroutines(self, client: testing.Server) -> None:
        @tornado.gen.coroutine
        def main() -> Any:
            add()
            result = yield influxdb.flush()
            return result

        with current_loop() as loop:
            assert loop.run_sync(main) is True
            flushed = influxdb.flush()
            loop.add_future(flushed, lambda _: loop.stop())
            loop.start()
            assert flushed.result() is True

    def test_several_loops_one_after_another(self, client: testing.Server) -> None:
        async def main() -> bool:
            add()
            return await influxdb.flush()

        assert [asyncio.run(main()), asyncio.run(main())] == [True, True]
        assert len(client.points()) == 2

    def test_before_the_loop_runs(self, client: testing.Server) -> None:
        with current_loop() as loop:
            add()
            flushed, shut_down = influxdb.flush(), influxdb.shutdown()
            asyncio_loop = loop.asyncio_loop  # type: ignore[attr-defined]
            assert asyncio_loop.run_until_complete(flushed) is True
            assert asyncio_loop.run_until_complete(shut_down) is True

    def test_false_when_the_shutdown_timeout_comes_first(self) -> None:
        install("http://127.0.0.1:1", shutdown_timeout=1)

        async def main() -> None:
            add()
            assert await influxdb.flush() is False
            assert await influxdb.shutdown() is False
            assert stats()["pending"] == 1

        asyncio.run(main())

    def test_rejected_is_decided(self, client: testing.Server) -> None:
        async def main() -> None:
            client.inject(Fault.error(400, "unable to parse"))
            add()
            assert await influxdb.flush() is True
            assert stats()["rejected"] == 1

        asyncio.run(main())

    def test_a_second_shutdown_is_the_same_future(self, client: testing.Server) -> None:
        async def main() -> None:
            shut_down = influxdb.shutdown()
            assert influxdb.shutdown() is shut_down
            await shut_down
            assert influxdb.shutdown() is shut_down

        asyncio.run(main())

    def test_a_shutdown_on_another_loop_is_that_loops_own(self, client: testing.Server) -> None:
        async def main() -> bool:
            return await influxdb.shutdown()

        assert [asyncio.run(main()), asyncio.run(main())] == [True, True]

    def test_a_flush_is_not_true_for_what_was_added_after_the_shutdown(
        self, client: testing.Server
    ) -> None:
        async def main() -> None:
            add()
            assert await influxdb.shutdown() is True
            assert await influxdb.flush() is True
            add(2)
            assert await influxdb.flush() is False

        asyncio.run(main())
        assert flush_sync()["closed"] == influxdb.shutdown_sync()["closed"] == 2
        assert (stats()["delivered"], stats()["dropped"]["closed"]) == (1, 2)

    def test_extra_arguments_are_ignored(self, client: testing.Server) -> None:
        async def main() -> None:
            assert await influxdb.flush(object(), 2) is True
            assert await influxdb.shutdown(object()) is True

        asyncio.run(main())

    def test_without_a_client(self) -> None:
        async def main() -> None:
            assert await influxdb.flush() is True
            assert await influxdb.shutdown() is True

        asyncio.run(main())
        assert stats()["added"] == 0

    def test_a_cancelled_future_harms_nobody(self, client: testing.Server) -> None:
        async def main() -> None:
            add()
            influxdb.flush().cancel()
            assert await influxdb.flush() is True

        asyncio.run(main())
        assert len(client.points()) == 1

    def test_a_closed_loop_begins_nothing(self, client: testing.Server) -> None:
        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        loop.close()
        try:
            for end in (influxdb.flush, influxdb.shutdown):
                with pytest.raises(RuntimeError, match="flush_sync"):
                    end()
        finally:
            asyncio.set_event_loop(None)
        add()
        assert flush_sync()["delivered"] == 1

    def test_many_at_once(self, client: testing.Server) -> None:
        async def main() -> None:
            add()
            assert await asyncio.gather(*(influxdb.flush() for _ in range(20))) == [True] * 20

        asyncio.run(main())


class TestBlocking:
    def test_a_flush_says_what_became_of_it(self, client: testing.Server) -> None:
        add(2)
        counts = {"rejected": 0, "sampled_out": 0, "dropped": 0, "pending": 0, "closed": 0}
        assert flush_sync() == {"delivered": 2, **counts}
        add(3)
        assert influxdb.shutdown_sync(timeout=30)["delivered"] == 3
        assert influxdb.shutdown_sync()["delivered"] == 0

    def test_the_timeout_is_heeded(self) -> None:
        install("http://127.0.0.1:1", shutdown_timeout=1)
        add()
        for end in (flush_sync, influxdb.shutdown_sync):
            assert end()["pending"] == end(0)["pending"] == end(timeout=0.001)["pending"] == 1

    def test_bad_timeouts(self) -> None:
        install()
        for end in (flush_sync, influxdb.shutdown_sync):
            with pytest.raises(ValueError, match="timeout is -1"):
                end(-1)

    def test_other_threads_run_meanwhile(self, client: testing.Server) -> None:
        client.inject(Fault.black_hole())
        add()
        flushing = threading.Thread(target=flush_sync, args=(60,))
        flushing.start()
        client.wait_for_requests(1)
        client.clear_faults()
        flushing.join()
        assert stats()["delivered"] == 1

    def test_without_a_client(self) -> None:
        assert flush_sync()["pending"] == influxdb.shutdown_sync()["pending"] == 0

    @pytest.mark.parametrize("end", [flush_sync, influxdb.shutdown_sync])
    def test_a_signal_ends_the_wait(
        self, client: testing.Server, end: Callable[[float], object]
    ) -> None:
        client.inject(Fault.black_hole())
        add()

        def interrupt() -> None:
            client.wait_for_requests(1)
            signal.raise_signal(signal.SIGINT)

        interrupting = threading.Thread(target=interrupt)
        interrupting.start()
        with pytest.raises(KeyboardInterrupt):
            end(3_600)
        interrupting.join()
        assert stats()["pending"] == 1
        client.clear_faults()


class TestCounters:
    def test_they_balance(self, server: testing.Server) -> None:
        install(server.url, max_buffer_size=10, trigger_size=1_000)

        def balance() -> dict[str, Any]:
            counters: dict[str, Any] = {**stats()}
            decided = (
                counters["delivered"]
                + counters["rejected"]
                + counters["sampled_out"]
                + sum(counters["dropped"].values())
            )
            assert counters["added"] == decided + counters["pending"]
            return counters

        server.inject_always(Fault.error(400, "unable to parse 'm'").for_database("bad"))
        add(2)
        add(1, "bad")
        balance()
        flush_sync()
        assert "unable to parse" in str(stats()["last_error"])
        record("db", "m", {}, {"n": float("nan")})
        record("db", "m", {"t\n": 1}, {"n": 1, "nan": float("nan")})
        with pytest.raises(ValueError, match="field"):
            record("db", "m")
        influxdb.set_sample_probability(0)
        flush_sync()
        influxdb.set_sample_probability(1)
        # A server that is up would make room for more.
        server.stop()
        add(15)
        balance()
        server.restart()
        influxdb.shutdown_sync()
        add()
        counters = balance()
        expected = {
            "added": 22,
            "delivered": 12,
            "rejected": 1,
            "sampled_out": 1,
            "pending": 0,
            "spooled": 0,
            "non_finite": 2,
            "repaired": 1,
        }
        assert {name: counters[name] for name in expected} == expected
        dropped = {reason: count for reason, count in counters["dropped"].items() if count}
        assert dropped == {"newest": 5, "invalid": 1, "non_finite": 1, "closed": 1}
        assert counters["batches"] >= 3
        assert counters["bytes_sent"] > 0

    def test_all_are_zero_before_there_is_a_client(self) -> None:
        counters = stats()
        assert (counters["added"], counters["last_error"], set(counters["dropped"].values())) == (
            0,
            None,
            {0},
        )


class TestSettings:
    def test_secrets_are_masked(self) -> None:
        install("http://me:hunter2@localhost:1/write?key=hunter2")
        settings = influxdb.settings()
        assert (settings["auth_username"], settings["auth_password"]) == ("me", "***")
        assert settings["url"] == "http://localhost:1/write?key=***"
        assert "hunter2" not in repr(settings)
        testing.reset()
        install(api="v2", token="hunter2", org="o")
        assert influxdb.settings()["token"] == "***"

    def test_whole_floats_are_numbers_too(self) -> None:
        install(submission_interval=1000.0)  # type: ignore[arg-type]
        influxdb.set_max_batch_size(20.0)  # type: ignore[arg-type]
        settings = influxdb.settings()
        assert (settings["submission_interval"], settings["max_batch_size"]) == (1000, 20)

    def test_whatever_it_shows_install_takes(self) -> None:
        install(max_batch_size=7, base_tags={"a": "b"}, retention_policy="year", precision="s")
        shown = influxdb.settings()
        testing.reset()
        assert install(**shown) is True
        assert influxdb.settings() == shown

    def test_install_takes_every_setting_by_name_and_type(self) -> None:
        # Unset settings have no type of their own: they are given a value here.
        texts = {"ca_file", "environment", "org", "retention_policy", "spool", "token"}
        settings = {**influxdb.settings(), **dict.fromkeys(texts, "")}
        positional = {
            name
            for name, parameter in inspect.signature(install).parameters.items()
            if parameter.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD
        }
        options = typing.get_type_hints(_client.Options)
        assert set(settings) == positional | set(options)
        for name, annotation in options.items():
            kinds = set()
            for kind in set(typing.get_args(annotation)) - {type(None)}:
                kinds |= {str} if typing.get_origin(kind) is typing.Literal else {kind}
            assert kinds == {type(settings[name])}, name
            assert f"``{name}``" in str(influxdb.install.__doc__)

    def test_base_tags_are_a_dict_of_its_own(self) -> None:
        install(base_tags={"a": "b,c=d"}, tag_hostname=False)
        influxdb.settings()["base_tags"]["x"] = "y"
        assert influxdb.settings()["base_tags"] == {"a": "b,c=d"}


class TestRealServer:
    def test_from_install_to_a_query(self, influxd: Any, database: str) -> None:
        install(influxd.url, base_tags={"region": "eu"}, tag_hostname=False)
        record(
            database,
            "m",
            {"t": "a b"},
            {"f": 1.5, "i": 2, "b": True, "s": 'a "b" \\'},
            1_700_000_000.123,
        )
        assert flush_sync() == {
            "delivered": 1,
            "rejected": 0,
            "sampled_out": 0,
            "dropped": 0,
            "pending": 0,
            "closed": 0,
        }
        [row] = influxd.query("SELECT * FROM m", database)
        expected = {"region": "eu", "t": "a b", "f": 1.5, "i": 2, "b": True, "s": 'a "b" \\'}
        assert row == {"time": 1_700_000_000_123_000_000, **expected}

    def test_a_missing_database_keeps_what_waits(self, influxd: Any, database: str) -> None:
        influxd.query(f'DROP DATABASE "{database}"')
        install(influxd.url)
        add(database=database)
        assert flush_sync(0.2)["pending"] == 1
        assert "does not exist" in (stats()["last_error"] or "")
        influxd.query(f'CREATE DATABASE "{database}"')
        assert flush_sync(30)["delivered"] == 1
