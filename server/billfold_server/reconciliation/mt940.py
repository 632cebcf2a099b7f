"""Reading MT940, SWIFT's customer statement message, in the dialects that banks send.

Of the ``mt-940`` library we use the signing of amounts (with all its options on: by default it gives the reversal of
a credit the wrong sign) and its table of keywords in German structured ``:86:`` fields. The level below is our own,
because the library

- gives no line numbers, and logs the contents of a field that it can't read;
- takes a prefix of what it finds: ``:61:…D1.50…`` becomes a debit of 1, an overlong account id is cut;
- hands an ``:86:`` that follows the closing balance to the last entry, and knows nothing of a missing closing balance;
- clamps 30 February in value dates but not in entry dates, and finds the entry date's year only within 35 days of New
  Year;
- glues the sub-fields of ``:86:`` together before it looks for keywords, so that a reference swallows the text behind
  it, and keeps the last of a sub-field that occurs twice.

Sources: SWIFT Standards MT Category 9, MT 940; DFÜ agreement of the German banks, annex 3, chapter 8.
"""

import calendar
import datetime as dt
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from mt940.models import Amount
from mt940.options import Options
from mt940.processors import GVC_KEYS
from stdnum import iban as stdnum_iban

from billfold_server.reconciliation.model import (
    Balance,
    Details,
    Statement,
    StatementEntry,
    account_of,
    check_extent,
    iban_of,
    minor_of,
    reference_list,
    squeeze,
    unreadable,
)

__all__ = ["read"]

_OPTIONS: Final = Options.all()

_START: Final = "20"
_ACCOUNTS: Final = frozenset({"25", "25P"})
_NUMBERS: Final = frozenset({"28", "28C"})
_OPENINGS: Final = frozenset({"60", "60F", "60M"})
_CLOSINGS: Final = frozenset({"62", "62F", "62M"})
_ENTRY: Final = "61"
_INFORMATION: Final = frozenset({"86", "NS"})
_INTERIM_REPORT_ONLY: Final = frozenset({"34F", "90C", "90D"})
_PASSED_OVER: Final = frozenset({"13", "13D", "21", "64", "65"}) | _INTERIM_REPORT_ONLY
_KNOWN: Final = _ACCOUNTS | _NUMBERS | _OPENINGS | _CLOSINGS | _INFORMATION | _PASSED_OVER | {_START, _ENTRY}

_FIELD = re.compile(r":([0-9]{2}[A-Z]?|NS):", re.IGNORECASE)
_MESSAGE_TYPE = re.compile(r"\{2:[IO]([0-9]{3})")
_MESSAGE_TYPES: Final = {"940": "", "950": ""}
_OTHER_MESSAGES: Final = {"941": "a balance report", "942": "an interim report"}
_LINE_BREAK = re.compile(r"\r\n|\n|\r")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_FRAMING: Final = "\x01\x03\x1a\ufeff"
"""What surrounds messages on some routes: start and end of a message, end of a DOS file, byte order mark."""

_BALANCE = re.compile(
    r"(?P<mark>[DC])(?P<date>[0-9]{6})(?P<currency>[A-Z]{3})(?P<amount>[0-9]{1,15},[0-9]{0,15})\s*", re.IGNORECASE
)
_LINE = re.compile(
    r"(?P<value>[0-9]{6})(?:(?P<entry>[0-9]{4})|[ ]{4})?"  # value date and, without its year, the entry date
    r"(?P<mark>R?[DC])(?P<funds>[A-Z])?[ ]?"  # debit or credit, or the reversal of one; third letter of the currency
    r"(?P<amount>[0-9]{1,15},[0-9]{0,15})"
    r"(?P<code>[FNS][A-Z0-9 ]{3})"  # transaction type
    # The customer reference has 16 characters in the standard and whole IBANs in practice; it ends at the slashes.
    r"(?P<customer>(?:(?!//).)*)(?://(?P<bank>.*))?",
    re.IGNORECASE,
)
_LATEST_SHORT_YEAR: Final = 2000
_LONGEST_MONTH: Final = 31

