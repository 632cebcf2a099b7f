"""The development directory in the data folder: its key, its test software, and what it says of them.

What is there stays as it is, so that clients that have registered go on working: keys are made once, certificates are
renewed for the same keys, and statements are signed anew by the same key. All of it lies in files that only their owner
may read. No file from here is taken in production.
"""

import contextlib
import secrets
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from joserfc.jwk import ECKey

from billfold_server.db.embedded.locks import locked
from billfold_server.identity import jose
from billfold_server.private_files import keep_privately
from billfold_server.serving.directory.software import CALLBACKS, TEST_SOFTWARE, TestSoftware
from billfold_server.serving.failures import Exit, Failure
from billfold_server.serving.tls.authority import Authority
from billfold_server.tenancy.manifest import SoftwarePublisher

__all__ = ["ISSUER", "Directory", "Listed"]

ISSUER: Final = "urn:billfold:development-directory"
"""How the directory calls itself in its statements."""

STATEMENT_LIFE: Final = timedelta(days=90)
_RSA_BITS: Final = 2048
_PATIENCE_S: Final = 10.0


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """One third party's software, and where its files are.

    Attributes:
        name: Under which the directory keeps it.
        software_id: Its name among all software.
        client_name: What people see.
        organisation: Who runs it.
        organisation_id: The same for programs.
        roles: What it is licensed for.
        redirect_uris: Where answers may be sent.
        jwks: The public half of its signing key.
        kid: That key's name.
        certificate_subject: The distinguished name in its transport certificate.
        signing_key: The file of its signing key (RSA, for PS256).
        transport_certificate: The file of its transport certificate.
        transport_key: The file of that one's key.
        statement: The file of its software statement.
    """

    name: str
    software_id: str
    client_name: str
    organisation: str
    organisation_id: str
    roles: list[str]
    redirect_uris: list[str]
    jwks: dict[str, Any]
    kid: str
    certificate_subject: str
    signing_key: str
    transport_certificate: str
    transport_key: str
    statement: str


