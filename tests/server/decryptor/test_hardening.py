"""What keeps the decryptor's memory to itself, looked at from outside."""

import io
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from billfold_server.decryptor.hardening import frames_of, keep_words_out_of_logs
from tests.cards import CARDS

NUMBER = CARDS["visa"]


def run(program: str) -> "subprocess.CompletedProcess[str]":
    """Run a program in a process of its own."""
    path = os.pathsep.join(filter(None, sys.path))
    return subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": path},
        timeout=60,
    )


def failing() -> KeyError:
    """Return an error with a number in everything that it says, from another that has it, too."""
    with pytest.raises(KeyError) as caught:
        fail()
    caught.value.add_note(NUMBER)
    return caught.value


def fail() -> None:
    """Fail twice over."""
    try:
        int(f"x{NUMBER}")
    except ValueError as error:
        raise KeyError(NUMBER) from error


class TestAnError:
    def test_is_told_without_its_words(self) -> None:
        """Kinds and places, and no message, note or argument."""
        error = failing()
        text = frames_of((type(error), error, error.__traceback__))
        assert NUMBER not in text
        assert "builtins.KeyError" in text
        assert "builtins.ValueError" in text
        assert "test_hardening.py" in text


class TestALine:
    def test_of_our_own_has_no_words_of_errors(self) -> None:
        """What is logged with an error shows its frames."""
        assert NUMBER not in self.logged("billfold.decryptor")
        assert "KeyError" in self.logged("billfold.decryptor")

    def test_of_a_library_tells_its_place_alone(self) -> None:
        """Whatever a library says, it isn't repeated."""
        for name in ("asyncio", "urllib3.connectionpool", "root"):
            logged = self.logged(name)
            assert NUMBER not in logged
            assert "something was logged at test_hardening" in logged

    def logged(self, name: str) -> str:
        """Return what becomes of a line with a number in it."""
        root, stream = logging.getLogger(), io.StringIO()
        handler, former = logging.StreamHandler(stream), root.handlers[:]
        root.handlers[:] = [handler]
        try:
            keep_words_out_of_logs()
            error = failing()
            text = "failed" if name.startswith("billfold.") else f"failed with {NUMBER}"
            logging.getLogger(name).error(text, exc_info=(type(error), error, error.__traceback__))
        finally:
            root.handlers[:] = former
        return stream.getvalue()


class TestWhatNobodyCatches:
    @pytest.mark.parametrize(
        "failure",
        [
            "raise ValueError(number)",
            "threading.Thread(target=lambda: int('x' + number)).start()",
            "class Odd:\n    def __del__(self): raise ValueError(number)\nodd = Odd()\ndel odd",
        ],
    )
    def test_is_told_without_its_words(self, failure: str) -> None:
        """At the end of the process, of a thread and of an object."""
        program = (
            "import logging, threading\n"
            "from billfold_server.decryptor.hardening import keep_words_out_of_logs, silence_failures\n"
            "logging.basicConfig()\nkeep_words_out_of_logs()\nsilence_failures()\n"
            f"number = {NUMBER!r}\n{failure}\n"
        )
        done = run(program)
        assert NUMBER not in done.stderr + done.stdout
        assert "ValueError" in done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="what others may see of a process is Linux's business")
class TestAProcess:
    def test_leaves_no_core_and_lets_nobody_in(self) -> None:
        """The limit for cores is zero, and its folder in /proc isn't its user's any more."""
        program = (
            "import os, resource\nfrom billfold_server.decryptor.hardening import close_to_others\nclose_to_others()\n"
            "import ctypes\n"
            "print(resource.getrlimit(resource.RLIMIT_CORE), ctypes.CDLL(None).prctl(3, 0, 0, 0, 0), "
            "os.stat('/proc/self/mem').st_uid)"
        )
        assert run(program).stdout.strip() == "(0, 0) 0 0"

    def test_has_a_folder_that_we_may_see(self) -> None:
        """The test before would see another owner without it."""
        assert Path("/proc/self/mem").stat().st_uid == os.geteuid()
