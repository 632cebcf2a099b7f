"""Consents over HTTP, as the bank's staff and programs see them."""

from datetime import datetime
from uuid import UUID

from billfold import errors, ids
from billfold.contract.common import ClientId, ConsentId, Page, PartyId
from billfold.contract.consents import (
    BelievedDirectory,
    BlockedThirdParty,
    BlockThirdParty,
    Consent,
    ConsentKind,
    ConsentRecord,
    ConsentStatus,
    ConsentUse,
    NamedOrganisation,
    RequireReauthentication,
    RevokeConsent,
)
from billfold.ids import Prefix
from billfold_server.consents import queries, service, staff
from billfold_server.http.pagination import DEFAULT_LIMIT, Cursor, Limit
from billfold_server.http.routing import Call, Link, Reply, Routes

__all__ = ["routes"]

routes = Routes(
    tag="Consents",
    description="What customers have allowed licensed third parties, for the bank to look at and to end.",
)

_CONSENTS = "consents"
_USES = "consent_uses"
_BLOCKS = "blocks_of_third_parties"


@routes.get("/v1/consents", scope="consents:read")
async def list_consents(
    call: Call,
    *,
    client_id: ClientId | None = None,
    party_id: PartyId | None = None,
    kind: ConsentKind | None = None,
    status: ConsentStatus | None = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor | None = None,
) -> Page[Consent]:
    """List consents.

    The newest comes first.
    """
    after = call.cursors.decode(_CONSENTS, cursor)
    async with call.tx() as tx:
        found = await service.list_for_staff(
            tx,
            client_id=None if client_id is None else ids.decode(Prefix.CLIENT, client_id),
            party_id=None if party_id is None else ids.decode(Prefix.PARTY, party_id),
            kind=None if kind is None else kind.value,
            status=None if status is None else status.value,
            before=_id(str(after[0])) if after else None,
            limit=limit + 1,
        )
    return call.page(_CONSENTS, [staff.shown(each) for each in found], limit, key=lambda consent: [consent.id])


@routes.get("/v1/consents/{consent_id}", scope="consents:read", errors=(errors.NotFound,))
async def get_consent(call: Call, consent_id: ConsentId) -> ConsentRecord:
    """Show a consent, with its history and evidence.

    What was asked for and what the customer was shown is opened, as long as it is kept.
    """
    async with call.tx() as tx:
        kept = await staff.load(tx, _id(consent_id))
    return await staff.record(call.services, call.tenant, kept)


@routes.get("/v1/consents/{consent_id}/uses", scope="consents:read", errors=(errors.NotFound,))
async def list_consent_uses(
    call: Call, consent_id: ConsentId, *, limit: Limit = DEFAULT_LIMIT, cursor: Cursor | None = None
) -> Page[ConsentUse]:
    """List what a consent was used for.

    The last hour comes first. What was read in the last second may be missing.
    """
    after = call.cursors.decode(_USES, cursor)
    before = (datetime.fromisoformat(str(after[0])), str(after[1])) if after else None
    async with call.tx() as tx:
        if await service.find(tx, _id(consent_id)) is None:
            raise errors.NotFound("there is no such consent", param="consent_id")
        found = await queries.list_uses(tx, _id(consent_id), before=before, limit=limit + 1)
    return call.page(
        _USES, [staff.shown_use(each) for each in found], limit, key=lambda use: [use.hour.isoformat(), use.operation]
    )


@routes.post(
    "/v1/consents/{consent_id}/revoke",
    scope="consents:write",
    idempotency="optional",
    errors=(errors.NotFound, errors.ConsentTransitionRefused),
    links=(Link(operation_id="getConsent", parameters={"consent_id": "$response.body#/id"}),),
)
async def revoke_consent(call: Call, consent_id: ConsentId, body: RevokeConsent) -> Reply[Consent]:
    """End a consent.

    It counts from the third party's next request on, on every worker.
    """
    return await staff.revoke(call, _id(consent_id), body)


@routes.post(
    "/v1/consents/{consent_id}/require-reauthentication",
    scope="consents:write",
    idempotency="optional",
    errors=(errors.NotFound, errors.ConsentTransitionRefused),
    links=(Link(operation_id="getConsent", parameters={"consent_id": "$response.body#/id"}),),
)
async def require_consent_reauthentication(
    call: Call, consent_id: ConsentId, body: RequireReauthentication
) -> Reply[Consent]:
    """Have a consent's customer come back.

    It stays authorised, but opens nothing from the third party's next request on, until they have authenticated for it
    again. A single payment's consent is ended instead.
    """
    return await staff.require_reauthentication(call, _id(consent_id), body)


@routes.get("/v1/blocked-third-parties", scope="consents:read")
async def list_blocked_third_parties(
    call: Call, *, limit: Limit = DEFAULT_LIMIT, cursor: Cursor | None = None
) -> Page[BlockedThirdParty]:
    """List third parties that are kept out."""
    after = call.cursors.decode(_BLOCKS, cursor)
    async with call.tx() as tx:
        found = await queries.list_blocks(tx, after=str(after[0]) if after else None, limit=limit + 1)
    page = call.page(_BLOCKS, found, limit, key=lambda each: [each.named])
    return Page(data=[staff.shown_block(each) for each in page.data], next_cursor=page.next_cursor)


@routes.post(
    "/v1/blocked-third-parties",
    scope="consents:write",
    status=201,
    idempotency="optional",
    errors=(errors.NotFound,),
    examples={"request": {"client_id": "cli_01m7w9tnzcejq9b78b81gh4nmw", "reason": "Its licence has ended."}},
)
async def block_third_party(call: Call, body: BlockThirdParty) -> Reply[BlockedThirdParty]:
    """Keep a third party out.

    From its next request on it is refused, whatever its consents allow. They stay, and stand again when it is let in.
    Where a directory vouches for the client, the whole organisation is kept out: with all its software, by every
    registration that it has, and it can't register another. Other clients are kept out one by one. An organisation that
    has no client here is named by `directory` and `organisation_id`, and is refused when it comes to register.
    """
    return await staff.block(call, body)


@routes.delete("/v1/blocked-third-parties", scope="consents:write", errors=(errors.NotFound,))
async def unblock_organisation(
    call: Call, *, directory: BelievedDirectory | None = None, organisation_id: NamedOrganisation | None = None
) -> None:
    """Let an organisation in again, as its directory names it.

    Both parameters are needed. By whatever it was blocked, all its clients are let in.
    """
    whom = staff.organisation(directory, organisation_id)
    async with call.tx() as tx:
        await staff.unblock(tx, call.caller, whom)


@routes.delete("/v1/blocked-third-parties/{client_id}", scope="consents:write", errors=(errors.NotFound,))
async def unblock_third_party(call: Call, client_id: ClientId) -> None:
    """Let a third party in again.

    Any of its clients names it.
    """
    async with call.tx() as tx:
        await staff.unblock(tx, call.caller, ids.decode(Prefix.CLIENT, client_id))


def _id(consent_id: str) -> UUID:
    return ids.decode(Prefix.CONSENT, consent_id)
