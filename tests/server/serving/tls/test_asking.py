"""The port that asks for certificates, and the one that doesn't: real TLS on loopback."""

import base64
import contextlib
import socket
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from OpenSSL import SSL

from tests.server.certificates import DAY, Pair, authority, issue
from tests.server.serving.tls.probe import Probe, server_pair

ROOT = authority()
CERTIFICATE_REQUEST = 13


@pytest.fixture(scope="module")
def probe(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Probe]:
    """A server of this module's tests."""
    with Probe(Path(tmp_path_factory.mktemp("tls"))).serve() as serving:
        yield serving


def der_of(seen: dict[str, Any]) -> bytes | None:
    """Return the certificate that the application has seen."""
    return None if seen["certificate"] is None else base64.b64decode(seen["certificate"])


def own_certificate(answer: httpx.Response) -> bytes:
    """Return the certificate that the server has shown on an answer's connection."""
    shown: bytes = answer.extensions["network_stream"].get_extra_info("ssl_object").getpeercert(True)  # noqa: FBT003
    return shown


@contextlib.contextmanager
def connected(probe: Probe, context: SSL.Context) -> Iterator[SSL.Connection]:
    """Have a connection to the asking port, by OpenSSL's own client, after its handshake and a first request."""
    with socket.create_connection(("localhost", probe.asking_port), timeout=15) as sock:
        sock.settimeout(None)
        connection = SSL.Connection(context, sock)
        connection.set_tlsext_host_name(b"localhost")
        connection.set_connect_state()
        connection.do_handshake()
        connection.send(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n")
        yield connection


class TestTheAskingPort:
    @pytest.mark.parametrize(
        "pair",
        [
            issue("by an authority", ROOT),
            issue("over another", authority("between", ROOT)),
            issue("self-signed"),
            issue("ended", ROOT, ends=datetime.now(UTC) - DAY / 2),
            issue("of a stranger's", authority("stranger")),
            issue("rsa", ROOT, key=rsa.generate_private_key(65537, 2048)),
        ],
        ids=lambda pair: pair.certificate.subject.rfc4514_string(),
    )
    @pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
    def test_brings_every_certificate_to_the_application(self, probe: Probe, pair: Pair, version: ssl.TLSVersion):
        """Whoever has issued it, and whatever its dates: the application sees it with its chain, at every request."""
        context = probe.trusting(pair)
        context.minimum_version = context.maximum_version = version
        with httpx.Client(base_url=f"https://localhost:{probe.asking_port}", verify=context) as client:
            for _ in range(3):
                answer = client.get("/")
                assert der_of(answer.json()) == pair.der
                assert answer.json()["chain"] == len(pair.chain)
                assert (
                    answer.extensions["network_stream"].get_extra_info("ssl_object").version()
                    == {
                        ssl.TLSVersion.TLSv1_2: "TLSv1.2",
                        ssl.TLSVersion.TLSv1_3: "TLSv1.3",
                    }[version]
                )

    def test_lets_in_who_has_none(self, probe: Probe):
        """A client without a certificate is served, and is known to have been asked."""
        with probe.client() as client:
            assert client.get("/").json() == {
                "asked": True,
                "certificate": None,
                "chain": 0,
                "scheme": "https",
                "received": 0,
            }

    def test_knows_connections_apart(self, probe: Probe):
        """Each connection's requests see its own certificate, also in turns."""
        pairs = [issue("one"), issue("two")]
        with probe.client(pairs[0]) as one, probe.client(pairs[1]) as two, probe.client() as none:
            for _ in range(3):
                assert [der_of(each.get("/").json()) for each in (one, two, none)] == [pairs[0].der, pairs[1].der, None]

    def test_lets_nobody_in_without_the_private_key(self, probe: Probe):
        """Somebody else's certificate is worth nothing: without its key the handshake fails, in either version."""
        victim = issue("victim", ROOT, key=rsa.generate_private_key(65537, 2048))
        assert isinstance(victim.key, rsa.RSAPrivateKey)
        own = victim.key.private_numbers()
        wrong = own.d - 2
        # A key that says it is the victim's, and signs by another exponent: OpenSSL's client doesn't look closer.
        forged = rsa.RSAPrivateNumbers(
            p=own.p,
            q=own.q,
            d=wrong,
            dmp1=wrong % (own.p - 1),
            dmq1=wrong % (own.q - 1),
            iqmp=own.iqmp,
            public_numbers=own.public_numbers,
        ).private_key(unsafe_skip_rsa_key_validation=True)
        asked = probe.asked
        for key, lets_in in ((victim.key, True), (forged, False)):
            for version in (SSL.TLS1_2_VERSION, SSL.TLS1_3_VERSION):
                context = SSL.Context(SSL.TLS_CLIENT_METHOD)
                context.set_min_proto_version(version)
                context.set_max_proto_version(version)
                context.use_certificate(victim.certificate)
                context.use_privatekey(key)
                answer = b""
                with contextlib.suppress(SSL.Error), connected(probe, context) as connection:
                    answer = connection.recv(100)
                assert answer.startswith(b"HTTP/1.1 200") is lets_in
        assert probe.asked == asked + 2, "the application has heard of the victim alone"

    def test_asks_again_when_a_client_resumes(self, probe: Probe):
        """No session is resumed, so each connection brings the certificate, its chain and the proof of its key anew."""
        pair = issue("client", authority("between", ROOT))
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            context = probe.trusting(pair)
            context.minimum_version = context.maximum_version = version
            session = None
            for _ in range(2):
                raw = socket.create_connection(("localhost", probe.asking_port), timeout=15)
                with context.wrap_socket(raw, server_hostname="localhost", session=session) as connection:
                    connection.sendall(b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
                    answer = b"".join(iter(lambda: connection.recv(65536), b""))
                    assert base64.b64encode(pair.der) in answer
                    assert b'"chain": 1' in answer
                    assert connection.session_reused is False
                    session = connection.session

    def test_does_not_renegotiate(self, probe: Probe):
        """A client that begins a second handshake within a connection of TLS 1.2 gets none."""
        context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        context.set_max_proto_version(SSL.TLS1_2_VERSION)
        with connected(probe, context) as connection:
            assert connection.recv(65536).startswith(b"HTTP/1.1 200")
            connection.renegotiate()
            with pytest.raises(SSL.Error):
                connection.do_handshake()

    def test_carries_much_in_both_directions(self, probe: Probe):
        """Bodies of many records arrive whole, and so do requests that come in one piece."""
        with probe.client(issue("client")) as client:
            assert client.post("/", content=bytes(3_000_000)).json()["received"] == 3_000_000
            assert client.get("/bytes/5000000").content == bytes(5_000_000)
        context = probe.trusting(issue("client"))
        raw = socket.create_connection(("localhost", probe.asking_port), timeout=15)
        with context.wrap_socket(raw, server_hostname="localhost") as connection:
            connection.sendall(b"GET /bytes/1 HTTP/1.1\r\nhost: localhost\r\n\r\n" * 400)
            answers = b""
            while answers.count(b"HTTP/1.1 200") < 400 or not answers.endswith(b"\0"):
                answers += connection.recv(65536)

    def test_takes_a_handshake_byte_by_byte(self, probe: Probe):
        """Records that come in crumbs are put together."""
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        pair = issue("client")
        tls = probe.trusting(pair).wrap_bio(incoming, outgoing, server_hostname="localhost")
        with socket.create_connection(("localhost", probe.asking_port), timeout=15) as sock:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

            def send_in_crumbs() -> None:
                for byte in outgoing.read():
                    sock.sendall(bytes([byte]))

            def carry(act: Any) -> Any:
                while True:
                    try:
                        return act()
                    except ssl.SSLWantReadError:
                        send_in_crumbs()
                        incoming.write(sock.recv(65536))

            carry(tls.do_handshake)
            tls.write(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n")
            answer = carry(tls.read)
            while base64.b64encode(pair.der) not in answer:
                answer += carry(tls.read)

    @pytest.mark.parametrize("sent", [b"GET / HTTP/1.1\r\nhost: x\r\n\r\n", b"\x16\x03\x01\xff\xff" + bytes(300), b""])
    def test_outlives_what_is_no_tls(self, probe: Probe, sent: bytes):
        """Clear text, rubbish and a connection that ends at once get no answer of the application's."""
        asked = probe.asked
        with socket.create_connection(("localhost", probe.asking_port), timeout=15) as sock:
            sock.sendall(sent)
            sock.shutdown(socket.SHUT_WR)
            with contextlib.suppress(ConnectionError):
                assert not sock.recv(100).startswith(b"HTTP/")
        assert probe.asked == asked
        with probe.client() as client:
            assert client.get("/").status_code == 200

    def test_outlives_giant_certificates(self, probe: Probe):
        """One of hundreds of kilobytes ends its own connection; one that is merely too large is taken as unreadable."""
        for size, served in ((200_000, False), (9_000, True)):
            pair = issue(
                "giant", extra=[(x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.5"), bytes(size)), False)]
            )
            seen: Any = None
            with probe.client(pair) as client, contextlib.suppress(httpx.TransportError):
                seen = client.get("/").json()
            assert (seen is not None) is served
            if served:
                assert der_of(seen) is None
        with probe.client() as client:
            assert client.get("/").status_code == 200

    def test_takes_weak_keys_as_unreadable(self, probe: Probe):
        """What is signed by an RSA key that is too short proves nothing."""
        pair = issue("weak", key=rsa.generate_private_key(65537, 1024))  # noqa: S505 - That is the point.
        context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        context.set_cipher_list(b"ALL:@SECLEVEL=0")
        context.use_certificate(pair.certificate)
        context.use_privatekey(pair.key)
        with connected(probe, context) as connection:
            answer = connection.recv(65536)
            while not answer.endswith(b"}"):
                answer += connection.recv(65536)
            assert b'"certificate": null' in answer


class TestThePlainPort:
    @pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
    def test_asks_nobody(self, probe: Probe, version: ssl.TLSVersion):
        """Handshakes there hold no CertificateRequest, which makes browsers show a list; the other port's do."""
        for port, asked in ((probe.port, False), (probe.asking_port, True)):
            context = probe.trusting(issue("client"))
            context.minimum_version = context.maximum_version = version
            types: list[int] = []
            context._msg_callback = lambda *each, types=types: types.append(int(each[4]))  # type: ignore[attr-defined]
            raw = socket.create_connection(("localhost", port), timeout=15)
            with context.wrap_socket(raw, server_hostname="localhost"):
                pass
            assert (CERTIFICATE_REQUEST in types) is asked

    def test_brings_no_certificate(self, probe: Probe):
        """The application sees nothing of it, though the client has one."""
        with probe.client(issue("client"), asking=False) as client:
            seen = client.get("/").json()
            assert (seen["asked"], seen["certificate"], seen["scheme"]) == (False, None, "https")


@pytest.mark.parametrize("port", ["plain", "asking"])
class TestBothPorts:
    @pytest.mark.parametrize(
        ("version", "suites"),
        [
            (ssl.TLSVersion.TLSv1, "ALL:@SECLEVEL=0"),
            (ssl.TLSVersion.TLSv1_1, "ALL:@SECLEVEL=0"),
            (ssl.TLSVersion.TLSv1_2, "ECDHE-ECDSA-AES256-SHA384:ECDHE-ECDSA-AES128-SHA"),
            (ssl.TLSVersion.TLSv1_2, "AES128-GCM-SHA256:AES256-GCM-SHA384"),
            (ssl.TLSVersion.TLSv1_2, "ECDHE-ECDSA-CHACHA20-POLY1305"),
        ],
    )
    @pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
    def test_speak_nothing_old(self, probe: Probe, port: str, version: ssl.TLSVersion, suites: str):
        """Old versions, and suites that BCP 195 doesn't recommend, end in an alert."""
        context = probe.trusting()
        context.set_ciphers(suites)
        context.minimum_version = context.maximum_version = version
        raw = socket.create_connection(("localhost", probe.port_of(port)), timeout=15)
        with pytest.raises((ssl.SSLError, ConnectionError)), raw:
            context.wrap_socket(raw, server_hostname="localhost")

    @pytest.mark.parametrize("offered", [["h2", "http/1.1"], ["http/1.1"], []])
    def test_agree_on_http(self, probe: Probe, port: str, offered: list[str]):
        """Of what the client offers, HTTP/1.1 is spoken; to one that offers nothing, too."""
        context = probe.trusting()
        if offered:
            context.set_alpn_protocols(offered)
        raw = socket.create_connection(("localhost", probe.port_of(port)), timeout=15)
        with context.wrap_socket(raw, server_hostname="localhost") as connection:
            assert connection.selected_alpn_protocol() == ("http/1.1" if offered else None)

    def test_show_what_was_renewed_to_new_connections(self, tmp_path: Path, port: str):
        """A renewed certificate is shown from then on; a connection from before goes on."""
        with Probe(tmp_path).serve() as probe, probe.client(asking=port == "asking") as before:
            assert before.get("/").status_code == 200
            pair = server_pair()
            probe.write(pair)
            assert [probe.kept.look() for _ in range(3)] == [False, True, False]
            with probe.client(asking=port == "asking") as after:
                shown = [own_certificate(client.get("/")) for client in (before, after)]
            assert shown[0] != pair.der
            assert shown[1] == pair.der
