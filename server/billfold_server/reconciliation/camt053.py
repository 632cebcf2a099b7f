"""Reading camt.053, ISO 20022's bank-to-customer statement, versions 02 and later.

The parser is expat with our own thin tree. The package of ISO 20022 classes that would be the obvious choice can't be
imported without a further library that it doesn't declare, has one set of classes per version, and loses line
numbers, which a refusal needs. What the versions share is enough here: between 02 and 13 the elements used moved in a
few places only (``Sts/Cd``, ``Dbtr/Pty``, ``TxDtls/Amt``), and each is looked for in all of them.

Safety: a document type declaration is refused as soon as it begins, so no entity is ever declared, expanded or fetched;
depth and number of elements are bounded.
"""

import datetime as dt
import re
from collections.abc import Iterator
from typing import Final
from xml.parsers import expat

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

_NAMESPACE = re.compile(r"urn:iso:std:iso:20022:tech:xsd:([a-z]{4}\.[0-9]{3})\.[0-9]{3}\.([0-9]{2})")
_STATEMENT_MESSAGE: Final = "camt.053"
_FIRST_VERSION: Final = "02"
_NOT_STATEMENTS: Final = {
    "camt.052": "an intraday report",
    "camt.054": "a debit or credit notification",
}

_MAX_DEPTH: Final = 64
_MAX_ELEMENTS: Final = 1_500_000
_MAX_AMOUNT_CHARS: Final = 40
_AMOUNT = re.compile(r"\+?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")

_OPENING_KINDS: Final = ("OPBD", "PRCD")
_CLOSING_KIND: Final = "CLBD"
_INTERIM_KIND: Final = "ITBD"

_SIGN: Final = {"CRDT": 1, "DBIT": -1}
_PLACE_OF_REFERENCES: Final = (
    "EndToEndId",
    "MndtId",
    "TxId",
    "InstrId",
    "PmtInfId",
    "MsgId",
    "ChqNb",
    "ClrSysRef",
    "UETR",
    "AcctOwnrTxId",
)


class _Element:
    """An element, the line on which it begins, and what is in it."""

    __slots__ = ("attributes", "children", "line", "name", "pieces")

    def __init__(self, name: str, attributes: dict[str, str], line: int) -> None:
        self.name = name
        self.attributes = attributes
        self.line = line
        self.children: list[_Element] = []
        self.pieces = ""

    def all(self, *path: str) -> "Iterator[_Element]":
        """Yield the descendants at a path, in the order of the document."""
        if not path:
            yield self
            return
        for child in self.children:
            if child.name == path[0]:
                yield from child.all(*path[1:])

    def first(self, *path: str) -> "_Element | None":
        """Return the first descendant at a path."""
        return next(self.all(*path), None)

    def text(self, *path: str) -> str | None:
        """Return the text at the first place of a path that has any."""
        return next((text for element in self.all(*path) if (text := element.pieces.strip())), None)

    def any_text(self, *paths: tuple[str, ...]) -> str | None:
        """Return the text at the first of several paths that has any."""
        return next((text for path in paths if (text := self.text(*path))), None)


