"""What the edge asks of requests and gives to answers, on operations that only these tests have."""

import asyncio
import json
import secrets
import uuid
from collections.abc import Iterator
from typing import Any, Final

import httpx
import msgspec
import pytest

from billfold import errors, ids
from billfold.contract.open_banking.accounts import OBReadAccount6, OBReadAccount6Data
from billfold.contract.open_banking.common import Links
from billfold.contract.open_banking.payments import OBWriteDomesticConsent4, OBWriteDomesticConsentResponse5
from billfold.ids import Prefix
from billfold_server.http.answers import Answer
from billfold_server.http.context import RequestContext
from billfold_server.http.pipeline import Pipeline
from billfold_server.http.receiving import Receiving
from billfold_server.http.routing import Call, Reply
from billfold_server.open_banking.edge.answers import address_of, meta_of
from billfold_server.open_banking.edge.errors import field_error
from billfold_server.open_banking.edge.repeating import once
from billfold_server.open_banking.edge.routes import OpenBankingRoutes
from billfold_server.open_banking.edge.signatures import IAT, ISS, TAN
from billfold_server.tenancy.transaction import TenantTx
from tests.server.open_banking.signing import verified
from tests.server.open_banking.third_parties import ThirdParty

DATA: Final[dict[str, Any]] = {
    "Initiation": {
        "InstructionIdentification": "i-1",
        "EndToEndIdentification": "e-1",
        "InstructedAmount": {"Amount": "12.50", "Currency": "GBP"},
        "CreditorAccount": {"SchemeName": "UK.OBIE.IBAN", "Identification": "GB1", "Name": "Ada"},
    }
}
CONSENT: Final = {"Data": DATA, "Risk": {}}
PATH: Final = "/open-banking/v4.0/pisp/domestic-payment-consents"
made: list[str] = []
raised: list[Exception] = []

payments = OpenBankingRoutes("pisp", tag="Payments", description="Payments.")
accounts = OpenBankingRoutes("aisp", tag="Accounts", description="Accounts.")


@payments.post("/domestic-payment-consents")
async def create_consent(call: Call, body: OBWriteDomesticConsent4) -> Reply[OBWriteDomesticConsentResponse5]:
    """Make a consent, or refuse it as the test says."""

    async def work(_tx: TenantTx) -> str:
        made.append(ids.new(Prefix.CONSENT))
        if raised:
            raise raised[0]
        return made[-1]

    async def show(made_id: str) -> Any:
        return {"Data": {"ConsentId": made_id, "Status": f"{len(made)}", "Initiation": body.data.initiation}}

    return Reply(body=msgspec.json.encode(await once(call, work, show)))


@accounts.get("/accounts")
async def list_accounts(call: Call, *, page: str | None = None) -> OBReadAccount6:
    """List accounts."""
    here = address_of(call)
    links = Links(self_=here, next=address_of(call, {"page": "2"})) if page is None else Links(self_=here, first=here)
    return OBReadAccount6(data=OBReadAccount6Data(), links=links, meta=meta_of(total_pages=2))


class Asked(msgspec.Struct):
    """What was answered."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def messages(self) -> list[str]:
        """Return what is said of the errors."""
        return [each["Message"] for each in json.loads(self.body)["Errors"]]

    @property
    def codes(self) -> list[tuple[str, str | None]]:
        """Return the codes of the errors, and where they are."""
        return [(each["ErrorCode"], each.get("Path")) for each in json.loads(self.body)["Errors"]]


def ask(
    tpp: ThirdParty, routes: OpenBankingRoutes, headers: dict[str, str], body: bytes = b"", query: str = ""
) -> Asked:
    """Run a request through the one operation of some routes, as the server's edge would."""
    operation = routes.operations[0]

    async def run() -> Answer | None:
        messages = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive() -> Any:
            await asyncio.sleep(0)
            return messages.pop()

        tenant = await tpp.live.services.registry.get(tpp.slug)
        context = RequestContext(
            request_id=ids.new(Prefix.REQUEST),
            path=operation.path,
            receiving=Receiving(receive, None, has_body=bool(body)),
            headers={name: value for name, value in headers.items() if value is not None},
            base_url=tpp.live.base(tpp.slug),
            tenant=tenant,
        )
        return await Pipeline(operation, tpp.live.services).run(context, {}, query.encode())

    answer = tpp.live.run(run())
    return Asked(answer.status, {name.decode(): value.decode() for name, value in answer.headers}, answer.body)


