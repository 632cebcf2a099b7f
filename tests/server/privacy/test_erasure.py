"""What is known of a person, and forgetting them: over HTTP, in all rooms, with the books as they were."""

import asyncio
from collections.abc import Iterator
from contextvars import Context
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from billfold import errors, ids
from billfold.ids import Prefix
from billfold.money import Money
from billfold_server.db.personal import Erasing, SubjectProvider
from billfold_server.http.routing import Call
from billfold_server.invariants.service import check
from billfold_server.keys.service import Place
from billfold_server.ledger.export import verify_ledger
from billfold_server.parties import service as parties
from billfold_server.privacy.service import SHRED_JOB
from billfold_server.rooms import INVENTORIES, SUBJECTS
from billfold_server.tenancy.context import Caller
from billfold_server.tenancy.transaction import TenantTx
from tests.contract.paying import block, pay_out
from tests.live import LiveServer
from tests.pace import until
from tests.server.identity.flows import add_app, add_person, tokens_of
from tests.server.people.persons import Person, a_person, enrol
from tests.server.reconciliation.statement_files import Entry, Plan, camt053
from tests.tenants import manifest

SLUG = "forgets"
APPROVER = UUID("019a0000-0000-7000-8000-000000000002")


class Bank:
    """A tenant that keeps nobody for longer than they are customers, and a client of it."""

    def __init__(self, live: LiveServer, client: httpx.Client, slug: str = SLUG) -> None:
        self.live = live
        self.client = client
        self.slug = slug
        app = add_app(live, slug, "client_secret_basic", login_realm="staff", scopes=["privacy:write"])
        tokens = tokens_of(app, add_person(live, slug, roles=["operator"]), scope="privacy:write")
        self._officer = {"Authorization": f"Bearer {tokens['access_token']}"}

    @property
    def tenant(self) -> Any:
        """The tenant."""
        return self.live.run(self.live.services.registry.get(self.slug))

    def post(self, path: str, body: dict[str, Any], key: str | None = None, status: int = 201) -> dict[str, Any]:
        """Post JSON, and return what was answered."""
        answer = self.client.post(path, json=body, headers={"Idempotency-Key": key or uuid4().hex})
        assert answer.status_code == status, answer.text
        return dict(answer.json())

    def customer(self, name: str) -> "Customer":
        """Make a customer with two wallets, an alias, texts on what was moved, and a way to sign in."""
        party = self.post("/v1/parties", {"kind": "person", "name": name, "external_id": f"x-{uuid4().hex}"})
        wallets = [
            self.post("/v1/wallets", {"party_id": party["id"], "label": f"of {name}", "metadata": {"who": name}})["id"]
            for _ in range(2)
        ]
        self.post(f"/v1/wallets/{wallets[0]}/aliases", {"scheme": "name", "value": f"{name} {uuid4().hex}"})
        money, cent = cents(500), cents(1)
        for amount in (money, cent):
            self.post("/v1/top-ups", {"wallet_id": wallets[0], "amount": amount, "description": f"from {name}"})
        order = {"from_wallet_id": wallets[0], "to_wallet_id": wallets[1], "amount": money}
        self.post("/v1/transfers", {**order, "description": f"for {name}", "metadata": {"who": name}})
        hold = {"wallet_id": wallets[1], "amount": cent, "description": f"kept by {name}", "metadata": {"who": name}}
        self.post(f"/v1/holds/{self.post('/v1/holds', hold)['id']}/release", {}, status=200)
        account = self.client.get(f"/v1/wallets/{wallets[0]}/balances").json()["data"][0]["account_id"]
        self.client.patch(f"/v1/accounts/{account}", json={"name": f"of {name}", "metadata": {"who": name}})
        creditor = {"scheme": "wallet", "identification": wallets[1], "name": name}
        payment = {"wallet_id": wallets[0], "amount": cent, "creditor": creditor, "reference": f"for {name}"}
        self.post("/v1/payments", {**payment, "metadata": {"who": name}})
        return Customer(self, party["id"], wallets)

    def erase(self, party_id: str, key: str) -> httpx.Response:
        """Ask for somebody to be forgotten, as a member of staff."""
        return self._ask(party_id, {"Idempotency-Key": key, **self._officer})

    def erase_by_program(self, party_id: str) -> httpx.Response:
        """Ask for the same as a program."""
        return self._ask(party_id, {"Idempotency-Key": uuid4().hex})

    def _ask(self, party_id: str, headers: dict[str, str]) -> httpx.Response:
        body = {"reason": "asked to be forgotten"}
        return self.client.post(f"/v1/parties/{party_id}/erasure", json=body, headers=headers)

    def approve(self, refused: httpx.Response) -> None:
        """Agree to what waits, as another person."""
        assert (refused.status_code, refused.json()["code"]) == (409, "approval_required"), refused.text
        approval_id = ids.decode(Prefix.APPROVAL, refused.json()["facts"]["approval_id"])
        call = Call(
            services=self.live.services,
            caller=Caller(actor="person", client_id=uuid4(), user_id=APPROVER),
            request_id="req_test",
            method="POST",
            path="",
            headers={},
            base_url="",
            tenant_or_none=self.tenant,
        )

        async def decide() -> None:
            await self.live.services.approvals.decide(call, approval_id, "approve", "looked")

        self.live.run(decide())

    def exported(self, party_id: str, *, limit: int = 100) -> list[dict[str, Any]]:
        """Return all that is known of somebody, page by page."""
        found: list[dict[str, Any]] = []
        cursor = None
        while True:
            query = {"limit": str(limit)} | ({} if cursor is None else {"cursor": cursor})
            answer = self.client.post(f"/v1/parties/{party_id}/exports", json={"reason": "asked"}, params=query)
            assert answer.status_code == 200, answer.text
            found += answer.json()["data"]
            cursor = answer.json()["next_cursor"]
            if cursor is None:
                return found

    def row(self, sql: str, *arguments: object) -> Any:
        """Return a row of the tenant's."""
        tenant = self.tenant

        async def fetch() -> Any:
            async with self.live.services.database.tx(tenant) as tx:
                return await tx.fetchrow(sql, *arguments)

        return self.live.run(fetch())


