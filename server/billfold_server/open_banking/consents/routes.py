"""Consents to read accounts (3 operations)."""

from typing import Any, Final

import msgspec
from msgspec import UNSET

from billfold.contract.open_banking.accounts import (
    OBReadConsent1,
    OBReadConsentResponse1,
    OBReadConsentResponse1Data,
    OBRisk2,
)
from billfold_server.consents import service as consents
from billfold_server.consents.service import Consent, ConsentKind, NewConsent
from billfold_server.http.routing import Call
from billfold_server.open_banking.consents import reading
from billfold_server.open_banking.consents.answers import end_own, own, said_of
from billfold_server.open_banking.edge.answers import links_of, meta_of
from billfold_server.open_banking.edge.routes import OpenBankingRoutes
from billfold_server.tenancy.clock import tenant_now

__all__ = ["routes"]

routes = OpenBankingRoutes(
    "aisp",
    tag="Open banking: consents to read accounts",
    description="What a third party asks a customer to let it read.",
)

_KIND: Final[ConsentKind] = "account_access"
_CONSENT: Final = "/account-access-consents/{ConsentId}"


@routes.post("/account-access-consents")
async def create_account_access_consent(call: Call, body: OBReadConsent1) -> OBReadConsentResponse1:
    """Ask for a customer's consent to read accounts."""
    asked = body.data
    reading.check_permissions(asked.permissions)
    async with call.tx() as tx:
        now = await tenant_now(tx)
    begin = reading.to_utc("Data.TransactionFromDateTime", asked.transaction_from_date_time)
    end = reading.to_utc("Data.TransactionToDateTime", asked.transaction_to_date_time)
    reading.check_period(begin, end)
    new = NewConsent(
        kind=_KIND,
        client_id=call.caller.client_id,
        expires_at=reading.read_end(asked.expiration_date_time, now),
        permissions=frozenset(asked.permissions),
        transactions_from=begin,
        transactions_to=end,
        request=msgspec.json.encode(body),
    )
    prepared = await consents.prepare(call.services, call.tenant, new)
    async with call.tx() as tx:
        consent = await consents.create(tx, call.caller, prepared, await tenant_now(tx))
    return _shown(call, consent, below=f"/{consent.wire_id}")


@routes.get(_CONSENT)
async def get_account_access_consent(call: Call, consent_id: str) -> OBReadConsentResponse1:
    """Show a consent to read accounts, and where it stands."""
    return _shown(call, await own(call, consent_id, _KIND))


@routes.delete(_CONSENT)
async def delete_account_access_consent(call: Call, consent_id: str) -> None:
    """End a consent to read accounts: nothing is read any more once this is answered."""
    await end_own(call, consent_id, _KIND)


def _shown(call: Call, consent: Consent, *, below: str = "") -> OBReadConsentResponse1:
    permissions: Any = sorted(consent.permissions)
    return OBReadConsentResponse1(
        data=OBReadConsentResponse1Data(
            **said_of(consent),
            permissions=permissions,
            expiration_date_time=consent.expires_at or UNSET,
            transaction_from_date_time=consent.transactions_from or UNSET,
            transaction_to_date_time=consent.transactions_to or UNSET,
        ),
        risk=OBRisk2(),
        links=links_of(call, below=below),
        meta=meta_of(),
    )
