"""Client certificates at the edge: whose count, which are verified, and what is refused."""

import base64
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from billfold_server.app import build_app, build_services
from billfold_server.http.certificates import EXTENSION, UNREADABLE, ClientTrust, Shown, read_shown
from billfold_server.http.context import context_of
from billfold_server.http.edge import Edge
from billfold_server.http.pipeline import Hot
from billfold_server.settings import SettingsInvalid
from tests.live import LiveServer
from tests.server.certificates import CLIENT, DAY, SERVER, Pair, authority, issue, revocation_list

PROXY, STRANGER = "10.1.2.3", "198.51.100.7"
ROOT = authority()
GOOD = issue("good", ROOT)
SELF_SIGNED = issue("self-signed")

Asked = Callable[..., AbstractAsyncContextManager[httpx.AsyncClient]]


def shown(pair: Pair) -> Shown:
    """Return what a client with this pair shows."""
    return Shown(pair.der, pair.chain)


def field(der: bytes) -> str:
    """Return bytes as RFC 9440 writes them."""
    return f":{base64.b64encode(der).decode()}:"


def escaped(pair: Pair) -> str:
    """Return a certificate as nginx escapes it."""
    return quote(pair.pem().decode(), safe="")


def trusting(*roots: Pair, revoked: list[bytes] | None = None) -> ClientTrust:
    """Return who trusts some authorities."""
    lists = [x509.load_pem_x509_crl(each) for each in revoked or ()]
    return ClientTrust([each.certificate for each in roots], lists)


async def tell(scope: Any, _receive: Any, send: Any) -> None:
    """Answer with what the edge has found, in place of the router."""
    context = context_of(scope)
    raw = [name.decode() for name, _ in scope["headers"]]
    seen = {
        "certificate": context.certificate,
        "verified": context.certificate_verified,
        "headers": sorted({*context.headers, *raw} & {"client-cert", "client-cert-chain", "x-ssl-client-cert"}),
    }
    start = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]}
    await send(start)
    await send({"type": "http.response.body", "body": msgspec.json.encode(seen)})


@pytest.fixture
def asked_from(live: LiveServer, tmp_path: Path) -> Asked:
    """Return what opens a client at an address, of a server that trusts a proxy and an authority."""
    ca_file = tmp_path / "ca.pem"
    ca_file.write_bytes(ROOT.pem())
    defaults = {
        "trusted_proxies": ["10.0.0.0/8"],
        "client_certificate_header": "client-cert",
        "client_ca_file": str(ca_file),
    }

    @asynccontextmanager
    async def client(address: str, *, connection: Any = None, **changes: object) -> Any:
        settings = msgspec.structs.replace(live.settings, **{**defaults, **changes})
        services = build_services(settings)
        edge: Any = Edge(tell, services, Hot([]))

        async def outermost(scope: Any, receive: Any, send: Any) -> None:
            extensions = {} if connection is None else {"extensions": {EXTENSION: connection[0]}}
            await edge({**scope, **extensions}, receive, send)

        transport = httpx.ASGITransport(outermost, client=(address, 4711))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1/t/alpha") as opened:
            yield opened
        await services.engine.close()
        await services.keys.close()
        await services.database.close()

    return client


def der_of(answer: httpx.Response) -> bytes | None:
    """Return the certificate that the edge has found."""
    assert answer.status_code == 200, answer.text
    found = answer.json()["certificate"]
    return None if found is None else base64.b64decode(found)


