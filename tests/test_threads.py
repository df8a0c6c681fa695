"""The client in threads, and in greenlets of gevent."""

import textwrap

import pytest

from receiver import DEADLINE, NEEDS_GEVENT, Launch, Program, Receiver


@NEEDS_GEVENT
class TestGevent:
    """With everything patched, so that threads are greenlets."""

    def start(self, launch: Launch, program: str, **variables: str) -> Program:
        patched = "from gevent import monkey\nmonkey.patch_all()\nimport gevent\n"
        return launch(patched + textwrap.dedent(program), "-W", "ignore", **variables)

    @pytest.mark.parametrize(
        "ending", ["pass", "influxdb.flush_sync()", "influxdb.shutdown_sync()", "sys.exit()"]
    )
    def test_what_greenlets_add_arrives(
        self, receiver: Receiver, launch: Launch, ending: str
    ) -> None:
        self.start(
            launch,
            f"""
            def work():
                for _ in range(10):
                    add("m", 10)
                    gevent.sleep(0)
            gevent.joinall([gevent.spawn(work) for _ in range(20)], raise_error=True)
            {ending}
            """,
        ).end()
        assert receiver.arrived() == {"m": 2000}

    def test_who_waits_for_the_hub_does_not_wait_for_the_client(
        self, receiver: Receiver, launch: Launch
    ) -> None:
        self.start(launch, "add('m')\nassert gevent.wait()").end()
        assert receiver.arrived() == {"m": 1}

    def test_the_log_is_written_while_greenlets_go_on(
        self, receiver: Receiver, launch: Launch
    ) -> None:
        receiver.refusals = 10**6
        self.start(
            launch,
            """
            import logging
            from gevent.event import Event
            written = Event()
            class Handler(logging.Handler):
                def emit(self, record):
                    written.set()
            logging.getLogger("sprockets_influxdb").addHandler(Handler())
            add("m", 10)
            assert written.wait(30)
            """,
            INFLUXDB_TRIGGER_SIZE="10",
            INFLUXDB_SHUTDOWN_TIMEOUT="0",
        ).end()

    def test_a_thread_of_the_hub_may_flush_while_greenlets_go_on(
        self, receiver: Receiver, launch: Launch
    ) -> None:
        receiver.answers.clear()
        program = self.start(
            launch,
            """
            add("m", 3)
            flushing = gevent.get_hub().threadpool.spawn(influxdb.flush_sync)
            gevent.spawn(print, "going on").join()
            assert flushing.get()["delivered"] == 3
            """,
        )
        assert program.line() == "going on"
        receiver.answers.set()
        program.end()
        assert receiver.arrived() == {"m": 3}

    def test_a_child_of_a_fork_delivers_its_own(self, receiver: Receiver, launch: Launch) -> None:
        self.start(
            launch,
            """
            add("parent", 3)
            child = os.fork()
            if child:
                wait_for_children(child)
            else:
                gevent.joinall([gevent.spawn(add, "child", 2)], raise_error=True)
            """,
        ).end()
        assert receiver.arrived() == {"parent": 3, "child": 2}


class TestThreads:
    """Any thread adds."""

    def test_what_many_threads_add_arrives(self, receiver: Receiver, launch: Launch) -> None:
        launch(
            """
            threads = [threading.Thread(target=add, args=("m", 5000)) for _ in range(16)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            """,
            INFLUXDB_OVERFLOW="block",
            INFLUXDB_BLOCK_TIMEOUT=str(DEADLINE * 1000),
        ).end()
        assert receiver.arrived() == {"m": 80_000}

    def test_many_threads_may_be_the_first_to_add(self, receiver: Receiver, launch: Launch) -> None:
        program = """
            import gc
            sys.setswitchinterval(1e-6)
            # On some releases, making any object may run what is to be done when another goes.
            gc.set_threshold(1)
            barrier = threading.Barrier(16)
            def first():
                barrier.wait()
                add("m")
            threads = [threading.Thread(target=first) for _ in range(16)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        """
        for _ in range(5):
            launch(program).end()
        assert receiver.arrived() == {"m": 5 * 16}

    def test_what_is_recorded_may_record_while_it_is_turned_into_text(
        self, receiver: Receiver, launch: Launch
    ) -> None:
        launch("""
            class Tag:
                def __str__(self):
                    add("inner")
                    return "tag"
            for _ in range(5):
                influxdb.record(DATABASE, "outer", {"tag": Tag()}, {"number": 1})
        """).end()
        assert receiver.arrived() == {"inner": 5, "outer": 5}
