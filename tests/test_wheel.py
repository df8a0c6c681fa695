"""What the release wheel tells of the machine that built it."""

import os
import pathlib
import zipfile

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent


def test_the_wheel_has_no_paths_of_the_build_machine() -> None:
    if not os.environ.get("WHEEL"):
        pytest.skip("needs WHEEL, the path of a release wheel, as `make python-test` sets it")
    home = os.environ.get("CARGO_HOME") or pathlib.Path.home() / ".cargo"
    paths = [os.fsencode(home), os.fsencode(ROOT)]
    with zipfile.ZipFile(ROOT / os.environ["WHEEL"]) as wheel:
        files = {name: wheel.read(name) for name in wheel.namelist()}
    assert any(name.endswith(".so") for name in files)
    found = [(name, path) for name, data in files.items() for path in paths if path in data]
    assert found == []
