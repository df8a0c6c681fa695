"""The operation and the table of an SQL statement, without a parser of SQL."""

import functools
import re
from collections.abc import Iterator
from typing import NamedTuple

#: Operations that are told apart. All others are ``OTHER``.
# fmt: off
OPERATIONS = frozenset({
    "ALTER", "ANALYZE", "BEGIN", "CALL", "COMMIT", "COPY", "CREATE", "DELETE", "DROP", "EXEC",
    "EXECUTE", "EXPLAIN", "GRANT", "INSERT", "LOCK", "MERGE", "PRAGMA", "RELEASE", "REPLACE",
    "REVOKE", "ROLLBACK", "SAVEPOINT", "SELECT", "SET", "SHOW", "TRUNCATE", "UPDATE", "USE",
    "VACUUM", "VALUES",
})
# fmt: on

#: Maximum number of characters that are looked at.
_LENGTH = 10_000

_TOKEN = re.compile(
    r"""
    --[^\n]* | /\*.*?\*/ | '(?:[^']|'')*' |
    (?P<name> "(?:[^"]|"")*" | `[^`]*` | \[[^\]]*\] ) |
    (?P<word> [^\W\d][\w$]* ) |
    (?P<sign> [().,;] )
    """,
    re.VERBOSE | re.DOTALL,
)

#: Words between an operation and the name of its table.
# fmt: off
_BETWEEN = frozenset({
    "ABORT", "EXISTS", "FAIL", "IF", "IGNORE", "LATERAL", "LOW_PRIORITY", "NOT", "ONLY", "OR",
    "REPLACE", "ROLLBACK", "TABLE",
})
# fmt: on


class _Token(NamedTuple):
    #: A word in upper case, a sign, or nothing for a quoted name.
    key: str
    #: A name without its quotes.
    text: str
    #: The number of parentheses that are open.
    depth: int

    @property
    def is_name(self) -> bool:
        return self.key not in ("(", ")", ".", ",", ";")


def shape(statement: str) -> tuple[str, str | None]:
    """Return the operation of a statement, and the table that it reads or changes first."""
    # The cache keeps what it is called with.
    return _shape(statement[:_LENGTH])


@functools.lru_cache(maxsize=1_000)
def _shape(statement: str) -> tuple[str, str | None]:
    tokens = list(_tokens(statement))
    operations = [i for i, token in enumerate(tokens) if token.key in OPERATIONS]
    # A common table expression or a parenthesis may come first.
    outer = [i for i in operations if tokens[i].depth == 0]
    if not operations:
        return "OTHER", None
    begin = (outer or operations)[0]
    return tokens[begin].key, _table(tokens, begin)


def _tokens(statement: str) -> Iterator[_Token]:
    depth = 0
    for match in _TOKEN.finditer(statement):
        text = match[0]
        if match["word"]:
            yield _Token(text.upper(), text, depth)
        elif match["name"]:
            yield _Token("", text[1:-1], depth)
        elif match["sign"]:
            depth -= text == ")"
            yield _Token(text, text, depth)
            depth += text == "("


def _table(tokens: list[_Token], begin: int) -> str | None:
    operation, depth = tokens[begin].key, tokens[begin].depth
    if operation in ("UPDATE", "TRUNCATE"):
        return _name(tokens, begin + 1)
    if operation in ("ALTER", "CREATE", "DROP"):
        before, first = "TABLE", begin
    elif operation in ("INSERT", "MERGE", "REPLACE"):
        before, first = "INTO", begin
    else:
        before = "FROM"
        # Not that of a function such as EXTRACT.
        same = (i for i in range(begin, len(tokens)) if tokens[i][::2] == (before, depth))
        first = next(same, len(tokens))
    # The table of a subquery, if there is one.
    for i in range(first, len(tokens)):
        if tokens[i].key == before:
            name = _name(tokens, i + 1)
            if name is not None:
                return name
    return None


def _name(tokens: list[_Token], begin: int) -> str | None:
    """Return the name that begins here, with those of its schema."""
    while begin < len(tokens) and tokens[begin].key in _BETWEEN:
        begin += 1
    parts = []
    while begin < len(tokens) and tokens[begin].is_name:
        parts.append(tokens[begin].text)
        if begin + 1 == len(tokens) or tokens[begin + 1].key != ".":
            break
        begin += 2
    return ".".join(parts) or None
