"""What the consents room does for a person who asks what is known of them, or to be forgotten."""

from collections.abc import Mapping, Sequence
from typing import Final
from uuid import UUID

import msgspec

from billfold import ids
from billfold.ids import Prefix
from billfold_server.consents import queries, service
from billfold_server.consents.rows import Consent
from billfold_server.consents.sealing import open_requests
from billfold_server.db.personal import Erasing, Exported, Subject, SubjectProvider, to_plain
from billfold_server.http.routing import Call
from billfold_server.tenancy.transaction import TenantTx

__all__ = ["SUBJECTS"]


async def _consents(call: Call, subject: Subject, after: UUID | None, limit: int) -> Sequence[Exported]:
    async with call.tx() as tx:
        found = await queries.list_of_party(tx, subject.party_id, after=after, limit=limit)
    requests = await open_requests(call.services, call.tenant, found)
    return [
        Exported(kind="consent", key=each.id, data=_told(each, request))
        for each, request in zip(found, requests, strict=True)
    ]


def _told(consent: Consent, request: bytes | None) -> Mapping[str, object]:
    return {
        "id": consent.wire_id,
        "kind": consent.kind,
        "client_id": ids.encode(Prefix.CLIENT, consent.client_id),
        "status": consent.status,
        "created_at": to_plain(consent.created_at),
        "authorised_at": to_plain(consent.authorised_at),
        "ended_at": to_plain(consent.ended_at),
        "wallet_ids": [ids.encode(Prefix.WALLET, each) for each in consent.wallet_ids],
        "request": None if request is None else msgspec.json.decode(request),
    }


async def _hold(tx: TenantTx, erasing: Erasing) -> None:
    """Lock what somebody has allowed before the grants that were given by it, as everybody does."""
    await service.hold_all(tx, party_id=erasing.subject.party_id)


async def _erase(tx: TenantTx, erasing: Erasing) -> Mapping[str, int]:
    """End what somebody has allowed, and take out of it what names them; codes, times and salted links stay."""
    ended = await service.end_all(
        tx, party_id=erasing.subject.party_id, actor=erasing.caller, by="system", reason="the customer was forgotten"
    )
    blanked = await queries.erase_party(tx, erasing.subject.party_id)
    return {"consents": max(ended, blanked)}


SUBJECTS: Final = SubjectProvider(room="consents", export=(_consents,), erase=_erase, hold=_hold)
