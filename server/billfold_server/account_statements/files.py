"""Statements as files: comma-separated values, and PDF."""

import csv
import io
from datetime import datetime
from typing import Final

import msgspec

from billfold.ids import Prefix, encode
from billfold.money import to_decimal
from billfold_server.account_statements import pdf
from billfold_server.account_statements.rows import StatementRow
from billfold_server.ledger.service import Booking

__all__ = ["CSV", "PDF", "StatementFile", "to_csv", "to_pdf"]

CSV: Final = "text/csv; charset=utf-8"
PDF: Final = "application/pdf"

_HEADINGS: Final = ("booked_at", "effective_at", "entry", "kind", "description", "amount", "balance", "currency")
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
_WIDTH: Final = 110


class StatementFile(msgspec.Struct, frozen=True, kw_only=True):
    """What a statement's file says.

    Attributes:
        brand: Who has made it.
        holder: Whose wallet it is, as far as that is known.
        account: The IBAN, or the wallet's id.
        lines: What was booked, the oldest first.
    """

    brand: str
    holder: str | None
    account: str
    statement: StatementRow
    lines: list[Booking]

    def __repr__(self) -> str:
        return f"StatementFile({self.statement.wire_id})"


def _instant(instant: datetime) -> str:
    return instant.strftime("%Y-%m-%dT%H:%M:%SZ")


def _text(description: str | None) -> str:
    """Return a text that no spreadsheet takes for a formula."""
    text = description or ""
    return f"'{text}" if text.startswith(_FORMULA) else text


def to_csv(file: StatementFile) -> bytes:
    """Return a statement as comma-separated values (RFC 4180): a line of headings, then one for each entry."""
    stream = io.StringIO(newline="")
    writer = csv.writer(stream)
    writer.writerow(_HEADINGS)
    writer.writerows(
        (
            _instant(line.booked_at),
            _instant(line.effective_at),
            encode(Prefix.JOURNAL_ENTRY, line.entry_id),
            line.kind,
            _text(line.description),
            to_decimal(-line.amount_minor, line.currency),
            to_decimal(-line.posted_after_minor, line.currency),
            line.currency,
        )
        for line in file.lines
    )
    return stream.getvalue().encode()


def to_pdf(file: StatementFile) -> bytes:
    """Return a statement as PDF, of as many pages as it needs."""
    statement = file.statement
    currency = statement.currency
    heading = [
        file.brand,
        "",
        f"Statement {statement.wire_id}",
        f"Account   {file.account}",
        *([] if file.holder is None else [f"Holder    {file.holder}"]),
        f"Period    {statement.starts_at:%Y-%m-%d} to {statement.ends_at:%Y-%m-%d} (not included)",
        "",
        f"Opening balance {to_decimal(statement.opening_minor, currency):>20} {currency}",
        f"Credits         {to_decimal(statement.credits_minor, currency):>20} {currency}",
        f"Debits          {to_decimal(statement.debits_minor, currency):>20} {currency}",
        f"Closing balance {to_decimal(statement.closing_minor, currency):>20} {currency}",
        "",
        f"{'Booked':<12}{'Value':<12}{'Description':<46}{'Amount':>20}{'Balance':>20}",
        "-" * _WIDTH,
    ]
    lines = [
        f"{line.booked_at:%Y-%m-%d}  {line.effective_at:%Y-%m-%d}  "
        f"{(line.description or line.kind.replace('_', ' '))[:44]:<46}"
        f"{to_decimal(-line.amount_minor, currency):>20}{to_decimal(-line.posted_after_minor, currency):>20}"
        for line in file.lines
    ]
    return pdf.document(f"Statement {statement.wire_id}", [*heading, *lines], made_at=statement.created_at)
