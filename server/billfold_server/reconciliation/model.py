"""The neutral model of a bank statement, whatever format the bank sent it in.

Words follow ISO 20022: a statement has an opening and a closing balance and, between them, statement entries. All
amounts are signed from the view of the account's holder: positive is money that the holder has or gets.
"""

import dataclasses
import datetime as dt
import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Final, Literal, NamedTuple

import msgspec
from stdnum import iban as stdnum_iban

from billfold import errors, money

__all__ = [
    "BOOKED",
    "MAX_ENTRIES",
    "MAX_STATEMENTS",
    "Balance",
    "Details",
    "Statement",
    "StatementEntry",
    "account_of",
    "check_extent",
    "iban_of",
    "minor_of",
    "reference_list",
    "squeeze",
    "unreadable",
    "with_dedup_keys",
]

StatementFormatName = Literal["camt.053", "mt940"]

BOOKED: Final = "BOOK"
"""The one status of an entry that has moved money (ISO 20022 external code set, EntryStatus)."""

MAX_ENTRIES: Final = 5_000
"""The most entries that one file may have: it is booked whole, and meanwhile nobody else's money moves."""

MAX_STATEMENTS: Final = 1_000
"""The most statements that one file may have, for the same reason."""

_MAX_TEXT_CHARS: Final = 20_000
"""Twice what extended remittance information has; what a batch says beyond that, of many payments, isn't kept."""

_MAX_REFERENCES: Final = 500
_MAX_REFERENCE_CHARS: Final = 200
"""Longer than any reference, name or code in the standards, and than any alias that it could be."""

_IBAN_SHAPE = re.compile(r"[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}")
_SAYS_NOTHING = frozenset({"", "NONREF", "NOTPROVIDED", "NOT PROVIDED", "NOREF", "NONE", "EREF+", "KREF+", "MREF+"})
"""What banks write into a reference field that holds no reference, or one that only points to another field."""

_DEDUP_PERSON: Final = b"billfold.entry"


def unreadable(line: int | None, reason: str) -> errors.StatementUnreadable:
    """Make the error that refuses a file.

    The reason names fields and elements, never their contents, so that it may be logged and shown.

    Args:
        line: The line of the file, counted from 1, or None where the whole file is meant.
        reason: What is wrong, as the end of the sentence "The file can't be read: …".
    """
    where = f"line {line}: " if line is not None else ""
    return errors.StatementUnreadable(f"{where}{reason}", param="file", line=line, reason=reason)


def check_extent(line: int | None, *, statements: int, entries: int) -> None:
    """Refuse a file that would stop the tenant's money for too long, and say how its sender can go on.

    Raises:
        errors.StatementUnreadable: It has too many statements or entries.
    """
    if entries > MAX_ENTRIES:
        raise unreadable(
            line, f"the file has more than {MAX_ENTRIES} entries; send it in parts, by statement or by day"
        )
    if statements > MAX_STATEMENTS:
        raise unreadable(line, f"the file has more than {MAX_STATEMENTS} statements; send it in parts")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """A booked balance at the start or the end of a statement.

    Attributes:
        kind: As the file names it: ``OPBD``, ``PRCD``, ``CLBD`` or ``ITBD`` (ISO 20022), or ``60F``, ``60M``,
            ``62F``, ``62M`` (SWIFT), where M is an intermediate balance between the pages of one statement.
        amount_minor: Signed; negative is an overdraft.
        currency: ISO 4217.
        date: The day whose start or end it is, as the bank gives it.
        line: Where it stands in the file.
    """

    kind: str
    amount_minor: int
    currency: str
    date: dt.date
    line: int

    def __str__(self) -> str:
        """Return the amount as people write it, such as ``12.50 EUR``."""
        return f"{money.to_decimal(self.amount_minor, self.currency)} {self.currency}"


