"""An influxd for the benchmark, in a temporary directory."""

import contextlib
import os
import random
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path


def _free_port() -> int:
    while True:
        # Not of the ports that outgoing connections get: one could take it before influxd.
        port = random.randrange(10_000, 32_768)
        with contextlib.suppress(OSError):
            socket.create_server(("127.0.0.1", port)).close()
            return port


@contextlib.contextmanager
def running(directory: Path) -> Iterator[str]:
    port = _free_port()
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("INFLUXDB_")
    } | {
        "INFLUXDB_REPORTING_DISABLED": "true",
        "INFLUXDB_BIND_ADDRESS": f"127.0.0.1:{_free_port()}",
        "INFLUXDB_META_DIR": str(directory / "meta"),
        "INFLUXDB_DATA_DIR": str(directory / "data"),
        "INFLUXDB_DATA_WAL_DIR": str(directory / "wal"),
        "INFLUXDB_HTTP_BIND_ADDRESS": f"127.0.0.1:{port}",
        "INFLUXDB_HTTP_LOG_ENABLED": "false",
    }
    command = ["influxd", "-config", "/dev/null"]
    with subprocess.Popen(
        command, env=environment, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL
    ) as process:
        try:
            log = process.stderr
            assert log is not None
            for line in log:
                if b"Listening for signals" in line:
                    break
            # The log has to be read, or influxd blocks when the pipe is full.
            threading.Thread(target=log.read, daemon=True).start()
            yield f"http://127.0.0.1:{port}"
        finally:
            process.kill()
