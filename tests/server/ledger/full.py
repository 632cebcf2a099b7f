"""Books in which something of everything has happened, and the rows that tests tamper with."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

from billfold import ids
from billfold.contract.wallets import AliasScheme, CreateAlias, CreateTopUp, CreateTransfer
from billfold.ids import Prefix
from billfold.money import Money
from billfold_server.wallets import kinds
from billfold_server.wallets.rows import AliasKey
from billfold_server.wallets.rules import new_alias
from tests.server.ledger.books import Bench, open_engine
from tests.server.ledger.giving import accepted, capture, hold, reverse
from tests.tenants import Tenancy


async def full_books(tenancy: Tenancy) -> Bench:
    """Return a bench on which wallets have moved, reserved, captured and reversed money, alone and in batches."""
    bench = Bench(open_engine(tenancy.database), tenancy.database, tenancy.tenant)
    await bench.add_wallets(3)
    key = AliasKey(AliasScheme.REFERENCE, new_alias(AliasScheme.REFERENCE, "Rent 42"))
    alias = CreateAlias(scheme=AliasScheme.REFERENCE, value="Rent 42")
    accepted(
        await bench.submit(kinds.ADD_ALIAS, kinds.NewAlias(ids.decode(Prefix.WALLET, bench.wallets[0]), alias, key))
    )
    await bench.top_up(0, 10_000, key="first")
    await say(bench, "for lunch")
    await asyncio.gather(*(bench.transfer(0, 1, amount, key=f"batch {amount}") for amount in range(1, 9)))
    refused = await bench.transfer(1, 0, 10**6, key="refused")
    assert refused.status == 409
    first = await hold(bench, 500, to_wallet_id=bench.wallets[1])
    await capture(bench, first, amount_minor=200, final=False)
    await capture(bench, first, amount_minor=100, final=True)
    expires = datetime.now(UTC) + timedelta(days=30)
    await hold(bench, 70, to_wallet_id=bench.wallets[2], expires_at=expires, description="deposit")
    sent = accepted(await bench.transfer(0, 2, 300))
    await reverse(bench, sent["journal_entry_id"], 100)
    await reverse(bench, sent["journal_entry_id"], 50)
    yesterday = datetime.now(UTC) - timedelta(days=1)
    late = CreateTopUp(wallet_id=bench.wallets[2], amount=Money(11, "USD"), effective_at=yesterday)
    accepted(await bench.submit(kinds.TOP_UP, kinds.top_up(late)))
    for _ in range(3):
        accepted(await bench.transfer(0, 1, 1))
    return bench


async def say(bench: Bench, text: str) -> dict[str, Any]:
    """Make a transfer that people have written something about."""
    body = CreateTransfer(
        from_wallet_id=bench.wallets[0],
        to_wallet_id=bench.wallets[1],
        amount=Money(25, "EUR"),
        description=text,
        metadata={"table": "7"},
    )
    return accepted(await bench.submit(kinds.TRANSFER, kinds.transfer(body)))
