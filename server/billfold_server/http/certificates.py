"""Client certificates: which of them counts for a request, and whether an authority that we trust has issued it.

A certificate comes with the TLS connection, or in a header of a proxy that ends TLS before us (RFC 9440). In a header
anybody can write anything, so it counts only when the settings name the header and the connection comes from a trusted
proxy; and never on the port that asks for certificates itself, where a proxy may pass on what it can't read. Everybody
else's copies are dropped before anything of ours sees them.

What a certificate is worth differs by how a client authenticates: ``tls_client_auth`` wants one that an authority has
issued, ``self_signed_tls_client_auth`` just the one that was registered (RFC 8705, section 2). So both kinds come
through, and it is said which is which.
"""

import base64
import binascii
import re
import time
from collections.abc import Iterable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import unquote_to_bytes

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID
from OpenSSL import crypto

from billfold import errors
from billfold_server.http.context import RequestContext
from billfold_server.http.rotation import End, Ends, Kept, Rotation
from billfold_server.settings import Mistake, Settings, SettingsInvalid

__all__ = ["EXTENSION", "UNREADABLE", "ClientCertificates", "ClientTrust", "Shown", "read_shown", "read_trust"]

EXTENSION: Final = "billfold.certificate"
"""Under which extension of a connection's scope our protocol says what the client has shown."""

UNREADABLE: Final = object()
"""What our protocol says when a client has shown a certificate that nobody can read."""

CERTIFICATE: Final = "client-cert"
CHAIN: Final = "client-cert-chain"
NGINX: Final = "x-ssl-client-cert"
_CARRIERS: Final = (CERTIFICATE, CHAIN, NGINX)
_CARRIERS_RAW: Final = frozenset(each.encode() for each in _CARRIERS)

LIMIT_BYTES: Final = 8 * 1024
"""How long a certificate may be; those of banks, with all that eIDAS puts into them, have a third of it."""

RSA_LEAST_BITS: Final = 2048
EC_LEAST_BITS: Final = 224
"""How long keys must be (FAPI 2.0 Security Profile, section 5.4.1), of whoever has signed as well."""

_HASHES: Final = (hashes.SHA256, hashes.SHA384, hashes.SHA512, hashes.SHA3_256, hashes.SHA3_384, hashes.SHA3_512)
"""By what certificates are signed, where a scheme leaves that open (BCP 195: RFC 9325, section 4.5)."""

CHAIN_LIMIT: Final = 5
"""How many further certificates a chain may have."""

_BYTES = re.compile(r":([A-Za-z0-9+/]*)={0,2}:")
_PEM = re.compile(
    rb"\s*-----BEGIN CERTIFICATE-----\s+([A-Za-z0-9+/\s]+={0,2})\s+-----END CERTIFICATE-----\s*", re.ASCII
)
_REMEMBERED: Final = 1024
_JUDGED_S: Final = 10.0
"""How long it is remembered that a chain is good, or not. Within that time one that has ended may still be taken."""


class Shown(NamedTuple):
    """What a client has shown: its certificate and further ones that may lead to an authority, all as DER."""

    certificate: bytes
    chain: tuple[bytes, ...] = ()


def read_shown(certificate: bytes, chain: Sequence[bytes] = ()) -> Shown:
    """Return what was shown, once it is known that its certificate can be read whenever somebody wants to.

    Raises:
        ValueError: It can't, or its key is so weak that others may have it, too.
    """
    if not 0 < len(certificate) <= LIMIT_BYTES or len(chain) > CHAIN_LIMIT:
        raise ValueError("too large")
    try:
        found = x509.load_der_x509_certificate(certificate)
        # Each of these is read when it is first asked for, and has its own ways to be wrong.
        _, _, _, key = found.subject, found.issuer, found.extensions, found.public_key()
    except (UnsupportedAlgorithm, x509.DuplicateExtension, x509.InvalidVersion, TypeError) as error:
        raise ValueError("not readable") from error
    if not _is_strong(key):
        raise ValueError("too weak a key")
    return Shown(certificate, tuple(chain))


def _is_strong(key: object) -> bool:
    match key:
        case rsa.RSAPublicKey():
            return key.key_size >= RSA_LEAST_BITS
        case ec.EllipticCurvePublicKey():
            return key.key_size >= EC_LEAST_BITS
    return isinstance(key, ed25519.Ed25519PublicKey | ed448.Ed448PublicKey)


def _is_strongly_signed(certificate: x509.Certificate) -> bool:
    """Tell whether a certificate's signature can't be made to fit another one."""
    algorithm = certificate.signature_hash_algorithm
    # The schemes that leave nothing open are those of Edwards curves.
    return algorithm is None or isinstance(algorithm, _HASHES)


