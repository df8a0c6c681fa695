"""The modules of the package do not import each other in circles."""

import ast
import graphlib
import pathlib
import subprocess
import sys
from collections.abc import Iterator

import pytest

import sprockets_influxdb

PACKAGE = pathlib.Path(sprockets_influxdb.__file__).parent
NAME = "sprockets_influxdb"


def imports(tree: ast.AST) -> Iterator[str]:
    """Yield the modules of the package that a module imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == NAME:
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith(f"{NAME}."):
            yield str(node.module).removeprefix(f"{NAME}.")
        elif isinstance(node, ast.Import):
            assert not any(alias.name.startswith(NAME) for alias in node.names), ast.dump(node)


def test_there_is_no_circle() -> None:
    graph = {
        file.stem: set(imports(ast.parse(file.read_text(encoding="utf-8"))))
        for file in PACKAGE.glob("*.py")
    }
    assert {"asgi", "tornado", "_requests"} <= graph.keys()
    for module, used in graph.items():
        assert used <= {*graph, "_native"}, module
    list(graphlib.TopologicalSorter(graph).static_order())


@pytest.mark.parametrize(
    "arguments",
    [
        [str(PACKAGE)],
        [str(PACKAGE / "__main__.py")],
        ["-m", NAME],
        ["-c", f"import {NAME}; from {NAME} import __main__ as main; sys.exit(main.main())"],
    ],
    ids=["directory", "file", "module", "statement"],
)
def test_modules_shadow_nothing_where_the_package_is_run(arguments: list[str]) -> None:
    """The package has modules of the names of others, such as ``logging``."""
    if arguments[0] == "-c":
        arguments = ["-c", f"import sys; {arguments[1]}"]
    done = subprocess.run(
        [sys.executable, *arguments, "--version"], cwd=PACKAGE, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert sprockets_influxdb.__version__ in done.stdout


def test_modules_shadow_nothing_for_each_other() -> None:
    program = f"""
import {NAME}.logging, {NAME}.process, {NAME}.httpx, {NAME}.requests, {NAME}.redis
import logging
assert "{NAME}" not in logging.__file__
assert {NAME}.logging.logging is logging
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_nothing_starts_before_the_first_measurement(tmp_path: pathlib.Path) -> None:
    """Neither the import nor ``install()`` starts a thread, opens a file or makes one."""
    program = f"""
import contextlib, os, sys

def files():
    found = []
    for number in os.listdir("/proc/self/fd"):
        # Another thread may close it meanwhile.
        with contextlib.suppress(FileNotFoundError):
            found.append(os.readlink(f"/proc/self/fd/{{number}}"))
    return sorted(found)

def threads():
    return len(os.listdir("/proc/self/task"))

before = files()
import {NAME} as influxdb
assert (files(), threads()) == (before, 1), (before, files(), threads())
influxdb.install("http://127.0.0.1:1", spool=sys.argv[1], shutdown_timeout=0)
assert (files(), threads()) == (before, 1), (before, files(), threads())
assert not os.path.exists(sys.argv[1])
influxdb.record("db", "first", {{}}, {{"n": 1}})
assert files() != before and threads() > 1 and os.path.exists(sys.argv[1])
"""
    subprocess.run([sys.executable, "-c", program, str(tmp_path / "spool")], check=True)
