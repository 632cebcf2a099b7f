"""The edge: addresses, tenants, request ids, methods and headers, over real sockets."""

import http.client
import json
import re
import socket
from urllib.parse import urlsplit

import httpx
import msgspec
import pytest

from billfold.ids import Prefix, pattern
from billfold_server.settings import Secret
from tests.live import LiveServer, serve
from tests.server.tenancy.line import Line


@pytest.fixture(scope="module")
def alpha(live: LiveServer):
    """An authenticated client of the tenant alpha."""
    with live.client("alpha") as client:
        yield client


def code(answer: httpx.Response) -> str:
    """Return a problem's code, and hold the problem to its form."""
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == answer.status_code
    assert problem["request_id"] == answer.headers["x-request-id"]
    return str(problem["code"])


class TestAnAddress:
    def test_below_a_tenants_slug_is_the_tenants(self, alpha: httpx.Client) -> None:
        """The path below /t/{slug} reaches that tenant."""
        assert alpha.get("/v1/tenant").json()["slug"] == "alpha"

    def test_at_a_tenants_own_host_is_the_tenants(self, live: LiveServer) -> None:
        """The tenant's host name stands for its base, in any case and with a port; the token is the same."""
        with live.client("beta") as client:
            headers = {"Authorization": client.headers["Authorization"]}
        for host in ("wallet.beta.example", "Wallet.Beta.Example:8443"):
            answer = httpx.get(f"{live.url}/v1/tenant", headers=headers | {"Host": host})
            assert answer.json()["slug"] == "beta"
        assert httpx.get(f"{live.url}/health/live", headers={"Host": "wallet.beta.example"}).status_code == 200
        assert (
            code(httpx.get(f"{live.url}/platform/oauth/token", headers={"Host": "wallet.beta.example"})) == "not_found"
        )

    @pytest.mark.parametrize(
        ("path", "expected"),
        [
            ("/t/nobody/v1/tenant", "unknown_tenant"),
            ("/t/Alpha/v1/tenant", "unknown_tenant"),
            ("/t/", "unknown_tenant"),
            ("/t/alpha%00/v1/tenant", "unknown_tenant"),
            ("/t/alpha/nothing", "not_found"),
            ("/t/alpha", "not_found"),
            ("/t/alpha/health/live", "not_found"),
            ("/t/alpha/platform/oauth/token", "not_found"),
            ("/v1/tenant", "not_found"),
            ("/tenant/v1/tenant", "not_found"),
            ("/", "not_found"),
            ("/%ff%fe", "not_found"),
        ],
    )
    def test_that_leads_nowhere_is_a_problem(self, live: LiveServer, path: str, expected: str) -> None:
        """Whatever the path, what isn't there is 404 with a code."""
        answer = httpx.get(live.url + path)
        assert (answer.status_code, code(answer)) == (404, expected)

    def test_of_a_suspended_tenant_is_refused(self, live: LiveServer) -> None:
        """A suspended tenant is 403 for everybody, and served again once it is resumed."""
        with live.client("beta") as client:
            live.run(live.services.tenants.suspend("beta", reason="test"))
            assert (client.get("/v1/tenant").status_code, code(client.get("/v1/tenant"))) == (403, "tenant_suspended")
            live.run(live.services.tenants.resume("beta", reason="test"))
            assert client.get("/v1/tenant").status_code == 200


BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
JAVA = {"Accept": "text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2"}
"""What programs in Java say that say nothing of it themselves."""


