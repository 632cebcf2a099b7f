"""Our document of this interface, against the official ones: operation by operation, fact by fact."""

import copy
from collections.abc import Callable
from typing import Any, Final

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from billfold.contract.open_banking.payments import OBWriteDomestic2, OBWriteDomesticResponse5
from billfold_server.http.openapi import OPEN_BANKING, dump_yaml
from billfold_server.http.routing import Call
from billfold_server.open_banking.edge.document import build_open_banking_document
from billfold_server.open_banking.edge.interface import INTERFACE, Declared, root_of
from billfold_server.open_banking.edge.routes import OpenBankingRoutes
from billfold_server.rooms import ROOMS
from tests.server.http.test_openapi import EXPORTED
from tests.server.open_banking.comparing import facts_of_official, facts_of_ours
from tests.server.open_banking.documents import official_operations

NOT_YET: Final[frozenset[str]] = frozenset()
"""Operations that no room serves yet: none."""

Change = Callable[[dict[str, Any]], object]


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    """Return the document that the code makes."""
    return build_open_banking_document(ROOMS)


def place_of(declared: Declared) -> str:
    """Return an operation's path in our document."""
    return root_of(declared.area) + declared.path


def differences(document: dict[str, Any], declared: Declared) -> list[str]:
    """Return what the two documents say differently of an operation."""
    theirs = facts_of_official(official_operations()[declared.area, declared.method, declared.path])
    ours = facts_of_ours(document, declared.method, place_of(declared))
    return sorted([f"missing: {each}" for each in theirs - ours] + [f"of our own: {each}" for each in ours - theirs])


def declared_here() -> OpenBankingRoutes:
    """Return two operations as a room declares them."""
    routes = OpenBankingRoutes("pisp", tag="Payments", description="Payments.")

    @routes.post("/domestic-payments")
    async def create_domestic_payment(call: Call, body: OBWriteDomestic2) -> OBWriteDomesticResponse5:
        """Make a payment."""
        raise NotImplementedError((call, body))

    @routes.get("/domestic-payments/{DomesticPaymentId}")
    async def get_domestic_payment(call: Call, domestic_payment_id: str) -> OBWriteDomesticResponse5:
        """Show a payment."""
        raise NotImplementedError((call, domestic_payment_id))

    return routes


PAYMENTS: Final = INTERFACE["pisp", "POST", "/domestic-payments"]


def operation_in(document: dict[str, Any]) -> Any:
    """Return the operation that makes payments."""
    return document["paths"][place_of(PAYMENTS)]["post"]


def schema_in(document: dict[str, Any], name: str) -> Any:
    """Return a schema by its name."""
    return document["components"]["schemas"][name]


class TestTheDocument:
    def test_is_the_committed_one(self, document: dict[str, Any]) -> None:
        """Whoever changes an operation exports the document anew."""
        assert EXPORTED.with_name(OPEN_BANKING).read_text(encoding="utf-8") == dump_yaml(document)

    def test_is_valid_openapi(self, document: dict[str, Any]) -> None:
        """It is valid by OpenAPI 3.1's own schema, however few operations there are."""
        OpenAPIV31SpecValidator(document).validate()

    def test_has_every_operation_that_is_served(self, document: dict[str, Any]) -> None:
        """All operations of the official documents are there, but for those that are named as missing."""
        there = {each["operationId"] for item in document["paths"].values() for each in item.values()}
        official = {each.operation_id for each in official_operations().values()}
        assert there <= official
        assert official - there <= NOT_YET

    @pytest.mark.parametrize("declared", INTERFACE.values(), ids=lambda each: each.operation_id)
    def test_says_what_the_official_one_says(self, declared: Declared, document: dict[str, Any]) -> None:
        """Id, security, parameters, headers, statuses and every constraint of every schema are the same."""
        if declared.method.lower() not in document["paths"].get(place_of(declared), {}):
            assert declared.operation_id in NOT_YET
            return
        assert differences(document, declared) == []


CHANGES: Final[dict[str, Change]] = {
    "a status is gone": lambda all_: operation_in(all_)["responses"].pop("409"),
    "a status more": lambda all_: operation_in(all_)["responses"].update({"422": {"description": "More."}}),
    "a header is gone": lambda all_: operation_in(all_)["responses"]["201"]["headers"].pop("x-jws-signature"),
    "a parameter is gone": lambda all_: operation_in(all_)["parameters"].pop(),
    "a length": lambda all_: operation_in(all_)["parameters"][-2]["schema"].update(maxLength=41),
    "a media type": lambda all_: operation_in(all_)["requestBody"]["content"].pop("application/json"),
    "the security": lambda all_: operation_in(all_).update(security=[{"TPPOAuth2Security": ["payments"]}]),
    "the id": lambda all_: operation_in(all_).update(operationId="createDomesticPayments"),
    "a required member": lambda all_: schema_in(all_, "OBWriteDomestic2Data")["required"].pop(),
    "further members": lambda all_: schema_in(all_, "OBWriteDomestic2Data").pop("additionalProperties"),
    "a member is gone": lambda all_: schema_in(all_, "OBWriteDomestic2Data")["properties"].pop("Initiation"),
    "a bound of a member": lambda all_: schema_in(all_, "OBRisk1")["properties"]["MerchantCategoryCode"].update(
        maxLength=5
    ),
    "a value of a list": lambda all_: schema_in(all_, "OBRisk1")["properties"]["PaymentContextCode"]["enum"].pop(),
    "a length of a list": lambda all_: schema_in(all_, "OBErrorResponse1")["properties"]["Errors"].pop("minItems"),
}


class TestTheComparison:
    """What is declared as the official document has it is found alike; each of these changes is found."""

    def test_finds_no_difference_where_there_is_none(self) -> None:
        """Two operations that are declared as they must be differ in nothing, of several hundred facts."""
        document = build_open_banking_document([declared_here()])
        assert differences(document, PAYMENTS) == []
        assert len(facts_of_ours(document, "POST", place_of(PAYMENTS))) > 500

    @pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
    def test_finds_what_was_changed(self, change: Change) -> None:
        """A status, header, parameter, media type, scope, id, member or constraint that differs is named."""
        document = copy.deepcopy(build_open_banking_document([declared_here()]))
        change(document)
        assert differences(document, PAYMENTS) != []
