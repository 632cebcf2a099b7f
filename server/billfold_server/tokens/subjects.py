"""What the vault does for a person who asks what is known of them, or to be forgotten."""

from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

import msgspec

from billfold import ids
from billfold.contract.tokens import VaultTokenKind
from billfold.ids import Prefix
from billfold_server.audit import service as audit
from billfold_server.db.personal import Erasing, Exported, Subject, SubjectProvider, to_plain
from billfold_server.decryptor.service import Given, Outgoing
from billfold_server.http.routing import Call
from billfold_server.tenancy.transaction import TenantTx
from billfold_server.tokens import card_sessions, queries, service, vault
from billfold_server.tokens.rows import TokenRow

__all__ = ["SUBJECTS"]

_EXPORTED: Final = "vault_token.exported"


async def _tokens(call: Call, subject: Subject, after: UUID | None, limit: int) -> Sequence[Exported]:
    """Return what tokens of a person stand for, to who may ask for that; else, and of any card, what may be shown."""
    async with call.tx() as tx:
        found = await queries.list_of_party(tx, subject.party_id, after=after, limit=limit)
    may_see = "tokens:detokenize" in call.caller.scopes
    opened = [row for row, _ in found if may_see and row.kind is not VaultTokenKind.CARD and row.value is not None]
    values: dict[UUID, Any] = {}
    if opened:
        asked = [Outgoing(token_id=row.id, kind=row.kind.value, sealed=row.value or b"") for row in opened]
        answers = await vault.decryptor_of(call.services).give_out(call.tenant, asked)
        for row, answer in zip(opened, answers, strict=True):
            if isinstance(answer, Given) and answer.plain is not None:
                values[row.id] = _read(row, answer.plain)
        party, facts = ids.encode(Prefix.PARTY, subject.party_id), {"values": len(values)}
        async with call.tx() as tx:
            await audit.record(tx, audit.new_record(call.caller, _EXPORTED, party, facts=facts))
    return [
        Exported(
            kind="vault_token",
            key=row.place,
            data={**to_plain(row.to_response(now, fingerprint=False)), "value": values.get(row.id)},
        )
        for row, now in found
    ]


def _read(row: TokenRow, plain: bytes) -> Any:
    return msgspec.json.decode(plain) if row.kind is VaultTokenKind.BANK_ACCOUNT else plain.decode()


async def _card_sessions(call: Call, subject: Subject, after: UUID | None, limit: int) -> Sequence[Exported]:
    """Return the pages that were opened for a person's cards."""
    found = await card_sessions.list_of_party(call, subject.party_id, after=after, limit=limit)
    return [Exported(kind="card_session", key=key, data=to_plain(session)) for key, session in found]


async def _erase(tx: TenantTx, erasing: Erasing) -> Mapping[str, int]:
    """Blank everything that tokens say of somebody, which then are ``token_forgotten``, and delete card sessions."""
    party_id = erasing.subject.party_id
    number = await service.forget(tx, erasing.caller, party_id, now=erasing.now, reason=erasing.reason)
    return {"vault_tokens": number, "card_sessions": await card_sessions.forget(tx, party_id)}


SUBJECTS: Final = SubjectProvider(room="tokens", export=(_tokens, _card_sessions), erase=_erase)
