"""What the wheel contains. Without ``WHEEL``, its path, the tests are skipped."""

import email
import json
import os
import pathlib
import re
import subprocess
import sys
import zipfile

import pytest

from documents import ROOT

#: The size of a wheel, at most. One that is compiled by a profile is larger.
MAX_SIZE = int(os.environ.get("MAX_WHEEL_SIZE", 4 << 20))


@pytest.fixture
def wheel() -> pathlib.Path:
    if "WHEEL" not in os.environ:
        pytest.skip("there is no wheel")
    return ROOT / os.environ["WHEEL"]


def test_it_is_one_for_all_pythons_and_small(wheel: pathlib.Path) -> None:
    assert "-cp310-abi3-" in wheel.name
    assert wheel.stat().st_size <= MAX_SIZE


def test_it_has_the_package_and_nothing_else(wheel: pathlib.Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
        metadata = next(name for name in archive.namelist() if name.endswith("/METADATA"))
        about = email.message_from_bytes(archive.read(metadata))
        assert any(name.endswith("/licenses/LICENSE") for name in archive.namelist())
    folder = ROOT / "python"
    built = {".pyc", ".so"}
    files = [file for file in folder.rglob("*") if file.is_file() and file.suffix not in built]
    expected = {file.relative_to(folder).as_posix() for file in files}
    assert names == expected | {"sprockets_influxdb/_native.abi3.so"}
    links = dict(link.split(", ") for link in about.get_all("Project-URL", []))
    assert {"Documentation", "Repository", "Issues", "Changelog"} <= set(links)
    readme = str(about.get_payload())
    assert "## Install" in readme
    # On PyPI a relative link leads nowhere.
    assert [link for link in re.findall(r"\]\((.*?)\)", readme) if "://" not in link] == []


def test_it_runs_on_the_systems_that_its_name_promises(wheel: pathlib.Path) -> None:
    if "manylinux" not in wheel.name:
        pytest.skip("not applicable: auditwheel looks for libraries of glibc here")
    pytest.importorskip("auditwheel")
    command = [sys.executable, "-m", "auditwheel", "show", "--json", str(wheel)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    audit = json.loads(done.stdout)
    assert audit["external_libs"] == {}
    (needs, oldest), (promises, version) = version_of(audit["overall_tag"]), version_of(wheel.name)
    assert needs == promises
    assert oldest <= version


def version_of(tag: str) -> tuple[str, tuple[int, int]]:
    """Return the kind and the oldest version of the C library that a tag stands for."""
    found = re.search(r"(manylinux|musllinux)_(\d+)_(\d+)", tag)
    assert found, tag
    return found[1], (int(found[2]), int(found[3]))


def test_it_has_no_paths_of_the_machine_that_built_it(wheel: pathlib.Path) -> None:
    home = os.environ.get("CARGO_HOME") or pathlib.Path.home() / ".cargo"
    paths = [os.fsencode(home), os.fsencode(ROOT)]
    with zipfile.ZipFile(wheel) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    assert [(name, path) for name, data in files.items() for path in paths if path in data] == []
