"""``python -m sprockets_influxdb`` is the command for operators."""

import contextlib
import json
import os
import signal
import subprocess
import sys

from programs import bound
from sprockets_influxdb import testing


def command(*arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "sprockets_influxdb", *arguments]
    return subprocess.run(argv, input=text, capture_output=True, text=True, timeout=60)


def test_check_tells_what_would_become_of_a_write(server: testing.Server) -> None:
    server.only_databases(["there"])
    done = command("check", "--url", server.url, "--database", "there", "--json")
    assert done.returncode == 0, done
    assert json.loads(done.stdout)["checks"][0]["ok"]
    done = command("check", "--url", server.url, "--database", "missing")
    assert done.returncode == 1
    assert 'database "missing" does not exist' in done.stdout
    assert server.points("there") == []


def test_write_takes_standard_input(server: testing.Server) -> None:
    done = command("write", "--url", server.url, "--database", "db", text="m f=1 1\nbad\n")
    assert done.returncode == 1
    assert "-:2: " in done.stderr
    assert [point.fields for point in server.points("db")] == [{"f": 1.0}]


def test_what_cannot_be_used_is_a_usage_error() -> None:
    assert command("check", "--set", "port=many").returncode == 2
    assert command("nonsense").returncode == 2


def test_an_interrupt_ends_the_reading(server: testing.Server) -> None:
    program = [sys.executable, "-m", "sprockets_influxdb", "write"]
    argv = bound([*program, "--url", server.url, "--database", "db"])
    pipe = subprocess.PIPE
    with contextlib.ExitStack() as stack:
        process = stack.enter_context(subprocess.Popen(argv, stdin=pipe, stdout=pipe, stderr=pipe))
        stack.callback(process.kill)
        assert process.stdin is not None
        process.stdin.write(b"m f=1 1\n")
        process.stdin.flush()
        assert server.wait_for_points(1, database="db")
        os.kill(process.pid, signal.SIGINT)
        # Its input stays open: the end of input would end it too.
        assert process.wait(60) == 1
        out, _ = process.communicate()
    assert b"interrupted" in out