def cents(amount_minor: int) -> dict[str, Any]:
    """Return an amount of euros."""
    return {"amount_minor": amount_minor, "currency": "EUR"}


class Customer:
    """A customer of the bank."""

    def __init__(self, bank: Bank, party_id: str, wallets: list[str]) -> None:
        self.bank = bank
        self.party_id = party_id
        self.wallets = wallets

    def leave(self) -> None:
        """Take the money out, and close the wallets."""
        self.bank.post("/v1/withdrawals", {"wallet_id": self.wallets[1], "amount": cents(501)})
        for wallet in self.wallets:
            self.bank.post(f"/v1/wallets/{wallet}/close", {"reason": "has left"}, status=200)


@pytest.fixture(scope="module")
def bank(live: LiveServer) -> Iterator[Bank]:
    """Serve a tenant that needn't keep customers."""
    retention = {"customer_days": 0}
    live.add_tenant(manifest(SLUG, retention=retention, rate_limit_per_s=100_000, rate_limit_burst=1_000_000))
    with live.client(SLUG) as client:
        yield Bank(live, client)


def enrolled(bank: Bank, customer: Customer) -> Person:
    """Let a customer sign in."""
    person = a_person(bank.live, bank.slug, party_id=customer.party_id)
    enrol(person)
    return person


