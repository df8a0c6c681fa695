"""Compares the ratios that benchmarks recorded with those that are published in ``published.json``.

``make bench CHECK=1`` fails if one is more than 10 % worse. ``make bench UPDATE=1`` publishes them.
Ratios that were not measured in this run are left alone.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

import environment

PUBLISHED = Path(__file__).parent.parent / "published.json"
TOLERANCE = 0.1


def read(record: Path) -> dict[str, dict[str, float | str]]:
    with record.open() as lines:
        ratios = [json.loads(line) for line in lines]
    return {ratio.pop("name"): ratio for ratio in ratios}


def change(ratio: dict[str, float | str], published: float) -> float:
    """By how much a ratio is worse than the published one. Negative: it is better."""
    is_lower_better = ratio["better"] == "lower"
    worse, better = (ratio["ratio"], published) if is_lower_better else (published, ratio["ratio"])
    return worse / better - 1 if better > 0 else float("inf")


def check(measured: dict[str, dict[str, float | str]], published: dict[str, Any]) -> bool:
    """Prints what is worse. Returns whether nothing is by more than the tolerance."""
    failures = 0
    for name, ratio in measured.items():
        if name not in published:
            print(f"not published: {name}")
            continue
        worse = change(ratio, published[name])
        if worse > TOLERANCE:
            failures += 1
            print(f"{worse:.0%} worse: {name}: {ratio['ratio']:.2f}, published {published[name]}")
    print(f"{len(measured)} ratios, of which {failures} are more than {TOLERANCE:.0%} worse")
    return not failures


def main(record: str) -> int:
    measured = read(Path(record))
    published = json.loads(PUBLISHED.read_text()) if PUBLISHED.exists() else {}
    if os.environ.get("UPDATE"):
        published |= {name: round(ratio["ratio"], 3) for name, ratio in measured.items()}
        published["environment"] = environment.text()
        PUBLISHED.write_text(json.dumps(dict(sorted(published.items())), indent=2) + "\n")
        print(f"published {len(measured)} ratios in {PUBLISHED}")
    if os.environ.get("CHECK"):
        return 0 if check(measured, published) else 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
