"""``sprockets_influxdb.testing``, as users test their own code with it."""

import itertools
import os
import signal
import threading

import pytest

import sprockets_influxdb
from programs import DEADLINE, wait_until
from sprockets_influxdb import (
    Measurement,
    add_measurement,
    flush_sync,
    install,
    record,
    stats,
    testing,
)
from sprockets_influxdb.testing import Fault, Point

pytest_plugins = ["pytester"]


def job(rows: int = 1) -> None:
    record("example", "job", {"queue": "mail"}, {"rows": rows})


def test_points_have_the_types_that_were_stored(client: testing.Server) -> None:
    fields: dict[str, float | int | bool | str] = {"f": 1.0, "i": 1, "b": True, "s": "1"}
    record("example", "types", {"tag": "a b,c=d"}, fields, 1_700_000_000.25)
    flush_sync()
    assert client.points("example") == [
        Point("types", {"tag": "a b,c=d"}, fields, 1_700_000_000_250_000_000)
    ]
    [point] = client.points()
    assert {name: type(value) for name, value in point.fields.items()} == {
        "f": float,
        "i": int,
        "b": bool,
        "s": str,
    }


def test_points_of_all_databases_or_of_one(client: testing.Server) -> None:
    for database in ("b", "a", "b"):
        record(database, "m", fields={"n": 1})
    flush_sync()
    assert client.databases() == ["a", "b"]
    assert (len(client.points()), len(client.points("b")), client.points("c")) == (3, 2, [])
    assert client.lines_received("b") == 2


def test_waiting_ends_when_the_points_are_there(client: testing.Server) -> None:
    def record_a_job() -> None:
        job()
        flush_sync()

    recording = threading.Thread(target=record_a_job)
    recording.start()
    [point] = client.wait_for_points(1, timeout=30, database="example")
    recording.join()
    assert point.tags == {"queue": "mail"}


def test_waiting_in_vain_says_what_came_instead(client: testing.Server) -> None:
    with pytest.raises(TimeoutError, match=r"0 of 1 points after 0 s; there was no request"):
        client.wait_for_points(1, timeout=0)
    client.inject(Fault.error(400, "unable to parse"))
    job()
    flush_sync()
    with pytest.raises(
        TimeoutError, match=r"0 of 1 points after 0 s; .*POST /write 400.*unable to parse"
    ):
        client.wait_for_points(1, timeout=0, database="example")
    with pytest.raises(TimeoutError, match=r"fewer than 9 requests after 0 s; .*POST /write 400"):
        client.wait_for_requests(9, timeout=0)
    for wait in (client.wait_for_points, client.wait_for_requests):
        with pytest.raises(ValueError, match="timeout is -1"):
            wait(1, timeout=-1)


def test_a_wait_can_be_interrupted(server: testing.Server) -> None:
    def interrupt(*_: object) -> None:
        raise InterruptedError

    before = signal.signal(signal.SIGUSR1, interrupt)
    try:
        threading.Timer(0, os.kill, (os.getpid(), signal.SIGUSR1)).start()
        server.wait_for_points(1, timeout=60)
    except InterruptedError:
        pass
    else:
        pytest.fail("nothing interrupted it")
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_requests_are_recorded(server: testing.Server) -> None:
    install(server.url, "me", "secret")
    job()
    flush_sync()
    [request] = server.writes()
    assert request == server.requests()[0] == server.wait_for_requests(1)[0]
    assert (request.method, request.path, request.database, request.status) == (
        "POST",
        "/write",
        "example",
        204,
    )
    assert request.parameter("precision") == "ns"
    assert request.parameter("nothing") is None
    assert (
        request.header("Authorization") == request.header("authorization") == "Basic bWU6c2VjcmV0"
    )
    assert request.header("nothing") is None
    assert request.text.startswith("job,")
    assert request.body == request.text.encode()
    assert (request.lines, request.wire_length) == (1, len(request.body))
    assert server.connections() == 1
    server.clear()
    assert (server.requests(), server.points(), server.connections()) == ([], [], 0)


