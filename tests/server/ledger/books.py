"""What tests of the ledger share: an engine on a real database, and wallets to move money between."""

import asyncio
from typing import Any
from uuid import UUID

import msgspec

from billfold import ids
from billfold.clock import SystemClock
from billfold.contract.ledger import CaptureHold, CreateHold, ReverseJournalEntry
from billfold.contract.parties import CreateParty, PartyKind
from billfold.contract.wallets import CreateTopUp, CreateTransfer, CreateWallet, CreateWithdrawal
from billfold.errors import ProblemError
from billfold.ids import Prefix
from billfold.money import Money
from billfold_server.http.problems import encode_problem, status_of
from billfold_server.http.routing import IdempotencyRef
from billfold_server.ledger import kinds as ledger_kinds
from billfold_server.ledger.engine import Answer, Engine, Kind
from billfold_server.parties import service as parties
from billfold_server.reconciliation import service as reconciliation
from billfold_server.tenancy.clock import tenant_now
from billfold_server.tenancy.context import Caller, TenantRef
from billfold_server.tenancy.transaction import Database
from billfold_server.wallets import kinds, service
from tests.server.ledger.model import Order

CALLER = Caller(actor="cli_test", client_id=UUID(int=7), request_id="req_test")


def render(error: ProblemError, request_id: str | None) -> tuple[int, bytes]:
    """Encode a refusal as the HTTP edge does."""
    return status_of(type(error)), encode_problem(error, request_id or "")


def open_engine(database: Database, **options: Any) -> Engine:
    """Return an engine as ``build_app`` makes it."""
    return Engine(
        database,
        clock=SystemClock(),
        tenant_now=tenant_now,
        render_refusal=render,
        stores=(*service.STORES, *reconciliation.STORES),
        **options,
    )


class Bench:
    """An engine, a tenant, and the ids of what was made, by the numbers that the model gives them."""

    def __init__(self, engine: Engine, database: Database, tenant: TenantRef) -> None:
        self.engine = engine
        self.database = database
        self.tenant = tenant
        self.wallets: list[str] = []
        self.entries: list[str] = []
        self.holds: list[str] = []
        # The numbers of the holds that name no destination.
        self.open_ended: set[int] = set()

    async def submit(
        self, kind: Kind[Any], body: object, key: str | None = None, fingerprint: bytes = bytes(32)
    ) -> Answer:
        """Give a command as a client would."""
        reference = None
        if key is not None:
            reference = IdempotencyRef(client_id=CALLER.client_id, key=key, fingerprint=fingerprint)
        return await self.engine.submit(self.tenant, CALLER, kind, body, reference)

    async def add_wallets(self, number: int) -> None:
        """Open wallets of one new party."""
        async with self.database.tx(self.tenant) as tx:
            party = await parties.create_party(tx, CALLER, CreateParty(kind=PartyKind.PERSON, name="Ada"))
        answers = await asyncio.gather(
            *(self.submit(kinds.CREATE_WALLET, CreateWallet(party_id=party.id)) for _ in range(number))
        )
        self.wallets += [decoded(answer)["id"] for answer in answers]

    async def top_up(self, wallet: int, amount_minor: int, currency: str = "EUR", key: str | None = None) -> Answer:
        """Fund a wallet."""
        body = CreateTopUp(wallet_id=self.wallets[wallet], amount=Money(amount_minor, currency))
        return await self.submit(kinds.TOP_UP, kinds.top_up(body), key)

    async def transfer(self, source: int, target: int, amount_minor: int, key: str | None = None) -> Answer:
        """Move money between wallets."""
        body = CreateTransfer(
            from_wallet_id=self.wallets[source], to_wallet_id=self.wallets[target], amount=Money(amount_minor, "EUR")
        )
        return await self.submit(kinds.TRANSFER, kinds.transfer(body), key)

    def command(self, order: Order) -> tuple[Kind[Any], object] | None:
        """Return the command that an order of the model is; None where it names something that was never made."""
        source = self.wallets[order.source % len(self.wallets)]
        target = self.wallets[order.target % len(self.wallets)]
        if order.what == "reverse":
            return self._reversal(order)
        if order.what in {"capture", "release"}:
            return self._hold_step(order, target)
        if order.what in {"freeze", "unfreeze", "close"}:
            wallet_id = ids.decode(Prefix.WALLET, source)
            step: Any = order.what
            return kinds.CHANGE_STATUS, kinds.StatusChange(wallet_id, step, "test")
        return self._movement(order, source, target)

    def _movement(self, order: Order, source: str, target: str) -> tuple[Kind[Any], object]:
        amount = Money(order.amount, order.currency)
        if order.what == "transfer":
            body = CreateTransfer(from_wallet_id=source, to_wallet_id=target, amount=amount)
            return kinds.TRANSFER, kinds.transfer(body)
        if order.what == "top_up":
            return kinds.TOP_UP, kinds.top_up(CreateTopUp(wallet_id=target, amount=amount))
        if order.what == "withdrawal":
            return kinds.WITHDRAW, kinds.withdrawal(CreateWithdrawal(wallet_id=source, amount=amount))
        hold = CreateHold(wallet_id=source, amount=amount, to_wallet_id=None if order.whole else target)
        return kinds.CREATE_HOLD, hold

    def _reversal(self, order: Order) -> tuple[Kind[Any], object] | None:
        if not self.entries:
            return None
        entry_id = ids.decode(Prefix.JOURNAL_ENTRY, self.entries[order.source % len(self.entries)])
        change = ReverseJournalEntry(amount_minor=None if order.whole else order.amount)
        return ledger_kinds.REVERSE_JOURNAL_ENTRY, ledger_kinds.Reversal(entry_id, change)

    def _hold_step(self, order: Order, target: str) -> tuple[Kind[Any], object] | None:
        if not self.holds:
            return None
        number = order.source % len(self.holds)
        hold_id = ids.decode(Prefix.HOLD, self.holds[number])
        if order.what == "release":
            return ledger_kinds.RELEASE_HOLD, ledger_kinds.Release(hold_id)
        capture = CaptureHold(
            amount_minor=None if order.whole else order.amount,
            to_wallet_id=target if number in self.open_ended else None,
            final=order.final,
        )
        return kinds.CAPTURE_HOLD, ledger_kinds.Capture(hold_id, capture)

    def learn(self, order: Order, answer: Answer) -> None:
        """Note the ids of what an order has made."""
        if answer.error is not None:
            return
        body = decoded(answer)
        if order.what == "hold":
            if body["to_wallet_id"] is None:
                self.open_ended.add(len(self.holds))
            self.holds.append(body["id"])
        elif order.what == "capture":
            self.entries.append(body["journal_entry_ids"][-1])
        elif order.what == "reverse":
            self.entries.append(body["id"])
        elif order.what in {"transfer", "top_up", "withdrawal"}:
            self.entries.append(body["journal_entry_id"])


def decoded(answer: Answer) -> Any:
    """Return an answer's body."""
    return msgspec.json.decode(answer.body)
