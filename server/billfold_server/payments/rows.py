"""The rows of the payments room, as the ledger's engine loads and writes them. Pure data."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from billfold import ids
from billfold.contract.consents import ConsentKind, ConsentSide, ConsentStatus
from billfold.contract.events import ConsentEventData, PaymentEventData
from billfold.contract.payments import Payment, PaymentBreak, PaymentKind, PaymentStatus, PaymentStep
from billfold.ids import Prefix
from billfold.money import Money
from billfold_server.payments.rules import OPENING, Effect, Where

__all__ = ["OfEntryRow", "PaymentRow", "Placed", "ReturnRow", "StepRow", "Texts", "TextsRow", "all_steps"]


class Texts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an order says of people, as JSON in one sealed value.

    Attributes:
        scheme: In which words the creditor's account is named.
        identification: Its number.
        creditor_name: Whose it is.
        secondary: What a building society needs beside the number.
        end_to_end_id: The name of who has ordered it for the payment.
        instruction_id: The name that the order has between who gave it and the bank.
        reference: What the payer has written to the payee.
        creditor_reference: By which the payee knows what is paid, where that is told apart.
        instrument: By which means the third party would like it sent.
        metadata: Keys and values of who has ordered it.
        order: The whole order as it came, in its own dialect's words; empty where it is told by the others.
    """

    scheme: str
    identification: str
    creditor_name: str | None = None
    secondary: str | None = None
    end_to_end_id: str
    instruction_id: str | None = None
    reference: str | None = None
    creditor_reference: str | None = None
    instrument: str | None = None
    metadata: dict[str, str] = {}
    order: msgspec.Raw = msgspec.Raw(b"{}")

    def __repr__(self) -> str:
        return "Texts()"

    @property
    def remittance(self) -> str | None:
        """The one text that the payee is told: the reference of their own, or else what the payer has written."""
        return self.creditor_reference or self.reference

    @property
    def shown(self) -> dict[str, Any]:
        """What of it the API shows of a payment, by the names that it has there."""
        return {
            "creditor_name": self.creditor_name,
            "creditor_account": self.identification,
            "reference": self.reference,
            "creditor_reference": self.creditor_reference,
            "end_to_end_id": self.end_to_end_id,
            "instruction_id": self.instruction_id,
            "metadata": self.metadata,
        }


_NOTHING: Final[dict[str, Any]] = {
    **dict.fromkeys(Texts(scheme="", identification="", end_to_end_id="").shown),
    "metadata": {},
}
"""What is shown where the payer was forgotten, or nobody has looked."""


class StepRow(msgspec.Struct, frozen=True, kw_only=True):
    """Something that was heard of a payment, or done with it. Never changed once written.

    Those by which a payment begins aren't written, but told by ``all_steps``.

    Attributes:
        number: Its place, from 1.
        notice_id: The rail's own name for it, where a rail has said it; each is recorded once.
        word: What was said or done.
        effect: What it did.
        status: Where the payment stands since then.
        said_at: When the rail says that it was.
        recorded_at: The tenant's time.
    """

    payment_id: UUID
    number: int
    notice_id: str | None
    word: str
    effect: Effect
    status: PaymentStatus
    reason: str | None
    said_at: datetime | None
    recorded_at: datetime

    @property
    def key(self) -> tuple[UUID, int]:
        """What the row is known by."""
        return (self.payment_id, self.number)

    def to_response(self) -> PaymentStep:
        """Return the step as the API shows it."""
        return PaymentStep(
            number=self.number,
            word=self.word,
            effect=self.effect,
            status=self.status,
            reason=self.reason,
            happened_at=self.recorded_at,
        )


def all_steps(payment_id: UUID, *, inside: bool, created_at: datetime, written: Sequence[StepRow]) -> list[StepRow]:
    """Return all steps of a payment: those by which it began, and those that were written, in order.

    Payments from before ADR 47 have all of theirs written.

    Args:
        payment_id: Which payment.
        inside: Whether it has stayed inside.
        created_at: When it was ordered.
        written: Those that were written, in order.
    """
    if written and written[0].number == 1:
        return list(written)
    opening = [
        StepRow(
            payment_id=payment_id,
            number=number,
            notice_id=None,
            word=word,
            effect="moves",
            status=status,
            reason=None,
            said_at=None,
            recorded_at=created_at,
        )
        for number, (word, status) in enumerate(OPENING[inside], start=1)
    ]
    return opening + list(written)


class TextsRow(msgspec.Struct, frozen=True):
    """What a payment's order says of people, sealed. Written once, and never loaded by a command."""

    payment_id: UUID
    sealed: bytes

    @property
    def key(self) -> UUID:
        """What the row is known by."""
        return self.payment_id


class Placed(msgspec.Struct, frozen=True, kw_only=True):
    """What ordering a payment under a consent answers: which one it is, and where it stood then.

    A copy of the order is answered the same, so it is asked anew where the payment stands by then.
    """

    payment_id: str
    consent_id: UUID
    wallet_id: UUID
    status: PaymentStatus
    reason: str | None
    created_at: datetime
    updated_at: datetime

    @property
    def wire_id(self) -> str:
        """The payment's id as the API spells it."""
        return self.payment_id


class OfEntryRow(msgspec.Struct, frozen=True):
    """Which payment was begun by a journal entry; for good."""

    journal_entry_id: UUID
    payment_id: UUID

    @property
    def key(self) -> UUID:
        """What the row is loaded by."""
        return self.journal_entry_id


