"""The development authority: a CA in the data folder, the server's certificate, and those of clients.

It is for one machine and its developers. In production the bank's own CA, or Vault's, issues all of these; no file from
here is taken there.

All of it can be asked for again and again: what is there and good for a while stays, what is about to end is renewed
with the same key. So whoever trusts the authority, or has registered a certificate's key, needn't do so anew.
"""

import base64
import contextlib
import getpass
import re
import socket
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from billfold_server.db.embedded.locks import locked
from billfold_server.private_files import keep_privately
from billfold_server.serving.failures import Exit, Failure
from billfold_server.serving.tls import issuing
from billfold_server.serving.tls.issuing import Key

__all__ = ["LOCAL_NAMES", "Authority", "Issued"]

LOCAL_NAMES: Final = ("localhost", "127.0.0.1", "::1")
"""By what this machine reaches its own server."""

RENEWED_BEFORE: Final = timedelta(days=30)
_PATIENCE_S: Final = 10.0
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_LIKE_A_HOST = re.compile(r"[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+")
_AUTHORITY: Final = "ca"
_SERVER: Final = "server"


class Issued(msgspec.Struct, frozen=True, kw_only=True):
    """A certificate that lies in the folder.

    Attributes:
        name: The name under which it was asked for.
        kind: What it is for.
        certificate: Its PEM file.
        key: The PEM file of its private key.
        subject: Its distinguished name (RFC 4514).
        names: Its other names, each with its kind before it.
        self_signed: Whether it has issued itself.
        ends_at: Until when it is good.
        thumbprint: Its SHA-256 in base64url, as in ``x5t#S256`` (RFC 8705, section 3.1).
        renewed: Whether this call made it.
    """

    name: str
    kind: str
    certificate: str
    key: str
    subject: str
    names: list[str]
    self_signed: bool
    ends_at: datetime
    thumbprint: str
    renewed: bool = False


class Authority:
    """The certificates of a data folder.

    Args:
        data_dir: The data folder, which has to be there.
        now: The time, where it isn't the clock's.
    """

    def __init__(self, data_dir: Path, *, now: datetime | None = None) -> None:
        self.folder = data_dir / "certs"
        self.file = self.folder / f"{_AUTHORITY}.pem"
        self._now = now or datetime.now(UTC)

    def ensure(self) -> Issued:
        """Return the authority's own certificate, made if need be."""
        with self._held():
            return self._authority()[2]

    def ensure_server(self, names: Sequence[str] = LOCAL_NAMES) -> Issued:
        """Return the server's certificate, made if need be.

        Args:
            names: Host names and addresses; more than these may be in one that is there already.

        Raises:
            Failure: The authority may not issue for one of the names.
        """
        with self._held():
            issuer, issuer_key, _ = self._authority()
            path = self.folder / f"{_SERVER}.pem"
            key, own = _load_key(path), _load(path)
            wanted = sorted({*names, *(_plain_names(own) if own is not None else ())})
            if own is None or not self._is_good(own) or not _issued(own, issuer) or wanted != _plain_names(own):
                _refuse_foreign(wanted)
                key = key or ec.generate_private_key(ec.SECP256R1())
                own = issuing.server(key, wanted, issuer, issuer_key, self._now)
                return self._keep(_SERVER, "server", path, own, key)
            return _described(_SERVER, "server", path, own)

    def ensure_client(
        self,
        name: str,
        *,
        subject: x509.Name | None = None,
        alternatives: Sequence[x509.GeneralName] = (),
        self_signed: bool = False,
    ) -> Issued:
        """Return a client's certificate, made if need be.

        Asked for with another subject or other names than it has, it is made anew, for the same key.

        Args:
            name: Under which it is kept.
            subject: Its distinguished name; the name alone, where absent.
            alternatives: Its other names.
            self_signed: Whether it issues itself, as ``self_signed_tls_client_auth`` wants it.

        Raises:
            Failure: The name can't be a file's, or the authority may not issue for a host that it names.
        """
        if not _NAME.fullmatch(name):
            sentence = f"{name!r} can't be a client's name here: use up to 64 of a-z, 0-9, dot, dash and underscore."
            raise Failure("certificate_name", sentence, Exit.USAGE, name=name)
        with self._held():
            issuer, issuer_key, _ = self._authority()
            path = self.folder / "clients" / f"{name}.pem"
            path.parent.mkdir(mode=0o700, exist_ok=True)
            key, own = _load_key(path), _load(path)
            if own is not None and subject is None and not alternatives:
                subject, alternatives = own.subject, _alternatives(own)
                self_signed = self_signed or own.issuer == own.subject
            subject = subject or x509.Name.from_rfc4514_string(f"CN={name}")
            if own is not None and key is not None and self._is_good(own):
                same = own.subject == subject and list(_alternatives(own)) == list(alternatives)
                issued = own.issuer == own.subject if self_signed else _issued(own, issuer)
                if same and issued:
                    return _described(name, "client", path, own)
            if not self_signed:
                _refuse_foreign(_hosts(subject, alternatives))
            key = key or ec.generate_private_key(ec.SECP256R1())
            own = issuing.client(
                key,
                subject,
                alternatives,
                issuer=None if self_signed else issuer,
                issuer_key=key if self_signed else issuer_key,
                now=self._now,
            )
            return self._keep(name, "client", path, own, key)

    def list(self) -> list[Issued]:
        """Return what is there, the authority first."""
        places = [(_AUTHORITY, "authority", self.file), (_SERVER, "server", self.folder / f"{_SERVER}.pem")]
        places += [(path.stem, "client", path) for path in sorted((self.folder / "clients").glob("*.pem"))]
        found = [(name, kind, path, _load(path)) for name, kind, path in places]
        return [_described(name, kind, path, own) for name, kind, path, own in found if own is not None]

    @contextlib.contextmanager
    def _held(self) -> Iterator[None]:
        """Let one process at a time change the folder."""
        self.folder.mkdir(mode=0o700, exist_ok=True)
        try:
            with locked(self.folder / ".lock", timeout_s=_PATIENCE_S):
                yield
        except TimeoutError as error:
            sentence = f"Another process has been making certificates in {self.folder} for long: try again."
            raise Failure("certificates_busy", sentence, Exit.TRY_AGAIN) from error

    def _authority(self) -> tuple[x509.Certificate, Key, Issued]:
        key, own = _load_key(self.file), _load(self.file)
        if own is not None and key is not None and self._is_good(own):
            return own, key, _described(_AUTHORITY, "authority", self.file, own)
        name = f"Billfold development CA {getpass.getuser()}@{socket.gethostname()}"[:64]
        # A renewed authority keeps its name and its key, so that what it has issued still is its own.
        key = key or ec.generate_private_key(ec.SECP256R1())
        own = issuing.authority(key, name, self._now)
        return own, key, self._keep(_AUTHORITY, "authority", self.file, own, key)

    def _is_good(self, certificate: x509.Certificate) -> bool:
        begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
        return begins <= self._now < ends - RENEWED_BEFORE

    def _keep(self, name: str, kind: str, path: Path, certificate: x509.Certificate, key: Key) -> Issued:
        """Write both files, each whole or not at all, the key first."""
        pkcs8 = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        keep_privately(path.with_suffix(".key"), pkcs8)
        keep_privately(path, certificate.public_bytes(serialization.Encoding.PEM), mode=0o644)
        return msgspec.structs.replace(_described(name, kind, path, certificate), renewed=True)