def sent(tpp: ThirdParty, body: bytes, **changes: str | None) -> dict[str, Any]:
    """Return the headers of a request that is right, with changes; what is changed to None is left out."""
    said: dict[str, Any] = {
        "authorization": f"Bearer {tpp.token}",
        "content-type": "application/json",
        "x-idempotency-key": secrets.token_hex(16),
        "x-jws-signature": tpp.signature(body),
        **{name.replace("_", "-"): value for name, value in changes.items()},
    }
    return {name: value for name, value in said.items() if value is not None}


@pytest.fixture(autouse=True)
def forgetful() -> Iterator[None]:
    """Begin with nothing made and nothing to refuse."""
    made.clear()
    raised.clear()
    yield
    raised.clear()


def consent(**changes: Any) -> bytes:
    """Return the body of a consent."""
    return msgspec.json.encode({**CONSENT, **changes})


class TestARequest:
    def test_is_carried_out(self, tpp: ThirdParty) -> None:
        """What is signed, keyed and of its form is carried out, and the answer is signed by a key of the JWKS."""
        answer = ask(tpp, payments, sent(tpp, consent()), consent())
        assert answer.status == 201
        assert answer.headers["content-type"] == "application/json; charset=utf-8"
        jwks = httpx.get(f"{tpp.live.base(tpp.slug)}/.well-known/jwks.json").json()
        header = verified(answer.headers["x-jws-signature"], answer.body, jwks)
        assert header["alg"] == "PS256"
        assert header["http://openbanking.org.uk/iss"] == tpp.live.base(tpp.slug)
        assert header["http://openbanking.org.uk/tan"] == "127.0.0.1"

    @pytest.mark.parametrize(
        ("changes", "status"),
        [
            ({"authorization": None}, 401),
            ({"authorization": "Bearer nonsense"}, 401),
            ({"accept": "text/html"}, 406),
            ({"accept": "application/json;q=0"}, 406),
            ({"accept": "application/json; charset=latin1"}, 406),
            ({"content_type": "text/plain"}, 415),
            ({"content_type": "application/jose+jwe"}, 415),
            ({"content_type": None}, 415),
        ],
        ids=str,
    )
    def test_is_refused_without_a_word(self, changes: dict[str, Any], status: int, tpp: ThirdParty) -> None:
        """No token, a media type that isn't taken or accepted: the answer has no body, and nothing is made."""
        answer = ask(tpp, payments, sent(tpp, consent(), **changes), consent())
        assert (answer.status, answer.body) == (status, b"")
        assert "x-jws-signature" not in answer.headers
        assert made == []

    @pytest.mark.parametrize(
        ("changes", "code", "path"),
        [
            ({"x_idempotency_key": None}, "U007", "x-idempotency-key"),
            ({"x_idempotency_key": "k" * 41}, "U006", "x-idempotency-key"),
            ({"x_idempotency_key": " k"}, "U006", "x-idempotency-key"),
            ({"x_idempotency_key": "k "}, "U006", "x-idempotency-key"),
            ({"x_idempotency_key": ""}, "U006", "x-idempotency-key"),
            ({"x_jws_signature": None}, "U019", None),
            ({"x_jws_signature": "a.b.c"}, "U018", None),
            ({"x_fapi_interaction_id": "1"}, "U006", "x-fapi-interaction-id"),
            ({"x_fapi_auth_date": "2026-11-20"}, "U006", "x-fapi-auth-date"),
            ({"x_fapi_customer_ip_address": "somewhere"}, "U006", "x-fapi-customer-ip-address"),
            ({"x_fapi_auth_date": "Sun, 99 Sep 2017 99:43:31 GMT"}, "U006", "x-fapi-auth-date"),
            ({"x_fapi_customer_ip_address": "999.1.1.1"}, "U006", "x-fapi-customer-ip-address"),
            ({"payload_version": "2.0.0"}, "U006", "payload-version"),
            ({"payload_version": "vv4.0"}, "U006", "payload-version"),
        ],
        ids=str,
    )
    def test_is_refused_for_a_header(
        self, changes: dict[str, Any], code: str, path: str | None, tpp: ThirdParty
    ) -> None:
        """Code and path name what is missing or wrong, and of signatures the code alone; the refusal is signed too."""
        answer = ask(tpp, payments, sent(tpp, consent(), **changes), consent())
        assert (answer.status, answer.codes) == (400, [(code, path)])
        assert "x-jws-signature" in answer.headers
        assert made == []

    def test_may_say_what_the_headers_are_for(self, tpp: ThirdParty) -> None:
        """All headers of the standard are taken in their form."""
        more = {
            "accept": "text/html;q=0.1, application/json; charset=utf-8",
            "content_type": "application/json; charset=utf-8",
            "x_fapi_interaction_id": str(uuid.uuid4()),
            "x_fapi_auth_date": "Sun, 10 Sep 2017 19:43:31 GMT",
            "x_fapi_customer_ip_address": "2001:db8::1",
            "x_customer_user_agent": "Mozilla/5.0",
        }
        assert ask(tpp, payments, sent(tpp, consent(), **more), consent()).status == 201

    def test_is_refused_with_a_signature_of_something_else(self, tpp: ThirdParty) -> None:
        """A signature of another body, or by another third party, is none of this request."""
        other = consent(Risk={"PaymentContextCode": "TransferToSelf"})
        stranger = ThirdParty.register(tpp.live, tpp.slug)
        signature = stranger.signature(consent())
        for headers, code, path in (
            (sent(tpp, other), "U015", None),
            (sent(tpp, consent(), x_jws_signature=signature), "U016", ISS),
        ):
            answer = ask(tpp, payments, headers, consent())
            assert (answer.status, answer.codes) == (400, [(code, path)])
            assert answer.messages[0].startswith("x-jws-signature: ")
        assert made == []

    def test_is_refused_for_the_claims_of_its_signature(self, tpp: ThirdParty) -> None:
        """The path is the claim's name, as the list of codes has it: one error for each that is missing or wrong."""
        for changes, code in (({IAT: None, TAN: None, "kid": None}, "U017"), ({"kid": "unknown"}, "U016")):
            headers = sent(tpp, consent(), x_jws_signature=tpp.signature(consent(), **changes))
            answer = ask(tpp, payments, headers, consent())
            assert sorted(answer.codes) == sorted((code, name) for name in changes)
        assert made == []

    @pytest.mark.parametrize(
        ("body", "code", "path"),
        [
            (b"{", "U010", "body"),
            (b"\xff", "U010", "body"),
            (b'{"Data":{},"Data":{}}', "U010", "body"),
            (b'{"Risk":{}}', "U004", "Data"),
            (consent(Data=None), "U002", "Data"),
            (consent(More={}), "U005", "body"),
            (consent(Risk={"MerchantCategoryCode": "12345"}), "U002", "Risk.MerchantCategoryCode"),
            (consent(Risk={"DeliveryAddress": {"Country": "gb"}}), "U002", "Risk.DeliveryAddress.Country"),
            (consent(Data={"Initiation": {}}), "U004", "Data.Initiation.InstructionIdentification"),
            (
                consent(
                    Data={**CONSENT["Data"], "Authorisation": {"AuthorisationType": "Any", "CompletionDateTime": "x"}}
                ),
                "U003",
                "Data.Authorisation.CompletionDateTime",
            ),
        ],
        ids=str,
    )
    def test_is_refused_for_its_body(self, body: bytes, code: str, path: str, tpp: ThirdParty) -> None:
        """What the official schema refuses is refused, by the official code and the place."""
        answer = ask(tpp, payments, sent(tpp, body), body)
        assert (answer.status, answer.codes) == (400, [(code, path)])
        assert made == []

    def test_needs_a_token_of_its_kind(self, tpp: ThirdParty) -> None:
        """A third party's own token opens nothing of a customer's."""
        answer = ask(tpp, accounts, sent(tpp, b""))
        assert (answer.status, answer.codes) == (403, [("U006", None)])

    def test_needs_a_scope(self, tpp: ThirdParty) -> None:
        """A token without the area's scope is refused."""
        reader = ThirdParty.register(tpp.live, tpp.slug, scopes=("accounts",))
        answer = ask(reader, payments, sent(reader, consent()), consent())
        assert (answer.status, answer.codes) == (403, [("U006", None)])


