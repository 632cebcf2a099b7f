"""Account information over HTTP: the operations of the standard beside those of its consents."""

import asyncio
from typing import Any

import msgspec

from billfold import errors
from billfold.contract.arrangements import (
    ArrangementStatus,
    Beneficiary,
    DirectDebit,
    Offer,
    ScheduledPayment,
    StandingOrder,
)
from billfold.contract.open_banking.accounts import (
    OBReadAccount6,
    OBReadAccount6Data,
    OBReadBalance1,
    OBReadBalance1Data,
    OBReadParty2,
    OBReadParty2Data,
    OBReadParty3,
    OBReadParty3Data,
)
from billfold.contract.open_banking.base import wire_name
from billfold.contract.open_banking.common import Links, Meta
from billfold.contract.open_banking.products import OBReadProduct2, ProductData
from billfold.contract.open_banking.records import (
    OBReadBeneficiary5,
    OBReadBeneficiary5Data,
    OBReadDirectDebit2,
    OBReadDirectDebit2Data,
    OBReadOffer1,
    OBReadOffer1Data,
    OBReadScheduledPayment3,
    OBReadScheduledPayment3Data,
    OBReadStandingOrder6,
    OBReadStandingOrder6Data,
)
from billfold.contract.open_banking.statements import OBReadDataStatement2, OBReadStatement2
from billfold.contract.open_banking.transactions import OBReadTransaction6
from billfold_server.http.pagination import Cursor
from billfold_server.http.routing import Call, Reply
from billfold_server.open_banking.accounts import records, rules, service
from billfold_server.open_banking.accounts.reading import REFUSES, Page, surroundings
from billfold_server.open_banking.accounts.statements import FILES, to_statement
from billfold_server.open_banking.accounts.transactions import Transaction
from billfold_server.open_banking.edge.answers import QueryInstant, meta_of, read_instant
from billfold_server.open_banking.edge.headers import accepted
from billfold_server.open_banking.edge.routes import OpenBankingRoutes

__all__ = ["routes"]

routes = OpenBankingRoutes(
    "aisp",
    tag="Open banking: account information",
    description="What a customer lets a third party read of their wallets, in the words of the UK's standard.",
)

_ALL = tuple(ArrangementStatus)
_OFFERED = (*REFUSES, errors.EndpointNotOffered)


# Accounts.


@routes.get("/accounts", errors=REFUSES)
async def get_accounts(call: Call, *, page: Cursor | None = None) -> OBReadAccount6:
    """List the accounts that the consent is about."""
    return await _accounts(call, None, page)


@routes.get("/accounts/{AccountId}", errors=REFUSES)
async def get_account(call: Call, account_id: str) -> OBReadAccount6:
    """Show an account."""
    return await _accounts(call, account_id, None)


async def _accounts(call: Call, account_id: str | None, page: str | None) -> OBReadAccount6:
    found, shown = await service.read_accounts(call, account_id, page)
    return OBReadAccount6(data=OBReadAccount6Data(account=found), **surroundings(call, "accounts", shown))


@routes.get("/balances", hot=True, errors=_OFFERED)
async def get_balances(call: Call, *, page: Cursor | None = None) -> OBReadBalance1:
    """List the balances of all accounts."""
    return await _balances(call, None, page)


@routes.get("/accounts/{AccountId}/balances", hot=True, errors=REFUSES)
async def get_account_balances(call: Call, account_id: str) -> OBReadBalance1:
    """List the balances of an account."""
    return await _balances(call, account_id, None)


async def _balances(call: Call, account_id: str | None, page: str | None) -> OBReadBalance1:
    found, shown = await service.read_balances(call, account_id, page)
    return OBReadBalance1(data=OBReadBalance1Data(balance=found), **surroundings(call, "accounts", shown))


@routes.get("/products", errors=_OFFERED)
async def get_products(call: Call, *, page: Cursor | None = None) -> OBReadProduct2:
    """List the products that the accounts are of."""
    return await _products(call, None, page)


