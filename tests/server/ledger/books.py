"""What tests of the ledger share: an engine on a real database, and wallets to move money between."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from billfold import ids
from billfold.clock import SystemClock
from billfold.contract.wallets import CreateTopUp, CreateTransfer, CreateWallet, UpdateWallet
from billfold.errors import ProblemError
from billfold.ids import Prefix
from billfold.money import Money
from billfold_server.consents import service as consents
from billfold_server.http.problems import encode_problem, status_of
from billfold_server.http.routing import IdempotencyRef
from billfold_server.identity.service import ONE_USES
from billfold_server.ledger import checkpoints
from billfold_server.ledger.engine import Engine
from billfold_server.ledger.protocol import Answer, Kind
from billfold_server.ledger.queries import list_accounts
from billfold_server.ledger.rows import AccountRow
from billfold_server.ledger.service import list_wallet_accounts
from billfold_server.payments import service as payments
from billfold_server.reconciliation import service as reconciliation
from billfold_server.tenancy.clock import tenant_now
from billfold_server.tenancy.context import Caller, TenantRef
from billfold_server.tenancy.transaction import Database, TenantTx
from billfold_server.wallets import kinds, service
from tests.parties import add_party

CALLER = Caller(actor="cli_test", client_id=UUID(int=7), request_id="req_test")


def render(error: ProblemError, request_id: str | None) -> tuple[int, bytes]:
    """Encode a refusal as the HTTP edge does."""
    return status_of(type(error)), encode_problem(error, request_id or "")


def open_engine(database: Database, **options: Any) -> Engine:
    """Return an engine as ``build_app`` makes it."""
    return Engine(
        database,
        clock=options.pop("clock", SystemClock()),
        render_refusal=render,
        uses=ONE_USES,
        stores=(
            *checkpoints.STORES,
            *service.STORES,
            *reconciliation.STORES,
            *consents.STORES,
            *payments.STORES,
            *options.pop("stores", ()),
        ),
        **options,
    )


class Bench:
    """An engine, a tenant, and the ids of its wallets."""

    def __init__(self, engine: Engine, database: Database, tenant: TenantRef) -> None:
        self.engine = engine
        self.database = database
        self.tenant = tenant
        self.wallets: list[str] = []

    async def submit(
        self, kind: Kind[Any], body: object, key: str | None = None, fingerprint: bytes = bytes(32)
    ) -> Answer:
        """Give a command as a client would."""
        reference = None
        if key is not None:
            reference = IdempotencyRef(client_id=CALLER.client_id, key=key, fingerprint=fingerprint)
        return await self.engine.submit(self.tenant, CALLER, kind, body, reference)

    async def add_wallets(self, number: int, currencies: Sequence[str] = (), party_id: UUID | None = None) -> None:
        """Open wallets of one party, a new one where none is named."""
        if party_id is None:
            async with self.database.tx(self.tenant) as tx:
                party_id = await add_party(tx)
        owner = ids.encode(Prefix.PARTY, party_id)
        body = CreateWallet(party_id=owner, currencies=list(currencies))
        answers = await asyncio.gather(*(self.submit(kinds.CREATE_WALLET, body) for _ in range(number)))
        self.wallets += [decoded(answer)["id"] for answer in answers]

    async def chart(self, tx: TenantTx) -> dict[tuple[str, str], AccountRow]:
        """Return the chart of accounts, by code and currency."""
        rows = await list_accounts(tx, limit=100_000)
        return {(row.code, row.currency): row for row in rows if row.code is not None}

    async def balance(self, wallet: int, currency: str = "EUR") -> int:
        """Return a wallet's posted balance."""
        wallet_id = ids.decode(Prefix.WALLET, self.wallets[wallet])
        async with self.database.tx(self.tenant) as tx:
            found = (await list_wallet_accounts(tx, [wallet_id]))[wallet_id]
        return next((account.balance_minor for account in found if account.currency == currency), 0)

    async def now(self, tx: TenantTx) -> datetime:
        """Return the tenant's time."""
        return await tenant_now(tx)

    async def rename(self, wallet: int, *, if_match: str, key: str) -> Answer:
        """Give a wallet a label, if it hasn't changed meanwhile."""
        wallet_id = ids.decode(Prefix.WALLET, self.wallets[wallet])
        return await self.submit(kinds.UPDATE_WALLET, kinds.Update(wallet_id, UpdateWallet(label="x"), if_match), key)

    def status(self, error: ProblemError) -> int:
        """Return the HTTP status of a refusal."""
        return status_of(type(error))

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

    async def described_transfer(
        self, source: int, target: int, amount_minor: int, text: str, key: str | None = None
    ) -> Answer:
        """Move money between wallets, with a description."""
        body = CreateTransfer(
            from_wallet_id=self.wallets[source],
            to_wallet_id=self.wallets[target],
            amount=Money(amount_minor, "EUR"),
            description=text,
        )
        return await self.submit(kinds.TRANSFER, kinds.transfer(body), key)


def decoded(answer: Answer) -> Any:
    """Return an answer's body."""
    return msgspec.json.decode(answer.body)
