"""Requests that wait for a second person: what is held back, who may decide, and that it happens once."""

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx
import pytest

from billfold import errors, ids
from billfold.contract.approvals import ApprovalStatus
from billfold.ids import Prefix
from billfold.money import Money
from billfold_server.approvals import rules, sealing
from billfold_server.approvals.rules import DECISIONS
from billfold_server.http.routing import Call
from billfold_server.tenancy.context import Caller
from tests.contract.paying import block, pay_out
from tests.live import LiveServer
from tests.server.approvals.waiting import waits
from tests.server.identity.flows import add_app, add_person, tokens_of
from tests.tenants import manifest

SLUG = "four_eyes"
APPROVALS = {
    "always": ["wallet_unfreeze", "overdraft_limit"],
    "refund_from_minor": {"EUR": 500},
    "withdrawal_from_minor": {"EUR": 800},
}
APPROVER = UUID("019a0000-0000-7000-8000-000000000001")


class Bank:
    """A tenant that asks for a second person, a client of it, and a wallet with money."""

    def __init__(self, live: LiveServer, client: httpx.Client, slug: str = SLUG) -> None:
        self.live = live
        self.slug = slug
        self.client = client
        party = self.post("/v1/parties", {"kind": "person", "name": "Ada"}).json()["id"]
        self.wallets = [self.post("/v1/wallets", {"party_id": party}).json()["id"] for _ in range(2)]
        self.post("/v1/top-ups", {"wallet_id": self.wallets[0], "amount": euros(1_000_000)}, uuid4().hex)

    def post(self, path: str, body: dict[str, Any], key: str | None = None) -> httpx.Response:
        """Post JSON, under a key where one is given."""
        return self.client.post(path, json=body, headers={} if key is None else {"Idempotency-Key": key})

    def transfer(self, amount_minor: int) -> str:
        """Make a transfer, and return its id."""
        body = {"from_wallet_id": self.wallets[0], "to_wallet_id": self.wallets[1], "amount": euros(amount_minor)}
        made = self.post("/v1/transfers", body, uuid4().hex)
        assert made.status_code == 201, made.text
        return str(made.json()["id"])

    def refund(self, transfer_id: str, key: str, **body: Any) -> httpx.Response:
        """Undo a transfer."""
        return self.post(f"/v1/transfers/{transfer_id}/reversals", body, key)

    def balance(self) -> int:
        """Return what the first wallet has."""
        (shown,) = self.client.get(f"/v1/wallets/{self.wallets[0]}/balances").json()["data"]
        return int(shown["posted_minor"])

    def decide(self, approval_id: str, decision: Any = "approve", user_id: UUID | None = APPROVER) -> Any:
        """Decide as a person."""

        async def run() -> Any:
            services = self.live.services
            tenant = await services.registry.get(self.slug)
            call = Call(
                services=services,
                caller=Caller(actor="person", client_id=uuid4(), user_id=user_id),
                request_id="req_test",
                method="POST",
                path="",
                headers={},
                base_url="",
                tenant_or_none=tenant,
            )
            approval = ids.decode(Prefix.APPROVAL, approval_id)
            return (await services.approvals.decide(call, approval, decision, "looked")).body

        return self.live.run(run())

    def shown(self, approval_id: str) -> dict[str, Any]:
        """Return an approval as the API shows it."""
        answer = self.client.get(f"/v1/approvals/{approval_id}")
        assert answer.status_code == 200, answer.text
        return dict(answer.json())


def euros(amount: int) -> dict[str, Any]:
    """Return an amount of euros."""
    return {"amount_minor": amount, "currency": "EUR"}


@pytest.fixture(scope="module")
def bank(live: LiveServer) -> Iterator[Bank]:
    """Serve a tenant whose manifest names what needs a second person."""
    live.add_tenant(manifest(SLUG, approvals=APPROVALS, rate_limit_per_s=100_000, rate_limit_burst=1_000_000))
    with live.client(SLUG) as client:
        yield Bank(live, client)