_WIDTH: Final = 65
_SUBFIELD_WIDTH: Final = 27
_GERMAN = re.compile(r"[0-9]{3}(?P<mark>[?~<^])[0-9]{2}")
_SEAM: Final = "\x1f"
"""Marks where a sub-field begins. No file can hold it, as control characters are refused."""

_PURPOSE: Final = frozenset({*(f"{number}" for number in range(20, 30)), "60", "61", "62", "63"})
_KEYWORD = re.compile(
    rf"(?:{_SEAM}|(?<=\s))(?:({'|'.join(sorted(re.escape(key.strip()) for key in GVC_KEYS if key))})\s?\+|(MTLG):)"
)
_GERMAN_REFERENCES: Final = ("EREF", "KREF", "MREF", "CRED", "DEBT", "ABWA", "ABWE", "ORMR", "ORCR")
_SLASH = re.compile(
    r"/(EREF|PREF|MARF|CSID|IBAN|BIC|NAME|REMI|TRTP|ORDP|BENM|CNTP|ULTD|ULTC|ULTB|RTRN|ISDT|PURP|ADDR|ID|SVCL|TRCD|CHGS"
    r"|EXCH|OCMT|INIT|BUSP)/"
)
_SLASH_REFERENCES: Final = ("EREF", "PREF", "MARF", "CSID", "ID")
_STRUCTURED_REFERENCE = re.compile(r"STRD/(?:CUR|ISO)?/?(?P<reference>[^/]+)")
_IBAN_IN_TEXT = re.compile(r"\b[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}\b")


@dataclass(slots=True)
class _Field:
    """A field of a message: its tag, the line where it begins, and its lines without the tag."""

    tag: str
    line: int
    lines: list[str]

    @property
    def text(self) -> str:
        """The field's first line; those that have but one line are followed by blanks at most."""
        return self.lines[0].rstrip()


@dataclass(slots=True)
class _Movement:
    """A ``:61:`` with the ``:86:`` that belong to it."""

    line: _Field
    information: list[str] = field(default_factory=list)


@dataclass(slots=True)
class _Message:
    """The fields of one message, sorted by what they are."""

    start: _Field
    account: _Field | None = None
    number: _Field | None = None
    opening: _Field | None = None
    closing: _Field | None = None
    movements: list[_Movement] = field(default_factory=list)
    last: _Field | None = None
    is_interim_report: bool = False


def read(data: bytes) -> list[Statement]:
    """Read all statements of an MT940 file.

    Each message becomes a statement, also where a bank spreads one statement over several messages (``60M`` and
    ``62M``): every message has balances of its own, and so stands or falls by itself.

    Raises:
        errors.StatementUnreadable: Not MT940, cut off, or a field is malformed.
    """
    statements = [_statement(message) for message in _messages(_text(data))]
    if not statements:
        raise unreadable(1, "the file has no message that begins with :20:")
    return statements


def _messages(text: str) -> Iterator[_Message]:
    """Yield each message once it's complete, so that a broken one ends the reading of all that follow."""
    message: _Message | None = None
    statements = entries = 0
    for one in _fields(text):
        if one.tag == _START:
            if message:
                yield message
            message = _Message(one)
            statements += 1
        assert message is not None, "the first field is always a :20:"
        entries += one.tag == _ENTRY
        check_extent(one.line, statements=statements, entries=entries)
        _sort_in(message, one)
    if message:
        yield message


def _text(data: bytes) -> str:
    """Decode the file; MT940 names no encoding, and banks use UTF-8 or the Western 8-bit ones."""
    for encoding in ("utf-8", "cp1252", "latin-1"):
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        break
    else:  # pragma: no cover  # Latin-1 gives every byte a meaning.
        raise unreadable(1, "the file is in no encoding that is known")
    text = text.translate(dict.fromkeys(map(ord, _FRAMING)))
    control = _CONTROL.search(text)
    if control:
        line = len(_LINE_BREAK.findall(text, 0, control.start())) + 1
        raise unreadable(line, "a control character: the file is binary, or neither UTF-8 nor Western 8-bit text")
    return text