class TestAnExport:
    """An export of what is known of a person."""

    def test_holds_what_every_room_knows(self, bank: Bank) -> None:
        """Profile, wallets, aliases, what was moved and booked, users and records: once each, on pages of any size."""
        customer = bank.customer("Grace Hopper")
        person = enrolled(bank, customer)
        person.sign_in()
        known = bank.exported(customer.party_id, limit=3)
        kinds = {each["kind"] for each in known}
        moved = {"top_up", "transfer", "payment", "account", "journal_entry", "hold"}
        assert kinds >= {"party", "wallet", "wallet_alias", *moved, "user", "session"}
        (payment,) = (each["data"] for each in known if each["kind"] == "payment")
        assert (payment["creditor_name"], payment["metadata"]) == ("Grace Hopper", {"who": "Grace Hopper"})
        (party,) = (each["data"] for each in known if each["kind"] == "party")
        assert party["name"] == "Grace Hopper"
        assert person.name in {each["data"]["login_name"] for each in known if each["kind"] == "user"}
        unaudited = [each for each in known if each["kind"] != "audit_record"]
        again = [each for each in bank.exported(customer.party_id) if each["kind"] != "audit_record"]
        assert unaudited == again

    def test_is_recorded_before_it_is_read(self, bank: Bank) -> None:
        """The audit says who asked, and why, for each page."""
        customer = bank.customer("Ada King")
        bank.exported(customer.party_id)
        query = {"object_id": customer.party_id, "action": "party.exported"}
        (record,) = bank.client.get("/v1/audit-records", params=query).json()["data"]
        assert (record["reason"], record["facts"]) == ("asked", {"continued": False})


