"""Measures the Python package against its release 2.2.1, other packages and hand-written loops.

Figures are ratios from one run. Each subject runs in a process of its own, as the package and its
release 2.2.1 have the same name.
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import environment
import influxd
import sink

HERE = Path(__file__).parent
ORIGINAL = os.environ.get("ORIGINAL", "")
#: The file that ratios are appended to, one JSON object a line.
RATIOS = os.environ.get("BENCH_RATIOS")

#: The section that is being measured.
current = ""


def measured(subject: str, *arguments: str) -> dict[str, float]:
    """The figures that a subject prints, by name."""
    variables = {
        name: value for name, value in os.environ.items() if not name.startswith("INFLUXDB_")
    }
    if subject.startswith("original_"):
        variables["PYTHONPATH"] = ORIGINAL
    command = [sys.executable, str(HERE / "subjects.py"), subject, *arguments]
    output = subprocess.run(
        command, env=variables, check=True, stdout=subprocess.PIPE, text=True
    ).stdout
    return json.loads(output.splitlines()[-1])


def rounds(count: int, *subjects: Callable[[], dict[str, float]]) -> list[dict[str, float]]:
    """The medians of each subject's figures. They take turns, so that disturbances affect all."""
    taken: list[list[dict[str, float]]] = [[] for _ in subjects]
    for _ in range(count):
        for figures, subject in zip(taken, subjects, strict=True):
            figures.append(subject())
    return [
        {name: statistics.median(one[name] for one in figures) for name in figures[0]}
        for figures in taken
    ]


def section(title: str) -> None:
    print(f"\n{title}")


def figure(what: str, value: float, unit: str) -> None:
    print(f"  {what:<74} {value:>10,.1f} {unit}")


def at_least(what: str, ratio: float, goal: float | None = None) -> None:
    """A ratio of figures of this run. The higher, the better."""
    show(what, ratio, "x", "" if goal is None else f"at least {goal}", ratio >= (goal or 0))
    record(what, ratio, "higher")


def at_most(what: str, ratio: float, goal: float | None = None) -> None:
    """The same. The lower, the better."""
    limit(what, ratio, "x", goal)
    record(what, ratio, "lower")


def limit(what: str, value: float, unit: str, goal: float | None) -> None:
    """A figure that depends on the machine, and is not compared with the published one."""
    show(what, value, unit, "" if goal is None else f"at most {goal}", value <= (goal or value))


def show(what: str, value: float, unit: str, goal: str, is_met: bool) -> None:
    comment = f"  goal: {goal}" if goal else ""
    missed = "" if is_met else "  MISSED"
    print(f"  {what:<74} {value:>10.2f} {unit}{comment}{missed}")


def added(what: str, taken: float, plain: float, goal: float) -> None:
    """What a middleware adds to a request. Its share is too small to be compared."""
    limit(f"{what} adds", (taken / plain - 1) * 100, "%", goal)
    record(f"with {what} / without", taken / plain, "lower")


def share(what: str, taken: float, plain: float) -> None:
    """What something else adds to a request."""
    figure(what, (taken / plain - 1) * 100, "%")


def record(what: str, ratio: float, better: str) -> None:
    if RATIOS:
        name = f"python, {current}: {what}"
        with open(RATIOS, "a") as file:
            file.write(json.dumps({"name": name, "ratio": ratio, "better": better}) + "\n")


def recording() -> None:
    classic, one_call, original, questdb = rounds(
        5,
        lambda: measured("ours_classic"),
        lambda: measured("ours_one_call"),
        lambda: measured("original_classic"),
        lambda: measured("questdb_row"),
    )
    section("Recording a measurement of 4 tags and 3 fields (with the loop around it)")
    figure("Measurement(), 4 set_tag, 3 set_field, add_measurement", classic["ns"], "ns")
    figure("record(), the one-call form", one_call["ns"], "ns")
    figure("2.2.1, with its marshall(), as it is submitted", original["ns"], "ns")
    figure("questdb's Buffer.row()", questdb["ns"], "ns")
    at_least("2.2.1 / classic calls", original["ns"] / classic["ns"], 15)
    at_least("questdb / classic calls", questdb["ns"] / classic["ns"], 1.5)
    at_least("2.2.1 / one call", original["ns"] / one_call["ns"], 25)
    at_least("questdb / one call", questdb["ns"] / one_call["ns"], 2.5)


