"""The one Vault of a data folder: started by whoever comes first, used by all who come while it runs."""

import contextlib
import logging
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from billfold_server.db.embedded.locks import is_locked, locked
from billfold_server.keys.backends.vault.answers import Forbidden, Refused, Trouble
from billfold_server.keys.backends.vault.link import Link
from billfold_server.private_files import keep_privately
from billfold_server.serving.failures import Exit, Failure
from billfold_server.serving.vault.files import Files, find_program
from billfold_server.serving.vault.setting_up import set_up

__all__ = ["DevelopmentVault"]

_log = logging.getLogger("billfold.vault")

_START_S: Final = 60.0
_STOP_S: Final = 10.0
_POLL_S: Final = 0.02
_CALL_S: Final = 10.0
_LONGEST_PAUSE_S: Final = 5.0


class DevelopmentVault:
    """A data folder's Vault, as one of its users. Synchronous: for ``asyncio.to_thread``.

    Args:
        data_dir: The data folder.
    """

    def __init__(self, data_dir: Path) -> None:
        self.files = Files(data_dir)
        self._process: subprocess.Popen[bytes] | None = None
        self._mutex = threading.Lock()

    def start(self) -> None:
        """Start it, or join the one that runs, and see that it is set up.

        Raises:
            Failure: It can't be had; the sentence says why.
        """
        program = find_program()
        with self._mutex, self._starting():
            self.files.prepare()
            self._bring_up(program)

    def watch(self, stopping: threading.Event, *, interval_s: float = 0.2) -> None:
        """Start it again whenever it has ended, until the event is set; for a thread of the server's parent."""
        pause_s = interval_s
        while not stopping.wait(pause_s):
            if is_locked(self.files.running):
                pause_s = interval_s
                continue
            try:
                self.start()
                _log.warning("the development Vault had ended and was started again")
                pause_s = interval_s
            except (Failure, OSError) as error:
                _log.error("the development Vault has ended and can't be started: %s", error)
                pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)

    def stop(self) -> None:
        """End it, if this process has started it."""
        with self._mutex:
            self._end()

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        assert process.stdin is not None, "it is a pipe"
        # All three of them: shell, guard and program.
        _signal(process, signal.SIGTERM)
        process.stdin.close()
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            _log.warning("the development Vault doesn't end, and is killed")
        # The program may outlive the shell by a moment, and the lock says for how long.
        deadline = time.monotonic() + _STOP_S
        while is_locked(self.files.running):
            if time.monotonic() > deadline:
                _signal(process, signal.SIGKILL)
                break
            time.sleep(_POLL_S)
        process.wait(_STOP_S)

    @contextlib.contextmanager
    def _starting(self) -> Iterator[None]:
        """Be the only one who starts it."""
        self.files.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            with locked(self.files.starting, timeout_s=_START_S):
                yield
        except TimeoutError as error:
            raise self._failure("another process has been starting it all the time") from error

    def _bring_up(self, program: Path) -> None:
        """Get it to answer: wait for one that is on its way up or down, start one where there is none."""
        deadline = time.monotonic() + _START_S
        launched = 0
        while True:
            if time.monotonic() > deadline:
                raise self._failure("it doesn't answer")
            if not is_locked(self.files.running):
                if launched > 1:
                    raise self._failure("it ended instead of starting")
                self._launch(program)
                launched += 1
            state = self._state()
            if state == "not_initialized":
                self._initialize()
            elif state is None:
                if self._is_ours():
                    return
                # A start that was cut short has made one that nobody can use, and nobody has.
                self._begin_anew()
                launched = 0
            time.sleep(_POLL_S)

    def _launch(self, program: Path) -> None:
        self._end()
        self.files.choose_ports()
        with locked(self.files.running, timeout_s=_START_S) as running:
            self._process = self.files.launch(program, running)

    def _state(self) -> str | None:
        """Return why it isn't ready, or None as it is."""
        link = Link(self.files.address)
        try:
            with link.until(time.monotonic() + _CALL_S):
                link.client().adapter.get("/v1/sys/health")
        except Trouble as trouble:
            return trouble.cause
        except (Forbidden, Refused):
            return "garbage"
        finally:
            link.close()
        return None

    def _initialize(self) -> None:
        """Make its keys, and keep the token by which it is set up."""
        with self._calling("") as client:
            made = client.adapter.put("/v1/sys/init", json={"recovery_shares": 1, "recovery_threshold": 1})
        keep_privately(self.files.root_token, str(made["root_token"]).encode())

    def _is_ours(self) -> bool:
        """Set it up, and tell whether we could: whether our token is one of its."""
        if not self.files.root_token.exists():
            return False
        try:
            with self._calling(self.files.root_token.read_text()) as client:
                set_up(client, self.files)
        except Forbidden:
            raise self._failure(
                f"it doesn't take the token in {self.files.root_token}; put back what was there"
            ) from None
        return True

    def _begin_anew(self) -> None:
        self._end()
        with locked(self.files.running, timeout_s=_STOP_S):
            shutil.rmtree(self.files.data)
        self.files.data.mkdir(mode=0o700)

    @contextlib.contextmanager
    def _calling(self, token: str) -> Iterator[Any]:
        link = Link(self.files.address)
        try:
            with link.until(time.monotonic() + _CALL_S):
                yield link.client(token)
        except Trouble as trouble:
            raise self._failure(f"it can't be set up ({trouble.cause})") from trouble
        except Refused as refused:
            raise self._failure("it refuses to be set up") from refused
        finally:
            link.close()

    def _failure(self, why: str) -> Failure:
        return Failure(
            "vault_start_failed",
            f"The Vault for development in {self.files.home} does not start: {why}. {self.files.log} says more.",
            Exit.UNAVAILABLE,
            home=str(self.files.home),
            log=str(self.files.log),
        )


def _signal(process: "subprocess.Popen[bytes]", number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)