class TestTrust:
    @pytest.mark.parametrize("between", [0, 1, 3])
    def test_is_given_to_what_an_authority_has_issued(self, between: int):
        """A client's certificate leads to the root directly, or over those that it sends along."""
        issuer = ROOT
        for number in range(between):
            issuer = authority(f"between {number}", issuer)
        assert trusting(ROOT).verifies(shown(issue("client", issuer)))

    def test_is_given_by_an_authority_that_is_no_root(self):
        """A bank may trust just the authority that issues for clients, and not all that its root has signed."""
        issuing, other = authority("issuing", ROOT), authority("other", ROOT)
        assert trusting(issuing).verifies(shown(issue("client", issuing)))
        assert not trusting(issuing).verifies(shown(issue("client", other)))

    @pytest.mark.parametrize(
        "pair",
        [
            SELF_SIGNED,
            issue("stranger's", authority("Bank's authority")),
            issue("ended", ROOT, ends=datetime.now(UTC) - DAY / 2),
            issue("not yet", ROOT, begins=datetime.now(UTC) + DAY),
            issue("server's", ROOT, purposes=[SERVER]),
            issue("for nothing said", ROOT, purposes=None),
            authority("an authority itself", ROOT, purposes=[CLIENT]),
            issue("by a client", issue("client", ROOT)),
            issue("over an ended one", authority("ended", ROOT, ends=datetime.now(UTC) - DAY / 2)),
            issue("over one for servers", authority("for servers", ROOT, purposes=[SERVER])),
            issue(
                "outside of its names",
                authority("named", ROOT, extra=[(x509.NameConstraints([x509.DNSName("a.example")], None), True)]),
                names=[x509.DNSName("b.example")],
            ),
        ],
        ids=lambda pair: pair.certificate.subject.rfc4514_string(),
    )
    def test_is_not_given_to_others(self, pair: Pair):
        """Another authority of the same name, wrong dates, another purpose and a broken way are no authority's word."""
        assert not trusting(ROOT).verifies(shown(pair))

    def test_is_not_given_to_a_root_that_comes_along(self):
        """Who sends its own root along is trusted no more for it."""
        own = authority("own")
        pair = issue("client", own)
        assert not trusting(ROOT).verifies(Shown(pair.der, (own.der, ROOT.der)))

    def test_ends_with_a_revocation(self):
        """A certificate on its authority's list isn't verified, and one beside it is."""
        gone = issue("gone", ROOT)
        trust = trusting(ROOT, revoked=[revocation_list(ROOT, [gone])])
        assert not trust.verifies(shown(gone))
        assert trust.verifies(shown(GOOD))

    def test_ends_with_the_revocation_of_who_issued(self):
        """Who was issued for by a revoked authority isn't verified, though its own list doesn't name it."""
        between = authority("between", ROOT)
        lists = [revocation_list(ROOT, [between]), revocation_list(between)]
        assert not trusting(ROOT, revoked=lists).verifies(shown(issue("client", between)))

    def test_fails_closed_without_a_list_that_is_current(self):
        """Where lists are kept, a missing one, an old one and one of somebody else's are no acquittal."""
        between = authority("between", ROOT)
        old = revocation_list(ROOT, ends=datetime.now(UTC) - DAY)
        forged = revocation_list(Pair(ROOT.certificate, issue().key))
        assert not trusting(ROOT, revoked=[old]).verifies(shown(GOOD))
        assert not trusting(ROOT, revoked=[forged]).verifies(shown(GOOD))
        assert not trusting(ROOT, revoked=[revocation_list(ROOT)]).verifies(shown(issue("client", between)))

    def test_wants_strong_keys_and_signatures_on_the_whole_way(self):
        """One weak key, or one signature by a short hash, and whoever has broken it could be anybody."""
        weak = rsa.generate_private_key(65_537, 1024)  # noqa: S505 - to see it refused
        small = ec.generate_private_key(ec.SECP192R1())
        between, short = authority("weak", ROOT, key=weak), authority("short", ROOT, signed_by=hashes.SHA224())
        for pair in (issue("client", between), issue("client", short), issue("c", ROOT, signed_by=hashes.SHA224())):
            assert not trusting(ROOT).verifies(shown(pair))
        for key in (weak, small):
            assert not trusting(ROOT).verifies(shown(issue("client", ROOT, key=key)))
            with pytest.raises(ValueError, match="weak"):
                read_shown(issue("client", key=key).der)
        # An authority that the deployment has named counts whoever has signed it.
        assert trusting(short).verifies(Shown(issue("client", short).der))

    @pytest.mark.parametrize(
        "der",
        [b"", b"\x30", b"\x30\x82\x01\x00", GOOD.der + b"\0", GOOD.der[:-1], bytes(9000)],
        ids=["empty", "a tag", "a header", "too long", "too short", "zeros"],
    )
    def test_takes_nothing_that_is_no_certificate(self, der: bytes):
        """What can't be read, has something behind it or is giant is refused before anybody looks into it."""
        assert not trusting(ROOT).verifies(Shown(der))
        with pytest.raises(ValueError, match=r"large|readable|pars"):
            read_shown(der)


