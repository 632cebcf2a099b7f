"""Variable recurring payments: consents for them, whether there is money, and the payments (9 operations)."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any, Final, Literal
from uuid import UUID

import msgspec
from msgspec import UNSET

from billfold import errors, ids
from billfold.contract.open_banking.vrp import (
    OBCashAccountDebtorWithName,
    OBDomesticVRPConsentRequest,
    OBDomesticVRPConsentResponse,
    OBDomesticVRPDetails,
    OBDomesticVRPRequest,
    OBDomesticVRPResponse,
    OBPAFundsAvailableResult1,
    OBVRPFundsConfirmationRequest,
    OBVRPFundsConfirmationResponse,
    OBVRPFundsConfirmationResponseData,
)
from billfold_server.consents import service as consents
from billfold_server.consents.service import Consent, ConsentKind, NewConsent
from billfold_server.http.reading import decode_json
from billfold_server.http.routing import Call
from billfold_server.ledger import service as ledger
from billfold_server.open_banking.consents.answers import end_own, own, read_id
from billfold_server.open_banking.edge.answers import address_of
from billfold_server.open_banking.edge.errors import CONSENT_MISMATCH, CONSENT_STATUS, field_error, register
from billfold_server.open_banking.edge.repeating import accepted, once
from billfold_server.open_banking.edge.routes import OpenBankingRoutes
from billfold_server.open_banking.payments.accounts import check_debtor, creditor_of, debtor_of, naming_creditor
from billfold_server.open_banking.payments.answers import own_payment
from billfold_server.open_banking.payments.reading import read_amount, repeated, texts_of
from billfold_server.open_banking.vrp import reading
from billfold_server.open_banking.vrp.answers import consent_response, details_response, payment_response
from billfold_server.payments import service as payments
from billfold_server.payments.service import INITIATE_RECURRING, PaymentRow, Placed
from billfold_server.tenancy.clock import tenant_now
from billfold_server.wallets import service as wallets

__all__ = ["routes"]

routes = OpenBankingRoutes(
    "pisp",
    tag="Open banking: recurring payments",
    description="Payments that a customer has agreed to in advance, within limits.",
)

_KIND: Final[ConsentKind] = "domestic_vrp"
_CONSENTS: Final = "/domestic-vrp-consents"
_CONSENT: Final = "/domestic-vrp-consents/{ConsentId}"
_PAYMENTS: Final = "/domestic-vrps"
_PAYMENT: Final = "/domestic-vrps/{DomesticVRPId}"
_PATCH: Final = "application/json-patch+json"

register(errors.ControlParametersBreached, "U014", status=400)
register(errors.ConsentNeedsNoMigration, "U029", status=409)

_read_asked: Final = msgspec.json.Decoder(OBDomesticVRPConsentRequest).decode
_read_said: Final = msgspec.json.Decoder(OBDomesticVRPRequest).decode


# Consents.


@routes.post(_CONSENTS)
async def create_vrp_consent(call: Call, body: OBDomesticVRPConsentRequest) -> OBDomesticVRPConsentResponse:
    """Ask for a customer's consent to recurring payments."""
    agreed = reading.read_consent(body, call.tenant.manifest.currencies)
    initiation = body.data.initiation
    if initiation.creditor_account is not UNSET:
        creditor_of(initiation.creditor_account, "Data.Initiation.CreditorAccount")
    check_debtor(initiation.debtor_account, "Data.Initiation.DebtorAccount")
    new = NewConsent(
        kind=_KIND,
        client_id=call.caller.client_id,
        expires_at=reading.expires_at(body.data.control_parameters),
        terms=payments.write_terms(agreed),
        request=msgspec.json.encode(body),
        repeated=repeated(initiation, body.risk),
    )
    prepared = await consents.prepare(call.services, call.tenant, new)

    async def work(tx: Any) -> str:
        now = await tenant_now(tx)
        reading.check_last_day(body.data.control_parameters, now)
        return (await consents.create(tx, call.caller, prepared, now)).wire_id

    async def show(consent_id: str) -> OBDomesticVRPConsentResponse:
        return await _show_consent(call, await own(call, consent_id, _KIND), below=f"/{consent_id}")

    return await once(call, work, show)


@routes.get(_CONSENT)
async def get_vrp_consent(call: Call, consent_id: str) -> OBDomesticVRPConsentResponse:
    """Show a consent to recurring payments, and where it stands."""
    return await _show_consent(call, await own(call, consent_id, _KIND))


