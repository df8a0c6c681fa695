"""Libraries that end processes without exit handlers, failed starts, and interrupted calls."""

import importlib.util
import pathlib
import signal
import sys
import textwrap
import time

import pytest

from programs import DEADLINE, NEEDS_ROOT, Start, end, read_line
from receiver import Launch, Receiver
from sprockets_influxdb import testing

NEEDS_BILLIARD = pytest.mark.skipif(
    importlib.util.find_spec("billiard") is None, reason="there is no billiard here"
)
NEEDS_CELERY = pytest.mark.skipif(
    importlib.util.find_spec("celery") is None, reason="there is no Celery here"
)
NEEDS_EVENTLET = pytest.mark.skipif(
    importlib.util.find_spec("eventlet") is None, reason="there is no eventlet here"
)
NEEDS_RQ = pytest.mark.skipif(importlib.util.find_spec("rq") is None, reason="RQ is not installed")
NEEDS_UVICORN = pytest.mark.skipif(
    importlib.util.find_spec("uvicorn") is None, reason="there is no uvicorn here"
)


class TestLibraries:
    """Libraries that end processes or patch threads."""

    @NEEDS_BILLIARD
    @pytest.mark.parametrize("what", ["Process", "Pool"])
    def test_children_of_billiard_deliver(
        self, server: testing.Server, start: Start, what: str
    ) -> None:
        process = start(f"""
            import billiard, billiard.pool
            if __name__ == "__main__":
                if {what!r} == "Process":
                    for _ in range(2):
                        child = billiard.Process(target=add, args=(5,))
                        child.start()
                        child.join()
                else:
                    pool = billiard.pool.Pool(2)
                    pool.map(add, [5] * 2)
                    pool.close()
                    pool.join()
        """)
        end(process)
        assert len(server.points()) == 10

    @NEEDS_CELERY
    @pytest.mark.parametrize(
        "options", [["-c", "2"], ["-c", "1", "--max-tasks-per-child", "2"]], ids=str
    )
    def test_celery_workers_deliver(
        self, server: testing.Server, start: Start, tmp_path: pathlib.Path, options: list[str]
    ) -> None:
        for name in "qc":
            (tmp_path / name).mkdir()
        process = start(f"""
            from celery import Celery
            from celery.signals import worker_process_shutdown
            app = Celery("program0", broker="filesystem://")
            app.conf.broker_transport_options = {{
                "data_folder_in": {str(tmp_path / "q")!r},
                "data_folder_out": {str(tmp_path / "q")!r},
                "control_folder": {str(tmp_path / "c")!r}}}
            app.conf.task_ignore_result = True
            @app.task
            def work(number):
                add()
            @worker_process_shutdown.connect
            def shut_down(**_):
                influxdb.record("db", "shutdown", {{"pid": os.getpid()}}, {{"number": 1}})
            if __name__ == "__main__":
                for number in range(10):
                    work.delay(number)
                options = "-l ERROR --without-gossip --without-mingle --without-heartbeat".split()
                app.worker_main(["worker", *options, *{options!r}])
        """)
        deadline = time.monotonic() + DEADLINE
        while not list((tmp_path / "q").iterdir()) and time.monotonic() < deadline:
            time.sleep(0.1)
        while list((tmp_path / "q").iterdir()) and time.monotonic() < deadline:
            time.sleep(0.1)
        time.sleep(1)
        process.terminate()
        process.communicate(timeout=DEADLINE)
        assert len([point for point in server.points() if point.measurement == "m"]) == 10
        # Also what the application records in its callback for the end of a worker.
        assert [point for point in server.points() if point.measurement == "shutdown"]

    @NEEDS_RQ
    @pytest.mark.parametrize("worker", ["Worker", "SpawnWorker", "SimpleWorker"])
    def test_the_jobs_of_rq_deliver(
        self, receiver: Receiver, launch: Launch, redis_socket: pathlib.Path, worker: str
    ) -> None:
        url = f"unix://{redis_socket}"
        # An interpreter of its own, which ends: the client of Redis would be forked otherwise.
        enqueue = """
            import redis, rq
            queue = rq.Queue(connection=redis.Redis.from_url(sys.argv[1]))
            for job in ("work", "fail", "work"):
                queue.enqueue(f"jobs.{job}")
        """
        command = [sys.executable, "-c", "import sys" + textwrap.dedent(enqueue), url]
        launch(command).end()
        command = [sys.executable, "-m", "rq.cli", "worker", "--burst", "-u", url]
        launch([*command, "--worker-class", f"rq.worker.{worker}"]).end()
        assert receiver.arrived() == {"job": 15}

    UVICORN = """
        async def app(scope, receive, send):
            assert scope["type"] == "http"
        {before}
        import uvicorn
        class Server(uvicorn.Server):
            async def startup(self, sockets=None):
                await super().startup(sockets)
                add(3)
                os.kill(os.getpid(), signal.{signal})
        if __name__ == "__main__":
            Server(uvicorn.Config(app, port=0, lifespan="off", log_level="critical")).run()
    """

    @NEEDS_UVICORN
    @pytest.mark.parametrize("before", ["", "add()"])
    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    def test_uvicorn_delivers_before_it_raises_the_signal_again(
        self, server: testing.Server, start: Start, before: str, number: signal.Signals
    ) -> None:
        process = start(self.UVICORN.format(before=before, signal=number.name))
        end(process, -number)
        assert len(server.points()) == 3 + len(before[:1])

    @NEEDS_UVICORN
    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    def test_uvicorn_waits_for_the_shutdown_timeout_once(
        self, server: testing.Server, start: Start, number: signal.Signals
    ) -> None:
        server.inject_always(testing.Fault.black_hole())
        program = self.UVICORN.format(before="print('ready')", signal=number.name)
        process = start(program, INFLUXDB_SHUTDOWN_TIMEOUT="3000")
        assert read_line(process) == "ready"
        began = time.monotonic()
        _, stderr = end(process, -number)
        assert time.monotonic() - began < 5.8
        assert stderr.count("3 measurements are lost: not delivered when the client ended") == 1

    @NEEDS_EVENTLET
    @pytest.mark.parametrize("read", ["new", "old"])
    def test_greenlets_of_eventlet_go_on_after_the_first_measurement(
        self, server: testing.Server, start: Start, read: str
    ) -> None:
        server.inject(testing.Fault.error(503, "overloaded"))
        process = start(
            f"""
            import warnings; warnings.simplefilter("ignore")
            import eventlet; eventlet.monkey_patch()
            if {read!r} == "old":
                # Before release 0.37 it does not yield.
                os.read = eventlet.patcher.original("os").read
            import logging
            messages = []
            class Handler(logging.Handler):
                def emit(self, record): messages.append(record)
            logging.getLogger("sprockets_influxdb").addHandler(Handler())
            influxdb.install(submission_interval=50)
            add()
            while not messages:
                eventlet.sleep(0.05)
            print("went on")
            """
        )
        assert end(process)[0] == "went on\n"
        assert len(server.points()) == 1