class TestARequest:
    def test_below_the_threshold_is_carried_out_at_once(self, bank: Bank) -> None:
        """Who makes a small refund waits for nobody."""
        assert bank.refund(bank.transfer(499), "small").status_code == 201

    def test_that_needs_approval_changes_nothing(self, bank: Bank) -> None:
        """It is kept with its body, and no money has moved."""
        transfer = bank.transfer(500)
        before = bank.balance()
        approval = bank.shown(waits(bank.refund(transfer, "held", reason="a gift")))
        assert bank.balance() == before
        assert approval["requested"] == {
            "operation_id": "reverseTransfer",
            "path": {"transfer_id": transfer},
            "body": {"reason": "a gift"},
        }
        assert (approval["status"], approval["kind"], approval["outcome"]) == ("pending", "refund", None)

    @pytest.mark.parametrize("amount", [799, 800])
    def test_that_closes_a_payment_needs_it_as_money_that_leaves_does(self, bank: Bank, amount: int) -> None:
        """Saying where much money belongs takes two people, and then it goes there; a little takes one."""
        before, wallet = bank.balance(), bank.wallets[0]
        party = bank.client.get(f"/v1/wallets/{wallet}").json()["party_id"]
        payment = pay_out(bank.live, SLUG, wallet, party, Money(amount, "EUR"))
        block(bank.live, SLUG, payment)
        key, body = uuid4().hex, {"outcome": "returned", "reason": "The rail says so."}
        answer = bank.post(f"/v1/payments/{payment}/resolution", body, key)
        if amount == 800:
            approval = waits(answer)
            assert bank.balance() == before - amount
            assert bank.client.get(f"/v1/payments/{payment}").json()["needs_attention"] == "blocked"
            bank.decide(approval)
            assert bank.shown(approval)["outcome"]["status"] == "RJCT"
            answer = bank.post(f"/v1/payments/{payment}/resolution", body, key)
        assert (answer.status_code, answer.json()["status"], answer.json()["needs_attention"]) == (200, "RJCT", None)
        assert bank.balance() == before

    @pytest.mark.parametrize(
        ("scheme", "number", "amount", "status"),
        [
            ("iban", "GB33BUKB20201555555555", 799, "ACCP"),
            ("iban", "GB33BUKB20201555555555", 800, None),
            ("wallet", "", 800, "ACCC"),
        ],
    )
    def test_that_pays_much_out_needs_it_unless_it_names_a_wallet(
        self, bank: Bank, scheme: str, number: str, amount: int, status: str | None
    ) -> None:
        """What may leave the bank takes two people from the amount of withdrawals on, and then leaves once."""
        before, key = bank.balance(), uuid4().hex
        creditor = {"scheme": scheme, "identification": number or bank.wallets[1], "name": "Grace Hopper"}
        body = {"wallet_id": bank.wallets[0], "amount": euros(amount), "creditor": creditor}
        answer = bank.post("/v1/payments", body, key)
        if status is None:
            approval = waits(answer)
            assert bank.balance() == before
            decided = bank.decide(approval)
            assert (decided.outcome_status, decided.outcome["creditor_name"]) == (201, "Grace Hopper")
            answer, status = bank.post("/v1/payments", body, key), "ACCP"
            assert answer.json() == decided.outcome
        assert (answer.status_code, answer.json()["status"]) == (201, status)
        assert bank.balance() == before - amount

    def test_that_gives_back_a_small_part_needs_none(self, bank: Bank) -> None:
        """What counts is what the reversal moves, not what the transfer moved."""
        assert bank.refund(bank.transfer(600), "part", amount_minor=100).status_code == 201

    def test_in_parts_is_as_much_as_the_parts_together(self, bank: Bank) -> None:
        """Whoever gives back a large transfer little by little waits once the parts are large together."""
        transfer = bank.transfer(900)
        assert bank.refund(transfer, "part-1", amount_minor=400).status_code == 201
        waits(bank.refund(transfer, "part-2", amount_minor=400))

    def test_in_parts_at_the_same_moment_is_too(self, bank: Bank) -> None:
        """Parts that are small one by one, and sent at once, never are large together without a second person."""
        for number in range(5):
            transfer = bank.transfer(900)
            with ThreadPoolExecutor(4) as pool:
                keys = [f"at-once-{number}-{part}" for part in range(4)]
                answers = list(pool.map(lambda key, whole=transfer: bank.refund(whole, key, amount_minor=200), keys))
            done = [answer for answer in answers if answer.status_code == 201]
            assert len(done) == 2
            others = {answer.json()["code"] for answer in answers if answer.status_code != 201}
            assert others <= {"busy", "approval_required"}

    def test_that_was_carried_out_alone_is_answered_so_again(self, bank: Bank) -> None:
        """A copy of a part that needed nobody moves nothing, so what it makes together with itself doesn't count."""
        transfer = bank.transfer(900)
        first = bank.refund(transfer, "part-alone", amount_minor=400)
        again = bank.refund(transfer, "part-alone", amount_minor=400)
        assert (first.status_code, again.status_code, again.content) == (201, 201, first.content)
        other = bank.refund(transfer, "part-alone", amount_minor=401)
        assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")

    def test_waits_whatever_way_the_money_would_leave(self, bank: Bank) -> None:
        """Holds for an account and entries by hand are held to the amount of withdrawals."""
        account = bank.client.get("/v1/accounts").json()["data"][0]["id"]
        wallet = bank.wallets[0]
        hold = {"wallet_id": wallet, "amount": euros(800), "to_account_id": account}
        waits(bank.post("/v1/holds", hold, uuid4().hex))
        open_hold = bank.post("/v1/holds", {"wallet_id": wallet, "amount": euros(900)}, uuid4().hex)
        assert open_hold.status_code == 201, open_hold.text
        capture = f"/v1/holds/{open_hold.json()['id']}/capture"
        waits(bank.post(capture, {"to_account_id": account}, uuid4().hex))
        postings = [{"account_id": account, "amount_minor": sign * 800, "currency": "EUR"} for sign in (1, -1)]
        waits(bank.post("/v1/journal-entries", {"postings": postings}, uuid4().hex))

    def test_waits_however_many_lines_the_money_would_leave_in(self, bank: Bank) -> None:
        """An entry by hand is as large as its lines together."""
        account = bank.client.get("/v1/accounts").json()["data"][0]["id"]
        lines = [{"account_id": account, "amount_minor": sign * 400, "currency": "EUR"} for sign in (1, 1, -1, -1)]
        waits(bank.post("/v1/journal-entries", {"postings": lines}, uuid4().hex))
        lines[1]["amount_minor"], lines[3]["amount_minor"] = 99, -99
        assert bank.post("/v1/journal-entries", {"postings": lines}, uuid4().hex).status_code == 201

    def test_waits_in_however_many_parts_a_hold_is_captured(self, bank: Bank) -> None:
        """Parts of a hold that go to an account are as much as they are together, also where they come at once."""
        account = bank.client.get("/v1/accounts").json()["data"][0]["id"]
        order = {"wallet_id": bank.wallets[0], "amount": euros(1_000)}
        hold = bank.post("/v1/holds", order, uuid4().hex).json()["id"]
        part = {"amount_minor": 300, "to_account_id": account, "final": False}
        with ThreadPoolExecutor(4) as pool:
            keys = [uuid4().hex for _ in range(4)]
            answers = list(pool.map(lambda key: bank.post(f"/v1/holds/{hold}/capture", part, key), keys))
        done = {key: answer for key, answer in zip(keys, answers, strict=True) if answer.status_code == 200}
        assert len(done) == 2
        others = {answer.json()["code"] for answer in answers if answer.status_code != 200}
        assert others <= {"busy", "approval_required"}
        for key, answer in done.items():
            assert bank.post(f"/v1/holds/{hold}/capture", part, key).content == answer.content
        approval = waits(bank.post(f"/v1/holds/{hold}/capture", {"to_account_id": account}, uuid4().hex))
        to_a_wallet = {"amount_minor": 300, "to_wallet_id": bank.wallets[1], "final": False}
        assert bank.post(f"/v1/holds/{hold}/capture", to_a_wallet, uuid4().hex).status_code == 200
        assert bank.decide(approval).outcome["captured_minor"] == 1_000

    def test_has_one_approval_under_its_key(self, bank: Bank) -> None:
        """Copies, also at the same time, wait for the same one; another body under the key is refused."""
        transfer = bank.transfer(500)
        with ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(lambda _: bank.refund(transfer, "copied"), range(4)))
        assert len({waits(answer) for answer in answers}) == 1
        assert bank.refund(transfer, "copied", reason="other").json()["code"] == "idempotency_key_reused"

    def test_shares_its_key_with_none_that_needs_nobody(self, bank: Bank) -> None:
        """What is less, under the key of what waits, is another order: it is refused, and what waits can be done."""
        before, key = bank.balance(), uuid4().hex
        approval = waits(bank.post("/v1/withdrawals", {"wallet_id": bank.wallets[0], "amount": euros(800)}, key))
        other = bank.post("/v1/withdrawals", {"wallet_id": bank.wallets[0], "amount": euros(1)}, key)
        assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
        assert bank.decide(approval).outcome_status == 201
        assert bank.balance() == before - 800

    def test_for_what_isnt_there_is_refused_by_its_handler(self, bank: Bank) -> None:
        """Nobody is asked to approve what can't be done."""
        assert bank.refund(ids.new(Prefix.TRANSFER), "none").status_code == 404

    def test_for_what_isnt_there_waits_nowhere(self, live: LiveServer):
        """Nor where every refund waits, as for a transfer of years ago whose month was detached."""
        live.add_tenant(manifest("every_refund", approvals={"always": ["refund"]}))
        with live.client("every_refund") as client:
            waits((bank := Bank(live, client, "every_refund")).refund(bank.transfer(1), "one"))
            assert bank.refund(ids.new(Prefix.TRANSFER), "none").status_code == 404

    @pytest.mark.parametrize("kind", ["withdrawal", "unfreeze", "overdraft"])
    def test_of_each_kind_that_the_manifest_names_waits(self, bank: Bank, kind: str) -> None:
        """Large withdrawals, unfreezing and overdraft limits wait like refunds."""
        wallet = bank.wallets[1]
        if kind == "withdrawal":
            answer = bank.post("/v1/withdrawals", {"wallet_id": wallet, "amount": euros(800)}, uuid4().hex)
        elif kind == "unfreeze":
            answer = bank.post(f"/v1/wallets/{wallet}/unfreeze", {"reason": "x"})
        else:
            account = bank.client.get("/v1/accounts").json()["data"][0]["id"]
            answer = bank.client.patch(f"/v1/accounts/{account}", json={"overdraft_limit_minor": 5})
            assert bank.client.patch(f"/v1/accounts/{account}", json={"metadata": {"a": "b"}}).status_code == 200
        waits(answer)


