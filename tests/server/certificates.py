"""Certificates for tests: authorities like a bank's, clients of theirs, and what is wrong with some."""

import ssl
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

CLIENT, SERVER = ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH
DAY = timedelta(days=1)
SIGNS_CERTIFICATES = x509.KeyUsage(
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


class Pair:
    """A certificate and its key.

    Attributes:
        certificate: The certificate.
        key: Its private key.
        above: Who stands between it and its authority.
    """

    def __init__(self, certificate: x509.Certificate, key: Key, above: "Sequence[Pair]" = ()) -> None:
        self.certificate = certificate
        self.key = key
        self.above = above

    @property
    def der(self) -> bytes:
        """Return the certificate as it goes through TLS."""
        return self.certificate.public_bytes(serialization.Encoding.DER)

    @property
    def chain(self) -> tuple[bytes, ...]:
        """Return the certificates that are sent along."""
        return tuple(each.der for each in self.above)

    def pem(self) -> bytes:
        """Return the certificate and what is sent along, as text."""
        return b"".join(each.certificate.public_bytes(serialization.Encoding.PEM) for each in (self, *self.above))

    def key_pem(self) -> bytes:
        """Return the key as text."""
        return self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    def write(self, folder: Path, name: str = "client") -> tuple[str, str]:
        """Write both, and return their files."""
        certificate, key = folder / f"{name}.pem", folder / f"{name}.key"
        key.write_bytes(self.key_pem())
        key.chmod(0o600)
        certificate.write_bytes(self.pem())
        return str(certificate), str(key)


def issue(
    name: str = "client",
    issuer: Pair | None = None,
    *,
    ca: bool = False,
    purposes: Sequence[ObjectIdentifier] | None = (CLIENT,),
    begins: datetime | None = None,
    ends: datetime | None = None,
    names: Sequence[x509.GeneralName] = (),
    key: Key | None = None,
    signed_by: hashes.SHA224 | hashes.SHA256 | None = None,
    extra: Sequence[tuple[x509.ExtensionType, bool]] = (),
) -> Pair:
    """Make a certificate; without an issuer, a self-signed one."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    now = datetime.now(UTC)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    signer = key if issuer is None else issuer.key
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if issuer is None else issuer.certificate.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins or now - DAY)
        .not_valid_after(ends or now + 30 * DAY)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
    )
    if purposes is not None:
        builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    if ca:
        builder = builder.add_extension(SIGNS_CERTIFICATES, critical=True)
    for extension, critical in extra:
        builder = builder.add_extension(extension, critical=critical)
    above = [] if issuer is None else [issuer, *issuer.above]
    sent = [each for each in above if each.certificate.subject != each.certificate.issuer]
    return Pair(builder.sign(signer, signed_by or hashes.SHA256()), key, sent)


def authority(name: str = "Bank's authority", issuer: Pair | None = None, **options: Any) -> Pair:
    """Make an authority."""
    return issue(name, issuer, ca=True, **{"purposes": None, **options})


def revocation_list(issuer: Pair, revoked: Sequence[Pair] = (), *, ends: datetime | None = None) -> bytes:
    """Return an authority's list of what it has revoked, as PEM."""
    now = datetime.now(UTC)
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(issuer.certificate.subject)
        .last_update(now - 2 * DAY)
        .next_update(ends or now + DAY)
    )
    for each in revoked:
        entry = (
            x509.RevokedCertificateBuilder().serial_number(each.certificate.serial_number).revocation_date(now - DAY)
        )
        builder = builder.add_revoked_certificate(entry.build())
    return builder.sign(issuer.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def client_side(authority_file: str, shown: tuple[str, str] | None = None) -> ssl.SSLContext:
    """Return a client's side of TLS, which trusts an authority and may show a certificate."""
    context = ssl.create_default_context(cafile=authority_file)
    # As Python's default has it from 3.13 on.
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    if shown is not None:
        context.load_cert_chain(*shown)
    return context