class ReturnRow(msgspec.Struct, frozen=True):
    """Money of a payment that a bank has sent back. Written once; what of it was undone, its journal entry tells.

    Attributes:
        journal_entry_id: What booked it: that of a top-up, or what it is owed by to the holder of a wallet.
    """

    journal_entry_id: UUID
    payment_id: UUID
    amount_minor: int

    @property
    def key(self) -> UUID:
        """What the row is loaded by."""
        return self.journal_entry_id


class PaymentRow(msgspec.Struct, frozen=True, kw_only=True):
    """A payment.

    Attributes:
        kind: Of which kind its consent is, or that it has none.
        consent_id: Under which consent it was ordered; None where a client of the bank's own has ordered it.
        client_id: Who has ordered it.
        party_id: Whose wallet it leaves.
        to_wallet_id: The wallet that it goes to, where it stays here.
        rail: The rail by which it leaves, where it does.
        rail_reference: What the rail calls it.
        status: Where it stands.
        reason: The code by which the rail has said why.
        needs: Why somebody must look at it.
        money: Where its money is.
        journal_entry_id: What took it out of the wallet.
        closing_entry_id: What settled it, or brought it back.
        returned_minor: How much of it banks have sent back after it had left, in all (pacs.004), and nobody has undone.
        steps: How many have been recorded; the next one's number less one.
        turn: How often the rail has been asked and its answer was recorded.
        silences: How often in a row it has said nothing new.
        notices: The rail's names of what it has said.
    """

    id: UUID
    kind: str
    consent_id: UUID | None
    client_id: UUID
    party_id: UUID
    wallet_id: UUID
    to_wallet_id: UUID | None
    rail: str | None
    rail_reference: str | None = None
    amount_minor: int
    currency: str
    status: PaymentStatus
    reason: str | None = None
    needs: PaymentBreak | None = None
    money: Where
    journal_entry_id: UUID
    closing_entry_id: UUID | None = None
    returned_minor: int = 0
    steps: int = 0
    turn: int = 0
    silences: int = 0
    notices: tuple[str, ...] = ()
    created_at: datetime
    updated_at: datetime

    @property
    def key(self) -> UUID:
        """What the row is loaded by."""
        return self.id

    @property
    def wire_id(self) -> str:
        """The payment's id as the API spells it."""
        return ids.encode(Prefix.PAYMENT, self.id)

    def placed(self) -> Placed:
        """Return what is answered to who has ordered it under a consent."""
        assert self.consent_id is not None, "it is under one"
        return Placed(
            payment_id=self.wire_id,
            consent_id=self.consent_id,
            wallet_id=self.wallet_id,
            status=self.status,
            reason=self.reason,
            created_at=self.created_at,
            updated_at=self.updated_at,
        )

    @property
    def as_ordered(self) -> "PaymentRow":
        """The row as it was when it was written first; all but a few of its members never change (ADR 56)."""
        opening = OPENING[self.to_wallet_id is not None]
        _, status = opening[-1]
        at_first = {"status": status, "reason": None, "needs": None, "returned_minor": 0}
        return msgspec.structs.replace(self, **at_first, updated_at=self.created_at)

    def event_data(self) -> PaymentEventData:
        """Return what an event says of the payment as it stands."""
        return PaymentEventData(
            id=self.wire_id,
            kind=PaymentKind(self.kind),
            consent_id=None if self.consent_id is None else ids.encode(Prefix.CONSENT, self.consent_id),
            client_id=ids.encode(Prefix.CLIENT, self.client_id),
            wallet_id=ids.encode(Prefix.WALLET, self.wallet_id),
            status=self.status,
            status_reason=self.reason,
            needs_attention=self.needs,
            amount=Money(self.amount_minor, self.currency),
            returned_minor=self.returned_minor or msgspec.UNSET,
            updated_at=self.updated_at,
        )

    def consumed_data(self) -> ConsentEventData:
        """Return what the event says by which the payment has used up its consent."""
        assert self.consent_id is not None, "it is under one"
        return ConsentEventData(
            id=ids.encode(Prefix.CONSENT, self.consent_id),
            kind=ConsentKind(self.kind),
            status=ConsentStatus.CONSUMED,
            client_id=ids.encode(Prefix.CLIENT, self.client_id),
            party_id=ids.encode(Prefix.PARTY, self.party_id),
            by=ConsentSide.TPP,
        )

    def to_response(self, steps: list[PaymentStep], texts: Texts | None) -> Payment:
        """Return the payment as the API shows it.

        Args:
            steps: What has been heard and done.
            texts: What was opened of its order; None where the payer was forgotten.
        """
        entry, closing = self.journal_entry_id, self.closing_entry_id
        return Payment(
            id=self.wire_id,
            kind=PaymentKind(self.kind),
            status=self.status,
            status_reason=self.reason,
            needs_attention=self.needs,
            consent_id=None if self.consent_id is None else ids.encode(Prefix.CONSENT, self.consent_id),
            client_id=ids.encode(Prefix.CLIENT, self.client_id),
            wallet_id=ids.encode(Prefix.WALLET, self.wallet_id),
            to_wallet_id=None if self.to_wallet_id is None else ids.encode(Prefix.WALLET, self.to_wallet_id),
            rail=self.rail,
            rail_reference=self.rail_reference,
            amount=Money(self.amount_minor, self.currency),
            **(_NOTHING if texts is None else texts.shown),
            journal_entry_id=ids.encode(Prefix.JOURNAL_ENTRY, entry),
            returned_minor=self.returned_minor,
            closing_journal_entry_id=None if closing is None else ids.encode(Prefix.JOURNAL_ENTRY, closing),
            steps=steps,
            created_at=self.created_at,
            updated_at=self.updated_at,
        )
