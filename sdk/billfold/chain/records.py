"""The lines of a ledger's export, one Struct for each kind of record.

An export is a text of JSON lines (UTF-8). Each line is an object whose ``record`` says what it is; its other members
are those of the Struct. Ids are UUIDs (``billfold.ids`` has their form on the wire), amounts integers in minor units,
instants RFC 3339 in UTC, and bytes base64.

The lines come in this order, so that a reader needs little memory:

1. ``head``: what the ledger says of itself.
2. ``party``, ``wallet``, ``alias`` and ``account``, each in order of id: whom the books are about, with the balances of
   the moment. Then a ``checkpoint`` for each time that months were detached, the newest with the balances at its place:
   the journal entries up to there are in archives of their own, and what follows goes on from it.
3. The timeline. Each ``link`` is followed by its records in order: ``journal_entry`` (and after it, where there is one,
   its ``transfer``, and its ``reversal`` if it was reversed later), ``hold_movement`` (before a hold's first one comes
   the ``hold``, and after it its ``hold_terms``), ``wallet_terms``, ``account_terms`` and ``era``. What stands in the
   ledger without belonging there stands where its id puts it, also a ``posting`` without an entry.
4. ``row``: what other rooms keep beside, a table at a time and in order of its key (``billfold.chain.beside.KEYS``), in
   the database's own JSON.
5. ``idempotency_key``: the answers that are kept under their keys, in order of client and key.
6. ``end``: how many lines of each kind came before.

An export holds personal data: names, addresses, what people wrote, and whole answers.
"""

from typing import Any, Final, TypeAlias
from uuid import UUID

import msgspec

from billfold.chain.checkpoints import checkpoint_leaf
from billfold.chain.lines import Line, Time, read_line
from billfold.chain.links import StoredLink, commitment, entry_leaf, movement_leaf
from billfold.chain.terms import account_terms_leaf, era_leaf, hold_terms_leaf, wallet_terms_leaf

__all__ = [
    "FORMAT",
    "FORMATS",
    "AccountRecord",
    "AccountTermsRecord",
    "AliasRecord",
    "CheckpointRecord",
    "EndRecord",
    "EraRecord",
    "HeadRecord",
    "HoldRecord",
    "HoldTermsRecord",
    "IdempotencyKeyRecord",
    "JournalEntryRecord",
    "LinkRecord",
    "MovementRecord",
    "PartyRecord",
    "PostingOfEntry",
    "PostingRecord",
    "Record",
    "ReversalRecord",
    "RowRecord",
    "TransferRecord",
    "WalletRecord",
    "WalletTermsRecord",
    "encode_record",
    "read_record",
]

FORMAT: Final = "billfold.ledger/4"
"""The version of these lines."""
FORMATS: Final = frozenset({"billfold.ledger/2", "billfold.ledger/3", FORMAT})
"""The versions that can be read. Before the third there were no terms and no eras, before the fourth none of holds."""


class HeadRecord(Line, frozen=True, kw_only=True, tag="head"):
    """What the ledger says of itself, as its own row has it.

    Attributes:
        format: ``billfold.ledger/4``.
        tenant: The tenant's slug.
        sequence: How many journal entries there are.
        revision: How many batches have changed anything.
        recorded_at: When the newest record was written.
        effective_high: The latest time at which any entry took effect.
        link: The newest link's number.
        hash: Its hash.
        skips: What the next link needs of those before.
    """

    format: str
    tenant: str
    sequence: int
    revision: int
    recorded_at: Time
    effective_high: Time
    link: int
    hash: bytes
    skips: bytes


class PartyRecord(Line, frozen=True, kw_only=True, tag="party"):
    """A person or company, as far as books have to know them: what is personal is sealed, and stays where its keys are.

    Attributes:
        forgotten_at: When it was forgotten.
    """

    id: UUID
    kind: str
    external_id: str | None
    roles: list[str]
    forgotten_at: Time | None
    version: int
    created_at: Time
    updated_at: Time


