"""The SDK's sign-in and credentials against the product's own server, profile by profile."""

import asyncio
import secrets
from collections.abc import Iterator
from typing import Any

import pytest

from billfold import AsyncBillfold, Billfold, BillfoldPlatform, errors, ids
from billfold.auth import (
    AccessDenied,
    AsyncAuthorizationFlow,
    AuthorizationFlow,
    ClientCredentials,
    GrantInvalid,
    Pending,
    PrivateKeyJWT,
    Sealer,
    UserTokens,
)
from billfold.ids import Prefix
from billfold.keys import PemKey
from tests.live import LiveServer
from tests.server.identity.clients_of import make
from tests.server.identity.flows import Person, add_app, add_person, decide, follow, tx_of
from tests.tenants import manifest

KEY = PemKey.generate("ES256")
PROFILES: dict[str, dict[str, Any]] = {
    "sandbox": {},
    "fapi2": {},
    "fapi2-message-signing": {"response_mode": "jwt", "signed_request": True},
}
SCOPE = "openid offline_access"


@pytest.fixture(scope="module")
def profiled(live: LiveServer) -> LiveServer:
    """A tenant of each profile, named after it."""
    for profile in PROFILES:
        live.add_tenant(
            manifest(profile, security_profile=profile, rate_limit_per_s=100_000, rate_limit_burst=1_000_000)
        )
    return live


@pytest.fixture(scope="module")
def people(profiled: LiveServer) -> dict[str, Person]:
    """A customer of each tenant."""
    return {profile: customer(profiled, profile) for profile in PROFILES}


def customer(live: LiveServer, slug: str) -> Person:
    """Make a customer of a tenant, where no client has a secret."""
    key = PemKey.generate()
    auth = PrivateKeyJWT(
        program(live, slug, key, scopes=["parties:write"], dpop_bound_access_tokens=True), key, dpop=key
    )
    with Billfold(base_url=live.base(slug), auth=auth) as billfold:
        party_id = ids.decode(Prefix.PARTY, billfold.parties.create(kind="person", name="Ada", roles=["customer"]).id)
    user_id = ids.uuid7()

    async def insert() -> None:
        async with tx_of(live, slug) as tx:
            await tx.execute(
                "INSERT INTO users (id, login_realm, login_name, display_name, party_id, roles, state, handle, version,"
                " created_at, updated_at) VALUES ($1, 'psu', 'ada', 'Ada', $2, '{}', 'active', $3, 1, $4, $4)",
                user_id, party_id, secrets.token_bytes(32), live.services.clock.now(),
            )  # fmt: skip

    live.run(insert())
    return Person(live, slug, user_id, party_id)


def program(live: LiveServer, slug: str | None, key: PemKey, **more: Any) -> str:
    """Register a client that acts for itself, and return its id."""
    return make(live, slug, "private_key_jwt", further_keys=[key.public_jwk], **more).client_id


def signing_in(live: LiveServer, slug: str, **more: Any) -> str:
    """Register a client that signs people in, and return its id."""
    app = add_app(live, slug, "private_key_jwt", further_keys=[KEY.public_jwk], dpop_bound_access_tokens=True, **more)
    return app.client_id


def approve(person: Person, url: str, decision: str = "approve") -> str:
    """Do what the person does in their browser, and return the address that it is sent back to."""
    browser = person.browser()
    page = follow(browser, browser.get(url, headers={"Accept": "text/html"}))
    return str(decide(browser, page, decision).headers["location"])


