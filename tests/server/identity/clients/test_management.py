"""How a tenant's own programs manage its clients, by the SDK against a server that runs."""

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from billfold import Billfold, errors, ids
from billfold.contract.clients import CreateClient, SetClientKeys, UpdateClient
from billfold.ids import Prefix
from billfold_server.identity.rules import TENANT_SCOPES
from tests.live import LiveServer
from tests.server.identity import clients_of


def keys_of(alg: Any = "ES256", kid: str = "one") -> dict[str, Any]:
    """Return a JWK Set with a new key."""
    return {"keys": [clients_of.public_jwk(clients_of.key_for(alg), kid)]}


def with_secret(scope: str = "wallets:read") -> CreateClient:
    """Return the registration of a client that shows a secret by HTTP Basic."""
    return CreateClient(token_endpoint_auth_method="client_secret_basic", scope=scope)


def manager(live: LiveServer, *scopes: str) -> Billfold:
    """Return the SDK's client of a program that may manage clients, within these scopes."""
    made = live.add_client("alpha", ["clients:read", "clients:write", *scopes])
    return Billfold(base_url=live.base("alpha"), client_id=made.client_id, client_secret=made.secret)


@pytest.fixture(scope="module")
def billfold(live: LiveServer) -> Iterator[Billfold]:
    """A program that may manage clients, and may do everything else too."""
    with manager(live, *sorted(TENANT_SCOPES.keys() - {"clients:read", "clients:write"})) as client:
        yield client


def ask(live: LiveServer, client_id: str, secret: str) -> httpx.Response:
    """Ask for a token by HTTP Basic."""
    form = {"grant_type": "client_credentials"}
    return httpx.post(f"{live.base('alpha')}/oauth/token", data=form, auth=(client_id, secret))


class TestAClient:
    def test_is_registered_shown_and_listed(self, billfold: Billfold) -> None:
        """What was asked for is registered, and shown by its id and in the list; there is no secret to it."""
        made = billfold.clients.create(
            CreateClient(
                client_name="Payouts",
                organisation="Example Ltd",
                token_endpoint_auth_method="private_key_jwt",
                scope="transfers:write wallets:read",
                jwks=keys_of(),
                contacts=["ops@example.com"],
                dpop_bound_access_tokens=True,
            )
        )
        assert (made.client_secret, made.grant_types, made.registered_by) == (None, ["client_credentials"], "operator")
        assert made.scope == "transfers:write wallets:read"
        found = billfold.clients.get(made.id)
        assert {name: getattr(found, name) for name in found.__struct_fields__} == {
            name: getattr(made, name) for name in found.__struct_fields__
        }
        assert made.id in {client.id for client in billfold.clients.list(limit=50)}

    def test_with_a_secret_gets_tokens_by_it(self, live: LiveServer, billfold: Billfold) -> None:
        """The secret is in the answer, and nowhere else."""
        made = billfold.clients.create(with_secret())
        assert made.client_secret is not None
        assert ask(live, made.id, made.client_secret).json()["scope"] == "wallets:read"
        assert not hasattr(billfold.clients.get(made.id), "client_secret")

    def test_changes_what_is_given_alone(self, billfold: Billfold) -> None:
        """What isn't given stays, None clears, and a version that isn't the present one is refused."""
        made = billfold.clients.create(
            CreateClient(
                client_name="Before",
                organisation="Example Ltd",
                scope="wallets:read",
                policy_uri="https://example.com/p",
            )
        )
        changed = billfold.clients.update(
            made.id, UpdateClient(client_name="After", organisation=None), if_match=made.version
        )
        assert (changed.client_name, changed.organisation, changed.policy_uri) == (
            "After",
            None,
            "https://example.com/p",
        )
        assert changed.version == made.version + 1
        with pytest.raises(errors.PreconditionFailed):
            billfold.clients.update(made.id, UpdateClient(client_name="Later"), if_match=made.version)

    def test_that_asks_people_gets_its_redirect_and_response_types(self, billfold: Billfold) -> None:
        """A change is checked as a whole, as if it were new."""
        made = billfold.clients.create(CreateClient(scope="wallets:read"))
        with pytest.raises(errors.ClientMetadataRefused) as caught:
            billfold.clients.update(made.id, UpdateClient(grant_types=["authorization_code"]))
        assert caught.value.param == "redirect_uris"
        changed = billfold.clients.update(
            made.id, UpdateClient(grant_types=["authorization_code"], redirect_uris=["https://app.example/cb"])
        )
        assert (changed.response_types, changed.redirect_uris) == (["code"], ["https://app.example/cb"])

    def test_keeps_its_former_secret_for_a_while(self, live: LiveServer, billfold: Billfold) -> None:
        """Both secrets are taken during the overlap, and without one the former is worth nothing at once."""
        made = billfold.clients.create(with_secret())
        second = billfold.clients.rotate_secret(made.id)
        for secret in (made.client_secret, second.client_secret):
            assert secret is not None
            assert ask(live, made.id, secret).status_code == 200
        third = billfold.clients.rotate_secret(made.id, overlap_s=0)
        statuses = [
            ask(live, made.id, secret or "").status_code
            for secret in (made.client_secret, second.client_secret, third.client_secret)
        ]
        assert statuses == [401, 401, 200]

    def test_keeps_the_secret_that_it_has_where_an_answer_was_lost(self, live: LiveServer, billfold: Billfold) -> None:
        """Who asks again has never seen the secret between, so the one before is taken until what was said of it."""
        made = billfold.clients.create(with_secret())
        for _ in range(2):
            newest = billfold.clients.rotate_secret(made.id)
        assert made.client_secret is not None
        for secret in (made.client_secret, newest.client_secret):
            assert ask(live, made.id, secret).status_code == 200
        billfold.clients.rotate_secret(made.id, overlap_s=0)
        assert ask(live, made.id, made.client_secret).status_code == 401

    def test_changes_its_keys(self, live: LiveServer, billfold: Billfold) -> None:
        """The new key proves the client from then on, the former one no more."""
        client = clients_of.make(live, "alpha", scopes=["wallets:read"])
        form = {"grant_type": "client_credentials"}
        url = f"{live.base('alpha')}/oauth/token"
        assert httpx.post(url, data={**form, **client.form(live.base("alpha"))}).status_code == 200
        billfold.clients.rotate_keys(client.client_id, SetClientKeys(jwks=keys_of(kid=client.kid)))
        assert httpx.post(url, data={**form, **client.form(live.base("alpha"))}).status_code == 401

    def test_is_stopped_and_let_in(self, live: LiveServer, billfold: Billfold) -> None:
        """A disabled client gets no token, an enabled one does."""
        made = billfold.clients.create(with_secret())
        assert billfold.clients.disable(made.id).state == "disabled"
        assert ask(live, made.id, made.client_secret or "").status_code == 401
        assert billfold.clients.enable(made.id).state == "active"
        assert ask(live, made.id, made.client_secret or "").status_code == 200

    def test_that_isnt_there_is_not_found(self, billfold: Billfold) -> None:
        """Each operation on an unknown client says so."""
        unknown = ids.new(Prefix.CLIENT)
        for call in (
            billfold.clients.get,
            billfold.clients.disable,
            billfold.clients.enable,
            billfold.clients.rotate_secret,
            lambda unknown: billfold.clients.update(unknown, UpdateClient()),
        ):
            with pytest.raises(errors.NotFound):
                call(unknown)

    def test_stands_in_the_audit_trail(self, billfold: Billfold) -> None:
        """Every change by whom and of what, without any secret."""
        made = billfold.clients.create(with_secret())
        billfold.clients.update(made.id, UpdateClient(client_name="Other"))
        secret = billfold.clients.rotate_secret(made.id).client_secret
        records = list(billfold.audit_records.list(object_id=made.id))
        assert [each.action for each in records] == ["client.secret_rotated", "client.changed", "client.created"]
        assert all(secret not in str(each) and (made.client_secret or "") not in str(each) for each in records)


