"""A small authorization server with one API, for tests of the SDK alone: strict, and wrong only where it is told to be.

It shares no code with what it tests: proofs are verified by joserfc, digests computed here.
"""

import base64
import hashlib
import json
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from joserfc import jwk, jws

Claims = dict[str, Any]
TENANT = (Path(__file__).parents[1] / "wire" / "0.1" / "TenantInfo.json").read_bytes()
PATH = "/t/test"


def b64(data: bytes) -> str:
    """Return bytes in the base64 of JOSE."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def half_hash(text: str) -> str:
    """Return the left half of a text's SHA-256, as ``at_hash`` and ``s_hash`` are made."""
    return b64(hashlib.sha256(text.encode()).digest()[:16])


def read_jws(token: str, public: dict[str, Any]) -> tuple[Claims, Claims]:
    """Return a token's header and claims, once its signature is verified by a public key."""
    head, body, signature = token.split(".")
    header = json.loads(base64.urlsafe_b64decode(head + "=="))
    assert header["alg"] == {"EC": "ES256", "RSA": "PS256", "OKP": "EdDSA"}[public["kty"]]
    verify = jws.JWSRegistry.algorithms[header["alg"]].verify
    data = f"{head}.{body}".encode()
    assert verify(data, base64.urlsafe_b64decode(signature + "=="), jwk.import_key(dict(public)))
    return header, json.loads(base64.urlsafe_b64decode(body + "=="))


class Refused(Exception):
    """The server says no."""

    def __init__(self, error: str, status: int = 400, **headers: str) -> None:
        super().__init__(error)
        self.error, self.status, self.headers = error, status, headers


@dataclass
class Client:
    """A registered client."""

    client_id: str
    jwks: list[dict[str, str]] = field(default_factory=list)
    secret: str | None = None
    thumbprint: str | None = None


