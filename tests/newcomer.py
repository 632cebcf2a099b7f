"""A newcomer's first minutes, measured: ``nox -s newcomer``, or ``python tests/newcomer.py``.

In a folder that has nothing to do with the checkout, with an environment and a home of its own, the repository is
cloned and then the README's own lines are followed: until money has moved, until a webhook has come, and until a test
of one's own is green. What a line needs from the reader is brought here; port and data folder of the server are ones of
its own, because another may have the usual ones.
"""

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Final

__all__ = ["main"]

ROOT: Final = Path(__file__).parents[1]
README: Final = (ROOT / "README.md").read_text(encoding="utf-8")
SECRET: Final = "whsec_c2VjcmV0IG9mIGEgbmV3Y29tZXIncyByZWNlaXZlcg=="
STEP_S: Final = 900
"""How long a step may take; a first install on a slow line is the longest."""

ANSWER_S: Final = 60
"""How long what runs may be silent once it is installed."""


class Failed(Exception):
    """A step didn't do what the README says."""


class Newcomer:
    """Somebody who has never seen Billfold.

    Attributes:
        folder: Where they work.
        clone: Their clone.
        steps: What they did, and how many seconds after they began it was done.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.clone = folder, folder / "billfold"
        self.steps: list[tuple[str, float]] = []
        self._began_s = time.monotonic()
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        kept = {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "LANG"))}
        path = os.pathsep.join([str(Path(sys.base_prefix) / "bin"), "/usr/local/bin", "/usr/bin", "/bin"])
        own = {"HOME": str(folder), "BILLFOLD_PORT": str(port), "BILLFOLD_DATA_DIR": str(folder / "data")}
        self.environment = {**kept, "PATH": path, **own}

    def done(self, what: str) -> None:
        """Note that a step is done."""
        self.steps.append((what, time.monotonic() - self._began_s))
        print(f"{self.steps[-1][1]:8.1f} s  {what}", flush=True)

    def run(self, line: str, *, typed: str = "", where: Path | None = None, **variables: str) -> str:
        """Run a line of a shell to its end, and return what it prints.

        Raises:
            Failed: It has failed, or took too long.
        """
        try:
            ended = subprocess.run(
                ["sh", "-c", line],
                cwd=where or self.clone,
                env={**self.environment, **variables},
                input=typed,
                capture_output=True,
                text=True,
                timeout=STEP_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise Failed(f"{line}\nis not over after {STEP_S} s") from None
        if ended.returncode:
            raise Failed(f"{line}\n{ended.stdout}{ended.stderr}")
        return ended.stdout

    @contextlib.contextmanager
    def running(self, line: str, **variables: str) -> Iterator["Output"]:
        """Run a line of a shell until the block ends, and yield what it says."""
        process = subprocess.Popen(
            ["sh", "-c", line],
            cwd=self.clone,
            env={**self.environment, **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        assert process.stdout is not None
        output = Output(line, process.stdout)
        try:
            yield output
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(60)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


class Output:
    """What something says that runs, read as it comes."""

    def __init__(self, line: str, stream: IO[str]) -> None:
        self.text = ""
        self._line = line
        self._changed = threading.Condition()
        self._ended = False
        threading.Thread(target=self._read, args=(stream,), daemon=True).start()

    def _read(self, stream: IO[str]) -> None:
        for line in stream:
            with self._changed:
                self.text += line
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def until(self, wanted: str, timeout_s: float = ANSWER_S) -> str:
        """Wait until it has said something, and return all that it has said.

        Raises:
            Failed: It has ended without, or took too long.
        """
        with self._changed:
            self._changed.wait_for(lambda: wanted in self.text or self._ended, timeout_s)
            if wanted not in self.text:
                raise Failed(f"{self._line}\ndidn't say {wanted!r}, but:\n{self.text}")
            return self.text


def shown(pattern: str) -> str:
    """Return what the README shows, by how it begins.

    Raises:
        Failed: It shows no such thing any more.
    """
    found = re.search(pattern, README, flags=re.MULTILINE | re.DOTALL)
    if found is None:
        raise Failed(f"the README shows nothing like {pattern!r}")
    return found[1]


def move_money(newcomer: Newcomer, said: str) -> None:
    """Paste what `billfold up` has printed."""
    lines = re.search(r"^Move money [^\n]*\n\n(.*?\nEND)$", said, flags=re.MULTILINE | re.DOTALL)
    if lines is None:
        raise Failed(f"billfold up printed nothing to paste:\n{said}")
    printed = newcomer.run(lines[1])
    if "Savings 12.50 EUR" not in printed:
        raise Failed(f"no money has moved:\n{printed}")


def facts_of(said: str) -> Mapping[str, str]:
    """Return what `billfold up` has printed, by its names."""
    return dict(re.findall(r"^  ([A-Z][A-Za-z ]*?) {2,}(\S+)", said, flags=re.MULTILINE))


def take_webhook(newcomer: Newcomer, said: str) -> None:
    """Log in, run the example of a receiver, have events forwarded to it, and move money once more."""
    facts = facts_of(said)
    login = ".venv/bin/" + shown(r"^(billfold login [^\n]+)$")
    login = login.replace("https://bank.example/t/demo_bank", facts["Base URL"]).replace("cli_…", facts["Client id"])
    newcomer.run(login, typed=facts["Client secret"] + "\n")
    newcomer.done("logged in on the command line")
    listen = shown(r"`(billfold webhooks listen --forward-to) http://127.0.0.1:9000/`")
    known = {"BILLFOLD_WEBHOOK_SECRET": SECRET, "PYTHONUNBUFFERED": "1"}
    with newcomer.running(".venv/bin/python examples/webhook_receiver/receiver.py", **known) as receiver:
        url = receiver.until("/\n").removeprefix("listening at ").strip()
        command = f".venv/bin/{listen} {url} --secret-variable BILLFOLD_WEBHOOK_SECRET"
        with newcomer.running(command, **known) as forwarding:
            forwarding.until("following what comes behind")
            move_money(newcomer, said)
            receiver.until("transfer.posted: 12.50 EUR")


def pass_test(newcomer: Newcomer) -> None:
    """Write the README's test beside the program that it tests, and run it."""
    newcomer.run(".venv/bin/pip install pytest")
    newcomer.done("installed pytest")
    own = newcomer.folder / "shop"
    own.mkdir()
    shutil.copy(newcomer.clone / "examples" / "testing_a_shop" / "shop.py", own)
    test = shown(r"```python\n(def test_checkout\(wallet_sandbox\):.*?)```")
    (own / "test_shop.py").write_text(f"import shop\n\nfrom billfold import Money\n\n\n{test}", encoding="utf-8")
    printed = newcomer.run(f"{newcomer.clone}/.venv/bin/python -m pytest", where=own)
    if "1 passed" not in printed:
        raise Failed(f"the test isn't green:\n{printed}")