class TestAnApprovedRequest:
    def test_is_carried_out_once_and_answers_its_maker(self, bank: Bank) -> None:
        """The maker's copy of the request has the answer; the money moved once."""
        transfer = bank.transfer(700)
        before = bank.balance()
        approval_id = waits(bank.refund(transfer, "approved"))
        decided = bank.decide(approval_id)
        assert decided.status is ApprovalStatus.EXECUTED
        assert (decided.outcome_status, decided.outcome["kind"]) == (201, "reversal")
        copy = bank.refund(transfer, "approved")
        assert (copy.status_code, copy.headers["idempotent-replayed"]) == (201, "true")
        assert copy.json() == decided.outcome
        assert bank.balance() == before + 700

    def test_is_carried_out_in_its_makers_name(self, bank: Bank) -> None:
        """The audit names who asked for the reversal, and who agreed."""
        approval_id = waits(bank.refund(bank.transfer(700), "audited"))
        bank.decide(approval_id)
        maker = bank.shown(approval_id)["requested_by"]
        records = bank.client.get("/v1/audit-records", params={"object_id": approval_id}).json()["data"]
        assert [(each["action"], each["actor"]) for each in records] == [
            ("approval.executed", maker),
            ("approval.approved", "person"),
            ("approval.requested", maker),
        ]

    def test_that_fails_tells_what_refused_it(self, bank: Bank) -> None:
        """The present state has the last word, as it would for any request."""
        transfer = bank.transfer(700)
        first, second = (waits(bank.refund(transfer, key)) for key in ("twice-a", "twice-b"))
        assert bank.decide(first).outcome_status == 201
        refused = bank.decide(second)
        assert (refused.status, refused.outcome_status) == (ApprovalStatus.EXECUTED, 409)
        assert refused.outcome["code"] == "reversal_exceeds_entry"
        assert bank.refund(transfer, "twice-b").json()["code"] == "reversal_exceeds_entry"

    def test_is_carried_out_by_a_job_if_its_approver_dies(self, bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
        """A process that ends between the decision and the deed leaves both done."""
        transfer = bank.transfer(700)
        before = bank.balance()
        approval_id = waits(bank.refund(transfer, "died"))
        approvals = bank.live.services.approvals
        with monkeypatch.context() as patch:

            async def die(*_: Any) -> None:
                """End before anything is done."""

            patch.setattr(approvals, "_try", die)
            bank.decide(approval_id)
        deadline = datetime.now(UTC).timestamp() + 30
        while bank.shown(approval_id)["status"] != "executed" and datetime.now(UTC).timestamp() < deadline:
            pass
        assert bank.balance() == before + 700

    def test_that_takes_long_has_the_answer_of_what_was_done(self, bank: Bank) -> None:
        """The job that goes after it meanwhile knows no answer, and writes none down in the deed's place."""
        transfer = bank.transfer(700)
        before = bank.balance()
        approval_id = waits(bank.refund(transfer, "slow"))
        held = threading.Event()

        async def hold() -> None:
            tenant = await bank.live.services.registry.get(SLUG)
            async with bank.live.services.database.tx(tenant) as tx:
                await tx.execute("SELECT FROM ledger_head FOR UPDATE")
                held.set()
                await asyncio.sleep(3.5)  # A copy waits for two seconds.

        holding = bank.live.begin(hold())
        assert held.wait(30)
        bank.decide(approval_id)
        holding.result()
        deadline = datetime.now(UTC).timestamp() + 30
        while bank.shown(approval_id)["status"] != "executed" and datetime.now(UTC).timestamp() < deadline:
            time.sleep(0.1)
        assert bank.balance() == before + 700
        assert bank.shown(approval_id)["outcome_status"] == 201
        assert bank.refund(transfer, "slow").status_code == 201

    def test_is_carried_out_once_what_was_away_for_hours_is_there_again(
        self, live: LiveServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What two people have agreed to isn't given up after minutes, in which nobody could ask for it anew."""
        live.add_tenant(manifest("patient", approvals=APPROVALS))
        with live.client("patient") as client:
            bank = Bank(live, client, "patient")
            transfer = bank.transfer(700)
            approval_id = waits(bank.refund(transfer, "patient"))
            now = datetime.fromisoformat(client.get("/v1/clock").json()["now"])

            async def away(*_: Any) -> Any:
                raise errors.KeysUnavailable(retry_after_s=1)

            with monkeypatch.context() as patch:
                patch.setattr(sealing, "seal_outcome", away)
                assert bank.decide(approval_id).status is ApprovalStatus.APPROVED
                for hours in (1, 6):
                    to = (now + timedelta(hours=hours)).isoformat()
                    assert bank.post("/v1/clock/advance", {"to": to}, uuid4().hex).status_code == 200
            to = (now + timedelta(hours=8)).isoformat()
            assert bank.post("/v1/clock/advance", {"to": to}, uuid4().hex).status_code == 200
            assert bank.shown(approval_id)["outcome_status"] == 201
            assert bank.refund(transfer, "patient").status_code == 201

    def test_is_asked_for_no_second_time_by_a_page_while_it_is_late(
        self, live: LiveServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What is approved will be carried out, also after the time to decide on it; a page that asks anew waits."""
        live.add_tenant(manifest("late", approvals=APPROVALS))
        with live.client("late") as client:
            bank = Bank(live, client, "late")
            path = {"transfer_id": bank.transfer(700)}

            async def press() -> str:
                services = live.services
                caller = Caller(
                    actor="maker", client_id=UUID(int=7), user_id=UUID(int=8), scopes=frozenset({"transfers:write"})
                )
                call = Call(
                    services=services,
                    caller=caller,
                    request_id="req_test",
                    method="POST",
                    path="",
                    headers={},
                    base_url="",
                    tenant_or_none=await services.registry.get("late"),
                )
                try:
                    await services.approvals.ask(call, "reverseTransfer", path, {"reason": "a gift"})
                except errors.ApprovalRequired as error:
                    return str(error.facts["approval_id"])
                except errors.RequestInFlight as error:
                    return error.code
                return "done"

            async def stands(*_: Any) -> bool:
                return True

            async def away(*_: Any) -> Any:
                raise errors.KeysUnavailable(retry_after_s=1)

            monkeypatch.setattr(live.services.approvals, "_maker_stands", stands)
            monkeypatch.setattr(sealing, "seal_outcome", away)
            approval_id = live.run(press())
            assert live.run(press()) == approval_id
            now = datetime.fromisoformat(client.get("/v1/clock").json()["now"])
            to = (now + timedelta(hours=71, minutes=59)).isoformat()
            assert bank.post("/v1/clock/advance", {"to": to}, uuid4().hex).status_code == 200
            bank.decide(approval_id)
            to = (now + timedelta(hours=72, minutes=1)).isoformat()
            assert bank.post("/v1/clock/advance", {"to": to}, uuid4().hex).status_code == 200
            assert bank.shown(approval_id)["status"] == "approved"
            assert live.run(press()) == "request_in_flight"

    def test_without_a_key_is_carried_out_too(self, bank: Bank) -> None:
        """Where a key is optional, the approval brings one."""
        wallet = bank.wallets[1]
        bank.post(f"/v1/wallets/{wallet}/freeze", {"reason": "x"})
        approval_id = waits(bank.post(f"/v1/wallets/{wallet}/unfreeze", {"reason": "x"}))
        assert bank.decide(approval_id).outcome["status"] == "active"


class TestARejectedRequest:
    def test_never_happens(self, bank: Bank) -> None:
        """Its key is refused from then on."""
        transfer = bank.transfer(700)
        before = bank.balance()
        approval_id = waits(bank.refund(transfer, "rejected"))
        assert bank.decide(approval_id, "reject").status is ApprovalStatus.REJECTED
        answer = bank.refund(transfer, "rejected")
        assert (answer.status_code, answer.json()["code"]) == (409, "approval_refused")
        assert answer.json()["facts"]["outcome"] == "rejected"
        assert bank.balance() == before
        with pytest.raises(errors.ApprovalNotPending):
            bank.decide(approval_id)

    def test_is_one_that_nobody_approved_in_time(self, bank: Bank) -> None:
        """The tenant's clock ends the wait."""
        approval_id = waits(bank.refund(bank.transfer(700), "late"))
        expires_at = bank.shown(approval_id)["expires_at"]
        bank.post("/v1/clock/advance", {"to": expires_at, "freeze": False})
        assert bank.shown(approval_id)["status"] == "expired"
        listed = bank.client.get("/v1/approvals", params={"status": "expired"}).json()["data"]
        assert approval_id in [each["id"] for each in listed]
        pending = bank.client.get("/v1/approvals", params={"status": "pending"}).json()["data"]
        assert approval_id not in [each["id"] for each in pending]
        with pytest.raises(errors.ApprovalNotPending):
            bank.decide(approval_id)


class TestADecision:
    def test_needs_a_person(self, bank: Bank) -> None:
        """A client by itself may be anybody's, its maker's too."""
        approval_id = waits(bank.refund(bank.transfer(700), "program"))
        answer = bank.post(f"/v1/approvals/{approval_id}/approve", {})
        assert (answer.status_code, answer.json()["code"]) == (403, "person_required")

    def test_is_never_its_makers(self) -> None:
        """The same person is refused, whichever client they use."""
        with pytest.raises(errors.MakerMayNotDecide):
            rules.check_decider(APPROVER, APPROVER)
        assert rules.check_decider(APPROVER, None) == APPROVER
        assert rules.check_decider(APPROVER, uuid4()) == APPROVER

    def test_isnt_had_by_who_has_asked_whatever_their_roles(self, live: LiveServer, bank: Bank) -> None:
        """One who may do both makes a refund wait, can't approve it, and another can: with tokens of their own."""
        scopes = ["transfers:write", "approvals:decide", "approvals:read"]
        app = add_app(live, SLUG, "client_secret_basic", login_realm="staff", scopes=scopes)
        staff = [add_person(live, SLUG, roles=["operator", "approver"]) for _ in range(2)]
        tokens = [tokens_of(app, person, scope=" ".join(scopes))["access_token"] for person in staff]
        maker, other = ({"Authorization": f"Bearer {token}"} for token in tokens)
        base, transfer = live.base(SLUG), bank.transfer(700)
        asked = httpx.post(
            f"{base}/v1/transfers/{transfer}/reversals", json={}, headers={**maker, "Idempotency-Key": uuid4().hex}
        )
        approve = f"{base}/v1/approvals/{waits(asked)}/approve"
        own = httpx.post(approve, json={}, headers=maker)
        assert (own.status_code, own.json()["code"]) == (403, "maker_may_not_decide")
        decided = httpx.post(approve, json={"reason": "seen"}, headers=other)
        assert (decided.status_code, decided.json()["outcome_status"]) == (200, 201)

    def test_of_two_at_once_is_one(self, bank: Bank) -> None:
        """The second one finds nothing pending."""
        approval_id = waits(bank.refund(bank.transfer(700), "race"))

        def decide(decision: str) -> str:
            try:
                return str(bank.decide(approval_id, decision).status)
            except errors.ApprovalNotPending:
                return "late"

        with ThreadPoolExecutor(2) as pool:
            outcomes = list(pool.map(decide, ["approve", "reject"]))
        assert outcomes.count("late") == 1

    def test_is_foreseen_for_every_status(self) -> None:
        """Only what is pending can be decided on."""
        for status in ApprovalStatus:
            for decision in ("approve", "reject"):
                if (status, decision) in DECISIONS:
                    assert status is ApprovalStatus.PENDING
                    continue
                with pytest.raises(errors.ApprovalNotPending):
                    rules.decided(status, decision)


class TestTheDatabase:
    def test_refuses_a_maker_who_decides(self, live: LiveServer, bank: Bank) -> None:
        """Four eyes are a constraint of the table, too."""
        approval_id = waits(bank.refund(bank.transfer(700), "constraint"))
        key = ids.decode(Prefix.APPROVAL, approval_id)

        async def run() -> None:
            services = live.services
            async with services.database.tx(await services.registry.get(SLUG)) as tx:
                await tx.execute(
                    "INSERT INTO approvals (id, kind, request, made_by, client_id, user_id, idempotency_key, "
                    "fingerprint, requested_at, expires_at, state, decided_by, decider_id, decided_at) "
                    "SELECT gen_random_uuid(), kind, request, made_by, client_id, $2, 'own', fingerprint, "
                    "requested_at, expires_at, 'approved', 'x', $2, requested_at FROM approvals WHERE id = $1",
                    key,
                    APPROVER,
                )

        with pytest.raises(asyncpg.CheckViolationError):
            live.run(run())

    def test_keeps_no_bodies_in_events(self, bank: Bank) -> None:
        """Events name the approval and its kind alone."""
        waits(bank.refund(bank.transfer(700), "quiet", reason="Ada's secret"))
        events = bank.client.get("/v1/events", params={"type": "approval.requested", "limit": 100}).json()["data"]
        assert events
        assert all("secret" not in json.dumps(event) for event in events)