class ClientTrust:
    """Tells whether authorities that the deployment trusts have issued a certificate for a client.

    OpenSSL finds the way from the certificate to one of them (RFC 5280, section 6), with all that proxies and browsers
    know about the world's certificates. What it is asked by default leaves open is checked here: that the certificate
    is for clients, and says so, and that all keys and signatures on the way are strong. Of an authority that is trusted
    its own signature doesn't count, for it is the one that the deployment has named.

    Args:
        authorities: Those that are trusted, be they roots or not.
        revoked: Their lists of what they have revoked; none at all is no check.
    """

    def __init__(
        self, authorities: Sequence[x509.Certificate], revoked: Sequence[x509.CertificateRevocationList] = ()
    ) -> None:
        self.authorities = authorities
        self.lists = revoked
        self._revoked = {(each.issuer, entry.serial_number) for each in revoked for entry in each}
        self._store = crypto.X509Store()
        for each in authorities:
            self._store.add_cert(crypto.X509.from_cryptography(each))
        for each_list in revoked:
            self._store.add_crl(each_list)
        flags = crypto.X509StoreFlags.PARTIAL_CHAIN
        # With this flag there must be a list of the certificate's own issuer, which isn't out of date.
        self._store.set_flags(flags | crypto.X509StoreFlags.CRL_CHECK if revoked else flags)

    def verifies(self, shown: Shown) -> bool:
        """Tell whether a certificate leads to an authority, is valid now, not revoked, and for clients."""
        try:
            # OpenSSL's own reader would let something stand behind a certificate.
            leaf, *between = (
                crypto.X509.from_cryptography(x509.load_der_x509_certificate(each))
                for each in (shown.certificate, *shown.chain)
            )
            path = crypto.X509StoreContext(self._store, leaf, between).get_verified_chain()
            own, *above = (each.to_cryptography() for each in path)
            return (
                bool(above)
                and _is_for_clients(own)
                and all(map(_lets_clients_be, above))
                and all(_is_strong(each.public_key()) for each in (own, *above))
                and all(map(_is_strongly_signed, (own, *above[:-1])))
                and not any((each.issuer, each.serial_number) in self._revoked for each in (own, *above[:-1]))
            )
        except (crypto.Error, crypto.X509StoreContextError, ValueError, x509.DuplicateExtension, x509.InvalidVersion):
            return False
        except UnsupportedAlgorithm:
            # A key or a signature of a kind that nobody here knows.
            return False

    def ends(self) -> Ends:
        """Return until when its files are good."""
        ends = {"client_ca": End(min(each.not_valid_after_utc for each in self.authorities))}
        updates = [each.next_update_utc for each in self.lists if each.next_update_utc is not None]
        if updates:
            # Lists live for hours or days, so there is no use in warning weeks before.
            ends["client_crl"] = End(min(updates), notice=timedelta(0))
        return ends


def _is_for_clients(certificate: x509.Certificate) -> bool:
    try:
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
        if constraints.ca:
            return False
    except x509.ExtensionNotFound:
        pass
    return ExtendedKeyUsageOID.CLIENT_AUTH in _purposes(certificate)


def _lets_clients_be(authority: x509.Certificate) -> bool:
    """Tell whether an authority may issue for clients; where it is limited, it must be to them, too."""
    purposes = _purposes(authority)
    allowed = {ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE}
    return not purposes or not allowed.isdisjoint(purposes)


def _purposes(certificate: x509.Certificate) -> list[x509.ObjectIdentifier]:
    try:
        return list(certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)
    except x509.ExtensionNotFound:
        return []


def read_trust(settings: Settings) -> ClientTrust:
    """Read the files of the authorities that issue for clients.

    Raises:
        SettingsInvalid: One of them can't be used; the sentence says why.
    """
    assert settings.client_ca_file is not None, "who trusts nobody has nothing to read"
    try:
        authorities = x509.load_pem_x509_certificates(Path(settings.client_ca_file).read_bytes())
        only_authorities = all(map(_is_authority, authorities))
    except (OSError, ValueError, x509.DuplicateExtension) as error:
        raise _unusable("client_ca_file", error) from error
    if not only_authorities:
        raise _unusable("client_ca_file", "it holds a certificate that is no authority's")
    if settings.client_crl_file is None:
        return ClientTrust(authorities)
    try:
        lists = [x509.load_pem_x509_crl(each) for each in _pem_blocks(Path(settings.client_crl_file).read_bytes())]
    except (OSError, ValueError) as error:
        raise _unusable("client_crl_file", error) from error
    if not lists:
        raise _unusable("client_crl_file", "it holds no revocation list")
    return ClientTrust(authorities, lists)


def _unusable(name: str, error: Exception | str) -> SettingsInvalid:
    why = error.strerror if isinstance(error, OSError) else error
    sentence = f"{name} can't be used ({why}); set BILLFOLD_{name.upper()} to a PEM file, or mend it."
    return SettingsInvalid([Mistake(name, sentence)])


