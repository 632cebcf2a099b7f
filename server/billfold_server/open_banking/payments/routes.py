"""Domestic payments: consents for one payment each, whether there is money, and the payments (6 operations)."""

from typing import Any, Final
from uuid import UUID

import msgspec

from billfold import errors, ids
from billfold.contract.open_banking.payments import (
    OBWriteDomestic2,
    OBWriteDomesticConsent4,
    OBWriteDomesticConsentResponse5,
    OBWriteDomesticResponse5,
    OBWriteFundsConfirmationResponse1,
    OBWriteFundsConfirmationResponse1Data,
    OBWriteFundsConfirmationResponse1FundsAvailableResult,
    OBWritePaymentDetailsResponse1,
)
from billfold.ids import Prefix
from billfold.money import Money
from billfold_server.consents import service as consents
from billfold_server.consents.service import Consent, ConsentKind, NewConsent
from billfold_server.http.routing import Call, Reply
from billfold_server.ledger import service as ledger
from billfold_server.open_banking.consents.answers import own, read_id
from billfold_server.open_banking.edge.answers import links_of, meta_of
from billfold_server.open_banking.edge.errors import (
    CONSENT_MISMATCH,
    UNSUPPORTED_ACCOUNT,
    UNSUPPORTED_CURRENCY,
    register,
)
from billfold_server.open_banking.edge.foreseen import Foreseen
from billfold_server.open_banking.edge.repeating import accepted, once
from billfold_server.open_banking.edge.routes import OpenBankingRoutes
from billfold_server.open_banking.payments import reading
from billfold_server.open_banking.payments.accounts import check_debtor, creditor_of, debtor_of, naming_creditor
from billfold_server.open_banking.payments.answers import (
    consent_response,
    details_response,
    own_payment,
    payment_response,
)
from billfold_server.payments import service as payments
from billfold_server.payments.service import INITIATE_PAYMENT, PaymentRow, Placed
from billfold_server.tenancy.clock import tenant_now
from billfold_server.tenancy.context import Agreed
from billfold_server.wallets import service as wallets

__all__ = ["routes"]

routes = OpenBankingRoutes(
    "pisp", tag="Open banking: payments", description="Payments that a customer has agreed to, one by one."
)

_KIND: Final[ConsentKind] = "domestic_payment"
_CONSENTS: Final = "/domestic-payment-consents"
_CONSENT: Final = "/domestic-payment-consents/{ConsentId}"
_PAYMENTS: Final = "/domestic-payments"
_PAYMENT: Final = "/domestic-payments/{DomesticPaymentId}"

# What ISO 20022 has a code of its own for is told by that.
for _error, _code in (
    (errors.PaymentDiffersFromConsent, CONSENT_MISMATCH),
    (errors.CreditorUnknown, UNSUPPORTED_ACCOUNT),
    (errors.CreditorUnsupported, UNSUPPORTED_ACCOUNT),
    (errors.RailMissing, UNSUPPORTED_ACCOUNT),
    (errors.InsufficientFunds, "AM04"),
    (errors.LimitExceeded, "AM02"),
    (errors.BalanceOutOfRange, "AM02"),
    (errors.WalletFrozen, "AC06"),
    (errors.WalletClosed, "AC04"),
    (errors.CurrencyNotEnabled, UNSUPPORTED_CURRENCY),
    (errors.SameWallet, UNSUPPORTED_ACCOUNT),
):
    register(_error, _code, status=400)

_read_asked: Final = msgspec.json.Decoder(OBWriteDomesticConsent4).decode
_read_said: Final = msgspec.json.Decoder(OBWriteDomestic2).decode
_read_terms: Final = msgspec.json.Decoder(reading.Terms).decode


# Consents.