class TestAProgram:
    @pytest.mark.parametrize("slug", PROFILES)
    @pytest.mark.parametrize("algorithm", ["ES256", "PS256", "EdDSA"])
    def test_is_served_by_its_key(self, profiled: LiveServer, slug: str, algorithm: Any):
        """By private_key_jwt and DPoP, with each algorithm, at a tenant of each profile."""
        key = PemKey.generate(algorithm)
        auth = PrivateKeyJWT(program(profiled, slug, key, dpop_bound_access_tokens=True), key, dpop=key)
        with Billfold(base_url=profiled.base(slug), auth=auth) as billfold:
            assert [billfold.tenant.get().slug for _ in range(2)] == [slug] * 2

    async def test_is_served_in_tasks(self, profiled: LiveServer):
        """The asynchronous client, with twenty calls at once."""
        auth = PrivateKeyJWT(program(profiled, "fapi2", KEY, dpop_bound_access_tokens=True), KEY, dpop=KEY)
        async with AsyncBillfold(base_url=profiled.base("fapi2"), auth=auth) as billfold:
            found = await asyncio.gather(*[billfold.tenant.get() for _ in range(20)])
        assert {each.slug for each in found} == {"fapi2"}

    def test_may_bind_its_tokens_with_a_secret(self, profiled: LiveServer):
        """A sandbox's client with a secret may use DPoP."""
        made = profiled.add_client("sandbox")
        auth = ClientCredentials(made.client_id, made.secret, dpop=KEY)
        with Billfold(base_url=profiled.base("sandbox"), auth=auth) as billfold:
            assert billfold.tenant.get().slug == "sandbox"

    def test_is_refused_with_another_key(self, profiled: LiveServer):
        """A key that isn't registered proves nothing."""
        auth = PrivateKeyJWT(program(profiled, "fapi2", KEY), PemKey.generate(), dpop=KEY)
        with Billfold(base_url=profiled.base("fapi2"), auth=auth) as billfold:
            with pytest.raises(errors.AuthenticationFailed) as caught:
                billfold.tenant.get()
            assert (caught.value.oauth_error, caught.value.status) == ("invalid_client", 400)


class Site:
    """A partner's web site, with a flow in one of the modes.

    Attributes:
        client: The client.
        flow: The flow.
    """

    def __init__(self, live: LiveServer, slug: str, mode: str, **metadata: Any) -> None:
        auth = PrivateKeyJWT(signing_in(live, slug, **metadata), KEY, dpop=KEY)
        self._runner = asyncio.Runner() if mode == "async" else None
        options = {"redirect_uri": "https://app.example/cb", **PROFILES[slug]}
        self.client: Any
        self.flow: Any
        if self._runner is None:
            self.client = Billfold(base_url=live.base(slug), auth=auth)
            self.flow = AuthorizationFlow(self.client, **options)
        else:
            self.client = AsyncBillfold(base_url=live.base(slug), auth=auth)
            self.flow = AsyncAuthorizationFlow(self.client, **options)

    def do(self, name: str, *args: Any, on: Any = None, **kwargs: Any) -> Any:
        """Call a method of the flow, or of something else, and wait for it where that has to be waited for."""
        outcome = getattr(self.flow if on is None else on, name)(*args, **kwargs)
        return outcome if self._runner is None else self._runner.run(outcome)

    def sign_in(self, person: Person, **asked: Any) -> UserTokens:
        """Sign a person in."""
        url, pending = self.do("begin", **{"scope": SCOPE, **asked})
        tokens = self.do("complete", Pending.load(pending.dump()), approve(person, url))
        assert isinstance(tokens, UserTokens)
        return tokens

    def close(self) -> None:
        """Give everything back."""
        self.do("close" if self._runner is None else "aclose", on=self.client)
        if self._runner is not None:
            self._runner.close()


@pytest.fixture(params=["sync", "async"])
def mode(request: pytest.FixtureRequest) -> str:
    """Both modes of the client."""
    return str(request.param)


@pytest.fixture(params=list(PROFILES))
def site(request: pytest.FixtureRequest, profiled: LiveServer, mode: str) -> Iterator[tuple[str, Site]]:
    """A site at a tenant of each profile."""
    made = Site(profiled, request.param, mode)
    yield request.param, made
    made.close()


