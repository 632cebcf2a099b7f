"""A ``billfold up --tls`` with real processes, for the tests that look at it from several sides."""

import ssl
from collections.abc import Iterator

import httpx
import pytest

from tests.postgres import binaries
from tests.server.certificates import client_side
from tests.server.upping import Up, data_dirs

__all__ = ["TlsUp", "tls_up"]


class TlsUp(Up):
    """A ``billfold up --tls --json`` that runs."""

    def trusting(self, shown: tuple[str, str] | None = None) -> ssl.SSLContext:
        """Return a client's side of TLS, which trusts the server's authority."""
        return client_side(self.welcome["ca_file"], shown)

    def client(self, shown: tuple[str, str] | None = None) -> httpx.Client:
        """Return an HTTP client at the port that asks for certificates."""
        return httpx.Client(base_url=self.welcome["mtls_url"], verify=self.trusting(shown), timeout=20)


@pytest.fixture(scope="session")
def tls_up() -> Iterator[TlsUp]:
    """A server with two workers, on free ports. Its tests are of one group, so that one process starts one."""
    binaries(18)
    with data_dirs() as give:
        server = TlsUp(give(), "--tls", "--port=0", "--workers=2")
        server.ready()
        yield server
        assert server.end() == 0, server.log()
