"""Which wallet a statement entry is for, and where a statement stands in its bank account's history. All pure.

An entry names wallets by the counterparty's IBAN, by references, and by the counterparty's name, in falling order of
how far each can be trusted. All that an entry could match is listed first, so that the aliases of a whole file are
looked up together.

A bank account's history is told by two ends: where its earliest statement opens, and where its latest one leads. Both
follow from the statements themselves, not from the order in which they arrived.
"""

import functools
import hashlib
import re
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from enum import StrEnum
from typing import Final, Generic, TypeVar

from billfold.contract.wallets import AliasScheme
from billfold_server.reconciliation.model import Statement, StatementEntry, iban_of
from billfold_server.wallets.service import AliasKey, normalise_alias

__all__ = [
    "CASH_CODES",
    "AliasLevels",
    "AliasMatch",
    "Place",
    "Span",
    "Unmatched",
    "alias_candidates",
    "alias_levels",
    "booked_at",
    "break_at",
    "cash_code",
    "ends",
    "is_cash_code",
    "match_levels",
    "opened_at",
    "place",
    "reached_minor",
]

W = TypeVar("W", bound=Hashable)

AliasLevels = Sequence[tuple[AliasScheme, Sequence[str]]]
"""What could name an entry's wallet: levels of trust, the strongest first, each with a scheme and normal values."""

_WORD = re.compile(r"[^\W_]+")
_MAX_WORDS_IN_ALIAS: Final = 5
_MAX_WORDS_IN_TEXT: Final = 160
_MIN_CHARS_IN_TEXT: Final = 4
"""A shorter reference must be a field of its own: a few letters stand in many a text by chance."""


class Unmatched(StrEnum):
    """Why no alias names an entry's wallet."""

    NO_ALIAS = "no_alias"
    AMBIGUOUS_ALIAS = "ambiguous_alias"


@dataclass(frozen=True, slots=True)
class AliasMatch(Generic[W]):
    """The alias that named the wallet.

    Attributes:
        scheme: By what the wallet was named.
        value: The alias's value in normal form.
        wallet_id: Whose alias it is.
    """

    scheme: AliasScheme
    value: str
    wallet_id: W


def alias_candidates(levels: AliasLevels) -> list[AliasKey]:
    """List every alias that could name the entry's wallet, the strongest first, each once."""
    return list(dict.fromkeys(AliasKey(scheme, value) for scheme, values in levels for value in values))


def alias_levels(entry: StatementEntry) -> list[tuple[AliasScheme, list[str]]]:
    """List the levels of trust on which an entry names wallets, the strongest first.

    The levels are the counterparty's IBAN, other IBANs among the references, whole references, references inside of
    references and remittance, and the counterparty's name.

    A word counts as whole where no letter or digit touches it, so references are found inside texts such as
    ``inv/2026-17, thanks``. A reference of several words is found up to five words long; of a text, the first 160
    words are looked at.
    """
    return list(_levels(entry))


def match_levels(levels: AliasLevels, aliases: Mapping[AliasKey, W]) -> AliasMatch[W] | Unmatched:
    """Return the alias that names a wallet on the strongest level that has one, or why there is none.

    The first level that has a match decides. Where it names two wallets nothing matches, since money in suspense can be
    moved and money in a stranger's wallet is gone; a match that is only part of a longer one doesn't count, so that
    ``INV-1`` doesn't compete with ``INV-1-2``.

    Args:
        levels: On which levels the bank names wallets, as ``alias_levels`` lists them.
        aliases: Wallet ids by alias; it may hold more than the candidates.
    """
    for scheme, values in levels:
        hits = [value for value in dict.fromkeys(values) if AliasKey(scheme, value) in aliases]
        whole = [hit for hit in hits if not any(hit != other and hit in other for other in hits)]
        wallets = {aliases[AliasKey(scheme, hit)] for hit in whole}
        if len(wallets) == 1:
            return AliasMatch(scheme, whole[0], wallets.pop())
        if wallets:
            return Unmatched.AMBIGUOUS_ALIAS
    return Unmatched.NO_ALIAS


