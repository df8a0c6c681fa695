"""Log messages reach the logger of the package."""

import pathlib
import textwrap

from receiver import Launch, Program, Receiver


class TestLog:
    """Log messages reach the ``sprockets_influxdb`` logger, from a Python thread."""

    BEGINNING = """
import logging, queue, signal
LOGGER = logging.getLogger("sprockets_influxdb")
LOGGER.setLevel(logging.DEBUG)
class Handler(logging.Handler):
    def __init__(self):
        super().__init__()
        self.records = queue.Queue()
    def emit(self, record):
        self.records.put(record)
    def next(self):
        return self.records.get(timeout=30)
"""

    def start(self, launch: Launch, program: str, **variables: str) -> Program:
        program = self.BEGINNING + textwrap.dedent(program)
        return launch(program, "-W", "ignore", **{"INFLUXDB_TRIGGER_SIZE": "10", **variables})

    def test_messages_come_promptly_with_their_level_from_a_thread_of_python(
        self, receiver: Receiver, launch: Launch
    ) -> None:
        receiver.refusals = 1
        self.start(
            launch,
            """
            handler = Handler()
            LOGGER.addHandler(handler)
            add("m", 10)
            started, failed, recovered = handler.next(), handler.next(), handler.next()
            assert started.levelno == logging.INFO, started
            assert started.getMessage().startswith("recording to http://127.0.0.1:"), started
            assert failed.levelno == logging.WARNING, failed
            assert "cannot write to database" in failed.getMessage(), failed
            assert recovered.levelno == logging.WARNING, recovered
            assert "takes measurements again" in recovered.getMessage(), recovered
            assert failed.threadName == recovered.threadName == "influxdb-log"
            """,
        ).end()
        assert receiver.arrived() == {"m": 10}

    def test_no_thread_takes_signals_from_those_of_the_application(
        self, receiver: Receiver, launch: Launch, tmp_path: pathlib.Path
    ) -> None:
        # Also while it starts. Otherwise the system delivers to it a signal that the main thread
        # could handle.
        self.start(
            launch,
            """
            def blocked(thread):
                lines = open(f"/proc/self/task/{thread}/status")
                [text] = [line for line in lines if line.startswith("SigBlk:")]
                mask = int(text.split()[1], 16)
                return {number for number in signal.valid_signals() if mask >> number - 1 & 1}
            add("m")
            threads = map(int, os.listdir("/proc/self/task"))
            ours = [thread for thread in threads if thread != os.getpid()]
            # The threads of the log, the sender and the spool, and the one that waits for SIGTERM.
            assert len(ours) == 4
            for thread in ours:
                expected = {signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGALRM}
                assert blocked(thread) >= expected
                # A thread that has just started blocks all signals.
                while blocked(thread) & {signal.SIGSEGV, signal.SIGBUS}:
                    pass
            assert not blocked(os.getpid())
            """,
            INFLUXDB_SPOOL=str(tmp_path),
        ).end()
        assert receiver.arrived() == {"m": 1}

    def test_what_there_is_to_say_of_the_configuration_is_said_at_once(
        self, receiver: Receiver, launch: Launch
    ) -> None:
        self.start(
            launch,
            """
            handler = Handler()
            LOGGER.addHandler(handler)
            influxdb.install(max_buffer_size=100, trigger_size=1000)
            assert "trigger" in handler.records.get_nowait().getMessage()
            assert threading.active_count() == 1
            """,
        ).end()

    def test_a_handler_may_add_measurements(self, receiver: Receiver, launch: Launch) -> None:
        self.start(
            launch,
            """
            # Each message adds more than the buffer takes, which would be logged again, and so on.
            class Adding(Handler):
                def emit(self, record):
                    add("from-the-handler", 50)
                    super().emit(record)
            handler = Adding()
            LOGGER.addHandler(handler)
            add("m", 100)
            handler.next()
            influxdb.shutdown_sync(0)
            assert handler.records.qsize() < 10
            """,
            INFLUXDB_URL="http://127.0.0.1:9",
            INFLUXDB_MAX_BUFFER_SIZE="20",
            INFLUXDB_SHUTDOWN_TIMEOUT="0",
        ).end()

    def test_a_handler_that_raises_costs_no_other_message(
        self, receiver: Receiver, launch: Launch
    ) -> None:
        receiver.refusals = 1
        _, stderr = self.start(
            launch,
            """
            class Raising(Handler):
                def emit(self, record):
                    super().emit(record)
                    raise RuntimeError("on purpose")
            handler = Raising()
            LOGGER.addHandler(handler)
            add("m", 10)
            handler.next(), handler.next(), handler.next()
            """,
        ).end()
        assert stderr.count("RuntimeError: on purpose") == 3
        assert receiver.arrived() == {"m": 10}

    def test_a_child_of_a_fork_writes_its_own_log(self, receiver: Receiver, launch: Launch) -> None:
        receiver.refusals = 10**6
        self.start(
            launch,
            """
            handler = Handler()
            LOGGER.addHandler(handler)
            def expect():
                assert "recording to" in handler.next().getMessage()
                record = handler.next()
                assert "cannot write to database" in record.getMessage()
                assert record.process == os.getpid()
            add("parent", 10)
            expect()
            child = os.fork()
            if child:
                wait_for_children(child)
            else:
                add("child", 10)
                expect()
            """,
            INFLUXDB_SHUTDOWN_TIMEOUT="0",
        ).end()

    def test_the_last_messages_are_written_before_logging_ends(
        self, receiver: Receiver, launch: Launch, tmp_path: pathlib.Path
    ) -> None:
        receiver.refusals = 10**6
        path = tmp_path / "log"
        self.start(
            launch,
            f"""
            import logging.handlers
            file = logging.FileHandler({str(path)!r})
            # Kept until logging ends.
            LOGGER.addHandler(logging.handlers.MemoryHandler(1000, logging.CRITICAL, file))
            add("m", 3)
            """,
            INFLUXDB_SHUTDOWN_TIMEOUT="500",
        ).end()
        log = path.read_text()
        assert log.index("cannot write to database") < log.index("3 measurements are lost")

    def test_a_slow_handler_does_not_hold_up_the_end(
        self, receiver: Receiver, launch: Launch
    ) -> None:
        receiver.refusals = 10**6
        self.start(
            launch,
            """
            class Slow(logging.NullHandler):
                def handle(self, record):
                    if threading.current_thread().name == "influxdb-log":
                        handler.records.put(record)
                        threading.Event().wait()
            handler = Handler()
            LOGGER.addHandler(Slow())
            add("m", 10)
            handler.next()
            """,
            INFLUXDB_SHUTDOWN_TIMEOUT="0",
        ).end()

    def test_no_secret_is_in_the_log_nor_in_the_environment(
        self, receiver: Receiver, launch: Launch
    ) -> None:
        receiver.refusals = 10**6
        url = receiver.url.replace("//", "//user:hunter2@")
        stdout, stderr = self.start(
            launch,
            """
            LOGGER.addHandler(logging.StreamHandler())
            LOGGER.addHandler(handler := Handler())
            influxdb.install()
            add("m", 10)
            handler.next(), handler.next()
            influxdb.set_auth_credentials("user", "hunter3")
            influxdb.shutdown_sync(0)
            print(influxdb.settings(), influxdb.stats())
            print(os.environ["INFLUXDB_PASSWORD"])
            """,
            INFLUXDB_URL=url,
            INFLUXDB_PASSWORD="hunter4",
            INFLUXDB_SHUTDOWN_TIMEOUT="0",
        ).end()
        assert "cannot write to database" in stderr
        assert "hunter" not in stdout + stderr
        assert stdout.splitlines()[-1] == "X" * len("hunter4")