class _Tree:
    """What expat calls while it reads; holds the tree that is being built."""

    def __init__(self) -> None:
        self.parser = expat.ParserCreate(namespace_separator=" ")
        # Long texts arrive in few pieces, so that putting them together stays cheap.
        self.parser.buffer_text = True
        self.parser.buffer_size = 1 << 16
        self.parser.SetParamEntityParsing(expat.XML_PARAM_ENTITY_PARSING_NEVER)
        self.parser.StartDoctypeDeclHandler = self._refuse_doctype
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._characters
        self.root: _Element | None = None
        self.namespace = ""
        self._open: list[_Element] = []
        self._count = 0

    def read(self, data: bytes) -> _Element:
        try:
            self.parser.Parse(data, True)  # noqa: FBT003  # expat takes it by position only.
        except expat.ExpatError as error:
            raise unreadable(error.lineno, f"not well-formed XML: {expat.ErrorString(error.code)}") from None
        except (LookupError, ValueError):
            # Python's codecs answer for encodings that expat doesn't know, and fail in their own words.
            raise unreadable(1, "the XML declaration names an encoding that can't be read") from None
        assert self.root is not None, "expat refuses a document without a root"
        return self.root

    def _refuse_doctype(self, *_: object) -> None:
        raise unreadable(self.parser.CurrentLineNumber, "a document type declaration is refused, and entities with it")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        line = self.parser.CurrentLineNumber
        self._count += 1
        if self._count > _MAX_ELEMENTS:
            raise unreadable(line, f"the file has more than {_MAX_ELEMENTS} elements")
        if len(self._open) >= _MAX_DEPTH:
            raise unreadable(line, f"elements are nested deeper than {_MAX_DEPTH} levels")
        namespace, _, local = name.rpartition(" ")
        if self.root is None:
            self.namespace = namespace
            self.namespace_checked(local, line)
        # An element of another namespace (supplementary data) keeps its long name, which no path finds.
        element = _Element(local if namespace == self.namespace else name, attributes, line)
        if self._open:
            self._open[-1].children.append(element)
        else:
            self.root = element
        self._open.append(element)

    def _end(self, _name: str) -> None:
        self._open.pop()

    def _characters(self, text: str) -> None:
        element = self._open[-1]
        if not element.children:
            element.pieces += text

    def namespace_checked(self, root: str, line: int) -> None:
        """Refuse a document that isn't a camt.053, before the rest of it is read."""
        found = _NAMESPACE.fullmatch(self.namespace)
        if not found:
            raise unreadable(line, "the root element has no ISO 20022 namespace, so this isn't camt.053")
        message, version = found.groups()
        if message != _STATEMENT_MESSAGE:
            what = _NOT_STATEMENTS.get(message, "another message")
            raise unreadable(line, f"{message} is {what}, not a statement of account (camt.053)")
        if version < _FIRST_VERSION:
            raise unreadable(line, f"camt.053 is read from version {_FIRST_VERSION} on, and this is version {version}")
        if root != "Document":
            raise unreadable(line, "the root element isn't Document")


def read(data: bytes) -> list[Statement]:
    """Read all statements of a camt.053 file.

    Raises:
        errors.StatementUnreadable: Not camt.053, not well-formed, or something needed is missing or malformed.
    """
    root = _Tree().read(data)
    statements = [_statement(element) for element in root.all("BkToCstmrStmt", "Stmt")]
    if not statements:
        raise unreadable(root.line, "the document holds no statement (Stmt)")
    entries = sum(len(statement.entries) for statement in statements)
    check_extent(root.line, statements=len(statements), entries=entries)
    return statements


def _statement(stmt: _Element) -> Statement:
    account, scheme = _account(stmt)
    currency = stmt.text("Acct", "Ccy")
    opening, closing = _balances(stmt, currency)
    return Statement(
        format="camt.053",
        bank_account=account,
        bank_account_scheme=scheme,
        statement_id=_statement_id(stmt, account, opening, closing),
        currency=currency or opening.currency,
        opening=opening,
        closing=closing,
        entries=tuple(entry for ntry in stmt.all("Ntry") for entry in _entries(ntry, account, closing.date)),
    )


def _account(stmt: _Element) -> tuple[str, str]:
    iban = stmt.text("Acct", "Id", "IBAN")
    if iban:
        return account_of(iban)[0], "iban"
    other = stmt.first("Acct", "Id", "Othr")
    text = other.text("Id") if other else None
    if other is None or text is None:
        raise unreadable(stmt.line, "the statement names no account (Acct/Id)")
    account, scheme = account_of(text)
    # A bank that writes an IBAN as "other" means the same account as when it writes it as IBAN.
    code = other.text("SchmeNm", "Cd")
    return account, code.lower() if code and scheme == "other" else scheme


