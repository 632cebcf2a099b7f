"""What approvals keep of requests and answers, sealed: a request's body may tell of people, and so may its answer.

Which operation was asked for, and the ids in its path, stay legible, because a decision is made on them within a
transaction, where no key may be asked for.
"""

from collections.abc import Sequence
from uuid import UUID

import msgspec

from billfold_server.approvals.queries import ApprovalRow
from billfold_server.http.routing import StoredRequest
from billfold_server.keys.service import Keys, Opener, Place
from billfold_server.tenancy.context import TenantRef

__all__ = ["blank", "open_rows", "seal_outcome", "seal_request"]

_READ = msgspec.json.Decoder(StoredRequest)


async def seal_request(keys: Keys, tenant: TenantRef, row: ApprovalRow) -> ApprovalRow:
    """Return an approval as it may be written: what its request says is sealed."""
    request = _READ.decode(row.request)
    if not request.body:
        return row
    sealed = (await keys.sealer(tenant)).seal(_place(row.id, "request"), request.body)
    request = msgspec.structs.replace(request, body=sealed)
    return msgspec.structs.replace(row, request=msgspec.json.encode(request))


async def seal_outcome(keys: Keys, tenant: TenantRef, approval_id: UUID, body: bytes) -> bytes:
    """Return an answer as it may be kept."""
    return (await keys.sealer(tenant)).seal(_place(approval_id, "outcome"), body) if body else body


async def open_rows(keys: Keys, tenant: TenantRef, rows: Sequence[ApprovalRow]) -> list[ApprovalRow]:
    """Return approvals with request and answer in plain, by one query for all keys, outside of any transaction."""
    sealed = [each for row in rows for each in (_READ.decode(row.request).body, row.outcome) if each]
    if not sealed:
        return list(rows)
    opener = await keys.opener(tenant, sealed)
    return [_opened(opener, row) for row in rows]


def _opened(opener: Opener, row: ApprovalRow) -> ApprovalRow:
    request = _READ.decode(row.request)
    if request.body:
        request = msgspec.structs.replace(request, body=opener.open(_place(row.id, "request"), request.body))
    outcome = row.outcome
    if outcome:
        outcome = opener.open(_place(row.id, "outcome"), outcome)
    return msgspec.structs.replace(row, request=msgspec.json.encode(request), outcome=outcome)


def blank(row: ApprovalRow) -> ApprovalRow:
    """Return an approval without what is sealed of it."""
    request = msgspec.structs.replace(_READ.decode(row.request), body=b"")
    return msgspec.structs.replace(row, request=msgspec.json.encode(request), outcome=None)


def _place(approval_id: UUID, column: str) -> Place:
    return Place("approvals", str(approval_id), column)
