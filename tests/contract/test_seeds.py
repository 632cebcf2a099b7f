"""What takes the place of made-up ids in cases."""

import httpx
import pytest

from tests.contract.documents import operations, read_document, tenant_part
from tests.contract.seeds import FRESH, Seeds

EXAMPLE = "cli_01m7w9tnzcejq9b78b81gh4nmw"
REAL = "cli_01m81w7411efb81as1xygb4186"


@pytest.fixture
def seeds() -> Seeds:
    """A tenant's objects, of which one is a client."""
    planted = Seeds(httpx.Client(), ask_consent=str, give_consent=str)
    planted.replace("cli", [REAL])
    return planted


class TestAnId:
    def test_that_names_nothing_gives_way(self, seeds: Seeds) -> None:
        """A case names what there is, wherever in it the id stands."""
        assert seeds.real({"client_id": EXAMPLE, "of": [EXAMPLE]}) == {"client_id": REAL, "of": [REAL]}

    def test_that_an_answer_tells_is_kept(self, seeds: Seeds) -> None:
        """What somebody else has made exists as well."""
        seeds.learn({"data": [{"id": EXAMPLE}]})
        assert seeds.real(EXAMPLE) == EXAMPLE

    def test_that_an_answer_only_repeats_gives_way_still(self, seeds: Seeds) -> None:
        """A text that a case had with it says nothing about what there is."""
        seeds.real({"description": EXAMPLE})
        seeds.learn({"id": "prd_01m81w7411efb81as1xygb4186", "description": EXAMPLE})
        assert seeds.real(EXAMPLE) == REAL


class TestWhoAsks:
    @pytest.mark.parametrize("who", ["{user_id}", "{client_id}"])
    def test_is_never_stopped_on_the_way(self, who: str) -> None:
        """Links lead to everybody who is listed: whatever is done to one is done to one that was made for it."""
        every = operations(tenant_part(read_document(), ""))
        done_to_them = [each.operation_id for each in every if who in each.path and each.method != "GET"]
        assert done_to_them
        assert [name for name in done_to_them if name not in FRESH] == []