@routes.get("/accounts/{AccountId}/product", errors=_OFFERED)
async def get_account_product(call: Call, account_id: str) -> OBReadProduct2:
    """Show the product that an account is of."""
    return await _products(call, account_id, None)


async def _products(call: Call, account_id: str | None, page: str | None) -> OBReadProduct2:
    found, shown = await service.read_products(call, account_id, page)
    return OBReadProduct2(data=ProductData(product=found), **surroundings(call, "accounts", shown))


@routes.get("/party", errors=_OFFERED)
async def get_party_of_psu(call: Call) -> OBReadParty2:
    """Show the customer who has given the consent."""
    party = await service.read_psu(call)
    return OBReadParty2(data=OBReadParty2Data(party=party), **surroundings(call, "party", Page([])))


@routes.get("/accounts/{AccountId}/party", errors=_OFFERED)
async def get_account_party(call: Call, account_id: str) -> OBReadParty2:
    """Show the owner of an account."""
    party = await service.read_owner(call, account_id)
    return OBReadParty2(data=OBReadParty2Data(party=party), **surroundings(call, "party", Page([])))


@routes.get("/accounts/{AccountId}/parties", errors=_OFFERED)
async def get_account_parties(call: Call, account_id: str) -> OBReadParty3:
    """List the owners of an account, of whom there is one."""
    party = await service.read_owner(call, account_id)
    return OBReadParty3(data=OBReadParty3Data(party=[party]), **surroundings(call, "party", Page([])))


# Transactions.


@routes.get("/transactions", hot=True, errors=_OFFERED)
async def get_transactions(
    call: Call,
    *,
    from_booking_date_time: QueryInstant | None = None,
    to_booking_date_time: QueryInstant | None = None,
    page: Cursor | None = None,
) -> Reply[OBReadTransaction6]:
    """List what was booked to all accounts, the newest first."""
    return await _transactions(call, None, page, from_booking_date_time, to_booking_date_time)


@routes.get("/accounts/{AccountId}/transactions", hot=True, errors=REFUSES)
async def get_account_transactions(
    call: Call,
    account_id: str,
    *,
    from_booking_date_time: QueryInstant | None = None,
    to_booking_date_time: QueryInstant | None = None,
    page: Cursor | None = None,
) -> Reply[OBReadTransaction6]:
    """List what was booked to an account, the newest first."""
    return await _transactions(call, account_id, page, from_booking_date_time, to_booking_date_time)


async def _transactions(
    call: Call, account_id: str | None, page: str | None, from_: str | None, to: str | None
) -> Reply[OBReadTransaction6]:
    begins, ends = read_instant("fromBookingDateTime", from_), read_instant("toBookingDateTime", to)
    found, shown, span = await service.read_transactions(call, account_id, page, begins, ends)
    query = {"fromBookingDateTime": from_, "toBookingDateTime": to}
    pages = None if shown.prev or shown.next else 1
    meta = meta_of(total_pages=pages, first_at=span.from_, last_at=span.to)
    return _told(found, surroundings(call, "transactions", shown, query, meta))


class _Told(msgspec.Struct, frozen=True, rename=wire_name):
    """``OBReadTransaction6``, with what this bank fills of each transaction."""

    data: dict[str, list[Transaction]]
    links: Links
    meta: Meta


def _told(found: list[Transaction], around: dict[str, Any]) -> Reply[OBReadTransaction6]:
    return Reply(body=msgspec.json.encode(_Told({"Transaction": found}, **around)))


# What has been arranged.


@routes.get("/beneficiaries", errors=_OFFERED)
async def get_beneficiaries(call: Call, *, page: Cursor | None = None) -> OBReadBeneficiary5:
    """List whom the customer pays more than once, of all accounts."""
    return await _beneficiaries(call, None, page)


