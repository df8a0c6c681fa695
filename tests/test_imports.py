"""The modules of the package do not import each other in circles."""

import ast
import graphlib
import pathlib
from collections.abc import Iterator

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
