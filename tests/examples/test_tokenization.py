"""The example of tokenization runs as it stands at the tenant that `billfold up` makes, and prints what is promised."""

from pathlib import Path

import msgspec

from billfold_server.tenancy.manifest import load_manifest
from tests.examples.conftest import Run
from tests.live import LiveServer
from tests.sandbox import options
from tests.tenants import manifest

ROOT = Path(__file__).parents[2]
EXPECTED = (Path(__file__).parent / "tokenization.txt").read_text(encoding="utf-8")


class TestTheTokenization:
    def test_prints_what_it_promises(self, live: LiveServer, run: Run):
        """Cards and accounts are kept, told for purposes of the sandbox's manifest, and nothing else."""
        shipped = load_manifest(ROOT / "tenants" / "sandbox").tokenization
        live.add_tenant(manifest("vault", tokenization=msgspec.to_builtins(shipped)))
        variables = {f"BILLFOLD_{name.upper()}": value for name, value in options(live, "vault").items()}
        assert run("tokenization/tokenization.py", variables) == EXPECTED
