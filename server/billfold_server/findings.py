"""Findings of a verification by the ids that the API and the commands know, rather than by those of the tables."""

import re
from collections.abc import Mapping, Sequence
from typing import Final
from uuid import UUID

import msgspec

from billfold import ids
from billfold.chain.findings import Finding
from billfold.ids import Prefix
from billfold_server.tenancy.transaction import TenantTx, Tx

__all__ = ["with_wire_ids"]

_PREFIXES: Final = {
    "account": Prefix.ACCOUNT,
    "alias": Prefix.ALIAS,
    "audit record": Prefix.AUDIT_RECORD,
    "hold": Prefix.HOLD,
    "idempotency key": Prefix.CLIENT,
    "journal entry": Prefix.JOURNAL_ENTRY,
    "party": Prefix.PARTY,
    "posting": Prefix.JOURNAL_ENTRY,
    "reversal": Prefix.JOURNAL_ENTRY,
    "wallet": Prefix.WALLET,
}
"""Of what a record's id is, or the first part of the key that stands for one."""
_MOVED: Final = {"transfer": Prefix.TRANSFER, "top_up": Prefix.TOP_UP, "withdrawal": Prefix.WITHDRAWAL}
_KINDS: Final = "SELECT id, kind FROM transfers WHERE kind = ANY($1) AND id = ANY($2)"
_NAMED: Final = re.compile(
    rf"\b({'|'.join(_PREFIXES)}|transfer)( terms| movement)? ([0-9a-f]{{8}}(?:-[0-9a-f]{{4}}){{3}}-[0-9a-f]{{12}})\b"
)


async def with_wire_ids(tx: Tx, findings: Sequence[Finding]) -> list[Finding]:
    """Return findings that name objects as the API does; one of which nobody knows what it is keeps its id.

    Transfers, top-ups and withdrawals lie in one table, so it is asked which is which. One that is gone keeps its id.

    Args:
        tx: A transaction of the tenant, or of the platform.
        findings: What a verification has found.
    """
    texts = [f"{each.record.replace('_', ' ')} {each.id or ''}\n{each.fact}" for each in findings]
    moved = {UUID(found[3]) for text in texts for found in _NAMED.finditer(text) if found[1] == "transfer"}
    prefixes: dict[UUID, Prefix] = {}
    if moved and isinstance(tx, TenantTx):
        prefixes = {row["id"]: _MOVED[row["kind"]] for row in await tx.fetch(_KINDS, list(_MOVED), list(moved))}
    return [_shown(finding, text, prefixes) for finding, text in zip(findings, texts, strict=True)]


def _shown(finding: Finding, text: str, prefixes: Mapping[UUID, Prefix]) -> Finding:
    def encoded(found: re.Match[str]) -> str:
        value = UUID(found[3])
        prefix = _PREFIXES.get(found[1]) or prefixes.get(value)
        return found[0] if prefix is None else f"{found[1]}{found[2] or ''} {ids.encode(prefix, value)}"

    named, _, fact = _NAMED.sub(encoded, text).partition("\n")
    id_ = None if finding.id is None else named.removeprefix(f"{finding.record.replace('_', ' ')} ")
    return msgspec.structs.replace(finding, id=id_, fact=fact)
