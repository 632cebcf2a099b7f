"""Where the simulator is found: a port of the loopback address, and a secret, in a file that its owner alone reads."""

import os
import secrets
from pathlib import Path

import msgspec

from billfold_server.private_files import keep_privately

__all__ = ["Address", "announce", "folder_of", "read"]

_FILE = "address.json"


class Address(msgspec.Struct, frozen=True):
    """Where a simulator listens, what it must be told, and which process it is."""

    port: int
    secret: str
    pid: int

    def __repr__(self) -> str:
        """Show where it is, and not the secret."""
        return f"Address({self.port})"


def folder_of(data_dir: str | Path) -> Path:
    """Return the folder of a data folder's simulator."""
    return Path(data_dir) / "rail"


def announce(folder: Path, port: int) -> Address:
    """Write down where a simulator listens from now on, in the place of where one did before."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    address = Address(port, secrets.token_urlsafe(), os.getpid())
    keep_privately(folder / _FILE, msgspec.json.encode(address))
    return address


def read(folder: Path) -> Address | None:
    """Return where the simulator listens; None where there never was one."""
    try:
        return msgspec.json.decode((folder / _FILE).read_bytes(), type=Address)
    except FileNotFoundError:
        return None
