"""``flush()``, ``shutdown()`` and their blocking forms."""

import asyncio
import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import tornado.concurrent
import tornado.gen
import tornado.ioloop

import sprockets_influxdb as influxdb
from measurements import add
from sprockets_influxdb import flush_sync, install, stats, testing
from sprockets_influxdb.testing import Fault


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
