"""Every block of code in the README and in ``docs/`` runs, or is checked as far as it can be."""

import importlib.util
import pathlib
import re
import subprocess
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import pytest

from documents import DOCS, PAGES, ROOT, Block, blocks, links
from sprockets_influxdb import testing

if TYPE_CHECKING:
    from conftest import Influxd

#: Makes a request to the application of an example, or runs its task: what is in the example, and
#: the code.
DRIVERS = {
    "FastAPI(": """
        from app import app
        from fastapi.testclient import TestClient

        with TestClient(app) as client:
            assert client.get("/users/7").status_code == 200
        """,
    "Flask(": """
        from app import app

        assert app.test_client().get("/users/7").status_code == 200
        """,
    "Celery(": """
        from app import add, app

        app.conf.task_always_eager = True
        assert add.delay(2, 3).get() == 5
        """,
    "# asgi.py": """
        import asyncio
        from asgi import app

        async def send(message):
            assert message.get("status", 200) == 200

        scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
        asyncio.run(app(scope, None, send))
        """,
    "# wsgi.py": """
        from wsgiref.util import setup_testing_defaults
        from wsgi import application

        environ = {}
        setup_testing_defaults(environ)
        body = application(environ, lambda status, headers, error=None: None)
        assert list(body) == [b"hello"]
        getattr(body, "close", list)()
        """,
    "# views.py": """
        import settings
        from django import conf, setup, test
        from django.urls import path

        options = {name: getattr(settings, name) for name in dir(settings) if name.isupper()}
        conf.settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], **options)
        setup()
        import views

        urlpatterns = [path("users/<int:user>", views.user)]
        response = test.Client().get("/users/7")
        assert response.status_code == 200
        response.close()
        """,
    "make_app(": """
        import asyncio
        from app import make_app
        from tornado import httpclient, httpserver, testing

        async def main():
            socket, port = testing.bind_unused_port()
            server = httpserver.HTTPServer(make_app())
            server.add_sockets([socket])
            await httpclient.AsyncHTTPClient().fetch(f"http://127.0.0.1:{port}/users/7")
            server.stop()

        asyncio.run(main())
        """,
}

#: The project's README with absolute links.
PACKAGE_README = ROOT / "crates/sprockets-influxdb/README.md"

#: Languages of blocks that no test looks into: output, and Sphinx's directives.
UNCHECKED = {"text", "{toctree}", "{eval-rst}"}


def of_language(*languages: str) -> list[Any]:
    return [
        pytest.param(block, id=block.place) for block in blocks() if block.language in languages
    ]


def missing(example: str) -> list[str]:
    """Return the clients of services that an example imports and that are not installed."""
    imported = re.findall(r"^(?:from|import) (\w+)", example, re.MULTILINE)
    return [
        name
        for name in imported
        if name in ("celery", "redis", "requests", "sqlalchemy")
        and importlib.util.find_spec(name) is None
    ]


def is_example(block: Block) -> bool:
    # Settings are part of the example with the views.
    return block.first_line != "# settings.py"


def files(block: Block) -> Iterable[tuple[str, str]]:
    """Yield the files of an example, the last of which is to be run."""
    yield from (
        ("settings.py", other.text) for other in blocks(block.page) if not is_example(other)
    )
    name = re.fullmatch(r"# (\w+\.py)", block.first_line)
    is_served = "test_client" not in block.text and "TestClient" not in block.text
    for mark, driver in DRIVERS.items():
        if mark in block.text and is_served:
            yield name[1] if name else "app.py", block.text
            yield "drive.py", re.sub(r"^ {8}", "", driver, flags=re.MULTILINE)
            return
    is_test = re.search("^def test_", block.text, re.MULTILINE)
    yield "test_example.py" if is_test else "example.py", block.text


