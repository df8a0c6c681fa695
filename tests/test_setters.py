"""The functions ``set_*``, compatible with release 2.2.1."""

import threading
from collections.abc import Callable
from typing import Any

import pytest

import sprockets_influxdb as influxdb
from measurements import HOUR, add, in_a_thread
from sprockets_influxdb import flush_sync, install, stats, testing
from sprockets_influxdb.testing import Fault


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