class TestStarts:
    """A thread or descriptor that is missing at the first measurement is tried again."""

    PROGRAM = """
        import logging, resource
        messages = []
        class Handler(logging.Handler):
            def emit(self, record): messages.append(record.getMessage())
        logging.getLogger("sprockets_influxdb").addHandler(Handler())
        def wait_for(is_done):
            deadline = time.monotonic() + 20
            while not is_done():
                assert time.monotonic() < deadline, influxdb.stats()
                add()
                time.sleep(0.05)
        influxdb.install(submission_interval=100)
    """

    @NEEDS_ROOT
    def test_threads(self, server: testing.Server, start: Start) -> None:
        process = start(
            textwrap.dedent(self.PROGRAM)
            + textwrap.dedent("""
            hard = resource.getrlimit(resource.RLIMIT_NPROC)[1]
            resource.setrlimit(resource.RLIMIT_NPROC, (1, hard))
            os.setuid(65534)
            add(5)
            assert threading.active_count() == 1
            time.sleep(0.3)
            resource.setrlimit(resource.RLIMIT_NPROC, (500, hard))
            wait_for(lambda: influxdb.stats()["delivered"] >= 5 and messages)
            assert len(messages) == 1 and "cannot start a thread" in messages[0]
            assert len(os.listdir("/proc/self/task")) >= 4
            """)
        )
        end(process)

    def test_descriptors(self, server: testing.Server, start: Start) -> None:
        server.inject(testing.Fault.error(503, "overloaded"))
        process = start(
            textwrap.dedent(self.PROGRAM)
            + textwrap.dedent("""
            resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
            held = []
            try:
                while True:
                    held.append(os.open("/dev/null", os.O_RDONLY))
            except OSError:
                pass
            add(5)
            for each in held:
                os.close(each)
            wait_for(lambda: influxdb.stats()["delivered"] >= 5 and messages)
            """)
        )
        _, stderr = end(process)
        assert stderr == ""

    @pytest.mark.parametrize("spool", ["", "spool"])
    @pytest.mark.parametrize("mebibytes", [0, 6, 12, 20])
    def test_address_space(
        self,
        server: testing.Server,
        start: Start,
        tmp_path: pathlib.Path,
        mebibytes: int,
        spool: str,
    ) -> None:
        server.inject_always(testing.Fault.error(503, "overloaded"))
        process = start(
            textwrap.dedent(self.PROGRAM)
            + textwrap.dedent(f"""
            add(5)
            wait_for(lambda: messages)
            pages = int(open("/proc/self/statm").read().split()[0])
            size = pages * resource.getpagesize() + ({mebibytes} << 20)
            resource.setrlimit(resource.RLIMIT_AS, (size, size))
            text = "x" * 1_000
            for number in range(30_000):
                influxdb.record("db", "m", {{}}, {{"text": text, "number": number}})
            stats = influxdb.stats()
            dropped = sum(stats["dropped"].values())
            # With a spool, batches leave the memory in time or not.
            assert dropped == stats["dropped"]["newest"] and (dropped > 0 or {bool(spool)})
            assert 30_000 < stats["added"] == stats["pending"] + dropped
            """),
            INFLUXDB_SHUTDOWN_TIMEOUT="100",
            INFLUXDB_SPOOL=str(tmp_path / spool) if spool else "",
        )
        end(process)


