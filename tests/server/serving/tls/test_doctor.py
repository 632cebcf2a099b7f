"""``billfold doctor`` on TLS: what it says of certificates, keys and authorities."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.server.certificates import DAY, SERVER, authority, issue
from tests.server.upping import billfold, data_dirs


@pytest.fixture
def folder() -> Iterator[Path]:
    """A data folder that the database's user may enter."""
    with data_dirs() as give:
        yield give()


def verdicts(folder: Path, **variables: str) -> dict[str, str]:
    """Return what doctor thinks, by check."""
    done = billfold(f"--data-dir={folder}", "doctor", "--json", "--port=0", **variables)
    return {check["name"]: check["verdict"] for check in json.loads(done.stdout)["checks"]}


class TestDoctor:
    def test_looks_at_all_files_of_tls(self, folder: Path, tmp_path: Path):
        """A certificate that ends soon, a key that everybody may read and another host are warnings, each by name."""
        certificate, key = issue(purposes=[SERVER], ends=datetime.now(UTC) + 5 * DAY).write(tmp_path)
        Path(key).chmod(0o644)
        root = authority()
        root.write(tmp_path, "ca")
        found = verdicts(
            folder,
            BILLFOLD_TLS_CERTIFICATE=certificate,
            BILLFOLD_TLS_KEY=key,
            BILLFOLD_CLIENT_CA_FILE=str(tmp_path / "ca.pem"),
            BILLFOLD_MTLS_PORT="0",
        )
        wanted = {"tls": "warn", "tls_key": "warn", "tls_host": "warn", "client_ca": "ok", "port": "ok"}
        assert wanted.items() <= found.items()

    def test_says_what_a_start_would_refuse(self, folder: Path, tmp_path: Path):
        """What can't be used is a failure of the check, and the other checks are made all the same."""
        certificate, key = issue("for clients").write(tmp_path)
        files = {"BILLFOLD_TLS_CERTIFICATE": certificate, "BILLFOLD_TLS_KEY": key}
        found = verdicts(folder, **files, BILLFOLD_CLIENT_CA_FILE=certificate)
        assert {"tls": "fail", "client_ca": "fail", "keyring": "ok"}.items() <= found.items()