@routes.get("/accounts/{AccountId}/beneficiaries", errors=_OFFERED)
async def get_account_beneficiaries(call: Call, account_id: str, *, page: Cursor | None = None) -> OBReadBeneficiary5:
    """List whom the customer pays more than once, of an account."""
    return await _beneficiaries(call, account_id, page)


async def _beneficiaries(call: Call, account_id: str | None, page: str | None) -> OBReadBeneficiary5:
    found, shown, detail = await service.read_records(call, rules.BENEFICIARIES, Beneficiary, account_id, page)
    told = [records.to_beneficiary(row, terms, detail=detail) for row, terms in found]
    data = OBReadBeneficiary5Data(beneficiary=told)
    return OBReadBeneficiary5(data=data, **surroundings(call, "beneficiary", shown))


@routes.get("/direct-debits", errors=_OFFERED)
async def get_direct_debits(call: Call, *, page: Cursor | None = None) -> OBReadDirectDebit2:
    """List who collects from all accounts."""
    return await _direct_debits(call, None, page)


@routes.get("/accounts/{AccountId}/direct-debits", errors=_OFFERED)
async def get_account_direct_debits(call: Call, account_id: str, *, page: Cursor | None = None) -> OBReadDirectDebit2:
    """List who collects from an account."""
    return await _direct_debits(call, account_id, page)


async def _direct_debits(call: Call, account_id: str | None, page: str | None) -> OBReadDirectDebit2:
    found, shown, _ = await service.read_records(
        call, rules.DIRECT_DEBITS, DirectDebit, account_id, page, statuses=_ALL
    )
    told = [records.to_direct_debit(row, terms) for row, terms in found]
    data = OBReadDirectDebit2Data(direct_debit=told)
    return OBReadDirectDebit2(data=data, **surroundings(call, "direct_debit", shown))


@routes.get("/standing-orders", errors=_OFFERED)
async def get_standing_orders(call: Call, *, page: Cursor | None = None) -> OBReadStandingOrder6:
    """List what the customer pays again and again, from all accounts."""
    return await _standing_orders(call, None, page)


@routes.get("/accounts/{AccountId}/standing-orders", errors=_OFFERED)
async def get_account_standing_orders(
    call: Call, account_id: str, *, page: Cursor | None = None
) -> OBReadStandingOrder6:
    """List what the customer pays again and again, from an account."""
    return await _standing_orders(call, account_id, page)


async def _standing_orders(call: Call, account_id: str | None, page: str | None) -> OBReadStandingOrder6:
    found, shown, detail = await service.read_records(
        call, rules.STANDING_ORDERS, StandingOrder, account_id, page, statuses=_ALL
    )
    told = [records.to_standing_order(row, terms, detail=detail) for row, terms in found]
    data = OBReadStandingOrder6Data(standing_order=told)
    return OBReadStandingOrder6(data=data, **surroundings(call, "standing_order", shown))


@routes.get("/scheduled-payments", errors=_OFFERED)
async def get_scheduled_payments(call: Call, *, page: Cursor | None = None) -> OBReadScheduledPayment3:
    """List payments of the future, from all accounts."""
    return await _scheduled_payments(call, None, page)


@routes.get("/accounts/{AccountId}/scheduled-payments", errors=_OFFERED)
async def get_account_scheduled_payments(
    call: Call, account_id: str, *, page: Cursor | None = None
) -> OBReadScheduledPayment3:
    """List payments of the future, from an account."""
    return await _scheduled_payments(call, account_id, page)


async def _scheduled_payments(call: Call, account_id: str | None, page: str | None) -> OBReadScheduledPayment3:
    found, shown, detail = await service.read_records(
        call, rules.SCHEDULED_PAYMENTS, ScheduledPayment, account_id, page
    )
    told = [records.to_scheduled_payment(row, terms, detail=detail) for row, terms in found]
    data = OBReadScheduledPayment3Data(scheduled_payment=told)
    return OBReadScheduledPayment3(data=data, **surroundings(call, "scheduled_payment", shown))