def _fields(text: str) -> Iterator[_Field]:
    """Yield the fields of all messages; what stands between messages (headers, envelopes) is left out."""
    current: _Field | None = None
    for number, line in enumerate(_LINE_BREAK.split(text), start=1):
        tag = _FIELD.match(line)
        name = tag[1].upper() if tag else ""
        if tag and name in _KNOWN and (current or name == _START):
            if current:
                yield current
            current = _Field(name, number, [line[tag.end() :]])
        elif _ends_message(line):
            if current:
                yield current
            current = None
            _refuse_other_messages(line, number)
        else:
            _continue(current, line, number, name)
    if current:
        yield current


def _continue(current: _Field | None, line: str, number: int, tag: str) -> None:
    """Add a line to the field that it continues, and refuse a field where there can be none."""
    if current is None:
        if line.startswith(":"):
            raise unreadable(number, f"field :{tag}: stands outside of a message, and one begins with :20:")
    elif tag and current.tag not in _INFORMATION:
        raise unreadable(number, f"field :{tag}: doesn't belong in an MT940")
    else:
        current.lines.append(line)


def _ends_message(line: str) -> bool:
    return line.strip() == "-" or line.startswith(("-}", "{1:"))


def _refuse_other_messages(line: str, number: int) -> None:
    found = _MESSAGE_TYPE.search(line)
    if found and found[1] not in _MESSAGE_TYPES:
        what = _OTHER_MESSAGES.get(found[1], "another message")
        raise unreadable(number, f"MT{found[1]} is {what}, not a statement of account (MT940)")


def _sort_in(message: _Message, one: _Field) -> None:
    """Put a field where it belongs, and refuse one that can't stand at this place."""
    message.last = one
    if one.tag in _ACCOUNTS:
        message.account = message.account or one
    elif one.tag in _NUMBERS:
        message.number = message.number or one
    elif one.tag in _OPENINGS:
        if message.opening:
            raise unreadable(one.line, "a second opening balance in one statement: the :20: between them is missing")
        message.opening = one
    elif one.tag in _CLOSINGS:
        if message.closing:
            raise unreadable(one.line, "a second closing balance in one statement: the :20: between them is missing")
        message.closing = one
    elif one.tag == _ENTRY:
        if message.closing or not message.opening:
            raise unreadable(one.line, "an entry (:61:) outside of opening (:60:) and closing balance (:62:)")
        message.movements.append(_Movement(one))
    elif one.tag in _INFORMATION and message.movements and not message.closing:
        message.movements[-1].information.extend(one.lines)
    message.is_interim_report |= one.tag in _INTERIM_REPORT_ONLY


def _statement(message: _Message) -> Statement:
    start, last = message.start, message.last or message.start
    if message.opening is None and message.is_interim_report:
        raise unreadable(start.line, "MT942 is an interim report, not a statement of account (MT940)")
    if message.account is None or not message.account.text:
        raise unreadable(start.line, "the statement names no account (:25:)")
    if message.opening is None:
        raise unreadable(start.line, "the statement has no opening balance (:60F: or :60M:)")
    if message.closing is None:
        raise unreadable(last.line, "the statement has no closing balance (:62F: or :62M:): is the file cut off?")
    opening, closing = _balance(message.opening), _balance(message.closing)
    account, scheme = account_of(message.account.text)
    number = message.number.text if message.number else ""
    period = opening.date.isoformat(), closing.date.isoformat()
    return Statement(
        format="mt940",
        bank_account=account,
        bank_account_scheme=scheme,
        statement_id="|".join(("mt940", account, start.text.strip(), number.strip(), *period)),
        currency=opening.currency,
        opening=opening,
        closing=closing,
        entries=tuple(_entry(movement, account, opening.currency) for movement in message.movements),
    )


def _balance(one: _Field) -> Balance:
    found = _BALANCE.fullmatch(one.text)
    if not found:
        raise unreadable(one.line, f"field :{one.tag}: isn't mark, date, currency and an amount with a decimal comma")
    currency = found["currency"].upper()
    return Balance(
        kind=one.tag,
        amount_minor=_minor(found["amount"], found["mark"], currency, one),
        currency=currency,
        date=_date(found["date"], one),
        line=one.line,
    )


