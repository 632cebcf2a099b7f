"""A realm's signing keys: which one signs, which are published, and what ends when."""

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import httpx
import msgspec
import pytest
from click.testing import CliRunner
from joserfc.jwk import RSAKey

from billfold.clock import ManualClock
from billfold_server.app import build_app, open_services
from billfold_server.identity import jose
from billfold_server.identity.detached import read_detached
from billfold_server.identity.profiles import SigningAlgorithm
from billfold_server.identity.realms import Realm
from billfold_server.identity.signing import rules, service
from billfold_server.identity.signing.commands import signing_keys
from billfold_server.identity.signing.service import Signing
from billfold_server.keys.service import Keys, KeyStore, SealBroken
from tests.keystores import out_of_reach, urls_of
from tests.live import LiveServer
from tests.tenants import manifest

START = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


class Bench:
    """A tenant's signing, as workers of their own would do it, with a clock that can be moved."""

    def __init__(self, live: LiveServer, slug: str) -> None:
        live.add_tenant(manifest(slug))
        self.live = live
        self.clock = ManualClock(START)
        self.realm: Realm = live.services.identity.realm(live.run(live.services.registry.get(slug)))

    def worker(self) -> Signing:
        """Return a worker that has just begun, and remembers nothing."""
        services = self.live.services
        return Signing(services.database, services.keyring, services.keys, self.clock)

    def signed(self, alg: SigningAlgorithm | None = None, **more: str) -> jose.Token:
        """Return something that was signed now."""
        work = self.worker().sign(self.realm, {"a": 1}, typ="x+jwt", alg=alg, **more)  # type: ignore[arg-type]
        return jose.read(self.live.run(work))

    def published(self) -> list[str]:
        """Return the ids in the JWKS now."""
        return [key.kid for key in self.live.run(self.worker().jwks(self.realm)).keys]

    def verifies(self, token: jose.Token) -> bool:
        """Tell whether what was signed is good now."""
        public = self.live.run(self.worker().public_key(self.realm, token.kid or ""))
        if public is None:
            return False
        return jose.verify(token, public.key, alg=public.algorithm, types={"x+jwt"}) == {"a": 1}


@pytest.fixture
def bench(live: LiveServer, request: pytest.FixtureRequest) -> Bench:
    """A tenant of the test's own."""
    return Bench(live, f"sign_{abs(hash(request.node.name)) % 10**8}")


class TestSigning:
    @pytest.mark.parametrize("alg", ["PS256", "ES256", "EdDSA"])
    def test_makes_a_key_of_each_algorithm_when_it_is_first_needed(self, bench: Bench, alg: SigningAlgorithm) -> None:
        """The first use makes the key, others use the same, and it is published."""
        one, two = bench.signed(alg), bench.signed(alg)
        assert (one.alg, one.kid) == (alg, two.kid)
        assert one.kid in bench.published()
        assert bench.verifies(one)

    def test_keeps_records_apart_from_tokens(self, bench: Bench) -> None:
        """What must be verifiable for years is signed by a key of its own."""
        token, record = bench.signed(), bench.signed(purpose="records")
        assert token.kid != record.kid
        assert bench.published() == [token.kid, record.kid] or bench.published() == [record.kid, token.kid]


def _cost_s(work: Callable[[], object]) -> float:
    """Return what some work takes of the processor."""
    began = time.thread_time()
    work()
    return time.thread_time() - began


class TestAKeyOfOurs:
    def test_is_opened_without_looking_for_its_primes_again(self) -> None:
        """Its seal shows that we have made it, and the look would hold up all that a worker does."""
        made = service._GENERATE["PS256"]()
        pem = made.as_pem(private=True).decode()
        assert service._IMPORT["PS256"](pem).as_dict(private=True) == made.as_dict(private=True)
        costs = [
            [_cost_s(partial(opens, pem)) for _ in range(3)] for opens in (service._IMPORT["PS256"], RSAKey.import_key)
        ]
        assert min(costs[0]) < min(costs[1]) / 10

    def test_is_of_the_algorithm_that_its_row_names(self) -> None:
        """Something else that was sealed there is no key of RSA, and is replaced as one that doesn't open."""
        with pytest.raises(SealBroken):
            service._IMPORT["PS256"](service._GENERATE["ES256"]().as_pem(private=True).decode())


