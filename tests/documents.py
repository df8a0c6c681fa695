"""The README and the pages of ``docs/``: their blocks of code, links, headings and sentences."""

import dataclasses
import pathlib
import re
from collections.abc import Iterator

ROOT = pathlib.Path(__file__).parent.parent
DOCS = ROOT / "docs"
README = ROOT / "README.md"
PAGES = [README, *sorted(DOCS.glob("*.md"))]

_FENCE = re.compile(r"^( *)(`{3,})([^\n`]*)\n(.*?)^\1\2 *$", re.MULTILINE | re.DOTALL)


@dataclasses.dataclass(frozen=True)
class Block:
    """A fenced block of code."""

    page: pathlib.Path
    line: int
    language: str
    text: str

    @property
    def place(self) -> str:
        return f"{self.page.name}:{self.line}"

    @property
    def first_line(self) -> str:
        return self.text.partition("\n")[0]


def blocks(*pages: pathlib.Path) -> Iterator[Block]:
    """Yield the blocks of these pages, or of all."""
    for page in pages or PAGES:
        text = page.read_text(encoding="utf-8")
        for fence in _FENCE.finditer(text):
            indent, _, language, body = fence.groups()
            body = "".join(line.removeprefix(indent) for line in body.splitlines(keepends=True))
            line = text.count("\n", 0, fence.start()) + 1
            yield Block(page, line, language.strip(), body)


def without_code(text: str) -> str:
    """Return Markdown without its fenced blocks and comments."""
    return re.sub(r"<!--.*?-->", "", _FENCE.sub("", text), flags=re.DOTALL)


def links(page: pathlib.Path) -> Iterator[str]:
    """Yield the targets of the links of a page."""
    text = without_code(page.read_text(encoding="utf-8"))
    yield from re.findall(r"\]\(([^)\s]+)\)", text)


def anchors(page: pathlib.Path) -> set[str]:
    """Return the anchors of a page: of its headings, and explicit ones."""
    text = without_code(page.read_text(encoding="utf-8"))
    explicit = set(re.findall(r"^\(([\w-]+)\)=$", text, re.MULTILINE))
    return explicit | {_slug(heading) for heading in re.findall(r"^#+ (.*)$", text, re.MULTILINE)}


def _slug(heading: str) -> str:
    """Return the anchor that GitHub and MyST give to a heading."""
    return re.sub(r"[^\w -]", "", heading.strip().lower()).replace(" ", "-")


def sentences(page: pathlib.Path) -> tuple[list[str], list[str]]:
    """Return the sentences of the prose of a page, and those of its tables."""
    text = without_code(page.read_text(encoding="utf-8"))
    # Links are their text, code is one word, anchors and rules are nothing.
    text = re.sub(r"\{[\w:]+\}`[^`]*`|`+[^`]+`+", "code", text)
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text)
    text = re.sub(r"^(\([\w-]+\)=|#.*|[|: -]+)$", "", text, flags=re.MULTILINE)
    paragraphs: list[str] = []
    cells: list[str] = []
    is_open = False
    for line in text.splitlines():
        stripped = line.strip()
        if stripped.startswith("|"):
            cells += [cell.strip() for cell in stripped.strip("|").split("|")]
            is_open = False
        elif not stripped:
            is_open = False
        elif is_open and not re.match(r"(-|\d+\.) ", stripped):
            paragraphs[-1] += f" {stripped}"
        else:
            paragraphs.append(re.sub(r"^(-|\d+\.) ", "", stripped))
            is_open = True
    return _split(paragraphs), _split(cells)


def _split(texts: list[str]) -> list[str]:
    return [
        sentence
        for text in texts
        for sentence in re.split(r"(?<=[.!?])[\"”*_]*\s+(?=[\"“*_(]*[A-Z0-9]|code)", text)
        if re.search(r"\w", sentence)
    ]


def words(sentence: str) -> list[str]:
    """Return the words of a sentence."""
    return re.findall(r"\w[\w'.,/%-]*", sentence)
