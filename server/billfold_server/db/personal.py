"""What rooms keep of people, said column by column, and what a room does for one person who asks.

Every room that has tables has an ``inventory.py`` beside them. A column is either personal, and then it says under
which key it lies or why it lies plain, or it says why it isn't. A column that nobody has classified fails a test that
reads the catalog of a migrated tenant.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal
from uuid import UUID

import msgspec

if TYPE_CHECKING:
    from billfold_server.http.routing import Call
    from billfold_server.tenancy.context import Caller
    from billfold_server.tenancy.transaction import TenantTx

__all__ = [
    "Category",
    "Erase",
    "Erasing",
    "Exported",
    "Inventory",
    "Kept",
    "NotPersonal",
    "Owner",
    "Part",
    "PersonalColumn",
    "Subject",
    "SubjectProvider",
    "counted",
    "personal_names",
    "to_plain",
]

Category = Literal[
    "account_number", "card", "contact", "credential", "device", "evidence", "free_text", "identifier", "name"
]
"""What kind of personal data it is."""

Owner = Literal["client", "counterparty", "party", "staff", "user"]
"""Whom it tells of: a party, the users of parties or of the bank, people at a client's, or whom a bank's file names."""

Kept = Literal[
    "approvals_days",
    "audit_days",
    "card_sessions",
    "clients",
    "consents_days",
    "dead_jobs_days",
    "events_days",
    "grants_days",
    "idempotent_answers_days",
    "ledger",
    "minutes",
    "party",
    "requests_days",
    "sca_days",
    "sessions_days",
    "tenant",
    "tokens",
    "user",
]
"""How long it is kept: as a key of the manifest's ``[retention]`` says, or for as long as what it belongs to."""


class PersonalColumn(msgspec.Struct, frozen=True, kw_only=True):
    """A column that tells something of a person, or of a card.

    Attributes:
        table: The table.
        column: The column.
        category: What it is.
        owner: Of whom.
        domain: The domain of the keys under which it is sealed; None where it isn't.
        plain_because: Why it isn't sealed.
        kept: For how long.
        index: Whether it is a keyed digest by which sealed data is found.
        told_as: The names of the contract's members that tell of it, with spaces between, where they aren't its own.
    """

    table: str
    column: str
    category: Category
    owner: Owner
    domain: Literal["data", "cards"] | None = None
    plain_because: str | None = None
    kept: Kept
    index: bool = False
    told_as: str = ""

    def __post_init__(self) -> None:
        """Refuse a column that is neither sealed nor says why not, or both.

        Raises:
            ValueError: It is one of these.
        """
        if (self.domain is None) is (self.plain_because is None):
            msg = f"{self.table}.{self.column} is sealed under a domain, or says why it is plain"
            raise ValueError(msg)


class NotPersonal(msgspec.Struct, frozen=True, kw_only=True):
    """Columns of a table that tell nothing of anybody.

    Attributes:
        table: The table.
        because: Why not.
        columns: Their names, with spaces between.
    """

    table: str
    because: str
    columns: str


class Inventory(msgspec.Struct, frozen=True, kw_only=True):
    """Every column of a room's tables, in each tenant's schema.

    Attributes:
        room: The room.
        personal: What is personal.
        others: What isn't.
    """

    room: str
    personal: Sequence[PersonalColumn] = ()
    others: Sequence[NotPersonal] = ()

    def classified(self) -> list[tuple[str, str]]:
        """Return each column that the room classifies, as often as it does."""
        columns = [(each.table, each.column) for each in self.personal]
        return columns + [(each.table, name) for each in self.others for name in each.columns.split()]


def personal_names(inventories: Iterable[Inventory]) -> frozenset[str]:
    """Return the names of the contract's members that tell of people, by what rooms say of their columns."""
    columns = [each for inventory in inventories for each in inventory.personal]
    return frozenset(name for each in columns for name in (each.column, *each.told_as.split()))


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody whose data is asked for or forgotten.

    Attributes:
        party_id: Who.
        wallet_ids: What they own.
        user_ids: As whom they sign in.
    """

    party_id: UUID
    wallet_ids: Sequence[UUID] = ()
    user_ids: Sequence[UUID] = ()


class Exported(msgspec.Struct, frozen=True, kw_only=True):
    """Something that a room knows of a person.

    Attributes:
        kind: What it is, such as ``party`` or ``wallet_alias``.
        key: Its place among those of its kind.
        data: What it says, in plain, as JSON has it.
    """

    kind: str
    key: UUID
    data: Mapping[str, Any]


class Erasing(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who is being forgotten.

    Attributes:
        subject: Who.
        caller: In whose name.
        reason: Why.
        now: The tenant's time.
        real_now: The real time.
    """

    subject: Subject
    caller: "Caller"
    reason: str
    now: datetime
    real_now: datetime


Part = Callable[["Call", Subject, UUID | None, int], Awaitable[Sequence[Exported]]]
"""Returns what a room knows of a person of one kind, in the order of keys: behind a key, and so many at most.

No transaction is open: a part reads in one of its own, and opens what is sealed after that.
"""

Erase = Callable[["TenantTx", Erasing], Awaitable[Mapping[str, int]]]
"""Removes or blanks what a room keeps of a person in plain, and returns how many rows of each table that was.

It is part of one transaction with what all rooms do. What is sealed goes with its keys, after that.
"""

Hold = Callable[["TenantTx", Erasing], Awaitable[None]]
"""Locks rows that others lock before those of other rooms, as the first thing of that transaction."""


class SubjectProvider(msgspec.Struct, frozen=True, kw_only=True):
    """What a room does for a person who asks what is known of them, or to be forgotten.

    Attributes:
        room: The room, as its inventory names it.
        export: What it knows, kind by kind.
        erase: How it forgets them; None where it says why there is nothing to do.
        hold: What it locks before any room forgets them; None is nothing.
        begin: What of ``erase`` is done before the books are taken, for there may be a million rows of it, and nobody
            else's money moves as long as they are; None is nothing. ``erase`` finds what is left.
        nothing_because: Why there is nothing to export or to erase, where there isn't.
    """

    room: str
    export: Sequence[Part] = ()
    erase: Erase | None = None
    hold: Hold | None = None
    begin: Erase | None = None
    nothing_because: str | None = None

    def __post_init__(self) -> None:
        """Refuse a room that neither does something nor says why not.

        Raises:
            ValueError: It is such a room.
        """
        if (not self.export or self.erase is None) and self.nothing_because is None:
            msg = f"{self.room} exports and erases, or says why not"
            raise ValueError(msg)


def to_plain(value: object) -> Any:
    """Return what an object of the contract says as JSON has it."""
    return msgspec.to_builtins(value)


def counted(tag: str) -> int:
    """Return how many rows a command tag such as ``UPDATE 17`` tells of."""
    return int(tag.rpartition(" ")[2])
