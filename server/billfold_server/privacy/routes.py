"""Privacy over HTTP."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from billfold import errors, ids
from billfold.contract.common import Page, PartyId
from billfold.contract.privacy import DataInventory, EraseParty, Erasure, ExportedData, ExportParty
from billfold.ids import Prefix
from billfold_server.approvals import service as approvals
from billfold_server.http.pagination import DEFAULT_LIMIT, Cursor, Limit
from billfold_server.http.routing import Call, NeedsApproval, Reply, Routes
from billfold_server.privacy import service

__all__ = ["routes"]

routes = Routes(
    tag="Privacy", description="What is kept of people and where, what is known of one of them, and forgetting them."
)


@routes.get("/v1/data-inventory", scope="privacy:read")
async def get_data_inventory(call: Call) -> DataInventory:
    """Show where personal data lies.

    Every column that holds personal or card data, under which keys it is sealed or why it isn't, for how long it is
    kept, and how many rows there are. Who has read what and why stands in the audit records.
    """
    privacy: service.Privacy = call.services.rooms["privacy"]
    async with call.tx() as tx:
        return await service.data_inventory(tx, privacy.inventories)


_KIND = "party_exports"


@routes.post("/v1/parties/{party_id}/exports", scope="privacy:write", status=200, errors=(errors.NotFound,))
async def export_party(
    call: Call, party_id: PartyId, body: ExportParty, *, limit: Limit = DEFAULT_LIMIT, cursor: Cursor | None = None
) -> Page[ExportedData]:
    """Read all that is known of a party.

    What every part of the server keeps of it, in plain: page by page, with a record in the audit for each of them. Of
    what vault tokens stand for there are masks alone, unless the token allows ``tokens:detokenize``, too.
    """
    after = call.cursors.decode(_KIND, cursor)
    place = None
    if after is not None:
        room, kind, key = after
        place = (int(room or 0), int(kind or 0), None if key is None else UUID(str(key)))
    data, then = await service.export(
        call, ids.decode(Prefix.PARTY, party_id), reason=body.reason, place=place, limit=limit
    )
    if then is None:
        return Page(data=data, next_cursor=None)
    *where, behind = then
    next_cursor = call.cursors.encode(_KIND, [*where, None if behind is None else str(behind)])
    return Page(data=data, next_cursor=next_cursor)


async def _can_be_erased(call: Call, values: Mapping[str, Any]) -> bool:
    """See that a person asks, and that it makes sense to ask a second one; it always takes one.

    A program may be anybody's, also that of the person who agrees.
    """
    if call.caller.user_id is None:
        raise errors.PersonRequired("a member of staff must ask for it, signed in as themselves")
    async with call.tx() as tx:
        key = call.idempotency_key
        if key is not None and await approvals.is_asked(tx, call.caller.client_id, key):
            return True
        await service.check_erasable(tx, ids.decode(Prefix.PARTY, values["party_id"]))
    return True


@routes.post(
    "/v1/parties/{party_id}/erasure",
    scope="privacy:write",
    idempotency="optional",
    status=200,
    approval=NeedsApproval("erasure", _can_be_erased),
    errors=(
        errors.NotFound,
        errors.PersonRequired,
        errors.PartyForgotten,
        errors.PartyHasWallets,
        errors.PartyHasPayments,
        errors.PartyStillKept,
    ),
)
async def erase_party(call: Call, party_id: PartyId, body: EraseParty) -> Reply[Erasure]:
    """Forget a party.

    A member of staff asks, and it takes a second person, whatever the manifest says. What is personal is removed
    everywhere and the party's keys are destroyed, so that nobody can read it in a backup either; the books stay exact,
    and name it by its id. Whoever the party is can't sign in any more, what they have allowed apps ends, and their
    vault tokens are gone.
    """
    return await service.erase(call, ids.decode(Prefix.PARTY, party_id), body)