@routes.delete(_CONSENT)
async def delete_vrp_consent(call: Call, consent_id: str) -> None:
    """End a consent to recurring payments: no payment passes any more once this is answered."""
    await end_own(call, consent_id, _KIND)


class _Operation(msgspec.Struct, frozen=True):
    """One operation of a JSON Patch (RFC 6902, section 4)."""

    op: Literal["add", "remove", "replace", "move", "copy", "test"]
    path: Annotated[str, msgspec.Meta(pattern=r"^(/[^~]*(~[01][^~]*)*)?$(?!\n)")]


_PATCHES: Final = msgspec.json.Decoder(Annotated[list[_Operation], msgspec.Meta(min_length=1)])


@routes.put(_CONSENT, errors=(errors.ConsentNeedsNoMigration,))
async def put_vrp_consent(
    call: Call, consent_id: str, body: OBDomesticVRPConsentRequest
) -> OBDomesticVRPConsentResponse:
    """Bring a consent of an older version of the standard into this one. None here is of an older one."""
    consent = await own(call, consent_id, _KIND)
    asked = _read_asked(await consents.open_request(call.services, call.tenant, consent))
    reading.check_migration(asked, body)
    raise _needs_none()


@routes.patch(_CONSENT, errors=(errors.ConsentNeedsNoMigration,), body_media_type=_PATCH)
async def patch_vrp_consent(call: Call, consent_id: str, body: bytes) -> OBDomesticVRPConsentResponse:
    """Bring parts of a consent of an older version of the standard into this one. None here is of an older one."""
    decode_json(body, _PATCHES)
    await own(call, consent_id, _KIND)
    raise _needs_none()


def _needs_none() -> errors.ConsentNeedsNoMigration:
    return errors.ConsentNeedsNoMigration("the consent was made in this version of the standard", param="ConsentId")


# Whether there is money.


@routes.post(f"{_CONSENT}/funds-confirmation", errors=(errors.ControlParametersBreached,))
async def confirm_vrp_funds(
    call: Call, consent_id: str, body: OBVRPFundsConfirmationRequest
) -> OBVRPFundsConfirmationResponse:
    """Tell whether a payment of an amount would find the money that it needs."""
    if body.data.consent_id != consent_id:
        raise field_error("Data.ConsentId", CONSENT_MISMATCH, "the address names another consent")
    path = "Data.InstructedAmount"
    amount = read_amount(body.data.instructed_amount, path, call.tenant.manifest.currencies)
    async with call.tx() as tx:
        with _naming_the_consent():
            consent = await _use(call, tx, consent_id, operation="funds_confirmation")
        # Whoever may take nine pounds at a time needn't know whether there are nine thousand.
        payments.check_maximum(payments.agreed(consent), amount)
        now = await tenant_now(tx)
        (wallet,) = await wallets.with_balances(tx, [await wallets.get_wallet(tx, consent.wallet_ids[0])])
    has_it = wallets.has_funds(wallet, amount)
    return OBVRPFundsConfirmationResponse(
        data=OBVRPFundsConfirmationResponseData(
            funds_confirmation_id=str(ids.uuid7()),
            consent_id=consent_id,
            creation_date_time=now,
            reference=body.data.reference,
            funds_available_result=OBPAFundsAvailableResult1(
                funds_available_date_time=now, funds_available="Available" if has_it else "NotAvailable"
            ),
            instructed_amount=body.data.instructed_amount,
        )
    )


# Payments.


