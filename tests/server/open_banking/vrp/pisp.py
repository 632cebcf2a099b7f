"""A third party that pays for a customer again and again, over HTTP, at one worker and another."""

import asyncio
from typing import Any
from uuid import UUID

import httpx
import msgspec

from billfold import ids
from billfold.ids import Prefix
from billfold_server.consents import service as consents
from billfold_server.payments.control_parameters import Period
from billfold_server.payments.service import agreed, day_of, periods_on
from billfold_server.tenancy.clock import tenant_now
from tests.server.identity.flows import tx_of
from tests.server.open_banking.ordering import AT, SLUG, Ordering

__all__ = ["Pisp"]


class Pisp(Ordering):
    """A third party that is allowed recurring payments."""

    async def pay_at_once(
        self, consent_id: UUID, orders: list[Any], *, keys: list[str] | None = None
    ) -> list[httpx.Response]:
        """Send payments at once, to one worker and the other."""
        token = self.token(consent_id)
        limits = httpx.Limits(max_connections=64)
        async with httpx.AsyncClient(timeout=60, limits=limits) as client:

            async def one(number: int, said: Any) -> httpx.Response:
                body = msgspec.json.encode(said)
                headers = self.headers(body, token, keys[number] if keys else None)
                url = f"{self.workers[number % len(self.workers)].base(SLUG)}{AT}/domestic-vrps"
                return await client.post(url, content=body, headers=headers)

            return await asyncio.gather(*(one(number, said) for number, said in enumerate(orders)))

    def consented(self, **control: Any) -> UUID:
        """Ask for a consent, and let the customer agree."""
        answer = self.ask("POST", "/domestic-vrp-consents", self.consent(**control))
        assert answer.status_code == 201, answer.text
        return self.authorise(answer.json()["Data"]["ConsentId"])

    def counted(self, consent_id: UUID) -> list[tuple[str, int, int]]:
        """Return what is counted under a consent: the period's kind, the sum and how many payments it is of."""

        async def read() -> list[tuple[str, int, int]]:
            async with tx_of(self.workers[0], SLUG) as tx:
                rows = await tx.fetch(
                    "SELECT period_type, spent_minor, payments FROM vrp_periods WHERE consent_id = $1", consent_id
                )
            return [tuple(row) for row in rows]

        return self.workers[0].run(read())  # type: ignore[no-any-return]

    def periods(self, consent_id: UUID) -> list[Period]:
        """Return the periods in which a payment would count now."""

        async def read() -> list[Period]:
            async with tx_of(self.workers[0], SLUG) as tx:
                consent = await consents.get(tx, consent_id, client_id=self.client_id)
                return periods_on(agreed(consent), day_of(await tenant_now(tx)))

        return self.workers[0].run(read())  # type: ignore[no-any-return]

    def sweep(self, consent_id: UUID) -> None:
        """Delete a consent, as is done with those that ended long ago."""

        async def delete() -> None:
            async with tx_of(self.workers[0], SLUG) as tx:
                assert await tx.execute("DELETE FROM consents WHERE id = $1", consent_id) == "DELETE 1"

        self.workers[0].run(delete())

    # What is said.

    def consent(self, **control: Any) -> dict[str, Any]:
        """Return what is asked of the customer."""
        agreed = {
            "VRPType": ["UK.OBIE.VRPType.Sweeping"],
            "PSUAuthenticationMethods": ["UK.OBIE.SCANotRequired"],
            "MaximumIndividualAmount": {"Amount": "90.00", "Currency": "EUR"},
            "PeriodicLimits": [
                {"PeriodType": "Month", "PeriodAlignment": "Consent", "Amount": "500.00", "Currency": "EUR"}
            ],
            **control,
        }
        return {
            "Data": {"ControlParameters": agreed, "Initiation": {"CreditorAccount": self.payee}},
            "Risk": {"PaymentContextCode": "TransferToSelf"},
        }

    def payment(self, consent_id: UUID, amount: str = "10.00") -> dict[str, Any]:
        """Return an order under a consent."""
        return {
            "Data": {
                "ConsentId": ids.encode(Prefix.CONSENT, consent_id),
                "PSUAuthenticationMethod": "UK.OBIE.SCANotRequired",
                "VRPType": "UK.OBIE.VRPType.Sweeping",
                "Initiation": {"CreditorAccount": self.payee},
                "Instruction": {
                    "InstructionIdentification": "I1",
                    "EndToEndIdentification": "E1",
                    "InstructedAmount": {"Amount": amount, "Currency": "EUR"},
                    "CreditorAccount": self.payee,
                },
            },
            "Risk": {"PaymentContextCode": "TransferToSelf"},
        }
