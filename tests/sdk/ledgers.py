"""A ledger in memory, which writes the lines of its own export; what tests of the verification tamper with."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec

from billfold import chain, ids
from billfold.chain import records
from billfold.chain.lines import name_of
from billfold.chain.linking import Chained
from billfold.chain.records import (
    AccountRecord,
    AccountTermsRecord,
    AliasRecord,
    CheckpointRecord,
    EndRecord,
    EraRecord,
    HeadRecord,
    HoldRecord,
    HoldTermsRecord,
    IdempotencyKeyRecord,
    JournalEntryRecord,
    LinkRecord,
    MovementRecord,
    PartyRecord,
    PostingOfEntry,
    Record,
    ReversalRecord,
    RowRecord,
    TransferRecord,
    WalletRecord,
    WalletTermsRecord,
)

START = datetime(2026, 11, 20, 12, tzinfo=UTC)
SALT = bytes(range(16))
ADA = UUID(int=1)
WALLETS = [UUID(int=11), UUID(int=12)]
CASH, FIRST, SECOND = UUID(int=21), UUID(int=22), UUID(int=23)
OWNERS = {FIRST: WALLETS[0], SECOND: WALLETS[1]}


class Ledger:
    """Three accounts: cash, and one for each of two wallets.

    Args:
        era: The era in which it begins; in the first one there are no terms, and none of holds.
    """

    def __init__(self, era: int = chain.ERA) -> None:
        self.posted = {CASH: 0, FIRST: 0, SECOND: 0}
        self.held = {CASH: 0, FIRST: 0, SECOND: 0}
        self.pending = {CASH: 0, FIRST: 0, SECOND: 0}
        self.sequence = 0
        self.now = START
        self.high: datetime | None = None
        self.head = chain.START
        self.timeline: list[Record] = []
        self.batch: list[Record] = []
        self.holds: dict[UUID, HoldRecord] = {}
        self.reversed: dict[UUID, ReversalRecord] = {}
        self.checkpoint: CheckpointRecord | None = None
        self.limit = 0
        self.holds_have_terms = era == chain.ERA
        if era == chain.ERA:
            self.batch.append(EraRecord(number=era, recorded_at=self.tick()))
            self.record_terms("opened")

    def record_terms(self, kind: str) -> None:
        """Record whose all wallets and accounts are."""
        for wallet in self._people():
            if isinstance(wallet, WalletRecord):
                self.batch.append(
                    WalletTermsRecord(
                        wallet_id=wallet.id,
                        kind=kind,
                        party_id=wallet.party_id,
                        status=wallet.status,
                        opened_at=wallet.created_at,
                        recorded_at=self.tick(),
                    )
                )
        for account in (CASH, FIRST, SECOND):
            self.terms(account, kind)

    def terms(self, account_id: UUID, kind: str) -> None:
        """Record the terms of an account as it is."""
        account = self._account(account_id)
        names = ("wallet_id", "code", "type", "normal_side", "currency", "status", "overdraft_limit_minor")
        self.batch.append(
            AccountTermsRecord(
                account_id=account_id,
                kind=kind,
                opened_at=account.created_at,
                recorded_at=self.tick(),
                **{name: getattr(account, name) for name in names},
            )
        )

    def tick(self) -> datetime:
        """Return the next instant."""
        self.now += timedelta(microseconds=1)
        return self.now

    def post(
        self,
        kind: str,
        debited: UUID,
        credited: UUID,
        amount: int,
        *,
        back: timedelta | None = None,
        text: str | None = None,
        metadata: dict[str, str] | None = None,
        **facts: Any,
    ) -> JournalEntryRecord:
        """Post an entry of two postings."""
        written = text is not None or bool(metadata)
        self.sequence += 1
        at = self.tick()
        effective = at if back is None else at - back
        late = None
        if self.high is not None and effective < self.high:
            late = max(1, int((self.high - effective).total_seconds())).bit_length() - 1
        self.high = effective if self.high is None else max(self.high, effective)
        postings = []
        for line, (account, signed) in enumerate([(debited, amount), (credited, -amount)]):
            self.posted[account] += signed
            postings.append(
                PostingOfEntry(
                    line=line,
                    account_id=account,
                    amount_minor=signed,
                    currency="EUR",
                    posted_after_minor=self.posted[account],
                    late_class=late,
                )
            )
        entry = JournalEntryRecord(
            id=ids.uuid7_at(at),
            sequence=self.sequence,
            kind=kind,
            description=text,
            effective_at=effective,
            effective_high=self.high,
            recorded_at=at,
            metadata=metadata or {},
            text_salt=SALT if written else None,
            text_commitment=chain.commitment(SALT, text, metadata or {}) if written else None,
            postings=postings,
            **facts,
        )
        self.batch.append(entry)
        return entry

    def move(self, kind: str, debited: UUID, credited: UUID, amount: int, **facts: Any) -> JournalEntryRecord:
        """Make a transfer, top-up or withdrawal, with its row."""
        entry = self.post(kind, debited, credited, amount, **facts)
        self.batch.append(
            TransferRecord(
                id=entry.id,
                kind=kind,
                from_wallet_id=OWNERS.get(debited),
                to_wallet_id=OWNERS.get(credited),
                cash_account_id=None if kind == "transfer" else CASH,
                amount_minor=amount,
                currency="EUR",
                from_balance_after_minor=-self.posted[debited] if debited in OWNERS else None,
                to_balance_after_minor=-self.posted[credited] if credited in OWNERS else None,
                description=entry.description,
                metadata=entry.metadata,
                effective_at=entry.effective_at,
                recorded_at=entry.recorded_at,
            )
        )
        return entry

    def reverse(self, entry: JournalEntryRecord, amount: int) -> JournalEntryRecord:
        """Undo part of an entry."""
        whole = entry.postings[0].amount_minor
        before = self.reversed[entry.id].reversed_minor if entry.id in self.reversed else 0
        self.reversed[entry.id] = ReversalRecord(
            journal_entry_id=entry.id, amount_minor=whole, reversed_minor=before + amount
        )
        debited, credited = (posting.account_id for posting in entry.postings)
        return self.post("reversal", credited, debited, amount, reverses=entry.id)

    def hold(self, amount: int, **facts: Any) -> UUID:
        """Reserve for the second wallet what the first one has."""
        hold_id = ids.uuid7()
        self.holds[hold_id] = HoldRecord(
            id=hold_id,
            wallet_id=WALLETS[0],
            account_id=FIRST,
            to_wallet_id=WALLETS[1],
            to_account_id=SECOND,
            currency="EUR",
            amount_minor=amount,
            captured_minor=0,
            released_minor=0,
            status="open",
            **{"expires_at": None, "description": None, "metadata": {}, **facts},
            steps=0,
            journal_entry_ids=[],
            created_at=self.now,
            updated_at=self.now,
        )
        self._step(hold_id, amount)
        if self.holds_have_terms:
            self._place(self.holds[hold_id])
        return hold_id

    def _place(self, hold: HoldRecord) -> None:
        written = hold.description is not None or bool(hold.metadata)
        names = ("wallet_id", "account_id", "to_wallet_id", "to_account_id", "currency", "amount_minor", "expires_at")
        self.batch.append(
            HoldTermsRecord(
                hold_id=hold.id,
                text_salt=SALT if written else None,
                text_commitment=chain.commitment(SALT, hold.description, hold.metadata) if written else None,
                recorded_at=self.tick(),
                **{name: getattr(hold, name) for name in names},
            )
        )

    def _step(self, hold_id: UUID, delta: int) -> None:
        hold = self.holds[hold_id]
        self.held[FIRST] += delta
        self.pending[SECOND] += delta
        at = self.tick()
        self.high = at if self.high is None else max(self.high, at)
        self.batch.append(
            MovementRecord(
                hold_id=hold_id,
                step=hold.steps,
                account_id=FIRST,
                to_account_id=SECOND,
                delta_minor=delta,
                held_after_minor=self.held[FIRST],
                pending_after_minor=self.pending[SECOND],
                effective_at=at,
                recorded_at=at,
            )
        )
        made = hold.created_at if hold.steps else at
        self.holds[hold_id] = msgspec.structs.replace(hold, steps=hold.steps + 1, created_at=made, updated_at=at)

    def capture(self, hold_id: UUID, amount: int, *, final: bool) -> JournalEntryRecord:
        """Settle part of a hold, and give back the rest if it is final."""
        hold = self.holds[hold_id]
        rest = hold.amount_minor - hold.captured_minor - hold.released_minor
        self._step(hold_id, -(rest if final else amount))
        entry = self.post("capture", FIRST, SECOND, amount, text=hold.description, hold_id=hold_id)
        hold = self.holds[hold_id]
        self.holds[hold_id] = msgspec.structs.replace(
            hold,
            captured_minor=hold.captured_minor + amount,
            released_minor=rest - amount if final else 0,
            status="captured" if final else "open",
            journal_entry_ids=[*hold.journal_entry_ids, entry.id],
        )
        return entry

    def end(self, hold_id: UUID, *, status: str) -> None:
        """Give back all that a hold reserves."""
        hold = self.holds[hold_id]
        rest = hold.amount_minor - hold.captured_minor - hold.released_minor
        self._step(hold_id, -rest)
        self.holds[hold_id] = msgspec.structs.replace(
            self.holds[hold_id], released_minor=hold.released_minor + rest, status=status
        )

    def commit(self) -> None:
        """Close the batch with a link."""
        chained = [record for record in self.batch if isinstance(record, Chained)]
        leaves = [record.leaf() for record in chained]
        self._link(leaves)
        self.timeline += self.batch
        self.batch = []

    def _link(self, leaves: list[bytes]) -> None:
        self.head, link = self.head.extend(leaves, self.now)
        self.timeline.append(
            LinkRecord(number=link.number, recorded_at=self.now, leaves=b"".join(leaves), hash=link.hash)
        )

    def detach(self) -> None:
        """Seal what was posted so far, so that the export comes without these entries."""
        last = next(record for record in reversed(self.timeline) if isinstance(record, JournalEntryRecord))
        balances = sorted((account, posted) for account, posted in self.posted.items() if posted)
        self.checkpoint = CheckpointRecord(
            number=1,
            month="2026-11",
            entry_id=last.id,
            sequence=last.sequence,
            effective_high=last.effective_high,
            recorded_at=self.tick(),
            balances_digest=chain.balances_digest(balances),
            archive_digest=bytes(32),
            balances=balances,
        )
        self._link([self.checkpoint.leaf()])

    def export(self) -> list[Record]:
        """Return the export's records."""
        assert self.high is not None
        lines: list[Record] = [
            HeadRecord(
                format=records.FORMAT,
                tenant="alpha",
                sequence=self.sequence,
                revision=self.head.number,
                recorded_at=self.now,
                effective_high=self.high,
                link=self.head.number,
                hash=self.head.hash,
                skips=self.head.skips,
            ),
        ]
        lines += self._people()
        lines += [self._account(account) for account in (CASH, FIRST, SECOND)]
        detached = 0
        if self.checkpoint is not None:
            detached = self.checkpoint.sequence
            lines.append(self.checkpoint)
        for line in self._placed():
            if not isinstance(line, JournalEntryRecord) or line.sequence > detached:
                lines.append(line)
        rows: list[tuple[str, dict[str, Any]]] = [
            ("statements", {"id": "x", "cash_account_id": str(CASH)}),
            ("statements", {"id": "y", "cash_account_id": None}),
            ("payments", {"id": "p", "party_id": str(ADA), "wallet_id": str(WALLETS[0])}),
            ("payment_steps", {"payment_id": "p", "number": 9}),
            ("payment_steps", {"payment_id": "p", "number": 10}),
        ]
        lines += [RowRecord(table=table, columns=columns) for table, columns in rows]
        lines += [
            IdempotencyKeyRecord(
                client_id=ADA, key=key, fingerprint=bytes(32), status=201, body=b"{}", created_at=START
            )
            for key in ("a", "b")
        ]
        return self.ended(lines)

    @staticmethod
    def _people() -> list[Record]:
        people: list[Record] = [
            PartyRecord(
                id=ADA,
                kind="person",
                external_id=None,
                roles=["customer"],
                forgotten_at=None,
                version=1,
                created_at=START,
                updated_at=START,
            ),
        ]
        people += [
            WalletRecord(
                id=wallet,
                party_id=ADA,
                status="active",
                status_reason=None,
                label=None,
                currencies=["EUR"],
                metadata={},
                version=1,
                created_at=START,
                updated_at=START,
            )
            for wallet in WALLETS
        ]
        people.append(
            AliasRecord(
                id=UUID(int=31),
                wallet_id=WALLETS[0],
                scheme="reference",
                value="RF1",
                normal_value="RF1",
                created_at=START,
            )
        )
        return people

    @staticmethod
    def ended(lines: list[Record]) -> list[Record]:
        """Add the last line, with the right counts."""
        counts: dict[str, int] = {}
        for line in lines:
            counts[name_of(line)] = counts.get(name_of(line), 0) + 1
        return [*lines, EndRecord(counts=counts)]

    def _account(self, account: UUID) -> AccountRecord:
        cash = account == CASH
        return AccountRecord(
            id=account,
            code="cash" if cash else None,
            type="asset" if cash else "liability",
            normal_side="debit" if cash else "credit",
            currency="EUR",
            wallet_id=OWNERS.get(account),
            name=None,
            status="active",
            overdraft_limit_minor=None if cash else self.limit if account == SECOND else 0,
            posted_minor=self.posted[account],
            pending_minor=self.pending[account],
            held_minor=self.held[account],
            metadata={},
            version=1,
            created_at=START,
            updated_at=START,
        )

    def _placed(self) -> list[Record]:
        """Put each hold before its first movement, and each reversal's sum after its entry."""
        lines: list[Record] = []
        owed: ReversalRecord | None = None
        for record in self.timeline:
            if owed is not None and not isinstance(record, TransferRecord):
                lines.append(owed)
                owed = None
            if isinstance(record, MovementRecord) and record.step == 0:
                lines.append(self.holds[record.hold_id])
            lines.append(record)
            if isinstance(record, JournalEntryRecord):
                owed = self.reversed.get(record.id)
        return lines if owed is None else [*lines, owed]