class WalletRecord(Line, frozen=True, kw_only=True, tag="wallet"):
    """A party's wallet."""

    id: UUID
    party_id: UUID
    status: str
    status_reason: str | None
    label: str | None
    currencies: list[str]
    metadata: dict[str, str]
    version: int
    created_at: Time
    updated_at: Time


class AliasRecord(Line, frozen=True, kw_only=True, tag="alias"):
    """Another name by which money finds a wallet."""

    id: UUID
    wallet_id: UUID
    scheme: str
    value: str
    normal_value: str
    created_at: Time


class AccountRecord(Line, frozen=True, kw_only=True, tag="account"):
    """An account, with its balances of the moment; ``posted_minor`` is signed, positive is debit."""

    id: UUID
    code: str | None
    type: str
    normal_side: str
    currency: str
    wallet_id: UUID | None
    name: str | None
    status: str
    overdraft_limit_minor: int | None
    posted_minor: int
    pending_minor: int
    held_minor: int
    metadata: dict[str, str]
    version: int
    created_at: Time
    updated_at: Time


class CheckpointRecord(Line, frozen=True, kw_only=True, tag="checkpoint", omit_defaults=True):
    """What a ledger has sealed of the months that were detached from it: where they end, and what they have led to.

    Attributes:
        number: From 1 on, without gaps.
        month: The month that was detached with it, ``2024-01``; all before were detached earlier.
        entry_id: The last journal entry of that month, or of one before.
        sequence: Its place in the ledger: so many entries are detached.
        effective_high: The latest time at which any of them took effect.
        recorded_at: When the checkpoint was sealed; it is the only record of its link.
        balances_digest: What ``balances_digest`` says of the posted balances at that place.
        archive_digest: SHA-256 of the file in which the month is kept; absent where there is none.
        balances: Account and signed posted balance, without those of zero, in order of account; the newest only.
    """

    number: int
    month: str
    entry_id: UUID
    sequence: int
    effective_high: Time
    recorded_at: Time
    balances_digest: bytes
    archive_digest: bytes | None = None
    balances: list[tuple[UUID, int]] = []

    def leaf(self) -> bytes:
        """Return the checkpoint's leaf in the chain."""
        return checkpoint_leaf(
            number=self.number,
            month=self.month,
            entry_id=self.entry_id,
            sequence=self.sequence,
            effective_high=self.effective_high,
            recorded_at=self.recorded_at,
            balances_digest=self.balances_digest,
            archive_digest=self.archive_digest,
        )


class LinkRecord(Line, frozen=True, kw_only=True, tag="link"):
    """A link of the chain; its records are the lines that follow."""

    number: int
    recorded_at: Time
    leaves: bytes
    hash: bytes

    def stored(self) -> StoredLink:
        """Return the link without its place in the export."""
        return StoredLink(self.number, self.recorded_at, self.leaves, self.hash)


class PostingOfEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A line of a journal entry.

    Attributes:
        effective_at: Absent where it is the entry's, as it should be.
        late_class: By how much the entry takes effect before another that was recorded earlier, as the binary logarithm
            of seconds; absent where it doesn't.
    """

    line: int
    account_id: UUID
    amount_minor: int
    currency: str
    posted_after_minor: int
    effective_at: Time | None = None
    late_class: int | None = None


class JournalEntryRecord(Line, frozen=True, kw_only=True, tag="journal_entry", omit_defaults=True):
    """A journal entry with its postings.

    Attributes:
        effective_high: The latest time at which this entry or any before took effect.
        text_salt: The salt of the commitment to its text; absent where there is no text, and once it is erased.
        text_commitment: The commitment to description and metadata; absent where there never was such text.
    """

    id: UUID
    sequence: int
    kind: str
    description: str | None = None
    reverses: UUID | None = None
    hold_id: UUID | None = None
    effective_at: Time
    effective_high: Time
    recorded_at: Time
    metadata: dict[str, str] = {}
    text_salt: bytes | None = None
    text_commitment: bytes | None = None
    postings: list[PostingOfEntry]

    @property
    def says_what_was_committed(self) -> bool:
        """Whether its text is the one that it commits to; where text and salt are erased, nothing can say so."""
        if self.text_salt is None:
            return self.description is None and not self.metadata
        return self.text_commitment == commitment(self.text_salt, self.description, self.metadata)

    @property
    def is_erased(self) -> bool:
        """Whether there was text once, of which nobody can say any more what it was."""
        return self.text_salt is None and self.text_commitment is not None

    def leaf(self) -> bytes:
        """Return the entry's leaf in the chain."""
        return entry_leaf(
            sequence=self.sequence,
            id=self.id,
            kind=self.kind,
            reverses=self.reverses,
            hold_id=self.hold_id,
            effective_at=self.effective_at,
            recorded_at=self.recorded_at,
            commitment=self.text_commitment,
            postings=[(p.line, p.account_id, p.amount_minor, p.currency, p.posted_after_minor) for p in self.postings],
        )