class TestADatabaseThatIsAway:
    def test_is_told_to_people_by_a_page_of_their_bank(self, live: LiveServer) -> None:
        """In the middle of a journey a person reads what to do, under the bank's name; programs get what they know."""
        assert live.settings.database_url is not None
        line = Line(live.settings.database_url.reveal())
        live.run(line.mend())
        settings = msgspec.structs.replace(live.settings, database_url=Secret(line.dsn))
        with serve(settings) as other:
            assert httpx.get(f"{other.base('beta')}/auth/sign-in", headers=BROWSER).status_code == 200
            other.run(_expire(other))
            live.run(line.cut())
            for base, more in ((other.base("beta"), {}), (other.url, {"Host": "wallet.beta.example"})):
                for path in ("/auth/sign-in", "/oauth/authorize/decision", "/oauth/consents", "/portal"):
                    page = httpx.post(base + path, headers={**BROWSER, **more}, data={"decision": "approve"})
                    assert (page.status_code, page.headers["retry-after"]) == (503, "1")
                    assert page.headers["content-type"].startswith("text/html")
                    assert "<span>beta</span>" in page.text
                    assert page.headers["cache-control"] == "no-store"
                    assert "default-src 'none'" in page.headers["content-security-policy"]
                asked = httpx.post(base + "/oauth/token", headers=more, data={"grant_type": "client_credentials"})
                assert (asked.status_code, code(asked)) == (503, "database_unavailable")
                for path in ("/oauth/token", "/oauth/par", "/oauth/revoke", "/oauth/register", "/oauth/register/c"):
                    assert code(httpx.post(base + path, headers={**JAVA, **more})) == "database_unavailable"
                assert code(httpx.get(base + "/v1/tenant", headers={**BROWSER, **more})) == "database_unavailable"
            nobody = httpx.get(f"{other.url}/t/nobody/auth/sign-in", headers=BROWSER)
            assert code(nobody) == "database_unavailable"
            other.run(_claim(other))
            own = httpx.get(f"{other.url}/auth/sign-in", headers=BROWSER)
            assert code(own) == "not_found", "the deployment's own host is no tenant's"
            other.run(_leave(other))
            gone = httpx.get(f"{other.base('beta')}/auth/sign-in", headers=BROWSER)
            assert code(gone) == "database_unavailable", "of a tenant that goes nobody is told that it is there"
            live.run(line.mend())
        live.run(line.cut())


async def _expire(server: LiveServer) -> None:
    server.services.registry.expire()


async def _claim(server: LiveServer) -> None:
    registry = server.services.registry
    registry._by_host.update(dict.fromkeys(server.settings.own_hosts, registry._by_slug["beta"]))


async def _leave(server: LiveServer) -> None:
    known = server.services.registry._by_slug
    known["beta"] = msgspec.structs.replace(known["beta"], state="deleting")


class TestAHost:
    @pytest.mark.parametrize("path", ["/t/alpha/v1/tenant", "/health/live", "/nothing"])
    @pytest.mark.parametrize("hosts", [["a.example", "b.example"], ["a.example", "a.example"]])
    def test_is_named_once(self, live: LiveServer, path: str, hosts: list[str]) -> None:
        """A proxy may have read the one, and we the other; both the same is refused as well (RFC 9112, 3.2)."""
        connection = http.client.HTTPConnection(live.url.removeprefix("http://"))
        connection.putrequest("GET", path, skip_host=True)
        for host in hosts:
            connection.putheader("Host", host)
        connection.endheaders()
        answer = connection.getresponse()
        problem = json.loads(answer.read())
        connection.close()
        assert (answer.status, problem["code"], problem["param"]) == (400, "invalid_request", "Host")

    @pytest.mark.parametrize(
        ("line", "header", "status"),
        [
            (b"GET /health/live HTTP/1.1", b"", 400),
            (b"GET /health/live HTTP/1.1", b"Host:\r\n", 400),
            (b"GET http://a.example/health/live HTTP/1.1", b"Host: \r\n", 400),
            (b"GET http://a.example/health/live HTTP/1.1", b"Host: a.example\r\n", 200),
            (b"GET http://A.Example:8000/health/live HTTP/1.1", b"Host: a.example:8000\r\n", 200),
            # A proxy may go by the one, and we by the other (RFC 9112, section 3.2.2).
            (b"GET http://b.example/health/live HTTP/1.1", b"Host: a.example\r\n", 400),
            (b"GET http://b.example?a HTTP/1.1", b"Host: a.example\r\n", 400),
            (b"GET http://a.example@b.example/health/live HTTP/1.1", b"Host: a.example\r\n", 400),
            (b"GET http://b.example/health/live HTTP/1.0", b"Host: a.example\r\n", 400),
            (b"GET /health/live HTTP/1.0", b"", 200),
        ],
    )
    def test_is_named(self, live: LiveServer, line: bytes, header: bytes, status: int) -> None:
        """Only HTTP/1.0 knew none (RFC 9112, section 3.2)."""
        parts = urlsplit(live.url)
        with socket.create_connection((parts.hostname, parts.port), timeout=15) as connection:
            connection.sendall(line + b"\r\n" + header + b"Connection: close\r\n\r\n")
            answer = http.client.HTTPResponse(connection)
            answer.begin()
            told = json.loads(answer.read())
        assert answer.status == status
        assert status == 200 or (told["code"], told["param"]) == ("invalid_request", "Host")


