"""The example of keys in place of secrets runs as it stands and prints what is promised."""

from pathlib import Path

from billfold.keys import PemKey
from tests.examples.conftest import Run
from tests.live import LiveServer
from tests.server.identity import clients_of
from tests.tenants import manifest

EXPECTED = (Path(__file__).parent / "keys_instead_of_secrets.txt").read_text(encoding="utf-8")


class TestTheKeys:
    def test_print_what_they_promise(self, live: LiveServer, run: Run, tmp_path: Path):
        """At a bank under FAPI 2.0, the script needs nothing but a key file, an address and an id."""
        live.add_tenant(manifest("bank", security_profile="fapi2"))
        scopes = ["tenant:read", "parties:write", "wallets:write", "transfers:write"]
        pem = tmp_path / "client.pem"
        pem.write_bytes(clients_of.key_for("ES256").as_pem(private=True))
        pem.chmod(0o600)
        keys = [PemKey(pem).public_jwk]
        client = clients_of.make(live, "bank", "private_key_jwt", scopes=scopes, further_keys=keys)
        variables = {
            "BILLFOLD_BASE_URL": live.base("bank"),
            "BILLFOLD_CLIENT_ID": client.client_id,
            "BILLFOLD_KEY_FILE": str(pem),
        }
        assert run("keys_instead_of_secrets.py", variables) == EXPECTED
