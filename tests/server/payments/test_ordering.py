"""Payments that clients of the bank's own order over HTTP: what they are told, and what is refused."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import httpx
import pytest

from billfold import ids
from billfold.ids import Prefix
from billfold_server.invariants.service import check
from tests.live import LiveServer
from tests.server.identity.flows import add_app, add_person, tokens_of
from tests.tenants import manifest

pytestmark = pytest.mark.any_postgres

SLUG = "own_payments"
PAYEE = "20000055779911"
OUTSIDE = {"scheme": "sort_code_account_number", "identification": "100001 09010102", "name": "Grace Hopper"}
FUNDS_MINOR = 5_000


class Bank:
    """A tenant, a client of its own, and what both do."""

    def __init__(self, live: LiveServer, client: httpx.Client, slug: str = SLUG) -> None:
        self.live = live
        self.slug = slug
        self.client = client

    def post(self, path: str, body: dict[str, Any], key: str | None = None) -> httpx.Response:
        """Post JSON under a key."""
        return self.client.post(path, json=body, headers={"Idempotency-Key": key or uuid4().hex})

    def wallet(self, funds_minor: int = FUNDS_MINOR, **names: str) -> str:
        """Open a wallet with money in it, and names."""
        party = self.post("/v1/parties", {"kind": "person", "name": "Ada Lovelace"}).json()["id"]
        wallet = str(self.post("/v1/wallets", {"party_id": party}).json()["id"])
        if funds_minor:
            assert self.post("/v1/top-ups", {"wallet_id": wallet, "amount": euros(funds_minor)}).status_code == 201
        for scheme, value in names.items():
            named = self.post(f"/v1/wallets/{wallet}/aliases", {"scheme": scheme, "value": value})
            assert named.status_code == 201, named.text
        return wallet

    def balance(self, wallet: str) -> int:
        """Return what a wallet has, in cents."""
        return sum(each["posted_minor"] for each in self.client.get(f"/v1/wallets/{wallet}/balances").json()["data"])

    def pay(self, wallet: str, creditor: dict[str, Any], key: str | None = None, **more: Any) -> httpx.Response:
        """Order a payment."""
        body = {"wallet_id": wallet, "amount": euros(1_000), "creditor": creditor, **more}
        return self.post("/v1/payments", body, key)

    def once_told(self, payment_id: str) -> dict[str, Any]:
        """Return a payment once its rail has told its end."""
        deadline = time.monotonic() + 20
        while (shown := self.client.get(f"/v1/payments/{payment_id}").json())["status"] in {"ACCP", "ACSP"}:
            assert time.monotonic() < deadline, shown
            time.sleep(0.02)
        return dict(shown)

    def payments(self, wallet: str) -> list[dict[str, Any]]:
        """Return the payments out of a wallet."""
        return list(self.client.get("/v1/payments", params={"wallet_id": wallet}).json()["data"])

    def check(self) -> None:
        """Hold the books to every invariant."""
        tenant = self.live.run(self.live.services.registry.get(self.slug))
        assert self.live.run(check(self.live.services.database, tenant)) == []


def euros(amount_minor: int) -> dict[str, Any]:
    """Return an amount of euros."""
    return {"amount_minor": amount_minor, "currency": "EUR"}


def refusal(answer: httpx.Response) -> tuple[int, str, str | None]:
    """Return the status, code and member of a refusal."""
    told = answer.json()
    return answer.status_code, told["code"], told.get("param")


@pytest.fixture(scope="module")
def bank(live: LiveServer) -> Iterator[Bank]:
    """Serve a sandbox, where payments leave by the simulated rail."""
    limits = {"transfer_max_minor": {"EUR": 100_000}}
    live.add_tenant(manifest(SLUG, limits=limits, rate_limit_per_s=100_000, rate_limit_burst=1_000_000))
    with live.client(SLUG) as client:
        yield Bank(live, client)


class TestAPaymentToAWalletHere:
    def test_is_there_with_the_answer(self, bank: Bank) -> None:
        """The payee is found by the number of the account, and the payment says all that the order did."""
        payer, payee = bank.wallet(), bank.wallet(0, sort_code_account_number=PAYEE)
        creditor = {"scheme": "sort_code_account_number", "identification": "20-00-00 55779911", "name": "Grace"}
        said: dict[str, Any] = {
            "reference": "Invoice 4711",
            "creditor_reference": "RF18539007547034",
            "end_to_end_id": "e2e-1",
            "instruction_id": "order 1",
            "metadata": {"order": "1"},
        }
        answer = bank.pay(payer, creditor, **said)
        assert answer.status_code == 201, answer.text
        made = answer.json()
        assert (made["kind"], made["status"], made["consent_id"]) == ("credit_transfer", "ACCC", None)
        assert (made["wallet_id"], made["to_wallet_id"], made["rail"]) == (payer, payee, None)
        assert {name: made[name] for name in said} == said
        assert (made["creditor_name"], made["creditor_account"]) == ("Grace", creditor["identification"])
        assert [step["status"] for step in made["steps"]] == ["RCVD", "ACTC", "ACCP", "ACSC", "ACCC"]
        assert answer.headers["location"].endswith(f"/v1/payments/{made['id']}")
        assert bank.client.get(f"/v1/payments/{made['id']}").json() == made
        assert bank.payments(payer) == [made]
        assert (bank.balance(payer), bank.balance(payee)) == (FUNDS_MINOR - 1_000, 1_000)

    def test_may_name_the_wallet_itself(self, bank: Bank) -> None:
        """A wallet's id is as good as a number of an account; what has no name of its own has the standard's."""
        payer, payee = bank.wallet(), bank.wallet(0)
        made = bank.pay(payer, {"scheme": "wallet", "identification": payee}).json()
        assert (made["to_wallet_id"], made["creditor_name"]) == (payee, None)
        assert made["end_to_end_id"] == "NOTPROVIDED"
        assert bank.balance(payee) == 1_000

    def test_is_told_by_an_event_without_a_consent(self, bank: Bank) -> None:
        """The stream says of which kind it is, and who has ordered it; the audit names the same."""
        payer, payee = bank.wallet(), bank.wallet(0)
        made = bank.pay(payer, {"scheme": "wallet", "identification": payee}).json()
        deadline = time.monotonic() + 20
        while not (found := bank.client.get("/v1/events", params={"object_id": made["id"]}).json()["data"]):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        (event,) = found
        assert (event["type"], event["data"]["kind"]) == ("payment.created", "credit_transfer")
        assert (event["data"]["consent_id"], event["data"]["client_id"]) == (None, made["client_id"])
        (record,) = bank.client.get("/v1/audit-records", params={"object_id": made["id"]}).json()["data"]
        assert (record["action"], record["actor"]) == ("payment.created", made["client_id"])

    def test_is_told_together_with_what_there_is_of_it(self, bank: Bank) -> None:
        """What is expanded is its wallets; where there is no consent, none is told."""
        payer, payee = bank.wallet(), bank.wallet(0)
        made = bank.pay(payer, {"scheme": "wallet", "identification": payee}).json()
        shown = bank.client.get(f"/v1/payments/{made['id']}", params={"expand": "consent,wallet,to_wallet"}).json()
        assert {name: each["id"] for name, each in shown["expanded"].items()} == {"wallet": payer, "to_wallet": payee}


class TestAPaymentThatLeaves:
    @pytest.mark.parametrize(
        ("reference", "status", "reason", "left"),
        [
            ("Invoice 4711", "ACSC", None, FUNDS_MINOR - 1_000),
            ("RAIL-CREDIT", "ACCC", None, FUNDS_MINOR - 1_000),
            ("RAIL-REJECT", "RJCT", "AC04", FUNDS_MINOR),
        ],
    )
    def test_is_given_to_the_rail(self, bank: Bank, reference: str, status: str, reason: str | None, left: int) -> None:
        """With the answer its money has left the wallet; what the rail makes of it is the payment's from then on."""
        payer = bank.wallet()
        made = bank.pay(payer, OUTSIDE, reference=reference).json()
        assert (made["status"], made["rail"], made["to_wallet_id"]) == ("ACCP", "simulator", None)
        told = bank.once_told(made["id"])
        assert (told["status"], told["status_reason"], told["consent_id"]) == (status, reason, None)
        assert bank.balance(payer) == left
        bank.check()

    def test_tells_the_rail_the_payees_own_reference(self, bank: Bank) -> None:
        """A rail carries one text; where the payee has a reference of their own, that is it."""
        made = bank.pay(bank.wallet(), OUTSIDE, reference="Thanks", creditor_reference="RAIL-REJECT").json()
        told = bank.once_told(made["id"])
        assert (told["status"], told["reference"], told["creditor_reference"]) == ("RJCT", "Thanks", "RAIL-REJECT")