def _is_authority(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False


def _pem_blocks(text: bytes) -> Iterable[bytes]:
    return re.findall(rb"-----BEGIN X509 CRL-----.*?-----END X509 CRL-----", text, re.DOTALL)


class ClientCertificates:
    """Finds the client certificate of each request.

    Args:
        settings: Whom to trust, and which header.
        rotation: Looks after the files of authorities.

    Raises:
        SettingsInvalid: The authorities' files can't be used.
    """

    def __init__(self, settings: Settings, rotation: Rotation) -> None:
        self._header = settings.client_certificate_header
        self._trust: Kept[ClientTrust] | None = None
        if settings.client_ca_file is not None:
            paths = [Path(each) for each in (settings.client_ca_file, settings.client_crl_file) if each is not None]
            kept = Kept("client_ca", paths, lambda: read_trust(settings), ends=ClientTrust.ends)
            self._trust = rotation.keep(kept)
        self._judged: dict[Shown, tuple[float, ClientTrust, bool]] = {}
        self._read: dict[tuple[str, str], Shown] = {}

    def introduce(self, scope: Any, context: RequestContext, *, by_proxy: bool) -> None:
        """Note in the context which certificate the client has shown, and drop the headers that may hold one.

        Args:
            scope: The connection's scope.
            context: The request.
            by_proxy: Whether it comes from a trusted proxy.

        Raises:
            errors.InvalidRequest: The proxy's header can't be read, or what the client has shown.
        """
        extensions = scope.get("extensions")
        asked = extensions is not None and EXTENSION in extensions
        shown = extensions[EXTENSION] if asked else None
        headers = context.headers
        if CERTIFICATE in headers or CHAIN in headers or NGINX in headers:
            context.headers = {name: value for name, value in headers.items() if name not in _CARRIERS}
            scope["headers"] = [each for each in scope["headers"] if each[0] not in _CARRIERS_RAW]
            if by_proxy and not asked:
                shown = self._of_header(headers)
        if isinstance(shown, Shown):
            context.certificate = shown.certificate
            context.certificate_verified = self._verified(shown)
        elif shown is UNREADABLE:
            raise errors.InvalidRequest("the client certificate can't be read, or its key is too weak")

    def _of_header(self, headers: Any) -> Shown | None:
        if self._header is None:
            return None
        key = (headers.get(self._header, ""), headers.get(CHAIN, "") if self._header == CERTIFICATE else "")
        shown = self._read.get(key)
        if shown is None:
            shown = _read_nginx(key[0]) if self._header == NGINX else _read_fields(headers)
            if shown is not None:
                _remember(self._read, key, shown)
        return shown

    def _verified(self, shown: Shown) -> bool:
        if self._trust is None:
            return False
        trust, now = self._trust.current, time.monotonic()
        until, by, verdict = self._judged.get(shown, (0.0, None, False))
        if until <= now or by is not trust:
            verdict = trust.verifies(shown)
            _remember(self._judged, shown, (now + _JUDGED_S, trust, verdict))
        return verdict


def _remember(memory: dict[Any, Any], key: Any, value: Any) -> None:
    if len(memory) >= _REMEMBERED:
        memory.clear()
    memory[key] = value


def _read_fields(headers: Any) -> Shown | None:
    """Read ``Client-Cert`` and ``Client-Cert-Chain``: a byte sequence, and a list of them (RFC 9440, section 2)."""
    if CERTIFICATE not in headers:
        if CHAIN in headers:
            raise errors.InvalidRequest("a chain of no certificate", param="Client-Cert-Chain")
        return None
    certificate = _byte_sequence(headers[CERTIFICATE], "Client-Cert")
    chain = headers.get(CHAIN, "").strip()
    members = [_byte_sequence(each, "Client-Cert-Chain") for each in chain.split(",")] if chain else []
    return _checked(certificate, members, "Client-Cert")


def _byte_sequence(text: str, name: str) -> bytes:
    """Return the bytes of a structured field's item (RFC 8941, section 4.2.7)."""
    match = _BYTES.fullmatch(text.strip(" \t"))
    if match is None:
        raise errors.InvalidRequest(f"{name} holds one byte sequence, and nothing else, for a certificate", param=name)
    return _decoded(match[1], name)


def _decoded(text: str, name: str) -> bytes:
    try:
        # Padding may be missing (same section).
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except binascii.Error:
        raise errors.InvalidRequest(f"{name} isn't base64", param=name) from None


def _read_nginx(text: str) -> Shown | None:
    """Read what nginx calls ``$ssl_client_escaped_cert``: PEM with percent signs; nothing, where there is none."""
    if not text.strip():
        return None
    name = "X-SSL-Client-Cert"
    match = _PEM.fullmatch(unquote_to_bytes(text))
    if match is None:
        raise errors.InvalidRequest(f"{name} holds one certificate as escaped PEM, and nothing else", param=name)
    return _checked(_decoded(re.sub(rb"[\s=]", b"", match[1]).decode(), name), [], name)


def _checked(certificate: bytes, chain: Sequence[bytes], name: str) -> Shown:
    try:
        return read_shown(certificate, chain)
    except ValueError:
        raise errors.InvalidRequest(f"{name} holds no certificate that can be used", param=name) from None
