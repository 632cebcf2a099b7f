"""The chain of evidence: what customers were shown when they decided, each link over all before it.

A link holds a salted commitment to what lies sealed beside it. Evidence goes when its customer is forgotten or its days
are over; the links stay, so that one that is changed, dropped or made up later is noticed.
"""

from datetime import datetime
from typing import Final

import msgspec

from billfold_server.consents import queries
from billfold_server.consents.queries import Link
from billfold_server.consents.rows import PreparedEvidence
from billfold_server.consents.sealing import commitment_of, link_digest, open_evidence
from billfold_server.db.sets import Write
from billfold_server.http.services import Services
from billfold_server.keys.service import SealBroken
from billfold_server.tenancy.context import TenantRef
from billfold_server.tenancy.transaction import TenantTx

__all__ = ["Verified", "add", "verify"]

_AT_ONCE: Final = 500
_FIRST: Final = bytes(32)


class Verified(msgspec.Struct, frozen=True, kw_only=True):
    """What came of verifying a tenant's chain.

    Attributes:
        links: How many links hold.
        opened: Of how many what was shown could still be opened, and is what was committed to.
        broken_at: The number of the first link that doesn't hold; None where all do.
        why: What is wrong with it.
    """

    links: int
    opened: int
    broken_at: int | None = None
    why: str | None = None


async def add(tx: TenantTx, evidence: PreparedEvidence, now: datetime) -> list[Write]:
    """Take the next place in the tenant's chain, and return what writes the link there."""
    number, former = await queries.lock_evidence_head(tx)
    number += 1
    digest = link_digest(former, number, evidence.consent_id, evidence.commitment)
    return queries.chain(evidence, number, digest, now)


async def verify(services: Services, tenant: TenantRef) -> Verified:
    """Go through a tenant's chain of evidence from its first link to its head.

    Raises:
        errors.KeysUnavailable: What is sealed can't be opened now.
    """
    links, opened, former = 0, 0, _FIRST
    async with services.database.tx(tenant) as tx:
        last, head = await queries.find_evidence_head(tx)
    while links < last:
        async with services.database.tx(tenant) as tx:
            found = await queries.list_links(tx, after=links, limit=min(_AT_ONCE, last - links))
        if not found:
            return Verified(links=links, opened=opened, broken_at=links + 1, why="it is missing")
        for link in found:
            if link.number != links + 1:
                return Verified(links=links, opened=opened, broken_at=links + 1, why="it is missing")
            if link.digest != link_digest(former, link.number, link.consent_id, link.commitment):
                return Verified(links=links, opened=opened, broken_at=link.number, why="it was changed")
            links, former = link.number, link.digest
        held = await _hold(services, tenant, found)
        opened += sum(held.values())
        if (wrong := next((number for number, holds in held.items() if not holds), None)) is not None:
            return Verified(links=wrong - 1, opened=opened, broken_at=wrong, why="what was shown was changed")
    if former != head:
        return Verified(links=links, opened=opened, broken_at=last, why="the head is another one")
    return Verified(links=links, opened=opened)


async def _hold(services: Services, tenant: TenantRef, links: list[Link]) -> dict[int, bool]:
    """Tell of each link whose evidence is still there whether it is what was committed to."""
    kept = [each for each in links if each.sealed is not None]
    asked = [
        PreparedEvidence(id=each.id, consent_id=each.consent_id, sealed=each.sealed or b"", commitment=each.commitment)
        for each in kept
    ]
    try:
        found = await open_evidence(services, tenant, asked)
    except SealBroken:
        return {} if len(kept) == 0 else await _one_by_one(services, tenant, kept)
    return {
        link.number: commitment_of(opened[1], opened[0]) == link.commitment
        for link, opened in zip(kept, found, strict=True)
        if opened is not None
    }


async def _one_by_one(services: Services, tenant: TenantRef, links: list[Link]) -> dict[int, bool]:
    """Find which of some links doesn't open."""
    if len(links) == 1:
        return {links[0].number: False}
    return {number: holds for each in links for number, holds in (await _hold(services, tenant, [each])).items()}