def _levels(entry: StatementEntry) -> Iterator[tuple[AliasScheme, list[str]]]:
    """Yield the levels, each with the values that could match on it."""
    reference = _normaliser(AliasScheme.REFERENCE)
    iban = entry.counterparty_iban
    whole = [reference(one) for one in entry.references]
    texts = [*whole, reference(entry.remittance or "")]
    yield AliasScheme.IBAN, [_normaliser(AliasScheme.IBAN)(iban)] if iban else []
    yield AliasScheme.IBAN, [found for one in entry.references if (found := iban_of(one)) and found != iban]
    yield AliasScheme.REFERENCE, whole
    yield AliasScheme.REFERENCE, [value for text in texts for value in _whole_words(text)]
    name = _normaliser(AliasScheme.NAME)(entry.counterparty_name or "")
    yield AliasScheme.NAME, [name] if name else []


def _normaliser(scheme: AliasScheme) -> Callable[[str], str]:
    return lambda value: normalise_alias(scheme, value)


def _whole_words(text: str) -> Iterator[str]:
    """Yield each run of words of a text with what stands between them, long enough to be a reference."""
    words = [word.span() for word in _WORD.finditer(text)][:_MAX_WORDS_IN_TEXT]
    for first, (start, _) in enumerate(words):
        for _, end in words[first : first + _MAX_WORDS_IN_ALIAS]:
            if end - start >= _MIN_CHARS_IN_TEXT:
                yield text[start:end]


