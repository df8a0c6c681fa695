"""The end of a process: everything that was recorded arrives, once."""

import signal
import socket

import pytest

from receiver import DEADLINE, Launch, Receiver


class TestEnd:
    """The end of a process delivers what is buffered."""

    @pytest.mark.parametrize(
        ("ending", "code"),
        [
            ("pass", 0),
            ("sys.exit(3)", 3),
            ("raise SystemExit('on purpose')", 1),
            ("raise RuntimeError('on purpose')", 1),
            ("raise KeyboardInterrupt", -signal.SIGINT),
            ("thread = threading.Thread(target=sys.exit); thread.start(); thread.join()", 0),
        ],
    )
    def test_however_the_program_ends_what_is_buffered_arrives(
        self, receiver: Receiver, launch: Launch, ending: str, code: int
    ) -> None:
        launch(f"influxdb.install()\nadd('m', 100)\n{ending}").end(code)
        assert receiver.arrived() == {"m": 100}

    def test_what_is_added_at_exit_arrives(self, receiver: Receiver, launch: Launch) -> None:
        launch("""
            import atexit
            atexit.register(add, "registered-before", 2)
            influxdb.install()
            atexit.register(add, "registered-after", 3)
        """).end()
        assert receiver.arrived() == {"registered-before": 2, "registered-after": 3}

    def test_the_very_first_measurement_may_be_added_at_exit(
        self, receiver: Receiver, launch: Launch
    ) -> None:
        _, stderr = launch("import atexit; atexit.register(add, 'm')").end()
        assert (receiver.arrived(), stderr) == ({"m": 1}, "")

    @pytest.mark.parametrize(
        "made",
        [
            "influxdb.series('m', tags=('t',))",
            "influxdb.Measurement('db', 'm')",
            "influxdb.Client().series('m')",
            "influxdb.timed('db', 'm')",
        ],
    )
    def test_objects_in_a_cycle_are_released_after_the_interpreter(
        self, receiver: Receiver, launch: Launch, made: str
    ) -> None:
        _, stderr = launch(f"""
            class Holder: pass
            holder = Holder()
            holder.own, holder.made = holder, {made}
            add("m", 2)
        """).end()
        assert (receiver.arrived(), stderr) == ({"m": 2}, "")

    def test_threads_that_outlive_the_program_are_waited_for(
        self, receiver: Receiver, launch: Launch
    ) -> None:
        launch("""
            def go_on():
                add("thread", 10)
                threading.main_thread().join()
                add("thread", 10)
            threading.Thread(target=go_on).start()
            add("main", 10)
        """).end()
        assert receiver.arrived() == {"thread": 20, "main": 10}

    @pytest.mark.parametrize("overflow", ["newest", "block"])
    def test_daemon_threads_may_add_until_there_is_no_interpreter(
        self, receiver: Receiver, launch: Launch, overflow: str
    ) -> None:
        _, stderr = launch(
            """
            influxdb.install()
            def go_on():
                while True:
                    add("noise")
            for _ in range(4):
                threading.Thread(target=go_on, daemon=True).start()
            add("main", 100)
            """,
            INFLUXDB_OVERFLOW=overflow,
            INFLUXDB_MAX_BUFFER_SIZE="1000000",
        ).end()
        assert receiver.arrived()["main"] == 100
        # Nothing but what becomes of those that are added too late.
        assert all(" dropped (closed)" in line for line in stderr.splitlines()), stderr

    def test_with_the_server_down_the_process_ends_and_says_what_is_lost(
        self, receiver: Receiver, launch: Launch
    ) -> None:
        with socket.socket() as nobody:
            nobody.bind(("127.0.0.1", 0))
            url = f"http://127.0.0.1:{nobody.getsockname()[1]}"
            program = launch("add('m', 7)", INFLUXDB_URL=url, INFLUXDB_SHUTDOWN_TIMEOUT="500")
            _, stderr = program.end()
        assert "7 measurements are lost" in stderr
        assert receiver.arrived() == {}

    def test_with_a_server_that_never_answers_the_process_ends(
        self, receiver: Receiver, launch: Launch
    ) -> None:
        receiver.answers.clear()
        _, stderr = launch("add('m', 7)", INFLUXDB_SHUTDOWN_TIMEOUT="500").end()
        assert "7 measurements are lost" in stderr

    def test_who_has_waited_for_the_shutdown_is_not_made_to_wait_again(
        self, receiver: Receiver, launch: Launch
    ) -> None:
        receiver.answers.clear()
        timeout = str(2 * DEADLINE * 1000)
        launch("add('m', 7); influxdb.shutdown_sync(0.1)", INFLUXDB_SHUTDOWN_TIMEOUT=timeout).end()
        launch(
            f"""
            import asyncio
            async def main():
                assert await influxdb.shutdown() is False
            add("m", 7)
            asyncio.run(main())
            influxdb._native.configure([("shutdown_timeout", "{timeout}")])
            """,
            INFLUXDB_SHUTDOWN_TIMEOUT="100",
        ).end()

    def test_a_process_that_dies_of_sigterm_delivers_before(
        self, receiver: Receiver, launch: Launch
    ) -> None:
        program = launch("import signal; add('m'); print('ready'); signal.pause()")
        assert program.line() == "ready"
        program.signal(signal.SIGTERM)
        program.end(-signal.SIGTERM)
        assert receiver.arrived() == {"m": 1}

    def test_sigterm_with_a_handler_that_exits_delivers(
        self, receiver: Receiver, launch: Launch
    ) -> None:
        program = launch("""
            import signal
            signal.signal(signal.SIGTERM, lambda *_: sys.exit(4))
            add("m", 5)
            print("ready")
            signal.pause()
        """)
        assert program.line() == "ready"
        program.signal(signal.SIGTERM)
        program.end(4)
        assert receiver.arrived() == {"m": 5}

    def test_a_signal_handler_may_add_whatever_it_interrupts(
        self, receiver: Receiver, launch: Launch
    ) -> None:
        launch("""
            import signal
            alarms = 0
            def alarm(*_):
                global alarms
                alarms += 1
                add("alarm")
            signal.signal(signal.SIGALRM, alarm)
            signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
            while alarms < 100:
                add("main")
                influxdb.flush_sync()
            signal.setitimer(signal.ITIMER_REAL, 0)
        """).end()
        assert receiver.arrived()["alarm"] >= 100
