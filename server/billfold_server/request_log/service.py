"""Who may see which requests, and what they see of them."""

from uuid import UUID

from billfold import errors
from billfold_server.request_log import queries
from billfold_server.request_log.queries import Wanted
from billfold_server.request_log.recording import Recorder
from billfold_server.request_log.rows import RequestRow
from billfold_server.tenancy.context import Caller
from billfold_server.tenancy.transaction import TenantTx

__all__ = ["Recorder", "RequestRow", "Wanted", "get", "list_requests", "sweep", "visible_to"]

sweep = queries.sweep


def visible_to(caller: Caller) -> UUID | None:
    """Return of which client's requests a caller sees, or None for those of all.

    A program sees its own. Somebody who works at the bank, and has signed in, sees all of the tenant's; a partner's
    member all of that partner's programs, to which both are narrowed besides.
    """
    return caller.client_id if caller.user_id is None else None


async def list_requests(
    tx: TenantTx, caller: Caller, wanted: Wanted, *, limit: int, before: UUID | None
) -> list[RequestRow]:
    """Return requests that meet all conditions given and that the caller may see, the newest first."""
    own = visible_to(caller)
    if own is not None and wanted.client_id not in {None, own}:
        return []
    return await queries.list_page(tx, wanted, own=own, partner_id=caller.partner_id, limit=limit, before=before)


async def get(tx: TenantTx, caller: Caller, request_id: str) -> RequestRow:
    """Return a request with what was sent and answered.

    Raises:
        errors.NotFound: There is none of this id that the caller may see.
    """
    row = await queries.find(tx, request_id, visible_to(caller), caller.partner_id)
    if row is None:
        raise errors.NotFound("there is no such request in the log", param="request_id")
    return row
