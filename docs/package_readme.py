"""Writes the README of the packages: the project's, with links that work on PyPI and crates.io."""

import pathlib
import re

ROOT = pathlib.Path(__file__).parent.parent
PAGE = ROOT / "crates/sprockets-influxdb/README.md"
SITE = "https://sprockets-influxdb.readthedocs.io/en/latest"
REPOSITORY = "https://github.com/sprockets/sprockets-influxdb/tree/main"


def page() -> str:
    """Return the text of the page."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    return re.sub(r"\]\(([^)]+)\)", lambda link: f"]({_absolute(link[1])})", text)


def _absolute(link: str) -> str:
    if ":" in link or link.startswith("#"):
        return link
    page = re.fullmatch(r"docs/([\w-]+)\.md(#.*)?", link)
    return f"{SITE}/{page[1]}.html{page[2] or ''}" if page else f"{REPOSITORY}/{link}"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