class TestARefusal:
    @pytest.mark.parametrize(
        ("error", "status", "codes"),
        [
            (errors.ConsentNotFound("none"), 400, [("U011", None)]),
            (errors.NotFound("none"), 400, [("U011", None)]),
            (errors.ConsentOfAnother("none"), 403, [("U008", None)]),
            (errors.ReauthenticationRequired("again"), 403, [("U028", None)]),
            (errors.ConsentNotUsable("no", consent_status="RJCT"), 400, [("U009", None)]),
            (errors.ConsentTransitionRefused("no", consent_status="RJCT", event="use"), 400, [("U009", None)]),
            (errors.Unavailable("away"), 503, [("U000", None)]),
            (field_error("Data.Initiation.LocalInstrument", "U026", "is not served"), 400,
             [("U026", "Data.Initiation.LocalInstrument")]),
        ],
        ids=lambda value: value.code if isinstance(value, errors.ProblemError) else None,
    )  # fmt: skip
    def test_has_its_code(
        self, error: errors.ProblemError, status: int, codes: list[tuple[str, str | None]], tpp: ThirdParty
    ) -> None:
        """Each class of errors has its status and its code of four characters."""
        raised.append(error)
        answer = ask(tpp, payments, sent(tpp, consent()), consent())
        assert (answer.status, answer.codes) == (status, codes)
        assert json.loads(answer.body)["Id"].startswith("req_")

    def test_tells_nothing_of_a_failure(self, tpp: ThirdParty) -> None:
        """What nobody expected is 500 with a code, and no word of what it was."""
        raised.append(RuntimeError("secret"))
        answer = ask(tpp, payments, sent(tpp, consent()), consent())
        assert (answer.status, answer.codes) == (500, [("U000", None)])
        assert b"secret" not in answer.body

    def test_leaves_nothing(self, tpp: ThirdParty) -> None:
        """The key of a refused request can be used again, by which the same request is carried out."""
        headers = sent(tpp, consent())
        raised.append(errors.ConsentTransitionRefused("no", consent_status="RJCT", event="use"))
        assert ask(tpp, payments, headers, consent()).status == 400
        raised.clear()
        assert ask(tpp, payments, headers, consent()).status == 201


