"""The chain of evidence: what customers were shown when they decided, each link over all before it.

A link holds a salted commitment to what lies sealed beside it. Evidence goes when its customer is forgotten or its days
are over; the links stay, so that one that is changed, dropped or made up later is noticed.
"""

from datetime import datetime

from billfold_server.consents import queries
from billfold_server.consents.rows import PreparedEvidence
from billfold_server.consents.sealing import link_digest
from billfold_server.db.sets import Write
from billfold_server.tenancy.transaction import TenantTx

__all__ = ["add"]


async def add(tx: TenantTx, evidence: PreparedEvidence, now: datetime) -> list[Write]:
    """Take the next place in the tenant's chain, and return what writes the link there."""
    number, former = await queries.lock_evidence_head(tx)
    number += 1
    digest = link_digest(former, number, evidence.consent_id, evidence.commitment)
    return queries.chain(evidence, number, digest, now)