def some_books(era: int = chain.ERA) -> Ledger:
    """Return books in which something of everything has happened, in batches of one and of several."""
    ledger = Ledger(era)
    ledger.move("top_up", CASH, FIRST, 10_000)
    ledger.commit()
    first = ledger.move("transfer", FIRST, SECOND, 250, text="lunch", metadata={"table": "7"})
    ledger.move("transfer", FIRST, SECOND, 100)
    ledger.move("transfer", SECOND, FIRST, 30, back=timedelta(days=3))
    ledger.commit()
    hold = ledger.hold(500)
    ledger.commit()
    ledger.capture(hold, 200, final=False)
    ledger.reverse(first, 50)
    ledger.commit()
    ledger.capture(hold, 100, final=True)
    ledger.hold(40, description="deposit", metadata={"room": "7"}, expires_at=START + timedelta(days=9))
    ledger.move("withdrawal", SECOND, CASH, 10)
    ledger.commit()
    ledger.reverse(first, 20)
    if era == chain.ERA:
        ledger.limit = 100
        ledger.terms(SECOND, "changed")
    ledger.commit()
    for _ in range(5):
        ledger.move("transfer", FIRST, SECOND, 1)
        ledger.commit()
    return ledger


def detached_books() -> Ledger:
    """Return books whose first entries were detached, with what hangs on them left behind."""
    ledger = Ledger()
    ledger.move("top_up", CASH, FIRST, 10_000)
    ledger.commit()
    hold = ledger.hold(500)
    sent = ledger.move("transfer", FIRST, SECOND, 250, text="lunch")
    ledger.capture(hold, 200, final=False)
    ledger.move("transfer", FIRST, SECOND, 100)
    ledger.commit()
    ledger.reverse(sent, 50)
    ledger.commit()
    ledger.detach()
    ledger.capture(hold, 100, final=True)
    ledger.reverse(sent, 20)
    ledger.commit()
    ledger.move("withdrawal", SECOND, CASH, 10)
    ledger.commit()
    return ledger