class TestAManager:
    def test_hands_out_no_more_than_it_has(self, live: LiveServer, billfold: Billfold) -> None:
        """Neither by a new client, nor by a change, nor by new keys for one that may more."""
        mighty = billfold.clients.create(with_secret("transfers:write"))
        with manager(live, "wallets:read") as small:
            own = small.clients.create(CreateClient(scope="wallets:read"))
            attempts: list[Callable[[], object]] = [
                lambda: small.clients.create(CreateClient(scope="transfers:write")),
                lambda: small.clients.update(own.id, UpdateClient(scope="transfers:write wallets:read")),
                lambda: small.clients.update(mighty.id, UpdateClient(scope="wallets:read")),
                lambda: small.clients.rotate_keys(mighty.id, SetClientKeys(jwks=keys_of())),
                lambda: small.clients.rotate_secret(mighty.id),
                lambda: small.clients.disable(mighty.id),
            ]
            for attempt in attempts:
                with pytest.raises(errors.InsufficientScope) as caught:
                    attempt()
                assert caught.value.scope == "transfers:write"

    def test_makes_no_third_party_of_open_banking_without_being_one(self, live: LiveServer) -> None:
        """Who is licensed for it the bank or a directory says; what somebody else has made one of can be managed."""
        party = live.add_client("alpha", ["accounts"]).client_id
        with manager(live, "wallets:read") as small, manager(live, "accounts") as bank:
            own = small.clients.create(with_secret())
            attempts: list[Callable[[], object]] = [
                lambda: small.clients.create(with_secret("accounts")),
                lambda: small.clients.update(own.id, UpdateClient(scope="accounts wallets:read")),
            ]
            for attempt in attempts:
                with pytest.raises(errors.InsufficientScope) as caught:
                    attempt()
                assert caught.value.scope == "accounts"
            assert small.clients.update(party, UpdateClient(client_name="Ledger", scope="accounts")).scope == "accounts"
            assert bank.clients.create(with_secret("accounts")).scope == "accounts"
