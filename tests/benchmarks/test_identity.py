"""Tokens: what the token endpoint and a protected route do beside the signatures, which nobody can do without.

Both are measured against a hand-written handler that does the signatures alone, in turns with it, in one run. Requests
are signed before, so that only servers are measured. Nothing fails because it is slow; what is asserted is that every
request was answered as it should be.
"""

import asyncio
import json
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlencode

import httpx
import pytest
from joserfc import jws

from billfold.contract.clients import ClientMetadata
from billfold_server.http.services import Services
from billfold_server.identity import jose
from billfold_server.identity.clients import service as clients
from billfold_server.identity.clients.private_key_jwt import TYPE
from tests.benchmarks.extent import Extent
from tests.benchmarks.gauge import Gauge, Report, Sample
from tests.benchmarks.ground import Ground
from tests.benchmarks.presigned import Presigned, sent
from tests.pace import until
from tests.server.identity.clients_of import key_for, public_jwk
from tests.server.identity.tokens.proofs import Prover
from tests.server.upping import Up
from tests.tenants import manifest

pytestmark = pytest.mark.timeout(0)

_SLUG = "tokens"
_HERE = Path(__file__).parent
_PER_S = 400
"""How many requests are made ready for each second that is to be measured."""


class Party:
    """A client under FAPI 2.0, with the server that it asks."""

    def __init__(self, up: Up, client_id: str, key: jose.SigningKey) -> None:
        self.port = up.port
        self.base = f"{up.welcome['url']}/t/{_SLUG}"
        self.client_id = client_id
        self.key = key
        self.prover = Prover()

    def body(self) -> str:
        """Return a form with a fresh assertion."""
        now = int(time.time())
        claims = {
            "iss": self.client_id,
            "sub": self.client_id,
            "aud": self.base,
            "iat": now,
            "exp": now + 120,
            "jti": secrets.token_urlsafe(16),
        }
        assertion = jose.sign(claims, self.key, alg="ES256", kid="bench", typ="JWT")
        return urlencode(
            {"grant_type": "client_credentials", "client_assertion_type": TYPE, "client_assertion": assertion}
        )

    def ask(self) -> httpx.Response:
        """Ask for a token, and remember the server's nonce."""
        url = f"{self.base}/oauth/token"
        headers = {"DPoP": self.prover.proof("POST", url), "Content-Type": "application/x-www-form-urlencoded"}
        answer = httpx.post(url, content=self.body(), headers=headers)
        self.prover.nonce = answer.headers.get("dpop-nonce", self.prover.nonce)
        return answer

    def is_known(self) -> bool:
        """Tell whether the server knows the tenant and gives out a token."""
        return self.ask().status_code == httpx.codes.OK

    def for_token(self) -> bytes:
        """Return a token request."""
        body, proof = self.body(), self.prover.proof("POST", f"{self.base}/oauth/token")
        return (
            f"POST /t/{_SLUG}/oauth/token HTTP/1.1\r\nHost: 127.0.0.1\r\nDPoP: {proof}\r\n"
            "Content-Type: application/x-www-form-urlencoded\r\n"
            f"Content-Length: {len(body)}\r\n\r\n{body}"
        ).encode()

    def for_resource(self, token: str) -> bytes:
        """Return a request to a protected route."""
        proof = self.prover.proof("GET", f"{self.base}/v1/tenant", token=token)
        return (
            f"GET /t/{_SLUG}/v1/tenant HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: DPoP {token}\r\n"
            f"DPoP: {proof}\r\n\r\n"
        ).encode()


@pytest.fixture(scope="module")
def party(runner: asyncio.Runner, services: Services, ground: Ground) -> Iterator[Party]:
    """A server that is up, and its client."""
    key = key_for("ES256")

    async def register() -> str:
        await services.tenants.apply(
            manifest(_SLUG, security_profile="fapi2", rate_limit_per_s=100_000, rate_limit_burst=1_000_000)
        )
        tenant = await services.registry.get(_SLUG)
        asked = ClientMetadata(
            client_name="bench",
            token_endpoint_auth_method="private_key_jwt",
            scope="tenant:read",
            jwks={"keys": [public_jwk(key, "bench")]},
        )
        profile = services.identity.realm(tenant).profile
        async with services.database.tx(tenant) as tx:
            client, _ = await clients.register(tx, services.keyring, asked, profile, now=services.clock.now())
        return client.client_id

    client_id = runner.run(register())
    up = Up(ground.folder, "--port=0", "--workers=1").ready()
    try:
        made = Party(up, client_id, key)
        until(made.is_known)
        yield made
    finally:
        assert up.end() == 0, up.log()
        ground.folder.with_name(f"{ground.folder.name}.log").unlink(missing_ok=True)


@pytest.fixture(scope="module")
def minimal(party: Party) -> Iterator[int]:
    """The hand-written handler's port."""
    keys = httpx.get(f"{party.base}/.well-known/jwks.json").json()["keys"]
    # What signs records isn't what signs tokens.
    kid = jws.extract_compact(party.ask().json()["access_token"].encode()).headers()["kid"]
    issued = next(key for key in keys if key["kid"] == kid)
    order = {"client": party.key.as_dict(private=False), "issued": issued}
    program = [sys.executable, str(_HERE / "verifying.py")]
    with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(order) + "\n")
        process.stdin.flush()
        yield int(process.stdout.readline())
        process.terminate()


def measured(extent: Extent, port: int, make: Callable[[], bytes]) -> Sample:
    """Send requests that were made ready before, and see that each succeeds."""
    requests = [make() for _ in range(max(int(extent.seconds * _PER_S), extent.callers))]
    return send(port, requests, status=200, connections=extent.callers)


def send(port: int, requests: list[bytes], *, status: int, connections: int) -> Sample:
    """Send requests that are ready, and see that each is answered with this status."""
    order = Presigned(port=port, connections=connections, requests=requests)
    outcome = sent(order)
    assert outcome.statuses == {status: len(requests)}
    return Sample(rate=len(requests) / outcome.elapsed_s, mean_ms=outcome.mean_ms, p95_ms=outcome.p95_ms)


class TestTokens:
    """Over HTTP."""

    def test_issued_and_checked_cost_little_more_than_their_signatures(
        self, gauge: Gauge, report: Report, extent: Extent, party: Party, minimal: int
    ) -> None:
        """Token requests (private_key_jwt and DPoP) and a protected route, each against its signatures alone."""
        token = str(party.ask().json()["access_token"])
        found = gauge.interleave(
            "identity",
            {
                "token": lambda: measured(extent, party.port, party.for_token),
                "token, signatures": lambda: measured(extent, minimal, party.for_token),
                "route": lambda: measured(extent, party.port, lambda: party.for_resource(token)),
                "route, signatures": lambda: measured(extent, minimal, lambda: party.for_resource(token)),
            },
        )
        for name, what in (("token", "Token endpoint, private_key_jwt and DPoP"), ("route", "Protected route, DPoP")):
            report.variant(what, found[name])
            report.variant("… signatures alone, by hand", found[f"{name}, signatures"])
            report.ratio("… against that", found[name].ratios(found[f"{name}, signatures"]), asked="0.6")
