"""An example that is run without what it needs of the environment ends with what is to be set."""

import os
import subprocess
import sys

import pytest

from tests.examples.conftest import ROOT

NEEDY = [
    "bulk_payouts.py",
    "checkout/shop.py",
    "journey.py",
    "journey.py --certificate client.crt --key client.key",
    "keys_instead_of_secrets.py",
    "marketplace_split.py",
    "quickstart_async.py",
    "quickstart_sync.py",
    "statement_import/statement_import.py",
    "tokenization/tokenization.py",
    "webhook_receiver/receiver.py",
    "white_label_bank/white_label_bank.py",
]


class TestAnExample:
    @pytest.mark.parametrize("line", NEEDY)
    def test_ends_with_what_is_to_be_set(self, line: str):
        """The last line names the variable in a sentence, and isn't its bare name in a KeyError."""
        script, *arguments = line.split()
        named = {name: value for name, value in os.environ.items() if not name.startswith("BILLFOLD_")}
        done = subprocess.run(
            [sys.executable, str(ROOT / "examples" / script), *arguments],
            env={**named, "PYTHONPATH": str(ROOT / "sdk")},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        last = done.stderr.splitlines()[-1]
        assert done.returncode == 1
        assert "set BILLFOLD_" in last
        assert "KeyError" not in last
