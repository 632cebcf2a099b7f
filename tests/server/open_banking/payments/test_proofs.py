"""Orders of payments whose token is bound to a key: the proof is remembered with the payment, and counts once."""

import secrets
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import msgspec
import pytest

from billfold_server.identity.tokens import access_tokens
from billfold_server.identity.tokens.access_tokens import Claims, Confirmation
from tests.live import LiveServer, serve
from tests.server.identity.grants.asking import claims_of
from tests.server.identity.tokens.proofs import Prover
from tests.server.open_banking.ordering import AT
from tests.server.open_banking.payments.pisp import Pisp

ORDERS = "/domestic-payments"


@pytest.fixture(scope="module")
def pisp(live: LiveServer) -> Iterator[Pisp]:
    """A third party with a customer, and a second worker."""
    settings = msgspec.structs.replace(live.settings, public_url=live.url)
    with serve(settings) as again:
        yield Pisp.at([live, again])


@pytest.fixture(scope="module")
def prover() -> Prover:
    """The third party's key."""
    return Prover()


def bound(pisp: Pisp, prover: Prover, consent_id: UUID) -> str:
    """Return a consent's token that is bound to the key."""
    live = pisp.workers[0]

    async def sign() -> str:
        realm = live.services.identity.realm(await live.services.registry.get("alpha"))
        claims = msgspec.convert(claims_of(pisp.token(consent_id)), Claims)
        claims = msgspec.structs.replace(claims, jti=secrets.token_urlsafe(16), cnf=Confirmation(jkt=prover.jkt))
        return await live.services.identity.signing.sign(realm, claims, typ=access_tokens.TYPE)

    pisp.token(consent_id)
    return str(live.run(sign()))


def proven(pisp: Pisp, prover: Prover, consent_id: UUID) -> dict[str, str]:
    """Return the headers of an order with a fresh proof."""
    token = bound(pisp, prover, consent_id)
    proof = prover.proof("POST", f"{pisp.workers[0].base('alpha')}{AT}{ORDERS}", token=token)
    return {"Authorization": f"DPoP {token}", "DPoP": proof}


def is_refused(answer: Any) -> bool:
    """Tell whether a proof was known."""
    return answer.status_code == 401 and 'error="invalid_dpop_proof"' in answer.headers["www-authenticate"]


class TestAProofOfAnOrder:
    def test_is_good_once(self, pisp: Pisp, prover: Prover) -> None:
        """A copy of the whole order is worth nothing, at either worker; a new proof is told what has become of it."""
        consent_id, key = pisp.consented(), secrets.token_hex(16)
        order, headers = pisp.payment(consent_id), proven(pisp, prover, consent_id)
        made = pisp.ask("POST", ORDERS, order, consent_id=consent_id, key=key, headers=headers)
        assert made.status_code == 201, made.text
        for worker in (0, 1):
            copy = pisp.ask("POST", ORDERS, order, consent_id=consent_id, key=key, headers=headers, worker=worker)
            assert is_refused(copy), copy.text
            assert copy.headers["x-fapi-interaction-id"]
        fresh = proven(pisp, prover, consent_id)
        again = pisp.ask("POST", ORDERS, order, consent_id=consent_id, key=key, headers=fresh)
        assert again.status_code == 201
        paid = "DomesticPaymentId"
        assert again.json()["Data"][paid] == made.json()["Data"][paid]

    def test_is_used_up_by_an_order_that_is_refused(self, pisp: Pisp, prover: Prover) -> None:
        """Whatever was wrong with it, in its form or for its consent; and the consent isn't spent by the copy."""
        consent_id = pisp.consented()
        good = pisp.payment(consent_id)
        for bad, status in (({"Data": {}}, 400), (pisp.payment(consent_id, "11.00"), 400)):
            headers = proven(pisp, prover, consent_id)
            refused = pisp.ask("POST", ORDERS, bad, consent_id=consent_id, headers=headers)
            assert refused.status_code == status, refused.text
            for worker in (1, 0):
                copy = pisp.ask("POST", ORDERS, good, consent_id=consent_id, headers=headers, worker=worker)
                assert is_refused(copy), copy.text
        made = pisp.ask("POST", ORDERS, good, consent_id=consent_id, headers=proven(pisp, prover, consent_id))
        assert made.status_code == 201, made.text