class Directory:
    """The directory of a data folder.

    Args:
        data_dir: The data folder, which has to be there.
    """

    def __init__(self, data_dir: Path) -> None:
        self.folder = data_dir / "directory"
        self._now = datetime.now(UTC)
        self._authority = Authority(data_dir)
        self._keys: dict[tuple[str, bytes], jose.SigningKey] = {}

    def ensure(self) -> list[Listed]:
        """Return all software, with its files made or renewed where need be.

        Raises:
            Failure: A file holds something else than what was written there.
        """
        with self._held():
            listed = [self._ensure(software) for software in TEST_SOFTWARE]
            for each in listed:
                keep_privately(Path(each.statement), self._signed(each, each.redirect_uris).encode())
                keep_privately(Path(each.statement).with_name("software.json"), _json(each))
        return listed

    def find(self, name: str) -> Listed:
        """Return one piece of software by its name or its software id.

        Raises:
            Failure: There is none.
        """
        found = next((each for each in self.ensure() if name in {each.name, each.software_id}), None)
        if found is None:
            names = ", ".join(each.name for each in TEST_SOFTWARE)
            sentence = f"The directory knows no software called {name!r}: there are {names}."
            raise Failure("software_unknown", sentence, Exit.USAGE, name=name)
        return found

    def statement(self, name: str, *, redirect_uris: Sequence[str] = (), roles: Sequence[str] | None = None) -> str:
        """Return a statement that is signed now.

        Args:
            name: Of the software.
            redirect_uris: Where answers may be sent besides.
            roles: What it is said to be licensed for, if fewer than all that it is.

        Raises:
            Failure: There is no such software.
        """
        listed = self.find(name)
        if roles is not None:
            listed = msgspec.structs.replace(listed, roles=[role for role in listed.roles if role in roles])
        return self._signed(listed, list(dict.fromkeys([*listed.redirect_uris, *redirect_uris])))

    def publisher(self) -> SoftwarePublisher:
        """Return what a manifest says to believe this directory."""
        with self._held():
            key = self._key(self.folder / "directory.key", "ES256")
        return SoftwarePublisher(issuer=ISSUER, jwks={"keys": [_public(key)]})

    def _ensure(self, software: TestSoftware) -> Listed:
        folder = self.folder / "software" / software.name
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        key = self._key(folder / "signing.key", "PS256")
        issued = self._authority.ensure_client(
            f"tpp-{software.name}", subject=x509.Name.from_rfc4514_string(software.subject)
        )
        return Listed(
            name=software.name,
            software_id=software.software_id,
            client_name=software.client_name,
            organisation=software.organisation,
            organisation_id=software.organisation_id,
            roles=list(software.roles),
            redirect_uris=list(CALLBACKS),
            jwks={"keys": [_public(key)]},
            kid=key.thumbprint(),
            certificate_subject=issued.subject,
            signing_key=str(folder / "signing.key"),
            transport_certificate=issued.certificate,
            transport_key=issued.key,
            statement=str(folder / "software_statement.jwt"),
        )

    def _signed(self, listed: Listed, redirect_uris: Sequence[str]) -> str:
        key = self._key(self.folder / "directory.key", "ES256")
        claims = {
            "iss": ISSUER,
            "iat": int(self._now.timestamp()),
            "exp": int((self._now + STATEMENT_LIFE).timestamp()),
            "jti": secrets.token_urlsafe(16),
            "software_environment": "sandbox",
            "software_mode": "Test",
            "software_id": listed.software_id,
            "software_client_name": listed.client_name,
            "software_roles": listed.roles,
            "software_redirect_uris": list(redirect_uris),
            "org_id": listed.organisation_id,
            "org_name": listed.organisation,
            "org_status": "Active",
            "jwks": listed.jwks,
            "tls_client_auth_subject_dn": listed.certificate_subject,
        }
        return jose.sign(claims, key, alg="ES256", kid=key.thumbprint(), typ="JWT")

    def _key(self, path: Path, alg: str) -> jose.SigningKey:
        """Return the key of a file, made if it isn't there."""
        try:
            return self._read(path.read_bytes(), alg)
        except FileNotFoundError:
            made: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey = (
                ec.generate_private_key(ec.SECP256R1())
                if alg == "ES256"
                else rsa.generate_private_key(public_exponent=65_537, key_size=_RSA_BITS)
            )
            pem = made.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            keep_privately(path, pem)
            return self._read(pem, alg)
        except (ValueError, TypeError) as error:
            sentence = f"{path} isn't the key that was made there: remove it, and it is made anew."
            raise Failure("directory_damaged", sentence, Exit.BAD_DATA, file=str(path)) from error

    def _read(self, pem: bytes, alg: str) -> jose.SigningKey:
        # Each question to the directory reads all keys again.
        if (alg, pem) not in self._keys:
            self._keys[alg, pem] = ECKey.import_key(pem) if alg == "ES256" else jose.rsa_key_of_ours(pem)
        return self._keys[alg, pem]

    @contextlib.contextmanager
    def _held(self) -> Iterator[None]:
        """Let one process at a time change the folder."""
        self.folder.mkdir(mode=0o700, exist_ok=True)
        try:
            with locked(self.folder / ".lock", timeout_s=_PATIENCE_S):
                yield
        except TimeoutError as error:
            sentence = f"Another process has been changing {self.folder} for long: try again."
            raise Failure("directory_busy", sentence, Exit.TRY_AGAIN) from error


def _public(key: jose.SigningKey) -> dict[str, Any]:
    alg = jose.algorithm_of(key.as_dict(private=False))
    return {**key.as_dict(private=False), "kid": key.thumbprint(), "alg": alg, "use": "sig"}


def _json(listed: Listed) -> bytes:
    return msgspec.json.format(msgspec.json.encode(listed)) + b"\n"