def calls() -> None:
    ours, original, questdb = rounds(
        5,
        lambda: measured("ours_calls"),
        lambda: measured("original_calls"),
        lambda: measured("questdb_calls"),
    )
    section("The same with values that change, the garbage collector, and a growing buffer")
    figure("questdb's Buffer.row()", questdb["row"], "ns")
    forms = {
        "set_tags": ("set_tags({...}), 3 set_field", 20, 1.7),
        "set_tag": ("4 set_tag, 3 set_field", 25, 2.2),
        "items": ("tags[...] = and fields[...] =", None, None),
        "dicts": ("tags = {...}, fields = {...}", None, None),
    }
    for form, (what, original_goal, questdb_goal) in forms.items():
        figure(what, ours[form], "ns")
        at_least(f"2.2.1 / {what}", original[form] / ours[form], original_goal)
        at_least(f"questdb / {what}", questdb["row"] / ours[form], questdb_goal)
    figure("record()", ours["record"], "ns")
    at_least("2.2.1's set_tags / record()", original["set_tags"] / ours["record"], 28)
    at_least("questdb / record()", questdb["row"] / ours["record"], 2.3)
    if "series" in ours:
        figure("a prepared series", ours["series"], "ns")
        at_least("2.2.1's set_tags / series", original["set_tags"] / ours["series"], 80)
        at_least("questdb / series", questdb["row"] / ours["series"], 6.5)
    if shutil.which("cc"):
        (floor,) = rounds(5, lambda: measured("floor_calls"))
        for form, what in [("set_tags", "set_tags"), ("set_tag", "set_tag"), ("record", "record")]:
            figure(f"the calls of {what}, by native code that does nothing", floor[form], "ns")


def dataframe() -> None:
    ours, client, questdb = rounds(
        3,
        lambda: measured("ours_frames"),
        lambda: measured("influxdb_client_frames"),
        lambda: measured("questdb_frames"),
    )
    section("A row of a data frame of 30,000 rows, with 2 tags and 4 fields")
    figure("write_dataframe() with pandas", ours["pandas"], "ns")
    figure("write_dataframe() with polars", ours["arrow"], "ns")
    figure("influxdb-client's serializer with pandas", client["pandas"], "ns")
    figure("questdb's Buffer.dataframe() with pandas", questdb["pandas"], "ns")
    at_least("influxdb-client / pandas", client["pandas"] / ours["pandas"], 1)
    at_least("influxdb-client / polars", client["pandas"] / ours["arrow"], 1)
    at_least("questdb / pandas", questdb["pandas"] / ours["pandas"])
    at_least("questdb / polars", questdb["pandas"] / ours["arrow"])


def mixin() -> None:
    ours, original = rounds(
        5, lambda: measured("ours_requests"), lambda: measured("original_requests")
    )
    section("Processor time of a Tornado hello-world request, without the client's")
    figure("plain", ours["plain_us"], "us")
    figure("with the mixin", ours["us"], "us")
    figure("plain, beside 2.2.1", original["plain_us"], "us")
    figure("with 2.2.1's mixin", original["us"], "us")
    added("the mixin", ours["us"], ours["plain_us"], 2)
    share("keeping status and duration, in Python", ours["least_us"], ours["plain_us"])
    share("2.2.1's mixin", original["us"], original["plain_us"])


