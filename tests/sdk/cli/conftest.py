"""The fixtures of the command line's tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sdk.cli.answering import Answering, answering


@pytest.fixture(scope="module")
def answering_server() -> Iterator[Answering]:
    """A server for a module's tests."""
    with answering() as server:
        yield server


@pytest.fixture
def server(answering_server: Answering) -> Answering:
    """A server that refuses everything until it is told what to say."""
    answering_server.say({}, status=404)
    return answering_server


@pytest.fixture(autouse=True)
def profiles_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of profiles of the test's own, and none of what the environment says."""
    for name in ("BILLFOLD_BASE_URL", "BILLFOLD_CLIENT_ID", "BILLFOLD_CLIENT_SECRET", "BILLFOLD_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    file = tmp_path / "settings" / "profiles.json"
    monkeypatch.setenv("BILLFOLD_PROFILES_FILE", str(file))
    return file
