"""Turn "this test needs X, which isn't here" into a failure where everything is supposed to be there.

A contributor without npm or nginx still gets a useful run: tests that need them skip, with a reason that begins with
``needs`` and names what is missing. CI installs all of it and sets ``BILLFOLD_REQUIRE_ALL=1``; a test that still skips
there would be a test that never runs anywhere, so it fails. Skips for other reasons, such as an operating system, stay
skips.
"""

import os
from collections.abc import Generator

import pytest

PREFIX = "needs "


def _missing(report: pytest.TestReport | pytest.CollectReport) -> str | None:
    """Say what a skipped test needs, or None if it isn't skipped for that."""
    if not report.skipped or hasattr(report, "wasxfail") or not isinstance(report.longrepr, tuple):
        return None
    reason = report.longrepr[2].removeprefix("Skipped: ")
    return reason if reason.startswith(PREFIX) else None


def _insist(report: pytest.TestReport | pytest.CollectReport) -> None:
    reason = _missing(report)
    if reason is not None and os.environ.get("BILLFOLD_REQUIRE_ALL") == "1":
        report.outcome = "failed"
        report.longrepr = f"{reason}, and BILLFOLD_REQUIRE_ALL=1 says that everything is here"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Judge the skip of a single test."""
    report = yield
    _insist(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Judge the skip of a whole module."""
    report = yield
    _insist(report)
    return report
