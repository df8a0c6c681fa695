"""The servers that the tests run against: the scripted one, and a real influxd."""

import contextlib
import itertools
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator

import pytest

import sprockets_influxdb
from brokers import redis_server as redis_server
from brokers import redis_socket as redis_socket
from ports import free_port
from programs import BEGINNING, Start, bound, reset_signals
from receiver import launch as launch
from receiver import receiver as receiver
from serving import Recording
from skips import pytest_make_collect_report as pytest_make_collect_report
from skips import pytest_runtest_makereport as pytest_runtest_makereport
from sprockets_influxdb import _native, _warnings, testing

_numbers = itertools.count()

reset_signals()


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Each test starts and ends without a client, without variables that configure one, and as if
    nothing had been logged. Clients write to localhost by default, as outside of pytest.
    """
    _native.need_server(False)
    for name in list(os.environ):
        if name.startswith("INFLUXDB_") or name == "ENVIRONMENT":
            monkeypatch.delenv(name)
    monkeypatch.setattr(_warnings, "_warned", {})
    testing.reset()
    yield
    testing.reset()


@pytest.fixture
def server() -> Iterator[testing.Server]:
    """The scripted server. Nothing is recorded there before the test installs a client."""
    with testing.Server() as server:
        yield server


@pytest.fixture
def client(server: testing.Server) -> testing.Server:
    """The scripted server, and an installed client without base tags that writes to it."""
    assert sprockets_influxdb.install(server.url, tag_hostname=False)
    return server


@pytest.fixture
def recording(server: testing.Server) -> Recording:
    """What requests record, submitted at once."""
    assert sprockets_influxdb.install(server.url, tag_hostname=False, trigger_size=1)
    return Recording(server)


class Influxd:
    """A real influxd, in a temporary directory and on its own ports."""

    def __init__(self, directory: pathlib.Path) -> None:
        self.port, other = free_port(), free_port()
        variables = os.environ.items()
        environment = {name: value for name, value in variables if not name.startswith("INFLUXDB_")}
        environment.update(
            INFLUXDB_REPORTING_DISABLED="true",
            INFLUXDB_BIND_ADDRESS=f"127.0.0.1:{other}",
            INFLUXDB_META_DIR=str(directory / "meta"),
            INFLUXDB_DATA_DIR=str(directory / "data"),
            INFLUXDB_DATA_WAL_DIR=str(directory / "wal"),
            INFLUXDB_HTTP_BIND_ADDRESS=f"127.0.0.1:{self.port}",
            INFLUXDB_HTTP_LOG_ENABLED="false",
        )
        self.process = subprocess.Popen(
            bound(["influxd", "-config", "/dev/null"]),
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        )
        assert self.process.stderr is not None
        self.is_ready = any("Listening for signals" in line for line in self.process.stderr)
        # A full pipe would stop influxd.
        self.drain = threading.Thread(target=self.process.stderr.read, daemon=True)
        self.drain.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def query(self, query: str, database: str = "") -> list[dict[str, object]]:
        """The rows of a query's first series, each by its columns' names."""
        form = urllib.parse.urlencode({"db": database, "epoch": "ns", "q": query}).encode()
        with urllib.request.urlopen(f"{self.url}/query", form) as reply:
            [result] = json.load(reply)["results"]
        assert "error" not in result, result
        [series] = result.get("series") or [{"columns": [], "values": []}]
        rows = series.get("values", [])
        return [dict(zip(series["columns"], values, strict=True)) for values in rows]

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self.drain.join()
        assert self.process.stderr is not None
        self.process.stderr.close()


@pytest.fixture(scope="session")
def influxd() -> Iterator[Influxd]:
    """A real influxd. Without one the test is skipped."""
    if shutil.which("influxd") is None:
        pytest.skip("there is no influxd here")
    with contextlib.ExitStack() as stack:
        directory = stack.enter_context(tempfile.TemporaryDirectory())
        # Another process may take a free port before influxd does.
        for _ in range(5):
            influxd = Influxd(pathlib.Path(directory))
            stack.callback(influxd.close)
            if influxd.is_ready:
                break
        assert influxd.is_ready, "influxd ended before it was ready"
        yield influxd


@pytest.fixture
def database(influxd: Influxd) -> Iterator[str]:
    """A database in influxd, for this test alone."""
    name = f"test{next(_numbers)}"
    influxd.query(f"CREATE DATABASE {name}")
    yield name
    influxd.query(f"DROP DATABASE {name}")


@pytest.fixture
def python() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs a program in another Python to its end, with these variables."""

    def run(
        program: str,
        *,
        check: bool = True,
        **variables: str,
    ) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, **variables}
        command = bound([sys.executable, "-W", "error", "-c", textwrap.dedent(program)])
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
        assert not check or done.returncode == 0, done.stderr
        return done

    return run


@pytest.fixture
def start(server: testing.Server, tmp_path: pathlib.Path) -> Iterator[Start]:
    """Starts a Python program that writes to the scripted server, in a process group of its own.

    The program is the text after :data:`programs.BEGINNING`.
    """
    started: list[subprocess.Popen[str]] = []

    def start(program: str, **variables: str) -> "subprocess.Popen[str]":
        path = tmp_path / f"program{len(started)}.py"
        path.write_text(BEGINNING + textwrap.dedent(program))
        environment = {
            "INFLUXDB_URL": server.url,
            "INFLUXDB_SHUTDOWN_TIMEOUT": "20000",
            "PYTHONUNBUFFERED": "1",
        }
        process = subprocess.Popen(
            [sys.executable, str(path)],
            env={**os.environ, **environment, **variables},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
