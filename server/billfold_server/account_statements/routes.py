"""Account statements over HTTP."""

import asyncio
from typing import Final

from billfold import errors, ids
from billfold.contract.account_statements import AccountStatement
from billfold.contract.common import AccountStatementId, Page, WalletId
from billfold.ids import Prefix
from billfold_server.account_statements import service
from billfold_server.http.pagination import DEFAULT_LIMIT, Cursor, Limit
from billfold_server.http.routing import Call, Reply, Routes

__all__ = ["routes"]

routes = Routes(
    tag="Account statements",
    description="What was booked to wallets, month by month. They are made by themselves once a month has passed.",
)

_LIST: Final = "account-statements"


@routes.get("/v1/account-statements", scope="wallets:read")
async def list_monthly_statements(
    call: Call, *, wallet_id: WalletId | None = None, limit: Limit = DEFAULT_LIMIT, cursor: Cursor | None = None
) -> Page[AccountStatement]:
    """List account statements, newest first."""
    before = call.cursors.decode_id(_LIST, cursor, Prefix.ACCOUNT_STATEMENT)
    async with call.tx() as tx:
        rows = await service.list_statements(
            tx,
            limit=limit + 1,
            before=before,
            wallet_id=None if wallet_id is None else ids.decode(Prefix.WALLET, wallet_id),
        )
    return call.page(_LIST, [row.to_response() for row in rows], limit, key=lambda statement: [statement.id])


async def _statement(call: Call, account_statement_id: str) -> service.StatementRow:
    async with call.tx() as tx:
        return await service.get_statement(tx, ids.decode(Prefix.ACCOUNT_STATEMENT, account_statement_id))


@routes.get("/v1/account-statements/{account_statement_id}", scope="wallets:read", errors=(errors.NotFound,))
async def get_monthly_statement(call: Call, account_statement_id: AccountStatementId) -> AccountStatement:
    """Show an account statement."""
    return (await _statement(call, account_statement_id)).to_response()


async def _file(call: Call, account_statement_id: str) -> service.StatementFile:
    row = await _statement(call, account_statement_id)
    return await service.read_file(call.tx, call.services.keys, call.tenant, row)


@routes.get(
    "/v1/account-statements/{account_statement_id}/csv",
    scope="wallets:read",
    errors=(errors.NotFound,),
    response_media_type=service.CSV,
)
async def get_monthly_statement_csv(call: Call, account_statement_id: AccountStatementId) -> Reply[str]:
    """Return an account statement's entries as comma-separated values.

    A statement of more than 10,000 entries has no file.
    """
    return Reply(body=await asyncio.to_thread(service.to_csv, await _file(call, account_statement_id)))


@routes.get(
    "/v1/account-statements/{account_statement_id}/pdf",
    scope="wallets:read",
    errors=(errors.NotFound,),
    response_media_type=service.PDF,
)
async def get_monthly_statement_pdf(call: Call, account_statement_id: AccountStatementId) -> Reply[str]:
    """Return an account statement as PDF.

    A statement of more than 10,000 entries has no file.
    """
    return Reply(body=await asyncio.to_thread(service.to_pdf, await _file(call, account_statement_id)))
