"""What happens outside, as somebody has it happen in a sandbox: it goes through what it goes through for real."""

import secrets
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from billfold import ids
from billfold.contract.sandbox import SimulationKind
from billfold.ids import Prefix
from billfold_server.sandbox import service
from billfold_server.tenancy.clock import tenant_now
from tests.live import LiveServer
from tests.tenants import manifest

pytestmark = pytest.mark.any_postgres

ROOT = "/v1/sandbox/simulations"
IBAN = "GB33BUKB20201555555555"
DEAF_MINOR = 66_610
"""An amount to which the simulated rail never answers."""


@pytest.fixture(scope="module")
def client(live: LiveServer) -> Iterator[httpx.Client]:
    """Return a client of a sandbox that no other test uses."""
    live.add_tenant(manifest("played", sandbox=True, rate_limit_per_s=100_000, rate_limit_burst=1_000_000))
    with live.client("played") as opened:
        yield opened


@pytest.fixture(scope="module")
def other(live: LiveServer) -> Iterator[httpx.Client]:
    """Return a client of another sandbox."""
    live.add_tenant(manifest("not_played", sandbox=True, rate_limit_per_s=100_000, rate_limit_burst=1_000_000))
    with live.client("not_played") as opened:
        yield opened


@pytest.fixture(autouse=True)
def nothing(client: httpx.Client) -> Iterator[None]:
    """Leave nothing that goes on."""
    yield
    assert client.delete(ROOT).status_code == 204


def post(client: httpx.Client, path: str, body: dict[str, Any], key: str | None = None) -> httpx.Response:
    """Send an order under a key."""
    return client.post(path, json=body, headers={"Idempotency-Key": key or secrets.token_hex(16)})


def wallet(client: httpx.Client) -> str:
    """Open a wallet."""
    party = post(client, "/v1/parties", {"kind": "person", "name": "Ada Lovelace"}).json()["id"]
    return str(post(client, "/v1/wallets", {"party_id": party}).json()["id"])


def balance(client: httpx.Client, wallet_id: str) -> int:
    """Return what a wallet has, in cents."""
    return sum(each["available_minor"] for each in client.get(f"/v1/wallets/{wallet_id}/balances").json()["data"])


def euros(amount_minor: int) -> dict[str, Any]:
    """Return an amount."""
    return {"amount_minor": amount_minor, "currency": "EUR"}


def simulate(client: httpx.Client, what: str, **body: Any) -> dict[str, Any]:
    """Begin to simulate something."""
    answer = post(client, f"{ROOT}/{what}", body)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


class TestAnIncomingTransfer:
    def test_is_a_top_up_of_the_wallet(self, client: httpx.Client):
        """The rail has the money, and it is booked once, however often it is asked for under one key."""
        to, key = wallet(client), secrets.token_hex(10)
        body = {"scheme": "wallet", "identification": to, "amount": euros(4_200), "reference": "Invoice 4711"}
        answers = [post(client, f"{ROOT}/incoming-transfers", body, key) for _ in range(2)]
        assert [each.status_code for each in answers] == [201, 201]
        assert answers[0].json() == answers[1].json()
        made = answers[0].json()
        assert (made["state"], made["outcome"], balance(client, to)) == ("used_up", "credited", 4_200)
        top_up = client.get(f"/v1/top-ups/{made['top_up_id']}").json()
        assert (top_up["description"], top_up["metadata"]["rail"]) == ("Invoice 4711", "simulator")
        assert client.get(f"{ROOT}/{made['id']}").json() == made

    def test_finds_the_account_by_its_number(self, client: httpx.Client):
        """An alias names the wallet outside."""
        to = wallet(client)
        post(client, f"/v1/wallets/{to}/aliases", {"scheme": "iban", "value": IBAN})
        made = simulate(client, "incoming-transfers", scheme="iban", identification=IBAN, amount=euros(100))
        assert (made["outcome"], balance(client, to)) == ("credited", 100)

    def test_is_refused_where_nobody_can_take_it(self, client: httpx.Client, other: httpx.Client):
        """An unknown account, another tenant's, and a frozen wallet get nothing."""
        frozen, theirs = wallet(client), wallet(other)
        post(client, f"/v1/wallets/{frozen}/freeze", {"reason": "test"})
        for number, code in ((ids.new(Prefix.WALLET), None), (theirs, None), ("x", None), (frozen, "wallet_frozen")):
            made = simulate(client, "incoming-transfers", scheme="wallet", identification=number, amount=euros(100))
            assert (made["outcome"], made["refused_because"]) == ("refused", code or "creditor_unknown")
        assert (balance(other, theirs), balance(client, frozen)) == (0, 0)

    def test_comes_later_where_the_rail_is_away(self, client: httpx.Client):
        """The outage is real to who fetches the money, and it comes once the outage has ended on the tenant's clock."""
        to = wallet(client)
        simulate(client, "outages", dependency="rail", for_s=60)
        made = simulate(client, "incoming-transfers", scheme="wallet", identification=to, amount=euros(100))
        assert (made["state"], made["outcome"], balance(client, to)) == ("active", None, 0)
        now = datetime.fromisoformat(client.get("/v1/clock").json()["now"])
        moved = post(client, "/v1/clock/advance", {"to": (now + timedelta(hours=2)).isoformat(), "freeze": False})
        assert moved.status_code == 200
        done = client.get(f"{ROOT}/{made['id']}").json()
        assert (done["state"], done["outcome"], balance(client, to)) == ("used_up", "credited", 100)
        outage = client.get(ROOT, params={"kind": "outage"}).json()["data"][0]
        assert (outage["state"], outage["dependency"]) == ("expired", "rail")


