"""``billfold directory``, as people and scripts call it."""

import json
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from billfold_server.identity import jose
from tests.server.upping import billfold, data_dirs, refusal


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A data folder that the database's user may enter."""
    with data_dirs() as give:
        yield give()


def directory(folder: Path, *args: str) -> Any:
    """Return what a command answered."""
    done = billfold(f"--data-dir={folder}", "directory", *args, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


class TestDirectory:
    def test_lists_and_shows_software(self, folder: Path):
        """What is listed can be shown by its name."""
        listed = directory(folder, "list")
        assert directory(folder, "show", listed[0]["name"]) == listed[0]

    def test_prints_statements_for_whoever_believes_it(self, folder: Path):
        """A statement is signed by the key in the lines that it prints for a manifest."""
        done = billfold(f"--data-dir={folder}", "directory", "publisher")
        (publisher,) = tomllib.loads(done.stdout)["registration"]["publishers"]
        said = directory(folder, "statement", "all", "--role=AISP", "--redirect-uri=https://a.test/b")
        token = jose.read(said["software_statement"])
        found = jose.verify(token, jose.import_key(publisher["jwks"]["keys"][0]), alg="ES256", types={"jwt"})
        assert (found["iss"], found["software_roles"]) == (publisher["issuer"], ["AISP"])
        assert "https://a.test/b" in found["software_redirect_uris"]

    def test_names_what_it_doesnt_know(self, folder: Path):
        """Software that there is not is refused in a sentence."""
        done = billfold(f"--data-dir={folder}", "directory", "show", "nobody", "--json")
        assert refusal(done)["code"] == "software_unknown"