def asgi() -> None:
    names = ("ours", "least", "passing", "recording", "theirs")
    taken = rounds(5, *(partial(measured, "asgi", name) for name in names))
    ours, least, passing, recording, theirs = taken
    section("Processor time of a Starlette hello-world request under uvicorn, without the client's")
    figure("plain", ours["plain_us"], "us")
    figure("with the middleware", ours["us"], "us")
    added("the middleware", ours["us"], ours["plain_us"], 3)
    for what, one in {
        "keeping status and duration, in Python": least,
        "a coroutine that passes on, alone": passing,
        "that and recording, without messages and a route": recording,
        "prometheus-fastapi-instrumentator": theirs,
    }.items():
        share(what, one["us"], one["plain_us"])


def wsgi() -> None:
    names = ("plain", "ours", "least", "recording")
    subjects = [(name,) for name in names] + [(name, "socket") for name in ("plain", "recording")]
    taken = rounds(15, *(partial(measured, "wsgi", *subject) for subject in subjects))
    plain, ours, least, recording, *after_socket = (each["us"] for each in taken)
    section("Processor time of a call of a Flask hello-world application, without a server")
    figure("plain", plain, "us")
    figure("with the middleware", ours, "us")
    added("the middleware", ours, plain, 6)
    share("keeping status and duration, in Python", least, plain)
    share("recording, without the response and a route", recording, plain)
    figure("the same", recording - plain, "us")
    figure(
        "the same, with a message through a socket before", after_socket[1] - after_socket[0], "us"
    )


def loop(url: str) -> None:
    ours, original = rounds(
        7, lambda: measured("ours_loop", url), lambda: measured("original_loop", url)
    )
    section("The event loop, while 10,000 are sent to a server that ignores them")
    figure("2.2.1: longest pause while 10,000 are flushed", original["pause_ms"], "ms")
    limit("longest pause while 10,000 are flushed", ours["pause_ms"], "ms", 1)
    figure("2.2.1: adding 10,000 in one callback", original["adding_ms"], "ms")
    limit("adding 10,000 in one callback", ours["adding_ms"], "ms", 15)
    at_least("2.2.1 / adding", original["adding_ms"] / ours["adding_ms"])


def delivering(url: str) -> None:
    by_hand, ours = rounds(
        3, lambda: measured("by_hand", url), lambda: measured("ours_delivering", url)
    )
    section("200,000 measurements into influxd")
    figure("f-strings and http.client: time", by_hand["s"] * 1e3, "ms")
    figure("f-strings and http.client: processor", by_hand["cpu_s"] * 1e3, "ms")
    figure("recorded and delivered: time", ours["s"] * 1e3, "ms")
    figure("recorded and delivered: processor", ours["cpu_s"] * 1e3, "ms")
    at_most("time / by hand", ours["s"] / by_hand["s"], 0.7)
    at_most("processor / by hand", ours["cpu_s"] / by_hand["cpu_s"], 1.2)


def memory() -> None:
    many, few = rounds(1, lambda: measured("ours_memory"), lambda: measured("ours_first_lines"))
    section("Memory")
    figure("a line", many["line"], "bytes")
    figure("memory for each of 500,000 that wait", many["bytes"], "bytes")
    at_most("memory / bytes of lines that wait", many["bytes"] / many["line"], 1.1)
    limit("ten lines that were delivered, beyond the import", few["kib"], "KiB", 1024)


def main() -> None:
    global current
    print(environment.text())
    sections = sys.argv[1:] or [
        "recording",
        "calls",
        "dataframe",
        "mixin",
        "asgi",
        "wsgi",
        "loop",
        "delivering",
        "memory",
    ]
    for name in sections:
        current = name
        if name == "loop":
            with sink.running() as url:
                loop(url)
        elif name == "delivering":
            with (
                tempfile.TemporaryDirectory() as directory,
                influxd.running(Path(directory)) as url,
            ):
                delivering(url)
        else:
            globals()[name]()


if __name__ == "__main__":
    main()