class TestASignatureThatWasBegun:
    def test_is_taken_for_its_message_by_the_key_that_signs_now_alone(self, bench: Bench) -> None:
        """Not for another message, nor another realm's, nor once its key was withdrawn, for nobody would verify it."""

        async def attempt() -> None:
            worker, realm = bench.worker(), bench.realm
            assert worker.begin_detached(realm, b"{}", {}) is None, "no key is at hand yet"
            await worker.sign_detached(realm, b"{}", {})
            begun = worker.begin_detached(realm, b"{}", {})
            assert begun is not None
            signature = await begun.signature
            assert await worker.sign_detached(realm, b"{}", {}, begun) == signature
            assert await worker.sign_detached(realm, b"[]", {}, begun) != signature
            strange = msgspec.structs.replace(begun, realm="another")
            assert await worker.sign_detached(realm, b"{}", {}, strange) != signature
            await worker.rotate(realm)
            assert await worker.sign_detached(realm, b"{}", {}, begun) == signature, "the next key doesn't sign yet"
            await worker.rotate(realm, withdraw=True)
            text = await worker.sign_detached(realm, b"{}", {}, begun)
            kid = read_detached(text, critical=()).header["kid"]
            assert kid in {each.kid for each in (await worker.jwks(realm)).keys}
            assert read_detached(signature, critical=()).header["kid"] != kid

        bench.live.run(attempt())


class TestAKeyInTime:
    def test_is_published_before_it_signs_and_removed_when_its_last_token_has_ended(self, bench: Bench) -> None:
        """The whole life of two generations, minute by minute where it matters."""
        first = bench.signed()
        bench.clock.advance(rules.ROTATE_AFTER - rules.LEAD - timedelta(seconds=1))
        assert bench.published() == [first.kid]
        bench.clock.advance(timedelta(seconds=1))
        waiting = bench.published()
        assert (len(waiting), first.kid in waiting) == (2, True)
        assert bench.signed().kid == first.kid
        bench.clock.advance(rules.LEAD)
        second = bench.signed()
        assert second.kid in waiting
        assert second.kid != first.kid
        bench.clock.advance(rules.OVERLAP - timedelta(seconds=1))
        assert bench.verifies(first)
        bench.clock.advance(timedelta(seconds=1))
        assert not bench.verifies(first)
        assert bench.published() == [second.kid]
        assert bench.verifies(second)

    def test_for_records_verifies_for_good(self, bench: Bench) -> None:
        """A signed head of the ledger is still good years and generations later, by a key that signs no more."""
        first = bench.signed(purpose="records")
        for _ in range(3):
            bench.clock.advance(2 * rules.ROTATE_AFTER)
            bench.live.run(bench.worker().keep(bench.realm))
            bench.clock.advance(rules.LEAD)
            assert bench.signed(purpose="records").kid != first.kid
        assert bench.verifies(first)

    def test_that_nobody_asked_for_is_replaced_when_somebody_asks(self, bench: Bench) -> None:
        """After a year of rest the old key still signs while its successor is made known."""
        first = bench.signed()
        bench.clock.advance(4 * rules.ROTATE_AFTER)
        assert bench.signed().kid == first.kid
        assert len(bench.published()) == 2
        bench.clock.advance(rules.LEAD)
        assert bench.signed().kid != first.kid


class TestRotation:
    def test_is_noticed_by_nobody(self, bench: Bench) -> None:
        """Replaced before its time, a key signs for another hour, and what it signed stays good."""
        first = bench.signed()
        bench.live.run(bench.worker().rotate(bench.realm))
        assert bench.signed().kid == first.kid
        bench.clock.advance(rules.LEAD)
        assert bench.signed().kid != first.kid
        assert bench.verifies(first)

    def test_by_withdrawal_ends_what_was_signed(self, bench: Bench) -> None:
        """A key that somebody else may have is worth nothing at once, also for records."""
        tokens, records = bench.signed(), bench.signed(purpose="records")
        bench.live.run(bench.worker().rotate(bench.realm, withdraw=True))
        assert not bench.verifies(tokens)
        assert not bench.verifies(records)
        after = bench.signed()
        assert bench.verifies(after)
        assert not {tokens.kid, records.kid} & set(bench.published())


