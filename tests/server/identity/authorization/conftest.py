"""A third party and a customer of the sandbox."""

import pytest

from tests.live import LiveServer
from tests.server.identity.authorization.consents_of import Tpp, add_tpp, open_wallet
from tests.server.identity.flows import Person, add_person

SLUG = "sandbox"


@pytest.fixture(scope="module")
def tpp(profiled: LiveServer) -> Tpp:
    """A third party of the sandbox."""
    return add_tpp(profiled, SLUG, authorization_details_types=["open_banking_consent"])


@pytest.fixture(scope="module")
def customer(profiled: LiveServer) -> tuple[Person, str, str]:
    """A customer with two wallets."""
    person = add_person(profiled, SLUG)
    assert person.party_id is not None
    return (
        person,
        open_wallet(profiled, SLUG, person.party_id, "Every day"),
        open_wallet(profiled, SLUG, person.party_id, "Savings"),
    )