def follow(newcomer: Newcomer) -> Mapping[str, float]:
    """Do as the README says, and return after how many seconds each of the three things was there."""
    newcomer.run(f"git clone --quiet {ROOT} billfold", where=newcomer.folder)
    newcomer.done("cloned")
    reached = {}
    with newcomer.running(shown(r"```sh\n(python3 -m venv [^\n]+/billfold up)\n```")) as server:
        said = server.until("Ctrl-C stops it", STEP_S)
        newcomer.done("installed, and a server is up")
        move_money(newcomer, said)
        newcomer.done("money has moved")
        reached["first money moved"] = newcomer.steps[-1][1]
        take_webhook(newcomer, said)
        newcomer.done("a webhook has come")
        reached["first webhook received"] = newcomer.steps[-1][1]
    pass_test(newcomer)
    newcomer.done("a test of their own is green")
    reached["first own test green"] = newcomer.steps[-1][1]
    return reached


def main() -> int:
    """Print the steps as they are done and the three times, and return 1 where a step fails."""
    folder = Path(tempfile.mkdtemp(prefix="newcomer-"))
    # The database runs as another user where this is root, who must get in.
    folder.chmod(0o755)
    try:
        reached = follow(Newcomer(folder))
    except Failed as failed:
        print(f"failed: {failed}", file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    for what, after_s in reached.items():
        print(f"{what}: {after_s / 60:.1f} minutes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
