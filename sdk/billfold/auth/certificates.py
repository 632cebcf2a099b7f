"""The certificate that a client's connections are made with."""

import ssl
from os import PathLike, fspath
from pathlib import Path

from billfold.keys.signer import KeyUnusable

__all__ = ["ClientCertificate"]


class ClientCertificate:
    """A TLS client certificate with its key, in files.

    Args:
        certificate: The certificate, followed by those between it and the authority, in PEM.
        key: Its private key, in PEM; in the certificate's file where absent.
        passphrase: What the key is encrypted with, if it is.
        ca: Which authorities to trust for the server, in PEM; the usual ones where absent.
    """

    def __init__(
        self,
        certificate: str | PathLike[str],
        key: str | PathLike[str] | None = None,
        *,
        passphrase: str | None = None,
        ca: str | PathLike[str] | None = None,
    ) -> None:
        self.certificate = fspath(certificate)
        self.key = None if key is None else fspath(key)
        self.ca = None if ca is None else fspath(ca)
        self._passphrase = passphrase

    def context(self) -> ssl.SSLContext:
        """Return what connections are made with, read from the files as they are now.

        Raises:
            KeyUnusable: The files hold no certificate with its key, or the passphrase is wrong.
            OSError: A file can't be read; ``filename`` says which.
        """
        import httpx  # noqa: PLC0415  # It takes longer to import than the rest of the SDK together.

        for file in filter(None, (self.certificate, self.key, self.ca)):
            # OpenSSL doesn't say which of them it can't read.
            with Path(file).open("rb"):
                pass
        context = httpx.create_ssl_context() if self.ca is None else ssl.create_default_context(cafile=self.ca)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            # Without a passphrase OpenSSL would ask for one at the terminal, and wait.
            context.load_cert_chain(self.certificate, self.key, password=self._passphrase or "")
        except ssl.SSLError:
            reason = "the files hold no certificate with its key, or the passphrase is wrong"
        else:
            return context
        raise KeyUnusable(reason)

    def __repr__(self) -> str:
        return f"ClientCertificate({self.certificate!r}, …)"