class TestARequestId:
    def test_is_on_every_answer(self, live: LiveServer) -> None:
        """Successes and refusals, known and unknown addresses: each has an id of its own."""
        seen = [
            httpx.get(live.url + path).headers["x-request-id"]
            for path in ("/health/live", "/nothing", "/t/alpha/v1/tenant")
        ]
        assert len(set(seen)) == 3
        assert all(re.fullmatch(pattern(Prefix.REQUEST), each) for each in seen)

    def test_is_not_chosen_by_strangers(self, live: LiveServer) -> None:
        """Only a trusted proxy may say under which id logs and audit know a request."""
        answer = httpx.get(f"{live.url}/health/live", headers={"X-Request-Id": "chosen-by-me-1234"})
        assert answer.headers["x-request-id"] != "chosen-by-me-1234"


class TestAMethod:
    def test_options_tells_every_method_without_a_token(self, live: LiveServer) -> None:
        """OPTIONS names all methods of the resource, with HEAD where there is GET."""
        answer = httpx.options(f"{live.url}/t/alpha/v1/tenant")
        assert (answer.status_code, answer.headers["allow"]) == (204, "GET, HEAD, OPTIONS")
        answer = httpx.options(f"{live.url}/t/alpha/oauth/token")
        assert answer.headers["allow"] == "OPTIONS, POST"

    def test_head_is_get_without_the_body(self, live: LiveServer, alpha: httpx.Client) -> None:
        """HEAD has GET's status and headers."""
        get, head = alpha.get("/v1/tenant"), alpha.head("/v1/tenant")
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["content-length"] == get.headers["content-length"]
        assert httpx.head(f"{live.url}/t/alpha/v1/tenant").status_code == 401

    @pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "TRACE", "PROPFIND"])
    def test_that_the_resource_lacks_is_refused_with_the_ones_it_has(self, live: LiveServer, method: str) -> None:
        """405 says what is allowed (RFC 9110, section 15.5.6)."""
        answer = httpx.request(method, f"{live.url}/t/alpha/v1/tenant")
        assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD, OPTIONS")
        assert code(answer) == "method_not_allowed"


class TestAQuery:
    @pytest.mark.parametrize(
        "query", ["x=1", "x", "=1", "x=%", "x=%zz", "x=%ff", "x=%00", "limit=1&limit=2", "%FF=1", "a=1&a=1"]
    )
    def test_with_what_the_operation_does_not_know_is_refused(
        self, live: LiveServer, alpha: httpx.Client, query: str
    ) -> None:
        """Unknown, repeated and malformed parameters are 400, without being repeated in the answer."""
        connection = http.client.HTTPConnection(live.url.removeprefix("http://"))
        headers = {"Authorization": alpha.headers["Authorization"]}
        connection.request("GET", f"/t/alpha/v1/tenant?{query}", headers=headers)
        answer = connection.getresponse()
        assert (answer.status, b"validation_failed" in answer.read()) == (400, True)
        connection.close()


class TestEveryAnswer:
    def test_has_the_headers_that_keep_browsers_out(self, live: LiveServer) -> None:
        """No sniffing, no frames, no referrer, and no cache for what needs a token."""
        answer = httpx.get(f"{live.url}/t/alpha/v1/tenant")
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["cache-control"] == "no-store"
