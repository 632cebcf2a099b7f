"""The plugins that make CI strict: tests/plugins/needs.py and tests/plugins/tally.py."""

from pathlib import Path

import pytest

SUITE = """
    import sys
    import pytest

    def test_that_passes():
        pass

    @pytest.mark.skipif(True, reason="needs a moon")
    def test_that_needs_something():
        pass

    @pytest.mark.skipif(True, reason="only on another planet")
    def test_that_is_skipped_for_good():
        pass

    @pytest.mark.xfail(reason="needs work")
    def test_that_is_expected_to_fail():
        raise AssertionError
"""
MODULE = """
    import pytest
    pytest.skip("needs a sun", allow_module_level=True)
"""
PLUGINS = [
    "-p",
    "tests.plugins.needs",
    "-p",
    "tests.plugins.tally",
    "-o",
    "asyncio_default_fixture_loop_scope=function",
]


@pytest.fixture(autouse=True)
def suite(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """Write a small suite with one test of each kind, away from the settings of this run."""
    monkeypatch.delenv("BILLFOLD_REQUIRE_ALL", raising=False)
    monkeypatch.delenv("BILLFOLD_TALLY", raising=False)
    pytester.makepyfile(test_single=SUITE, test_module=MODULE)
    return pytester


class TestASkipThatNeedsSomething:
    def test_is_a_skip_for_a_contributor(self, suite: pytest.Pytester):
        """Without the variable, what is missing is skipped."""
        suite.runpytest(*PLUGINS).assert_outcomes(passed=1, skipped=3, xfailed=1)

    def test_is_a_failure_in_ci(self, suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch):
        """With it, a test that needs something fails, and so does a whole module; other skips stay."""
        monkeypatch.setenv("BILLFOLD_REQUIRE_ALL", "1")
        result = suite.runpytest(*PLUGINS, "--continue-on-collection-errors")
        result.assert_outcomes(passed=1, errors=2, skipped=1, xfailed=1)
        assert result.ret != 0

    def test_is_a_failure_in_a_process_of_xdist(self, suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch):
        """Spread over processes, it fails all the same."""
        monkeypatch.setenv("BILLFOLD_REQUIRE_ALL", "1")
        suite.runpytest(*PLUGINS, "-n1", "test_single.py").assert_outcomes(passed=1, errors=1, skipped=1, xfailed=1)


class TestTheTally:
    @pytest.mark.parametrize("processes", [[], ["-n1"]])
    def test_adds_a_line_for_each_run(
        self, suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, processes: list[str]
    ):
        """Each run appends passed, failed and skipped once."""
        tally = Path(suite.path) / "tally"
        monkeypatch.setenv("BILLFOLD_TALLY", str(tally))
        for _ in range(2):
            suite.runpytest(*PLUGINS, *processes)
        assert tally.read_text(encoding="utf-8") == "1 0 3\n" * 2