def _load(path: Path) -> x509.Certificate | None:
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise _damaged(path) from error


def _load_key(certificate: Path) -> Key | None:
    path = certificate.with_suffix(".key")
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), None)
    except FileNotFoundError:
        return None
    except (ValueError, TypeError) as error:
        raise _damaged(path) from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise _damaged(path)
    return key


def _damaged(path: Path) -> Failure:
    sentence = f"{path} isn't what billfold certs has made: remove it, and it is made anew."
    return Failure("certificate_damaged", sentence, Exit.BAD_DATA, file=str(path))


def _issued(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _alternatives(certificate: x509.Certificate) -> list[x509.GeneralName]:
    try:
        return list(certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    except x509.ExtensionNotFound:
        return []


def _plain_names(certificate: x509.Certificate) -> list[str]:
    return sorted(str(each.value) for each in _alternatives(certificate))


def _hosts(subject: x509.Name, alternatives: Sequence[x509.GeneralName]) -> list[str]:
    """Return the hosts that a client's certificate names; without others, its common name is taken for one."""
    hosts = [str(each.value) for each in alternatives if isinstance(each, x509.DNSName | x509.IPAddress)]
    if not any(isinstance(each, x509.DNSName) for each in alternatives):
        common = [str(each.value) for each in subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
        hosts += [each for each in common if _LIKE_A_HOST.fullmatch(each)]
    return hosts


def _refuse_foreign(names: Sequence[str]) -> None:
    """Refuse names for which nobody would believe the authority.

    Raises:
        Failure: There is one.
    """
    foreign = [name for name in names if not issuing.may_name(name)]
    if foreign:
        sentence = (
            f"The development CA can't vouch for {foreign[0]}, only for this machine and for names below localhost, "
            "test, example and invalid: get a certificate for it elsewhere."
        )
        raise Failure("certificate_foreign_name", sentence, Exit.USAGE, name=foreign[0])


_KINDS: Final = {
    x509.DNSName: "dns",
    x509.UniformResourceIdentifier: "uri",
    x509.IPAddress: "ip",
    x509.RFC822Name: "email",
}


def _described(name: str, kind: str, path: Path, certificate: x509.Certificate) -> Issued:
    thumbprint = certificate.fingerprint(hashes.SHA256())
    return Issued(
        name=name,
        kind=kind,
        certificate=str(path),
        key=str(path.with_suffix(".key")),
        subject=certificate.subject.rfc4514_string(),
        names=[f"{_KINDS.get(type(each), 'other')}:{each.value}" for each in _alternatives(certificate)],
        self_signed=certificate.issuer == certificate.subject,
        ends_at=certificate.not_valid_after_utc,
        thumbprint=_base64url(thumbprint),
    )


def _base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