def order(client: httpx.Client, wallet_id: str, amount_minor: int) -> str:
    """Order a payment to outside."""
    creditor = {"scheme": "sort_code_account_number", "identification": "10000109010102"}
    body = {"wallet_id": wallet_id, "amount": euros(amount_minor), "creditor": creditor}
    answer = post(client, "/v1/payments", body)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def pay(client: httpx.Client, wallet_id: str) -> dict[str, Any]:
    """Order a payment to outside, and return it once its rail has told its end."""
    made = order(client, wallet_id, 5)
    shown: dict[str, Any] = {"status": None}
    deadline = time.monotonic() + 20
    while shown["status"] not in {"ACSC", "RJCT"}:
        assert time.monotonic() < deadline
        shown = client.get(f"/v1/payments/{made}").json()
    return shown


class TestADecline:
    def test_is_the_rails_and_the_next_payments_own(self, client: httpx.Client):
        """So many payments are rejected for the reason, their money comes back, and the next one settles."""
        payer = wallet(client)
        simulate(client, "incoming-transfers", scheme="wallet", identification=payer, amount=euros(100))
        made = simulate(client, "declines", reason="AM04")
        declined = pay(client, payer)
        assert (declined["status"], declined["status_reason"], balance(client, payer)) == ("RJCT", "AM04", 100)
        assert client.get(f"{ROOT}/{made['id']}").json()["state"] == "used_up"
        assert (pay(client, payer)["status"], balance(client, payer)) == ("ACSC", 95)


class TestARailThatNeverAnswers:
    def test_does_not_keep_the_clock_from_moving_over_a_week(self, other: httpx.Client):
        """It is asked each day, and each time would be waited for by the real clock."""
        payer = wallet(other)
        simulate(other, "incoming-transfers", scheme="wallet", identification=payer, amount=euros(DEAF_MINOR))
        # Until the clock moves the rail is away, which it says at once; for so long that nothing asks it before that.
        simulate(other, "outages", dependency="rail", for_s=600)
        made = order(other, payer, DEAF_MINOR)
        now = datetime.fromisoformat(other.get("/v1/clock").json()["now"])
        moved = post(other, "/v1/clock/advance", {"to": (now + timedelta(days=7)).isoformat(), "freeze": False})
        assert moved.status_code == 200, moved.text
        shown = other.get(f"/v1/payments/{made}").json()
        assert (shown["status"], shown["needs_attention"]) == ("ACCP", "silence")


