"""A tenant whose wallets have money, the engine in this process, and orders to give to it."""

import asyncio
import gc
import random
import time
from array import array
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import msgspec

from billfold import ids
from billfold.contract.parties import PartyKind
from billfold.contract.wallets import CreateTopUp, CreateWallet
from billfold.ids import Prefix
from billfold.money import Money
from billfold_server.app import open_services
from billfold_server.http.services import Services
from billfold_server.ledger.engine import Engine
from billfold_server.ledger.protocol import Kind
from billfold_server.settings import Settings
from billfold_server.tenancy.context import Caller, IdempotencyRef, TenantRef
from billfold_server.wallets import kinds
from tests.benchmarks.gauge import Sample
from tests.parties import create_party
from tests.tenants import manifest

__all__ = ["Bank", "Books", "Given", "books_of", "give", "open_bank", "opened", "orders"]

CALLER = Caller(actor="cli_bench", client_id=UUID(int=7), request_id="req_bench")
FUNDS_MINOR = 1_000_000
TOO_MUCH_MINOR = 500_000_000
_AT_ONCE = 1_000
_RECENT = 2_000
_REFUSED, _COPIES = 0.05, 0.10

Order = tuple[Kind[Any], kinds.Movement, IdempotencyRef]


@dataclass
class Bank:
    """A tenant with wallets; the first of them has far more money than the others."""

    tenant: TenantRef
    wallets: list[str]

    @property
    def schema(self) -> str:
        """The tenant's schema."""
        return str(self.tenant.schema)


class Books(msgspec.Struct, frozen=True):
    """What a tenant's books say: how many entries there are, how many transfers, and the sum of all balances."""

    entries: int
    transfers: int
    sum_minor: int
    in_wallets_minor: int


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Services]:
    """Open the server's parts in this process, as a worker has them."""
    async with open_services(settings) as services:
        yield services


async def open_bank(services: Services, slug: str, wallets: int, *, funded: bool = True) -> Bank:
    """Provision a tenant with limits, and open wallets that have money, unless that comes later.

    Its clients may ask as often as they like, within what a manifest can say.
    """
    await services.tenants.apply(
        manifest(
            slug,
            sandbox=False,
            limits={"transfer_max_minor": {"EUR": 10**14}, "wallet_balance_max_minor": {"EUR": 10**14}},
            rate_limit_per_s=100_000,
            rate_limit_burst=1_000_000,
        )
    )
    tenant = await services.registry.get(slug)
    party = await create_party(services, tenant, "Bench", kind=PartyKind.COMPANY)
    wallet = CreateWallet(party_id=party.id, currencies=["EUR"])
    answers = await _all(services.engine, tenant, [(kinds.CREATE_WALLET, wallet)] * wallets)
    opened_ = [str(msgspec.json.decode(body)["id"]) for body in answers]
    if not funded:
        return Bank(tenant, opened_)
    top_ups = [
        CreateTopUp(wallet_id=each, amount=Money(FUNDS_MINOR * (1 if number else wallets), "EUR"))
        for number, each in enumerate(opened_)
    ]
    await _all(services.engine, tenant, [(kinds.TOP_UP, kinds.top_up(each)) for each in top_ups])
    return Bank(tenant, opened_)


async def _all(engine: Engine, tenant: TenantRef, commands: Sequence[tuple[Kind[Any], Any]]) -> list[bytes]:
    bodies: list[bytes] = []
    for start in range(0, len(commands), _AT_ONCE):
        answers = await asyncio.gather(
            *(engine.submit(tenant, CALLER, kind, body) for kind, body in commands[start : start + _AT_ONCE])
        )
        assert {answer.status for answer in answers} == {201}
        bodies += [answer.body for answer in answers]
    return bodies


async def books_of(services: Services, tenant: TenantRef) -> Books:
    """Return what a tenant's books say."""
    async with services.database.tx(tenant, statement_timeout_ms=600_000) as tx:
        (row,) = await tx.fetch(
            """
            SELECT h.sequence AS entries,
                (SELECT count(*) FROM transfers AS t WHERE t.kind = 'transfer') AS transfers,
                (SELECT sum(a.posted_minor)::bigint FROM accounts AS a) AS sum_minor,
                (SELECT -sum(a.posted_minor)::bigint FROM accounts AS a WHERE a.wallet_id IS NOT NULL) AS in_wallets
            FROM ledger_head AS h WHERE h.id = 1
            """
        )
    return Books(row["entries"], row["transfers"], row["sum_minor"], row["in_wallets"])