class TestInterruptions:
    def test_a_logging_handler_that_raises_system_exit_costs_no_message(
        self, server: testing.Server, start: Start
    ) -> None:
        server.inject(testing.Fault.error(503, "overloaded"))
        process = start("""
            import logging, queue
            records = queue.Queue()
            class Handler(logging.Handler):
                def emit(self, record):
                    records.put(record)
                    raise SystemExit(3)
            logging.getLogger("sprockets_influxdb").addHandler(Handler())
            logging.getLogger("sprockets_influxdb").setLevel(logging.DEBUG)
            influxdb.install(submission_interval=50)
            add()
            for _ in range(3):
                assert records.get(timeout=20).threadName == "influxdb-log"
        """)
        assert end(process)[1].count("SystemExit: 3") == 3

    def test_ctrl_c_interrupts_an_add_that_blocks(
        self, server: testing.Server, start: Start
    ) -> None:
        server.inject_always(testing.Fault.black_hole())
        process = start(
            """
            add(10)
            print("ready")
            try:
                add()
            except KeyboardInterrupt:
                print(sum(influxdb.stats()["dropped"].values()))
            """,
            INFLUXDB_OVERFLOW="block",
            INFLUXDB_BLOCK_TIMEOUT="20000",
            INFLUXDB_MAX_BUFFER_SIZE="10",
            INFLUXDB_TRIGGER_SIZE="10",
            INFLUXDB_SHUTDOWN_TIMEOUT="0",
        )
        assert read_line(process) == "ready"
        time.sleep(0.3)
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        assert read_line(process) == "1"
        assert time.monotonic() - began < 3
        end(process)
