"""openid-client, a certified client that nobody here wrote, at the product's own authorization servers.

Each flow is discovery, a pushed request, sign-in and consent at the hosted pages, code, tokens, the API, userinfo,
refresh and revocation, over TLS with both ports. What the client checks by itself (issuer, state, nonce, PKCE, the
signatures of ID tokens and of JARM, DPoP nonces) it checks here, too.
"""

import asyncio
import json
import secrets
import shutil
import ssl
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import NameOID

from billfold_server.identity.profiles import SigningAlgorithm
from billfold_server.serving.tls.authority import Authority
from tests.live import LiveServer, serve_tls, settings_for
from tests.postgres import execute
from tests.server.identity.authorization.consents_of import Tpp, claims_of, open_wallet, party_of, read_accounts
from tests.server.identity.clients_of import certificate_for
from tests.server.identity.flows import App, add_app, decide, follow, stranger
from tests.server.people import persons
from tests.server.people.persons import Browser
from tests.tenants import in_database, manifest

HERE = Path(__file__).parent
CALLBACK = "https://app.example/cb"
PROFILES = {"one": "fapi2", "two": "fapi2-message-signing", "three": "fapi1-advanced"}
SCOPE = "openid offline_access wallets:read"


class Flow(NamedTuple):
    """How one flow goes.

    Attributes:
        tenant: At which tenant.
        method: How the client proves who it is.
        binding: To what its tokens are bound.
        jar: Whether its request is signed.
        jarm: Whether the answer is.
        alg: By what the client and, for it, the server sign.
    """

    tenant: str
    method: str
    binding: str
    jar: bool
    jarm: bool
    alg: SigningAlgorithm = "ES256"


FLOWS = [
    *(
        Flow("one", method, binding, jar, jarm)
        for method in ("private_key_jwt", "tls_client_auth")
        for binding in ("dpop", "mtls")
        for jar, jarm in ((False, False), (True, False), (False, True))
    ),
    Flow("two", "private_key_jwt", "dpop", jar=True, jarm=True, alg="PS256"),
    Flow("two", "private_key_jwt", "mtls", jar=True, jarm=True, alg="EdDSA"),
    Flow("two", "tls_client_auth", "dpop", jar=True, jarm=True, alg="ES256"),
    Flow("two", "tls_client_auth", "mtls", jar=True, jarm=True, alg="PS256"),
    Flow("three", "private_key_jwt", "mtls", jar=True, jarm=True, alg="PS256"),
    Flow("three", "self_signed_tls_client_auth", "mtls", jar=True, jarm=True),
]


def _name(flow: Flow) -> str:
    said = [flow.tenant, flow.method, flow.binding, flow.alg]
    return "-".join([*said, *(name for name in ("jar", "jarm") if getattr(flow, name))])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install what is locked beside this file, and return where."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("needs node and npm")
    folder = tmp_path_factory.mktemp("openid_client")
    for name in ("package.json", "package-lock.json", ".npmrc", "driver.mjs"):
        shutil.copy(HERE / name, folder)
    subprocess.run(["npm", "ci", "--silent"], cwd=folder, check=True, timeout=100)
    return folder