class PostingRecord(Line, frozen=True, kw_only=True, tag="posting"):
    """A posting whose journal entry isn't there."""

    entry_id: UUID
    line: int
    account_id: UUID
    amount_minor: int
    currency: str


class TransferRecord(Line, frozen=True, kw_only=True, tag="transfer"):
    """Money that moved between wallets, into one or out of one; it has the id of its journal entry.

    No chain commits to ``actor`` and ``request_id``: only here they are said. ``metadata`` is the journal entry's, too,
    but for those from before 1.0.

    Attributes:
        actor: Who ordered it, for the audit trail; exports before 1.0 don't say it.
        request_id: In which request.
    """

    id: UUID
    kind: str
    from_wallet_id: UUID | None
    to_wallet_id: UUID | None
    cash_account_id: UUID | None
    amount_minor: int
    currency: str
    from_balance_after_minor: int | None
    to_balance_after_minor: int | None
    description: str | None
    metadata: dict[str, str]
    effective_at: Time
    recorded_at: Time
    actor: str = "unknown"
    request_id: str | None = None


class ReversalRecord(Line, frozen=True, kw_only=True, tag="reversal"):
    """How much of a journal entry has been undone by reversing entries, which come later."""

    journal_entry_id: UUID
    amount_minor: int
    reversed_minor: int


class HoldRecord(Line, frozen=True, kw_only=True, tag="hold"):
    """A hold as it has become; its movements follow, and after the first one what it was placed as."""

    id: UUID
    wallet_id: UUID
    account_id: UUID
    to_wallet_id: UUID | None
    to_account_id: UUID | None
    currency: str
    amount_minor: int
    captured_minor: int
    released_minor: int
    status: str
    expires_at: Time | None
    description: str | None
    metadata: dict[str, str]
    steps: int
    journal_entry_ids: list[UUID]
    created_at: Time
    updated_at: Time


class MovementRecord(Line, frozen=True, kw_only=True, tag="hold_movement"):
    """A hold's movement: placed, captured, released or expired."""

    hold_id: UUID
    step: int
    account_id: UUID
    to_account_id: UUID | None
    delta_minor: int
    held_after_minor: int
    pending_after_minor: int | None
    effective_at: Time
    recorded_at: Time

    def leaf(self) -> bytes:
        """Return the movement's leaf in the chain."""
        return movement_leaf(
            hold_id=self.hold_id,
            step=self.step,
            account_id=self.account_id,
            to_account_id=self.to_account_id,
            delta_minor=self.delta_minor,
            effective_at=self.effective_at,
            recorded_at=self.recorded_at,
            held_after_minor=self.held_after_minor,
            pending_after_minor=self.pending_after_minor,
        )


class HoldTermsRecord(Line, frozen=True, kw_only=True, tag="hold_terms"):
    """What a hold was placed as, right after its first movement; those from before there were such records have none.

    Attributes:
        text_salt: The salt of the commitment to its text; absent where there was no text, and once it is erased.
        text_commitment: The commitment to description and metadata; absent where there never was such text.
    """

    hold_id: UUID
    wallet_id: UUID
    account_id: UUID
    to_wallet_id: UUID | None
    to_account_id: UUID | None
    currency: str
    amount_minor: int
    expires_at: Time | None
    text_salt: bytes | None
    text_commitment: bytes | None
    recorded_at: Time

    def leaf(self) -> bytes:
        """Return the leaf of these terms in the chain."""
        return hold_terms_leaf(
            hold_id=self.hold_id,
            wallet_id=self.wallet_id,
            account_id=self.account_id,
            to_wallet_id=self.to_wallet_id,
            to_account_id=self.to_account_id,
            currency=self.currency,
            amount_minor=self.amount_minor,
            expires_at=self.expires_at,
            commitment=self.text_commitment,
            recorded_at=self.recorded_at,
        )