# Where a statement stands.


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """From where to where a statement leads: two days and two balances.

    Attributes:
        statement_key: The statement's own id, as ``Statement.statement_id`` has it.
        opening_minor: The balance at its beginning, signed.
        reached_minor: Where its booked entries lead from there. A statement that closes says the same as its closing
            balance; of one that doesn't, this is the part that the entries prove.
    """

    statement_key: str
    opening_date: date
    closing_date: date
    opening_minor: int
    reached_minor: int

    def begins_before(self, first: "Span | None") -> bool:
        """Tell whether this statement is the account's earliest, given the one that was until now.

        A corrected statement takes the place of the one that it corrects. Statements of the same days are told apart by
        their balances: the one that leads to where the other opens comes first.
        """
        if first is None or first.statement_key == self.statement_key:
            return True
        mine, theirs = (self.opening_date, self.closing_date), (first.opening_date, first.closing_date)
        return mine < theirs if mine != theirs else self._leads_to(first)

    def reaches_beyond(self, last: "Span | None") -> bool:
        """Tell whether this statement is the account's latest, given the one that was until now.

        Of statements of the same days, where the balances don't tell, the one that came in last is the later one.
        """
        if last is None or last.statement_key == self.statement_key:
            return True
        mine, theirs = (self.closing_date, self.opening_date), (last.closing_date, last.opening_date)
        return mine > theirs if mine != theirs else not self._leads_to(last)

    def _leads_to(self, other: "Span") -> bool:
        return self.reached_minor == other.opening_minor and other.reached_minor != self.opening_minor


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What a statement means for its bank account's books, besides its entries.

    Attributes:
        first: The statement that begins earliest, now.
        last: The statement that reaches furthest, now.
        opening_minor: What the cash account has to be moved by against equity.
        break_minor: What it has to be moved by though no entry tells why.
    """

    first: Span
    last: Span
    opening_minor: int
    break_minor: int


def place(span: Span, *, first: Span | None, last: Span | None, cash_minor: int, moved_minor: int) -> Place:
    """Find a statement's place among those of its bank account.

    In the end the cash account must stand where the latest statement leads. What the earliest one opens with stands
    against equity, entries stand against wallets and suspense, and whatever is left over is a break. So a missing
    statement makes a break, and takes it back when it comes in late; and the order in which statements come in makes
    no difference.

    Args:
        span: From where to where the statement leads.
        first: The statement that began earliest until now.
        last: The statement that reached furthest until now.
        cash_minor: Where the cash account stands.
        moved_minor: What the statement's new entries move it by.
    """
    now_first, now_last = ends(span, first=first, last=last)
    opening = 0
    if now_first is span:
        opening = span.opening_minor - (0 if first is None else first.opening_minor)
    stands_at = span.reached_minor if now_last is span else cash_minor
    return Place(
        first=now_first,
        last=now_last,
        opening_minor=opening,
        break_minor=stands_at - (cash_minor + opening + moved_minor),
    )


def ends(span: Span, *, first: Span | None, last: Span | None) -> tuple[Span, Span]:
    """Return which statement begins earliest and which reaches furthest, once one more is known."""
    now_first = span if span.begins_before(first) else first
    now_last = span if span.reaches_beyond(last) else last
    assert now_first is not None, "a first statement begins before none"
    assert now_last is not None, "a first statement reaches beyond none"
    return now_first, now_last


def break_at(span: Span, last: Span, before: datetime | None, now: datetime) -> datetime:
    """Return when a statement's break took effect.

    A statement that comes in late takes its break back where the one that missed it had made it.

    Args:
        span: From where to where the statement leads.
        last: The statement that reaches furthest, with this one.
        before: When the break before it took effect.
        now: When the statement is imported.
    """
    opened = opened_at(span.opening_date, now)
    return opened if last is span else (before or opened)


def reached_minor(statement: Statement) -> int | None:
    """Return where a statement's booked entries lead from its opening balance, in its own currency.

    None where the opening balance is in another currency, so that nothing can be said.
    """
    if statement.opening.currency != statement.currency:
        return None
    moved = sum(
        entry.amount_minor for entry in statement.entries if entry.booked and entry.currency == statement.currency
    )
    return statement.opening.amount_minor + moved


_NOON: Final = time(12, tzinfo=UTC)
_MIDNIGHT: Final = time(0, tzinfo=UTC)


def booked_at(day: date, now: datetime) -> datetime:
    """Return when what a bank booked on a day took effect: at noon UTC, which is that day in nearly every time zone.

    A day that isn't over, or lies ahead, is cut at ``now``: the ledger knows no future.
    """
    return min(datetime.combine(day, _NOON), now)


def opened_at(day: date, now: datetime) -> datetime:
    """Return when a balance at a day's beginning took effect: before everything booked on that day."""
    return min(datetime.combine(day, _MIDNIGHT), now)


CASH_CODES: Final = "cash:"
"""With what the codes of bank accounts' cash accounts begin."""
_PLAIN: Final = re.compile(r"[A-Za-z0-9-]")
_MAX_CODE_CHARS: Final = 80
_DIGEST_BYTES: Final = 8


@functools.lru_cache(maxsize=256)
def cash_code(bank_account: str) -> str:
    """Return the code of a bank account's cash account, as the chart of accounts can hold it.

    An IBAN stays as it is: ``cash:NL26VAYB8060476890``. A slash, as between bank code and account number, becomes a
    dot; what else a code can't hold becomes its code point, so that two bank accounts never share a code.
    """
    code = CASH_CODES + "".join(_plain(character) for character in bank_account)
    if len(code) <= _MAX_CODE_CHARS:
        return code
    digest = hashlib.blake2b(bank_account.encode(), digest_size=_DIGEST_BYTES).hexdigest()
    return f"{code[: _MAX_CODE_CHARS - len(digest) - 1]}:{digest}"


def is_cash_code(code: str | None) -> bool:
    """Tell whether an account's code is that of a bank account's cash account."""
    return code is not None and code.startswith(CASH_CODES)


def _plain(character: str) -> str:
    if character == "/":
        return "."
    return character if _PLAIN.fullmatch(character) else f"_{ord(character):x}_"