@pytest.mark.parametrize(
    "fault",
    [
        Fault.status(503, "busy").header("X-Reason", "test").retry_after(0),
        Fault.error(500, "timeout"),
        Fault.oversized(503, 100_000),
        Fault.unparsable_header(),
        Fault.raw("not HTTP\r\n\r\n"),
        Fault.raw(b"\x00\xff"),
        Fault.close(),
        Fault.half_close(),
        Fault.reset(),
        Fault.reset("before_body"),
        Fault.reset("mid_body"),
        Fault.status(503, b"a whole reply").truncated(),
        Fault.error(503, "before").before_body(),
        Fault.error(503, "again").times(2),
        Fault.error(503, "this database").for_database("example"),
        Fault.error(503, "this text").when_body_contains("queue=mail"),
        Fault.reset().and_store(),
        Fault.delay(0.001),
        Fault.drip(0.0001),
        Fault.error(503, "late").after(0.001).dripping(0.0001),
    ],
    ids=repr,
)
def test_no_fault_costs_a_point(client: testing.Server, fault: Fault) -> None:
    client.inject(fault)
    job()
    wait_until(lambda: flush_sync(0.1)["pending"] == 0)
    assert [point.fields for point in client.points("example")] == [{"rows": 1}]
    assert stats()["delivered"] == 1


def test_a_fault_fits_only_what_it_is_for(client: testing.Server) -> None:
    client.inject_always(Fault.error(400, "no").for_database("other"))
    client.inject_always(Fault.reject_lines("rows=2i"))
    job(1)
    job(2)
    flush_sync()
    assert [point.fields["rows"] for point in client.points()] == [1]
    assert stats()["rejected"] == 1
    client.clear_faults()
    job(2)
    flush_sync()
    assert len(client.points()) == 2


def test_a_black_hole_ends_when_the_faults_are_cleared(client: testing.Server) -> None:
    client.inject_always(Fault.black_hole())
    job()
    assert flush_sync(timeout=0)["pending"] == 1
    client.wait_for_requests(1)
    client.clear_faults()
    client.wait_for_points(1)


def test_bad_arguments_of_faults() -> None:
    with pytest.raises(
        ValueError, match='stage is "late": expected before_body, mid_body or before_reply'
    ):
        Fault.reset("late")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="seconds is -1"):
        Fault.delay(-1)


def test_the_servers_own_rules(server: testing.Server) -> None:
    calls = itertools.count()

    def status(path: str = "") -> int | None:
        # A client that is reset may still retry. The policy tells its requests from the new ones.
        policy = f"call-{next(calls)}"
        testing.reset()
        install(server.url + path, retention_policy=policy)
        job()
        flush_sync(0)
        for count in itertools.count(1):
            for request in server.wait_for_requests(count):
                if request.parameter("rp") == policy:
                    return request.status
        raise AssertionError

    server.require_basic("me", "secret")
    assert status() == 401
    server.require_token("token")
    assert status() == 401
    server.require_nothing()
    server.only_databases(["other"])
    assert status() == 404
    server.any_database()
    server.max_body_size(1)
    assert status() == 413
    server.max_body_size(None)
    assert status() == 204
    assert status("/behind/a/proxy") == 404
    server.write_path("/behind/a/proxy")
    assert status("/behind/a/proxy") == 204


def test_a_server_goes_down_and_comes_up_again(client: testing.Server) -> None:
    port = client.port
    client.stop()
    job()
    assert flush_sync(0)["pending"] == 1
    client.restart()
    assert client.port == port
    assert flush_sync(30)["pending"] == 0
    assert repr(client) == f"<Server http://127.0.0.1:{port}>"


def test_the_server_of_a_forked_process_is_still_its_parents(server: testing.Server) -> None:
    child = os.fork()
    if child == 0:
        server.stop()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    install(server.url)
    job()
    assert flush_sync()["delivered"] == 1


def test_parsing_lines() -> None:
    measurement = Measurement("example", "job")
    measurement.set_tag("queue", "mail")
    measurement.set_field("rows", 3)
    measurement.set_timestamp(1)
    assert testing.parse(measurement.marshall()) == [
        Point("job", {"queue": "mail"}, {"rows": 3}, 1_000_000_000)
    ]
    with pytest.raises(ValueError, match="missing"):
        testing.parse("job")


def test_reset_is_the_state_before_install(server: testing.Server) -> None:
    assert install(server.url, base_tags={"a": 1}, max_batch_size=7)
    sprockets_influxdb.set_trigger_size(9)
    job()
    flush_sync()
    assert Measurement("d", "m").tags["a"] == "1"
    testing.reset()
    assert stats()["added"] == 0
    assert Measurement("d", "m").tags == {}
    assert install(server.url)
    settings = sprockets_influxdb.settings()
    assert (settings["max_batch_size"], settings["trigger_size"], "a" in settings["base_tags"]) == (
        10_000,
        5_000,
        False,
    )


