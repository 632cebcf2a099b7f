"""The pytest plugin: there in every run of an environment, and of no weight to those that don't use it."""

import subprocess
import sys
from pathlib import Path

import pytest

from billfold import _server
from billfold.testing.plugin import pytest_addoption
from tests.announcing import announce
from tests.sdk.test_public import SDK, loaded_by


class TestThePlugin:
    def test_loads_nothing(self):
        """What every run loads are names of fixtures."""
        without = subprocess.run(
            [sys.executable, "-I", "-c", "import sys, pytest; print(*sys.modules)"],
            capture_output=True,
            text=True,
            check=True,
        )
        more = loaded_by("import pytest, billfold.testing.plugin") - set(without.stdout.split())
        assert more == {"billfold", "billfold._lazy", "billfold.testing", "billfold.testing.plugin"}

    def test_leaves_modules_as_they_are_compiled(self, pytestconfig: pytest.Config, monkeypatch: pytest.MonkeyPatch):
        """Pytest would compile all packages of a plugin's distribution anew, with assertions rewritten."""
        manager = pytestconfig.pluginmanager
        others = set(manager.rewrite_hook._must_rewrite)  # type: ignore[attr-defined]
        monkeypatch.setattr(manager.rewrite_hook, "_must_rewrite", {*others, "billfold", "billfold_server"})
        pytest_addoption(pytest.Parser(_ispytest=True), manager)
        assert manager.rewrite_hook._must_rewrite == others - {"billfold", "billfold_server"}  # type: ignore[attr-defined]

    def test_says_what_is_missing(
        self, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
    ):
        """Without the extras a test fails by one sentence, which says what to install."""
        monkeypatch.syspath_prepend(str(announce(tmp_path_factory.mktemp("site"))))
        monkeypatch.setattr(_server, "GROUP", "billfold.nobody")
        pytester.makeini("[pytest]\nasyncio_default_fixture_loop_scope = function")
        pytester.makepyfile("def test_checkout(wallet_sandbox): pass")
        result = pytester.runpytest_inprocess("-p", "no:cacheprovider")
        result.assert_outcomes(errors=1)
        result.stdout.fnmatch_lines(["*pip install 'billfold[[]server,postgres]'*"])
        assert "plugin.py" not in result.stdout.str()
        assert Path(_server.__file__).parents[1] == SDK