class TestAnOrder:
    def test_is_carried_out_once_however_often_it_comes(self, bank: Bank) -> None:
        """Copies under one key, at once and later, are answered alike; another order under it is refused."""
        payer, key = bank.wallet(), uuid4().hex
        with ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(lambda _: bank.pay(payer, OUTSIDE, key), range(8)))
        made = answers[0].json()
        bank.once_told(made["id"])
        answers.append(bank.pay(payer, OUTSIDE, key))
        assert [(each.status_code, each.json()) for each in answers] == [(201, made)] * 9
        assert answers[-1].headers["idempotent-replayed"] == "true"
        assert answers[-1].headers["location"] == answers[0].headers["location"]
        assert refusal(bank.pay(payer, OUTSIDE, key, reference="another"))[:2] == (422, "idempotency_key_reused")
        assert len(bank.payments(payer)) == 1
        assert bank.balance(payer) == FUNDS_MINOR - 1_000

    @pytest.mark.parametrize(
        ("change", "refused"),
        [
            ({"amount": euros(FUNDS_MINOR + 1)}, (409, "insufficient_funds", None)),
            ({"amount": euros(100_001)}, (409, "limit_exceeded", None)),
            ({"amount": {"amount_minor": 1, "currency": "CHF"}}, (409, "currency_not_enabled", None)),
            ({"amount": {"amount_minor": 0, "currency": "EUR"}}, (400, "validation_failed", "amount.amount_minor")),
            (
                {"creditor": {"scheme": "iban", "identification": "GB00BUKB20201555555555"}},
                (422, "creditor_unsupported", "creditor.identification"),
            ),
            (
                {"creditor": {"scheme": "sort_code_account_number", "identification": "123"}},
                (422, "creditor_unsupported", "creditor.identification"),
            ),
            (
                {"creditor": {"scheme": "wallet", "identification": "x"}},
                (422, "creditor_unsupported", "creditor.identification"),
            ),
            (
                {"creditor": {"scheme": "wallet", "identification": ids.new(Prefix.WALLET)}},
                (422, "creditor_unknown", None),
            ),
            *(
                ({"creditor": {"scheme": scheme, "identification": number}}, (422, "creditor_unknown", None))
                for scheme, number in (
                    ("sort_code_account_number", "04-00-04 99999999"),
                    ("iban", "GB89BUKB04000499999999"),
                    ("iban", "DE41500105170123456789"),
                )
            ),
            ({"creditor": {"scheme": "paym", "identification": "1"}}, (400, "validation_failed", "creditor.scheme")),
            ({"wallet_id": ids.new(Prefix.WALLET)}, (404, "not_found", "wallet_id")),
            ({"reference": "Card 4111 1111 1111 1111"}, (400, "validation_failed", "reference")),
        ],
    )
    def test_is_refused_by_a_code_of_its_own(
        self, bank: Bank, change: dict[str, Any], refused: tuple[int, str, str | None]
    ) -> None:
        """The refusal says what is wrong, a copy of it is told the same, and nothing of it remains."""
        payer, key = bank.wallet(), uuid4().hex
        body = {"wallet_id": payer, "amount": euros(1_000), "creditor": OUTSIDE} | change
        answers = [bank.post("/v1/payments", body, key) for _ in range(2)]
        assert [refusal(each) for each in answers] == [refused] * 2
        assert (bank.payments(payer), bank.balance(payer)) == ([], FUNDS_MINOR)

    def test_is_refused_to_oneself(self, bank: Bank) -> None:
        """A wallet pays itself by none of its names."""
        payer = bank.wallet(iban="GB33BUKB20201555555555")
        for scheme, number in (("wallet", payer), ("iban", "GB33BUKB20201555555555")):
            answer = bank.pay(payer, {"scheme": scheme, "identification": number})
            assert refusal(answer) == (409, "same_wallet", "creditor")

    @pytest.mark.parametrize(("step", "code"), [("freeze", "wallet_frozen"), ("close", "wallet_closed")])
    def test_is_refused_where_the_wallet_pays_nothing(self, bank: Bank, step: str, code: str) -> None:
        """Neither a frozen wallet nor a closed one pays, nor is one paid."""
        shut, other = bank.wallet(0), bank.wallet()
        assert bank.post(f"/v1/wallets/{shut}/{step}", {"reason": "test"}).status_code == 200
        for payer, creditor in ((shut, OUTSIDE), (other, {"scheme": "wallet", "identification": shut})):
            assert refusal(bank.pay(payer, creditor))[:2] == (409, code)
        assert bank.balance(other) == FUNDS_MINOR

    def test_is_refused_where_nothing_can_leave(self, live: LiveServer) -> None:
        """A tenant without a rail pays its own wallets alone."""
        live.add_tenant(manifest("no_rail", sandbox=False))
        with live.client("no_rail") as client:
            bank = Bank(live, client, "no_rail")
            payer, payee = bank.wallet(), bank.wallet(0)
            assert refusal(bank.pay(payer, OUTSIDE))[:2] == (409, "rail_missing")
            assert bank.pay(payer, {"scheme": "wallet", "identification": payee}).status_code == 201

    def test_needs_its_own_scope(self, bank: Bank) -> None:
        """Who may move money between wallets may not pay others by that, and who may read payments may not order."""
        with bank.live.client(SLUG, ["transfers:write", "payments:read"]) as client:
            answer = Bank(bank.live, client).pay(bank.wallet(), OUTSIDE)
        assert refusal(answer)[:2] == (403, "insufficient_scope")

    def test_gives_nobody_a_say_in_what_has_become_of_payments(self, bank: Bank) -> None:
        """Who orders payments says nothing about them, not even about their own; who says it doesn't order."""
        payer, said = bank.wallet(), {"outcome": "noted", "reason": "So it seems."}
        with bank.live.client(SLUG, ["payments:write"]) as client:
            orders = Bank(bank.live, client)
            where = f"/v1/payments/{orders.pay(payer, OUTSIDE).json()['id']}/resolution"
            assert refusal(orders.post(where, said, uuid4().hex))[:2] == (403, "insufficient_scope")
        with bank.live.client(SLUG, ["payments:resolve"]) as client:
            resolves = Bank(bank.live, client)
            assert refusal(resolves.post(where, said, uuid4().hex))[:2] == (409, "payment_not_resolvable")
            assert refusal(resolves.pay(payer, OUTSIDE))[:2] == (403, "insufficient_scope")

    def test_in_a_persons_name_ends_with_what_they_have_allowed(self, bank: Bank) -> None:
        """A member of staff pays by an app until its token is revoked, on any worker; then nothing moves."""
        payer, payee = bank.wallet(), bank.wallet(0)
        app = add_app(bank.live, SLUG, "client_secret_basic", login_realm="staff", scopes=["payments:write"])
        tokens = tokens_of(app, add_person(bank.live, SLUG, roles=["operator"]), scope="payments:write")
        body = {"wallet_id": payer, "amount": euros(1), "creditor": {"scheme": "wallet", "identification": payee}}
        headers = {"Authorization": f"Bearer {tokens['access_token']}", "Idempotency-Key": uuid4().hex}

        def pay(key: str) -> httpx.Response:
            url = f"{bank.live.base(SLUG)}/v1/payments"
            return httpx.post(url, json=body, headers={**headers, "Idempotency-Key": key})

        assert pay("first").status_code == 201
        assert app.post("/oauth/revoke", {"token": tokens["access_token"]}).status_code == 200
        assert [refusal(pay(key))[:2] for key in ("first", "second")] == [(401, "invalid_token")] * 2
        assert bank.balance(payee) == 1
