"""Writes ``command-reference.md`` from the help of the command ``sprockets-influxdb``."""

import pathlib
import re
import subprocess
import sys
import textwrap

PAGE = pathlib.Path(__file__).parent / "command-reference.md"

INTRODUCTION = """\
# Command reference

This page is generated from the command's own help: `make generated`. [The command](command.md)
explains what to use when.
"""


def page() -> str:
    """Return the text of the page."""
    return INTRODUCTION + "".join(_command([]))


def _command(names: list[str]) -> list[str]:
    """Return the sections of a command and of those below it."""
    command = [sys.executable, "-m", "sprockets_influxdb", *names, "--help"]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    about, rest = text.split("Usage: ", 1)
    usage, *parts = re.split(r"\n\n?(?=(?:Arguments|Options|Commands):\n)", rest.rstrip())
    title = " ".join(["sprockets-influxdb", *names])
    lines = ["", f"## `{title}`" if names else "## Usage", "", _about(about), ""]
    lines += ["```text", usage.strip(), "```"]
    below: list[str] = []
    for part in parts:
        heading, _, body = part.partition(":\n")
        if heading == "Commands":
            commands = [line.split(None, 1) for line in body.splitlines()]
            below = [name for name, _ in commands if name != "help"]
            continue
        lines += ["", f"| {heading.lower()} | |", "|---|---|"]
        lines += [f"| `{flags}` | {about} |" for flags, about in _entries(body)]
    sections = ["\n".join(lines) + "\n"]
    for name in below:
        sections += _command([*names, name])
    return sections


def _about(text: str) -> str:
    first, *others = text.strip().split("\n\n")
    return "\n\n".join(
        textwrap.fill(one, 100, break_on_hyphens=False) for one in [f"{first}.", *others]
    )


def _entries(body: str) -> list[tuple[str, str]]:
    """Return options or arguments, each with its description."""
    entries: list[tuple[str, str]] = []
    for line in body.splitlines():
        text = line.strip()
        is_name = re.match(r" {2,6}[-\[<]", line) is not None
        if is_name:
            flags, _, about = text.partition("  ")
            entries.append((flags, about.strip()))
        elif text:
            flags, about = entries[-1]
            entries[-1] = (flags, f"{about} {text}".strip())
    return [(flags, about.replace("|", "\\|")) for flags, about in entries]


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
