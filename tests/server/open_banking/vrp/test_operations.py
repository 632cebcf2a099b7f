"""The nine operations of recurring payments, over HTTP."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import msgspec
import pytest

from billfold import ids
from billfold.ids import Prefix
from tests.live import LiveServer, serve
from tests.server.open_banking.ordering import SLUG, agree_overdraft
from tests.server.open_banking.vrp.pisp import Pisp
from tests.soak import SOAK, many

pytestmark = pytest.mark.xdist_group("recurring payments")

AT_ONCE = many(100, 500)
"""Five hundred at once are at the engine's workers in every run, and over HTTP in ``nox -s soak``."""


@pytest.fixture(scope="module")
def workers(live: LiveServer) -> Iterator[list[LiveServer]]:
    """Two workers of one deployment."""
    with serve(msgspec.structs.replace(live.settings, public_url=live.url)) as second:
        yield [live, second]


@pytest.fixture(scope="module")
def pisp(workers: list[LiveServer]) -> Pisp:
    """A third party with a customer."""
    return Pisp.at(workers)


def code_of(answer: httpx.Response) -> tuple[int, str, str | None]:
    """Return a refusal's status, code and path."""
    (error,) = answer.json()["Errors"]
    return answer.status_code, error["ErrorCode"], error.get("Path")


