"""The verification of what other rooms keep beside: its order, and whom it refers to.

No chain commits to these rows. A reference to a journal entry isn't looked up either: it would take every entry's id
to be kept in memory until they come.
"""

from typing import Any, Final
from uuid import UUID

from billfold.chain.findings import Damage, Findings
from billfold.chain.people import People
from billfold.chain.records import RowRecord

__all__ = ["KEYS", "Beside"]

KEYS: Final = {
    "bank_accounts": ("bank_account", "currency"),
    "statement_imports": ("id",),
    "statements": ("id",),
    "statement_entries": ("id",),
    "payments": ("id",),
    "payment_steps": ("payment_id", "number"),
    "payment_returns": ("journal_entry_id",),
    "withdrawals_shown": ("withdrawal_id",),
    "top_ups_shown": ("top_up_id",),
}
"""The tables in the order in which they come, and what the rows of each are in order of."""

_PLACES: Final = {table: place for place, table in enumerate(KEYS)}
_WALLETS: Final = ("wallet_id", "to_wallet_id")


class Beside:
    """Sees that rows come once each and in order, and that the people whom they name are there.

    Args:
        findings: Where to say what is wrong.
        people: Whom the books are about.
    """

    def __init__(self, findings: Findings, people: People) -> None:
        self._findings = findings
        self._people = people
        self._table: str | None = None
        self._place = 0
        self._last: tuple[str, ...] | None = None

    def take(self, record: RowRecord) -> None:
        """Look at the next row."""
        columns = record.columns
        key = tuple(_sortable(columns.get(name)) for name in KEYS.get(record.table, ("id",)))
        name = f"{record.table}/{'/'.join(key)}"
        if record.table != self._table:
            place = _PLACES.get(record.table, len(_PLACES))
            if place < self._place:
                self._findings.add(Damage.REORDERED, "row", name, "its table comes before the one that it follows")
            self._table, self._place, self._last = record.table, place, None
        if self._last is not None and key <= self._last:
            damage = Damage.INSERTED if key == self._last else Damage.REORDERED
            self._findings.add(damage, "row", name, "rows come in order of their key and once each")
        self._last = key if self._last is None else max(key, self._last)
        self._look_up(name, "wallet", [columns.get(each) for each in _WALLETS])
        self._look_up(name, "party", [columns.get("party_id")])
        self._look_up(name, "account", [columns.get("cash_account_id")])

    def _look_up(self, name: str, kind: str, values: list[Any]) -> None:
        for value in values:
            if value is not None and not self._has(kind, _to_uuid(value)):
                self._findings.add(Damage.DANGLING, "row", name, f"there is no {kind} {str(value)[:36]}")

    def _has(self, kind: str, id_: UUID | None) -> bool:
        if id_ is None:
            return False
        if kind == "wallet":
            return self._people.has_wallet(id_)
        return id_ in (self._people.parties if kind == "party" else self._people.accounts)


def _sortable(value: object) -> str:
    """Return a part of a key so that text is in the order of the values."""
    return f"{value:020d}" if isinstance(value, int) else str(value)


def _to_uuid(value: object) -> UUID | None:
    try:
        return UUID(str(value))
    except ValueError:
        return None