class Details(NamedTuple):
    """What an entry says about who is behind it and why."""

    counterparty_name: str | None = None
    counterparty_iban: str | None = None
    end_to_end_id: str | None = None
    references: tuple[str, ...] = ()
    remittance: str | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class StatementEntry:
    """One movement on a bank account.

    Attributes:
        entry_reference: The bank's own reference (``AcctSvcrRef``, or what follows ``//`` in ``:61:``).
        dedup_key: The same for the same movement in every file that shows it; see ``with_dedup_keys``.
        booking_date: The day the bank booked it; where the file gives none, the value date.
        value_date: The day from which it bears interest.
        amount_minor: Signed: positive came in. A reversed credit is negative and a reversed debit positive.
        currency: ISO 4217.
        status: ``BOOK`` has moved money. Others (``PDNG``, ``INFO``, ``FUTR``) announce it, and are never posted.
        counterparty_name: Who is on the other side.
        counterparty_iban: The other side's IBAN in its electronic form.
        end_to_end_id: The reference that the initiator gave and every bank passed on.
        references: Every field that is a reference, each once, in the file's order.
        remittance: The unstructured text, with runs of white space made one blank.
        bank_transaction_code: ISO 20022 domain, family and sub-family joined by hyphens, a proprietary code, or SWIFT's
            transaction type such as ``NTRF``.
        position: The line of the file where it begins.
    """

    entry_reference: str | None
    dedup_key: str = ""
    booking_date: dt.date
    value_date: dt.date
    amount_minor: int
    currency: str
    status: str = BOOKED
    counterparty_name: str | None
    counterparty_iban: str | None
    end_to_end_id: str | None
    references: tuple[str, ...]
    remittance: str | None
    bank_transaction_code: str | None
    position: int

    @property
    def booked(self) -> bool:
        """Whether the entry has moved money."""
        return self.status == BOOKED


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """What one bank account did between two balances.

    Attributes:
        format: Which reader read it.
        bank_account: IBAN or another id, upper case, without blanks.
        bank_account_scheme: ``iban``, ``other``, or the ISO 20022 scheme code in lower case, such as ``bban``.
        statement_id: Equal for the same statement sent again: format, account, the bank's id, sequence and period. A
            bank that sends a corrected statement under the old numbers gives it the old id too, so an import that
            finds a known id still has to look at the entries' keys.
        currency: The account's.
        opening: The booked balance before the entries.
        closing: The booked balance after them.
        entries: In the file's order.
    """

    format: StatementFormatName
    bank_account: str
    bank_account_scheme: str
    statement_id: str
    currency: str
    opening: Balance
    closing: Balance
    entries: tuple[StatementEntry, ...]

    @property
    def foreign_currency(self) -> str | None:
        """The first currency in a balance or booked entry that isn't the statement's; None when there is but one."""
        booked = (entry.currency for entry in self.entries if entry.booked)
        currencies = (self.opening.currency, self.closing.currency, *booked)
        return next((currency for currency in currencies if currency != self.currency), None)

    @property
    def difference_minor(self) -> int | None:
        """Opening balance plus booked entries less closing balance, in minor units; None when currencies are mixed."""
        if self.foreign_currency is not None:
            return None
        moved = sum(entry.amount_minor for entry in self.entries if entry.booked)
        return self.opening.amount_minor + moved - self.closing.amount_minor

    @property
    def closes(self) -> bool:
        """Whether the entries lead from the opening balance to the closing one."""
        return self.difference_minor == 0

    @property
    def verdict(self) -> str:
        """One sentence on whether the statement's own arithmetic closes, and why not."""
        count = sum(entry.booked for entry in self.entries)
        what = "1 booked entry" if count == 1 else f"{count} booked entries"
        difference_minor = self.difference_minor
        if difference_minor is None:
            return f"does not close: {self._mixture()}"
        if difference_minor == 0:
            return f"closes: {what} lead{'s' if count == 1 else ''} from {self.opening} to {self.closing}"
        reached = money.to_decimal(self.closing.amount_minor + difference_minor, self.currency)
        return (
            f"does not close: the opening balance {self.opening} and {what} make {reached}, the closing balance is "
            f"{self.closing}, the difference {money.to_decimal(difference_minor, self.currency)} {self.currency}"
        )

    def _mixture(self) -> str:
        for name, balance in (("opening", self.opening), ("closing", self.closing)):
            if balance.currency != self.currency:
                return f"the {name} balance {balance} is not in the statement's currency {self.currency}"
        return f"a booked entry is in {self.foreign_currency}, the statement in {self.currency}"


def squeeze(text: str | None) -> str | None:
    """Make each run of white space one blank; None when nothing is left."""
    return " ".join(text.split()) or None if text else None


def reference_list(*candidates: str | None) -> tuple[str, ...]:
    """Keep what truly is a reference, each once, in order."""
    squeezed = (squeeze(candidate) for candidate in candidates)
    return tuple(dict.fromkeys(one for one in squeezed if one and one.upper() not in _SAYS_NOTHING))


def iban_of(text: str | None) -> str | None:
    """Return the text in the IBAN's electronic form if it has an IBAN's shape.

    The check digits aren't looked at: banks mask account numbers, and what the bank calls an IBAN still names the same
    account each time.
    """
    compact = "".join((text or "").split()).upper()
    return compact if _IBAN_SHAPE.fullmatch(compact) else None


def account_of(text: str) -> tuple[str, str]:
    """Return a bank account's normalised id and its scheme, ``iban`` or ``other``.

    Some banks write the currency behind the IBAN, with a blank or without. It's cut off where the rest is an IBAN and
    the whole is not, so that one account keeps one name.
    """
    compact = "".join(text.split()).upper()
    head, tail = compact[:-3], compact[-3:]
    if tail in money.CURRENCIES and iban_of(head) and stdnum_iban.is_valid(head) and not stdnum_iban.is_valid(compact):
        return head, "iban"
    return (compact, "iban") if iban_of(compact) else (compact, "other")