class TestAConsent:
    """A consent to recurring payments."""

    def test_is_asked_for_allowed_and_ended(self, pisp: Pisp) -> None:
        """It shows what was asked for at every step, the account that was chosen, and its end."""
        ends = (datetime.now(UTC) + timedelta(days=200)).strftime("%Y-%m-%dT15:15:13Z")
        asked = pisp.consent(ValidToDateTime=ends, PSUInteractionTypes=["OffSession"])
        made = pisp.ask("POST", "/domestic-vrp-consents", asked)
        assert made.status_code == 201, made.text
        data = made.json()["Data"]
        assert data["Status"] == "AWAU"
        assert made.json()["Links"]["Self"].endswith(f"/domestic-vrp-consents/{data['ConsentId']}")
        pisp.authorise(data["ConsentId"])
        path = f"/domestic-vrp-consents/{data['ConsentId']}"
        shown = pisp.ask("GET", path).json()
        assert shown["Data"]["Status"] == "AUTH"
        assert shown["Data"]["ControlParameters"] == asked["Data"]["ControlParameters"]
        assert shown["Data"]["DebtorAccount"]["Identification"] == pisp.wallets[0]
        assert shown["Risk"] == asked["Risk"]
        assert pisp.ask("DELETE", path).status_code == 204
        assert pisp.ask("GET", path).json()["Data"]["Status"] == "CANC"
        assert pisp.ask("DELETE", path).json()["Errors"][0]["ErrorCode"] == "U009"

    def test_is_cancelled_where_the_bank_ends_it_and_not_where_it_rests(self, pisp: Pisp) -> None:
        """What has ended doesn't come back; where access is taken away alone, the status stays and payments don't."""
        ways = {"require-reauthentication": ("AUTH", (403, "U028")), "revoke": ("CANC", (400, "U009"))}
        for way, (status, refusal) in ways.items():
            consent_id = pisp.consented()
            wire_id = ids.encode(Prefix.CONSENT, consent_id)
            with pisp.workers[0].client(SLUG) as bank:
                assert bank.post(f"/v1/consents/{wire_id}/{way}", json={"reason": "test"}).status_code == 200
            shown = pisp.ask("GET", f"/domestic-vrp-consents/{wire_id}", worker=1).json()["Data"]
            assert (shown["Status"], "StatusReason" in shown) == (status, status == "CANC")
            paid = pisp.ask("POST", "/domestic-vrps", pisp.payment(consent_id), consent_id=consent_id, worker=1)
            assert code_of(paid)[:2] == refusal

    def test_is_made_once_under_a_key(self, pisp: Pisp) -> None:
        """A copy of the request is answered with the consent as it stands by then."""
        first = pisp.ask("POST", "/domestic-vrp-consents", pisp.consent(), key="once")
        pisp.authorise(first.json()["Data"]["ConsentId"])
        again = pisp.ask("POST", "/domestic-vrp-consents", pisp.consent(), key="once", worker=1)
        assert (again.status_code, again.json()["Data"]["Status"]) == (201, "AUTH")
        assert again.json()["Data"]["ConsentId"] == first.json()["Data"]["ConsentId"]

    @pytest.mark.parametrize(
        ("control", "code", "path"),
        [
            (
                {"VRPType": ["UK.OBIE.VRPType.Unknown"]},
                "U002",
                "Data.ControlParameters.VRPType[0]",
            ),
            (
                {"PSUAuthenticationMethods": ["UK.OBIE.SCA", "none"]},
                "U002",
                "Data.ControlParameters.PSUAuthenticationMethods[1]",
            ),
            (
                {"ValidToDateTime": "2020-06-05T15:15:13+00:00"},
                "U003",
                "Data.ControlParameters.ValidToDateTime",
            ),
            (
                {"ValidToDateTime": "2030-01-01T00:00:00Z", "ValidFromDateTime": "2030-01-02T00:00:00Z"},
                "U003",
                "Data.ControlParameters.ValidToDateTime",
            ),
            ({"SupplementaryData": {"Any": "thing"}}, "U005", "Data.ControlParameters.SupplementaryData"),
            (
                {"MaximumIndividualAmount": {"Amount": "1.005", "Currency": "EUR"}},
                "U002",
                "Data.ControlParameters.MaximumIndividualAmount.Amount",
            ),
            (
                {"MaximumIndividualAmount": {"Amount": "1.00", "Currency": "CHF"}},
                "U023",
                "Data.ControlParameters.MaximumIndividualAmount.Currency",
            ),
            (
                {"PeriodicLimits": [{"PeriodType": "Fortnight", "PeriodAlignment": "Calendar", "Amount": "1.00"}]},
                "U002",
                "Data.ControlParameters.PeriodicLimits[0].PeriodAlignment",
            ),
            (
                {"PeriodicLimits": [{"PeriodType": "Day", "PeriodAlignment": "Calendar", "Currency": "USD"}]},
                "U002",
                "Data.ControlParameters.PeriodicLimits[0].Currency",
            ),
            (
                {"PeriodicLimits": [{"PeriodType": "Day", "PeriodAlignment": "Calendar", "Amount": "0.00"}]},
                "U002",
                "Data.ControlParameters.PeriodicLimits[0].Amount",
            ),
            (
                {"PeriodicLimits": [{"PeriodType": "Day", "PeriodAlignment": "Calendar"} for _ in range(51)]},
                "U002",
                "Data.ControlParameters.PeriodicLimits",
            ),
        ],
    )
    def test_is_refused_where_it_can_t_be_kept(self, pisp: Pisp, control: dict[str, Any], code: str, path: str) -> None:
        """What contradicts itself or the standard's text is named by its path."""
        for limit in control.get("PeriodicLimits", ()):
            limit.setdefault("Currency", "EUR")
            limit.setdefault("Amount", "5.00")
        answer = pisp.ask("POST", "/domestic-vrp-consents", pisp.consent(**control))
        assert code_of(answer) == (400, code, path)

    def test_leaves_the_creditor_open_only_where_nothing_is_swept(self, pisp: Pisp) -> None:
        """Sweeping says to which account; other payments name their creditor when they are ordered."""
        asked = pisp.consent()
        del asked["Data"]["Initiation"]["CreditorAccount"]
        answer = pisp.ask("POST", "/domestic-vrp-consents", asked)
        assert code_of(answer) == (400, "U001", "Data.Initiation.CreditorAccount")
        asked["Data"]["ControlParameters"]["VRPType"] = ["UK.OBIE.VRPType.Other"]
        made = pisp.ask("POST", "/domestic-vrp-consents", asked)
        consent_id = pisp.authorise(made.json()["Data"]["ConsentId"])
        said = pisp.payment(consent_id)
        said["Data"] |= {"VRPType": "UK.OBIE.VRPType.Other", "Initiation": {}}
        assert pisp.ask("POST", "/domestic-vrps", said, consent_id=consent_id).status_code == 201

    def test_is_its_own_third_party_s_alone(self, pisp: Pisp) -> None:
        """Another's is 403, and one that isn't there 400."""
        consent_id = pisp.consented()
        stranger = Pisp.at(pisp.workers)
        path = f"/domestic-vrp-consents/{ids.encode(Prefix.CONSENT, consent_id)}"
        for method, said in (("GET", None), ("DELETE", None), ("PUT", pisp.consent())):
            assert stranger.ask(method, path, said).status_code == 403
            missing = f"/domestic-vrp-consents/{ids.encode(Prefix.CONSENT, ids.uuid7())}"
            assert code_of(pisp.ask(method, missing, said))[:2] == (400, "U011")

    def test_needs_no_migration(self, pisp: Pisp) -> None:
        """PUT and PATCH change nothing of a consent of this version, and never what the customer has seen."""
        consent_id = pisp.consented()
        path = f"/domestic-vrp-consents/{ids.encode(Prefix.CONSENT, consent_id)}"
        assert code_of(pisp.ask("PUT", path, pisp.consent()))[:2] == (409, "U029")
        more = pisp.consent(MaximumIndividualAmount={"Amount": "91.00", "Currency": "EUR"})
        refusal = pisp.ask("PUT", path, more)
        assert code_of(refusal) == (400, "U008", "Data.ControlParameters.MaximumIndividualAmount")
        patch = [{"op": "replace", "path": "/Risk/PaymentContextCode", "value": "TransferToThirdParty"}]
        media = {"Content-Type": "application/json-patch+json"}
        assert code_of(pisp.ask("PATCH", path, patch, headers=media))[:2] == (409, "U029")
        assert pisp.ask("PATCH", path, [{"op": "scramble", "path": "/"}], headers=media).status_code == 400
        assert pisp.ask("GET", path).json()["Data"]["Status"] == "AUTH"


