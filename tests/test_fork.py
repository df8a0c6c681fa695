"""Forks and children of multiprocessing: each process delivers its own measurements, once."""

import sys

import pytest

from receiver import PROCESSES, Launch, Receiver

START_METHODS = pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])


class TestFork:
    """After ``os.fork()`` each side delivers what was added on its side, once."""

    @pytest.mark.parametrize(
        ("ending", "arrives"),
        [
            ("pass", 10),
            ("sys.exit()", 10),
            ("influxdb.shutdown_sync(); os._exit(0)", 10),
            ("influxdb.flush_sync(); os._exit(0)", 10),
            ("os._exit(0)", 0),
        ],
    )
    @pytest.mark.parametrize("install", ["before", "after", "never"])
    def test_a_child_starts_empty_and_delivers_its_own(
        self, receiver: Receiver, launch: Launch, ending: str, arrives: int, install: str
    ) -> None:
        launch(f"""
            if {install!r} == "before":
                assert influxdb.install()
            if {install!r} != "after":
                add("parent", 100)
            child = os.fork()
            if {install!r} == "after":
                assert influxdb.install()
            if child == 0:
                assert influxdb.stats()["added"] == influxdb.stats()["pending"] == 0
                add("child", 10)
                assert influxdb.stats()["added"] == 10
                {ending}
            else:
                wait_for_children(child)
                if {install!r} == "after":
                    add("parent", 100)
                assert influxdb.stats()["added"] == influxdb.stats()["pending"] == 100
        """).end()
        assert receiver.arrived() == {"parent": 100} | ({"child": arrives} if arrives else {})

    def test_installing_before_a_fork_leaves_the_process_with_one_thread(
        self, receiver: Receiver, launch: Launch
    ) -> None:
        # Python 3.12 and later warn of a fork in a process with several threads. The warning makes
        # this program fail.
        launch(
            """
            influxdb.install(trigger_size=10**6)
            influxdb.settings(), influxdb.stats(), influxdb.flush_sync()
            influxdb.set_timeout(10**6)
            influxdb.Measurement(DATABASE, "not added").set_field("number", 1)
            for depth in range(3):
                child = os.fork()
                if child:
                    wait_for_children(child)
                    break
            add(f"depth-{depth}")
            """,
            "-W",
            "error",
        ).end()
        assert receiver.arrived() == {"depth-0": 1, "depth-1": 1, "depth-2": 2}

    def test_forks_under_load_lose_nothing_and_send_nothing_twice(
        self, receiver: Receiver, launch: Launch
    ) -> None:
        stdout, _ = launch(
            """
            is_over = threading.Event()
            added = []
            def go_on():
                count = 0
                while not is_over.is_set():
                    add("parent", 10)
                    count += 10
                added.append(count)
            threads = [threading.Thread(target=go_on) for _ in range(4)]
            for thread in threads:
                thread.start()
            for number in range(50):
                child = os.fork()
                if child == 0:
                    add("child", 7)
                    if number % 2:
                        os._exit(influxdb.shutdown_sync()["pending"])
                    sys.exit()
                wait_for_children(child)
            is_over.set()
            for thread in threads:
                thread.join()
            print(sum(added))
            """,
            "-W",
            "ignore",
            INFLUXDB_TRIGGER_SIZE="500",
            INFLUXDB_OVERFLOW="block",
        ).end()
        assert receiver.arrived() == {"parent": int(stdout), "child": 50 * 7}

    def test_requests_that_wait_at_a_fork_arrive_once(
        self, receiver: Receiver, launch: Launch
    ) -> None:
        launch(
            """
            influxdb.install(trigger_size=10**6)
            serve("parent", 100)
            child = os.fork()
            if child == 0:
                assert influxdb.stats()["added"] == influxdb.stats()["pending"] == 0
                serve("child", 10)
                assert influxdb.stats()["pending"] == 10
            else:
                serve("parent", 50)
                wait_for_children(child)
                assert influxdb.stats()["pending"] == 150
            """,
            "-W",
            "ignore",
            INFLUXDB_INTERVAL="600000",
        ).end()
        assert receiver.arrived() == {"parent": 150, "child": 10}

    def test_a_child_may_fork_on(self, receiver: Receiver, launch: Launch) -> None:
        launch(
            """
            for generation in range(5):
                add(f"generation-{generation}", generation + 1)
                child = os.fork()
                if child:
                    wait_for_children(child)
                    break
            """,
            "-W",
            "ignore",
        ).end()
        assert receiver.arrived() == {
            f"generation-{generation}": generation + 1 for generation in range(5)
        }

    def test_a_thread_may_fork(self, receiver: Receiver, launch: Launch) -> None:
        launch(
            """
            add("parent", 3)
            def fork():
                child = os.fork()
                if child:
                    wait_for_children(child)
                else:
                    add("child", 2)
                    os._exit(influxdb.shutdown_sync()["pending"])
            thread = threading.Thread(target=fork)
            thread.start()
            thread.join()
            """,
            "-W",
            "ignore",
        ).end()
        assert receiver.arrived() == {"parent": 3, "child": 2}

    def test_a_child_has_shutdown_futures_of_its_own(
        self, receiver: Receiver, launch: Launch
    ) -> None:
        launch(
            """
            from tornado import ioloop
            add("parent", 3)
            loop = ioloop.IOLoop.current()
            shutdown = influxdb.shutdown()
            child = os.fork()
            if child:
                wait_for_children(child)
                assert influxdb.shutdown() is shutdown
                assert loop.run_sync(lambda: shutdown)
            else:
                # The parent's loop is not to be used here: its selector is shared.
                import asyncio
                asyncio.set_event_loop(asyncio.new_event_loop())
                add("child", 2)
                assert influxdb.shutdown() is not shutdown
                assert ioloop.IOLoop.current().run_sync(influxdb.shutdown)
                os._exit(influxdb.stats()["pending"])
            """,
            "-W",
            "ignore",
        ).end()
        assert receiver.arrived() == {"parent": 3, "child": 2}

    def test_a_child_of_a_client_that_was_shut_down_has_one_that_is_not(
        self, receiver: Receiver, launch: Launch
    ) -> None:
        launch(
            """
            add("parent", 3)
            influxdb.shutdown_sync()
            child = os.fork()
            add("child" if child == 0 else "too late", 2)
            if child:
                wait_for_children(child)
            """,
            "-W",
            "ignore",
        ).end()
        assert receiver.arrived() == {"parent": 3, "child": 2}


class TestMultiprocessing:
    """What children add arrives, however they are started."""

    def start(self, launch: Launch, method: str, what: str) -> None:
        launch([sys.executable, "-W", "ignore", str(PROCESSES / "children.py"), method, what]).end()

    @START_METHODS
    def test_what_processes_add_arrives_however_they_end(
        self, receiver: Receiver, launch: Launch, method: str
    ) -> None:
        self.start(launch, method, "processes")
        assert receiver.arrived() == {"parent": 100, "child": 50, "grandchild": 3}

    @START_METHODS
    def test_what_a_pool_adds_arrives(
        self, receiver: Receiver, launch: Launch, method: str
    ) -> None:
        self.start(launch, method, "pool")
        assert receiver.arrived() == {"parent": 100, "child": 200}

    @START_METHODS
    def test_what_an_executor_of_processes_adds_arrives(
        self, receiver: Receiver, launch: Launch, method: str
    ) -> None:
        self.start(launch, method, "executor")
        assert receiver.arrived() == {"parent": 100, "child": 200}
