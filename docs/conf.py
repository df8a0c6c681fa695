"""Sphinx builds the documentation: ``make site``."""

import pathlib
import re
import sys
from typing import Any, ClassVar

from docutils import nodes
from pygments.lexers.rust import RustLexer
from pygments.lexers.sql import SqlLexer
from pygments.token import Name, String
from sphinx.application import Sphinx

import sprockets_influxdb

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import stubs

REPOSITORY = "https://github.com/sprockets/sprockets-influxdb"

project = "sprockets-influxdb"
author = "the sprockets-influxdb authors"
copyright = "the sprockets-influxdb authors"
version = release = sprockets_influxdb.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx_copybutton"]
exclude_patterns = ["_build"]
nitpicky = True
nitpick_ignore_regex = [
    # Sphinx does not know these: they are types of the stubs only.
    ("py:class", r".*\b(_Report|_Stats|_Field|_Stage|_Time|Dataframe|Recorder)"),
    # Not looked up, so that no network is needed.
    ("py:.*", r"(_?asyncio|collections|contextlib|flask|httpx|logging|redis|requests|types)\..*"),
    ("py:.*", r"(datetime|decimal|enum|fractions|sqlalchemy|tornado)\..*"),
    ("py:class", r"Engine|AsyncEngine|Redis|AsyncRedis"),
]

autodoc_member_order = "bysource"
autodoc_typehints = "description"
myst_heading_anchors = 3
# Options such as `--json` keep their hyphens, also in text.
smartquotes = False
# The copy button leaves out the prompt.
copybutton_prompt_text = "$ "

html_theme = "furo"
html_title = f"sprockets-influxdb {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_theme_options = {
    "source_repository": REPOSITORY,
    "source_branch": "main",
    "source_directory": "docs/",
}


class InfluxQlLexer(SqlLexer):
    """SQL with Grafana's variables and with regular expressions."""

    tokens: ClassVar = {
        **SqlLexer.tokens,
        "root": [
            (r"\$\w+", Name.Variable),
            (r"=~ /[^/]*/", String.Regex),
            *SqlLexer.tokens["root"],
        ],
    }


def link_files_to_the_repository(_app: Sphinx, _page: str, source: list[str]) -> None:
    """Links to files outside of ``docs/`` work in a checkout, and lead to the repository here."""
    source[0] = re.sub(r"\]\(\.\./([^)]*)\)", rf"]({REPOSITORY}/tree/main/\1)", source[0])


TYPES = stubs.types()


def _types(name: str) -> tuple[str | None, str | None]:
    """Return the arguments and the type that the stub has for an object."""
    for prefix in ("sprockets_influxdb.testing.", "sprockets_influxdb."):
        if name.startswith(prefix):
            return TYPES.get(name.removeprefix(prefix), (None, None))
    return None, None


def add_types(
    _app: Sphinx, _what: str, name: str, _object: Any, _options: Any, arguments: Any, result: Any
) -> tuple[str | None, str | None]:
    """The native module's objects have no types of their own."""
    arguments_in_stub, result_in_stub = _types(name)
    return arguments_in_stub or arguments, result_in_stub or result


def add_type_of_property(
    _app: Sphinx, what: str, name: str, _object: Any, _options: Any, lines: list[str]
) -> None:
    arguments, result = _types(name)
    if what in ("attribute", "property") and arguments is None and result:
        lines[:0] = [f"*Type:* ``{result}``", ""]


def set_dashes(_app: Sphinx, document: nodes.document, _page: str) -> None:
    """Between a parameter and its description Sphinx relies on smart quotes."""
    for text in document.findall(nodes.Text):
        if text.astext() == " -- ":
            text.parent.replace(text, nodes.Text(" \N{EN DASH} "))


def setup(app: Sphinx) -> None:
    app.connect("source-read", link_files_to_the_repository)
    app.connect("autodoc-process-signature", add_types)
    app.connect("autodoc-process-docstring", add_type_of_property)
    app.connect("doctree-resolved", set_dashes)
    # The languages of doctests that are compiled only.
    app.add_lexer("rust,no_run", RustLexer)
    app.add_lexer("influxql", InfluxQlLexer)
