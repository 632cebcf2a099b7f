"""Confirmation of funds: consents for it, and whether there is money (4 operations)."""

from typing import Final

import msgspec
from msgspec import UNSET

from billfold import errors, ids
from billfold.contract.open_banking.funds import (
    OBFundsConfirmation1,
    OBFundsConfirmationConsent1,
    OBFundsConfirmationConsentResponse1,
    OBFundsConfirmationConsentResponse1Data,
    OBFundsConfirmationResponse1,
    OBFundsConfirmationResponse1Data,
)
from billfold_server.consents import service as consents
from billfold_server.consents.service import Consent, ConsentKind, NewConsent
from billfold_server.http.routing import Call
from billfold_server.open_banking.consents import reading
from billfold_server.open_banking.consents.answers import end_own, own, read_id, said_of
from billfold_server.open_banking.edge.answers import links_of, meta_of
from billfold_server.open_banking.edge.errors import register
from billfold_server.open_banking.edge.routes import OpenBankingRoutes
from billfold_server.open_banking.payments.accounts import check_debtor
from billfold_server.open_banking.payments.reading import read_amount
from billfold_server.tenancy.clock import tenant_now
from billfold_server.wallets import service as wallets

__all__ = ["routes"]

routes = OpenBankingRoutes(
    "cbpii",
    tag="Open banking: confirmation of funds",
    description="Whether a customer's account has the money that a card payment needs: a yes or a no.",
)

_KIND: Final[ConsentKind] = "funds_confirmation"
_CONSENT: Final = "/funds-confirmation-consents/{ConsentId}"

# What named somebody who was forgotten is as if it had never been.
register(errors.SubjectForgotten, "U011", status=400)

_read_asked: Final = msgspec.json.Decoder(OBFundsConfirmationConsent1).decode


@routes.post("/funds-confirmation-consents")
async def create_funds_confirmation_consent(
    call: Call, body: OBFundsConfirmationConsent1
) -> OBFundsConfirmationConsentResponse1:
    """Ask for a customer's consent to be told whether there is money."""
    check_debtor(body.data.debtor_account, "Data.DebtorAccount")
    async with call.tx() as tx:
        now = await tenant_now(tx)
    new = NewConsent(
        kind=_KIND,
        client_id=call.caller.client_id,
        expires_at=reading.read_end(body.data.expiration_date_time, now),
        request=msgspec.json.encode(body),
    )
    prepared = await consents.prepare(call.services, call.tenant, new)
    async with call.tx() as tx:
        consent = await consents.create(tx, call.caller, prepared, await tenant_now(tx))
    return _shown(call, consent, body, below=f"/{consent.wire_id}")


@routes.get(_CONSENT)
async def get_funds_confirmation_consent(call: Call, consent_id: str) -> OBFundsConfirmationConsentResponse1:
    """Show a consent to confirm funds, and where it stands."""
    consent = await own(call, consent_id, _KIND)
    return _shown(call, consent, _read_asked(await consents.open_request(call.services, call.tenant, consent)))


@routes.delete(_CONSENT)
async def delete_funds_confirmation_consent(call: Call, consent_id: str) -> None:
    """End a consent to confirm funds: nothing is told any more once this is answered."""
    await end_own(call, consent_id, _KIND)


@routes.post("/funds-confirmations")
async def create_funds_confirmation(call: Call, body: OBFundsConfirmation1) -> OBFundsConfirmationResponse1:
    """Tell whether an account has an amount at this moment."""
    asked = body.data
    amount = read_amount(asked.instructed_amount, "Data.InstructedAmount", call.tenant.manifest.currencies)
    async with call.tx() as tx:
        consent = await consents.use(
            tx,
            call.caller,
            kind=_KIND,
            consent_id=read_id(asked.consent_id),
            uses=consents.uses_of(call.services),
        )
        now = await tenant_now(tx)
        (wallet,) = await wallets.with_balances(tx, [await wallets.get_wallet(tx, consent.wallet_ids[0])])
    confirmation_id = str(ids.uuid7())
    return OBFundsConfirmationResponse1(
        data=OBFundsConfirmationResponse1Data(
            funds_confirmation_id=confirmation_id,
            consent_id=consent.wire_id,
            creation_date_time=now,
            funds_available=wallets.has_funds(wallet, amount),
            reference=asked.reference,
            instructed_amount=asked.instructed_amount,
        ),
        links=links_of(call, below=f"/{confirmation_id}"),
        meta=meta_of(),
    )


def _shown(
    call: Call, consent: Consent, asked: OBFundsConfirmationConsent1, *, below: str = ""
) -> OBFundsConfirmationConsentResponse1:
    return OBFundsConfirmationConsentResponse1(
        data=OBFundsConfirmationConsentResponse1Data(
            **said_of(consent),
            expiration_date_time=consent.expires_at or UNSET,
            debtor_account=asked.data.debtor_account,
        ),
        links=links_of(call, below=below),
        meta=meta_of(),
    )