def _minor(amount: str, mark: str, currency: str, one: _Field) -> int:
    signed = Amount(amount, mark.upper(), currency, options=_OPTIONS).amount
    assert signed is not None, "an amount was given"
    return minor_of(signed, currency, line=one.line, what=f":{one.tag}:")


def _date(yymmdd: str, one: _Field) -> dt.date:
    return _clamped(_LATEST_SHORT_YEAR + int(yymmdd[:2]), int(yymmdd[2:4]), int(yymmdd[4:]), one)


def _clamped(year: int, month: int, day: int, one: _Field) -> dt.date:
    """Make a date; a day that the month lacks is its last one.

    Interest is often reckoned on years of twelve months of 30 days each, and then money has value on 30 February.
    """
    if not 1 <= month <= 12 or not 1 <= day <= _LONGEST_MONTH:  # noqa: PLR2004  # Months of a year.
        raise unreadable(one.line, f"a date in :{one.tag}: isn't in the calendar")
    return dt.date(year, month, min(day, calendar.monthrange(year, month)[1]))


def _entry_date(mmdd: str, value_date: dt.date, one: _Field) -> dt.date:
    """Complete an entry date by the year that brings it closest to the value date."""
    years = (value_date.year - 1, value_date.year, value_date.year + 1)
    dates = [_clamped(year, int(mmdd[:2]), int(mmdd[2:]), one) for year in years]
    return min(dates, key=lambda date: abs(date - value_date))


def _entry(movement: _Movement, account: str, currency: str) -> StatementEntry:
    one = movement.line
    found = _LINE.fullmatch(one.text)
    if not found:
        reason = "field :61: isn't dates, a mark, an amount with a decimal comma, a type and a reference"
        raise unreadable(one.line, reason)
    value_date = _date(found["value"], one)
    customer = squeeze(found["customer"])
    details = _details(movement, customer, account)
    return StatementEntry(
        entry_reference=next(iter(reference_list(found["bank"])), None),
        booking_date=_entry_date(found["entry"], value_date, one) if found["entry"] else value_date,
        value_date=value_date,
        amount_minor=_minor(found["amount"], found["mark"], currency, one),
        currency=currency,
        bank_transaction_code=found["code"].upper(),
        position=one.line,
        **details._asdict(),
    )


# What an entry says about itself. Every bank has its own way; three are common, and the rest is free text.


def _details(movement: _Movement, customer: str | None, account: str) -> Details:
    supplement = squeeze(" ".join(movement.line.lines[1:]))
    joined = _unwrapped(movement.information)
    german = _GERMAN.match(joined)
    if german:
        details = _german(joined[3:], german["mark"])
    elif _SLASH.match(joined):
        details = _slashes(joined)
    else:
        details = _free(movement.information, joined, customer, account)
    iban = details.counterparty_iban
    own_reference = None if iban is not None and iban == iban_of(customer) else customer
    texts = [text for text in (supplement, details.remittance) if text]
    if supplement and details.remittance and supplement.casefold() in details.remittance.casefold():
        texts = [details.remittance]
    return details._replace(
        references=reference_list(details.end_to_end_id, own_reference, *details.references),
        remittance=squeeze(" ".join(texts)),
    )


def _unwrapped(lines: list[str]) -> str:
    """Join the lines of an ``:86:`` as they were before the bank cut them.

    The cut is made after 65 characters, wherever that is. A shorter line has lost its blanks on the way or ended by
    itself, so a blank stands between it and the next one, except before a sub-field of its own.
    """
    german = _GERMAN.match(lines[0]) if lines else None
    pieces: list[str] = []
    for before, line in zip(["", *lines], lines, strict=False):
        begins_subfield = german is not None and line.startswith(german["mark"])
        pieces.append("" if not pieces or len(before) >= _WIDTH or begins_subfield else " ")
        pieces.append(line)
    return "".join(pieces).strip()