class TestAPaymentReturn:
    def test_brings_the_money_back_once(self, client: httpx.Client):
        """The payer has it again, by a top-up that names the payment; a second time there is nothing to bring."""
        payer = wallet(client)
        simulate(client, "incoming-transfers", scheme="wallet", identification=payer, amount=euros(100))
        payment, key = pay(client, payer)["id"], secrets.token_hex(10)
        body = {"payment_id": payment, "reason": "AC01"}
        first, copy, second = (post(client, f"{ROOT}/payment-returns", body, each) for each in (key, key, None))
        assert (first.status_code, copy.json()) == (201, first.json())
        assert (second.status_code, second.json()["code"]) == (409, "payment_not_returnable")
        told = client.get(f"/v1/top-ups/{first.json()['top_up_id']}").json()["metadata"]
        assert (told["returns"], told["return_reason"], balance(client, payer)) == (payment, "AC01", 100)

    def test_comes_in_parts_and_never_to_more_than_was_paid(self, client: httpx.Client):
        """Part of it, more than is left, other money, and then what is left; the payment tells how much is back."""
        payer = wallet(client)
        simulate(client, "incoming-transfers", scheme="wallet", identification=payer, amount=euros(100))
        payment = pay(client, payer)["id"]
        parts = [{"amount": euros(2)}, {"amount": euros(4)}, {"amount": {"amount_minor": 1, "currency": "USD"}}, {}]
        answers = [post(client, f"{ROOT}/payment-returns", {"payment_id": payment, **part}) for part in parts]
        assert [each.status_code for each in answers] == [201, 409, 409, 201]
        assert [each.json()["code"] for each in answers[1:3]] == ["return_exceeds_payment", "currency_mismatch"]
        assert answers[1].json()["facts"] == {"payment_id": payment, "remaining_minor": 3}
        assert client.get(f"/v1/payments/{payment}").json()["returned_minor"] == 5
        assert balance(client, payer) == 100

    def test_can_be_brought_anew_once_staff_has_undone_it(self, client: httpx.Client):
        """A return that was booked by mistake is reversed, and the right one brings the whole."""
        payer = wallet(client)
        simulate(client, "incoming-transfers", scheme="wallet", identification=payer, amount=euros(100))
        payment = pay(client, payer)["id"]
        wrong = simulate(client, "payment-returns", payment_id=payment)["top_up_id"]
        assert post(client, f"/v1/top-ups/{wrong}/reversals", {"reason": "test"}).status_code == 201
        assert client.get(f"/v1/payments/{payment}").json().get("returned_minor", 0) == 0
        assert simulate(client, "payment-returns", payment_id=payment)["outcome"] == "credited"
        assert balance(client, payer) == 100

    def test_to_a_frozen_wallet_is_owed_to_its_holder(self, client: httpx.Client):
        """It isn't sent back once more."""
        payer = wallet(client)
        simulate(client, "incoming-transfers", scheme="wallet", identification=payer, amount=euros(100))
        payment = pay(client, payer)["id"]
        assert post(client, f"/v1/wallets/{payer}/freeze", {"reason": "test"}).status_code == 200
        done = simulate(client, "payment-returns", payment_id=payment)
        assert (done["outcome"], done.get("top_up_id"), balance(client, payer)) == ("unclaimed", None, 95)


class TestASealedVault:
    def test_refuses_what_needs_a_key_of_this_tenant_alone(self, client: httpx.Client, other: httpx.Client):
        """Sealing, opening and cards are refused with 503; others see nothing of it, and it ends when told to."""
        party = post(client, "/v1/parties", {"kind": "person", "name": "Ada"}).json()["id"]
        order = {
            "wallet_id": wallet(client),
            "amount": euros(1),
            "creditor": {"scheme": "iban", "identification": IBAN},
        }
        made = simulate(client, "vault-seals", for_s=600)
        refused = [
            post(client, "/v1/payments", order),
            client.get(f"/v1/parties/{party}"),
            post(client, "/v1/parties", {"kind": "person", "name": "Grace"}),
            client.get("/v1/encryption-keys"),
        ]
        assert [(each.status_code, each.json()["facts"]["reason"]) for each in refused] == [(503, "sealed")] * 4
        assert post(other, "/v1/parties", {"kind": "person", "name": "Grace"}).status_code == 201
        assert client.delete(f"{ROOT}/{made['id']}").status_code == 204
        assert client.get(f"/v1/parties/{party}").json()["name"] == "Ada"
        assert client.get(f"{ROOT}/{made['id']}").json()["state"] == "cancelled"

    @pytest.mark.parametrize(
        ("dependency", "path", "reason"),
        [("key_store", "/v1/parties", "key_store_unreachable"), ("decryptor", "/v1/encryption-keys", "unreachable")],
    )
    def test_is_like_something_that_is_away(self, client: httpx.Client, dependency: str, path: str, reason: str):
        """What the platform leans on is away for what leans on it."""
        post(client, "/v1/parties", {"kind": "person", "name": "Ada"})
        simulate(client, "outages", dependency=dependency)
        answer = client.get(path)
        assert (answer.status_code, answer.json()["facts"]["reason"]) == (503, reason)


