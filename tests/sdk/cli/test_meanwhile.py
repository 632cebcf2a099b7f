"""A command that takes long says that it is at work, on standard error, and to people alone."""

import json
import threading
from typing import Any

import pytest

from billfold.cli.meanwhile import saying
from tests.sdk.cli.answering import Answering, give

PATIENCE_S = 20
STANDS = {"now": "2027-02-01T12:00:00Z", "controllable": True, "frozen": True}
ARRIVED = {**STANDS, "now": "2027-03-01T12:00:00Z"}
COMMAND = ("clock", "advance", "--to", "2027-03-01T12:00:00Z")


class TestWhatIsSaidMeanwhile:
    def test_comes_again_and_again(self, capsys: pytest.CaptureFixture[str]):
        """It is looked at anew each time, and nothing is said once it is over."""
        looked, enough = iter(("one", "two")), threading.Event()

        def look() -> str:
            sentence = next(looked, "")
            if not sentence:
                enough.set()
            return sentence

        with saying(look, first_s=0.0, every_s=0.001):
            assert enough.wait(PATIENCE_S)
        assert capsys.readouterr().err.splitlines()[:2] == ["billfold: one", "billfold: two"]

    def test_is_nothing_where_it_is_soon_over(self, capsys: pytest.CaptureFixture[str]):
        """Nobody looks before the first time has come."""
        with saying(pytest.fail):
            pass
        with saying(None, first_s=0.0):
            pass
        assert capsys.readouterr().err == ""


class TestAClockThatIsMoved:
    def test_tells_where_it_is(self, server: Answering):
        """Whoever waits sees what it shows on its way; the answer is the command's own."""

        def arrive() -> Any:
            assert asked.wait(PATIENCE_S)
            return ARRIVED

        def tell() -> Any:
            asked.set()
            return STANDS

        asked = threading.Event()
        server.say(arrive, tell)
        done = give(server, *COMMAND)
        assert done.exit_code == 0
        assert "2027-03-01" in done.stdout
        assert [(method, path.rpartition("/v1")[2]) for method, path, *_ in server.requests] == [
            ("POST", "/clock/advance"),
            ("GET", "/clock"),
        ]

    def test_says_nothing_to_programs(self, server: Answering):
        """With --json there is the document alone."""
        server.say(ARRIVED)
        done = give(server, *COMMAND, "--json")
        assert (json.loads(done.stdout), done.stderr) == (ARRIVED, "")
