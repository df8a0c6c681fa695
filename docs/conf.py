"""Sphinx builds the documentation: ``make site``."""

import re
from typing import ClassVar

from pygments.lexers.rust import RustLexer
from pygments.lexers.sql import SqlLexer
from pygments.token import Name, String
from sphinx.application import Sphinx

import sprockets_influxdb

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
    ("py:class", r".*\b(_Report|_Stats|_Field|_Stage)"),
    # Not looked up, so that no network is needed.
    ("py:.*", r"(_?asyncio|collections|contextlib|flask|tornado|types)\..*"),
]

autodoc_member_order = "bysource"
autodoc_typehints = "description"
myst_heading_anchors = 3
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


def setup(app: Sphinx) -> None:
    app.connect("source-read", link_files_to_the_repository)
    # The languages of doctests that are compiled only.
    app.add_lexer("rust,no_run", RustLexer)
    app.add_lexer("influxql", InfluxQlLexer)