class TestAPerson:
    def test_is_signed_in_and_acted_for(self, site: tuple[str, Site], people: dict[str, Person]):
        """From the first redirect to a call of the API as them, and a refresh."""
        slug, partner = site
        tokens = partner.sign_in(people[slug], max_age_s=600)
        assert tokens.subject
        assert set(tokens.scopes) == set(SCOPE.split())
        # The API's scopes are about all customers, so none of them can allow one: the token is good, but not for this.
        with pytest.raises(errors.PermissionDenied):
            partner.do("get", on=partner.client.as_user(tokens).tenant)
        fresh = partner.do("refresh", tokens)
        assert fresh.access_token != tokens.access_token
        assert fresh.subject == tokens.subject

    def test_is_told_about_until_their_tokens_are_revoked(self, site: tuple[str, Site], people: dict[str, Person]):
        """Userinfo, introspection (signed where the profile has it), and the end of it all."""
        slug, partner = site
        tokens = partner.sign_in(people[slug])
        assert partner.do("userinfo", tokens)["sub"] == tokens.subject
        told = partner.do("introspect", tokens.access_token, signed_answer=slug == "fapi2-message-signing")
        assert (told["active"], told["client_id"]) == (True, tokens.client_id)
        partner.do("revoke", tokens)
        assert partner.do("introspect", tokens.refresh_token) == {"active": False}
        with pytest.raises(GrantInvalid):
            partner.do("refresh", tokens)

    def test_may_say_no(self, site: tuple[str, Site], people: dict[str, Person]):
        """Their refusal is a typed error."""
        slug, partner = site
        url, pending = partner.do("begin", scope=SCOPE)
        back = approve(people[slug], url, "deny")
        with pytest.raises(AccessDenied):
            partner.do("complete", pending, back)

    def test_may_allow_something_in_particular(self, profiled: LiveServer, mode: str, people: dict[str, Person]):
        """What was asked in detail comes back with the tokens (RFC 9396)."""
        profile = "fapi2"
        person = people[profile]
        assert person.party_id is not None
        wallets = program(profiled, profile, KEY, scopes=["wallets:write"], dpop_bound_access_tokens=True)
        with Billfold(base_url=profiled.base(profile), auth=PrivateKeyJWT(wallets, KEY, dpop=KEY)) as billfold:
            wallet = billfold.wallets.create(party_id=ids.encode(Prefix.PARTY, person.party_id))
        details = [{"type": "wallet_access", "actions": ["balances"], "wallet_ids": [wallet.id]}]
        partner = Site(profiled, profile, mode, authorization_details_types=["wallet_access"])
        assert partner.sign_in(person, authorization_details=details).authorization_details == tuple(details)
        partner.close()


class TestAnOperator:
    def test_is_signed_in_at_the_platform(self, profiled: LiveServer):
        """The platform is a realm of its own, with keys and an issuer of its own."""
        app = add_app(profiled, None, "private_key_jwt", further_keys=[KEY.public_jwk], dpop_bound_access_tokens=True)
        auth = PrivateKeyJWT(app.client_id, KEY, dpop=KEY)
        with BillfoldPlatform(base_url=profiled.url, auth=auth) as platform:
            flow = AuthorizationFlow(platform, redirect_uri="https://app.example/cb")
            url, pending = flow.begin(scope="openid offline_access platform:tenants:read")
            tokens = flow.complete(pending, approve(add_person(profiled, None), url))
            assert set(tokens.scopes) == {"openid", "offline_access", "platform:tenants:read"}
            fresh = flow.refresh(UserTokens.load(tokens.dump()))
            assert (fresh.subject, fresh.access_token != tokens.access_token) == (tokens.subject, True)


class TestASealedSignIn:
    def test_opens_where_it_was_sealed(self, profiled: LiveServer, people: dict[str, Person]):
        """A framework without sessions keeps it in a cookie."""
        partner, sealer = Site(profiled, "fapi2", "sync"), Sealer(bytes(range(32)))
        url, pending = partner.do("begin", scope=SCOPE)
        cookie = sealer.seal(pending)
        tokens = partner.do("complete", sealer.open(cookie), approve(people["fapi2"], url))
        assert tokens.subject
        partner.close()
