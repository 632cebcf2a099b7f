"""What a token opens that somebody has allowed: a customer's own, and what a member of staff's roles allow."""

import time
from typing import Any
from uuid import uuid4

import httpx
import pytest

from billfold import ids
from billfold.ids import Prefix
from billfold_server.identity.tokens.standings import narrowed
from billfold_server.tenancy.context import Own
from tests.live import LiveServer
from tests.server.identity.flows import App, Person, add_app, add_person, bring, follow, tokens_of, tx_of

SLUG = "sandbox"
SCOPES = ["openid", "offline_access", "wallets:read", "wallets:write", "transfers:write", "tenant:read", "audit:read"]


@pytest.fixture(scope="module")
def customers_app(profiled: LiveServer) -> App:
    """An app for customers."""
    return add_app(profiled, SLUG, "client_secret_basic", scopes=SCOPES, authorization_details_types=["wallet_access"])


@pytest.fixture(scope="module")
def back_office(profiled: LiveServer) -> App:
    """An app for the bank's staff."""
    return add_app(profiled, SLUG, "client_secret_basic", scopes=SCOPES, login_realm="staff")


@pytest.fixture(scope="module")
def ada(profiled: LiveServer) -> Person:
    """A customer."""
    return add_person(profiled, SLUG)


def open_wallet(live: LiveServer, person: Person) -> str:
    """Open a wallet for a customer, and return its id."""
    assert person.party_id is not None
    with live.client(SLUG) as client:
        made = client.post("/v1/wallets", json={"party_id": ids.encode(Prefix.PARTY, person.party_id)})
    assert made.status_code == 201, made.text
    return str(made.json()["id"])


def acting(live: LiveServer, tokens: dict[str, Any]) -> httpx.Client:
    """Return a client that shows somebody's token."""
    return httpx.Client(base_url=live.base(SLUG), headers={"Authorization": f"Bearer {tokens['access_token']}"})


def change(live: LiveServer, sql: str, person: Person) -> None:
    """Change somebody's row, as another worker would."""

    async def run() -> None:
        async with tx_of(live, SLUG) as tx:
            await tx.execute(sql, person.user_id)

    live.run(run())


def status_within(client: httpx.Client, path: str, wanted: int, *, patience_s: float = 60) -> int:
    """Ask until the status is the one that is waited for, and return the last one."""
    ends = time.monotonic() + patience_s
    while (status := client.get(path).status_code) != wanted and time.monotonic() < ends:
        pass
    return status