@routes.post(_CONSENTS, hot=True)
async def create_payment_consent(call: Call, body: OBWriteDomesticConsent4) -> OBWriteDomesticConsentResponse5:
    """Ask for a customer's consent to a payment."""
    initiation = body.data.initiation
    amount = reading.read_initiation(initiation, call.tenant.manifest.currencies)
    creditor_of(initiation.creditor_account, "Data.Initiation.CreditorAccount")
    check_debtor(initiation.debtor_account, "Data.Initiation.DebtorAccount")
    reading.check_instrument(initiation.local_instrument, "Data.Initiation.LocalInstrument")
    authorise_by = reading.to_authorise_by(body.data.authorisation)
    new = NewConsent(
        kind=_KIND,
        client_id=call.caller.client_id,
        authorise_by=authorise_by,
        amount_minor=amount.amount_minor,
        currency=amount.currency,
        terms=msgspec.json.encode(reading.Terms(refund=body.data.read_refund_account == "Yes")),
        request=msgspec.json.encode(body),
        repeated=reading.repeated(initiation, body.risk),
    )
    prepared = await consents.prepare(call.services, call.tenant, new)
    made: list[Consent] = []

    async def work(tx: Any) -> str:
        now = await tenant_now(tx)
        reading.check_authorisation(authorise_by, now)
        made.append(await consents.create(tx, call.caller, prepared, now))
        return made[0].wire_id

    async def show(consent_id: str) -> OBWriteDomesticConsentResponse5:
        # What was made just now needn't be read, as it must for a copy.
        if made:
            return consent_response(made[0], body, links_of(call, below=f"/{consent_id}"), meta_of())
        return await _show_consent(call, await own(call, consent_id, _KIND), below=f"/{consent_id}")

    return await once(call, work, show)


@routes.get(_CONSENT)
async def get_payment_consent(call: Call, consent_id: str) -> OBWriteDomesticConsentResponse5:
    """Show a consent to a payment, and where it stands."""
    return await _show_consent(call, await own(call, consent_id, _KIND))


@routes.get(f"{_CONSENT}/funds-confirmation")
async def get_payment_consent_funds(call: Call, consent_id: str) -> OBWriteFundsConfirmationResponse1:
    """Tell whether the payment of a consent would find the money that it needs."""
    async with call.tx() as tx:
        uses = consents.uses_of(call.services)
        consent = await consents.use(
            tx, call.caller, kind=_KIND, consent_id=read_id(consent_id), uses=uses, operation="funds_confirmation"
        )
        now = await tenant_now(tx)
        (wallet,) = await wallets.with_balances(tx, [await wallets.get_wallet(tx, consent.wallet_ids[0])])
    assert consent.amount_minor is not None, "a consent for one payment names its amount"
    assert consent.currency is not None, "and its currency"
    result = OBWriteFundsConfirmationResponse1FundsAvailableResult(
        funds_available_date_time=now,
        funds_available=wallets.has_funds(wallet, Money(consent.amount_minor, consent.currency)),
    )
    return OBWriteFundsConfirmationResponse1(
        data=OBWriteFundsConfirmationResponse1Data(funds_available_result=result),
        links=links_of(call),
        meta=meta_of(),
    )


# Payments.


@routes.post(_PAYMENTS, hot=True, one_command=True)
async def create_payment(call: Call, body: OBWriteDomestic2) -> Reply[OBWriteDomesticResponse5]:
    """Order the payment that a customer has agreed to. A copy is told what has become of it."""
    initiation = body.data.initiation
    amount = reading.read_initiation(initiation, call.tenant.manifest.currencies)
    creditor = creditor_of(initiation.creditor_account, "Data.Initiation.CreditorAccount")
    # Whether it still stands is decided with the payment; a copy finds it used up, and is answered all the same.
    consent_id, agreed = await _agreed(call, body.data.consent_id)
    order = await payments.order(
        call.services,
        call.tenant,
        consent_id=consent_id,
        party_id=agreed.party_id,
        digest=consents.digest(call.services, call.tenant, reading.repeated(initiation, body.risk)),
        amount=amount,
        creditor=creditor,
        leaves=not isinstance(creditor, UUID),
        texts=reading.texts_of(initiation, body),
    )
    wants_refund = _read_terms(agreed.terms).refund
    foreseen = Foreseen(call, lambda said: _shown(call, payments.placed(said), body))
    try:
        with naming_creditor("Data.Initiation.CreditorAccount"):
            # Who may be given money back is read, once the payment is made.
            foresee = None if wants_refund else foreseen.foresee
            reply = await ledger.command(call, INITIATE_PAYMENT, order, foresee=foresee)
    except errors.IdempotencyKeyReused:
        # Then nothing was decided.
        await own(call, body.data.consent_id, _KIND)
        raise
    if reply.replayed:
        await own(call, body.data.consent_id, _KIND)
    with naming_creditor("Data.Initiation.CreditorAccount"):
        said = accepted(reply)
    if not reply.replayed and not wants_refund:
        return Reply(body=foreseen.told(said))
    row: PaymentRow | Placed = payments.placed(said)
    if reply.replayed:
        async with call.tx() as tx:
            row = await payments.get_payment(tx, payments.initiated(said))
    return Reply(body=await _show_payment(call, row, body, agreed.terms, below=f"/{row.wire_id}"))


