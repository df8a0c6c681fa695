"""A real nats-server: processes and their children publish, a forwarder delivers."""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

import sprockets_influxdb as influxdb
from ports import free_port
from sprockets_influxdb import testing

PROGRAM = """
import os, sys
import sprockets_influxdb as influxdb

def add(name, count):
    for number in range(count):
        influxdb.record("db", name, fields={"number": number})

influxdb.install()
add("parent", 100)
assert influxdb.flush_sync(30)["delivered"] == 100
# The thread of the connection does not exist in the child.
for generation in range(3):
    child = os.fork()
    if child == 0:
        add(f"child-{generation}", 10)
        assert influxdb.flush_sync(30)["delivered"] == 10
        sys.exit()
    _, status = os.waitpid(child, 0)
    assert status == 0, status
    add("parent", 1)
assert influxdb.flush_sync(30)["delivered"] == 3
"""


@pytest.fixture
def nats(tmp_path: pathlib.Path) -> Iterator[str]:
    program = shutil.which("nats-server")
    if program is None:
        pytest.skip("there is no nats-server here")
    port, monitor = free_port(), free_port()
    ports = ["-a", "127.0.0.1", "-p", str(port), "-m", str(monitor)]
    arguments = [*ports, "-js", "-sd", str(tmp_path)]
    process = subprocess.Popen([program, *arguments], stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 30
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{monitor}/healthz").close()
                break
            except OSError:
                assert time.monotonic() < deadline, "nats-server does not start"
                time.sleep(0.02)
        yield f"nats://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


def forward(nats: str, target: str, *arguments: str) -> Any:
    command = [sys.executable, "-m", "sprockets_influxdb", "forward", "--json", "--from", nats]
    command += ["--stream", "INFLUXDB", "--until-empty", "--max-gib", "1", "--create", *arguments]
    environment = {**os.environ, "INFLUXDB_URL": target}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


def test_a_process_and_its_children_publish_and_a_forwarder_delivers(
    nats: str,
    server: testing.Server,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert forward(nats, server.url)["messages"] == 0
    monkeypatch.setenv("INFLUXDB_URL", nats)
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", PROGRAM],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    totals = forward(nats, server.url)
    assert totals["delivered"] == 133
    points = [point.measurement for point in server.points("db")]
    assert {name: points.count(name) for name in set(points)} == {
        "parent": 103,
        "child-0": 10,
        "child-1": 10,
        "child-2": 10,
    }


def test_a_missing_stream_is_said_and_nothing_is_lost(nats: str, server: testing.Server) -> None:
    influxdb.install(url=nats)
    influxdb.record("db", "job", fields={"rows": 3})
    assert influxdb.flush_sync(0.5)["pending"] == 1
    assert "no stream stores messages to influxdb.db" in (influxdb.stats()["last_error"] or "")
    assert forward(nats, server.url)["messages"] == 0
    assert influxdb.flush_sync(30)["delivered"] == 1
    assert forward(nats, server.url)["delivered"] == 1


def test_the_example_for_docker_is_one_of_nats_server_and_of_this_package() -> None:
    yaml = pytest.importorskip("ruamel.yaml").YAML(typ="safe")
    folder = pathlib.Path(__file__).parent.parent / "examples/nats"
    services = yaml.load(folder / "docker-compose.yml")["services"]
    program = shutil.which("nats-server")
    if program is not None:
        # Reads the configuration, and does not start.
        subprocess.run([program, "-t", "-c", folder / "nats.conf"], check=True)
    names = [name for name in services if name.startswith("nats-")]
    configuration = (folder / "nats.conf").read_text()
    forwarder = services["forwarder"]
    for name in names:
        assert f"nats://{name}:6222" in configuration
        assert f"{name}:4222" in forwarder["environment"]["INFLUXDB_NATS_URL"]
    assert names == ["nats-1", "nats-2", "nats-3"]
    # The arguments and variables are understood: there is no such server here.
    done = subprocess.run(
        [sys.executable, "-m", "sprockets_influxdb", *forwarder["command"].split()],
        env={
            **os.environ,
            **forwarder["environment"],
            "INFLUXDB_NATS_URL": "nats://127.0.0.1:1",
        },
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2
    assert "no connection to NATS at nats://127.0.0.1:1" in done.stderr