class TestAProxysHeader:
    async def test_counts_from_a_trusted_proxy(self, asked_from: Asked):
        """What Client-Cert holds is the client's, verified over Client-Cert-Chain, and handlers see neither header."""
        between = authority("between", ROOT)
        pair = issue("client", between)
        headers = {"Client-Cert": field(pair.der), "Client-Cert-Chain": field(between.der)}
        async with asked_from(PROXY) as client:
            for _ in range(2):
                answer = await client.get("/v1/x", headers=headers)
                assert der_of(answer) == pair.der
                assert answer.json() == {**answer.json(), "verified": True, "headers": []}
            answer = await client.get("/v1/x", headers={"Client-Cert": field(pair.der)})
            assert der_of(answer) == pair.der
            assert answer.json()["verified"] is False, "nothing leads to the authority without the chain"

    async def test_brings_self_signed_certificates_unverified(self, asked_from: Asked):
        """A self-signed certificate comes through, and is said to be nobody's word."""
        async with asked_from(PROXY) as client:
            answer = await client.get("/v1/x", headers={"Client-Cert": field(SELF_SIGNED.der)})
            assert der_of(answer) == SELF_SIGNED.der
            assert answer.json()["verified"] is False

    async def test_brings_what_nginx_escapes(self, asked_from: Asked):
        """By setting, X-SSL-Client-Cert counts, and Client-Cert doesn't; without a certificate nginx sends nothing."""
        async with asked_from(PROXY, client_certificate_header="x-ssl-client-cert") as client:
            answer = await client.get("/v1/x", headers={"X-SSL-Client-Cert": escaped(GOOD)})
            assert der_of(answer) == GOOD.der
            assert answer.json() == {**answer.json(), "verified": True, "headers": []}
            for headers in ({"X-SSL-Client-Cert": ""}, {"Client-Cert": field(GOOD.der)}):
                answer = await client.get("/v1/x", headers=headers)
                assert der_of(answer) is None
                assert answer.json()["headers"] == []

    @pytest.mark.parametrize(
        ("address", "changes"),
        [
            (STRANGER, {}),
            ("127.0.0.1", {}),
            ("::1", {}),
            (PROXY, {"client_certificate_header": None}),
            (PROXY, {"trusted_proxies": []}),
            (PROXY, {"trusted_proxies": ["192.0.2.0/24"]}),
        ],
    )
    @pytest.mark.parametrize(
        "headers",
        [
            [("Client-Cert", field(GOOD.der))],
            [("Client-Cert", field(GOOD.der)), ("X-Forwarded-For", PROXY)],
            [("CLIENT-CERT", field(GOOD.der)), ("client-cert", field(GOOD.der))],
            [("Client-Cert", "nonsense"), ("Client-Cert-Chain", ":::")],
            [("X-SSL-Client-Cert", escaped(GOOD))],
        ],
        ids=["once", "with an address", "twice", "malformed", "nginx's"],
    )
    async def test_is_dropped_from_others(
        self, asked_from: Asked, address: str, changes: dict[str, Any], headers: list[tuple[str, str]]
    ):
        """Whoever isn't the proxy of the settings forges nothing and is told nothing, and handlers see no header."""
        async with asked_from(address, **changes) as client:
            answer = await client.get("/v1/x", headers=headers)
            assert der_of(answer) is None
            assert answer.json() == {**answer.json(), "verified": False, "headers": []}

    @pytest.mark.parametrize("connection", [(None,), (shown(SELF_SIGNED),)])
    async def test_never_counts_where_the_connection_itself_was_asked(self, asked_from: Asked, connection: Any):
        """On the port that asks for certificates, a header counts from nobody, not even from a trusted proxy."""
        async with asked_from(PROXY, connection=connection) as client:
            answer = await client.get("/v1/x", headers={"Client-Cert": field(GOOD.der)})
            assert der_of(answer) == (connection[0].certificate if connection[0] else None)
            assert answer.json() == {**answer.json(), "verified": False, "headers": []}

    @pytest.mark.parametrize(
        "headers",
        [
            [("Client-Cert", "")],
            [("Client-Cert", "::")],
            [("Client-Cert", base64.b64encode(GOOD.der).decode())],
            [("Client-Cert", field(GOOD.der)[:-1])],
            [("Client-Cert", f"{field(GOOD.der)};a=1")],
            [("Client-Cert", f'"{GOOD.pem().decode().strip()}"'.replace("\n", " "))],
            [("Client-Cert", field(GOOD.der)), ("Client-Cert", field(GOOD.der))],
            [("Client-Cert", f"{field(GOOD.der)}, {field(SELF_SIGNED.der)}")],
            [("Client-Cert", field(GOOD.der[:-1]))],
            [("Client-Cert", field(GOOD.der + SELF_SIGNED.der))],
            [("Client-Cert", field(bytes(9000)))],
            [("Client-Cert", field(issue("weak", key=rsa.generate_private_key(65537, 1024)).der))],  # noqa: S505
            [("Client-Cert", field(b"\x30\x03\x02\x01\x01"))],
            [("Client-Cert", f":{'A' * 5}=A:")],
            [("Client-Cert-Chain", field(ROOT.der))],
            [("Client-Cert", field(GOOD.der)), ("Client-Cert-Chain", "x")],
            [("Client-Cert", field(GOOD.der)), ("Client-Cert-Chain", ", ".join([field(ROOT.der)] * 6))],
            [("Client-Cert", field(GOOD.der)), ("Client-Cert-Chain", f"{field(ROOT.der)},")],
        ],
    )
    async def test_is_refused_where_it_cannot_be_read(self, asked_from: Asked, headers: list[tuple[str, str]]):
        """What a proxy should never send is no request without a certificate: it is refused, and says which header."""
        async with asked_from(PROXY) as client:
            answer = await client.get("/v1/x", headers=headers)
            assert answer.status_code == 400
            assert answer.json()["param"] in {"Client-Cert", "Client-Cert-Chain"}

    @pytest.mark.parametrize(
        "text",
        [
            "-",
            field(GOOD.der),
            escaped(GOOD)[:-30],
            escaped(GOOD) + escaped(SELF_SIGNED),
            f"{escaped(GOOD)}, {escaped(GOOD)}",
            quote("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
        ],
        ids=["nothing", "a field", "too short", "two", "a list", "no certificate"],
    )
    async def test_of_nginx_is_refused_where_it_cannot_be_read(self, asked_from: Asked, text: str):
        """One certificate, escaped, and nothing else is taken."""
        async with asked_from(PROXY, client_certificate_header="x-ssl-client-cert") as client:
            answer = await client.get("/v1/x", headers={"X-SSL-Client-Cert": text})
            assert (answer.status_code, answer.json()["param"]) == (400, "X-SSL-Client-Cert")


class TestAConnection:
    async def test_brings_its_certificate(self, asked_from: Asked):
        """What TLS has proven is the client's, verified or not, whatever its address."""
        for pair, verified in ((GOOD, True), (SELF_SIGNED, False)):
            async with asked_from(STRANGER, connection=(shown(pair),)) as client:
                answer = await client.get("/v1/x")
                assert der_of(answer) == pair.der
                assert answer.json()["verified"] is verified

    async def test_is_refused_where_nobody_can_read_its_certificate(self, asked_from: Asked):
        """A certificate that can't be read isn't taken for none."""
        async with asked_from(STRANGER, connection=(UNREADABLE,)) as client:
            assert (await client.get("/v1/x")).status_code == 400

    async def test_verifies_nobody_without_an_authority(self, asked_from: Asked):
        """Where the settings name no authority, certificates come through and none is verified."""
        async with asked_from(STRANGER, connection=(shown(GOOD),), client_ca_file=None) as client:
            answer = await client.get("/v1/x")
            assert (der_of(answer), answer.json()["verified"]) == (GOOD.der, False)


class TestTheFileOfAuthorities:
    @pytest.mark.parametrize(
        ("name", "text"),
        [
            ("client_ca_file", b""),
            ("client_ca_file", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
            ("client_ca_file", ROOT.pem() + GOOD.pem()),
            ("client_crl_file", b"-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n"),
            ("client_crl_file", ROOT.pem()),
        ],
        ids=["empty", "no certificate", "no authority", "no list", "another kind"],
    )
    def test_is_refused_where_it_is_none(self, live: LiveServer, tmp_path: Path, name: str, text: bytes):
        """A server doesn't start with a file that holds none, or a client's certificate among them."""
        files = {"client_ca_file": ROOT.pem(), name: text}
        for each, content in files.items():
            (tmp_path / each).write_bytes(content)
        paths = {each: str(tmp_path / each) for each in files}
        with pytest.raises(SettingsInvalid) as caught:
            build_app(msgspec.structs.replace(live.settings, **paths))
        assert [mistake.key for mistake in caught.value.mistakes] == [name]