@pytest.mark.parametrize(
    "block", [case for case in of_language("python", "py") if is_example(case.values[0])]
)
def test_python_examples_run_and_record(
    block: Block, server: testing.Server, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if missing(block.text):
        pytest.skip(f"not installed: {missing(block.text)}")
    monkeypatch.setenv("INFLUXDB_URL", server.url)
    name = ""
    for name, text in files(block):
        (tmp_path / name).write_text(text, encoding="utf-8")
    is_test = name.startswith("test_")
    command = [sys.executable, *(["-m", "pytest", "-q"] if is_test else []), name]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert is_test or server.points(), "nothing was recorded"


def test_every_block_has_a_language_that_is_checked() -> None:
    checked = {"python", "py", "rust", "rust,no_run", "sh", "toml", "influxql"}
    unknown = [f"{b.place} {b.language}" for b in blocks() if b.language not in checked | UNCHECKED]
    assert unknown == []


def test_every_page_with_rust_is_compiled() -> None:
    compiled = (ROOT / "examples/lib.rs").read_text(encoding="utf-8")
    pages = {block.page for block in blocks() if block.language.startswith("rust")}
    listed = {(ROOT / "examples" / path).resolve() for path in re.findall(r'"(\.\..*)"', compiled)}
    assert listed == pages


@pytest.mark.parametrize("block", of_language("sh"))
def test_shell_examples_are_valid(block: Block) -> None:
    subprocess.run(["bash", "-n"], input=block.text, check=True, text=True)
    for line in block.text.splitlines():
        command = re.split("[#>]", line)[0].split()
        if command[:1] == ["sprockets-influxdb"]:
            # An unknown command or option is an error that precedes the help.
            command = [sys.executable, "-m", "sprockets_influxdb", *command[1:], "--help"]
            subprocess.run(command, check=True, capture_output=True)


@pytest.mark.parametrize("block", of_language("toml"))
def test_toml_examples_are_valid(block: Block) -> None:
    pytest.importorskip("tomllib").loads(block.text)


@pytest.mark.parametrize("block", of_language("toml"))
def test_the_dependencies_of_a_page_suffice_for_its_rust_programs(block: Block) -> None:
    table = pytest.importorskip("tomllib").loads(block.text)
    programs = [
        other.text
        for other in blocks(block.page)
        if other.language.startswith("rust") and "fn main()" in other.text
    ]
    if "dependencies" not in table or not programs:
        pytest.skip("not applicable: no dependencies, or no program")
    code = "\n".join(re.sub(r"//.*", "", program) for program in programs)
    used = set(re.findall(r"^use (\w+)", code, re.MULTILINE))
    used |= set(re.findall(r"\b(tokio|tonic_health|tracing_subscriber)::", code))
    declared = {name.replace("-", "_") for name in table["dependencies"]}
    assert used - {"std"} <= declared


@pytest.mark.parametrize("block", of_language("influxql"))
def test_influxql_examples_are_valid(block: Block, influxd: "Influxd", database: str) -> None:
    text = block.text.replace("$timeFilter", "time > now() - 1h").replace("$__interval", "10s")
    for query in re.split(r"\n(?=SELECT)", text.strip()):
        influxd.query(query, database)


def test_named_make_targets_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([\w-]+):", makefile, re.MULTILINE))
    prose = [*PAGES, ROOT / "CONTRIBUTING.md", ROOT / "DESIGN.md"]
    for page in prose:
        for name in re.findall(r"`make ([\w-]+)", page.read_text(encoding="utf-8")):
            assert name in targets, f"{page.name}: make {name}"


def test_the_demo_names_what_is_there() -> None:
    demo = ROOT / "crates/sprockets-influxdb/examples/demo/report.rs"
    named = re.findall(r"\b(?:docs|examples)/[\w./-]+\w", demo.read_text(encoding="utf-8"))
    assert len(named) == 2
    assert [name for name in named if not (ROOT / name).exists()] == []


@pytest.mark.parametrize(
    ("script", "page"),
    [
        ("command_reference", DOCS / "command-reference.md"),
        ("package_readme", PACKAGE_README),
    ],
)
def test_a_page_is_generated(script: str, page: pathlib.Path) -> None:
    code = f"import sys; sys.path.insert(0, {str(DOCS)!r}); import {script}"
    code += f"; sys.stdout.write({script}.page())"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert page.read_text(encoding="utf-8") == done.stdout, "run `make generated`"


def test_links_of_packages_are_absolute() -> None:
    packages = sorted(ROOT.glob("crates/*/README.md"))
    assert PACKAGE_README in packages
    relative = [
        f"{page.parent.name}: {link}"
        for page in packages
        for link in links(page)
        if not link.startswith("https://")
    ]
    assert relative == []
