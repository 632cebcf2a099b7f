"""``billfold up --tls``, with real processes: both ports, and what it tells developers to paste."""

import json
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from billfold_server.serving.tls.authority import Authority
from tests.pace import until
from tests.server.certificates import SERVER, Pair, issue
from tests.server.tls_up import TlsUp
from tests.server.upping import billfold, data_dirs, pasted, refusal


@pytest.mark.xdist_group("up")
class TestAServerWithTls:
    def test_moves_money_by_the_snippet_that_it_shows(self, tls_up: TlsUp):
        """The Python that is shown trusts the development authority, and runs as pasted."""
        done = pasted(tls_up.welcome["python"])
        assert done.stderr == ""
        assert done.stdout.split() == ["Everyday", "37.50", "EUR", "Savings", "12.50", "EUR"]

    def test_is_reached_by_the_curl_that_it_shows(self, tls_up: TlsUp):
        """Both curls run as pasted: one lists wallets, one shows a client's certificate."""
        for lines, member in ((tls_up.welcome["curl"], "data"), (tls_up.welcome["mtls_curl"], "status")):
            done = pasted(lines)
            assert done.stderr == ""
            assert member in json.loads(done.stdout)

    def test_is_reached_by_the_commands_that_it_shows(self, tls_up: TlsUp, tmp_path: Path):
        """They trust the development authority, too."""
        done = pasted(tls_up.welcome["commands"], XDG_CONFIG_HOME=str(tmp_path))
        assert done.stderr == ""
        assert "wal_" in done.stdout

    def test_keeps_beside_the_credentials_whom_to_trust(self, tls_up: TlsUp):
        """The file of the credentials names the authority, in comments, and reads as before."""
        file = Path(tls_up.welcome["credentials_file"])
        comments = [line for line in file.read_text().splitlines() if line.startswith("#")]
        assert any(f"export SSL_CERT_FILE={tls_up.welcome['ca_file']}" in line for line in comments)
        assert any(f"--ca {tls_up.welcome['ca_file']}" in line for line in comments)
        read = pasted(f". {file}; echo $BILLFOLD_BASE_URL")
        assert read.stdout.split() == [tls_up.welcome["base_url"]]

    def test_names_both_ports_in_its_documents(self, tls_up: TlsUp):
        """The issuer is the plain port's address, whichever port is asked, and both are HTTPS."""
        address = "/t/sandbox/.well-known/oauth-authorization-server"
        told = [
            httpx.get(f"{tls_up.welcome[url]}{address}", verify=tls_up.trusting()).raise_for_status().json()
            for url in ("url", "mtls_url")
        ]
        assert told[0] == told[1]
        assert told[0]["issuer"] == tls_up.welcome["base_url"]
        assert tls_up.welcome["url"].startswith("https://")
        assert tls_up.welcome["mtls_url"].startswith("https://")
        assert tls_up.welcome["mtls_url"] != tls_up.welcome["url"]

    def test_serves_with_any_certificate_or_none_on_every_worker(self, tls_up: TlsUp, tmp_path: Path):
        """CA-issued, self-signed and no certificate reach the application, on one connection and on many."""
        issued = Authority(tls_up.data_dir).ensure_client("tester")
        pairs: list[tuple[str, str] | None] = [(issued.certificate, issued.key), issue().write(tmp_path), None]
        for pair in pairs:
            for _ in range(4):
                with tls_up.client(pair) as client:
                    assert [client.get("/health/live").status_code for _ in range(3)] == [200] * 3

    def test_lets_nobody_in_who_does_not_trust_it(self, tls_up: TlsUp):
        """A client that doesn't trust the development authority doesn't speak to it."""
        with pytest.raises(httpx.ConnectError):
            httpx.get(tls_up.welcome["url"] + "/health/live")

    def test_shows_a_renewed_certificate_on_every_worker(self, tls_up: TlsUp):
        """New connections get what lies in the files now, of each worker and on both ports; open ones go on."""
        before = tls_up.client()
        assert before.get("/health/live").status_code == 200
        issued = Authority(tls_up.data_dir).ensure_server(["localhost", "renewed.test"])
        assert issued.renewed
        wanted = Path(issued.certificate).read_text()

        def shown(url: str) -> str:
            host, _, port = tls_up.welcome[url].removeprefix("https://").rpartition(":")
            return ssl.get_server_certificate((host, int(port)), ca_certs=tls_up.welcome["ca_file"])

        until(lambda: all(shown(url) == wanted for url in ("url", "mtls_url") for _ in range(20)))
        assert before.get("/health/live").status_code == 200
        before.close()

    def test_tells_of_a_file_that_cannot_be_used_and_keeps_the_old_one(self, tls_up: TlsUp):
        """A broken key changes nothing but log, readiness and metrics, until it is mended."""
        key = tls_up.data_dir / "certs" / "server.key"
        good = key.read_bytes()

        def told(url: str = "/health/ready") -> httpx.Response:
            return httpx.get(tls_up.welcome["url"] + url, verify=tls_up.trusting())

        def metric() -> str:
            lines = told("/metrics").text.splitlines()
            name = 'billfold_tls_changed_file_unusable{file="tls_certificate"}'
            return next(line.rpartition(" ")[2] for line in lines if line.startswith(name))

        key.write_bytes(issue().key_pem())
        try:
            until(lambda: told().json().get("warnings") == ["tls_certificate_unusable"])
            assert told().status_code == 200
            until(lambda: float(metric()) == 1)
            assert "doesn't belong" in tls_up.log()
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
