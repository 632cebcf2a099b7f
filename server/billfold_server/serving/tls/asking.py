"""TLS that asks clients for a certificate, and takes one from nobody in particular.

Python's ``ssl`` can ask for a certificate only if it may also refuse it: what doesn't lead to an authority ends the
handshake. But a self-signed certificate is as good as any to a client that has registered it (RFC 8705, section 2.2).
OpenSSL leaves that to a callback, which pyOpenSSL offers. What is here lets event loops speak TLS by pyOpenSSL: they
only know ``ssl.SSLContext`` and what its ``wrap_bio`` returns, so one that returns something else of the same shape is
all that is needed. Buffers, time-outs and the closing of connections stay the event loop's (ADR 16).
"""

import ssl
from collections.abc import Callable
from typing import Any, Final, Self, TypeVar

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL import SSL

from billfold_server.http.certificates import EXTENSION, UNREADABLE, Shown, read_shown
from billfold_server.http.protocol import BoundedProtocol

__all__ = ["AskingContext", "AskingProtocol"]

T = TypeVar("T")

_RECORD_BYTES: Final = 16 * 1024 + 512
"""What the longest record of TLS takes (RFC 8446, section 5.2), and somewhat more."""


class AskingContext(ssl.SSLContext):
    """What an event loop takes for an ``SSLContext``.

    Args:
        current: Returns pyOpenSSL's context for the next connection.
    """

    _current: Callable[[], SSL.Context]

    def __new__(cls, _current: Callable[[], SSL.Context]) -> Self:
        """Make what ``ssl`` demands of its kind; none of it is used."""
        return super().__new__(cls, ssl.PROTOCOL_TLS_SERVER)

    def __init__(self, current: Callable[[], SSL.Context]) -> None:
        super().__init__()
        self._current = current

    def wrap_bio(  # type: ignore[override]
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,  # noqa: FBT001, FBT002 - So it is called.
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> "AskingConnection":
        """Begin a connection."""
        assert server_side, "only servers ask"
        del server_hostname, session
        return AskingConnection(self._current(), incoming, outgoing)


class AskingConnection:
    """What an event loop takes for an ``SSLObject``: a connection of pyOpenSSL, between two buffers of bytes.

    Args:
        context: By which it speaks.
        incoming: What has come from the network.
        outgoing: What shall go there.
    """

    def __init__(self, context: SSL.Context, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO) -> None:
        self._incoming = incoming
        self._outgoing = outgoing
        self._connection = SSL.Connection(context, None)
        self._connection.set_accept_state()
        # Whether OpenSSL was given bytes since it last said that it needs more.
        self._fed = False

    def do_handshake(self) -> None:
        """Go on with the handshake as far as what has come allows."""
        self._carry(self._connection.do_handshake)

    def read(self, size: int = 1024, buffer: Any = None) -> Any:
        """Return what the client has sent, b"" at the end; or fill a buffer with it, and return its length."""
        wanted = size if buffer is None else min(size, len(buffer))
        if not (self._fed or self._incoming.pending or self._incoming.eof):
            # Event loops ask until there is nothing; asking OpenSSL as well would cost several times more.
            raise ssl.SSLWantReadError(ssl.SSL_ERROR_WANT_READ, "more has to come first")
        try:
            data = self._carry(lambda: self._receive(wanted))
        except ssl.SSLZeroReturnError:
            data = b""
        if buffer is None:
            return data
        buffer[: len(data)] = data
        return len(data)

    def write(self, data: Any) -> int:
        """Send something, and return how much of it was taken."""
        return self._carry(lambda: self._connection.send(data)) if len(data) else 0

    def unwrap(self) -> None:
        """Say that nothing more will come, and wait for the client to say so."""
        if not self._carry(self._connection.shutdown):
            self._carry(self._connection.shutdown)

    def pending(self) -> int:
        """Return how much can be read without more from the network; 1 where that isn't known."""
        return self._connection.pending() or int(self._fed)

    def getpeercert(self, binary_form: bool = False) -> Any:  # noqa: FBT001, FBT002 - So it is called.
        """Return the client's certificate as DER, or None. In its other form nobody has verified it, so it is empty."""
        if not binary_form:
            return {}
        shown = self.shown()
        return shown.certificate if isinstance(shown, Shown) else None

    def shown(self) -> object:
        """Return what the client has shown: a ``Shown``, None, or ``UNREADABLE``."""
        try:
            own = self._connection.get_peer_certificate(as_cryptography=True)
            chain = self._connection.get_peer_cert_chain(as_cryptography=True) or []
            if own is None:
                return None
            return read_shown(own.public_bytes(Encoding.DER), [each.public_bytes(Encoding.DER) for each in chain])
        except (ValueError, x509.InvalidVersion):
            return UNREADABLE

    def cipher(self) -> tuple[str | None, str | None, int | None]:
        """Return the cipher suite, the protocol and the suite's strength."""
        connection = self._connection
        return connection.get_cipher_name(), connection.get_cipher_version(), connection.get_cipher_bits()

    def version(self) -> str:
        """Return the protocol's version."""
        return self._connection.get_protocol_version_name()

    def selected_alpn_protocol(self) -> str | None:
        """Return what was agreed to be spoken."""
        return self._connection.get_alpn_proto_negotiated().decode() or None

    def compression(self) -> None:
        """Return nothing: nothing is compressed."""

    def _receive(self, size: int) -> bytes:
        """Return what has come, up to some size, so that the event loop needn't come back for each record."""
        if self._incoming.pending:
            # It would be asked for anyway.
            self._feed()
        # pyOpenSSL makes room for all that is asked for, and no more than a record comes at once.
        pieces = [self._connection.recv(min(size, _RECORD_BYTES))]
        got = len(pieces[0])
        try:
            while got < size:
                pieces.append(self._connection.recv(min(size - got, _RECORD_BYTES)))
                got += len(pieces[-1])
        except SSL.WantReadError:
            if self._feed():
                return b"".join(pieces)
            self._fed = False
        except (SSL.ZeroReturnError, SSL.Error):
            # Whatever it is, it is said again when nothing else is left to read.
            self._fed = True
        return b"".join(pieces)

    def _carry(self, act: Callable[[], T]) -> T:
        """Do something, with what has come from the network, and send to it what results.

        Raises:
            ssl.SSLWantReadError: More has to come first.
            ssl.SSLZeroReturnError: The client has said that nothing more will come.
            ssl.SSLError: This isn't TLS, or not as we speak it.
        """
        try:
            while True:
                try:
                    return act()
                except SSL.WantReadError:
                    if not self._feed():
                        self._fed = False
                        raise ssl.SSLWantReadError(ssl.SSL_ERROR_WANT_READ, "more has to come first") from None
        except SSL.ZeroReturnError:
            raise ssl.SSLZeroReturnError(ssl.SSL_ERROR_ZERO_RETURN, "nothing more will come") from None
        except SSL.SysCallError as error:
            raise ssl.SSLEOFError(ssl.SSL_ERROR_EOF, "the connection ended without saying so") from error
        except SSL.Error as error:
            raise ssl.SSLError(ssl.SSL_ERROR_SSL, _reason(error)) from error
        finally:
            self._flush()

    def _feed(self) -> bool:
        """Give OpenSSL what has come, and tell whether there was anything."""
        data = self._incoming.read(_RECORD_BYTES)
        if data:
            self._connection.bio_write(data)
            self._fed = True
            return True
        if self._incoming.eof:
            self._connection.bio_shutdown()
        return False

    def _flush(self) -> None:
        try:
            while True:
                data = self._connection.bio_read(_RECORD_BYTES)
                self._outgoing.write(data)
                if len(data) < _RECORD_BYTES:
                    return
        except SSL.Error:
            return


def _reason(error: SSL.Error) -> str:
    """Return OpenSSL's word for what went wrong."""
    found = error.args[0] if error.args and isinstance(error.args[0], list) else []
    return "; ".join(str(each[-1]) for each in found) or "TLS failed"


class AskingProtocol(BoundedProtocol):
    """One connection whose client was asked for a certificate."""

    def connection_made(self, transport: Any) -> None:
        """Note what the client has shown, once for all its requests."""
        super().connection_made(transport)
        self._extensions = {EXTENSION: transport.get_extra_info("ssl_object").shown()}

    def _scope(self, version: str) -> Any:
        scope = super()._scope(version)
        scope["extensions"] = self._extensions
        return scope