class TestConfirmingFunds:
    """Confirming funds under a consent."""

    def test_tells_whether_there_is_money(self, pisp: Pisp) -> None:
        """An amount is there or isn't; nothing is reserved, and nothing counts."""
        consent_id = pisp.consented(MaximumIndividualAmount={"Amount": "99999999.00", "Currency": "EUR"})
        path = f"/domestic-vrp-consents/{ids.encode(Prefix.CONSENT, consent_id)}"
        for amount, verdict in (("1.00", "Available"), ("99999999.00", "NotAvailable")):
            said = {
                "Data": {
                    "ConsentId": ids.encode(Prefix.CONSENT, consent_id),
                    "InstructedAmount": {"Amount": amount, "Currency": "EUR"},
                }
            }
            answer = pisp.ask("POST", f"{path}/funds-confirmation", said, consent_id=consent_id)
            assert answer.status_code == 201, answer.text
            assert answer.json()["Data"]["FundsAvailableResult"]["FundsAvailable"] == verdict
        said["Data"]["ConsentId"] = "con_another"
        assert code_of(pisp.ask("POST", f"{path}/funds-confirmation", said, consent_id=consent_id)) == (
            400,
            "U008",
            "Data.ConsentId",
        )
        assert pisp.counted(consent_id) == []

    def test_tells_nothing_of_more_than_one_payment_may_be(self, pisp: Pisp) -> None:
        """Who may take 90.00 at most finds out of no higher amount whether it is there, nor of another currency."""
        wire_id = ids.encode(Prefix.CONSENT, consent_id := pisp.consented())
        path, field = f"/domestic-vrp-consents/{wire_id}/funds-confirmation", "Data.ControlParameters"
        for amount, currency, stopped_by in (
            ("90.00", "EUR", None),
            ("90.01", "EUR", "MaximumIndividualAmount"),
            ("1.00", "USD", "MaximumIndividualAmount.Currency"),
        ):
            said = {"Data": {"ConsentId": wire_id, "InstructedAmount": {"Amount": amount, "Currency": currency}}}
            answer = pisp.ask("POST", path, said, consent_id=consent_id)
            assert answer.status_code == (201 if stopped_by is None else 400), answer.text
            assert stopped_by is None or code_of(answer) == (400, "U014", f"{field}.{stopped_by}")

    def test_counts_what_the_bank_lends(self, workers: list[LiveServer]) -> None:
        """An overdraft that was agreed pays as well, so it is confirmed."""
        pisp = Pisp.at(workers)
        agree_overdraft(workers[0], pisp.wallets[0], 1)
        consent_id = pisp.consented(MaximumIndividualAmount={"Amount": "20000.00", "Currency": "EUR"})
        wire_id = ids.encode(Prefix.CONSENT, consent_id)
        for amount, verdict in (("10000.01", "Available"), ("10000.02", "NotAvailable")):
            said = {"Data": {"ConsentId": wire_id, "InstructedAmount": {"Amount": amount, "Currency": "EUR"}}}
            path = f"/domestic-vrp-consents/{wire_id}/funds-confirmation"
            answer = pisp.ask("POST", path, said, consent_id=consent_id)
            assert answer.json()["Data"]["FundsAvailableResult"]["FundsAvailable"] == verdict, answer.text


