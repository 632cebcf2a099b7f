"""Add up the results of several pytest runs, so that CI can close with one line for all of them.

Where ``BILLFOLD_TALLY`` names a file, each run appends its counts to it: passed, failed (errors included) and skipped.
"""

import os
from pathlib import Path

import pytest
from _pytest.terminal import TerminalReporter


def pytest_terminal_summary(terminalreporter: TerminalReporter, config: pytest.Config) -> None:
    """Write this run's counts down, once: processes of xdist have no terminal."""
    target = os.environ.get("BILLFOLD_TALLY")
    if not target or hasattr(config, "workerinput"):
        return
    count = {kind: len(terminalreporter.stats.get(kind, [])) for kind in ("passed", "failed", "error", "skipped")}
    with Path(target).open("a", encoding="utf-8") as file:
        file.write(f"{count['passed']} {count['failed'] + count['error']} {count['skipped']}\n")
