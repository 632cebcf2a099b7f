"""Folders and servers for the tests of the embedded PostgreSQL."""

import shutil
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from billfold_server.db.embedded import DEFAULT_MAJOR, EmbeddedPostgres, scratch_data_dir
from tests.postgres import binaries, own_data_dir, remove


@pytest.fixture
def data_dir() -> Iterator[Path]:
    """A data folder of the test's own, in a place that PostgreSQL's user reaches; nothing of it stays."""
    folder = own_data_dir()
    yield folder
    remove(folder)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def programs_dir() -> Iterator[Path]:
    """A folder for programs: a data folder may lie where none can be run."""
    folder = scratch_data_dir(f"programs-{uuid.uuid4().hex}")
    folder.mkdir()
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def stopped() -> Iterator[Path]:
    """A data folder that was started and stopped once, to be copied."""
    binaries(DEFAULT_MAJOR)
    folder = own_data_dir()
    with EmbeddedPostgres(folder):
        pass
    yield folder
    remove(folder)


@pytest.fixture
def made(stopped: Path, data_dir: Path) -> Path:
    """A data folder of the test's own that was used before; a copy takes a fraction of initdb's time."""
    subprocess.run(["cp", "-a", str(stopped), str(data_dir)], check=True)
    return data_dir


@pytest.fixture
def server(made: Path) -> Iterator[EmbeddedPostgres]:
    """A started server, durable as in real use."""
    with EmbeddedPostgres(made) as started:
        yield started