class EraRecord(Line, frozen=True, kw_only=True, tag="era"):
    """The beginning of an era: what holds of every record from here on, ``billfold.chain.era_text`` says."""

    number: int
    recorded_at: Time

    def leaf(self) -> bytes:
        """Return the era's leaf in the chain."""
        return era_leaf(number=self.number, recorded_at=self.recorded_at)


class WalletTermsRecord(Line, frozen=True, kw_only=True, tag="wallet_terms"):
    """Whose a wallet is and how it stands: as it was opened, and after each change."""

    wallet_id: UUID
    kind: str
    party_id: UUID
    status: str
    opened_at: Time
    recorded_at: Time

    def leaf(self) -> bytes:
        """Return the leaf of these terms in the chain."""
        return wallet_terms_leaf(
            kind=self.kind,
            wallet_id=self.wallet_id,
            party_id=self.party_id,
            status=self.status,
            opened_at=self.opened_at,
            recorded_at=self.recorded_at,
        )


class AccountTermsRecord(Line, frozen=True, kw_only=True, tag="account_terms"):
    """On what terms an account is kept: as it was opened, and after each change."""

    account_id: UUID
    kind: str
    wallet_id: UUID | None
    code: str | None
    type: str
    normal_side: str
    currency: str
    status: str
    overdraft_limit_minor: int | None
    opened_at: Time
    recorded_at: Time

    def leaf(self) -> bytes:
        """Return the leaf of these terms in the chain."""
        return account_terms_leaf(
            kind=self.kind,
            account_id=self.account_id,
            wallet_id=self.wallet_id,
            code=self.code,
            type=self.type,
            normal_side=self.normal_side,
            currency=self.currency,
            status=self.status,
            overdraft_limit_minor=self.overdraft_limit_minor,
            opened_at=self.opened_at,
            recorded_at=self.recorded_at,
        )


class RowRecord(Line, frozen=True, kw_only=True, tag="row"):
    """A row of another room's table, with the columns as the database spells them in JSON."""

    table: str
    columns: dict[str, Any]


class IdempotencyKeyRecord(Line, frozen=True, kw_only=True, tag="idempotency_key"):
    """An answer that is kept under its key. No chain commits to it, and what it names isn't looked up.

    Attributes:
        fingerprint: A digest of the request, keyed by the deployment, 32 bytes.
        status: The answer's HTTP status.
        body: The answer's body.
    """

    client_id: UUID
    key: str
    fingerprint: bytes
    status: int | None
    body: bytes | None
    created_at: Time


class EndRecord(Line, frozen=True, kw_only=True, tag="end"):
    """How many lines of each kind came before, so that an export that was cut short shows."""

    counts: dict[str, int]


Record: TypeAlias = (
    HeadRecord
    | PartyRecord
    | WalletRecord
    | AliasRecord
    | AccountRecord
    | CheckpointRecord
    | LinkRecord
    | JournalEntryRecord
    | PostingRecord
    | TransferRecord
    | ReversalRecord
    | HoldRecord
    | MovementRecord
    | HoldTermsRecord
    | EraRecord
    | WalletTermsRecord
    | AccountTermsRecord
    | RowRecord
    | IdempotencyKeyRecord
    | EndRecord
)
"""Any line of an export."""

_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[Record] = msgspec.json.Decoder(Record)


def encode_record(record: Record) -> bytes:
    """Return a record as its line, without the line's end."""
    return _encoder.encode(record)


def read_record(line: bytes | str) -> Record:
    """Read a line.

    Raises:
        msgspec.DecodeError: It is no JSON, no record, or one with members that it can't have, or has twice.
        UnicodeDecodeError: It is no UTF-8.
    """
    return read_line(line, _decoder, encode_record)
