"""How a client's certificate names it (RFC 8705, section 2.1.2; RFC 4514; RFC 5280, section 4.2.1.6)."""

import ipaddress
import re
from typing import Final

from cryptography import x509
from cryptography.x509.oid import NameOID, ObjectIdentifier

__all__ = ["same_ip", "same_mail", "subject_of", "subject_parts"]

Parts = tuple[frozenset[tuple[str, str]], ...]
"""A distinguished name as compared: an ordered list of sets of (type, value)."""

_TYPES: Final[dict[str, ObjectIdentifier]] = {
    "CN": NameOID.COMMON_NAME,
    "L": NameOID.LOCALITY_NAME,
    "ST": NameOID.STATE_OR_PROVINCE_NAME,
    "O": NameOID.ORGANIZATION_NAME,
    "OU": NameOID.ORGANIZATIONAL_UNIT_NAME,
    "C": NameOID.COUNTRY_NAME,
    "STREET": NameOID.STREET_ADDRESS,
    "DC": NameOID.DOMAIN_COMPONENT,
    "UID": NameOID.USER_ID,
    "emailAddress": NameOID.EMAIL_ADDRESS,
    "serialNumber": NameOID.SERIAL_NUMBER,
    "organizationIdentifier": NameOID.ORGANIZATION_IDENTIFIER,
    "businessCategory": NameOID.BUSINESS_CATEGORY,
    "jurisdictionC": NameOID.JURISDICTION_COUNTRY_NAME,
    "SN": NameOID.SURNAME,
    "GN": NameOID.GIVEN_NAME,
}
"""What types are called; eIDAS certificates have ``organizationIdentifier``. Any other is written as its numbers."""

_SPELLINGS: Final = {spelling: oid for name, oid in _TYPES.items() for spelling in (name, name.upper(), name.lower())}

# A type that is written as numbers has its value in hexadecimal BER (RFC 4514, section 2.4).
_IN_HEX: Final = re.compile(r"(?P<head>(?:^|(?<!\\)[,+])[A-Za-z0-9.-]+=)#(?P<ber>(?:[0-9A-Fa-f]{2})+)(?=[,+]|$)")
_ENCODINGS: Final = {0x0C: "utf-8", 0x13: "ascii", 0x16: "ascii", 0x14: "latin-1", 0x1E: "utf-16-be", 0x1C: "utf-32-be"}
_SPECIAL: Final = re.compile(r'([\\ #="+,;<>])')
_SHORT_LENGTH: Final = 0x80


def subject_parts(text: str) -> Parts:
    """Return what a distinguished name says, read from its text (RFC 4514).

    Raises:
        ValueError: It is none.
    """
    try:
        name = x509.Name.from_rfc4514_string(_IN_HEX.sub(_out_of_hex, text), _SPELLINGS)
    except Exception as error:
        msg = "isn't a distinguished name (RFC 4514)"
        raise ValueError(msg) from error
    if not name.rdns:
        msg = "is empty"
        raise ValueError(msg)
    return _parts(name)


def subject_of(certificate: x509.Certificate) -> Parts:
    """Return what a certificate's subject says. How its texts are encoded makes no difference, every letter does."""
    return _parts(certificate.subject)


def _parts(name: x509.Name) -> Parts:
    return tuple(frozenset((part.oid.dotted_string, str(part.value)) for part in rdn) for rdn in name.rdns)


def _out_of_hex(match: re.Match[str]) -> str:
    ber = bytes.fromhex(match["ber"])
    if len(ber) < 2 or ber[1] >= _SHORT_LENGTH or len(ber) != ber[1] + 2 or ber[0] not in _ENCODINGS:  # noqa: PLR2004 - tag and length
        raise ValueError
    return match["head"] + _SPECIAL.sub(r"\\\1", ber[2:].decode(_ENCODINGS[ber[0]]))


def same_ip(registered: str, shown: ipaddress.IPv4Address | ipaddress.IPv6Address | object) -> bool:
    """Tell whether two addresses are the same, however they are written."""
    return ipaddress.ip_address(registered) == shown


def same_mail(registered: str, shown: str) -> bool:
    """Tell whether two mail addresses are the same; only their domains are compared without regard to case."""
    one, other = registered.rpartition("@"), shown.rpartition("@")
    return one[0] == other[0] and one[2].lower() == other[2].lower()
