"""What is found wrong, by the ids that the API and the commands know rather than by those of the tables."""

import re
from collections.abc import Sequence
from typing import Final
from uuid import UUID

import msgspec

from billfold import ids
from billfold.chain.findings import Finding
from billfold.ids import Prefix
from billfold_server.tenancy.transaction import TenantTx, Tx

__all__ = ["named", "with_wire_ids"]

_PREFIXES: Final = {
    "account": Prefix.ACCOUNT,
    "account statement": Prefix.ACCOUNT_STATEMENT,
    "alias": Prefix.ALIAS,
    "audit record": Prefix.AUDIT_RECORD,
    "consent": Prefix.CONSENT,
    "hold": Prefix.HOLD,
    "idempotency key": Prefix.CLIENT,
    "journal entry": Prefix.JOURNAL_ENTRY,
    "party": Prefix.PARTY,
    "payment": Prefix.PAYMENT,
    "posting": Prefix.JOURNAL_ENTRY,
    "reversal": Prefix.JOURNAL_ENTRY,
    "statement entry": Prefix.STATEMENT_ENTRY,
    "statement import": Prefix.STATEMENT_IMPORT,
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

    Args:
        tx: A transaction of the tenant, or of the platform.
        findings: What a verification has found.
    """
    objects = [(each.record.replace("_", " "), each.id or "", each.fact) for each in findings]
    return [
        msgspec.structs.replace(finding, id=None if finding.id is None else id_, fact=fact)
        for finding, (id_, fact) in zip(findings, await named(tx, objects), strict=True)
    ]


async def named(tx: Tx, objects: Sequence[tuple[str, str, str]]) -> list[tuple[str, str]]:
    """Return the ids of objects, and what was found of them, as the API names them and others that it tells of.

    Transfers, top-ups and withdrawals lie in one table, so it is asked which is which. One that is gone keeps its id.

    Args:
        tx: A transaction of the tenant, or of the platform.
        objects: Of each what it is, its id or what stands for one, and what was found.
    """
    texts = [f"{what} {id_}\n{fact}" for what, id_, fact in objects]
    moved = {UUID(found[3]) for text in texts for found in _NAMED.finditer(text) if found[1] == "transfer"}
    prefixes: dict[UUID, Prefix] = {}
    if moved and isinstance(tx, TenantTx):
        prefixes = {row["id"]: _MOVED[row["kind"]] for row in await tx.fetch(_KINDS, list(_MOVED), list(moved))}

    def encoded(found: re.Match[str]) -> str:
        value = UUID(found[3])
        prefix = _PREFIXES.get(found[1]) or prefixes.get(value)
        return found[0] if prefix is None else f"{found[1]}{found[2] or ''} {ids.encode(prefix, value)}"

    shown = [_NAMED.sub(encoded, text).partition("\n") for text in texts]
    return [(id_.removeprefix(f"{what} "), fact) for (what, _, _), (id_, _, fact) in zip(objects, shown, strict=True)]
