"""Counts the instructions of the hot paths under callgrind, and compares them with the counts that
are published in ``instructions.json``: ``make instructions``.

Counts do not depend on the machine's speed or load, but on its architecture, on the compiler and on
CPython. So they are compared with a tolerance, and those of Python for the minor version that they
were published for. With ``UPDATE=1`` the counts are published.
"""

import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import environment

HERE = Path(__file__).parent
PUBLISHED = HERE.parent / "instructions.json"
CALLS = 500
#: Other releases of the compiler make code of a few percent more or less.
TOLERANCE = 0.05


def counted(*command: str) -> dict[str, float]:
    """The instructions of a call of each path, by the names that a program prints."""
    with tempfile.TemporaryDirectory() as directory:
        callgrind = [
            "valgrind",
            "-q",
            "--tool=callgrind",
            "--dump-before=getppid",
            f"--callgrind-out-file={directory}/counts",
        ]
        variables = {
            name: value for name, value in os.environ.items() if not name.startswith("INFLUXDB_")
        } | {"PYTHONHASHSEED": "0"}
        output = subprocess.run(
            [*callgrind, *command, str(CALLS)],
            env=variables,
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        ).stdout
        names = output.splitlines()
        # Of two parts for each path, the first is what leads to it.
        parts = [Path(directory, f"counts.{2 * n + 2}") for n in range(len(names))]
        return {name: total(part) / CALLS for name, part in zip(names, parts, strict=True)}


def total(part: Path) -> int:
    with part.open() as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith("totals:"))


def net(counts: dict[str, float]) -> dict[str, int]:
    """The counts without those of the loop around them."""
    result, around = {}, 0.0
    for name, count in counts.items():
        if name.startswith("- "):
            around = count
        else:
            result[name] = round(count - around)
    return result


def is_within(title: str, counts: dict[str, int], published: dict[str, int] | None) -> bool:
    """Prints the counts, and whether they are within the tolerance of the published ones."""
    print(f"\n{title}")
    if published is None:
        print("  no counts are published for it: not compared")
    within = True
    for name, count in counts.items():
        print(f"  {name:<40} {count:>8,}", end="")
        if published is None:
            print()
            continue
        before = published.get(name, 0)
        change = count / before - 1 if before else float("inf")
        within &= change <= TOLERANCE
        if change > TOLERANCE:
            comment = f"  MORE THAN {TOLERANCE:.0%} ABOVE THE PUBLISHED COUNT"
        elif change < -TOLERANCE:
            comment = "  publish it anew, so that this stays"
        else:
            comment = ""
        print(f"  published: {before:>8,}  {change:+.1%}{comment}")
    return within


def main(program: str) -> int:
    if shutil.which("valgrind") is None:
        print("no valgrind here: instructions are not counted")
        return 0
    if platform.machine() != "x86_64":
        print(f"the published instruction counts are for x86_64, not {platform.machine()}")
        return 0
    python = f"Python {platform.python_version_tuple()[0]}.{platform.python_version_tuple()[1]}"
    counts = {
        "Rust": net(counted(program)),
        python: net(counted(sys.executable, str(HERE / "instructions.py"))),
    }
    published = json.loads(PUBLISHED.read_text()) if PUBLISHED.exists() else {"counts": {}}
    if os.environ.get("UPDATE"):
        published["environment"] = environment.described()
        published["counts"].update(counts)
        PUBLISHED.write_text(json.dumps(published, indent=2) + "\n")
    print(f"Instructions of a call. {environment.text()}")
    print("`UPDATE=1 make instructions` publishes them.")
    compared = [
        is_within(title, each, published["counts"].get(title)) for title, each in counts.items()
    ]
    return 0 if all(compared) else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
