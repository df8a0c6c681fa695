"""Servers that serve ten requests and are stopped: how many of their measurements arrive.

``python tests/stops.py docs/process-ends.md`` runs all cases and writes the table into the page.
"""

import argparse
import concurrent.futures
import contextlib
import dataclasses
import importlib.util
import os
import pathlib
import platform
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator

from ports import free_port
from servers import APACHE, APPLICATIONS, DJANGO, REQUESTS, SERVERS, SHORT, Server
from sprockets_influxdb import testing

#: Seconds for a server to start, and to stop.
TIMEOUT = 45


#: Runs until a stop had something to deliver.
ATTEMPTS = 5


@dataclasses.dataclass(frozen=True)
class Result:
    arrived: int
    #: What had arrived before the stop: the first batch of a process goes out after a second.
    before: int
    #: The exit status of the server; ``None`` where it goes on.
    status: int | None


def run(server: Server, application: str, stop: str) -> Result:
    """Starts a server, sends requests, stops or reloads it. Again if all had arrived before."""
    for _ in range(ATTEMPTS):
        result = _run_once(server, application, stop)
        if result.before < REQUESTS:
            return result
    raise RuntimeError("the requests took so long that the stop had nothing to deliver")


def _run_once(server: Server, application: str, stop: str) -> Result:
    port = free_port()
    with testing.Server() as influxdb, tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        folder.chmod(0o755)
        source = textwrap.dedent(APPLICATIONS[application])
        packages = os.path.dirname(os.path.dirname(os.path.dirname(testing.__file__)))
        variables = {"INFLUXDB_URL": influxdb.url, "INFLUXDB_SHUTDOWN_TIMEOUT": "10000"}
        if server.name.startswith("mod_wsgi"):
            # Apache passes no environment on.
            source = f"import os\nos.environ.update({variables!r})\n{source}"
        (folder / "app.py").write_text(source)
        (folder / "stops_django.py").write_text(textwrap.dedent(DJANGO))
        values = {"folder": name, "port": port, "packages": f"{_packages()}:{packages}"}
        (folder / "apache2.conf").write_text(APACHE.format(**values))
        command = [part.format(**values) for part in server.command]
        environment = {**os.environ, **variables, "PYTHONPATH": name}
        with _started(command, environment, folder) as process:
            _send_requests(port, process)
            # The measurement of the last request may be recorded after its response.
            time.sleep(0.2)
            before = len(influxdb.points()) if stop != "by itself" else 0
            if stop == "edit":
                (folder / "app.py").write_text(source + "\n")
            elif stop == "Ctrl-C":
                os.killpg(process.pid, signal.SIGINT)
            elif stop != "by itself":
                process.send_signal(getattr(signal, stop))
            status = None
            if stop in ("edit", "SIGHUP", "SIGUSR1"):
                _await(lambda: len(influxdb.points()) >= REQUESTS)
            else:
                status = process.wait(TIMEOUT)
                # Workers may outlive the server by a moment.
                _await(lambda: len(influxdb.points()) >= REQUESTS, 1)
        return Result(len(influxdb.points()), before, status)


def _packages() -> str:
    tornado = importlib.util.find_spec("tornado")
    assert tornado is not None
    return os.path.dirname(os.path.dirname(tornado.origin or ""))


@contextlib.contextmanager
def _started(
    command: list[str], environment: dict[str, str], folder: pathlib.Path
) -> Iterator["subprocess.Popen[bytes]"]:
    with open(folder / "output", "wb") as output:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        try:
            yield process
        except BaseException:
            sys.stderr.write((folder / "output").read_text(errors="replace"))
            raise
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _send_requests(port: int, process: "subprocess.Popen[bytes]") -> None:
    answered = 0
    end = time.monotonic() + TIMEOUT
    while answered < REQUESTS:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/x", timeout=5).read()
            answered += 1
        except urllib.error.HTTPError:
            raise
        except OSError:
            if process.poll() is not None or time.monotonic() > end:
                raise
            time.sleep(0.05)


def _await(is_done: Callable[[], bool], seconds: float = 15) -> None:
    end = time.monotonic() + seconds
    while not is_done() and time.monotonic() < end:
        time.sleep(0.02)


def cases(is_short: bool) -> Iterator[tuple[Server, str, str]]:
    for server in SERVERS:
        if not is_short:
            for application in server.applications:
                for stop in server.stops:
                    yield server, application, stop
        elif server.name in SHORT:
            yield server, server.applications[-1], server.stops[0]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="servers whose name contains this")
    parser.add_argument(
        "page", nargs="?", type=pathlib.Path, help="the page whose table is replaced"
    )
    parser.add_argument(
        "--jobs", type=int, default=4, help="how many servers run at once (%(default)s)"
    )
    options = parser.parse_args()
    # A shell starts background jobs with SIGINT ignored, which the servers would inherit.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    rows: dict[tuple[str, str], dict[str, str]] = {}
    missing, is_right = [], True
    for server in SERVERS:
        if options.only in server.name and not server.is_here():
            missing.append(server.name)
    chosen = [
        case
        for case in cases(is_short=False)
        if options.only in case[0].name and case[0].name not in missing
    ]
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as executor:
        results = list(executor.map(_report, chosen))
    for (server, application, stop), text in zip(chosen, results, strict=True):
        is_right &= text == f"{REQUESTS} of {REQUESTS}"
        rows.setdefault((server.name, application), {})[stop] = text
    if options.page is not None:
        _write_table(options.page, rows, missing)
    return 0 if is_right else 1


def _report(case: tuple[Server, str, str]) -> str:
    server, application, stop = case
    try:
        text = f"{run(server, application, stop).arrived} of {REQUESTS}"
    except Exception as error:
        text = f"failed: {type(error).__name__}"
    print(f"{server.name:28} {application:18} {stop:10} {text}", flush=True)
    return text


def _write_table(
    page: pathlib.Path, rows: dict[tuple[str, str], dict[str, str]], missing: list[str]
) -> None:
    lines = ["| server | application | " + "what arrived, by the stop |", "|---|---|---|"]
    for (server, application), stops in rows.items():
        results: dict[str, list[str]] = {}
        for stop, text in stops.items():
            results.setdefault(text, []).append(stop)
        cell = "; ".join(f"{text}: {', '.join(names)}" for text, names in results.items())
        lines.append(f"| `{server}` | {application} | {cell} |")
    lines.append("")
    for each in SERVERS:
        lines += [f"`{each}`, {stop}, not run: {fault}.\n" for stop, fault in each.faults]
    if missing:
        lines.append(f"Not run, because not installed: {', '.join(missing)}.\n")
    versions = f"Python {platform.python_version()}, {', '.join(_versions())}."
    lines += textwrap.wrap(versions, 100)
    begin, end = "<!-- table: begin -->", "<!-- table: end -->"
    before, _, rest = page.read_text().partition(begin)
    _, _, after = rest.partition(end)
    page.write_text(before + begin + "\n" + "\n".join(lines) + "\n" + end + after)


def _versions() -> Iterator[str]:
    from importlib import metadata

    for name in (
        "uvicorn",
        "gunicorn",
        "hypercorn",
        "granian",
        "daphne",
        "waitress",
        "uwsgi",
        "gevent",
    ):
        with contextlib.suppress(metadata.PackageNotFoundError):
            yield f"{name} {metadata.version(name)}"


if __name__ == "__main__":
    sys.exit(main())
