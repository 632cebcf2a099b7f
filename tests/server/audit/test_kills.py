"""Sealings that end in the midst of their work, by SIGKILL or because PostgreSQL's process of theirs ends."""

import asyncio
import random
import signal
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import pytest

from billfold.chain.trail import split_ids
from billfold_server.audit import seal_queries as queries
from billfold_server.audit.sealing import Sealer
from billfold_server.tenancy.transaction import TenantTx
from tests.forks import forked
from tests.server.audit import killable_sealer
from tests.server.audit.trails import attacking, note, seal_all, verified
from tests.server.ledger.books import Bench
from tests.tenants import Tenancy

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("kills")]

KILLS = 4
EACH = 25
"""So many records and transfers each time that a kill leaves some of them behind."""

STATEMENTS = [
    queries.UNSEALED_SINCE,
    queries.LOCK_HEAD_UNLESS_BUSY,
    queries.UNSEALED,
    queries.ORDERED_LEAVES,
    queries.NEW_LINK,
    queries.MARK,
    queries.MOVE_HEAD,
]
"""Of a sealing, in their order."""


async def work(tenancy: Tenancy, bench: Bench, number: int) -> None:
    """Do what is audited: so many records, and as many transfers."""
    await note(tenancy, *map(str, range(number)))
    await asyncio.gather(*(bench.transfer(0, 1, 1) for _ in range(number)))


async def head_number(tenancy: Tenancy) -> int:
    """Return how many links there are."""
    async with tenancy.database.tx(tenancy.tenant) as tx:
        return int(await tx.fetchval("SELECT number FROM audit_head"))


async def check_all_is_sealed_once(tenancy: Tenancy) -> None:
    """See that the trail verifies, and that its links hold each record and each transfer once."""
    found = await verified(tenancy)
    assert (found.ok, found.unsealed) == (True, 0), found.findings
    async with attacking(tenancy) as trail:
        links = await trail.connection.fetch("SELECT number, record_ids, ordered FROM audit_links ORDER BY number")
        held = [id_ for link in links for id_ in split_ids(link["record_ids"])]
        assert [link["number"] for link in links] == list(range(1, found.head.number + 1))
        assert sorted(held) == await trail.ids("audit_records")
        assert sum(len(link["ordered"]) for link in links) == 32 * len(await trail.ids("transfers"))


def end_connection_after(
    last: str, patched: pytest.MonkeyPatch, administrator: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    """Let PostgreSQL's process end once it has carried out a certain statement of a tenant's transaction."""

    def ending(plain: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def wrapped(tx: TenantTx, sql: str, *arguments: object) -> Any:
            result = await plain(tx, sql, *arguments)
            if sql == last:
                pid = tx.connection.get_server_pid()
                assert await administrator.fetchval("SELECT pg_terminate_backend($1, 5000)", pid)
            return result

        return wrapped

    for name in ("fetch", "fetchrow", "fetchval", "execute"):
        patched.setattr(TenantTx, name, ending(getattr(TenantTx, name)))


class TestASealingProcessThatIsKilled:
    async def test_has_sealed_nothing_twice_and_lost_nothing(self, tenancy: Tenancy, bench: Bench) -> None:
        """At moments that nobody chose; the trail is whole after each kill, and the next process goes on."""
        await bench.top_up(0, 10_000)
        chance = random.Random(4711)
        rounds = interrupted = 0
        # On a machine that lets us kill it only when it is done, more often.
        while rounds < KILLS or (interrupted < KILLS - 1 and rounds < 5 * KILLS):
            rounds += 1
            await work(tenancy, bench, EACH)
            before = await head_number(tenancy)
            process = forked(killable_sealer.run, tenancy.runtime_dsn)
            async with asyncio.timeout(20):
                while await head_number(tenancy) == before:
                    await asyncio.sleep(0.002)
            await asyncio.sleep(chance.uniform(0, 0.02))
            process.kill()
            process.join(20)
            assert process.exitcode == -signal.SIGKILL
            found = await verified(tenancy)
            assert found.ok, found.findings
            interrupted += found.unsealed > 0
        assert interrupted >= KILLS - 1
        await seal_all(tenancy, wait=True)
        await check_all_is_sealed_once(tenancy)


class TestASealingWhoseConnectionEnds:
    async def test_leaves_all_of_it_to_the_next_round(
        self, tenancy: Tenancy, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Whichever of its statements was the last: nothing of a link is there before its commit."""
        await bench.top_up(0, 10_000)
        counts: Counter[str] = Counter()
        sealer = Sealer(
            tenancy.database,
            tenancy.registry.everyone,
            every_s=0,
            all_every=1,
            count=lambda outcome: counts.update([outcome]),
        )
        assert await sealer.look()
        before = await head_number(tenancy)
        administrator = await asyncpg.connect(tenancy.admin_dsn)
        for number, last in enumerate(STATEMENTS, 1):
            await work(tenancy, bench, 1)
            with monkeypatch.context() as patched:
                end_connection_after(last, patched, administrator)
                assert await sealer.look()
            found = await verified(tenancy)
            assert found.ok, found.findings
            assert (found.head.number, found.unsealed) == (before, 2 * number), last
        await administrator.close()
        # The platform's own trail is looked at in each round.
        assert counts["put_off"] + counts["failed"] == len(STATEMENTS) == counts["done"] - 2
        assert await sealer.look()
        assert await head_number(tenancy) == before + 1
        await check_all_is_sealed_once(tenancy)
