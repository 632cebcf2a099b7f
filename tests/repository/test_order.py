"""The plugin that keeps together what shares a server: tests/plugins/order.py."""

from pathlib import Path

import pytest

SUITE = """
    import os
    import pytest

    @pytest.fixture(scope="module")
    def server():
        with open("servers", "a") as servers:
            servers.write(f"{os.getpid()}\\n")

    @pytest.mark.parametrize("number", range(20))
    def test_that_shares(server, number):
        pass

    @pytest.mark.parametrize("number", range(20))
    def test_that_shares_nothing(number):
        pass
"""
PLUGINS = ["-p", "tests.plugins.order", "-o", "asyncio_default_fixture_loop_scope=function"]


class TestTestsThatShareAFixture:
    @pytest.mark.parametrize("mark", ["", '@pytest.mark.xdist_group("servers")'], ids=["of a module", "by a mark"])
    def test_run_in_one_process(self, pytester: pytest.Pytester, mark: str):
        """What they share is made once, however many processes there are."""
        suite = SUITE if not mark else SUITE.replace('scope="module"', 'scope="session"')
        first, later = suite.split("    @pytest.mark.parametrize", 1)
        pytester.makepyfile(f"{first}    {mark}\n    @pytest.mark.parametrize{later}")
        done = pytester.runpytest(*PLUGINS, "-n2", "--dist=loadgroup")
        done.assert_outcomes(passed=40)
        assert len(Path("servers").read_text().splitlines()) == 1
