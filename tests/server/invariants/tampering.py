"""What tests of the invariants share: rows that are changed as the owner of the tables can, and what is found of it."""

import re
from collections.abc import Iterable, Mapping
from typing import Final

import asyncpg

from billfold_server.invariants.objects import OBJECTS
from billfold_server.invariants.service import breaches_in, with_wire_ids
from billfold_server.tenancy.context import TenantRef
from billfold_server.tenancy.transaction import Tx
from tests.tenants import Tenancy

__all__ = ["missed"]

BARE: Final = re.compile(r"(?<!\bstatement )(?<!\btransfer )\b[0-9a-f]{8}-[0-9a-f]{4}-")
"""The id of a row, but for banks' statements, which the API doesn't have, and for what only a tenant's transaction
knows."""


async def missed(
    tenancy: Tenancy, tenant: TenantRef, tampering: Iterable[tuple[str, str]], words: Mapping[str, str]
) -> list[tuple[str, str, set[str]]]:
    """Change the books, each time from the same beginning, and return what the invariant that must find it doesn't.

    Args:
        tenancy: Where the tenant is.
        tenant: Whose books.
        tampering: Statements that change at least one row, each with the invariant that finds it at the least.
        words: What stands for which SQL in them, in braces.
    """
    found = []
    connection = await asyncpg.connect(tenancy.admin_dsn)
    try:
        await connection.execute(f"SET search_path TO {tenant.schema}")
        for template, invariant in tampering:
            statement = template
            for word, text in words.items():
                statement = statement.replace(f"{{{word}}}", text)
            transaction = connection.transaction()
            await transaction.start()
            changed = await connection.execute(statement)
            breaches = await with_wire_ids(Tx(connection), await breaches_in(Tx(connection)))
            named = {breach.invariant for breach in breaches}
            await transaction.rollback()
            bare = [each for each in breaches if BARE.search(f"{OBJECTS[each.invariant]} {each.object}\n{each.fact}")]
            assert not bare, "what the API has is named as it names it"
            if invariant not in named or changed.endswith(" 0"):
                found.append((statement, changed, named))
    finally:
        await connection.close()
    return found
