"""Proofs of requests that are one command to the ledger: remembered with it, and by themselves where there is none."""

import asyncio
import secrets
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import httpx
import msgspec
import pytest

from billfold.contract.parties import PartyKind
from billfold.contract.wallets import CreateTopUp, CreateWallet
from billfold.money import Money
from billfold_server.wallets import kinds
from tests.callers import CALLER
from tests.live import LiveServer, serve
from tests.parties import create_party
from tests.server.identity.grants.asking import Asker, new_asker
from tests.tenants import manifest

SLUG = "proven"
SCOPES = ["wallets:read", "wallets:write", "transfers:write", "payments:write"]


class Payer(Asker):
    """An app whose token is bound to a key, and that moves money between two wallets."""

    wallets: list[str]
    token_: str

    def headers(self, path: str = "/v1/transfers", **more: str) -> dict[str, str]:
        """Return the headers of a request, with a fresh proof."""
        proof = self.prover.proof("POST", f"{self.app.base}{path}", token=self.token_)
        return {"Authorization": f"DPoP {self.token_}", "DPoP": proof, "Idempotency-Key": secrets.token_hex(16), **more}

    def send(self, headers: dict[str, str], body: Any = None, *, base: str = "", path: str = "") -> httpx.Response:
        """Ask for a transfer of a cent, or for something else."""
        moves = {
            "from_wallet_id": self.wallets[0],
            "to_wallet_id": self.wallets[1],
            "amount": {"amount_minor": 1, "currency": "EUR"},
        }
        address = f"{base or self.app.base}{path or '/v1/transfers'}"
        return httpx.post(address, headers=headers, json=moves if body is None else body, timeout=60)

    def received(self) -> int:
        """Return what the second wallet has."""
        (balance,) = self.get(self.token_, f"/v1/wallets/{self.wallets[1]}").json()["balances"]
        return int(balance["posted_minor"])


@pytest.fixture(scope="module")
def payer(live: LiveServer) -> Payer:
    """An app of a tenant under FAPI 2.0, where more than ten euros leave wallets by two persons alone."""
    limits = {"rate_limit_per_s": 100_000, "rate_limit_burst": 1_000_000}
    approvals = {"withdrawal_from_minor": {"EUR": 1000}}
    live.add_tenant(manifest(SLUG, security_profile="fapi2", approvals=approvals, **limits))
    asker = new_asker(live, SLUG, scopes=SCOPES)
    made = Payer(asker.app, asker.prover)
    made.token_ = str(made.token().json()["access_token"])
    made.get(made.token_, "/v1/wallets")
    made.wallets = live.run(_wallets(live, made.app.tenant))
    return made


async def _wallets(live: LiveServer, tenant: Any) -> list[str]:
    services = live.services
    party = await create_party(services, tenant, "Payer", kind=PartyKind.COMPANY)
    opened = [
        await services.engine.submit(
            tenant, CALLER, kinds.CREATE_WALLET, CreateWallet(party_id=party.id, currencies=["EUR"])
        )
        for _ in range(2)
    ]
    wallets = [str(msgspec.json.decode(answer.body)["id"]) for answer in opened]
    top_up = CreateTopUp(wallet_id=wallets[0], amount=Money(100_000, "EUR"))
    answer = await services.engine.submit(tenant, CALLER, kinds.TOP_UP, kinds.top_up(top_up))
    assert answer.status == 201
    return wallets


async def _hold_key(payer: Payer, tenant: Any, key: str, held: threading.Event, over: threading.Event) -> None:
    """Hold a key as a request of another kind does, for as long as the ledger waits for it."""
    async with payer.live.services.database.tx(tenant) as tx:
        await tx.execute(
            "INSERT INTO idempotency_keys (client_id, key, fingerprint, created_at) VALUES ($1, $2, $3, $4)",
            payer.app.client.id,
            key,
            bytes(32),
            payer.live.services.clock.now(),
        )
        held.set()
        await asyncio.to_thread(over.wait, 60)
        await tx.execute("DELETE FROM idempotency_keys WHERE key = $1", key)


@pytest.fixture(scope="module")
def elsewhere(payer: Payer) -> Iterator[str]:
    """The same tenant's base at another worker."""
    settings = msgspec.structs.replace(payer.live.settings, public_url=payer.live.url)
    with serve(settings) as again:
        yield f"{again.url}/t/{SLUG}"


def is_refused(answer: httpx.Response) -> bool:
    """Tell whether a proof was known, which the challenge says and which comes with the nonce for the next."""
    if answer.status_code != 401:
        return False
    assert 'error="invalid_dpop_proof"' in answer.headers["www-authenticate"]
    assert answer.headers["www-authenticate"].startswith("DPoP ")
    assert answer.headers["dpop-nonce"]
    return True