class TestTheJwks:
    def test_has_the_first_key_that_another_worker_has_made(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Whoever asks this worker next can verify what that one has signed a second ago."""
        monkeypatch.setattr(service, "_AGAIN_S", 0.0)
        worker = bench.worker()
        before = bench.live.run(worker.jwks(bench.realm))
        records = bench.signed(purpose="records")
        after = bench.live.run(worker.jwks(bench.realm))
        assert {key.kid for key in after.keys} - {key.kid for key in before.keys} == {records.kid}


class TestATokenInUse:
    def test_ends_with_the_key_that_signed_it(self, live: LiveServer, monkeypatch: pytest.MonkeyPatch) -> None:
        """A token that was let in a moment ago isn't let in once its key was withdrawn, though it is remembered."""
        monkeypatch.setattr(service, "_KEYS_S", 0.5)
        live.add_tenant(manifest("withdrawing"))
        token = live.token("withdrawing", live.add_client("withdrawing", ["tenant:read"]))

        def status() -> int:
            bearer = {"Authorization": f"Bearer {token}"}
            return httpx.get(f"{live.base('withdrawing')}/v1/tenant", headers=bearer).status_code

        assert status() == 200
        words = ["rotate", "--withdraw", "--tenant", "withdrawing"]
        # Another process than the one that serves.
        assert CliRunner().invoke(signing_keys, words, obj=partial(open_services, live.settings)).exit_code == 0
        deadline = time.monotonic() + 60
        while status() != 401:
            assert time.monotonic() < deadline


class TestWithoutKeys:
    async def test_whoever_has_begun_before_goes_on(self, live: LiveServer, bench: Bench) -> None:
        """What has been opened signs, and what was signed is verified, however long the keys are away."""
        services, urls = live.services, urls_of(live.settings)
        keys = Keys(KeyStore(urls.own), services.keys.backends)
        signing = Signing(services.database, services.keyring, keys, bench.clock)
        before = live.run(signing.sign(bench.realm, {"a": 1}, typ="x+jwt"))
        keys.evict_all()
        async with out_of_reach(urls):
            bench.clock.advance(rules.ROTATE_AFTER)
            signing._known.drop(bench.realm.owner)
            after = live.run(signing.sign(bench.realm, {"a": 1}, typ="x+jwt"))
            assert jose.read(after).kid == jose.read(before).kid
            assert live.run(signing.public_key(bench.realm, jose.read(after).kid or "")) is not None
        live.run(keys.close())

    async def test_a_worker_that_has_just_begun_lets_in_and_issues_nothing(self, live: LiveServer) -> None:
        """Tokens that are there count; for new ones a client is told when to come back, and that needs no restart."""
        live.add_tenant(manifest("keyless"))
        credentials = live.add_client("keyless", ["tenant:read"])
        token = live.token("keyless", credentials)
        app: Any = build_app(msgspec.structs.replace(live.settings, public_url=live.url))
        services = app.state.services
        asked: Any = {"data": {"grant_type": "client_credentials"}, "auth": (credentials.client_id, credentials.secret)}
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=live.base("keyless")) as client:
            async with out_of_reach(urls_of(live.settings)):
                refused = await client.post("/oauth/token", **asked)
                assert (refused.status_code, refused.json()["error"]) == (503, "temporarily_unavailable")
                assert refused.headers["Retry-After"] == "1"
                assert (await client.get("/.well-known/jwks.json")).json()["keys"]
                bearer = {"Authorization": f"Bearer {token}"}
                assert (await client.get("/v1/tenant", headers=bearer)).status_code == 200
            assert (await client.post("/oauth/token", **asked)).status_code == 200
        await services.keys.close()
        await services.engine.close()
        await services.database.close()


class TestACommand:
    def test_shows_and_replaces_the_keys(self, live: LiveServer) -> None:
        """``billfold signing-keys list`` and ``rotate``, for a tenant and for the platform."""
        given = partial(open_services, live.settings)

        def run(*words: str) -> list[dict[str, str]]:
            answer: list[dict[str, str]] = json.loads(
                CliRunner().invoke(signing_keys, [*words, "--json"], obj=given).stdout
            )
            return answer

        live.add_tenant(manifest("rotating"))
        for whose in (["--tenant", "rotating"], ["--platform"]):
            before = run("list", *whose)
            after = run("rotate", *whose)
            assert {each["standing"] for each in before} == {"signing"}
            assert len(after) == 2 * len(before)
            assert {each["standing"] for each in after} == {"signing", "waiting"}
        published = httpx.get(f"{live.base('rotating')}/.well-known/jwks.json").json()["keys"]
        assert {key["kid"] for key in published} == {each["kid"] for each in run("list", "--tenant", "rotating")}

    def test_asks_whose_keys_are_meant(self, live: LiveServer) -> None:
        """A tenant or the platform must be named, and not both."""
        given = partial(open_services, live.settings)
        for words in ([], ["--tenant", "alpha", "--platform"]):
            assert CliRunner().invoke(signing_keys, ["list", *words], obj=given).exit_code == 2