@routes.get(_PAYMENT)
async def get_domestic_payment(call: Call, domestic_payment_id: str) -> OBWriteDomesticResponse5:
    """Show a payment, and where it stands."""
    row = await own_payment(call, domestic_payment_id, _KIND, param="DomesticPaymentId")
    texts = (await payments.open_texts(call.services, call.tenant, [row.id])).get(row.id)
    if texts is None:
        raise errors.SubjectForgotten
    assert row.consent_id is not None, "a third party has ordered it"
    async with call.tx() as tx:
        # Payments are kept for longer than consents.
        consent = await consents.find(tx, row.consent_id)
    return await _show_payment(call, row, _read_said(texts.order), None if consent is None else consent.terms)


@routes.get(f"{_PAYMENT}/payment-details")
async def get_domestic_payment_details(call: Call, domestic_payment_id: str) -> OBWritePaymentDetailsResponse1:
    """Show every status that a payment has had."""
    row = await own_payment(call, domestic_payment_id, _KIND, param="DomesticPaymentId")
    async with call.tx() as tx:
        steps = await payments.list_steps(tx, row.id)
    texts = (await payments.open_texts(call.services, call.tenant, [row.id])).get(row.id)
    return details_response(row, steps, None if texts is None else texts.instrument, links_of(call), meta_of())


# What several of them need.


async def _agreed(call: Call, named: str) -> tuple[UUID, Agreed]:
    """Return the consent that an order names, and what it says for good.

    That of the token needn't be looked at before the command does, which reads it again, and locked.

    Raises:
        ProblemError: It isn't the caller's, isn't of this kind, or was never given.
    """
    consent_id, agreed = call.caller.consent_id, call.caller.agreed
    is_of_token = consent_id is not None and named == ids.encode(Prefix.CONSENT, consent_id)
    if is_of_token and consent_id is not None and agreed is not None and agreed.kind == _KIND:
        return consent_id, agreed
    consent = await own(call, named, _KIND)
    if consent.party_id is None:
        raise errors.ConsentNotUsable(consent_status=consent.status)
    return consent.id, Agreed(kind=consent.kind, party_id=consent.party_id, terms=consent.terms)


async def _show_consent(call: Call, consent: Consent, *, below: str = "") -> OBWriteDomesticConsentResponse5:
    asked = _read_asked(await consents.open_request(call.services, call.tenant, consent))
    return consent_response(consent, asked, links_of(call, below=below), meta_of())


async def _show_payment(
    call: Call, row: PaymentRow | Placed, said: OBWriteDomestic2, terms: bytes | None, *, below: str = ""
) -> OBWriteDomesticResponse5:
    wants_refund = terms is not None and _read_terms(terms).refund
    refund = await debtor_of(call, row.wallet_id) if wants_refund else None
    return payment_response(row, said.data.initiation, refund, links_of(call, below=below), meta_of())


def _shown(call: Call, placed: Placed, said: OBWriteDomestic2) -> OBWriteDomesticResponse5:
    """Return a payment that was just made, where nobody asks for the account to which it can be given back."""
    return payment_response(placed, said.data.initiation, None, links_of(call, below=f"/{placed.wire_id}"), meta_of())