class TestSlowAnswers:
    def test_are_late_so_many_times(self, client: httpx.Client):
        """The next ones wait, and those about the sandbox itself don't."""
        made = simulate(client, "slow-answers", delay_ms=60, times=2)
        took = [client.get("/v1/tenant").elapsed.total_seconds() for _ in range(2)]
        assert min(took) >= 0.06
        client.get("/v1/tenant")
        shown = client.get(f"{ROOT}/{made['id']}").json()
        assert (shown["state"], shown["used"], shown["delay_ms"]) == ("used_up", 2, 60)


class TestManyUsesAtOnce:
    def test_are_counted_as_one_by_one(self, live: LiveServer, client: httpx.Client):
        """The oldest is used as often as it may be and then the next; what is used up isn't used again."""
        made = [simulate(client, "webhook-delays", delay_s=delay, times=times) for delay, times in ((1, 2), (2, 3))]
        tenant = live.run(live.services.registry.get("played"))

        async def taken(most: int) -> list[int]:
            async with live.services.database.tx(tenant) as tx:
                now = await tenant_now(tx)
                things = [ids.uuid7() for _ in range(most)]
                rows = await service.take_for_each(tx, SimulationKind.WEBHOOK_DELAY, things, now=now)
            return [row.facts["delay_s"] for row in rows if row is not None]

        assert live.run(taken(3)) == [1, 1, 2]
        shown = [client.get(f"{ROOT}/{each['id']}").json() for each in made]
        assert [(each["state"], each["used"]) for each in shown] == [("used_up", 2), ("active", 1)]
        assert [live.run(taken(most)) for most in (0, 9, 9)] == [[], [2, 2], []]


class TestASimulation:
    def test_is_listed_and_told_of(self, client: httpx.Client):
        """Whoever looks sees what goes on, and the audit trail has who wanted it."""
        made = simulate(client, "declines", reason="AM04", times=3, for_s=60)
        assert client.get(ROOT, params={"limit": 1}).json()["data"] == [made]
        assert (made["kind"], made["times"], made["used"], made["reason"]) == ("decline", 3, 0, "AM04")
        assert datetime.fromisoformat(made["until"]) - datetime.fromisoformat(made["created_at"]) == timedelta(
            minutes=1
        )
        client.delete(ROOT)
        records = client.get("/v1/audit-records", params={"object_id": made["id"]}).json()["data"]
        assert {each["action"] for each in records} == {"simulation.created", "simulation.cancelled"}

    def test_is_for_sandboxes_alone(self, live: LiveServer):
        """Where money is real, each of them is refused, and by its own name."""
        live.add_tenant(manifest("real_money", sandbox=False))
        with live.client("real_money") as real:
            wanted: dict[str, dict[str, Any]] = {
                "incoming-transfers": {"scheme": "wallet", "identification": "x", "amount": euros(1)},
                "payment-returns": {"payment_id": ids.new(Prefix.PAYMENT)},
                "declines": {},
                "webhook-delays": {"delay_s": 1},
                "webhook-duplicates": {},
                "vault-seals": {},
                "outages": {"dependency": "rail"},
                "slow-answers": {"delay_ms": 1},
            }
            answers = [post(real, f"{ROOT}/{what}", body) for what, body in wanted.items()]
            answers.append(real.delete(ROOT))
        assert {(each.status_code, each.json()["code"]) for each in answers} == {(403, "sandbox_only")}
