"""The client in event loops: asyncio, uvloop and Tornado."""

import importlib.util
import textwrap

import pytest

from receiver import Launch, Program, Receiver

NEEDS_UVLOOP = pytest.mark.skipif(
    importlib.util.find_spec("uvloop") is None, reason="there is no uvloop here"
)


@pytest.mark.parametrize("loop", ["asyncio", pytest.param("uvloop", marks=NEEDS_UVLOOP)])
class TestLoops:
    """Adds, flushes and shutdowns with no event loop, several, one after another, in another
    thread, and a closed one.
    """

    def start(
        self, launch: Launch, loop: str, program: str, *options: str, **variables: str
    ) -> Program:
        beginning = "import asyncio\n"
        if loop == "uvloop":
            beginning += "import uvloop\nasyncio.set_event_loop_policy(uvloop.EventLoopPolicy())\n"
        return launch(beginning + textwrap.dedent(program), *options, **variables)

    def test_asyncio_run_may_be_called_twice(
        self, receiver: Receiver, launch: Launch, loop: str
    ) -> None:
        self.start(
            launch,
            loop,
            """
            async def main(count):
                add("m", count)
                assert await influxdb.flush()
                assert influxdb.stats()["delivered"] == influxdb.stats()["added"]
            add("m", 1)
            asyncio.run(main(2))
            asyncio.run(main(3))
            async def last():
                add("m", 4)
                assert await influxdb.shutdown()
                assert influxdb.stats()["pending"] == 0
            asyncio.run(last())
            """,
        ).end()
        assert receiver.arrived() == {"m": 10}

    def test_several_loops_may_follow_one_another(
        self, receiver: Receiver, launch: Launch, loop: str
    ) -> None:
        self.start(
            launch,
            loop,
            """
            futures = []
            for number in range(5):
                loop = asyncio.new_event_loop()
                asyncio.set_event_loop(loop)
                add("m")
                async def main():
                    futures.append(influxdb.shutdown() if number == 4 else influxdb.flush())
                    return await futures[-1]
                assert loop.run_until_complete(main())
                assert futures[-1].get_loop() is loop
                loop.close()
            """,
        ).end()
        assert receiver.arrived() == {"m": 5}

    def test_a_second_shutdown_is_the_same_future_and_on_another_loop_another(
        self, receiver: Receiver, launch: Launch, loop: str
    ) -> None:
        self.start(
            launch,
            loop,
            """
            async def main():
                shutdown = influxdb.shutdown("an application", "and its loop")
                assert influxdb.shutdown() is shutdown
                assert await shutdown
                assert influxdb.shutdown() is shutdown
                return shutdown
            add("m")
            assert asyncio.run(main()) is not asyncio.run(main())
            """,
        ).end()
        assert receiver.arrived() == {"m": 1}

    def test_a_future_that_is_cancelled_costs_no_measurement(
        self, receiver: Receiver, launch: Launch, loop: str
    ) -> None:
        receiver.answers.clear()
        program = self.start(
            launch,
            loop,
            """
            async def main():
                add("m", 3)
                for begin in influxdb.flush, influxdb.shutdown:
                    future = begin()
                    try:
                        await asyncio.wait_for(future, 0.01)
                    except asyncio.TimeoutError:
                        assert future.cancelled()
                print("cancelled")
                assert await influxdb.shutdown()
            asyncio.run(main())
            """,
        )
        assert program.line() == "cancelled"
        receiver.answers.set()
        program.end()
        assert receiver.arrived() == {"m": 3}

    def test_a_loop_may_be_closed_before_its_flush_is_done(
        self, receiver: Receiver, launch: Launch, loop: str
    ) -> None:
        receiver.answers.clear()
        program = self.start(
            launch,
            loop,
            """
            import gc, signal
            # A process may choose to die of what is written to nobody.
            signal.signal(signal.SIGPIPE, signal.SIG_DFL)
            async def main():
                add("m", 3)
                influxdb.flush()
            for _ in range(3):
                asyncio.run(main())
            gc.collect()
            print("closed")
            assert influxdb.flush_sync()["pending"] == 0
            assert influxdb.stats()["delivered"] == 9
            """,
        )
        assert program.line() == "closed"
        receiver.answers.set()
        program.end()
        assert receiver.arrived() == {"m": 9}

    def test_a_loop_may_run_in_any_thread(
        self, receiver: Receiver, launch: Launch, loop: str
    ) -> None:
        self.start(
            launch,
            loop,
            """
            async def main(count):
                add("m", count)
                assert await influxdb.flush()
            threads = [threading.Thread(target=lambda: asyncio.run(main(5))) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            def shut_down():
                assert asyncio.run(last())
                print("shut down")
            async def last():
                add("m", 5)
                return await influxdb.shutdown()
            thread = threading.Thread(target=shut_down)
            thread.start()
            thread.join()
            """,
        ).end()
        assert receiver.arrived() == {"m": 25}

    def test_adding_needs_no_loop(self, receiver: Receiver, launch: Launch, loop: str) -> None:
        self.start(
            launch,
            loop,
            """
            import concurrent.futures
            add("before", 3)
            threads = [threading.Thread(target=add, args=("thread", 3)) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            with concurrent.futures.ThreadPoolExecutor(4) as executor:
                list(executor.map(lambda _: add("executor", 3), range(4)))
            async def main():
                loop = asyncio.get_running_loop()
                run = loop.run_in_executor
                await asyncio.gather(*(run(None, add, "executor-of-loop", 3) for _ in range(4)))
                add("loop", 3)
            asyncio.run(main())
            add("after", 3)
            """,
        ).end()
        twelve = {"thread": 12, "executor": 12, "executor-of-loop": 12}
        assert receiver.arrived() == {"before": 3, **twelve, "loop": 3, "after": 3}

    def test_a_loop_may_be_stopped_right_after_shutdown(
        self, receiver: Receiver, launch: Launch, loop: str
    ) -> None:
        self.start(
            launch,
            loop,
            """
            from tornado import ioloop
            # uvloop makes none by itself, nor does the oldest Tornado.
            asyncio.set_event_loop(asyncio.new_event_loop())
            io_loop = ioloop.IOLoop.current()
            influxdb.install()
            add("m", 5)
            def stop():
                influxdb.shutdown()
                io_loop.stop()
            io_loop.add_callback(stop)
            io_loop.start()
            """,
        ).end()
        assert receiver.arrived() == {"m": 5}

    def test_while_the_server_is_down_futures_come_to_their_end(
        self, receiver: Receiver, launch: Launch, loop: str
    ) -> None:
        receiver.answers.clear()
        self.start(
            launch,
            loop,
            """
            async def main():
                add("m", 5)
                assert await influxdb.flush() is False
                assert await influxdb.shutdown() is False
                assert influxdb.stats()["pending"] == 5
            asyncio.run(main())
            """,
            INFLUXDB_SHUTDOWN_TIMEOUT="200",
        ).end()

    def test_done_callbacks_run_on_the_loop_that_goes_on_meanwhile(
        self, receiver: Receiver, launch: Launch, loop: str
    ) -> None:
        receiver.answers.clear()
        program = self.start(
            launch,
            loop,
            """
            async def main():
                add("m", 5)
                called = asyncio.Event()
                where = []
                def done(future):
                    where.append((threading.current_thread(), asyncio.get_running_loop()))
                    called.set()
                future = influxdb.flush()
                future.add_done_callback(done)
                for _ in range(100):
                    await asyncio.sleep(0)
                assert not future.done()
                print("going on")
                await called.wait()
                assert where == [(threading.current_thread(), asyncio.get_running_loop())]
            asyncio.run(main())
            """,
        )
        assert program.line() == "going on"
        receiver.answers.set()
        program.end()
        assert receiver.arrived() == {"m": 5}