def _statement_id(stmt: _Element, account: str, opening: Balance, closing: Balance) -> str:
    """Name the statement by what stays the same when it's sent again; the time of creation doesn't."""
    sequence = stmt.any_text(("ElctrncSeqNb",), ("LglSeqNb",)) or ""
    page = stmt.text("StmtPgntn", "PgNb") or ""
    start = stmt.any_text(("FrToDt", "FrDtTm"), ("FrToDt", "FrDt")) or opening.date.isoformat()
    end = stmt.any_text(("FrToDt", "ToDtTm"), ("FrToDt", "ToDt")) or closing.date.isoformat()
    return "|".join(("camt.053", account, stmt.text("Id") or "", sequence, page, start, end))


def _balances(stmt: _Element, currency: str | None) -> tuple[Balance, Balance]:
    by_kind: dict[str, list[_Element]] = {}
    for element in stmt.all("Bal"):
        by_kind.setdefault(element.text("Tp", "CdOrPrtry", "Cd") or "", []).append(element)
    interim = [_balance(element, _INTERIM_KIND) for element in by_kind.get(_INTERIM_KIND, ())]
    # A previous closing balance is the opening one in other words. Both may be there; the one that says so goes first.
    kind = next((kind for kind in _OPENING_KINDS if kind in by_kind), None)
    opening = [_balance(element, kind) for element in by_kind[kind]] if kind else interim[:1]
    rest = interim if kind else interim[1:]
    closing = [_balance(element, _CLOSING_KIND) for element in by_kind.get(_CLOSING_KIND, ())] or rest[-1:]
    if not opening:
        raise unreadable(stmt.line, "the statement has no opening balance (OPBD or PRCD)")
    if not closing:
        raise unreadable(stmt.line, "the statement has no closing balance (CLBD)")
    first = min(_in_currency(opening, currency), key=lambda balance: balance.date)
    return first, max(_in_currency(closing, currency or first.currency), key=lambda balance: balance.date)


def _in_currency(balances: list[Balance], currency: str | None) -> list[Balance]:
    """Prefer balances in the account's currency; where there are none, the statement keeps what it has."""
    return [balance for balance in balances if balance.currency == currency] or balances


def _balance(element: _Element, kind: str) -> Balance:
    what = f"balance {kind}"
    amount_minor, currency = _amount(element, what)
    date = _date(element, "Dt", what)
    if date is None:
        raise unreadable(element.line, f"{what} has no date")
    return Balance(
        kind=kind,
        amount_minor=_sign(element, what) * amount_minor,
        currency=currency,
        date=date,
        line=element.line,
    )


def _amount(element: _Element, what: str, *path: str) -> tuple[int, str]:
    amount = element.first(*path, "Amt")
    text = amount.pieces.strip() if amount else ""
    if amount is None or not text:
        raise unreadable(element.line, f"{what} has no amount")
    currency = amount.attributes.get("Ccy")
    if not currency:
        raise unreadable(amount.line, f"the amount of {what} has no currency")
    if text.startswith("-"):
        raise unreadable(amount.line, f"the amount of {what} is negative; ISO 20022 gives the sign in CdtDbtInd")
    if len(text) > _MAX_AMOUNT_CHARS or not _AMOUNT.fullmatch(text):
        raise unreadable(amount.line, f"the amount of {what} isn't a decimal number")
    return minor_of(text, currency, line=amount.line, what=what), currency


def _sign(element: _Element, what: str) -> int:
    """Return 1 for a credit and -1 for a debit.

    ``CdtDbtInd`` says what the entry itself does to the account. ``RvslInd`` doesn't turn it round: ISO 20022 defines
    CRDT with a true ``RvslInd`` as an entry that credits, and whose original was a debit. (MT940 is the other way:
    its ``RC`` is the reversal *of* a credit, so a debit.)
    """
    sign = _SIGN.get(element.text("CdtDbtInd") or "")
    if sign is None:
        raise unreadable(element.line, f"{what} is neither credit nor debit (CdtDbtInd)")
    return sign


