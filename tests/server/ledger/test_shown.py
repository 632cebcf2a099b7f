"""What a request has shown that counts once: remembered with its command, or its command isn't carried out."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from billfold import errors
from billfold.contract.wallets import CreateTransfer
from billfold.money import Money
from billfold_server.identity.tokens.replay import first_use
from billfold_server.ledger.protocol import Answer, Kind, Reply
from billfold_server.tenancy.context import IdempotencyRef, OneUse
from billfold_server.wallets import kinds
from tests.server.ledger.books import CALLER, Bench, open_engine
from tests.tenants import Tenancy

# Later than the whole run.
LATER = datetime.now(UTC) + timedelta(hours=12)


@pytest_asyncio.fixture
async def bench(tenancy: Tenancy) -> AsyncIterator[Bench]:
    """Return an engine with four wallets, the first of which has money."""
    made = Bench(open_engine(tenancy.database), tenancy.database, tenancy.tenant)
    await made.add_wallets(4)
    await made.top_up(0, 100_000)
    yield made
    await made.engine.close()


@pytest_asyncio.fixture
async def other(tenancy: Tenancy) -> AsyncIterator[Any]:
    """Return the engine of another worker."""
    engine = open_engine(tenancy.database)
    yield engine
    await engine.close()


def shown(digest: bytes) -> OneUse:
    """Return what a request shows."""
    return OneUse(digest, LATER, LATER, lambda: errors.InvalidToken("shown before"))


async def give(bench: Bench, digest: bytes | None, *, key: str | None = None, engine: Any = None) -> Answer:
    """Move one cent from the first wallet to the second, as a request that has shown something."""
    caller = CALLER if digest is None else msgspec.structs.replace(CALLER, shown=shown(digest))
    body = CreateTransfer(
        from_wallet_id=bench.wallets[0], to_wallet_id=bench.wallets[1], amount=Money(1, "EUR"), description=None
    )
    reference = IdempotencyRef(client_id=CALLER.client_id, key=key or secrets.token_hex(16), fingerprint=bytes(32))
    answer: Answer = await (engine or bench.engine).submit(
        bench.tenant, caller, kinds.TRANSFER, kinds.transfer(body), reference
    )
    return answer


async def digests(bench: Bench) -> set[bytes]:
    """Return what is remembered."""
    async with bench.database.tx(bench.tenant) as tx:
        return {row["digest"] for row in await tx.fetch("SELECT digest FROM seen_tokens")}


class TestWhatIsShownWithACommand:
    async def test_is_remembered_with_it(self, bench: Bench) -> None:
        """It is there once the command is answered, whether it moves money or is refused, and for how long it must."""
        moves, refused = secrets.token_bytes(32), secrets.token_bytes(32)
        assert (await give(bench, moves)).status == 201
        caller = msgspec.structs.replace(CALLER, shown=shown(refused))
        body = CreateTransfer(
            from_wallet_id=bench.wallets[3], to_wallet_id=bench.wallets[1], amount=Money(1, "EUR"), description=None
        )
        answer = await bench.engine.submit(bench.tenant, caller, kinds.TRANSFER, kinds.transfer(body))
        assert isinstance(answer.error, errors.InsufficientFunds)
        assert {moves, refused} <= await digests(bench)
        async with bench.database.tx(bench.tenant) as tx:
            kept = await tx.fetchval("SELECT expires_at FROM seen_tokens WHERE digest = $1", moves)
        assert kept == LATER

    async def test_refuses_it_where_it_was_shown_before(self, bench: Bench) -> None:
        """Nothing moves, and nothing is kept under its key, under which it can be given again."""
        digest = secrets.token_bytes(32)
        await give(bench, digest)
        with pytest.raises(errors.InvalidToken):
            await give(bench, digest, key="again")
        assert await bench.balance(1) == 1
        answer = await give(bench, secrets.token_bytes(32), key="again")
        assert (answer.status, answer.replayed) == (201, False)

    async def test_refuses_a_copy_of_the_whole_request(self, bench: Bench) -> None:
        """Who has taken a request from the wire isn't even told the answer that its idempotency key would have."""
        digest = secrets.token_bytes(32)
        await give(bench, digest, key="one")
        with pytest.raises(errors.InvalidToken):
            await give(bench, digest, key="one")
        answer = await give(bench, secrets.token_bytes(32), key="one")
        assert (answer.status, answer.replayed) == (201, True)

    async def test_counts_also_where_it_was_shown_for_something_else(self, bench: Bench, tenancy: Tenancy) -> None:
        """What was remembered without a command is known, and what a command remembered is known without one."""
        async with tenancy.database.tx(bench.tenant) as tx:
            assert await first_use(tx, "dpop", "key", "one", LATER)
        (known,) = await digests(bench)
        with pytest.raises(errors.InvalidToken):
            await give(bench, known)

    async def test_fails_no_neighbour(self, bench: Bench) -> None:
        """Of a batch with copies in it, each command has its own verdict, in any order."""
        known = secrets.token_bytes(32)
        await give(bench, known)
        told = await asyncio.gather(
            *(give(bench, known if n % 5 == 0 else secrets.token_bytes(32)) for n in range(50)),
            *(give(bench, None) for _ in range(10)),
            return_exceptions=True,
        )
        refused = [n for n, answer in enumerate(told) if isinstance(answer, errors.InvalidToken)]
        assert refused == list(range(0, 50, 5))
        assert await bench.balance(1) == 1 + 60 - 10

    async def test_lets_in_one_of_two_hundred_copies(self, bench: Bench, other: Any) -> None:
        """Copies that come to two workers at the same instant, each under a key of its own, move money once."""
        digest = secrets.token_bytes(32)
        engines = (bench.engine, other)
        told = await asyncio.gather(
            *(give(bench, digest, engine=engines[n % 2]) for n in range(200)), return_exceptions=True
        )
        refused = [answer for answer in told if isinstance(answer, errors.InvalidToken)]
        moved = [answer for answer in told if isinstance(answer, Answer)]
        assert (len(moved), len(refused)) == (1, 199)
        assert await bench.balance(1) == 1

    async def test_is_forgotten_with_what_came_to_nothing(self, bench: Bench) -> None:
        """A command that meets a defect leaves nothing, so nothing was shown either."""

        def fail(*_: Any) -> Reply:
            raise ZeroDivisionError

        digest = secrets.token_bytes(32)
        broken: Kind[None] = Kind("test.broken", lambda *_: {}, fail)
        caller = msgspec.structs.replace(CALLER, shown=shown(digest))
        with pytest.raises(errors.InternalError):
            await bench.engine.submit(bench.tenant, caller, broken, None)
        assert digest not in await digests(bench)
        assert (await give(bench, digest)).status == 201

    async def test_comes_too_late_at_some_time(self, bench: Bench) -> None:
        """Who has shown it before may be forgotten by then, so it is refused, and its neighbours aren't."""
        digest, past = secrets.token_bytes(32), datetime.now(UTC) - timedelta(seconds=1)
        late = OneUse(digest, past, LATER, lambda: errors.InvalidToken("too late"))
        caller = msgspec.structs.replace(CALLER, shown=late)
        body = CreateTransfer(
            from_wallet_id=bench.wallets[0], to_wallet_id=bench.wallets[1], amount=Money(1, "EUR"), description=None
        )
        refused, *others = await asyncio.gather(
            bench.engine.submit(bench.tenant, caller, kinds.TRANSFER, kinds.transfer(body)),
            *(give(bench, secrets.token_bytes(32)) for _ in range(5)),
            return_exceptions=True,
        )
        assert isinstance(refused, errors.InvalidToken)
        assert {answer.status for answer in others if isinstance(answer, Answer)} == {201}
        assert (await bench.balance(1), digest in await digests(bench)) == (5, False)

    async def test_sets_nobody_looking_for_copies_of_keys(self, bench: Bench) -> None:
        """What refused the batch is known then; and after a copy of a key, copies are looked for as ever."""
        digest = secrets.token_bytes(32)
        await give(bench, digest)
        with pytest.raises(errors.InvalidToken):
            await give(bench, digest)
        (queue,) = bench.engine._queues.values()
        assert queue.looks_back == 0

    async def test_is_taken_by_the_first_of_several_commands(self, bench: Bench) -> None:
        """A request that gives a second command shows nothing again with it."""
        caller = msgspec.structs.replace(CALLER, shown=shown(secrets.token_bytes(32)))
        body = CreateTransfer(
            from_wallet_id=bench.wallets[0], to_wallet_id=bench.wallets[1], amount=Money(1, "EUR"), description=None
        )
        for _ in range(2):
            answer = await bench.engine.submit(bench.tenant, caller, kinds.TRANSFER, kinds.transfer(body))
            assert answer.status == 201
        assert caller.shown is not None
        assert caller.shown.taken