def _german(text: str, mark: str) -> Details:
    """Read the sub-fields of the German structure, and the keywords in those for the purpose.

    A keyword counts only where a word begins. A sub-field holds 27 characters: a full one goes on in the next without a
    blank, a shorter one has ended.
    """
    subfields = [(piece[:2], piece[2:]) for piece in re.split(f"{re.escape(mark)}(?=[0-9]{{2}})", text) if piece]
    purpose = _joined([value for code, value in subfields if code in _PURPOSE])
    name = _plain([value for code, value in subfields if code in {"32", "33"}])
    beneficiary = _plain([value for code, value in subfields if code.startswith("7")])
    keyed, plain = _keywords(purpose)
    accounts = [value for code, value in subfields if code in {"31", "38"}]
    ibans = [iban for value in (*accounts, keyed.get("IBAN")) if (iban := iban_of(value))]
    posting_text = next((value for code, value in subfields if code == "00"), None)
    return Details(
        counterparty_name=name,
        counterparty_iban=next(iter(ibans), None),
        end_to_end_id=next(iter(reference_list(keyed.get("EREF"))), None),
        references=reference_list(
            *(keyed.get(key) for key in _GERMAN_REFERENCES),
            *(value for value in accounts if not iban_of(value)),
        ),
        remittance=squeeze(" ".join(filter(None, (plain, beneficiary)))) or squeeze(posting_text),
    )


def _joined(values: list[str]) -> str:
    return "".join(_SEAM + value if len(value) >= _SUBFIELD_WIDTH else f"{_SEAM}{value} " for value in values)


def _plain(values: list[str]) -> str | None:
    return squeeze(_joined(values).replace(_SEAM, ""))


def _keywords(purpose: str) -> tuple[dict[str, str], str]:
    """Split the purpose at its keywords; what has none, and the text that SVWZ and MTLG announce, is the plain text."""
    first, *rest = (piece and piece.replace(_SEAM, "") for piece in _KEYWORD.split(purpose))
    keyed: dict[str, str] = {}
    plain = [first]
    for german, message, value in zip(rest[::3], rest[1::3], rest[2::3], strict=True):
        if german == "SVWZ" or message:
            plain.append(value)
        else:
            keyed.setdefault(german, value)
    return keyed, " ".join(plain)


def _slashes(text: str) -> Details:
    """Read ``/CODE/value`` pairs, as the Dutch banks write them."""
    _, *rest = _SLASH.split(text)
    keyed: dict[str, str] = {}
    for code, value in zip(rest[::2], rest[1::2], strict=True):
        if value.strip(" /"):
            keyed.setdefault(code, value.strip(" /"))
    # Some write the counterparty as one value: /CNTP/account/bank/name/city/.
    _, _, counterparty_name, *_ = counterparty = [*keyed.get("CNTP", "").split("/"), "", ""]
    remittance = keyed.get("REMI", "")
    structured = _STRUCTURED_REFERENCE.match(remittance)
    return Details(
        counterparty_name=squeeze(keyed.get("NAME") or counterparty_name),
        counterparty_iban=iban_of(keyed.get("IBAN")) or iban_of(counterparty[0]),
        end_to_end_id=next(iter(reference_list(keyed.get("EREF"))), None),
        references=reference_list(
            *(keyed.get(code) for code in _SLASH_REFERENCES), structured["reference"] if structured else None
        ),
        remittance=squeeze(remittance.removeprefix("USTD//")),
    )


def _free(lines: list[str], text: str, customer: str | None, account: str) -> Details:
    """Find the counterparty in free text.

    Some banks begin the text with the account that ``:61:`` names as well, and the holder's name behind it. Otherwise
    an IBAN counts only if its check digits are right and it's the only one, as any word of letters and digits might
    pass.
    """
    iban = iban_of(customer)
    head = lines[0].strip() if lines else ""
    if iban and head.upper().startswith(iban):
        return Details(squeeze(head[len(iban) :]), iban, None, (), squeeze(text))
    found = {one for one in set(_IBAN_IN_TEXT.findall(text.upper())) if one != account and stdnum_iban.is_valid(one)}
    return Details(None, iban or (found.pop() if len(found) == 1 else None), None, (), squeeze(text))
