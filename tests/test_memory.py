"""Memory of a process that records: from the first line on, and while lines wait."""

import subprocess
import sys

from sprockets_influxdb import testing

PRIVATE = """
import sys
import sprockets_influxdb as influxdb

def private():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("RssAnon:"))
"""


def kibibytes(program: str, url: str) -> int:
    command = [sys.executable, "-c", PRIVATE + program, url]
    return int(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def test_a_process_that_records_ten_lines_takes_less_than_a_mebibyte() -> None:
    program = """
before = private()
influxdb.install(sys.argv[1])
for n in range(10):
    influxdb.record("db", "request", {"endpoint": "/api/v1/users"}, {"n": n})
    assert influxdb.flush_sync(30)["pending"] == 0
print(private() - before)
"""
    with testing.Server() as server:
        assert 0 < kibibytes(program, server.url) < 1024
        assert len(server.points("db")) == 10


def test_a_line_that_waits_takes_1_1_times_its_bytes() -> None:
    program = """
line = influxdb.Measurement("db", "request")
line.set_tags({"endpoint": "/api/v1/users/{id}", "hostname": "web-17.example.com"})
line.set_field("bytes", 51234)
size = len(line.marshall()) + 1
influxdb.install(
    sys.argv[1], tag_hostname=False, max_buffer_size=10**6, max_buffer_bytes=10**8,
    shutdown_timeout=0,
)
influxdb.record("db", "first", {}, {"n": 1})
before = private()
for _ in range(200_000):
    influxdb.add_measurement(line)
assert influxdb.stats()["pending"] > 200_000
# For each chunk that is open, and for the threads that send: a constant.
print((private() - before - 1024) * 1024 * 1000 // (200_000 * size))
"""
    assert 900 < kibibytes(program, "http://127.0.0.1:1") < 1_100


def test_a_thread_keeps_no_memory_of_a_large_measurement() -> None:
    program = """
import threading
influxdb.install(sys.argv[1], max_buffer_bytes=2**20, shutdown_timeout=0)
start, done, end = threading.Barrier(5), threading.Barrier(5), threading.Event()

def record():
    start.wait()
    influxdb.record("db", "request", {}, {"text": "x" * 2**25})
    done.wait()
    end.wait()

threads = [threading.Thread(target=record) for _ in range(4)]
[thread.start() for thread in threads]
before = private()
start.wait()
done.wait()
print(private() - before)
end.set()
assert sum(influxdb.stats()["dropped"].values()) == 4
"""
    # What four threads were given is more than 128 MiB.
    assert kibibytes(program, "http://127.0.0.1:1") < 32 * 1024
