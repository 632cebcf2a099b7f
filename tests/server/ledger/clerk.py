"""Gives the model's orders to the engine, and notes which ids its numbers have come to stand for."""

import asyncio
import hashlib
from datetime import datetime
from typing import Any
from uuid import UUID

from billfold import errors, ids
from billfold.contract.ledger import (
    AccountType,
    CaptureHold,
    CreateAccount,
    CreateHold,
    CreateJournalEntry,
    NewPosting,
    ReverseJournalEntry,
    UpdateAccount,
)
from billfold.contract.wallets import AliasScheme, CreateAlias, CreateTopUp, CreateTransfer, CreateWithdrawal
from billfold.ids import Prefix
from billfold.money import Money
from billfold_server.ledger import kinds as ledger_kinds
from billfold_server.ledger.protocol import Answer, Kind
from billfold_server.ledger.service import AccountRow, list_wallet_accounts
from billfold_server.tenancy.context import IdempotencyRef
from billfold_server.wallets import holds, kinds
from billfold_server.wallets.rows import AliasKey
from billfold_server.wallets.rules import new_alias
from tests.server.ledger.books import CALLER, Bench, decoded
from tests.server.ledger.model import FLOAT_LIMIT, Key
from tests.server.ledger.orders import CHART, OPENED, UNKNOWN, WALLETS, Order, lines

Command = tuple[Kind[Any], object]

_TYPES = {"fees": AccountType.INCOME, "float": AccountType.ASSET, "reserve": AccountType.EQUITY}
_MOVEMENTS = {"transfer": Prefix.TRANSFER, "top_up": Prefix.TOP_UP, "withdrawal": Prefix.WITHDRAWAL}


