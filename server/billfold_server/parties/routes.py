"""People and companies over HTTP."""

import functools
from typing import Annotated
from uuid import UUID

from msgspec import Meta

from billfold import errors, ids
from billfold.contract.common import Page, PartyId
from billfold.contract.parties import CreateParty, ExternalId, Party, PartyKind, UpdateParty
from billfold.ids import Prefix
from billfold_server.http import idempotency
from billfold_server.http.etags import check_if_match
from billfold_server.http.pagination import DEFAULT_LIMIT, Cursor, Limit
from billfold_server.http.routing import Call, Link, Reply, Routes
from billfold_server.parties import service

__all__ = ["routes"]

routes = Routes(tag="Parties", description="The people and companies that own wallets.")

_KIND = "parties"
Query = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=100,
        pattern="^[^\\u0000]*$",
        description="Words, each of which begins a word of the name, the mail address or the external id. A beginning "
        "has three characters or more (one, where a character stands for a syllable or a word); a shorter one is "
        "looked for as a whole word. The first 24 characters of a word count.",
        examples=["ada"],
    ),
]


@routes.post(
    "/v1/parties",
    scope="parties:write",
    idempotency="optional",
    etag=True,
    personal=True,
    location="/v1/parties/{id}",
    errors=(errors.ExternalIdTaken, errors.SubjectForgotten),
    links=(
        Link(operation_id="getParty", parameters={"party_id": "$response.body#/id"}),
        Link(operation_id="updateParty", parameters={"party_id": "$response.body#/id"}),
        Link(operation_id="createWallet", body={"party_id": "$response.body#/id"}),
    ),
    examples={"request": {"kind": "person", "name": "Ada Lovelace"}},
)
async def create_party(call: Call, body: CreateParty) -> Reply[Party]:
    """Create a party.

    ``external_id`` is yours; no two parties have the same one.
    """
    draft = await service.draft_party(call.services.keys, call.tenant, body)
    return await idempotency.once(
        call, lambda tx: service.create_party(tx, call.caller, draft), status=201, subject=draft.id
    )


@routes.get("/v1/parties", scope="parties:read")
async def list_parties(
    call: Call,
    *,
    external_id: ExternalId | None = None,
    kind: PartyKind | None = None,
    q: Query | None = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor | None = None,
) -> Page[Party]:
    """List parties.

    The newest comes first. Conditions narrow the list together.
    """
    after = call.cursors.decode(_KIND, cursor)
    before = UUID(str(after[0])) if after else None
    search = None
    if q is not None and (search := await service.search_for(call.services.keys, call.tenant, q)) is None:
        return Page(data=[], next_cursor=None)
    async with call.tx() as tx:
        rows = await service.list_parties(
            tx, external_id=external_id, kind=kind, search=search, before=before, limit=limit + 1
        )
    parties = await service.open_parties(call.services.keys, call.tenant, rows)
    return call.page(_KIND, parties, limit, key=lambda party: [str(_id(party.id))])


@routes.get("/v1/parties/{party_id}", scope="parties:read", etag=True, errors=(errors.NotFound,))
async def get_party(call: Call, party_id: PartyId) -> Party:
    """Show a party."""
    async with call.tx() as tx:
        row = await service.get_party(tx, _id(party_id))
    (party,) = await service.open_parties(call.services.keys, call.tenant, [row])
    return party


@routes.patch(
    "/v1/parties/{party_id}",
    scope="parties:write",
    if_match=True,
    etag=True,
    errors=(errors.NotFound, errors.ExternalIdTaken, errors.PartyForgotten),
    examples={"request": {"name": "Ada King"}},
)
async def update_party(call: Call, party_id: PartyId, body: UpdateParty) -> Party:
    """Change a party.

    What is absent stays, and null clears what may be empty. With ``If-Match`` it is changed only if nobody has changed
    it since you read it.
    """
    check = functools.partial(check_if_match, call.if_match)
    services = call.services
    return await service.update_party(
        call.tx, services.keys, call.tenant, _id(party_id), body, caller=call.caller, check_version=check
    )


def _id(party_id: str) -> UUID:
    return ids.decode(Prefix.PARTY, party_id)
