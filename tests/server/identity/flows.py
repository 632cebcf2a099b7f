"""Authorization flows as an app and a browser go through them: push, sign-in, consent, code.

app = add_app(live, "alpha")
answer = app.push(scope="openid")
"""

import base64
import hashlib
import secrets
import time
from typing import Any
from uuid import UUID

import httpx
import msgspec
from joserfc import jws
from joserfc.jwk import ECKey, OKPKey, RSAKey

from billfold import ids
from billfold.ids import Prefix
from billfold_server.identity.clients import client_secret
from billfold_server.identity.clients.rows import Client, Kept, Registered, insert_client
from tests.live import LiveServer

__all__ = ["App", "Key", "add_app", "challenge_of", "key_of", "sign"]

Key = ECKey | OKPKey | RSAKey

_MADE: dict[str, Any] = {
    "ES256": lambda: ECKey.generate_key("P-256", {"kid": "es", "use": "sig"}),
    "EdDSA": lambda: OKPKey.generate_key("Ed25519", {"kid": "ed", "use": "sig"}),
    "PS256": lambda: RSAKey.generate_key(2048, {"kid": "ps", "use": "sig"}),
}


def key_of(algorithm: str) -> Key:
    """Make a key that signs by an algorithm."""
    key: Key = _MADE[algorithm]()
    return key


def challenge_of(verifier: str) -> str:
    """Return a verifier's challenge by S256."""
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


class _Anything(jws.JWSRegistry):
    """Signs by whatever is asked for, without a word about it."""

    def get_alg(self, name: str) -> Any:
        """Return the algorithm."""
        return self.algorithms[name]


def sign(claims: dict[str, Any], key: Key, header: dict[str, Any]) -> str:
    """Return claims as a JWS, by whatever algorithm the header says."""
    return jws.serialize_compact(
        header, msgspec.json.encode(claims), key, registry=_Anything(strict_check_header=False)
    )


class App:
    """A client with everything that it needs to ask a person.

    Attributes:
        live: The server.
        slug: Whose client it is; None is the platform's.
        client: What is registered.
        secret: By which it authenticates.
        key: By which it signs; the public half is registered.
        verifier: Of its codes.
    """

    def __init__(self, live: LiveServer, slug: str | None, client: Client, secret: str, key: Key) -> None:
        self.live = live
        self.slug = slug
        self.client = client
        self.secret = secret
        self.key = key
        self.verifier = secrets.token_urlsafe(32)

    @property
    def base(self) -> str:
        """Return the realm's base URL, which is its issuer."""
        return self.live.base(self.slug)

    @property
    def client_id(self) -> str:
        """Return its id on the wire."""
        return self.client.client_id

    def request(self, **changes: Any) -> dict[str, Any]:
        """Return the parameters of a request that is right; None takes one away."""
        said = {
            "client_id": self.client_id,
            "response_type": "code",
            "redirect_uri": self.client.redirect_uris[0],
            "scope": "wallets:read",
            "state": "s-1",
            "code_challenge": challenge_of(self.verifier),
            "code_challenge_method": "S256",
            **changes,
        }
        return {name: value for name, value in said.items() if value is not None}

    def object(self, *, header: dict[str, Any] | None = None, key: Key | None = None, **changes: Any) -> str:
        """Return a signed request object that is right, but for the changes."""
        now = int(time.time())
        times = {"iss": self.client_id, "aud": self.base, "nbf": now, "exp": now + 300}
        key = key or self.key
        alg = {"EC": "ES256", "OKP": "EdDSA", "RSA": "PS256"}[key.key_type]
        head = {"alg": alg, "kid": key.kid, "typ": "oauth-authz-req+jwt", **(header or {})}
        claims = self.request(**{**times, **changes})
        return sign(claims, key, {name: value for name, value in head.items() if value is not None})

    def post(self, path: str, form: dict[str, Any] | bytes, **headers: str) -> httpx.Response:
        """Send a form, authenticated."""
        headers = {"Content-Type": "application/x-www-form-urlencoded", **headers}
        body: dict[str, Any] = {"content": form} if isinstance(form, bytes) else {"data": form}
        return httpx.post(f"{self.base}{path}", auth=(self.client_id, self.secret), headers=headers, **body)

    def push(self, **changes: Any) -> httpx.Response:
        """Push a request that is right, but for the changes."""
        return self.post("/oauth/par", self.request(**changes))

    def push_signed(self, text: str | None = None, **beside: Any) -> httpx.Response:
        """Push a request object."""
        form = {"client_id": self.client_id, "request": text or self.object(), **beside}
        return self.post("/oauth/par", form)

    def uri(self, **changes: Any) -> str:
        """Push a request, and return its address."""
        answer = self.push(**changes)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["request_uri"])


def add_app(live: LiveServer, slug: str | None, *, algorithm: str = "ES256", **fields: Any) -> App:
    """Register a client that asks people, with one key of each kind that it is told to sign by."""
    services = live.services
    key, secret, client_id = key_of(algorithm), secrets.token_urlsafe(32), ids.uuid7()
    now = services.clock.now()
    said = {
        "id": client_id,
        "client_id": ids.encode(Prefix.CLIENT, client_id),
        "name": "An app",
        "authentication": "client_secret_basic",
        "scopes": ["tenant:read", "wallets:read"] if slug else ["platform:tenants:read"],
        "redirect_uris": ["https://app.example/cb", "https://app.example/cb?kept=1"],
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "jwks": {"keys": [key.as_dict(private=False)]},
        "created_at": now,
        "updated_at": now,
        **fields,
    }
    client = Client(**said)
    kept = Kept(secret_digest=client_secret.digest(services.keyring, UUID(int=client_id.int), secret))

    async def insert() -> None:
        database = services.database
        scope = database.platform_tx() if slug is None else database.tx(await services.registry.get(slug))
        async with scope as tx:
            await insert_client(tx, Registered(client, kept))

    live.run(insert())
    return App(live, slug, client, secret, key)
