"""Clients for tests: registered with keys or certificates of their own, and what each sends to prove who it is.

``make`` registers one at a tenant of a server that runs::

    client = clients_of.make(live, "alpha", "private_key_jwt", scopes=["wallets:read"])
    httpx.post(url, data={**form, **client.form(live.base("alpha"))}, headers=client.headers())
"""

import base64
import secrets
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID
from joserfc.jwk import ECKey, OKPKey, RSAKey

from billfold.contract.clients import ClientMetadata
from billfold_server.identity import jose
from billfold_server.identity.clients import service
from billfold_server.identity.clients.private_key_jwt import TYPE
from billfold_server.identity.clients.rows import Client, LoginRealm
from billfold_server.identity.profiles import ClientAuthentication, SigningAlgorithm
from tests.live import LiveServer

__all__ = ["METHODS", "TestClient", "certificate_for", "certified", "key_for", "make", "public_jwk", "self_signed"]

METHODS: list[ClientAuthentication] = [
    "private_key_jwt",
    "tls_client_auth",
    "self_signed_tls_client_auth",
    "client_secret_basic",
    "client_secret_post",
]


class TestClient(msgspec.Struct, kw_only=True):
    """A registered client with all that it needs to prove who it is.

    Attributes:
        client: As it is registered.
        key: Its private key, for assertions, request objects and DPoP.
        kid: The key's id.
        alg: By what the key signs.
        secret: Its secret, where it has one.
        certificate: Its certificate, where it shows one.
        certificate_key: The certificate's private key.
    """

    __test__ = False

    client: Client
    key: jose.SigningKey
    kid: str
    alg: SigningAlgorithm
    secret: str | None = None
    certificate: x509.Certificate | None = None
    certificate_key: Any = None

    @property
    def client_id(self) -> str:
        """Return its id on the wire."""
        return self.client.client_id

    @property
    def certificate_der(self) -> bytes | None:
        """Return its certificate as a handler is given it."""
        return None if self.certificate is None else self.certificate.public_bytes(serialization.Encoding.DER)

    @property
    def certificate_pem(self) -> bytes:
        """Return its certificate and its key as TLS libraries read them from a file."""
        assert self.certificate is not None
        private = self.certificate_key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return bytes(private) + self.certificate.public_bytes(serialization.Encoding.PEM)

    def assertion(self, issuer: str, **claims: Any) -> str:
        """Return a fresh assertion; claims that are given as None are left out."""
        now = int(time.time())
        said = {
            "iss": self.client_id,
            "sub": self.client_id,
            "aud": issuer,
            "iat": now,
            "exp": now + 60,
            "jti": secrets.token_urlsafe(16),
            **claims,
        }
        return self.sign({name: value for name, value in said.items() if value is not None}, typ="JWT")

    def sign(self, claims: dict[str, Any], *, typ: str) -> str:
        """Return claims that are signed by its key."""
        return jose.sign(claims, self.key, alg=self.alg, kid=self.kid, typ=typ)

    def form(self, issuer: str) -> dict[str, str]:
        """Return what it adds to a form to prove who it is."""
        match self.client.authentication:
            case "private_key_jwt":
                return {"client_assertion_type": TYPE, "client_assertion": self.assertion(issuer)}
            case "client_secret_basic":
                return {}
            case "client_secret_post":
                return {"client_id": self.client_id, "client_secret": self.secret or ""}
            case _:
                return {"client_id": self.client_id}

    def headers(self) -> dict[str, str]:
        """Return the headers that it adds to prove who it is."""
        if self.client.authentication != "client_secret_basic":
            return {}
        return {"Authorization": "Basic " + base64.b64encode(f"{self.client_id}:{self.secret}".encode()).decode()}


def key_for(alg: SigningAlgorithm) -> jose.SigningKey:
    """Return a new private key."""
    if alg == "PS256":
        return RSAKey.generate_key(2048)
    return ECKey.generate_key("P-256") if alg == "ES256" else OKPKey.generate_key("Ed25519")


