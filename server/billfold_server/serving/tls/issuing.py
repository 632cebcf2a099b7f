"""What a development certificate says. All of it is pure but for the keys' and serial numbers' chance."""

import ipaddress
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

__all__ = ["AUTHORITY_LIFE", "LEAF_LIFE", "Key", "authority", "client", "may_name", "server"]

Key = ec.EllipticCurvePrivateKey

AUTHORITY_LIFE: Final = timedelta(days=3650)
LEAF_LIFE: Final = timedelta(days=90)
_CLOCKS_DIFFER: Final = timedelta(minutes=5)
"""A certificate is valid from a little before its making on, since other machines' clocks are behind ours."""

_TEST_NAMES: Final = ("localhost", "test", "example", "invalid")
"""Names that are nobody's (RFC 6761, section 6), with all below them."""

_LOOPBACK: Final = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))


def authority(key: Key, name: str, now: datetime) -> x509.Certificate:
    """Return the certificate of a development authority.

    Whoever trusts it trusts it for this machine and for names that are nobody's, for TLS alone: should its key be
    stolen, no other site can be faked with it (RFC 5280, sections 4.2.1.10 and 4.2.1.12).

    Args:
        key: The authority's key.
        name: What people see in their list of authorities.
        now: The time.
    """
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    permitted: list[x509.GeneralName] = [x509.DNSName(each) for each in _TEST_NAMES]
    permitted += [x509.IPAddress(each) for each in _LOOPBACK]
    return (
        _builder(subject, subject, key, now, AUTHORITY_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False
        )
        .add_extension(x509.NameConstraints(permitted_subtrees=permitted, excluded_subtrees=None), critical=True)
        .sign(key, hashes.SHA256())
    )


def may_name(name: str) -> bool:
    """Tell whether the authority may vouch for a host name or an address."""
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return name.lower().rpartition(".")[2] in _TEST_NAMES
    return any(address in network for network in _LOOPBACK)


def server(
    key: Key, names: Sequence[str], issuer: x509.Certificate, issuer_key: Key, now: datetime
) -> x509.Certificate:
    """Return a server's certificate for names and addresses; browsers look at these alone, and not at the subject."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Billfold development server")])
    builder = _leaf(key, subject, ExtendedKeyUsageOID.SERVER_AUTH, issuer=issuer, issuer_key=issuer_key, now=now)
    alternatives = x509.SubjectAlternativeName([_name_or_address(each) for each in names])
    return builder.add_extension(alternatives, critical=False).sign(issuer_key, hashes.SHA256())


def client(
    key: Key,
    subject: x509.Name,
    alternatives: Sequence[x509.GeneralName],
    *,
    issuer: x509.Certificate | None,
    issuer_key: Key,
    now: datetime,
) -> x509.Certificate:
    """Return a client's certificate.

    Args:
        key: The client's key.
        subject: Its distinguished name.
        alternatives: Its other names.
        issuer: Who issues it; None makes it self-signed.
        issuer_key: Its issuer's key, which for a self-signed one is the client's own.
        now: The time.
    """
    builder = _leaf(key, subject, ExtendedKeyUsageOID.CLIENT_AUTH, issuer=issuer, issuer_key=issuer_key, now=now)
    if alternatives:
        builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
    return builder.sign(issuer_key, hashes.SHA256())


def _leaf(
    key: Key,
    subject: x509.Name,
    purpose: ObjectIdentifier,
    *,
    issuer: x509.Certificate | None,
    issuer_key: Key,
    now: datetime,
) -> x509.CertificateBuilder:
    life = LEAF_LIFE if issuer is None else min(LEAF_LIFE, issuer.not_valid_after_utc - now)
    return (
        _builder(subject, subject if issuer is None else issuer.subject, key, now, life)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
    )


def _builder(
    subject: x509.Name, issuer: x509.Name, key: Key, now: datetime, life: timedelta
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCKS_DIFFER)
        .not_valid_after(now + life)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _name_or_address(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)