class TestAnErasure:
    """An erasure."""

    def test_waits_until_all_wallets_are_closed(self, bank: Bank) -> None:
        """Who has money, or may get some, can't be forgotten; nobody is asked to agree to that."""
        customer = bank.customer("Ada Lovelace")
        refused = bank.erase(customer.party_id, uuid4().hex)
        assert (refused.status_code, refused.json()["code"]) == (409, "party_has_wallets")
        assert refused.json()["facts"] == {"open_wallets": 2}

    def test_waits_until_no_payment_is_open(self, live: LiveServer, bank: Bank) -> None:
        """Whose money a rail holds back is known until somebody has said where it goes, though they have left."""
        customer = bank.customer("Ada Lovelace")
        bank.post("/v1/top-ups", {"wallet_id": customer.wallets[1], "amount": cents(1)})
        payment = pay_out(live, SLUG, customer.wallets[1], customer.party_id, Money(1, "EUR"))
        block(live, SLUG, payment)
        customer.leave()
        refused = bank.erase(customer.party_id, uuid4().hex)
        assert (refused.status_code, refused.json()["code"]) == (409, "party_has_payments")
        assert refused.json()["facts"] == {"open_payments": 1}
        resolution = {"outcome": "returned", "reason": "The rail says so."}
        bank.post(f"/v1/payments/{payment}/resolution", resolution, status=200)
        assert bank.erase(customer.party_id, uuid4().hex).json()["code"] == "approval_required"

    def test_waits_until_no_money_is_in_suspense(self, bank: Bank) -> None:
        """Who has sent money that came too late is told by nobody else, so somebody says first where it goes."""
        customer = bank.customer("Ada Lovelace")
        alias = {"scheme": "name", "value": "Grace Late"}
        bank.post(f"/v1/wallets/{customer.wallets[0]}/aliases", alias)
        customer.leave()
        file = camt053(Plan([Entry(500, name="Grace Late")]))
        headers = {"Idempotency-Key": uuid4().hex, "Content-Type": "application/octet-stream"}
        assert bank.client.post("/v1/statement-imports", content=file, headers=headers).status_code == 201
        (waiting,) = bank.client.get("/v1/statement-entries", params={"outcome": "suspense"}).json()["data"]
        assert (waiting["wallet_id"], waiting["counterparty_name"]) == (customer.wallets[0], "Grace Late")
        refused = bank.erase(customer.party_id, uuid4().hex)
        assert (refused.status_code, refused.json()["code"]) == (409, "party_has_payments")
        assert refused.json()["facts"] == {"open_payments": 1}
        bank.post(f"/v1/journal-entries/{waiting['journal_entry_id']}/reversals", {"reason": "sent back"})
        assert bank.erase(customer.party_id, uuid4().hex).json()["code"] == "approval_required"

    def test_waits_for_as_long_as_the_law_says(self, live: LiveServer) -> None:
        """A bank that must know customers for years refuses until then, and says until when."""
        live.add_tenant(manifest("remembers", rate_limit_per_s=100_000, rate_limit_burst=1_000_000))
        with live.client("remembers") as client:
            bank = Bank(live, client, "remembers")
            customer = bank.customer("Ada Lovelace")
            customer.leave()
            refused = bank.erase(customer.party_id, uuid4().hex)
            assert (refused.status_code, refused.json()["code"]) == (409, "party_still_kept")
            stranger = bank.post("/v1/parties", {"kind": "person", "name": "Never a customer"})
            assert bank.erase(stranger["id"], uuid4().hex).json()["code"] == "approval_required"

    def test_isnt_asked_for_by_a_program(self, bank: Bank) -> None:
        """A program may be the approver's own, who then would be both."""
        party = bank.post("/v1/parties", {"kind": "person", "name": "Ada Lovelace"})
        refused = bank.erase_by_program(party["id"])
        assert (refused.status_code, refused.json()["code"]) == (403, "person_required")

    def test_leaves_a_tombstone_and_exact_books(self, bank: Bank) -> None:
        """Another person agrees; then names, texts, aliases and users are gone, and chain and invariants hold."""
        customer = bank.customer("Grace Hopper")
        person = enrolled(bank, customer)
        browser = person.sign_in()
        customer.leave()
        before = [bank.client.get(f"/v1/wallets/{each}/statement").json()["data"] for each in customer.wallets]
        key = uuid4().hex
        bank.approve(bank.erase(customer.party_id, key))
        answer = bank.erase(customer.party_id, key)
        assert answer.status_code == 200, answer.text
        erased = answer.json()["erased"]
        moved = {"transfers", "payment_texts", "accounts", "journal_entries", "holds"}
        assert {"parties", "wallets", "wallet_aliases", *moved, "users", "sessions"} <= set(erased)
        (payment,) = bank.client.get("/v1/payments", params={"wallet_id": customer.wallets[0]}).json()["data"]
        assert (payment["creditor_name"], payment["creditor_account"], payment["reference"]) == (None, None, None)
        assert (payment["amount"], payment["status"], "metadata" in payment) == (cents(1), "ACCC", False)
        shown = bank.client.get(f"/v1/parties/{customer.party_id}").json()
        assert (shown["name"], shown["external_id"], shown["forgotten_at"]) == (
            None,
            None,
            answer.json()["forgotten_at"],
        )
        account = bank.client.get(f"/v1/accounts/{before[0][0]['account_id']}").json()
        assert (account["name"], account["metadata"]) == (None, {})
        after = [bank.client.get(f"/v1/wallets/{each}/statement").json()["data"] for each in customer.wallets]
        blank = [[{**line, "description": None} for line in lines] for lines in before]
        assert after == blank
        assert browser.get("/account").status_code in {302, 303}
        user = bank.row("SELECT state, display_name FROM users WHERE id = $1", ids.decode(Prefix.USER, person.user_id))
        assert tuple(user) == ("disabled", "-")

        async def look() -> tuple[list[Any], Any]:
            services = bank.live.services
            tenant = await services.registry.get(bank.slug)
            return await check(services.database, tenant), await verify_ledger(services.database, tenant)

        breaches, verification = bank.live.run(look())
        assert breaches == []
        assert verification.findings == []

    def test_keeps_nobody_elses_money_waiting(self, bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
        """By the time the books are taken nothing is left of what there may be a million rows of."""
        customer = bank.customer("Ada Waiting")
        customer.leave()
        tenant, database = bank.tenant, bank.live.services.database
        seen: list[int] = []

        async def others() -> None:
            async with database.tx(tenant, lock_timeout_ms=50) as tx:
                await tx.execute("UPDATE ledger_head SET fence = fence WHERE id = 1")

        async def look(tx: TenantTx, _: Erasing) -> dict[str, int]:
            await asyncio.create_task(others(), context=Context())
            left = "SELECT count(*) FROM {} WHERE description LIKE '%Ada Waiting'"
            seen.extend([await tx.fetchval(left.format(each)) for each in ("transfers", "journal_entries", "holds")])
            return {}

        privacy = bank.live.services.rooms["privacy"]
        last = SubjectProvider(room="last", begin=look, nothing_because="it looks")
        monkeypatch.setattr(privacy, "subjects", (*privacy.subjects, last))
        key = uuid4().hex
        bank.approve(bank.erase(customer.party_id, key))
        erased = bank.erase(customer.party_id, key).json()["erased"]
        assert seen == [0, 0, 1]
        assert (erased["transfers"], erased["journal_entries"]) == (4, 4)

    def test_destroys_the_keys(self, bank: Bank) -> None:
        """A row that comes back from a backup can't be opened any more, and no new key can be made."""
        party = bank.post("/v1/parties", {"kind": "person", "name": "Ada Lovelace"})
        party_id = ids.decode(Prefix.PARTY, party["id"])
        backup = bank.row("SELECT sealed_profile FROM parties WHERE id = $1", party_id)["sealed_profile"]
        key = uuid4().hex
        bank.approve(bank.erase(party["id"], key))
        assert bank.erase(party["id"], key).status_code == 200
        place = Place("parties", str(party_id), "sealed_profile")
        keys = bank.live.services.keys

        tenant = bank.tenant

        async def opened() -> bytes:
            return (await keys.opener(tenant, [backup])).open(place, backup)

        async def sealed() -> None:
            await keys.sealer(tenant, party_id)

        def is_destroyed() -> bool:
            try:
                bank.live.run(opened())
            except errors.SubjectForgotten:
                return True
            return False

        # Right after what is answered, or by the job where the key store hasn't answered in time.
        until(is_destroyed)
        with pytest.raises(errors.SubjectForgotten):
            bank.live.run(sealed())

    def test_goes_for_kept_answers(self, bank: Bank) -> None:
        """A copy of a request tells nobody who was forgotten, and makes nobody anew."""
        party_key, user_key, key = (uuid4().hex for _ in range(3))
        asked = {"kind": "person", "name": "Ada Lovelace"}
        party = bank.post("/v1/parties", asked, party_key)
        name = uuid4().hex
        user = {"login_realm": "psu", "login_name": name, "display_name": "Ada", "party_id": party["id"]}
        made = bank.post("/v1/users", user, user_key)
        assert (bank.post("/v1/parties", asked, party_key), bank.post("/v1/users", user, user_key)) == (party, made)
        bank.approve(bank.erase(party["id"], key))
        copies = [("/v1/parties", asked, party_key), ("/v1/users", user, user_key)]

        def is_gone() -> bool:
            again = bank.client.post("/v1/parties", json=asked, headers={"Idempotency-Key": party_key})
            return again.status_code == 410

        # As soon as the keys are destroyed: by the job where the key store hasn't answered in time.
        until(is_gone)
        answers = [bank.post(*copy, status=410)["code"] for copy in copies for _ in range(2)]
        assert answers == ["subject_forgotten"] * 4

    def test_happens_once(self, bank: Bank) -> None:
        """Asked again it is answered as before under its key, and refused under another."""
        party = bank.post("/v1/parties", {"kind": "person", "name": "Ada Lovelace"})
        key = uuid4().hex
        bank.approve(bank.erase(party["id"], key))
        first, again = (bank.erase(party["id"], key).json() for _ in range(2))
        assert first == again
        refused = bank.erase(party["id"], uuid4().hex)
        assert (refused.status_code, refused.json()["code"]) == (409, "party_forgotten")
        assert bank.client.patch(f"/v1/parties/{party['id']}", json={"name": "x"}).json()["code"] == "party_forgotten"
        wallet = {"party_id": party["id"]}
        assert bank.client.post("/v1/wallets", json=wallet).json()["code"] == "not_found"

    def test_isnt_undone_through_wallets(self, bank: Bank) -> None:
        """What a program says again of the wallets of who was forgotten, and of their accounts, isn't kept."""
        customer = bank.customer("Grace Hopper")
        customer.leave()
        wallet, account = (
            bank.client.get(f"/v1/wallets/{customer.wallets[0]}").json(),
            bank.client.get(f"/v1/wallets/{customer.wallets[0]}/balances").json()["data"][0]["account_id"],
        )
        said = {"metadata": {"who": "Grace Hopper"}}
        kept = bank.client.patch(f"/v1/wallets/{wallet['id']}", json={"label": "hers", **said})
        assert (kept.status_code, kept.json()["label"], kept.json()["version"]) == (200, "hers", wallet["version"] + 1)
        # From then on the law wants them to be known for a time, so nothing moves it.
        assert kept.json()["updated_at"] == wallet["updated_at"]
        bank.approve(bank.erase(customer.party_id, uuid4().hex))
        refused = bank.client.patch(f"/v1/wallets/{wallet['id']}", json=said)
        assert (refused.status_code, refused.json()["code"]) == (409, "party_forgotten")
        refused = bank.client.patch(f"/v1/accounts/{account}", json=said)
        assert (refused.status_code, refused.json()["code"]) == (409, "wallet_closed")
        assert bank.client.patch(f"/v1/accounts/{account}", json={"name": None, "metadata": {}}).status_code == 200

    def test_isnt_undone_through_users(self, bank: Bank) -> None:
        """Who was forgotten is neither enabled nor enrolled again, and gets no other user."""
        party = bank.post("/v1/parties", {"kind": "person", "name": "Ada Lovelace"})
        body = {"login_realm": "psu", "login_name": f"a.{uuid4().hex}", "display_name": "A", "party_id": party["id"]}
        user = bank.post("/v1/users", body)
        key = uuid4().hex
        bank.approve(bank.erase(party["id"], key))
        assert bank.erase(party["id"], key).status_code == 200
        for order in ("enable", "enrolment-codes"):
            refused = bank.client.post(f"/v1/users/{user['id']}/{order}")
            assert (refused.status_code, refused.json()["code"]) == (404, "not_found")
        assert bank.client.get(f"/v1/users/{user['id']}").json()["state"] == "disabled"
        refused = bank.client.post("/v1/users", json={**body, "login_name": f"b.{uuid4().hex}"})
        assert (refused.status_code, refused.json()["code"]) == (404, "not_found")

    def test_waits_for_a_user_who_is_just_made(self, bank: Bank) -> None:
        """Of making a user and forgetting their party one comes first: the user is found, or there is no party."""
        party = bank.post("/v1/parties", {"kind": "person", "name": "Ada Lovelace"})
        party_id, tenant = ids.decode(Prefix.PARTY, party["id"]), bank.tenant

        database = bank.live.services.database

        async def lock() -> None:
            async with database.tx(tenant, lock_timeout_ms=50) as tx:
                await parties.lock_party(tx, party_id)

        async def held_while_locked() -> bool:
            async with database.tx(tenant) as tx:
                assert await parties.hold_party(tx, party_id)
                with pytest.raises(errors.Busy):
                    await asyncio.create_task(lock(), context=Context())
            async with database.tx(tenant) as tx:
                await parties.erase_party(tx, party_id, bank.live.services.clock.now())
                return await parties.hold_party(tx, party_id)

        assert bank.live.run(held_while_locked()) is False

    def test_leaves_a_job_for_the_keys(self, bank: Bank) -> None:
        """Should the process die before it has destroyed them, or the key store be away, another one does it."""
        party = bank.post("/v1/parties", {"kind": "person", "name": "Ada Lovelace"})
        key = uuid4().hex
        bank.approve(bank.erase(party["id"], key))
        query = {"object_id": party["id"], "action": "party.erased"}
        (record,) = bank.client.get("/v1/audit-records", params=query).json()["data"]
        assert record["reason"] == "asked to be forgotten"
        (job,) = [bank.row("SELECT count(*) FROM jobs WHERE kind = $1 AND status = 'dead'", SHRED_JOB)]
        assert job["count"] == 0


class TestEveryRoom:
    """Every room that keeps something personal."""

    def test_says_what_it_does_for_a_person(self):
        """None can forget to export or erase: it does, or says why there is nothing to do."""
        keeping = {inventory.room for inventory in INVENTORIES if inventory.personal}
        assert keeping == {each.room for each in SUBJECTS}
        assert len(SUBJECTS) == len({each.room for each in SUBJECTS})
