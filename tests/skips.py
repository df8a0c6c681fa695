"""With ``REQUIRE_ALL=1``, as ``.ci/run`` sets it, a test that is skipped because something is
missing here fails. A reason that begins with :data:`NOT_APPLICABLE` is no such reason.
"""

import os
from collections.abc import Generator

import pytest

NOT_APPLICABLE = "not applicable: "


def _require(report: pytest.TestReport | pytest.CollectReport) -> None:
    if "REQUIRE_ALL" not in os.environ or not report.skipped or hasattr(report, "wasxfail"):
        return
    assert isinstance(report.longrepr, tuple)
    path, line, reason = report.longrepr
    if NOT_APPLICABLE not in reason:
        report.outcome = "failed"
        report.longrepr = f"{path}:{line}: {reason}, and REQUIRE_ALL is set"


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    _require(report)
    return report


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    _require(report)
    return report
