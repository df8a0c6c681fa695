"""The documentation builds without a warning, and none of its links is broken."""

import html
import html.parser
import pathlib
import re
import subprocess
import sys
import urllib.parse

import pytest

import browser
import sprockets_influxdb
from devtools import NEEDS_CHROMIUM
from documents import DOCS, PAGES, ROOT, anchors, links
from sprockets_influxdb import testing

QUESTIONS = ROOT / "tests/docs/questions.md"


class Page(html.parser.HTMLParser):
    """The links of a page, and what they may lead to."""

    def __init__(self, file: pathlib.Path) -> None:
        super().__init__()
        self.links: set[str] = set()
        self.anchors: set[str] = set()
        self.feed(file.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        for name, value in attributes:
            if name == "id" and value:
                self.anchors.add(value)
            elif name in ("href", "src") and value:
                self.links.add(value)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    pytest.importorskip("furo")
    target = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-W", "-q", "-b", "html", str(DOCS), str(target)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return target


def test_no_link_of_the_site_is_broken(site: pathlib.Path) -> None:
    pages = {file: Page(file) for file in site.rglob("*.html")}
    assert len(pages) > 20
    broken = []
    for file, page in pages.items():
        for link in page.links:
            url = urllib.parse.urlsplit(link)
            if url.scheme or url.netloc or link.startswith("data:"):
                continue
            path = urllib.parse.unquote(url.path)
            target = (file.parent / path).resolve() if path else file
            if not target.is_file():
                broken.append(f"{file.name}: {link}")
            elif url.fragment and target.suffix == ".html":
                fragment = urllib.parse.unquote(url.fragment)
                if fragment not in pages[target].anchors:
                    broken.append(f"{file.name}: {link}")
    assert broken == []


@pytest.mark.parametrize("page", [*PAGES, QUESTIONS], ids=lambda page: page.name)
def test_no_link_of_the_sources_is_broken(page: pathlib.Path) -> None:
    broken = []
    for link in links(page):
        url = urllib.parse.urlsplit(link)
        if url.scheme:
            continue
        target = (page.parent / url.path).resolve() if url.path else page
        is_broken = not target.exists() or (
            url.fragment and target.suffix == ".md" and url.fragment not in anchors(target)
        )
        if is_broken:
            broken.append(link)
    assert broken == []


def test_every_public_name_is_in_the_reference(site: pathlib.Path) -> None:
    documented = set().union(*(Page(file).anchors for file in site.glob("reference*.html")))
    public = set(sprockets_influxdb.__all__) - {"__version__"}
    names = {f"sprockets_influxdb.{name}" for name in public}
    names |= {f"sprockets_influxdb.testing.{name}" for name in testing.__all__}
    assert names - documented == set()


def test_the_reference_has_the_types_of_the_native_module(site: pathlib.Path) -> None:
    page = (site / "reference.html").read_text(encoding="utf-8")
    text = html.unescape(re.sub(r"<[^>]+>", "", page))
    assert "Measurement(database: str, name: str | None)" in text
    assert "set_tag(name: str, value: object) → None" in text
    assert "set_field(name: str, value: bool | int | float | str | decimal.Decimal | " in text
    assert text.count("flush_sync(timeout: float | None = None) → dict[str, int]") == 2


def test_every_page_is_in_the_table_of_contents() -> None:
    index = (DOCS / "index.md").read_text(encoding="utf-8").splitlines()
    pages = {page.stem for page in DOCS.glob("*.md")} - {"index"}
    assert pages - set(index) == set()


def test_twenty_questions_are_answered() -> None:
    lines = QUESTIONS.read_text(encoding="utf-8").splitlines()
    questions = [line for line in lines if line[:1].isdigit()]
    assert len(questions) >= 20
    for question in questions:
        assert "?" in question
        assert "](../../docs/" in question or "](../../README.md" in question, question


@NEEDS_CHROMIUM
@pytest.mark.parametrize("width", [*browser.WIDTHS, 1020, 768])
def test_no_page_is_wider_than_the_screen(site: pathlib.Path, width: int) -> None:
    pages = sorted(page.stem for page in DOCS.glob("*.md"))
    with browser.browse(site) as chromium:
        assert chromium.overflows(pages, width) == {}


@NEEDS_CHROMIUM
def test_the_browser_finds_what_is_too_wide(tmp_path: pathlib.Path) -> None:
    for name, width in [("narrow", 300), ("wide", 500)]:
        text = f'<!doctype html><div style="width: {width}px">text</div>'
        (tmp_path / f"{name}.html").write_text(text)
    with browser.browse(tmp_path) as chromium:
        assert list(chromium.overflows(["narrow", "wide"], 390)) == ["wide"]