class TestACustomersToken:
    """A token of a customer."""

    def test_shows_their_own_wallets_alone(self, profiled: LiveServer, customers_app: App) -> None:
        """Whoever else's is asked for doesn't exist, by whatever way it is asked."""
        ada, bob = (add_person(profiled, SLUG) for _ in range(2))
        own, others = open_wallet(profiled, ada), open_wallet(profiled, bob)
        assert bob.party_id is not None
        with acting(profiled, tokens_of(customers_app, ada, scope="openid wallets:read")) as client:
            assert [each["id"] for each in client.get("/v1/wallets").json()["data"]] == [own]
            party = ids.encode(Prefix.PARTY, bob.party_id)
            assert client.get("/v1/wallets", params={"party_id": party}).json()["data"] == []
            for below in ("", "/balances", "/statement"):
                assert client.get(f"/v1/wallets/{own}{below}").status_code == 200
                assert client.get(f"/v1/wallets/{others}{below}").status_code == 404

    def test_is_narrowed_to_the_wallets_that_they_chose(
        self, profiled: LiveServer, customers_app: App, ada: Person
    ) -> None:
        """Authorization details name wallets, and whether their entries may be seen."""
        chosen, other = open_wallet(profiled, ada), open_wallet(profiled, ada)
        details = f'[{{"type": "wallet_access", "actions": ["balances"], "wallet_ids": ["{chosen}"]}}]'
        tokens = tokens_of(customers_app, ada, scope="wallets:read", authorization_details=details)
        with acting(profiled, tokens) as client:
            assert [each["id"] for each in client.get("/v1/wallets").json()["data"]] == [chosen]
            assert client.get(f"/v1/wallets/{chosen}/balances").status_code == 200
            assert client.get(f"/v1/wallets/{chosen}/statement").status_code == 404
        details = details.replace("balances", "entries")
        tokens = tokens_of(customers_app, ada, scope="wallets:read", authorization_details=details)
        with acting(profiled, tokens) as client:
            assert client.get(f"/v1/wallets/{chosen}/statement").status_code == 200
            assert client.get(f"/v1/wallets/{chosen}").status_code == 404
            assert client.get(f"/v1/wallets/{other}/statement").status_code == 404

    def test_has_no_scope_that_isnt_theirs_to_give(self, profiled: LiveServer, customers_app: App, ada: Person) -> None:
        """What is about all customers is left out of the grant, though the client may ask for it."""
        tokens = tokens_of(customers_app, ada, scope="openid wallets:read wallets:write transfers:write audit:read")
        assert set(tokens["scope"].split()) == {"openid", "wallets:read"}
        with acting(profiled, tokens) as client:
            assert client.get("/v1/audit-records").json()["code"] == "insufficient_scope"
            assert client.post("/v1/wallets", json={}).json()["code"] == "insufficient_scope"

    def test_opens_nothing_that_doesnt_know_customers(
        self, profiled: LiveServer, customers_app: App, ada: Person
    ) -> None:
        """An operation that doesn't say that it keeps customers apart is closed to them, whatever its scope."""
        wallet = open_wallet(profiled, ada)
        with acting(profiled, tokens_of(customers_app, ada, scope="wallets:read tenant:read")) as client:
            answer = client.get(f"/v1/wallets/{wallet}/aliases")
            assert (answer.status_code, answer.json()["code"]) == (403, "permission_denied")

    def test_ends_when_they_are_disabled(self, profiled: LiveServer, customers_app: App) -> None:
        """Within a second, on every worker; refreshing is over too."""
        person = add_person(profiled, SLUG)
        tokens = tokens_of(customers_app, person, scope="wallets:read offline_access")
        with acting(profiled, tokens) as client:
            assert client.get("/v1/wallets").status_code == 200
            change(profiled, "UPDATE users SET state = 'disabled' WHERE id = $1", person)
            assert status_within(client, "/v1/wallets", 401) == 401
        form = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
        refused = customers_app.post("/oauth/token", form)
        assert (refused.status_code, refused.json()["error"]) == (400, "invalid_grant")

    def test_ends_for_good_when_they_are_signed_out_everywhere(self, profiled: LiveServer, customers_app: App) -> None:
        """What they had allowed ends with their sessions, and doesn't come back."""
        person = add_person(profiled, SLUG)
        tokens = tokens_of(customers_app, person, scope="wallets:read offline_access")
        user = ids.encode(Prefix.USER, person.user_id)
        with profiled.client(SLUG) as bank, acting(profiled, tokens) as client:
            assert client.get("/v1/wallets").status_code == 200
            assert bank.post(f"/v1/users/{user}/sign-out").status_code == 200
            assert status_within(client, "/v1/wallets", 401) == 401
            # Nor does it after a while in which they couldn't sign in at all.
            assert bank.post(f"/v1/users/{user}/disable").status_code == 200
            assert bank.post(f"/v1/users/{user}/enable").status_code == 200
        form = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
        assert customers_app.post("/oauth/token", form).json()["error"] == "invalid_grant"

    def test_opens_no_more_than_its_own_details_say(self) -> None:
        """A token may be for less than its grant (RFC 9396, section 6), and never for more."""
        one, two, party = uuid4(), uuid4(), uuid4()
        granted = Own(party_id=party, balances_of=frozenset({one}), entries_of=frozenset({one, two}))
        wire = [ids.encode(Prefix.WALLET, wallet) for wallet in (one, two)]
        details = [{"type": "wallet_access", "actions": ["balances"], "wallet_ids": wire}]
        assert narrowed(granted, details) == Own(party_id=party, balances_of=frozenset({one}), entries_of=frozenset())
        assert narrowed(granted, []) == granted
        assert narrowed(None, details) is None


class TestAStaffToken:
    """A token of bank staff."""

    def test_has_what_their_roles_allow(self, profiled: LiveServer, back_office: App, ada: Person) -> None:
        """An operator works with customers, and doesn't read the audit."""
        open_wallet(profiled, ada)
        person = add_person(profiled, SLUG, roles=["operator"])
        tokens = tokens_of(back_office, person, scope="wallets:read wallets:write audit:read")
        assert set(tokens["scope"].split()) == {"wallets:read", "wallets:write"}
        with acting(profiled, tokens) as client:
            assert client.get("/v1/wallets").json()["data"] != []
            assert client.get("/v1/audit-records").status_code == 403

    def test_loses_what_their_roles_lose(self, profiled: LiveServer, back_office: App) -> None:
        """A role that is taken away is gone within a second, though the token lives on."""
        person = add_person(profiled, SLUG, roles=["operator", "auditor"])
        tokens = tokens_of(back_office, person, scope="wallets:read audit:read")
        with acting(profiled, tokens) as client:
            assert client.get("/v1/audit-records").status_code == 200
            change(profiled, "UPDATE users SET roles = '{operator}' WHERE id = $1", person)
            assert status_within(client, "/v1/audit-records", 403) == 403
            assert client.get("/v1/wallets").status_code == 200

    def test_isnt_had_by_a_customers_sign_in(self, back_office: App, ada: Person) -> None:
        """An app for staff sends whoever has signed in as a customer to the staff's own page."""
        browser = ada.browser()
        page = follow(browser, bring(browser, back_office))
        assert page.url.path.endswith("/auth/staff/sign-in")
