"""Every example in the README and the guide runs against the scripted server."""

import importlib.util
import pathlib
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from sprockets_influxdb import testing

ROOT = pathlib.Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def examples() -> Iterator[Any]:
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for example in re.finditer(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
            line = text.count("\n", 0, example.start()) + 1
            yield pytest.param(example[1], id=f"{page.name}:{line}")


def missing(example: str) -> list[str]:
    """Return the packages that an example imports and that are not installed."""
    imported = re.findall(r"^ *(?:from|import) (\w+)", example, re.MULTILINE)
    return [name for name in imported if importlib.util.find_spec(name) is None]


@pytest.mark.parametrize("example", list(examples()))
def test_it_runs(
    example: str, server: testing.Server, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if missing(example):
        pytest.skip(f"not installed: {missing(example)}")
    monkeypatch.setenv("INFLUXDB_URL", server.url)
    is_test = re.search("^def test_", example, re.MULTILINE)
    file = tmp_path / ("test_example.py" if is_test else "example.py")
    file.write_text(example, encoding="utf-8")
    command = [sys.executable, *(["-m", "pytest", "-q"] if is_test else []), file.name]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert is_test or server.points(), "nothing was recorded"
