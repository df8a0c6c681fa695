"""The README and the pages are plain English: short sentences, and no private words."""

import ast
import pathlib
import re
import statistics

import pytest

from documents import PAGES, README, ROOT, sentences, without_code, words

#: The mean number of words in the sentences of a page, at most.
MEAN = 18
#: The number of words in a sentence or in a cell of a table, at most.
LONGEST = 40

#: Words that mean something to us only, and old habits of this project. Pages use the field's own.
PRIVATE = re.compile(
    r"""\b(
        the\sbooks? | books\sbalance | gates? | twins? | keepers? | verdicts? | news | doors? |
        stranger'?s? | hurry | told | todo | held\sagainst | holds?\sagainst | looked\safter |
        tells\sof | tell\sof | speaks\sof | spoken\sto | but\sfor | as\sfar\sas | whoever |
        nobody\shas | in\swords | so\smany | so\smuch\smore | is\sasked | are\sasked | is\splayed |
        gets\sthem\sinto | heeded | has\sto\sbe\sthere | ways | by\sthe\sway
    )\b""",
    re.VERBOSE | re.IGNORECASE,
)

#: The documents of those who work on the project.
OURS = [ROOT / name for name in ("CHANGELOG.md", "CONTRIBUTING.md", "DESIGN.md")]
ALL = [*PAGES, *OURS]
#: The text of the generated reference is that of the command.
PROSE = [page for page in ALL if page.name != "command-reference.md"]


@pytest.mark.parametrize("page", PROSE, ids=lambda page: page.name)
def test_sentences_are_short(page: pathlib.Path) -> None:
    prose, cells = sentences(page)
    too_long = [one for one in [*prose, *cells] if len(words(one)) > LONGEST]
    assert too_long == []
    # A page of the reference may have no prose of its own.
    mean = statistics.mean([len(words(one)) for one in prose] or [0])
    assert mean <= MEAN, f"{mean:.1f} words"


@pytest.mark.parametrize("page", ALL, ids=lambda page: page.name)
def test_no_private_word_is_used(page: pathlib.Path) -> None:
    prose, cells = sentences(page)
    found = [one for one in [*prose, *cells] if PRIVATE.search(one)]
    assert found == []


@pytest.mark.parametrize("page", ALL, ids=lambda page: page.name)
def test_lines_are_short(page: pathlib.Path) -> None:
    text = without_code(page.read_text(encoding="utf-8"))
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("|")]
    assert [line for line in lines if len(line) > 100] == []


def test_no_docstring_has_a_private_word() -> None:
    found = []
    for file in (ROOT / "python/sprockets_influxdb").glob("*.py*"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                word = PRIVATE.search(ast.get_docstring(node) or "")
                if word:
                    found.append(f"{file.name}:{node.body[0].lineno}: {word[0]}")
    assert found == []


def test_the_readme_is_short() -> None:
    assert len(README.read_text(encoding="utf-8").splitlines()) <= 150


def test_the_measure_measures(tmp_path: pathlib.Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# A heading is no sentence\n\nOne two `three four`. Five [six](seven.md)?\n"
        "- Eight, nine\n  ten.\n\n| a b | c. D |\n|---|---|\n\n```sh\nno words\n```\n"
    )
    prose, cells = sentences(page)
    assert [len(words(one)) for one in prose] == [3, 2, 3]
    assert cells == ["a b", "c.", "D"]
