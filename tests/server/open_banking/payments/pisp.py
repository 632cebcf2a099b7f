"""A third party that pays for a customer, over HTTP."""

import base64
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import msgspec

from billfold import ids
from billfold.ids import Prefix
from billfold_server.consents import service as consents
from billfold_server.consents.service import By
from billfold_server.identity.grants import service as grants
from billfold_server.identity.tokens import access_tokens
from billfold_server.tenancy.context import SYSTEM
from tests.server.open_banking.ordering import OPENED_MINOR, SLUG, Ordering

__all__ = ["OPENED_MINOR", "RISK", "Pisp"]

RISK = {"PaymentContextCode": "TransferToThirdParty"}


class Pisp(Ordering):
    """A third party that is allowed single payments."""

    # What the customer does, and others.

    def revoke(self, consent_id: UUID, by: By = "psu", reason: str = "no more") -> None:
        """Let the customer end it, or somebody else."""

        async def end() -> None:
            services = self.workers[0].services
            async with services.database.tx(await services.registry.get(SLUG)) as tx:
                await consents.revoke(tx, consent_id, actor=SYSTEM, by=by, reason=reason)

        self.workers[0].run(end())

    def end_grants(self, consent_id: UUID) -> None:
        """Let what was given by a consent end, and the consent stay as it is."""

        async def end() -> None:
            services = self.workers[0].services
            async with services.database.tx(await services.registry.get(SLUG)) as tx:
                assert await grants.revoke_grants(tx, "ended", now=services.clock.now(), consent_id=consent_id)

        self.workers[0].run(end())

    def revoke_token(self, consent_id: UUID) -> None:
        """Give the token of a consent back, and nothing else."""
        body = self.token(consent_id).split(".")[1]
        jti = msgspec.json.decode(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))["jti"]

        async def revoke() -> None:
            services = self.workers[0].services
            async with services.database.tx(await services.registry.get(SLUG)) as tx:
                now = services.clock.now()
                await tx.execute(
                    "INSERT INTO revoked_tokens (digest, client_id, revoked_at, expires_at) VALUES ($1, $2, $3, $4)",
                    access_tokens.digest_of(jti),
                    self.client_id,
                    now,
                    now + timedelta(minutes=10),
                )

        self.workers[0].run(revoke())

    # What is said.

    def initiation(self, amount: str = "10.00", **more: Any) -> dict[str, Any]:
        """Return what is to be paid."""
        return {
            "InstructionIdentification": "I1",
            "EndToEndIdentification": "E1",
            "InstructedAmount": {"Amount": amount, "Currency": "EUR"},
            "CreditorAccount": self.payee,
            "RemittanceInformation": {"Unstructured": ["Invoice 4711"]},
            **more,
        }

    def consent(self, amount: str = "10.00", **more: Any) -> dict[str, Any]:
        """Return what is asked of the customer."""
        asked = {name: more.pop(name) for name in ("ReadRefundAccount",) if name in more}
        return {"Data": {"Initiation": self.initiation(amount, **more), **asked}, "Risk": RISK}

    def consented(self, amount: str = "10.00", **more: Any) -> UUID:
        """Ask for a consent, and let the customer agree."""
        answer = self.ask("POST", "/domestic-payment-consents", self.consent(amount, **more))
        assert answer.status_code == 201, answer.text
        return self.authorise(answer.json()["Data"]["ConsentId"])

    def payment(self, consent_id: UUID, amount: str = "10.00", **more: Any) -> dict[str, Any]:
        """Return the order of a consent's payment."""
        said = {"ConsentId": ids.encode(Prefix.CONSENT, consent_id), "Initiation": self.initiation(amount, **more)}
        return {"Data": said, "Risk": RISK}

    def pay(self, consent_id: UUID, amount: str = "10.00", *, key: str | None = None, **more: Any) -> httpx.Response:
        """Order the payment of a consent."""
        return self.ask(
            "POST", "/domestic-payments", self.payment(consent_id, amount, **more), consent_id=consent_id, key=key
        )
