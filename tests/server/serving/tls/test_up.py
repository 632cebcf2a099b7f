"""``billfold up --tls``, with real processes: both ports, and what it tells developers to paste."""

import json
import ssl
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from billfold_server.serving.tls.authority import Authority
from tests.postgres import binaries
from tests.server.certificates import SERVER, Pair, client_side, issue
from tests.server.upping import Up, billfold, data_dirs, environment, refusal, until


class TlsUp(Up):
    """A ``billfold up --tls --json`` that runs."""

    def trusting(self, shown: tuple[str, str] | None = None) -> ssl.SSLContext:
        """Return a client's side of TLS, which trusts the server's authority."""
        return client_side(self.welcome["ca_file"], shown)

    def client(self, shown: tuple[str, str] | None = None) -> httpx.Client:
        """Return an HTTP client at the port that asks for certificates."""
        return httpx.Client(base_url=self.welcome["mtls_url"], verify=self.trusting(shown), timeout=20)


@pytest.fixture(scope="module")
def up() -> Iterator[TlsUp]:
    """A server with two workers, on free ports."""
    binaries(18)
    with data_dirs() as give:
        server = TlsUp(give(), "--tls", "--port=0", "--workers=2")
        server.ready()
        yield server
        assert server.end() == 0, server.log()


def pasted(lines: str) -> "subprocess.CompletedProcess[str]":
    """Run lines as somebody does who pastes them into a shell."""
    shell = ["bash", "--noprofile", "--norc"]
    return subprocess.run(
        shell, input=lines + "\n", env=environment(), capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.xdist_group("up")
class TestAServerWithTls:
    def test_moves_money_by_the_snippet_that_it_shows(self, up: TlsUp):
        """The Python that is shown trusts the development authority, and runs as pasted."""
        done = pasted(up.welcome["python"])
        assert done.stderr == ""
        assert done.stdout.split() == ["Everyday", "37.50", "EUR", "Savings", "12.50", "EUR"]

    def test_is_reached_by_the_curl_that_it_shows(self, up: TlsUp):
        """Both curls run as pasted: one lists wallets, one shows a client's certificate."""
        for lines, member in ((up.welcome["curl"], "data"), (up.welcome["mtls_curl"], "status")):
            done = pasted(lines)
            assert done.stderr == ""
            assert member in json.loads(done.stdout)

    def test_names_both_ports_in_its_documents(self, up: TlsUp):
        """The issuer is the plain port's address, whichever port is asked, and both are HTTPS."""
        address = "/t/sandbox/.well-known/oauth-authorization-server"
        told = [
            httpx.get(f"{up.welcome[url]}{address}", verify=up.trusting()).raise_for_status().json()
            for url in ("url", "mtls_url")
        ]
        assert told[0] == told[1]
        assert told[0]["issuer"] == up.welcome["base_url"]
        assert up.welcome["url"].startswith("https://")
        assert up.welcome["mtls_url"].startswith("https://")
        assert up.welcome["mtls_url"] != up.welcome["url"]

    def test_serves_with_any_certificate_or_none_on_every_worker(self, up: TlsUp, tmp_path: Path):
        """CA-issued, self-signed and no certificate reach the application, on one connection and on many."""
        issued = Authority(up.data_dir).ensure_client("tester")
        pairs: list[tuple[str, str] | None] = [(issued.certificate, issued.key), issue().write(tmp_path), None]
        for pair in pairs:
            for _ in range(4):
                with up.client(pair) as client:
                    assert [client.get("/health/live").status_code for _ in range(3)] == [200] * 3

    def test_lets_nobody_in_who_does_not_trust_it(self, up: TlsUp):
        """A client that doesn't trust the development authority doesn't speak to it."""
        with pytest.raises(httpx.ConnectError):
            httpx.get(up.welcome["url"] + "/health/live")

    def test_shows_a_renewed_certificate_on_every_worker(self, up: TlsUp):
        """New connections get what lies in the files now, of each worker and on both ports; open ones go on."""
        before = up.client()
        assert before.get("/health/live").status_code == 200
        issued = Authority(up.data_dir).ensure_server(["localhost", "renewed.test"])
        assert issued.renewed
        wanted = Path(issued.certificate).read_text()

        def shown(url: str) -> str:
            host, _, port = up.welcome[url].removeprefix("https://").rpartition(":")
            return ssl.get_server_certificate((host, int(port)), ca_certs=up.welcome["ca_file"])

        until(lambda: all(shown(url) == wanted for url in ("url", "mtls_url") for _ in range(20)))
        assert before.get("/health/live").status_code == 200
        before.close()

    def test_tells_of_a_file_that_cannot_be_used_and_keeps_the_old_one(self, up: TlsUp):
        """A broken key changes nothing but log, readiness and metrics, until it is mended."""
        key = up.data_dir / "certs" / "server.key"
        good = key.read_bytes()

        def told(url: str = "/health/ready") -> httpx.Response:
            return httpx.get(up.welcome["url"] + url, verify=up.trusting())

        def metric() -> str:
            lines = told("/metrics").text.splitlines()
            name = 'billfold_tls_changed_file_unusable{file="tls_certificate"}'
            return next(line.rpartition(" ")[2] for line in lines if line.startswith(name))

        key.write_bytes(issue().key_pem())
        try:
            until(lambda: told().json().get("warnings") == ["tls_certificate_unusable"])
            assert told().status_code == 200
            until(lambda: float(metric()) == 1)
            assert "doesn't belong" in up.log()
        finally:
            key.write_bytes(good)
        until(lambda: not any(told().json().get("warnings") for _ in range(8)))
        until(lambda: float(metric()) == 0)
        days = next(line for line in told("/metrics").text.splitlines() if 'days_left{file="tls_cert' in line)
        assert 0 < float(days.rpartition(" ")[2]) <= 91


class TestTheStart:
    @pytest.mark.parametrize(
        ("change", "key"),
        [
            ("other key", "tls_key"),
            ("ended", "tls_certificate"),
            ("for clients", "tls_certificate"),
            ("no authority", "client_ca_file"),
        ],
    )
    def test_is_refused_with_what_cannot_be_used(self, tmp_path: Path, change: str, key: str):
        """A server doesn't start with a certificate that no client would take, and says which setting is wrong."""
        pair, variables = _unusable(change)
        certificate, key_file = pair.write(tmp_path)
        files = {name: str(tmp_path / "client.pem") for name in variables}
        with data_dirs() as give:
            done = billfold(
                *(f"--data-dir={give()}", "up", "--json", "--port=0"),
                BILLFOLD_TLS_CERTIFICATE=certificate,
                BILLFOLD_TLS_KEY=key_file,
                **files,
            )
        error = refusal(done)
        assert (error["code"], error["facts"]["keys"]) == ("settings_invalid", key)


def _unusable(change: str) -> tuple[Pair, list[str]]:
    """Return a certificate that can't be used, and which further settings shall name its file."""
    good: dict[str, Any] = {"purposes": [SERVER]}
    match change:
        case "other key":
            return Pair(issue(**good).certificate, issue().key), []
        case "ended":
            return issue(**good, ends=datetime.now(UTC) - timedelta(hours=1)), []
        case "for clients":
            return issue(), []
        case _:
            return issue(**good), ["BILLFOLD_CLIENT_CA_FILE"]