def _date(element: _Element, name: str, what: str) -> dt.date | None:
    """Return the calendar day that the bank wrote; a time and its zone don't move it to another."""
    found = element.first(name)
    text = found.any_text(("Dt",), ("DtTm",)) if found else None
    if found is None or text is None:
        return None
    try:
        match = _DATE.match(text)
        day = dt.date.fromisoformat(match[0] if match else "")
    except ValueError:
        raise unreadable(found.line, f"{what} has a malformed date ({name})") from None
    if not dt.date.min < day < dt.date.max:
        # A balance at its beginning, or what is booked by its end, would be before or after all that can be told.
        raise unreadable(found.line, f"{what} has a date at the end of the calendar ({name})")
    return day


def _entries(ntry: _Element, account: str, last_day: dt.date) -> Iterator[StatementEntry]:
    """Yield an entry, or each transaction of a batch whose amounts make up the entry's."""
    what = "an entry (Ntry)"
    amount_minor, currency = _amount(ntry, what)
    amount_minor *= _sign(ntry, what)
    value_date = _date(ntry, "ValDt", what)
    booking_date = _date(ntry, "BookgDt", what) or value_date or last_day
    transactions = list(ntry.all("NtryDtls", "TxDtls"))
    parts = _split(transactions, amount_minor, currency)
    for part, part_minor in parts:
        yield StatementEntry(
            entry_reference=_entry_reference(ntry, part),
            booking_date=booking_date,
            value_date=value_date or booking_date,
            amount_minor=part_minor,
            currency=currency,
            status=_status(ntry),
            bank_transaction_code=_transaction_code(ntry, part),
            position=ntry.line if part is None else part.line,
            **_details(ntry, transactions if part is None else [part], account, part_minor)._asdict(),
        )


def _split(transactions: list[_Element], amount_minor: int, currency: str) -> list[tuple[_Element | None, int]]:
    """Pair a batch's transactions with their signed amounts; where those don't make up the entry's, it stays whole."""
    whole: list[tuple[_Element | None, int]] = [(None, amount_minor)]
    if len(transactions) < 2:  # noqa: PLR2004  # One transaction is no batch.
        return whole
    parts = [(one, _transaction_minor(one, amount_minor, currency)) for one in transactions]
    amounts = [part_minor for _, part_minor in parts if part_minor is not None]
    if len(amounts) < len(parts) or sum(amounts) != amount_minor:
        return whole
    return list(zip(transactions, amounts, strict=True))


def _transaction_minor(transaction: _Element, entry_minor: int, currency: str) -> int | None:
    what = "a transaction (TxDtls)"
    for path in ((), ("AmtDtls", "TxAmt"), ("AmtDtls", "InstdAmt")):
        if transaction.first(*path, "Amt"):
            amount_minor, found_currency = _amount(transaction, what, *path)
            if found_currency == currency:
                has_sign = transaction.first("CdtDbtInd") is not None
                return amount_minor * (_sign(transaction, what) if has_sign else (1 if entry_minor >= 0 else -1))
    return None


def _status(ntry: _Element) -> str:
    status = ntry.any_text(("Sts", "Cd"), ("Sts",), ("Sts", "Prtry"))
    if status is None:
        raise unreadable(ntry.line, "an entry (Ntry) has no status (Sts)")
    return status


def _entry_reference(ntry: _Element, part: _Element | None) -> str | None:
    of_part = part.text("Refs", "AcctSvcrRef") if part else None
    return squeeze(of_part or ntry.any_text(("AcctSvcrRef",), ("NtryDtls", "TxDtls", "Refs", "AcctSvcrRef")))


