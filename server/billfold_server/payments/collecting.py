"""Money that a rail has for customers here: it is booked once, or sent back, and the rail is told which.

What a rail tells of again is booked under the rail's own name for it, so it is ours once, whoever is killed on the way.
"""

from typing import Final
from uuid import UUID

import msgspec

from billfold import errors, ids
from billfold.contract.wallets import AliasScheme
from billfold.ids import InvalidIdError, Prefix
from billfold.money import MAX_AMOUNT_MINOR
from billfold_server.connectors.service import Credit, RailReceiver
from billfold_server.http.card_numbers import masked
from billfold_server.http.services import Services
from billfold_server.ledger.service import CodeKey
from billfold_server.payments import queries, rules
from billfold_server.payments.returning import RETURN_REASON, RETURNS, TAKE_BACK, Return
from billfold_server.tenancy.context import Caller, IdempotencyRef, TenantRef
from billfold_server.tenancy.transaction import TenantTx
from billfold_server.wallets import service as wallets
from billfold_server.wallets.service import CASH, TOP_UP, AliasKey, Movement

__all__ = ["COLLECTOR", "RETURNS", "Collected", "collect"]

COLLECTOR: Final = Caller(actor="rail", client_id=UUID(int=0))

_WALLET: Final = "wallet"
_SCHEMES: Final = {each.value: each for each in AliasScheme}


class Collected(msgspec.Struct, frozen=True, kw_only=True):
    """What has become of money that came in.

    Attributes:
        key: The rail's name for it.
        top_up_id: By what it was booked, as on the wire; None where it went back, or no wallet could take it.
        unclaimed: Whether it came back of a payment, and is kept for whose wallet can't take it.
        refused: The code of the problem that sent it back.
    """

    key: str
    top_up_id: str | None = None
    unclaimed: bool = False
    refused: str | None = None


async def collect(services: Services, tenant: TenantRef, rail: RailReceiver, name: str, key: str) -> Collected:
    """Book money that a rail has, outside of any transaction.

    Args:
        services: The process's parts.
        tenant: For whose customer.
        rail: Who has it.
        name: What the rail is called.
        key: The rail's name for it. Where the rail has it no longer, it was booked or refused before, and this is told
            again.

    Raises:
        connectors.RailSilent: It doesn't answer; whatever was booked by then is.
        errors.Unavailable: It can't be booked now.
    """
    credit = await rail.find_credit(key)
    if credit is None:
        async with services.database.tx(tenant) as tx:
            return await _told_again(tx, name, key)
    collected = await _book(services, tenant, name, rules.credit_as_kept(credit))
    await rail.answer(key, taken=collected.refused is None)
    return collected


def _once(name: str, key: str) -> str:
    """Return under which key a rail's money is booked."""
    return f"rail/{name}/{rules.name_of_credit(key)}"


async def _book(services: Services, tenant: TenantRef, name: str, credit: Credit) -> Collected:
    if not 1 <= credit.amount.amount_minor <= MAX_AMOUNT_MINOR:
        return Collected(key=credit.key, refused=errors.BalanceOutOfRange.code)
    once = IdempotencyRef(client_id=COLLECTOR.client_id, key=_once(name, credit.key), fingerprint=bytes(32))
    if credit.returns is not None:
        payment_id = _id(Prefix.PAYMENT, credit.returns)
        if payment_id is None:
            return Collected(key=credit.key, refused=errors.CreditorUnknown.code)
        answer = await services.engine.submit(tenant, COLLECTOR, TAKE_BACK, _returned(name, credit, payment_id), once)
        return _read(credit.key, answer.status, answer.body)
    wallet_id = await _wallet_of(services, tenant, credit)
    if wallet_id is None:
        # The rail may not have heard that it was booked, by a name that its wallet has lost since then.
        async with services.database.tx(tenant) as tx:
            return await _told_again(tx, name, credit.key)
    movement = Movement(
        kind="top_up",
        from_wallet_id=None,
        to_wallet_id=wallet_id,
        cash=CodeKey(CASH, credit.amount.currency),
        amount=credit.amount,
        description=_description(credit),
        effective_at=None,
        metadata=_said(name, credit),
        limited=False,
    )
    answer = await services.engine.submit(tenant, COLLECTOR, TOP_UP, movement, once)
    return _read(credit.key, answer.status, answer.body)


def _returned(name: str, credit: Credit, payment_id: UUID) -> Return:
    reason = credit.reason or "MS03"
    return Return(
        payment_id=payment_id,
        rail=name,
        amount=credit.amount,
        reason=reason,
        description=_description(credit),
        metadata={**_said(name, credit), RETURNS: ids.encode(Prefix.PAYMENT, payment_id), RETURN_REASON: reason},
    )


def _description(credit: Credit) -> str | None:
    return None if credit.reference is None else masked(credit.reference)


def _said(name: str, credit: Credit) -> dict[str, str]:
    return {"rail": name, "end_to_end_id": masked(credit.end_to_end_id)}


_REFUSED: Final = 400


def _read(key: str, status: int, body: bytes) -> Collected:
    said = msgspec.json.decode(body)
    if status >= _REFUSED:
        return Collected(key=key, refused=said["code"])
    top_up_id = said.get("id")
    return Collected(key=key, top_up_id=top_up_id, unclaimed=top_up_id is None)


async def _told_again(tx: TenantTx, name: str, key: str) -> Collected:
    found = await queries.find_answer(tx, COLLECTOR.client_id, _once(name, key))
    # What was refused before anything was asked for has left no answer.
    return Collected(key=key, refused=errors.CreditorUnknown.code) if found is None else _read(key, *found)


async def _wallet_of(services: Services, tenant: TenantRef, credit: Credit) -> UUID | None:
    """Return whose money it is."""
    scheme, number = credit.creditor.scheme, credit.creditor.identification
    async with services.database.tx(tenant) as tx:
        if scheme == _WALLET:
            wallet_id = _id(Prefix.WALLET, number)
            known = () if wallet_id is None else await wallets.find_wallets(tx, [wallet_id])
            return wallet_id if wallet_id in known else None
        if scheme not in _SCHEMES or not _can_be_asked(number):
            return None
        alias = _SCHEMES[scheme]
        return await wallets.find_wallet_known_as(tx, AliasKey(alias, wallets.normalise_alias(alias, number)))


def _can_be_asked(number: str) -> bool:
    """Tell whether the database can be asked for a number; what it can't hold names nobody."""
    return "\x00" not in number and not any("\ud800" <= each <= "\udfff" for each in number)


def _id(prefix: Prefix, said: str) -> UUID | None:
    """Read what a rail gives as an id of ours, whatever it is; None names nothing here."""
    try:
        return ids.decode(prefix, said)
    except InvalidIdError:
        return None