def test_reset_forgets_what_was_set_before_install() -> None:
    sprockets_influxdb.set_trigger_size(9)
    testing.reset()
    install()
    assert sprockets_influxdb.settings()["trigger_size"] == 5_000


def test_reset_does_not_wait_for_a_server_that_does_not_answer(client: testing.Server) -> None:
    client.inject_always(Fault.black_hole())
    install(client.url, shutdown_timeout=3_600_000)
    add_measurement(_measurement())
    assert flush_sync(0)["pending"] == 1
    client.wait_for_requests(1)

    # A reset that waited for the reply would do so for an hour.
    resetting = threading.Thread(target=testing.reset, daemon=True)
    resetting.start()
    resetting.join(DEADLINE)
    assert not resetting.is_alive()
    assert stats()["pending"] == 0


def _measurement() -> Measurement:
    measurement = Measurement("d", "m")
    measurement.set_field("n", 1)
    return measurement


def test_the_fixture_takes_what_the_code_under_test_records(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import sprockets_influxdb

        def test_without_install(influxdb):
            sprockets_influxdb.record("example", "job", {}, {"rows": 3})
            [point] = influxdb.wait_for_points(1)
            assert point.fields == {"rows": 3}

        def test_with_install(influxdb):
            assert sprockets_influxdb.install() is True
            assert influxdb.points() == []
            sprockets_influxdb.record("example", "job", {}, {"rows": 4})
            assert influxdb.wait_for_points(1)[0].fields == {"rows": 4}

        def test_then_there_is_no_client():
            assert sprockets_influxdb.stats()["added"] == 0
        """
    )
    pytester.runpytest_subprocess("--fixtures").stdout.fnmatch_lines(
        ["influxdb*", "*A scripted InfluxDB*"]
    )
    pytester.runpytest_subprocess().assert_outcomes(passed=3)


@pytest.mark.parametrize(
    ("fault", "counted"),
    [
        (Fault.delay(0.2), (1, 0)),
        (Fault.status(204).and_store().after(0.2), (1, 0)),
        (Fault.status(503), (1, 1)),
        (Fault.reset("before_reply"), (1, 1)),
    ],
)
def test_wait_for_points_returns_when_the_client_has_counted_them(
    server: testing.Server, fault: Fault, counted: tuple[int, int]
) -> None:
    server.inject(fault)
    install(server.url, trigger_size=1)
    add_measurement(_measurement())
    server.wait_for_points(1)
    assert (stats()["delivered"], stats()["retries"]) == counted


def test_a_test_that_configures_no_server_writes_nowhere(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import sprockets_influxdb as influxdb
        from sprockets_influxdb import testing

        def test_without_a_server():
            influxdb.record("example", "job", {}, {"rows": 3})
            assert influxdb.stats()["dropped"]["disabled"] == 1
            assert influxdb.install() is None
            testing.reset()

        def test_install_with_a_server():
            with testing.Server() as server:
                assert influxdb.install(server.url) is True
                influxdb.record("example", "job", {}, {"rows": 3})
                assert influxdb.flush_sync()["delivered"] == 1
                testing.reset()

        def test_a_url_that_is_set(monkeypatch):
            with testing.Server() as server:
                influxdb.record("example", "job", {}, {"rows": 3})
                influxdb.set_base_url(server.url)
                influxdb.record("example", "job", {}, {"rows": 3})
                assert influxdb.flush_sync()["delivered"] == 1
                testing.reset()
                monkeypatch.setenv("INFLUXDB_HOST", "127.0.0.1")
                monkeypatch.setenv("INFLUXDB_PORT", str(server.port))
                influxdb.record("example", "job", {}, {"rows": 3})
                assert influxdb.flush_sync()["delivered"] == 1
                testing.reset()

        def test_install_with_a_variable(monkeypatch):
            monkeypatch.setenv("INFLUXDB_ENABLED", "true")
            assert influxdb.install() is True
            testing.reset()

        def test_the_fixture(influxdb):
            import sprockets_influxdb
            sprockets_influxdb.record("example", "job", {}, {"rows": 3})
            influxdb.wait_for_points(1)
        """
    )
    pytester.runpytest_subprocess().assert_outcomes(passed=5)