class TestACopy:
    def test_is_told_the_present_status(self, tpp: ThirdParty) -> None:
        """A copy is answered 201 with what was made, as it is by now, and makes nothing."""
        headers = sent(tpp, consent())
        first = json.loads(ask(tpp, payments, headers, consent()).body)["Data"]
        ask(tpp, payments, sent(tpp, consent()), consent())
        again = ask(tpp, payments, headers, consent())
        told = json.loads(again.body)["Data"]
        assert (again.status, told["ConsentId"]) == (201, first["ConsentId"])
        assert (first["Status"], told["Status"], len(made)) == ("1", "2", 2)

    def test_with_another_body_is_refused(self, tpp: ThirdParty) -> None:
        """One key is for one body; spaces and the order of members make no other one."""
        key = secrets.token_hex(10)
        assert ask(tpp, payments, sent(tpp, consent(), x_idempotency_key=key), consent()).status == 201
        same = msgspec.json.format(consent(), indent=2)
        assert ask(tpp, payments, sent(tpp, same, x_idempotency_key=key), same).status == 201
        other = consent(Risk={"PaymentContextCode": "TransferToSelf"})
        answer = ask(tpp, payments, sent(tpp, other, x_idempotency_key=key), other)
        assert (answer.status, answer.codes) == (400, [("U006", "x-idempotency-key")])
        assert len(made) == 1

    def test_of_another_third_party_is_none(self, tpp: ThirdParty) -> None:
        """A key belongs to one third party."""
        key, other = secrets.token_hex(10), ThirdParty.register(tpp.live, tpp.slug)
        answers = [
            ask(each, payments, sent(each, consent(), x_idempotency_key=key), consent()) for each in (tpp, other)
        ]
        assert [each.status for each in answers] == [201, 201]
        assert len(made) == 2
