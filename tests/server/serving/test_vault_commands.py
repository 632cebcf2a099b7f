"""``billfold vault``: what operators set up (serving/vault/commands.py)."""

import json

from billfold_server.keys.backends.vault.policies import policies
from tests.server.upping import billfold


class TestPolicies:
    def test_are_printed_for_the_mount_and_deployment_of_the_settings(self) -> None:
        """As text and as JSON, one for each kind of process; the tests of the backend log in by these very ones."""
        variables = {
            "BILLFOLD_VAULT_ADDRESS": "https://vault.internal",
            "BILLFOLD_VAULT_LOGIN": "kubernetes",
            "BILLFOLD_VAULT_ROLE": "billfold",
            "BILLFOLD_VAULT_MOUNT": "keys/bank",
            "BILLFOLD_VAULT_DEPLOYMENT": "live",
        }
        done = billfold("vault", "policies", "--json", **variables)
        found = json.loads(done.stdout)
        assert found == policies("keys/bank", "live")
        assert list(found) == ["live-worker", "live-decryptor", "live-operator"]
        text = billfold("vault", "policies", **variables).stdout
        assert all(policy in text for policy in found.values())
        assert "live-cards" not in found["live-worker"]
        assert "live-data" not in found["live-decryptor"]