def minor_of(amount: str | Decimal, currency: str, *, line: int, what: str) -> int:
    """Turn a decimal amount into minor units, or refuse the file.

    Raises:
        errors.StatementUnreadable: Unknown currency, excess precision, or too large (``money.MAX_AMOUNT_MINOR``).
    """
    try:
        return money.from_decimal(amount, currency)
    except money.AmountError as error:
        raise unreadable(line, f"the amount of {what} is refused: {error}") from None


def with_dedup_keys(statements: Iterable[Statement], secret: bytes = b"") -> list[Statement]:
    """Give every entry the key by which an import knows it again.

    Banks seldom number entries in a way that lasts, and they send files that overlap. The key is therefore a hash
    over what the bank repeats unchanged: bank account, booking and value date, signed amount, currency, status,
    references, counterparty and remittance. Two truly separate entries may agree in all of these (two tickets of one
    price, bought on one day), so an ordinal is added: the first of them has 0, the next 1. As the ordinal counts
    among entries of one booking date, and a file that shows a day shows the whole of it, the same entry gets the same
    ordinal in every file.

    The count goes on over statements that continue each other (the pages of one statement, or one day in several
    statements), and starts anew with one that doesn't, so that a copy or an overlap inside one file isn't counted
    twice.

    Limits: Where a file holds only part of a day, an entry equal in everything to one in the other part gets a key
    already used, and is taken for a copy; the statement's own balances show it. The same movement told by two formats,
    or by a bank that has changed its texts in between, has two keys. A pending entry's key isn't that of its booking.

    Args:
        statements: In the file's order.
        secret: At most 64 bytes, a tenant's own. With it the keys can't be computed from guessed names and texts, and
            once it is destroyed they say nothing about a person. It must stay the same for as long as files may
            overlap.
    """
    last: dict[tuple[str, str], tuple[Statement, Counter[bytes]]] = {}
    keyed = []
    for statement in statements:
        # Statements of an account's other currencies may stand between the pages of one.
        account = statement.bank_account, statement.currency
        before = last.get(account)
        seen = before[1] if before and _continues(before[0], statement) else Counter[bytes]()
        last[account] = (statement, seen)
        entries = tuple(_keyed(entry, statement.bank_account, seen, secret) for entry in statement.entries)
        keyed.append(dataclasses.replace(statement, entries=entries))
    return keyed


def _continues(before: Statement, after: Statement) -> bool:
    return (
        (after.opening.amount_minor, after.opening.currency) == (before.closing.amount_minor, before.closing.currency)
        and after.opening.date >= before.closing.date
        and after.statement_id != before.statement_id
    )


def _keyed(entry: StatementEntry, bank_account: str, seen: Counter[bytes], secret: bytes) -> StatementEntry:
    facts: Sequence[object] = (
        bank_account,
        entry.booking_date,
        entry.value_date,
        entry.amount_minor,
        entry.currency,
        entry.status,
        entry.entry_reference,
        entry.end_to_end_id,
        entry.references,
        entry.counterparty_name,
        entry.counterparty_iban,
        entry.remittance,
    )
    # As JSON the facts can't run into one another: ("ab", "c") and ("a", "bc") differ.
    print_ = hashlib.blake2b(msgspec.json.encode(facts), key=secret, person=_DEDUP_PERSON, digest_size=16).digest()
    ordinal = seen[print_]
    seen[print_] += 1
    key = hashlib.blake2b(print_ + ordinal.to_bytes(8, "big"), key=secret, person=_DEDUP_PERSON, digest_size=16)
    return _shortened(dataclasses.replace(entry, dedup_key=key.hexdigest()))


def _shortened(entry: StatementEntry) -> StatementEntry:
    """Cut what is longer than anybody reads, so that no page of entries takes a process's memory.

    An entry is known again by the whole of it.
    """
    return dataclasses.replace(
        entry,
        status=entry.status[:_MAX_REFERENCE_CHARS],
        counterparty_name=_cut(entry.counterparty_name, _MAX_REFERENCE_CHARS),
        end_to_end_id=_cut(entry.end_to_end_id, _MAX_REFERENCE_CHARS),
        references=tuple(one[:_MAX_REFERENCE_CHARS] for one in entry.references[:_MAX_REFERENCES]),
        remittance=_cut(entry.remittance, _MAX_TEXT_CHARS),
        bank_transaction_code=_cut(entry.bank_transaction_code, _MAX_REFERENCE_CHARS),
    )


def _cut(text: str | None, longest: int) -> str | None:
    return None if text is None else text[:longest]
