"""No test is skipped silently in CI."""

import pathlib

import pytest

import skips

pytest_plugins = ["pytester"]

SKIPPED = """
import pytest

@pytest.mark.skipif(True, reason="there is no server here")
def test_by_a_mark():
    pass

def test_by_a_call():
    pytest.skip("there is no server here")

@pytest.fixture
def server():
    pytest.skip("there is no server here")

def test_by_a_fixture(server):
    pass

@pytest.mark.xfail(reason="not implemented")
def test_known():
    assert False

def test_of_something_else():
    pytest.skip("not applicable: it has no options")
"""


@pytest.fixture(autouse=True)
def _hooks(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(pathlib.Path(skips.__file__).read_text(encoding="utf-8"))


def test_a_skipped_test_fails_if_all_are_required(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytester.makepyfile(SKIPPED)
    monkeypatch.delenv("REQUIRE_ALL", raising=False)
    pytester.runpytest_subprocess().assert_outcomes(skipped=4, xfailed=1)
    monkeypatch.setenv("REQUIRE_ALL", "1")
    result = pytester.runpytest_subprocess()
    # What is skipped before the test itself is an error.
    result.assert_outcomes(failed=1, errors=2, skipped=1, xfailed=1)
    result.stdout.fnmatch_lines(["*there is no server here, and REQUIRE_ALL is set"])


def test_a_skipped_module_fails_if_all_are_required(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytester.makepyfile("import pytest\npytest.importorskip('no_such_module')")
    monkeypatch.delenv("REQUIRE_ALL", raising=False)
    pytester.runpytest_subprocess().assert_outcomes(skipped=1)
    monkeypatch.setenv("REQUIRE_ALL", "1")
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*no_such_module*REQUIRE_ALL is set*"])
