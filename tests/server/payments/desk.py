"""A bank at which third parties order payments, and a rail that says what a test tells it to."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast
from uuid import UUID, uuid4

import msgspec

from billfold import ids
from billfold.contract.ledger import ReverseJournalEntry
from billfold.contract.payments import Payment, PaymentOutcome
from billfold.contract.wallets import AliasScheme, CreateAlias
from billfold.errors import ProblemError
from billfold.ids import Prefix
from billfold.money import Money
from billfold_server.connectors.service import Instruction, RailConnector, RailSilent, Report
from billfold_server.consents import service as consents
from billfold_server.consents.service import Consent
from billfold_server.http.services import Services
from billfold_server.invariants.service import check
from billfold_server.keys.service import Keyring, Keys
from billfold_server.ledger import kinds as ledger_kinds
from billfold_server.ledger.engine import Engine
from billfold_server.ledger.protocol import Answer
from billfold_server.payments import service
from billfold_server.payments.kinds import ASK_JOB, CLEARING, Heard
from billfold_server.payments.rows import PaymentRow, StepRow, Texts
from billfold_server.tenancy.clock import tenant_now
from billfold_server.tenancy.context import Agreed, Caller, IdempotencyRef, TenantRef
from billfold_server.tenancy.transaction import Database
from billfold_server.wallets import kinds as wallet_kinds
from billfold_server.wallets.service import AliasKey
from tests.server.consents.consenting import Bank, caller_of
from tests.server.ledger.books import Bench, open_engine
from tests.tenants import Tenancy

__all__ = ["PAYEE", "Desk", "ScriptedRail"]

PAYEE = "20000055779911"
TEXTS = Texts(
    scheme="UK.OBIE.SortCodeAccountNumber",
    identification="10000109010102",
    creditor_name="Grace Hopper",
    end_to_end_id="e2e-1",
    reference="Invoice 4711",
)
OPENED_MINOR = 1_000_000


class ScriptedRail:
    """A rail that keeps orders by their keys, as every rail must, and says what it is told to.

    Attributes:
        name: Its name.
        orders: What it was given, by key.
        given: How often it was given an order.
        said: What it says of each order; None is nothing at all.
        answers: Until when whoever gives it an order waits for its answer; None is not at all.
    """

    name = "scripted"

    def __init__(self) -> None:
        self.orders: dict[str, Instruction] = {}
        self.given = 0
        self.asked = 0
        self.said: Report | None = Report()
        self.loses = 0
        self.answers: asyncio.Event | None = None

    async def submit(self, instruction: Instruction) -> Report:
        """Keep the order, and say what is to be said."""
        self.given += 1
        if self.loses:
            self.loses -= 1
            raise RailSilent
        assert self.orders.setdefault(instruction.key, instruction) == instruction
        if self.answers is not None:
            await self.answers.wait()
        return self._say()

    async def inquire(self, key: str) -> Report | None:
        """Say what is to be said of an order."""
        self.asked += 1
        return self._say() if key in self.orders else None

    def _say(self) -> Report:
        if self.said is None:
            raise RailSilent
        return self.said


class _Rails:
    def __init__(self, rail: RailConnector | None) -> None:
        self.rail = rail

    def of(self, _: TenantRef) -> RailConnector | None:
        return self.rail


@dataclass
class _Parts:
    keys: Keys
    keyring: Keyring
    database: Database
    engine: Engine
    rooms: dict[str, Any] = field(default_factory=dict)


@dataclass
class Desk:
    """A bank with a payer and a payee, and the rail by which money leaves."""

    bank: Bank
    bench: Bench
    rail: ScriptedRail
    client_id: UUID

    @classmethod
    async def open(cls, tenancy: Tenancy, keys: Keys) -> "Desk":
        """Open the bank: the payer's wallet has money, and the payee's has a number."""
        bank = await Bank.open(tenancy, keys)
        engine = open_engine(tenancy.database)
        bench = Bench(engine, tenancy.database, tenancy.tenant)
        await bench.add_wallets(2, ["EUR"], party_id=bank.owner.party_id)
        await bench.top_up(0, OPENED_MINOR)
        rail = ScriptedRail()
        parts = _Parts(keys, Keyring(b"k" * 32), tenancy.database, engine, {service.ROOM: _Rails(rail)})
        bank = Bank(tenancy, cast("Services", parts), bank.owner, (ids.decode(Prefix.WALLET, bench.wallets[0]),))
        desk = cls(bank, bench, rail, uuid4())
        await desk.name(AliasKey(AliasScheme.SORT_CODE_ACCOUNT_NUMBER, PAYEE))
        return desk

    async def name(self, key: AliasKey) -> None:
        """Give the payee's wallet another name."""
        alias = CreateAlias(scheme=key.scheme, value=key.normal_value)
        new = wallet_kinds.NewAlias(ids.decode(Prefix.WALLET, self.bench.wallets[1]), alias, key)
        assert (await self.bench.submit(wallet_kinds.ADD_ALIAS, new)).error is None

    @property
    def tenant(self) -> TenantRef:
        """Return the bank."""
        return self.bank.tenancy.tenant

    async def consent(self, amount_minor: int = 1_000, said: bytes = b"the order") -> Consent:
        """Return a consent for one payment, authorised."""
        asked = await self.bank.ask(
            self.client_id, kind="domestic_payment", amount_minor=amount_minor, currency="EUR", repeated=said
        )
        return await self.bank.authorise(asked)

    async def order(
        self,
        consent: Consent,
        amount_minor: int = 1_000,
        *,
        to: str | UUID | AliasKey = "outside",
        said: bytes = b"the order",
    ) -> service.Order:
        """Return an order for a payment."""
        digest = consents.digest(self.bank.services, self.tenant, said)
        return await self._order(amount_minor, to, consent_id=consent.id, digest=digest)

    async def order_own(self, amount_minor: int = 1_000, *, to: str | UUID | AliasKey = "outside") -> service.Order:
        """Return the same order as a client of the bank's own gives it, under no consent."""
        return await self._order(amount_minor, to, wallet_id=self.bank.wallet_ids[0])

    async def _order(self, amount_minor: int, to: str | UUID | AliasKey, **facts: Any) -> service.Order:
        return await service.order(
            self.bank.services,
            self.tenant,
            party_id=self.bank.owner.party_id,
            amount=Money(amount_minor, "EUR"),
            creditor=AliasKey(AliasScheme.SORT_CODE_ACCOUNT_NUMBER, to) if isinstance(to, str) else to,
            leaves=True,
            texts=TEXTS,
            **facts,
        )

    async def seen(self, consent: Consent) -> Agreed:
        """Return what a third party's token opens, as the consent stands."""
        async with self.bank.tx() as tx:
            found = (await consents.look(tx, [consent.id]))[consent.id].consent
        assert found.party_id is not None
        return Agreed(kind=found.kind, party_id=found.party_id, terms=found.terms, seen=found)

    @property
    def payee_id(self) -> UUID:
        """Return the payee's wallet."""
        return ids.decode(Prefix.WALLET, self.bench.wallets[1])

    async def give(
        self, consent: Consent, order: service.Order, key: str | None = None, *, seen: Agreed | None = None
    ) -> Answer:
        """Order a payment, as its third party does with the consent's own token, which was or wasn't looked at."""
        reference = None
        if key is not None:
            reference = IdempotencyRef(client_id=consent.client_id, key=key, fingerprint=bytes(32))
        caller = msgspec.structs.replace(caller_of(consent.client_id, consent.id), agreed=seen)
        return await self.bench.engine.submit(self.tenant, caller, service.INITIATE_PAYMENT, order, reference)

    async def give_own(self, order: service.Order, key: str | None = None) -> Answer:
        """Order a payment, as a client of the bank's own does."""
        reference = None
        if key is not None:
            reference = IdempotencyRef(client_id=self.client_id, key=key, fingerprint=bytes(32))
        caller = Caller(actor=ids.encode(Prefix.CLIENT, self.client_id), client_id=self.client_id)
        return await self.bench.engine.submit(self.tenant, caller, service.ORDER_PAYMENT, order, reference)

    async def pay_own(self, amount_minor: int = 1_000, **facts: Any) -> UUID:
        """Order a payment in the name of a client of the bank's own, and return its id."""
        answer = await self.give_own(await self.order_own(amount_minor, **facts))
        if answer.error is not None:
            raise answer.error
        return ids.decode(Prefix.PAYMENT, msgspec.json.decode(answer.body, type=Payment).id)

    async def pay(self, amount_minor: int = 1_000, **facts: Any) -> UUID:
        """Order a payment that is consented to, and return its id."""
        consent = await self.consent(amount_minor)
        answer = await self.give(consent, await self.order(consent, amount_minor, **facts))
        if answer.error is not None:
            raise answer.error
        return service.initiated(answer.body)

    async def hear(self, payment_id: UUID, report: Report | None, turn: int | None = None) -> None:
        """Let the rail speak."""
        await service.hear(self.bank.services, self.tenant, Heard(payment_id=payment_id, turn=turn, report=report))

    async def resolve(self, payment_id: UUID, outcome: str) -> ProblemError | None:
        """Say what has become of a payment, as the bank's staff can, and return what refuses it."""
        body = service.Resolution(
            payment_id=payment_id, outcome=PaymentOutcome(outcome), reason="The bank's statement shows it"
        )
        return (await self.bench.submit(service.RESOLVE, body)).error

    async def turn(self, payment_id: UUID, attempt: int = 1) -> bool:
        """Do the job of the payment's next turn, as if its time had come; tell whether there was one."""
        row = await self.payment(payment_id)
        if row.turn not in await self.turns(payment_id):
            return False
        await service.take_turn(self.bank.services, self.tenant, payment_id, turn=row.turn, attempt=attempt)
        return True

    async def turns(self, payment_id: UUID) -> list[int]:
        """Return the turns that are planned for a payment."""
        async with self.bank.tx() as tx:
            rows = await tx.fetch("SELECT payload::text AS payload FROM jobs WHERE kind = $1 ORDER BY due_at", ASK_JOB)
        payloads = [msgspec.json.decode(row["payload"]) for row in rows]
        wire = ids.encode(Prefix.PAYMENT, payment_id)
        return [each["turn"] for each in payloads if each["payment_id"] == wire]

    async def payment(self, payment_id: UUID) -> PaymentRow:
        """Return a payment."""
        async with self.bank.tx() as tx:
            return await service.get_payment(tx, payment_id)

    async def steps(self, payment_id: UUID) -> Sequence[StepRow]:
        """Return what was heard of it."""
        async with self.bank.tx() as tx:
            return await service.list_steps(tx, payment_id)

    async def balances(self) -> tuple[int, int, int, int, int]:
        """Return what the payer, the payee, clearing, the rail and suspense have."""
        async with self.bank.tx() as tx:
            chart = await self.bench.chart(tx)
        own = [
            chart[code, "EUR"].balance_minor if (code, "EUR") in chart else 0
            for code in (CLEARING, "rail:scripted", service.SUSPENSE)
        ]
        return (await self.bench.balance(0), await self.bench.balance(1), own[0], own[1], own[2])

    async def check(self) -> None:
        """Hold the books to every invariant."""
        assert await check(self.bank.tenancy.database, self.tenant) == []

    async def freeze(self, step: Any = "freeze") -> None:
        """Freeze the payer's wallet."""
        change = wallet_kinds.StatusChange(self.bank.wallet_ids[0], step, "test")
        answer = await self.bench.submit(wallet_kinds.CHANGE_STATUS, change)
        assert answer.error is None, answer.error

    async def undo_by_hand(self, payment_id: UUID) -> None:
        """Reverse the payment's entry, as the bank's staff can."""
        entry_id = (await self.payment(payment_id)).journal_entry_id
        body = ledger_kinds.Reversal(entry_id, ReverseJournalEntry(reason="by hand"))
        assert (await self.bench.submit(ledger_kinds.REVERSE_JOURNAL_ENTRY, body)).error is None

    async def now(self) -> Any:
        """Return the tenant's time."""
        async with self.bank.tx() as tx:
            return await tenant_now(tx)
