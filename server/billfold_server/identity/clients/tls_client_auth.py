"""Clients that show a certificate which an authority has issued (RFC 8705, section 2.1).

That the chain leads to an authority which the deployment names, and that the certificate is valid now, was seen to
where TLS ended; here it is compared with the one name that the client has registered.
"""

from collections.abc import Callable
from typing import Any, Final

from cryptography import x509

from billfold_server.identity.clients import names
from billfold_server.identity.clients.rows import Client

__all__ = ["matches"]


def matches(certificate: x509.Certificate, client: Client | None, *, verified: bool) -> bool:
    """Tell whether a certificate is the one that a client has registered.

    Args:
        certificate: What the client has shown.
        client: The client, where there is one.
        verified: Whether the certificate's chain was verified.
    """
    if client is None or not verified:
        return False
    checks = [
        check(certificate, registered)
        for member, check in _CHECKS.items()
        if (registered := getattr(client, member)) is not None
    ]
    return checks == [True]


def _alternatives(certificate: x509.Certificate, kind: type[Any]) -> list[Any]:
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError):
        return []
    return extension.value.get_values_for_type(kind)


_CHECKS: Final[dict[str, Callable[[x509.Certificate, str], bool]]] = {
    "tls_subject_dn": lambda shown, registered: names.subject_of(shown) == names.subject_parts(registered),
    "tls_san_dns": lambda shown, registered: (
        registered.lower() in {name.lower() for name in _alternatives(shown, x509.DNSName)}
    ),
    "tls_san_uri": lambda shown, registered: registered in _alternatives(shown, x509.UniformResourceIdentifier),
    "tls_san_ip": lambda shown, registered: any(
        names.same_ip(registered, address) for address in _alternatives(shown, x509.IPAddress)
    ),
    "tls_san_email": lambda shown, registered: any(
        names.same_mail(registered, address) for address in _alternatives(shown, x509.RFC822Name)
    ),
}
"""How each member that may be registered is compared with what stands in the certificate."""
