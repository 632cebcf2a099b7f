"""How both ports speak TLS: 1.3 where the client can, else 1.2 with the cipher suites that FAPI 2.0 lets it have.

Sources: FAPI 2.0 Security Profile, section 5.2.2; RFC 9325 (BCP 195), sections 3.1 and 4.2.
"""

import ssl
from pathlib import Path
from typing import Any, Final

from OpenSSL import SSL

from billfold_server.http.rotation import Kept
from billfold_server.serving.tls.asking import AskingContext
from billfold_server.serving.tls.identity import Identity, read_identity
from billfold_server.settings import Mistake, Settings, SettingsInvalid

__all__ = ["SUITES", "ServerSide", "asking_context", "following_context", "kept_side", "server_side"]

SUITES: Final = (
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
    "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384"
)
"""What TLS 1.2 may use (RFC 9325, section 4.2). Every suite of TLS 1.3 is good."""

_HTTP: Final = b"http/1.1"


class ServerSide:
    """Both ports' side of TLS, made of one identity.

    Attributes:
        identity: The certificate that both show.
        plain: For the port on which nobody is asked for a certificate.
        asking: For the one on which everybody is.
    """

    def __init__(self, identity: Identity) -> None:
        self.identity = identity
        self.plain = _plain(identity)
        self.asking = _asking(identity)


def server_side(identity: Identity) -> ServerSide:
    """Return both ports' side of TLS.

    Raises:
        SettingsInvalid: OpenSSL refuses the certificate, as too weak or of a kind that it doesn't know.
    """
    try:
        return ServerSide(identity)
    except (ssl.SSLError, SSL.Error, OSError, ValueError) as error:
        why = getattr(error, "reason", None) or str(error)
        sentence = f"OpenSSL refuses the certificate or its key ({why}); get one with a key of today's strength."
        raise SettingsInvalid([Mistake("tls_certificate", sentence)]) from error


def kept_side(settings: Settings) -> Kept[ServerSide]:
    """Return both ports' side of TLS, which is made anew when its files change.

    Raises:
        SettingsInvalid: The certificate or its key can't be used.
    """
    assert settings.tls_certificate is not None, "the server speaks TLS"
    assert settings.tls_key is not None, "settings name both files"
    files = [Path(settings.tls_certificate), Path(settings.tls_key)]
    return Kept(
        "tls_certificate", files, lambda: server_side(read_identity(settings)), ends=lambda side: side.identity.ends()
    )


def following_context(kept: Kept[ServerSide]) -> ssl.SSLContext:
    """Return a context for a listener whose every new connection gets what was read last."""

    def follow(connection: ssl.SSLObject, _name: str | None, _listener: ssl.SSLContext) -> None:
        # Called for each connection, whether or not it names a host. Options stay the listener's, which are the same.
        current = kept.current.plain
        if connection.context is not current:
            connection.context = current

    context = _plain(kept.current.identity)
    context.sni_callback = follow
    return context


def asking_context(kept: Kept[ServerSide]) -> AskingContext:
    """Return the same for the listener that asks for certificates."""
    return AskingContext(lambda: kept.current.asking)


def _plain(identity: Identity) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    context.set_ciphers(SUITES)
    context.set_alpn_protocols([_HTTP.decode()])
    # Without a passphrase at hand, OpenSSL would ask for one at the terminal.
    context.load_cert_chain(identity.certificate_file, identity.key_file, password=lambda: "")
    return context


def _asking(identity: Identity) -> SSL.Context:
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    context.set_options(SSL.OP_NO_RENEGOTIATION | SSL.OP_NO_COMPRESSION | SSL.OP_NO_TICKET)
    # A resumed connection would bring no chain, and no proof that the client still has the certificate's key.
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.set_session_id(b"billfold")
    context.set_cipher_list(SUITES.encode())
    context.set_alpn_select_callback(_choose_http)
    own, *above = identity.chain
    context.use_certificate(own)
    for each in above:
        context.add_extra_chain_cert(each)
    context.use_privatekey(identity.key)
    context.check_privatekey()
    context.set_verify(SSL.VERIFY_PEER, _take_any)
    return context


def _choose_http(_connection: SSL.Connection, offered: list[bytes]) -> Any:
    return _HTTP if _HTTP in offered else SSL.NO_OVERLAPPING_PROTOCOLS


def _take_any(_connection: SSL.Connection, _certificate: Any, _error: int, _depth: int, _ok: int) -> bool:
    """Take any certificate: whose it is, the application asks, which knows what the client has registered.

    That the client has the certificate's private key isn't asked here. The handshake doesn't succeed without
    CertificateVerify, a signature by it (RFC 8446, section 4.4.3; RFC 5246, section 7.4.8).
    """
    return True
