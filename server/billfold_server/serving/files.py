"""Looks at who may read the files that a server's secrets lie in, the same for ``billfold up`` and for the doctor."""

import os
import stat

from billfold_server.keys.service import KeyringUnusable
from billfold_server.serving.rules import Check, judge_keyring
from billfold_server.settings import Mistake, Settings, SettingsInvalid

__all__ = ["insist_on_closed_keyring", "insist_on_keyring", "look_at_keyring"]


def look_at_keyring(settings: Settings) -> Check:
    """Judge who may read the keyring, without opening it."""
    path = settings.keyring_path
    if not path.exists():
        return judge_keyring(str(path), mode=None, ours=True, production=settings.production)
    found = path.stat()
    return judge_keyring(
        str(path),
        mode=stat.S_IMODE(found.st_mode),
        ours=found.st_uid == os.geteuid(),
        production=settings.production,
    )


def insist_on_closed_keyring(settings: Settings) -> None:
    """See that no server starts with a keyring of which the doctor says that none can.

    Raises:
        SettingsInvalid: Others may read it, and real money depends on it.
    """
    check = look_at_keyring(settings)
    if check.verdict == "fail":
        raise SettingsInvalid(
            [Mistake("keyring_file", f"In production, {check.sentence[0].lower()}{check.sentence[1:]}")]
        )


def insist_on_keyring(settings: Settings) -> None:
    """See that the keyring with which a server has started is still there, before one of its processes opens it.

    Whoever opens one that is missing makes another, which would lie in the place of the right one and open nothing.

    Raises:
        KeyringUnusable: It is gone.
    """
    if not settings.keyring_path.exists():
        msg = f"The keyring {settings.keyring_path} is gone: bring it back; this server needs no restart for that."
        raise KeyringUnusable(msg)