class TestAPayment:
    """A payment under a consent."""

    def test_is_ordered_and_shown(self, pisp: Pisp) -> None:
        """It moves the money, counts, and shows how it was ordered and where it stands."""
        asked = pisp.consent()
        asked["Data"]["ReadRefundAccount"] = "Yes"
        made = pisp.ask("POST", "/domestic-vrp-consents", asked)
        consent_id = pisp.authorise(made.json()["Data"]["ConsentId"])
        said = pisp.payment(consent_id, "12.34")
        paid = pisp.ask("POST", "/domestic-vrps", said, consent_id=consent_id, key="pay")
        assert paid.status_code == 201, paid.text
        data = paid.json()["Data"]
        assert data["Instruction"] == said["Data"]["Instruction"]
        assert data["Refund"]["Identification"] == pisp.wallets[0]
        assert pisp.counted(consent_id) == [("Month", 1_234, 1)]
        shown = pisp.ask("GET", f"/domestic-vrps/{data['DomesticVRPId']}").json()["Data"]
        assert (shown["Status"], shown["ConsentId"]) == ("ACCC", data["ConsentId"])
        details = pisp.ask("GET", f"/domestic-vrps/{data['DomesticVRPId']}/payment-details").json()["Data"]
        assert [each["Status"] for each in details["PaymentStatus"]] == ["RCVD", "ACTC", "ACCP", "ACSC", "ACCC"]
        again = pisp.ask("POST", "/domestic-vrps", said, consent_id=consent_id, key="pay", worker=1)
        assert again.json()["Data"]["DomesticVRPId"] == data["DomesticVRPId"]
        other = Pisp.at(pisp.workers)
        assert other.ask("GET", f"/domestic-vrps/{data['DomesticVRPId']}").status_code == 403
        theirs = other.consented()
        mine = other.ask("POST", "/domestic-vrps", other.payment(theirs, "1.00"), consent_id=theirs).json()["Data"]
        other.block()
        # Who is kept out sees nothing, not even its own.
        for path in ("", "/payment-details"):
            assert other.ask("GET", f"/domestic-vrps/{mine['DomesticVRPId']}{path}").status_code == 403
        unknown = ids.encode(Prefix.PAYMENT, ids.uuid7())
        assert code_of(pisp.ask("GET", f"/domestic-vrps/{unknown}"))[:2] == (400, "U011")

    def test_is_answered_again_while_its_consent_rests(self, pisp: Pisp) -> None:
        """A copy is told what has become of it, though nothing new is paid until the customer has come back."""
        consent_id = pisp.consented()
        said = pisp.payment(consent_id)
        first = pisp.ask("POST", "/domestic-vrps", said, consent_id=consent_id, key="rests")
        with pisp.workers[0].client("alpha") as bank:
            path = f"/v1/consents/{ids.encode(Prefix.CONSENT, consent_id)}/require-reauthentication"
            assert bank.post(path, json={"reason": "test"}).status_code == 200
        for worker in (0, 1):
            again = pisp.ask("POST", "/domestic-vrps", said, consent_id=consent_id, key="rests", worker=worker)
            assert (again.status_code, again.json()["Data"]) == (201, first.json()["Data"])
        new = pisp.ask("POST", "/domestic-vrps", said, consent_id=consent_id, key="rests too")
        assert code_of(new)[:2] == (403, "U028")
        other = pisp.ask("POST", "/domestic-vrps", pisp.payment(consent_id, "9.00"), consent_id=consent_id, key="rests")
        assert code_of(other)[:2] == (400, "U006")
        assert pisp.counted(consent_id) == [("Month", 1_000, 1)]

    def test_is_shown_for_longer_than_its_consent_is_kept(self, pisp: Pisp) -> None:
        """Once the consent is swept, the payment still says all that doesn't come from there."""
        consent_id = pisp.consented()
        paid = pisp.ask("POST", "/domestic-vrps", pisp.payment(consent_id), consent_id=consent_id).json()
        path = f"/domestic-vrps/{paid['Data']['DomesticVRPId']}"
        pisp.sweep(consent_id)
        shown = pisp.ask("GET", path)
        assert (shown.status_code, shown.json()["Data"]) == (200, paid["Data"])

    def test_repeats_its_consent(self, pisp: Pisp) -> None:
        """What the consent settles can't be said otherwise: initiation, risk, creditor and remittance."""
        asked = pisp.consent()
        asked["Data"]["Initiation"]["RemittanceInformation"] = {"Unstructured": ["Rent"]}
        made = pisp.ask("POST", "/domestic-vrp-consents", asked)
        consent_id = pisp.authorise(made.json()["Data"]["ConsentId"])

        def refusal(**changes: Any) -> Any:
            said = pisp.payment(consent_id)
            said["Data"]["Initiation"]["RemittanceInformation"] = {"Unstructured": ["Rent"]}
            said["Data"]["Instruction"]["RemittanceInformation"] = {"Unstructured": ["Rent"]}
            for path, value in changes.items():
                *way, name = path.split("__")
                place = said
                for step in way:
                    place = place[step]
                place[name] = value
            return pisp.ask("POST", "/domestic-vrps", said, consent_id=consent_id)

        assert refusal().status_code == 201
        other = {**pisp.payee, "Name": "Somebody Else"}
        for changes, path in (
            ({"Data__Initiation__CreditorAccount": other}, "Data.Initiation.CreditorAccount"),
            ({"Risk": {}}, "Risk.PaymentContextCode"),
            ({"Data__Instruction__CreditorAccount": other}, "Data.Instruction.CreditorAccount"),
            ({"Data__Instruction__RemittanceInformation": {}}, "Data.Instruction.RemittanceInformation"),
        ):
            assert code_of(refusal(**changes)) == (400, "U008", path)
        said = {"Data__Instruction__SupplementaryData": {"a": 1}}
        assert code_of(refusal(**said)) == (400, "U005", "Data.Instruction.SupplementaryData")

    def test_is_refused_by_name_where_it_breaks_a_limit(self, pisp: Pisp) -> None:
        """``U014`` names the control parameter, at whichever worker, and again under the same key."""
        consent_id = pisp.consented()
        for worker in (0, 1, 1):
            said = pisp.payment(consent_id, "90.01")
            answer = pisp.ask("POST", "/domestic-vrps", said, consent_id=consent_id, key=f"k{worker}", worker=worker)
            assert code_of(answer) == (400, "U014", "Data.ControlParameters.MaximumIndividualAmount")
        assert pisp.counted(consent_id) == []

    def test_sweeps_to_nobody_else_whose_the_account_has_come_to_be(self, pisp: Pisp) -> None:
        """The number was nobody's here when the payer agreed; once it is another's wallet's, nothing is swept there."""
        iban, stranger = "GB94BARC10201530093459", Pisp.at(pisp.workers)
        account = {"SchemeName": "UK.OBIE.IBAN", "Identification": iban, "Name": "Grace"}
        asked = pisp.consent(VRPType=["UK.OBIE.VRPType.Sweeping", "UK.OBIE.VRPType.Other"])
        asked["Data"]["Initiation"]["CreditorAccount"] = account
        made = pisp.ask("POST", "/domestic-vrp-consents", asked)
        consent_id = pisp.authorise(made.json()["Data"]["ConsentId"])
        with pisp.workers[0].client(SLUG) as bank:
            named = bank.post(f"/v1/wallets/{stranger.wallets[0]}/aliases", json={"scheme": "iban", "value": iban})
            assert named.status_code == 201, named.text
        said = pisp.payment(consent_id)
        said["Data"]["Initiation"]["CreditorAccount"] = said["Data"]["Instruction"]["CreditorAccount"] = account
        answer = pisp.ask("POST", "/domestic-vrps", said, consent_id=consent_id)
        assert code_of(answer) == (400, "U014", "Data.ControlParameters.VRPType")
        assert pisp.counted(consent_id) == []
        said["Data"]["VRPType"] = "UK.OBIE.VRPType.Other"
        assert pisp.ask("POST", "/domestic-vrps", said, consent_id=consent_id).status_code == 201

    def test_to_an_account_that_only_a_wallet_could_have_never_leaves(self, pisp: Pisp) -> None:
        """Nobody outside has a number that the bank gives out, so an unknown one is refused, and nothing counts."""
        asked = pisp.consent()
        account = {
            "SchemeName": "UK.OBIE.SortCodeAccountNumber", "Identification": "04000499999999", "Name": "Grace",
        }  # fmt: skip
        asked["Data"]["Initiation"]["CreditorAccount"] = account
        made = pisp.ask("POST", "/domestic-vrp-consents", asked)
        consent_id = pisp.authorise(made.json()["Data"]["ConsentId"])
        said = pisp.payment(consent_id)
        said["Data"]["Initiation"]["CreditorAccount"] = said["Data"]["Instruction"]["CreditorAccount"] = account
        for worker in (0, 1):
            answer = pisp.ask("POST", "/domestic-vrps", said, consent_id=consent_id, key="outside", worker=worker)
            assert code_of(answer) == (400, "U021", "Data.Instruction.CreditorAccount")
        assert pisp.counted(consent_id) == []

    def test_needs_an_authorised_consent(self, pisp: Pisp) -> None:
        """A consent's own token is needed, and the consent must be authorised."""
        consent_id = pisp.consented()
        made = pisp.ask("POST", "/domestic-vrp-consents", pisp.consent()).json()["Data"]["ConsentId"]
        other = ids.decode(Prefix.CONSENT, made)
        answer = pisp.ask("POST", "/domestic-vrps", pisp.payment(other), consent_id=consent_id)
        assert answer.status_code == 403
        answer = pisp.ask("POST", "/domestic-vrps", pisp.payment(other), consent_id=other)
        assert code_of(answer)[:2] == (400, "U009")