@pytest.fixture(scope="module")
def tls(postgres_dsn: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """Serve three tenants by HTTPS, of one security profile each."""
    name = f"openid_{secrets.token_hex(4)}"
    asyncio.run(execute(postgres_dsn, f"CREATE DATABASE {name}"))
    settings = settings_for(tmp_path_factory.mktemp("tls"), in_database(postgres_dsn, name))
    with serve_tls(settings) as server:
        for slug, profile in PROFILES.items():
            unlimited = {"rate_limit_per_s": 100_000, "rate_limit_burst": 1_000_000}
            server.add_tenant(manifest(slug, security_profile=profile, **unlimited))
        yield server
    asyncio.run(execute(postgres_dsn, f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture(scope="module")
def browsers(tls: LiveServer) -> dict[str, Browser]:
    """A browser for each tenant, in which a customer has signed in with password and app."""
    signed_in = {}
    for slug in PROFILES:
        pages = persons.a_psu(tls, slug).sign_in()
        signed_in[slug] = stranger(tls, slug)
        signed_in[slug].cookies = pages.cookies
    return signed_in


class Driver:
    """The client, in a process of Node's."""

    def __init__(self, folder: Path) -> None:
        self._process = subprocess.Popen(
            ["node", "driver.mjs"],
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(30)
        assert self._process.stdout is not None
        self._process.stdout.close()

    def tell(self, command: str, **given: Any) -> dict[str, Any]:
        """Send a command, and return the whole answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"command": command, **given}) + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer

    def do(self, command: str, **given: Any) -> dict[str, Any]:
        """Send a command that must succeed, and return what comes of it."""
        answer = self.tell(command, **given)
        assert "ok" in answer, answer
        return dict(answer["ok"])


@pytest.fixture
def driver(folder: Path) -> Iterator[Driver]:
    """Start the client."""
    with Driver(folder) as driver:
        yield driver


def register(tls: LiveServer, flow: Flow, scopes: Sequence[str] = tuple(SCOPE.split())) -> App:
    """Register the client of a flow."""
    certificate, name = None, f"client {secrets.token_hex(4)}"
    if flow.binding == "mtls" or flow.method != "private_key_jwt":
        authority = Authority(Path(tls.settings.data_dir))
        made = authority.ensure_client(name.replace(" ", "-"), subject=_subject(name))
        issued = x509.load_pem_x509_certificate(Path(made.certificate).read_bytes())
        certificate = (issued, load_pem_private_key(Path(made.key).read_bytes(), None))
        if flow.method == "self_signed_tls_client_auth":
            certificate = certificate_for(_subject(name))
    return add_app(
        tls,
        flow.tenant,
        flow.method,  # type: ignore[arg-type]
        alg=flow.alg,
        certificate=certificate,
        redirect_uris=[CALLBACK],
        scopes=list(scopes),
        dpop_bound_access_tokens=flow.binding == "dpop",
        tls_client_certificate_bound_access_tokens=flow.binding == "mtls",
        id_token_signed_response_alg=flow.alg,
        authorization_signed_response_alg=flow.alg,
    )


def _subject(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def configured(driver: Driver, tls: LiveServer, app: App, flow: Flow) -> dict[str, Any]:
    """Let the client discover the server, and return what it has found."""
    side: dict[str, str] = {"ca": Authority(Path(tls.settings.data_dir)).file.read_text()}
    if app.made.certificate is not None:
        side |= {"cert": app.made.certificate_pem.decode(), "key": app.made.certificate_pem.decode()}
    found = driver.do(
        "configure",
        issuer=app.base,
        clientId=app.client_id,
        jwk=key_of(app) if flow.method == "private_key_jwt" else None,
        tls=side,
        mtls=flow.method != "private_key_jwt",
        useDpop=flow.binding == "dpop",
        jarm=flow.jarm,
        metadata={
            "id_token_signed_response_alg": flow.alg,
            "authorization_signed_response_alg": flow.alg,
            "tls_client_certificate_bound_access_tokens": flow.binding == "mtls",
        },
    )
    return dict(found["metadata"])


def key_of(app: App) -> dict[str, Any]:
    """Return a client's private key as it is given to the client alone."""
    return {**app.made.key.as_dict(private=True), "kid": app.made.kid, "alg": app.made.alg}


def through_the_pages(browser: Browser, url: str) -> str:
    """Go where the client sends the browser, allow what is asked, and return where the browser is sent back."""
    page = follow(browser, browser.get(url, headers={"Accept": "text/html"}))
    return str(decide(browser, page).headers["location"])


class TestOpenidClient:
    """openid-client."""

    @pytest.mark.parametrize("flow", FLOWS, ids=_name)
    def test_goes_the_whole_way(
        self, tls: LiveServer, browsers: dict[str, Browser], driver: Driver, flow: Flow
    ) -> None:
        """Whatever it combines, it signs people in, uses and refreshes its tokens, and can take them back."""
        app = register(tls, flow)
        metadata = configured(driver, tls, app, flow)
        assert metadata["issuer"] == app.base
        begun = driver.do(
            "begin",
            parameters={"redirect_uri": CALLBACK, "scope": SCOPE},
            jarKey=key_of(app) if flow.jar else None,
        )
        callback = through_the_pages(browsers[flow.tenant], begun["url"])
        assert ("response=" in callback) is flow.jarm
        tokens = driver.do("finish", callback=callback)
        assert tokens["tokenType"] == ("dpop" if flow.binding == "dpop" else "bearer")
        assert tokens["claims"]["aud"] == app.client_id
        api = tls.mtls_url if flow.binding == "mtls" else tls.url
        assert driver.do("resource", url=f"{api}/t/{flow.tenant}/v1/wallets")["status"] == 200
        assert driver.do("userinfo")["userinfo"]["sub"] == tokens["claims"]["sub"]
        assert driver.do("refresh")["changed"]
        assert driver.do("resource", url=f"{api}/t/{flow.tenant}/v1/wallets")["status"] == 200
        driver.do("revoke")
        refused = driver.tell("refresh")["error"]
        assert (refused["oauth"], refused["status"]) == ("invalid_grant", 400)

    def test_gets_consents_authorised_as_third_parties_of_the_uk_do(self, tls: LiveServer, driver: Driver) -> None:
        """FAPI 1.0 Advanced: the request object names the consent, JARM brings the code, certificates bind tokens."""
        flow = Flow("three", "private_key_jwt", "mtls", jar=True, jarm=True, alg="PS256")
        scopes = ["openid", "accounts"]
        app, person = register(tls, flow, scopes=scopes), persons.a_psu(tls, "three")
        wallet = open_wallet(tls, "three", party_of(person))
        configured(driver, tls, app, flow)
        consent = Tpp(app).ask_for(read_accounts())
        asked = {"redirect_uri": CALLBACK, "scope": "openid accounts", "claims": claims_of(consent)}
        begun = driver.do("begin", parameters=asked, jarKey=key_of(app))
        browser = stranger(tls, "three")
        browser.cookies = person.sign_in().cookies
        page = follow(browser, browser.get(begun["url"], headers={"Accept": "text/html"}))
        callback = Tpp(app).answer(browser, page, wallet).headers["location"]
        tokens = driver.do("finish", callback=callback)
        assert tokens["claims"]["openbanking_intent_id"] == consent.wire_id
        assert driver.do("userinfo")["userinfo"]["openbanking_intent_id"] == consent.wire_id
        assert driver.do("refresh")["changed"]
        Tpp(app).revoke(consent)
        assert driver.tell("refresh")["error"]["oauth"] == "invalid_grant"

    def test_is_refused_where_its_code_is_used_again(
        self, tls: LiveServer, browsers: dict[str, Browser], driver: Driver
    ) -> None:
        """A code that comes back a second time ends what the first one brought."""
        flow = Flow("one", "private_key_jwt", "dpop", jar=False, jarm=False)
        app = register(tls, flow)
        configured(driver, tls, app, flow)
        begun = driver.do("begin", parameters={"redirect_uri": CALLBACK, "scope": SCOPE})
        callback = through_the_pages(browsers["one"], begun["url"])
        driver.do("finish", callback=callback)
        assert driver.tell("finish", callback=callback)["error"]["oauth"] == "invalid_grant"
        assert driver.tell("refresh")["error"]["oauth"] == "invalid_grant"

    def test_notices_an_answer_of_another_server(
        self, tls: LiveServer, browsers: dict[str, Browser], driver: Driver
    ) -> None:
        """The issuer in the answer lets the client tell servers apart (RFC 9207): here another tenant's is put in."""
        flow = Flow("one", "private_key_jwt", "dpop", jar=False, jarm=False)
        app = register(tls, flow)
        configured(driver, tls, app, flow)
        begun = driver.do("begin", parameters={"redirect_uri": CALLBACK, "scope": SCOPE})
        callback = httpx.URL(through_the_pages(browsers["one"], begun["url"]))
        mixed = callback.copy_set_param("iss", tls.base("two"))
        assert driver.tell("finish", callback=str(mixed))["error"]["name"] == "ClientError"


def test_only_the_second_port_asks_for_certificates(tls: LiveServer) -> None:
    """A browser's handshake isn't asked for one, and discovery names the other port for those who have one."""
    context = ssl.create_default_context(cafile=str(Authority(Path(tls.settings.data_dir)).file))
    with httpx.Client(verify=context) as client:
        metadata = client.get(f"{tls.base('one')}/.well-known/openid-configuration").json()
    aliases = metadata["mtls_endpoint_aliases"]
    assert all(alias.startswith(f"{tls.mtls_url}/t/one/") for alias in aliases.values())
    assert {"token_endpoint", "pushed_authorization_request_endpoint", "userinfo_endpoint"} <= set(aliases)