@routes.post(_PAYMENTS, hot=True, one_command=True, errors=(errors.ControlParametersBreached,))
async def create_vrp_payment(call: Call, body: OBDomesticVRPRequest) -> OBDomesticVRPResponse:
    """Order a payment within what a customer has agreed to. A copy is told what has become of it."""
    asked_for = reading.read_order(body, call.tenant.manifest.currencies)
    creditor = creditor_of(body.data.instruction.creditor_account, "Data.Instruction.CreditorAccount")
    # Whether it can be used now is decided with the payment; a copy is answered also where it can't any more.
    consent = await own(call, body.data.consent_id, _KIND)
    if consent.id != call.caller.consent_id:
        raise errors.ConsentOfAnother("the access token is for another consent")
    with _naming_the_consent():
        if consent.party_id is None:
            raise errors.ConsentNotUsable(consent_status=consent.status, consent_id=consent.wire_id)
    asked = _read_asked(await consents.open_request(call.services, call.tenant, consent))
    reading.check_repeats(asked, body)
    order = await payments.order(
        call.services,
        call.tenant,
        consent_id=consent.id,
        party_id=consent.party_id,
        digest=consents.digest(call.services, call.tenant, repeated(body.data.initiation, body.risk)),
        amount=reading.money_of(asked_for),
        creditor=creditor,
        leaves=not isinstance(creditor, UUID),
        texts=texts_of(body.data.instruction, body),
        facts=asked_for,
    )
    with _naming_the_consent(), naming_creditor("Data.Instruction.CreditorAccount"):
        reply = await ledger.command(call, INITIATE_RECURRING, order)
        said = accepted(reply)
    row: PaymentRow | Placed = payments.placed(said)
    if reply.replayed:
        async with call.tx() as tx:
            row = await payments.get_payment(tx, payments.initiated(said))
    return await _show_payment(call, row, asked, body, below=f"/{row.wire_id}")


@routes.get(_PAYMENT)
async def get_vrp_payment(call: Call, domestic_vrp_id: str) -> OBDomesticVRPResponse:
    """Show a recurring payment, and where it stands."""
    row = await own_payment(call, domestic_vrp_id, _KIND, param="DomesticVRPId")
    assert row.consent_id is not None, "a third party has ordered it"
    async with call.tx() as tx:
        # Payments are kept for longer than consents.
        consent = await consents.find(tx, row.consent_id)
    texts = (await payments.open_texts(call.services, call.tenant, [row.id])).get(row.id)
    if texts is None:
        raise errors.SubjectForgotten
    asked = None
    if consent is not None:
        asked = _read_asked(await consents.open_request(call.services, call.tenant, consent))
    return await _show_payment(call, row, asked, _read_said(texts.order))


@routes.get(f"{_PAYMENT}/payment-details")
async def get_vrp_payment_details(call: Call, domestic_vrp_id: str) -> OBDomesticVRPDetails:
    """Show every status that a recurring payment has had."""
    row = await own_payment(call, domestic_vrp_id, _KIND, param="DomesticVRPId")
    async with call.tx() as tx:
        steps = await payments.list_steps(tx, row.id)
    texts = (await payments.open_texts(call.services, call.tenant, [row.id])).get(row.id)
    return details_response(row, steps, None if texts is None else texts.instrument)


# What several of them need.


async def _use(call: Call, tx: Any, consent_id: str, operation: str) -> Consent:
    """Return the consent of the caller's token, if it can be used now, and count that."""
    uses = consents.uses_of(call.services)
    return await consents.use(
        tx, call.caller, kind=_KIND, consent_id=read_id(consent_id), uses=uses, operation=operation
    )


@contextmanager
def _naming_the_consent() -> Iterator[None]:
    """Refuse what a consent's status doesn't allow as the standard does of payments: by the field that names it."""
    try:
        yield
    except errors.ConsentNotUsable as error:
        raise field_error("Data.ConsentId", CONSENT_STATUS, f"the consent is {error.consent_status}") from error


async def _show_consent(call: Call, consent: Consent, *, below: str = "") -> OBDomesticVRPConsentResponse:
    asked = _read_asked(await consents.open_request(call.services, call.tenant, consent))
    debtor = asked.data.initiation.debtor_account
    chosen = None if debtor is UNSET else debtor
    if chosen is None and consent.wallet_ids:
        chosen = OBCashAccountDebtorWithName(**(await debtor_of(call, consent.wallet_ids[0]))._asdict())
    return consent_response(consent, asked, chosen, address_of(call, below=below))


async def _show_payment(
    call: Call,
    row: PaymentRow | Placed,
    asked: OBDomesticVRPConsentRequest | None,
    said: OBDomesticVRPRequest,
    *,
    below: str = "",
) -> OBDomesticVRPResponse:
    # It is the same in each order as in the consent.
    given = said.data.initiation.debtor_account
    if given is UNSET:
        given = OBCashAccountDebtorWithName(**(await debtor_of(call, row.wallet_id))._asdict())
    refund = given if asked is not None and asked.data.read_refund_account == "Yes" else None
    return payment_response(row, said, given, refund, address_of(call, below=below))