_LIMITS = [
    (kind, alignment)
    for kind in ("Day", "Week", "Fortnight", "Month", "Half-year", "Year")
    for alignment in ("Consent", "Calendar")
    if (kind, alignment) != ("Fortnight", "Calendar")
]


class TestPaymentsAtOnce:
    """Payments at once, at two workers."""

    @pytest.mark.parametrize("kind", _LIMITS if SOAK else _LIMITS[-2:-1], ids="-".join)
    def test_fill_a_limit_exactly(self, pisp: Pisp, kind: tuple[str, str]) -> None:
        """As many pass as fit; all others are refused by the limit's name, and nothing of them remains."""
        limit = {"PeriodType": kind[0], "PeriodAlignment": kind[1], "Amount": "60.00", "Currency": "EUR"}
        consent_id = pisp.consented(PeriodicLimits=[limit])
        (period,) = pisp.periods(consent_id)
        amount_minor = max(1, period.limit_minor // 60)
        fitting = period.limit_minor // amount_minor
        orders = [pisp.payment(consent_id, f"{amount_minor / 100:.2f}")] * AT_ONCE
        answers = asyncio.run(pisp.pay_at_once(consent_id, orders))
        paid = [each for each in answers if each.status_code == 201]
        refused = {code_of(each) for each in answers if each.status_code != 201}
        assert refused == {(400, "U014", "Data.ControlParameters.PeriodicLimits[0].Amount")}
        assert len({each.json()["Data"]["DomesticVRPId"] for each in paid}) == len(paid) == fitting < AT_ONCE
        assert pisp.counted(consent_id) == [(kind[0], fitting * amount_minor, fitting)]

    def test_are_one_where_they_are_copies(self, pisp: Pisp) -> None:
        """Copies of one key, at two workers, are one payment."""
        consent_id = pisp.consented()
        orders = [pisp.payment(consent_id, "7.00")] * many(20, 200)
        answers = asyncio.run(pisp.pay_at_once(consent_id, orders, keys=["one"] * len(orders)))
        paid = [each for each in answers if each.status_code == 201]
        assert len(paid) >= 1
        assert len({each.json()["Data"]["DomesticVRPId"] for each in paid}) == 1
        assert pisp.counted(consent_id) == [("Month", 700, 1)]


class TestEndingAConsentInUse:
    """A consent that is ended while it is used."""

    def test_lets_nothing_pass_after_the_answer(self, pisp: Pisp) -> None:
        """Whatever is sent once DELETE was answered is refused by both workers."""
        consent_id = pisp.consented()
        path = f"/domestic-vrp-consents/{ids.encode(Prefix.CONSENT, consent_id)}"
        order = pisp.payment(consent_id, "0.01")

        async def use() -> tuple[list[httpx.Response], list[httpx.Response]]:
            before = asyncio.create_task(pisp.pay_at_once(consent_id, [order] * 30))
            await asyncio.sleep(0)
            ended = await asyncio.to_thread(pisp.ask, "DELETE", path)
            assert ended.status_code == 204
            after = await pisp.pay_at_once(consent_id, [order] * 20)
            return await before, after

        during, after = asyncio.run(use())
        assert {each.status_code for each in after} <= {400, 401, 403}
        paid = sum(each.status_code == 201 for each in during)
        assert pisp.counted(consent_id) in ([("Month", paid, paid)], [] if paid == 0 else None)