@routes.get("/offers", errors=_OFFERED)
async def get_offers(call: Call, *, page: Cursor | None = None) -> OBReadOffer1:
    """List what the bank offers for all accounts."""
    return await _offers(call, None, page)


@routes.get("/accounts/{AccountId}/offers", errors=_OFFERED)
async def get_account_offers(call: Call, account_id: str, *, page: Cursor | None = None) -> OBReadOffer1:
    """List what the bank offers for an account."""
    return await _offers(call, account_id, page)


async def _offers(call: Call, account_id: str | None, page: str | None) -> OBReadOffer1:
    found, shown, _ = await service.read_records(call, rules.OFFERS, Offer, account_id, page)
    told = [records.to_offer(row, terms) for row, terms in found]
    return OBReadOffer1(data=OBReadOffer1Data(offer=told), **surroundings(call, "offer", shown))


# Statements.


@routes.get("/statements", errors=_OFFERED)
async def get_statements(
    call: Call,
    *,
    from_statement_date_time: QueryInstant | None = None,
    to_statement_date_time: QueryInstant | None = None,
    page: Cursor | None = None,
) -> OBReadStatement2:
    """List the statements of all accounts, the newest first."""
    return await _statements(call, None, page, from_statement_date_time, to_statement_date_time)


@routes.get("/accounts/{AccountId}/statements", errors=_OFFERED)
async def get_account_statements(
    call: Call,
    account_id: str,
    *,
    from_statement_date_time: QueryInstant | None = None,
    to_statement_date_time: QueryInstant | None = None,
    page: Cursor | None = None,
) -> OBReadStatement2:
    """List the statements of an account, the newest first."""
    return await _statements(call, account_id, page, from_statement_date_time, to_statement_date_time)


async def _statements(
    call: Call, account_id: str | None, page: str | None, from_: str | None, to: str | None
) -> OBReadStatement2:
    begins, ends = read_instant("fromStatementDateTime", from_), read_instant("toStatementDateTime", to)
    shown, detail = await service.read_statements(call, account_id, page, begins, ends)
    found = [to_statement(row, detail=detail) for row in shown.items]
    query = {"fromStatementDateTime": from_, "toStatementDateTime": to}
    data = OBReadDataStatement2(statement=found)
    return OBReadStatement2(data=data, **surroundings(call, "statements", shown, query))


@routes.get("/accounts/{AccountId}/statements/{StatementId}", errors=_OFFERED)
async def get_account_statement(call: Call, account_id: str, statement_id: str) -> OBReadStatement2:
    """Show a statement."""
    row, detail = await service.read_statement(call, account_id, statement_id)
    data = OBReadDataStatement2(statement=[to_statement(row, detail=detail)])
    return OBReadStatement2(data=data, **surroundings(call, "statements", Page([row])))


@routes.get("/accounts/{AccountId}/statements/{StatementId}/file", errors=_OFFERED)
async def get_account_statement_file(call: Call, account_id: str, statement_id: str) -> Reply[dict[str, Any]]:
    """Return a statement as a file: PDF or comma-separated values where these are asked for, else JSON."""
    chosen = accepted(call.headers.get("accept"), FILES)
    file = await service.read_file(call, account_id, statement_id)
    media_type, make = FILES[chosen]
    # Ten thousand lines take a while, in which others are served.
    return Reply(body=await asyncio.to_thread(make, file), headers={"Content-Type": media_type})


@routes.get("/accounts/{AccountId}/statements/{StatementId}/transactions", errors=_OFFERED)
async def get_account_statement_transactions(
    call: Call, account_id: str, statement_id: str, *, page: Cursor | None = None
) -> Reply[OBReadTransaction6]:
    """List the transactions of a statement, the newest first."""
    found, shown = await service.read_transactions_of_statement(call, account_id, statement_id, page)
    return _told(found, surroundings(call, "statement-transactions", shown))