def public_jwk(key: jose.SigningKey, kid: str, **members: Any) -> dict[str, Any]:
    """Return the public half of a key as it is registered."""
    return {**key.as_dict(private=False), "kid": kid, "use": "sig", **members}


def certificate_for(
    subject: x509.Name, *, names: tuple[x509.GeneralName, ...] = (), by: tuple[x509.Certificate, Any] | None = None
) -> tuple[x509.Certificate, Any]:
    """Return a client's certificate with its key: issued by an authority, or by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if by is None else by[0].subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(days=1))
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    signer: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey = key if by is None else by[1]
    return builder.sign(signer, hashes.SHA256()), key


def self_signed(common_name: str) -> tuple[x509.Certificate, Any]:
    """Return a certificate of one's own making, with its key."""
    return certificate_for(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)]))


def certified(certificate: tuple[x509.Certificate, Any], kid: str) -> dict[str, Any]:
    """Return a certificate's key with the certificate, as it is registered (RFC 8705, section 2.2.2)."""
    der = certificate[0].public_bytes(serialization.Encoding.DER)
    public = (
        certificate[1]
        .public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    return public_jwk(ECKey.import_key(public), kid, x5c=[base64.b64encode(der).decode()])


async def _register(
    live: LiveServer, slug: str | None, asked: ClientMetadata, login_realm: LoginRealm, partner_id: UUID | None
) -> tuple[Client, str | None]:
    services = live.services
    tenant = None if slug is None else await services.registry.get(slug)
    realm = services.identity.realm(tenant)
    scope = services.database.platform_tx() if tenant is None else services.database.tx(tenant)
    async with scope as tx:
        return await service.register(
            tx,
            services.keyring,
            asked,
            realm.profile,
            now=services.clock.now(),
            platform=realm.platform,
            login_realm=login_realm,
            partner_id=partner_id,
        )


def make(
    live: LiveServer,
    slug: str | None,
    method: ClientAuthentication = "private_key_jwt",
    *,
    alg: SigningAlgorithm = "ES256",
    scopes: list[str] | None = None,
    certificate: tuple[x509.Certificate, Any] | None = None,
    further_keys: Sequence[dict[str, Any]] = (),
    login_realm: LoginRealm = "psu",
    partner_id: UUID | None = None,
    **more: Any,
) -> TestClient:
    """Register a client at a tenant, or (None) at the platform.

    Args:
        live: The server.
        slug: The tenant.
        method: How the client authenticates.
        alg: By what its key signs.
        scopes: What it may ask for.
        certificate: Its certificate with its key, for example one that an authority has issued; otherwise one of its
            own making, where it needs one.
        further_keys: Public keys that it registers as well.
        login_realm: Whom it asks to sign in, at a tenant.
        partner_id: The partner organisation to which it belongs.
        more: Further metadata under the names of RFC 7591.
    """
    key, kid = key_for(alg), secrets.token_hex(4)
    keys = [public_jwk(key, kid), *further_keys]
    if certificate is None and method in {"tls_client_auth", "self_signed_tls_client_auth"}:
        certificate = self_signed(f"client {kid}")
    if method == "self_signed_tls_client_auth":
        assert certificate is not None
        keys.append(certified(certificate, f"{kid}-tls"))
    if method == "tls_client_auth" and not any(name.startswith("tls_client_auth_") for name in more):
        assert certificate is not None
        more["tls_client_auth_subject_dn"] = certificate[0].subject.rfc4514_string()
    asked = ClientMetadata(
        token_endpoint_auth_method=method,
        scope=" ".join(scopes if scopes is not None else ["tenant:read" if slug else "platform:tenants:read"]),
        jwks={"keys": keys},
        **{"client_name": f"client {kid}", **more},
    )
    client, secret = live.run(_register(live, slug, asked, login_realm, partner_id))
    cert, cert_key = certificate or (None, None)
    return TestClient(
        client=client, key=key, kid=kid, alg=alg, secret=secret, certificate=cert, certificate_key=cert_key
    )
