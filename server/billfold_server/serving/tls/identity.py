"""The certificate that the server shows: read from its files, and looked through before it is shown to anybody."""

import stat
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from billfold_server.http.rotation import End, Ends
from billfold_server.settings import Mistake, Settings, SettingsInvalid

__all__ = ["Identity", "PrivateKey", "read_identity"]

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey

_EVERYBODY: Final = stat.S_IROTH | stat.S_IWOTH


class Identity(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """A certificate with its key.

    Attributes:
        certificate_file: Where the certificate was found.
        key_file: Where its key was found.
        chain: The certificate, and those that lead from it to its authority.
        key: Its private key.
    """

    certificate_file: str
    key_file: str
    chain: Sequence[x509.Certificate]
    key: PrivateKey

    @property
    def ends_at(self) -> datetime:
        """Return until when it is good; a chain is as good as what ends first."""
        return min(each.not_valid_after_utc for each in self.chain)

    def ends(self) -> Ends:
        """Return the same for those who watch over it."""
        return {"tls_certificate": End(self.ends_at)}

    def hosts(self) -> list[str]:
        """Return the names and addresses that it is for."""
        try:
            names = self.chain[0].extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        except x509.ExtensionNotFound:
            return []
        return [str(each.value) for each in names if isinstance(each, x509.DNSName | x509.IPAddress)]

    def __repr__(self) -> str:
        """Show whose it is, and no key."""
        return f"Identity({self.chain[0].subject.rfc4514_string()})"


def read_identity(settings: Settings) -> Identity:
    """Read the server's certificate and key.

    Args:
        settings: Where they are.

    Raises:
        SettingsInvalid: They can't be used; every sentence says why and how to mend it.
    """
    assert settings.tls_certificate is not None, "the server speaks TLS"
    assert settings.tls_key is not None, "settings name both files"
    chain, key = _read_chain(settings.tls_certificate), _read_key(settings.tls_key)
    identity = Identity(certificate_file=settings.tls_certificate, key_file=settings.tls_key, chain=chain, key=key)
    mistakes = [Mistake(name, sentence) for name, sentence in _unfit(identity, settings, datetime.now(UTC))]
    if mistakes:
        raise SettingsInvalid(mistakes)
    return identity


def _read_chain(path: str) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(Path(path).read_bytes())
    except OSError as error:
        raise _refused("tls_certificate", f"can't be read ({error.strerror}); let the server's user read it") from error
    except ValueError as error:
        sentence = "isn't a PEM file of certificates; put the server's own first, and then those that lead to its CA"
        raise _refused("tls_certificate", sentence) from error


def _read_key(path: str) -> PrivateKey:
    try:
        key = serialization.load_pem_private_key(Path(path).read_bytes(), None)
    except OSError as error:
        raise _refused("tls_key", f"can't be read ({error.strerror}); let the server's user read it") from error
    except TypeError as error:
        sentence = "has a passphrase, which nobody can type here; remove it, and let nobody but the server read it"
        raise _refused("tls_key", sentence) from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise _refused("tls_key", "isn't a PEM file of a private key; name the certificate's key") from error
    if not isinstance(key, PrivateKey):
        raise _refused("tls_key", "is of a kind that TLS doesn't know; use RSA, EC or Ed25519")
    return key


def _refused(name: str, why: str) -> SettingsInvalid:
    return SettingsInvalid([Mistake(name, f"The file of {name} {why} (BILLFOLD_{name.upper()}).")])


def _unfit(identity: Identity, settings: Settings, now: datetime) -> Iterator[tuple[str, str]]:
    """Yield why a certificate shouldn't be shown, as (setting, sentence)."""
    own = identity.chain[0]
    if own.public_key() != identity.key.public_key():
        sentence = "The key doesn't belong to the certificate; set BILLFOLD_TLS_KEY to the one that it was made for."
        yield "tls_key", sentence
    if identity.ends_at <= now:
        yield "tls_certificate", f"The certificate has ended on {identity.ends_at:%Y-%m-%d}; renew it."
    if own.not_valid_before_utc > now:
        begins = f"{own.not_valid_before_utc:%Y-%m-%d %H:%M} UTC"
        yield (
            "tls_certificate",
            f"The certificate begins at {begins}; use it from then on, or set the clock.",
        )
    if not _is_for_servers(own):
        yield "tls_certificate", "The certificate isn't for servers; get one with the extended key usage serverAuth."
    if settings.production and _open_to_everybody(identity.key_file):
        sentence = f"In production, everybody on this machine may read the TLS key; run chmod o= {identity.key_file}."
        yield "tls_key", sentence


def _is_for_servers(certificate: x509.Certificate) -> bool:
    try:
        purposes = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return True
    return bool({ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE} & set(purposes))


def _open_to_everybody(path: str) -> bool:
    return bool(Path(path).stat().st_mode & _EVERYBODY)
