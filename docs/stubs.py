"""The types of the native module, from its stub, for the reference."""

import ast
import pathlib

STUB = pathlib.Path(__file__).parent.parent / "python/sprockets_influxdb/_native.pyi"

#: What the aliases and types of the stub are to a reader.
_SHOWN = {
    "AbstractContextManager": "contextlib.AbstractContextManager",
    "Duration": "contextlib.AbstractContextManager",
    "_Field": "bool | int | float | str | decimal.Decimal | fractions.Fraction | enum.Enum | None",
    "_Time": "float | datetime.datetime | str",
    "_Report": "dict[str, int]",
    "_Stats": "dict[str, Any]",
    "_Stage": "Literal['before_body', 'mid_body', 'before_reply']",
}


class _Shown(ast.NodeTransformer):
    def visit_Name(self, node: ast.Name) -> ast.AST:
        shown = _SHOWN.get(node.id)
        return ast.parse(shown, mode="eval").body if shown else node


def types() -> dict[str, tuple[str | None, str | None]]:
    """Return the arguments and the result of each function and method by its qualified name, and
    the type of each property and attribute as the result of no arguments.
    """
    found: dict[str, tuple[str | None, str | None]] = {}
    _collect(ast.parse(STUB.read_text(encoding="utf-8")).body, "", found)
    return found


def _collect(
    body: list[ast.stmt], prefix: str, found: dict[str, tuple[str | None, str | None]]
) -> None:
    for node in body:
        if isinstance(node, ast.ClassDef):
            # The methods of a base class are documented in the public one.
            name = node.name.removeprefix("Base")
            _collect(node.body, f"{prefix}{name}.", found)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            found[prefix + node.target.id] = None, _text(node.annotation)
        elif isinstance(node, ast.FunctionDef):
            decorators = {ast.unparse(decorator) for decorator in node.decorator_list}
            if prefix and "staticmethod" not in decorators:
                positional = node.args.posonlyargs or node.args.args
                del positional[0]
            result = _text(node.returns) if node.returns else None
            name = prefix + node.name
            if node.name in ("__init__", "__new__"):
                name, result = prefix.rstrip("."), None
            if "property" in decorators:
                found[name] = None, result
            elif not any(decorator.endswith(".setter") for decorator in decorators):
                # Of overloads the first is the most general.
                found.setdefault(name, (f"({_text(node.args)})", result))


def _text(node: ast.AST) -> str:
    return ast.unparse(_Shown().visit(node))