class TestAProofOfATransfer:
    def test_is_good_once(self, payer: Payer, elsewhere: str) -> None:
        """A request that was taken from the wire is worth nothing, here or elsewhere; a new proof may ask again."""
        headers = payer.headers()
        assert payer.send(headers).status_code == 201
        assert is_refused(payer.send(headers))
        assert is_refused(payer.send(headers, base=elsewhere))
        again = payer.send({**payer.headers(), "Idempotency-Key": headers["Idempotency-Key"]})
        assert (again.status_code, again.headers["idempotent-replayed"]) == (201, "true")

    def test_is_good_for_one_of_many(self, payer: Payer, elsewhere: str) -> None:
        """Of copies that come to two workers at once, each under a key of its own, one moves money."""
        before, headers = payer.received(), payer.headers()
        bases = (payer.app.base, elsewhere)

        def copy(number: int) -> bool:
            return is_refused(payer.send({**headers, "Idempotency-Key": secrets.token_hex(16)}, base=bases[number % 2]))

        with ThreadPoolExecutor(16) as pool:
            assert Counter(pool.map(copy, range(32))) == {True: 31, False: 1}
        assert payer.received() == before + 1

    @pytest.mark.parametrize(
        ("changes", "body", "status"),
        [
            ({}, {"amount": 1}, 400),
            ({"Content-Type": "text/plain"}, None, 415),
            ({"Idempotency-Key": ""}, None, 400),
        ],
        ids=["form", "type", "key"],
    )
    def test_is_used_up_by_a_request_that_is_refused(
        self, payer: Payer, elsewhere: str, changes: dict[str, str], body: Any, status: int
    ) -> None:
        """Nothing has come of it, but who saw it on its way can do no better with its proof."""
        headers = payer.headers()
        assert payer.send({**headers, **changes}, body).status_code == status
        assert is_refused(payer.send(headers, base=elsewhere))
        assert is_refused(payer.send(headers))

    @pytest.mark.usefixtures("product_locks")
    def test_is_used_up_by_a_command_that_comes_to_nothing(self, payer: Payer, elsewhere: str) -> None:
        """A key in flight refuses it: who saw the request can't order something else with its proof."""
        live, key = payer.live, secrets.token_hex(16)
        held, over = threading.Event(), threading.Event()
        holding = live.begin(_hold_key(payer, payer.app.tenant, key, held, over))
        try:
            assert held.wait(30)
            headers = {**payer.headers(), "Idempotency-Key": key}
            answer = payer.send(headers)
            assert (answer.status_code, answer.json()["code"]) == (409, "request_in_flight"), answer.text
        finally:
            over.set()
            holding.result(30)
        other = {**headers, "Idempotency-Key": secrets.token_hex(16)}
        assert is_refused(payer.send(other, base=elsewhere))

    def test_is_told_with_one_nonce(self, payer: Payer, elsewhere: str) -> None:
        """The answer has the nonce for the next proof once, also where this proof had an older one."""
        identity = payer.live.services.identity
        realm, now = identity.realm(payer.app.tenant), payer.live.services.clock.now()
        kept, payer.prover.nonce = payer.prover.nonce, identity.nonces.current(realm.owner, now - timedelta(minutes=2))
        headers = payer.headers()
        payer.prover.nonce = kept
        assert payer.send(headers).status_code == 201
        for base in ("", elsewhere):
            refused = payer.send(headers, base=base)
            assert is_refused(refused)
            assert len(refused.headers.get_list("dpop-nonce")) == 1

    def test_is_told_before_what_else_is_wrong(self, payer: Payer, elsewhere: str) -> None:
        """Who shows a known proof learns nothing about the rest of the request."""
        headers = payer.headers()
        assert payer.send(headers).status_code == 201
        assert is_refused(payer.send(headers, {"amount": 1}, base=elsewhere))

    def test_is_used_up_without_the_scope(self, payer: Payer, elsewhere: str) -> None:
        """A token that may not do it uses up its proof all the same."""
        kept = payer.token_
        payer.token_ = str(payer.token(scope="wallets:read").json()["access_token"])
        try:
            headers = payer.headers()
            assert payer.send(headers).status_code == 403
            assert is_refused(payer.send(headers, base=elsewhere))
        finally:
            payer.token_ = kept


class TestAProofOfAPayment:
    def test_is_remembered_before_the_payment_waits_for_a_second_person(self, payer: Payer, elsewhere: str) -> None:
        """A copy that is sent to another worker asks nobody else."""
        path = "/v1/payments"
        order = {
            "wallet_id": payer.wallets[0],
            "amount": {"amount_minor": 5_000, "currency": "EUR"},
            "creditor": {"scheme": "iban", "identification": "DE89370400440532013000", "name": "Grace Hopper"},
        }
        headers = payer.headers(path)
        waits = payer.send(headers, order, path=path)
        assert (waits.status_code, waits.json()["code"]) == (409, "approval_required"), waits.text
        copy = {**headers, "Idempotency-Key": secrets.token_hex(16)}
        assert is_refused(payer.send(copy, order, path=path, base=elsewhere))
        assert is_refused(payer.send(copy, order, path=path))
