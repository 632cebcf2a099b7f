"""The keyring: one secret per deployment, from which every other one is derived or by which it is sealed.

It lies in a file of its own, outside of the database, so that a copy of the database opens nothing. In production a
passphrase seals the file; a developer's is made by itself and lies open, readable by its owner only.
"""

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from billfold_server.keys import keyring_file, rules
from billfold_server.keys.rules import SealBroken

if TYPE_CHECKING:
    from billfold_server.settings import Settings

__all__ = ["Keyring", "KeyringUnusable", "open_keyring"]


class KeyringUnusable(Exception):
    """The keyring can't be used; the text is one sentence that says what to do."""


class Keyring:
    """The deployment's secret, opened.

    Args:
        secret: 32 random bytes.
    """

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self._derived: dict[str, bytes] = {}

    def __repr__(self) -> str:
        return f"Keyring({rules.fingerprint(self._secret)})"

    def derive(self, purpose: str) -> bytes:
        """Return the 32-byte key for one purpose; the same at every start and in every worker."""
        derived = self._derived.get(purpose)
        if derived is None:
            derived = self._derived[purpose] = rules.derive(self._secret, purpose)
        return derived


def open_keyring(settings: "Settings") -> Keyring:
    """Open the deployment's keyring, and make it at the very first start.

    Several workers may start at once: whoever is first makes the file, the others read it.

    Raises:
        KeyringUnusable: The file can't be read, the passphrase doesn't open it, or production finds it open.
    """
    path = settings.keyring_path
    passphrase = settings.keyring_passphrase.reveal() if settings.keyring_passphrase is not None else None
    if settings.production and passphrase is None:
        msg = "In production, the keyring needs a passphrase; set BILLFOLD_KEYRING_PASSPHRASE."
        raise KeyringUnusable(msg)
    try:
        text = _read_or_make(path, passphrase)
    except OSError as error:
        msg = f"The keyring {path} can't be read or made ({error.strerror}); give its folder to the server's user."
        raise KeyringUnusable(msg) from error
    try:
        file = keyring_file.decode_file(text)
    except SealBroken:
        msg = f"{path} is no keyring that this version can read; bring back the deployment's own, or name its file."
        raise KeyringUnusable(msg) from None
    try:
        if settings.production and not keyring_file.is_sealed(file):
            msg = f"In production, the keyring {path} must be sealed; move it away, and a new one is made and sealed."
            raise KeyringUnusable(msg)
        return Keyring(keyring_file.open_file(file, passphrase))
    except SealBroken:
        msg = (
            f"The keyring {path} doesn't open; set BILLFOLD_KEYRING_PASSPHRASE to the passphrase that it was made with."
        )
        raise KeyringUnusable(msg) from None


def _read_or_make(path: Path, passphrase: str | None) -> bytes:
    with contextlib.suppress(FileNotFoundError):
        return path.read_bytes()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = keyring_file.close_file(
        secrets.token_bytes(keyring_file.SECRET_BYTES),
        passphrase,
        salt=secrets.token_bytes(16),
        nonce=secrets.token_bytes(12),
    )
    with _draft(path, keyring_file.encode_file(file)) as draft, contextlib.suppress(FileExistsError):
        # A link appears whole or not at all, and never replaces one that another worker has made.
        os.link(draft, path)
    return path.read_bytes()


@contextlib.contextmanager
def _draft(path: Path, text: bytes) -> Iterator[Path]:
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        yield draft
    finally:
        draft.unlink(missing_ok=True)
