"""The key store's own migrations: numbered files of SQL, run in order, each in a transaction of its own.

They run as the administrator. The login that serves reads and writes rows; it makes and changes no tables.
"""

from importlib.resources import files
from typing import Final

import msgspec

__all__ = ["MIGRATIONS", "NEWEST", "Migration"]


class Migration(msgspec.Struct, frozen=True):
    """One step: its number, and its SQL."""

    number: int
    sql: str


def _load() -> tuple[Migration, ...]:
    found = sorted(each.name for each in files(__name__).iterdir() if each.name.endswith(".sql"))
    return tuple(Migration(int(name[:4]), files(__name__).joinpath(name).read_text(encoding="utf-8")) for name in found)


MIGRATIONS: Final = _load()
NEWEST: Final = MIGRATIONS[-1].number
