"""What the README and the quickstart tell a new user to do, done with a real influxd."""

import contextlib
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from documents import DOCS, README, blocks
from ports import free_port
from programs import DEADLINE, bound

if TYPE_CHECKING:
    from conftest import Influxd

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")

#: What a test cannot repeat: installation, and a server of the machine's.
SKIPPED = ("python3 -m venv", "pip install", "docker run", "apt-get")


def shape(output: str) -> list[str]:
    """Return the lines of an output with hosts and numbers replaced, and without alignment."""
    text = re.sub(r"(localhost|127\.0\.0\.1):\d+", "HOST", output)
    text = re.sub(r"\d[\d.]*(e-\d+)?(~rc\d+)?", "0", text)
    return [" ".join(line.split()) for line in re.sub("-+", "-", text).splitlines()]


class Shell:
    """Runs the commands of a page, with other hosts and ports."""

    def __init__(self, directory: pathlib.Path, influxd: "Influxd") -> None:
        self._directory = directory
        self._port = str(free_port())
        self._replacements = {
            "localhost:8086": f"127.0.0.1:{influxd.port}",
            "localhost:8000": f"127.0.0.1:{self._port}",
            "uvicorn app:app": f"exec uvicorn app:app --port {self._port}",
            "influx -database": f"influx -host 127.0.0.1 -port {influxd.port} -database",
        }
        path = os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]])
        self._environment = {**os.environ, "INFLUXDB_URL": influxd.url, "PATH": path}

    def run(self, line: str) -> str:
        done = subprocess.run(self._command(line), stdout=subprocess.PIPE, **self._options())
        assert done.returncode == 0, f"{line}: {done.stdout}"
        return str(done.stdout)

    def query(self, line: str) -> str:
        """Run a query until it has a row: a service sends its points a second later."""
        deadline = time.monotonic() + DEADLINE
        while "---" not in (output := self.run(line)):
            assert time.monotonic() < deadline, output
            time.sleep(0.1)
        return output

    @contextlib.contextmanager
    def serve(self, line: str) -> Iterator[None]:
        command = bound(self._command(line))
        with subprocess.Popen(command, stderr=subprocess.PIPE, **self._options()) as service:
            assert service.stderr is not None
            assert any("Uvicorn running" in line for line in service.stderr)
            yield
            service.terminate()
            service.stderr.read()

    def _command(self, line: str) -> list[str]:
        for old, new in self._replacements.items():
            line = line.replace(old, new)
        return ["bash", "-c", line]

    def _options(self) -> dict[str, Any]:
        return {"cwd": self._directory, "env": self._environment, "text": True}


@pytest.mark.parametrize("page", [README, DOCS / "quickstart.md"], ids=lambda page: page.name)
def test_every_step_works(page: pathlib.Path, influxd: "Influxd", tmp_path: pathlib.Path) -> None:
    if shutil.which("influx") is None:
        pytest.skip("there is no influx here")
    shell = Shell(tmp_path, influxd)
    output, checked = "", 0
    with contextlib.ExitStack() as stack:
        stack.callback(influxd.query, "DROP DATABASE example")
        for block in blocks(page):
            if block.language == "python":
                name = "app.py" if "FastAPI" in block.text else "job.py"
                (tmp_path / name).write_text(block.text, encoding="utf-8")
            elif block.language == "sh" and not block.text.startswith(SKIPPED):
                for line in block.text.splitlines():
                    if "uvicorn" in line:
                        stack.enter_context(shell.serve(line))
                    elif line.startswith("influx "):
                        output = shell.query(line)
                    else:
                        output = shell.run(line)
            elif block.language == "text":
                assert "".join(shape(output)).endswith("".join(shape(block.text)))
                checked += 1
    assert checked > 0