def test_the_fixture_takes_what_clients_record_that_are_made_at_import(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    # It is that of this test, which the tests below are not in.
    monkeypatch.delenv("PYTEST_CURRENT_TEST")
    pytester.makepyfile(
        application="""
        import sprockets_influxdb
        from sprockets_influxdb import Client

        sprockets_influxdb.install(database="example", base_tags={"service": "hello"})
        client = Client(database="own")
        users = client.series("users", tags=("role",))
        """
    )
    pytester.makepyfile(
        """
        import pytest
        import sprockets_influxdb
        from application import client, users

        @pytest.mark.parametrize("n", [1, 2])
        def test_they_write_to_the_server_of_each_test(influxdb, n):
            client.record("job", {"queue": "mail"}, {"n": n})
            users(role="admin", n=n)
            sprockets_influxdb.record("jobs", {}, {"n": n})
            points = influxdb.wait_for_points(3)
            assert [point.fields["n"] for point in points] == [n] * 3
            assert influxdb.databases() == ["example", "own"]
            [point] = influxdb.points("example")
            assert point.tags["service"] == "hello"

        def test_install_has_precedence(influxdb):
            assert sprockets_influxdb.install(database="other") is True
            sprockets_influxdb.record("jobs", {}, {"n": 1})
            influxdb.wait_for_points(1, database="other")

        def test_what_a_test_leaves(influxdb):
            influxdb.stop()
            client.record("left", {}, {"n": 1})

        def test_is_not_in_the_next(influxdb):
            client.record("job", {}, {"n": 1})
            assert client.flush_sync()["pending"] == 0
            assert [point.measurement for point in influxdb.points()] == ["job"]

        def test_afterwards_they_are_disabled_again():
            assert repr(client).endswith(": disabled>")
            client.record("job", {}, {"n": 1})
            sprockets_influxdb.record("jobs", {}, {"n": 1})
            assert sprockets_influxdb.stats()["dropped"]["disabled"] == 1
        """
    )
    pytester.runpytest_subprocess().assert_outcomes(passed=6)


@pytest.mark.parametrize("place", ["test", "fixture"])
def test_the_fixture_takes_what_is_made_by_an_import_within_a_test(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    monkeypatch.delenv("PYTEST_CURRENT_TEST")
    pytester.makepyfile(
        application="""
        import sprockets_influxdb
        from sprockets_influxdb import Client

        sprockets_influxdb.install(database="example")
        client = Client(database="own")

        def run(n):
            client.record("job", {}, {"n": n})
            sprockets_influxdb.record("jobs", {}, {"n": n})
        """
    )
    fixture = """
        @pytest.fixture
        def run(influxdb):
            from application import run
            return run
    """
    within = """
        @pytest.fixture
        def run():
            def run(n):
                import application
                application.run(n)
            return run
    """
    pytester.makepyfile(
        f"""
        import pytest
        {fixture if place == "fixture" else within}
        @pytest.mark.parametrize("n", [1, 2, 3])
        def test_it_writes_to_the_server_of_each_test(influxdb, run, n):
            run(n)
            assert [point.fields["n"] for point in influxdb.wait_for_points(2)] == [n] * 2
            assert influxdb.databases() == ["example", "own"]

        def test_afterwards_it_is_disabled():
            import application
            import sprockets_influxdb
            assert repr(application.client).endswith(": disabled>")
            application.run(4)
            assert sprockets_influxdb.stats()["dropped"]["disabled"] == 1
        """
    )
    pytester.runpytest_subprocess().assert_outcomes(passed=4)


def test_a_wait_in_vain_names_a_client_that_writes_elsewhere(server: testing.Server) -> None:
    elsewhere = rf"a client writes to http://127.0.0.1:1/write: give it {server.url}"
    with (
        sprockets_influxdb.Client("http://127.0.0.1:1"),
        pytest.raises(TimeoutError, match=elsewhere),
    ):
        server.wait_for_points(1, timeout=0)
    disabled = r'a client is disabled: make it with url="http'
    with sprockets_influxdb.Client(enabled=False), pytest.raises(TimeoutError, match=disabled):
        server.wait_for_points(1, timeout=0)