def _transaction_code(ntry: _Element, part: _Element | None) -> str | None:
    for element in (part, ntry):
        code = element.first("BkTxCd") if element else None
        if code is None:
            continue
        domain = (
            code.text("Domn", "Cd"),
            code.text("Domn", "Fmly", "Cd"),
            code.text("Domn", "Fmly", "SubFmlyCd"),
        )
        found = "-".join(filter(None, domain)) or code.text("Prtry", "Cd")
        if found:
            return squeeze(found)
    return None


def _details(ntry: _Element, transactions: list[_Element], account: str, amount_minor: int) -> Details:
    """Say who is behind an entry; an unsplit batch has a counterparty only where all its parts have the same."""
    reversal = ntry.text("RvslInd") in {"true", "1"}
    parties = {_counterparty(one, account, amount_minor, reversal=reversal) for one in transactions}
    name, iban = parties.pop() if len(parties) == 1 else (None, None)
    ends = {one.text("Refs", "EndToEndId") for one in transactions}
    end_to_end = reference_list(ends.pop() if len(ends) == 1 else None)
    texts = [text for one in transactions for text in _texts(one) if text] or [ntry.text("AddtlNtryInf") or ""]
    references = reference_list(
        *(reference for one in transactions for reference in _references(one)),
        ntry.text("NtryRef"),
        *(element.text(id_) for element in ntry.all("NtryDtls", "Btch") for id_ in ("PmtInfId", "MsgId")),
    )
    return Details(
        counterparty_name=name,
        counterparty_iban=iban,
        end_to_end_id=end_to_end[0] if end_to_end else None,
        references=tuple(one for one in references if one not in {account, iban}),
        remittance=squeeze(" ".join(texts)),
    )


def _texts(transaction: _Element) -> list[str]:
    unstructured = [element.pieces for element in transaction.all("RmtInf", "Ustrd")]
    additional = [element.pieces for element in transaction.all("RmtInf", "Strd", "AddtlRmtInf")]
    return unstructured + additional or [transaction.text("AddtlTxInf") or ""]


def _references(transaction: _Element) -> Iterator[str | None]:
    refs = transaction.first("Refs")
    for name in _PLACE_OF_REFERENCES if refs else ():
        yield refs.text(name) if refs else None
    for path in (
        ("Refs", "Prtry", "Ref"),
        ("RmtInf", "Strd", "CdtrRefInf", "Ref"),
        ("RmtInf", "Strd", "RfrdDocInf", "Nb"),
    ):
        for element in transaction.all(*path):
            yield element.pieces
    for role in ("UltmtDbtr", "UltmtCdtr"):
        yield transaction.any_text(("RltdPties", role, "Nm"), ("RltdPties", role, "Pty", "Nm"))
    for role in ("Dbtr", "Cdtr"):
        yield transaction.text("RltdPties", f"{role}Acct", "Id", "Othr", "Id")
        # Money may come in through a virtual IBAN that stands for a wallet: it is on neither side's real account.
        yield iban_of(transaction.text("RltdPties", f"{role}Acct", "Id", "IBAN"))


def _counterparty(
    transaction: _Element, account: str, amount_minor: int, *, reversal: bool
) -> tuple[str | None, str | None]:
    """Return name and IBAN of the other side.

    A credit comes from the debtor and a debit goes to the creditor. In a reversal the parties keep the roles they had
    in the original, so it is the other way round. Where that side is absent or is the account itself, the other side
    is meant.
    """
    roles = ["Dbtr", "Cdtr"] if (amount_minor >= 0) != reversal else ["Cdtr", "Dbtr"]
    for role in roles:
        name = transaction.any_text(("RltdPties", role, "Nm"), ("RltdPties", role, "Pty", "Nm"))
        iban = iban_of(transaction.text("RltdPties", f"{role}Acct", "Id", "IBAN"))
        if (name or iban) and iban != account:
            return squeeze(name), iban
    return None, None
