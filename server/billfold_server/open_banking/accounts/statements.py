"""Statements of months, in the words of the standard, and as files."""

from collections.abc import Callable
from typing import Any, Final

import msgspec
from msgspec import UNSET

from billfold.contract.open_banking.common import OBStatement2Amount
from billfold.contract.open_banking.statements import OBStatement2, OBStatement2StatementAmount
from billfold_server.account_statements import service as statements
from billfold_server.account_statements.service import StatementFile, StatementRow
from billfold_server.open_banking.accounts.transactions import to_transactions
from billfold_server.open_banking.accounts.wallets import account_id
from billfold_server.open_banking.accounts.words import decimal_text, indicator

__all__ = ["FILES", "to_statement"]


def to_statement(row: StatementRow, *, detail: bool) -> OBStatement2:
    """Return a statement; with its balances and sums where all of it may be read."""
    return OBStatement2(
        account_id=account_id(row.wallet_id),
        statement_id=row.wire_id,
        statement_reference=f"{row.starts_at:%Y-%m} {row.currency}",
        type="RegularPeriodic",
        start_date_time=row.starts_at,
        end_date_time=row.ends_at,
        creation_date_time=row.created_at,
        statement_amount=_amounts(row) if detail else UNSET,
    )


def _amounts(row: StatementRow) -> list[OBStatement2StatementAmount]:
    amounts = (
        ("UK.OBIE.StartingBalance", row.opening_minor),
        ("UK.OBIE.ClosingBalance", row.closing_minor),
        ("UK.OBIE.TotalCredits", row.credits_minor),
        ("UK.OBIE.TotalDebits", -row.debits_minor),
    )
    return [
        OBStatement2StatementAmount(
            type=kind,
            credit_debit_indicator=indicator(minor),
            amount=OBStatement2Amount(amount=decimal_text(minor, row.currency), currency=row.currency),
        )
        for kind, minor in amounts
    ]


def _to_json(file: StatementFile) -> bytes:
    """Return a statement with its transactions as one JSON object, for programs that read nothing else."""
    statement = file.statement
    lines = to_transactions(file.lines, issuer=file.brand[:35], detail=True)
    content: dict[str, Any] = {"Statement": to_statement(statement, detail=True), "Transaction": lines}
    return msgspec.json.encode(content)


FILES: Final[dict[str, tuple[str, Callable[[StatementFile], bytes]]]] = {
    "application/json": ("application/json; charset=utf-8", _to_json),
    "application/pdf": (statements.PDF, statements.to_pdf),
    "text/csv": (statements.CSV, statements.to_csv),
}
"""What a statement's file can be: its media type, and what makes it."""