class Clerk:
    """One set of wallets and accounts; several can share a tenant.

    Args:
        bench: The engine and its tenant.
        name: Keeps what is unique per tenant apart: codes, aliases and idempotency keys.
    """

    def __init__(self, bench: Bench, name: str = "") -> None:
        self._bench = bench
        self._name = name
        self._wallets: list[str] = []
        self._accounts: list[str] = []
        self._entries: list[str] = []
        self._transfers: dict[int, tuple[str, UUID]] = {}
        self._holds: list[dict[str, Any]] = []
        self._aliases: list[tuple[UUID, UUID, AliasKey]] = []
        self._bodies: dict[int, bytes] = {}
        self.recorded: list[tuple[int, datetime]] = []

    async def open(self) -> None:
        """Open the wallets and the chart of accounts."""
        before = len(self._bench.wallets)
        await self._bench.add_wallets(WALLETS, OPENED)
        self._wallets = self._bench.wallets[before:]
        for code, currency in CHART:
            limit = FLOAT_LIMIT if code == "float" else None
            body = CreateAccount(
                code=code + self._name, type=_TYPES[code], currency=currency, overdraft_limit_minor=limit
            )
            self._accounts.append(decoded(await self._bench.submit(ledger_kinds.CREATE_ACCOUNT, body))["id"])
        rows = await self.rows()
        for wallet in range(WALLETS):
            self._accounts += [rows[wallet, currency].wire_id for currency in OPENED]
        self._accounts.append(ids.new(Prefix.ACCOUNT))
        assert len(self._accounts) == UNKNOWN + 1

    async def rows(self) -> dict[Key, AccountRow]:
        """Return the accounts of the wallets and of the chart, as the model calls them."""
        wallet_ids = [ids.decode(Prefix.WALLET, wallet) for wallet in self._wallets]
        async with self._bench.database.tx(self._bench.tenant) as tx:
            found = await list_wallet_accounts(tx, wallet_ids)
            chart = await self._bench.chart(tx)
        rows: dict[Key, AccountRow] = {
            (number, row.currency): row for number, wallet_id in enumerate(wallet_ids) for row in found[wallet_id]
        }
        return rows | {
            (code, currency): chart[code + self._name, currency]
            for code, currency in CHART
            if (code + self._name, currency) in chart
        }

    async def give(self, orders: list[Order], number: int) -> list[str]:
        """Give orders at once, and return each verdict: ``ok`` or the code of the refusal.

        Args:
            orders: The batch.
            number: The number of the first one.
        """
        return self._note(orders, await asyncio.gather(*(self._submit(order) for order in orders)), number)

    async def give_many(self, orders: list[Order], number: int, *, together: bool = False) -> list[str]:
        """Give orders in one request, each for itself or all together, and return each verdict."""
        given = [(*self._command(order), self._reference(order)) for order in orders]
        answers = await self._bench.engine.submit_many(self._bench.tenant, CALLER, given, together=together)
        return self._note(orders, answers, number)

    def _reference(self, order: Order) -> IdempotencyRef | None:
        if order.key is None:
            return None
        fingerprint = hashlib.blake2b(repr(order).encode()).digest()[:32]
        return IdempotencyRef(client_id=CALLER.client_id, key=f"{self._name}{order.key}", fingerprint=fingerprint)

    def _note(self, orders: list[Order], answers: list[Answer | errors.ProblemError], number: int) -> list[str]:
        verdicts = []
        for place, (order, answer) in enumerate(zip(orders, answers, strict=True)):
            if isinstance(answer, Answer) and order.key is not None:
                assert self._bodies.setdefault(order.key, answer.body) == answer.body
            verdicts.append(_verdict(answer))
            if verdicts[-1] == "ok":
                assert isinstance(answer, Answer)
                self._learn(order, answer, number + place)
        return verdicts

    async def _submit(self, order: Order) -> Answer | errors.ProblemError:
        kind, body = self._command(order)
        try:
            return await self._bench.engine.submit(self._bench.tenant, CALLER, kind, body, self._reference(order))
        except errors.ProblemError as error:
            return error

    def _learn(self, order: Order, answer: Answer, number: int) -> None:
        if order.what == "unalias":
            return
        body = decoded(answer)
        if "recorded_at" in body:
            self.recorded.append((number, datetime.fromisoformat(body["recorded_at"])))
        if order.what == "hold":
            self._holds.append(body)
        elif order.what == "capture":
            self._entries.append(body["journal_entry_ids"][-1])
        elif order.what in {"journal", "reverse", "undo"}:
            self._entries.append(body["id"])
        elif order.what in _MOVEMENTS:
            wire_id = ids.decode(_MOVEMENTS[order.what], body["id"])
            self._transfers[len(self._entries)] = (order.what, wire_id)
            self._entries.append(body["journal_entry_id"])
        elif order.what == "alias":
            wallet_id, alias_id = ids.decode(Prefix.WALLET, body["wallet_id"]), ids.decode(Prefix.ALIAS, body["id"])
            scheme = AliasScheme(body["scheme"])
            self._aliases.append((wallet_id, alias_id, AliasKey(scheme, new_alias(scheme, body["value"]))))

    # What an order is to the engine.

    def _command(self, order: Order) -> Command:
        command: Command = getattr(self, f"_{order.what}")(order)
        return command

    def _transfer(self, order: Order) -> Command:
        body = CreateTransfer(
            from_wallet_id=self._wallets[order.source],
            to_wallet_id=self._wallets[order.target],
            amount=Money(order.amount, order.currency),
            effective_at=order.effective_at,
        )
        return kinds.TRANSFER, kinds.transfer(body)

    def _top_up(self, order: Order) -> Command:
        body = CreateTopUp(
            wallet_id=self._wallets[order.target],
            amount=Money(order.amount, order.currency),
            effective_at=order.effective_at,
        )
        return kinds.TOP_UP, kinds.top_up(body)

    def _withdrawal(self, order: Order) -> Command:
        body = CreateWithdrawal(
            wallet_id=self._wallets[order.source],
            amount=Money(order.amount, order.currency),
            effective_at=order.effective_at,
        )
        return kinds.WITHDRAW, kinds.withdrawal(body)

    def _journal(self, order: Order) -> Command:
        postings = [
            NewPosting(account_id=self._accounts[number], amount_minor=amount, currency=currency)
            for number, amount, currency in lines(order)
        ]
        body = CreateJournalEntry(postings=postings, effective_at=order.effective_at)
        return ledger_kinds.POST_JOURNAL_ENTRY, body

    def _reversal(self, order: Order) -> ReverseJournalEntry:
        return ReverseJournalEntry(amount_minor=None if order.whole else order.amount)

    def _reverse(self, order: Order) -> Command:
        entry_id = ids.decode(Prefix.JOURNAL_ENTRY, self._entries[order.source])
        return ledger_kinds.REVERSE_JOURNAL_ENTRY, ledger_kinds.Reversal(entry_id, self._reversal(order))

    def _undo(self, order: Order) -> Command:
        kind, transfer_id = self._transfers[order.source]
        return kinds.REVERSE_TRANSFER, kinds.TransferReversal(kind, transfer_id, self._reversal(order))

    def _status(self, order: Order) -> Command:
        step: Any = order.what
        wallet_id = ids.decode(Prefix.WALLET, self._wallets[order.source])
        return kinds.CHANGE_STATUS, kinds.StatusChange(wallet_id, step, "test")

    _freeze = _unfreeze = _close = _status

    def _limit(self, order: Order) -> Command:
        account_id = ids.decode(Prefix.ACCOUNT, self._accounts[order.account or 0])
        change = UpdateAccount(overdraft_limit_minor=None if order.whole else order.amount)
        return ledger_kinds.UPDATE_ACCOUNT, ledger_kinds.Update(account_id, change, None)

    def _open(self, order: Order) -> Command:
        body = CreateAccount(code=f"code.{order.amount}{self._name}", type=AccountType.EXPENSE, currency="EUR")
        return ledger_kinds.CREATE_ACCOUNT, body

    def _alias(self, order: Order) -> Command:
        value = f"Alias {order.amount}{self._name}"
        scheme = AliasScheme.REFERENCE if order.final else AliasScheme.NAME
        body = CreateAlias(scheme=scheme, value=value.upper() if order.whole else value.replace(" ", "  "))
        wallet_id = ids.decode(Prefix.WALLET, self._wallets[order.source])
        return kinds.ADD_ALIAS, kinds.NewAlias(wallet_id, body, AliasKey(scheme, new_alias(scheme, body.value)))

    def _unalias(self, order: Order) -> Command:
        return kinds.REMOVE_ALIAS, kinds.AliasRemoval(*self._aliases[order.source])

    def _hold(self, order: Order) -> Command:
        to_wallet = None if order.whole or order.account is not None else self._wallets[order.target]
        body = CreateHold(
            wallet_id=self._wallets[order.source],
            amount=Money(order.amount, order.currency),
            to_wallet_id=to_wallet,
            to_account_id=None if order.account is None else self._accounts[order.account],
            expires_at=order.expires_at,
        )
        return holds.CREATE_HOLD, body

    def _capture(self, order: Order) -> Command:
        hold = self._holds[order.source]
        is_known = hold["to_account_id"] is not None and order.balanced
        names_wallet = order.account is None and not is_known and not order.wrong
        body = CaptureHold(
            amount_minor=None if order.whole else order.amount,
            to_wallet_id=self._wallets[order.target] if names_wallet else None,
            to_account_id=None if order.account is None else self._accounts[order.account],
            final=order.final,
        )
        return holds.CAPTURE_HOLD, ledger_kinds.Capture(ids.decode(Prefix.HOLD, hold["id"]), body)

    def _release(self, order: Order) -> Command:
        hold_id = ids.decode(Prefix.HOLD, self._holds[order.source]["id"])
        return ledger_kinds.RELEASE_HOLD, ledger_kinds.Release(hold_id)

    def _expire(self, order: Order) -> Command:
        hold_id = ids.decode(Prefix.HOLD, self._holds[order.source]["id"])
        return ledger_kinds.EXPIRE_HOLD, ledger_kinds.Expiry(hold_id)


def _verdict(answer: Answer | errors.ProblemError) -> str:
    if isinstance(answer, errors.ProblemError):
        return answer.code
    if answer.replayed:
        return f"again {decoded(answer)['code'] if answer.status >= 400 else 'ok'}"
    return "ok" if answer.error is None else answer.error.code
