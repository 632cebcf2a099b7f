"""``billfold certs``, as people and scripts call it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.server.upping import billfold, data_dirs, refusal


@pytest.fixture
def folder() -> Iterator[Path]:
    """A data folder that the database's user may enter."""
    with data_dirs() as give:
        yield give()


def certs(folder: Path, *args: str) -> Any:
    """Return what a command answered."""
    done = billfold(f"--data-dir={folder}", "certs", *args, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


class TestCerts:
    def test_make_clients_and_list_them(self, folder: Path):
        """A client's certificate says what was asked for, and is listed after the authority's."""
        made = certs(folder, "client", "acme", "--dn=CN=Acme,O=Acme AG", "--san-uri=https://acme.example")
        assert (made["subject"], made["names"]) == ("CN=Acme,O=Acme AG", ["uri:https://acme.example"])
        listed = certs(folder, "list")
        assert [each["kind"] for each in listed] == ["authority", "client"]
        assert listed[1]["thumbprint"] == made["thumbprint"]

    def test_are_refused_in_a_sentence(self, folder: Path):
        """A distinguished name that can't be read is a mistake in usage."""
        done = billfold(f"--data-dir={folder}", "certs", "client", "acme", "--dn=Acme", "--json")
        assert refusal(done)["code"] == "usage"