@dataclass
class Asked:
    """One request."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    thumbprint: str | None
    base: str
    query: str = ""

    @property
    def form(self) -> dict[str, str]:
        """The body as a form, in which nothing occurs twice."""
        pairs = parse_qsl(self.body.decode(), keep_blank_values=True)
        assert len({name for name, _ in pairs}) == len(pairs)
        return dict(pairs)


Answer = tuple[int, dict[str, str], bytes]


def in_json(value: Any, status: int = 200, **headers: str) -> Answer:
    """Return an answer in JSON."""
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return status, {"content-type": "application/json", **named}, json.dumps(value).encode()


class AuthorizationServer:
    """The server, without its sockets.

    Attributes:
        asked: What came, in order.
        nonce: What proofs must hold, where it is told to want one.
        off_s: How far its clock is from the true one.
        twist_id_token, twist_response: Change claims before they are signed, to see what clients say to it.
        faults: Answers to give before any other, one by one, to requests of a path.
        leeway_s: How old a proof may be.
    """

    def __init__(self) -> None:
        self.base = self.mtls_base = ""
        self.clients: dict[str, Client] = {}
        self.asked: list[Asked] = []
        self.nonce: str | None = None
        self.off_s = 0.0
        self.leeway_s = 20.0
        self.twist_id_token: Callable[[Claims], Any] = lambda _: None
        self.twist_response: Callable[[Claims], Any] = lambda _: None
        self.faults: dict[str, list[Answer]] = {}
        self.key = jwk.generate_key("EC", "P-256", {"kid": "key-1"})
        self.published = [self.key]
        self.jtis: set[str] = set()
        self.pushed: dict[str, Claims] = {}
        self.codes: dict[str, Claims] = {}
        self.tokens: dict[str, Claims] = {}
        self.refresh_tokens: dict[str, Claims] = {}
        self.token_ttl_s = 300
        self.renews_id_token = False

    @property
    def now(self) -> float:
        """The time by its own clock."""
        return time.time() + self.off_s

    def paths(self, end: str) -> list[Asked]:
        """Return the requests of an address that ends so."""
        return [each for each in self.asked if each.path.endswith(end)]

    def answer(self, asked: Asked) -> Answer:
        """Answer a request."""
        self.asked.append(asked)
        if faults := self.faults.get(asked.path.removeprefix(PATH)):
            return faults.pop(0)
        routes = {
            "/.well-known/openid-configuration": self.metadata,
            "/.well-known/jwks.json": self.jwks,
            "/oauth/token": self.token,
            "/oauth/par": self.par,
            "/oauth/introspect": self.introspect,
            "/oauth/revoke": self.revoke,
            "/oauth/userinfo": self.userinfo,
            "/v1/tenant": self.tenant,
        }
        handler = routes.get(asked.path.removeprefix(PATH))
        try:
            return in_json({"error": "not_found"}, 404) if handler is None else handler(asked)
        except Refused as refused:
            return in_json({"error": refused.error}, refused.status, **refused.headers)
        except (AssertionError, KeyError, ValueError) as error:
            return in_json({"error": "invalid_request", "error_description": repr(error)}, 400)

    def metadata(self, _asked: Asked) -> Answer:
        """Say what it is."""
        names = {
            "token_endpoint": "token",
            "pushed_authorization_request_endpoint": "par",
            "introspection_endpoint": "introspect",
            "revocation_endpoint": "revoke",
            "userinfo_endpoint": "userinfo",
        }
        said: Claims = {name: f"{self.base}/oauth/{end}" for name, end in names.items()}
        said["mtls_endpoint_aliases"] = {name: f"{self.mtls_base}/oauth/{end}" for name, end in names.items()}
        said |= {
            "issuer": self.base,
            "authorization_endpoint": f"{self.base}/oauth/authorize",
            "jwks_uri": f"{self.base}/.well-known/jwks.json",
            "authorization_response_iss_parameter_supported": True,
        }
        return in_json(said)

    def jwks(self, _asked: Asked) -> Answer:
        """Show its keys."""
        return in_json({"keys": [key.as_dict(private=False) for key in self.published]})

    def client(self, asked: Asked) -> Client:
        """Return the client that asks, by whichever way it is registered for."""
        form = asked.form
        if "client_assertion" in form:
            return self.by_assertion(form)
        if (text := asked.headers.get("authorization", "")).startswith("Basic "):
            client_id, _, secret = base64.b64decode(text.removeprefix("Basic ")).decode().partition(":")
            client = self.clients[client_id]
            return client if client.secret == secret else self.refuse_client()
        client = self.clients[form["client_id"]]
        if client.thumbprint is None or client.thumbprint != asked.thumbprint:
            return self.refuse_client()
        assert asked.base == self.mtls_base
        return client

    def refuse_client(self) -> Client:
        """Say that it doesn't believe."""
        raise Refused("invalid_client", 401)

    def by_assertion(self, form: dict[str, str]) -> Client:
        """Verify a client assertion."""
        client = self.clients[form["client_id"]]
        (public,) = client.jwks
        header, claims = read_jws(form["client_assertion"], public)
        assert form["client_assertion_type"] == "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
        assert header["kid"] == public["kid"]
        assert claims["iss"] == claims["sub"] == client.client_id
        assert claims["aud"] == self.base
        self.once(claims["jti"])
        if not claims["iat"] - self.leeway_s <= self.now < claims["exp"] <= self.now + 120:
            self.refuse_client()
        return client

    def once(self, jti: str) -> None:
        """Take each name once."""
        assert len(jti) >= 22
        assert jti not in self.jtis, "a replay"
        self.jtis.add(jti)

    def proof(self, asked: Asked, *, token: str | None = None) -> str | None:
        """Verify a DPoP proof and return its key's thumbprint."""
        text = asked.headers.get("dpop")
        if text is None:
            return None
        public = json.loads(base64.urlsafe_b64decode(text.split(".", maxsplit=1)[0] + "=="))["jwk"]
        assert not {"d", "p", "q", "kid"} & set(public)
        header, claims = read_jws(text, public)
        assert header["typ"] == "dpop+jwt"
        assert (claims["htm"], claims["htu"]) == (asked.method, asked.base.removesuffix(PATH) + asked.path)
        assert claims.get("ath") == (None if token is None else b64(hashlib.sha256(token.encode()).digest()))
        self.once(claims["jti"])
        status = 400 if token is None else 401
        if self.nonce is not None and claims.get("nonce") != self.nonce:
            raise Refused("use_dpop_nonce", status, **self.challenge(token, "use_dpop_nonce"))
        if abs(claims["iat"] - self.now) > self.leeway_s:
            raise Refused("invalid_dpop_proof", status, **self.challenge(token, "invalid_dpop_proof"))
        return str(jwk.import_key(public).thumbprint())

    def challenge(self, token: str | None, error: str) -> dict[str, str]:
        """Return the headers of a refusal."""
        nonce = {} if self.nonce is None else {"DPoP_Nonce": self.nonce}
        return nonce if token is None else {"WWW_Authenticate": f'DPoP error="{error}", algs="ES256"', **nonce}

    def token(self, asked: Asked) -> Answer:
        """Issue tokens."""
        client, form = self.client(asked), asked.form
        jkt = self.proof(asked)
        granted: Claims = {"client_id": client.client_id, "jkt": jkt, "x5t": None if jkt else asked.thumbprint}
        extra: Claims = {}
        if form["grant_type"] == "authorization_code":
            extra = self.redeem(client, form, jkt, granted)
        elif form["grant_type"] == "refresh_token":
            known = self.refresh_tokens.get(form["refresh_token"])
            if known is None or (known["client_id"], known["jkt"]) != (client.client_id, jkt):
                raise Refused("invalid_grant")
            granted["sub"] = known["sub"]
            if self.renews_id_token:
                extra["id_claims"] = {"aud": client.client_id}
        token = secrets.token_urlsafe(16)
        self.tokens[token] = granted
        kind = "DPoP" if jkt else "Bearer"
        if "id_claims" in extra:
            extra["id_token"] = self.id_token(extra.pop("id_claims"), token)
        answer = {"access_token": token, "token_type": kind, "expires_in": self.token_ttl_s, "scope": "x", **extra}
        return in_json(answer, cache_control="no-store")

    def redeem(self, client: Client, form: dict[str, str], jkt: str | None, granted: Claims) -> Claims:
        """Take a code, once."""
        code = self.codes.pop(form["code"], None)
        if code is None or code["client_id"] != client.client_id:
            raise Refused("invalid_grant")
        asked = code["asked"]
        assert b64(hashlib.sha256(form["code_verifier"].encode()).digest()) == asked["code_challenge"]
        assert form["redirect_uri"] == asked["redirect_uri"]
        assert asked.get("dpop_jkt") == jkt
        refresh_token = secrets.token_urlsafe(16)
        granted["sub"] = "user-1"
        self.refresh_tokens[refresh_token] = dict(granted)
        made: Claims = {"refresh_token": refresh_token}
        if "authorization_details" in asked:
            details = asked["authorization_details"]
            made["authorization_details"] = json.loads(details) if isinstance(details, str) else details
        if "openid" in asked.get("scope", "").split():
            wanted = {"nonce": asked["nonce"], "s_hash": half_hash(asked["state"])}
            made["id_claims"] = {"aud": client.client_id, **wanted}
        return made

    def id_token(self, claims: Claims, token: str) -> str:
        """Sign an ID token."""
        now = int(self.now)
        whole = {
            "iss": self.base,
            "sub": "user-1",
            "iat": now,
            "exp": now + 300,
            "auth_time": now - 5,
            "acr": "urn:strong",
            "at_hash": half_hash(token),
            **claims,
        }
        self.twist_id_token(whole)
        return self.sign(whole)

    def sign(self, claims: Claims, **header: Any) -> str:
        """Sign claims with its own key."""
        head = {"alg": "ES256", "kid": self.key.kid, **header}
        return jws.serialize_compact(head, json.dumps(claims), self.key, algorithms=["ES256"])

    def par(self, asked: Asked) -> Answer:
        """Take a pushed request."""
        client, form = self.client(asked), asked.form
        if "request" in form:
            header, wanted = read_jws(form["request"], client.jwks[0])
            assert header["typ"] == "oauth-authz-req+jwt"
            assert (wanted.pop("iss"), wanted.pop("aud")) == (client.client_id, self.base)
            assert 0 < wanted["exp"] - wanted["nbf"] <= 3600
            self.once(wanted["jti"])
            assert set(form) <= {"request", "client_id", "client_assertion", "client_assertion_type"}
        else:
            wanted = form
        assert (wanted["code_challenge_method"], wanted["response_type"]) == ("S256", "code")
        assert wanted["client_id"] == client.client_id
        uri = f"urn:ietf:params:oauth:request_uri:{secrets.token_urlsafe(16)}"
        self.pushed[uri] = wanted
        return in_json({"request_uri": uri, "expires_in": 60}, 201)

    def approve(self, url: str, **refusal: str) -> str:
        """Do what the browser and the user do, and return the address that the browser is sent back to."""
        query = dict(parse_qsl(urlsplit(url).query))
        asked = self.pushed.pop(query["request_uri"])
        assert asked["client_id"] == query["client_id"]
        code = secrets.token_urlsafe(16)
        self.codes[code] = {"client_id": query["client_id"], "asked": asked}
        answer: Claims = {"state": asked["state"], "iss": self.base, **(refusal or {"code": code})}
        if asked.get("response_mode") == "jwt":
            answer |= {"aud": query["client_id"], "exp": int(self.now) + 60}
            self.twist_response(answer)
            answer = {"response": self.sign(answer)}
        else:
            self.twist_response(answer)
        return f"{asked['redirect_uri']}?{urlencode(answer)}"

    def introspect(self, asked: Asked) -> Answer:
        """Tell about a token."""
        client = self.client(asked)
        known = self.tokens.get(asked.form["token"])
        told = {"active": False} if known is None else {"active": True, "sub": known.get("sub", client.client_id)}
        if asked.headers.get("accept") != "application/token-introspection+jwt":
            return in_json(told)
        claims = {"iss": self.base, "aud": client.client_id, "iat": int(self.now), "token_introspection": told}
        self.twist_response(claims)
        text = self.sign(claims, typ="token-introspection+jwt").encode()
        return 200, {"content-type": "application/token-introspection+jwt"}, text

    def revoke(self, asked: Asked) -> Answer:
        """Forget a token."""
        self.client(asked)
        token = asked.form["token"]
        self.tokens.pop(token, None)
        self.refresh_tokens.pop(token, None)
        return 200, {}, b""

    def allowed(self, asked: Asked) -> Claims:
        """Return what stands behind an access token, once it is seen to be its holder's."""
        scheme, _, token = asked.headers.get("authorization", "").partition(" ")
        known = self.tokens.get(token)
        if known is None:
            raise Refused("invalid_token", 401, **self.challenge(token, "invalid_token"))
        assert scheme == ("DPoP" if known["jkt"] else "Bearer")
        if known["jkt"] != self.proof(asked, token=token) or (known["x5t"] and known["x5t"] != asked.thumbprint):
            raise Refused("invalid_token", 401, **self.challenge(token, "invalid_token"))
        return known

    def userinfo(self, asked: Asked) -> Answer:
        """Tell about the user."""
        claims = {"sub": self.allowed(asked)["sub"], "name": "Ada"}
        self.twist_response(claims)
        return in_json(claims)

    def tenant(self, asked: Asked) -> Answer:
        """Be the API."""
        self.allowed(asked)
        return 200, {"content-type": "application/json"}, TENANT
