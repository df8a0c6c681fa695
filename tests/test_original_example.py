"""The unchanged example of release 2.2.1's README stores its point."""

import os
import pathlib
import subprocess
import sys
import venv
from collections.abc import Iterator
from typing import Any

import pytest

ROOT = pathlib.Path(__file__).parent.parent

EXAMPLE = """
import logging

import sprockets_influxdb as influxdb
from tornado import ioloop

logging.basicConfig(level=logging.INFO)

io_loop = ioloop.IOLoop.current()
influxdb.install(io_loop=io_loop)

measurement = influxdb.Measurement('example', 'measurement-name')
measurement.set_tag('foo', 'bar')
measurement.set_field('baz', 1.05)

influxdb.add_measurement(measurement)

def stop():
    influxdb.shutdown()
    io_loop.stop()

io_loop.add_callback(stop)
io_loop.start()
"""

#: 2.2.1 refuses the argument that its example gives it.
CORRECTED = EXAMPLE.replace("install(io_loop=io_loop)", "install()")


def pip(python: object, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [python, "-m", "pip", "--disable-pip-version-check", *arguments]
    return subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=1800)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A directory with 2.2.1. Where pip reaches no index, the tests are skipped."""
    directory = tmp_path_factory.mktemp("original")
    done = pip(
        sys.executable, "install", "--no-deps", "--target", directory, "sprockets-influxdb==2.2.1"
    )
    if done.returncode:
        pytest.skip(f"pip cannot install 2.2.1 here: {done.stderr.strip()[-200:]}")
    return directory


@pytest.fixture(scope="module")
def fresh(original: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """The Python of an environment that has only this package, with the extra for Tornado.

    Installs the wheel named by WHEEL. Without it, the sources are built, which takes minutes.
    """
    directory = tmp_path_factory.mktemp("environment")
    venv.create(directory, with_pip=True)
    python = directory / "bin" / "python"
    package = ROOT / os.environ.get("WHEEL", "")
    done = pip(python, "install", f"{package}[tornado]")
    assert done.returncode == 0, done.stderr
    return python


@pytest.fixture
def example(influxd: Any) -> Iterator[str]:
    """The example's database."""
    influxd.query("CREATE DATABASE example")
    yield "example"
    influxd.query("DROP DATABASE example")


def run(
    python: pathlib.Path, program: str, influxd: Any, **variables: str
) -> subprocess.CompletedProcess[str]:
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("INFLUXDB_", "PYTHON"))
    }
    environment.update(INFLUXDB_HOST="127.0.0.1", INFLUXDB_PORT=str(influxd.port), **variables)
    return subprocess.run(
        [python, "-c", program], env=environment, capture_output=True, text=True, timeout=60
    )


def stored(influxd: Any, database: str) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = influxd.query('SELECT * FROM "measurement-name"', database)
    return [{name: row[name] for name in ("foo", "baz")} for row in rows]


@pytest.mark.parametrize("program", [EXAMPLE, CORRECTED], ids=["as it stands", "corrected"])
def test_ours_stores_its_point(
    fresh: pathlib.Path, influxd: Any, example: str, program: str
) -> None:
    done = run(fresh, program, influxd)
    assert done.returncode == 0, done.stderr
    assert stored(influxd, example) == [{"foo": "bar", "baz": 1.05}], done.stderr


@pytest.mark.parametrize(
    ("program", "status"), [(EXAMPLE, 1), (CORRECTED, 0)], ids=["as it stands", "corrected"]
)
def test_2_2_1_stored_none(
    fresh: pathlib.Path,
    original: pathlib.Path,
    influxd: Any,
    example: str,
    program: str,
    status: int,
) -> None:
    done = run(fresh, program, influxd, PYTHONPATH=str(original))
    assert done.returncode == status, done.stderr
    assert stored(influxd, example) == []