def orders(bank: Bank, number: int, *, hot: bool = False, mixed: bool = False, ordered: bool = False) -> list[Order]:
    """Return transfers, each with an idempotency key of its own and something in its metadata.

    Args:
        bank: Between whose wallets.
        number: How many.
        hot: Whether the first wallet is in each of them, as payer or as payee.
        mixed: Whether 5 % of them want more than there is, and 10 % are copies of one before.
        ordered: Whether their keys are in the order of time, as the SDK makes them, and not at random.
    """
    random_ = random.Random(number)
    wallets = [ids.decode(Prefix.WALLET, wallet) for wallet in bank.wallets]
    given: list[Order] = []
    for _ in range(number):
        if mixed and given and random_.random() < _COPIES:
            given.append(given[-random_.randint(1, min(len(given), _RECENT))])
            continue
        source, target = random_.sample(wallets[1:], 2)
        if hot:
            source, target = (source, wallets[0]) if random_.random() < 0.5 else (wallets[0], target)
        refused = mixed and random_.random() < _REFUSED
        given.append(
            (kinds.TRANSFER, _movement(source, target, TOO_MUCH_MINOR if refused else 1), _reference(ordered=ordered))
        )
    return given


def _movement(source: UUID, target: UUID, amount_minor: int) -> kinds.Movement:
    return kinds.Movement(
        kind="transfer",
        from_wallet_id=source,
        to_wallet_id=target,
        cash=None,
        amount=Money(amount_minor, "EUR"),
        description=None,
        effective_at=None,
        metadata={"order": "A-4711"},
    )


def _reference(*, ordered: bool) -> IdempotencyRef:
    key = ids.uuid7().hex if ordered else uuid4().hex
    return IdempotencyRef(client_id=CALLER.client_id, key=key, fingerprint=bytes(32))


class Given:
    """What became of orders that were given.

    Attributes:
        tally: How many answers had which status and were replayed or not.
    """

    def __init__(self) -> None:
        self.tally: Counter[tuple[int, bool]] = Counter()
        self.took = array("d")
        self.elapsed_s = 0.0
        self.processor_s = 0.0

    @property
    def accepted(self) -> int:
        """How many transfers were made."""
        return self.tally[201, False]

    def sample(self) -> Sample:
        """Return the measurement; copies and refusals are answers like others."""
        took = sorted(self.took)
        return Sample(
            rate=len(took) / self.elapsed_s,
            mean_ms=sum(took) / len(took) * 1000,
            p95_ms=took[int(len(took) * 0.95)] * 1000,
            facts={"µs of the process": self.processor_s / len(took) * 1e6},
        )


async def give(engine: Engine, tenant: TenantRef, given: Sequence[Order], *, callers: int, seconds: float) -> Given:
    """Let callers give orders, each the next one when it has its answer, until the time or the orders are over."""
    found, supply = Given(), iter(given)
    gc.collect()
    # What was made before is kept out of the collector's way; a server has no such heap of orders.
    gc.freeze()
    processor, begun = time.process_time(), time.perf_counter()
    deadline = begun + seconds
    await asyncio.gather(*(_call(engine, tenant, supply, found, deadline) for _ in range(callers)))
    found.elapsed_s, found.processor_s = time.perf_counter() - begun, time.process_time() - processor
    gc.unfreeze()
    return found


async def _call(engine: Engine, tenant: TenantRef, supply: Iterator[Order], found: Given, deadline: float) -> None:
    began = time.perf_counter()
    for kind, body, reference in supply:
        answer = await engine.submit(tenant, CALLER, kind, body, reference)
        now = time.perf_counter()
        found.took.append(now - began)
        found.tally[answer.status, answer.replayed] += 1
        began = now
        if now > deadline:
            return
