"""What an arrangement says belongs to its kind."""

import pytest

from billfold import errors
from billfold.contract.arrangements import ArrangementKind, CreateArrangement, Offer, OfferType
from billfold_server.arrangements.rows import TERMS
from billfold_server.arrangements.rules import terms_of

OFFER = Offer(type=OfferType.OTHER, description="x")
WALLET = "wal_01m7w9tnzcejq9b78b81gh4nmw"


class TestAKind:
    @pytest.mark.parametrize("kind", list(ArrangementKind))
    def test_has_terms(self, kind: ArrangementKind):
        """Every kind has a type, and a member of its name in requests and answers."""
        assert kind in TERMS
        assert kind.value in CreateArrangement.__struct_fields__

    @pytest.mark.parametrize("kind", [each for each in ArrangementKind if each is not ArrangementKind.OFFER])
    def test_is_said_by_its_own_member_alone(self, kind: ArrangementKind):
        """What names another kind than it says, or says nothing, is refused by the member that is missing."""
        for offer in (None, OFFER):
            with pytest.raises(errors.ArrangementInvalid) as refused:
                terms_of(CreateArrangement(wallet_id=WALLET, kind=kind, offer=offer))
            assert refused.value.param == kind.value

    def test_and_member_that_agree_are_taken(self):
        """An offer says what it is."""
        assert terms_of(CreateArrangement(wallet_id=WALLET, kind=ArrangementKind.OFFER, offer=OFFER)) == OFFER
