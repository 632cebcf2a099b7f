"""The fixtures of the examples' tests."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from tests.live import LiveServer
from tests.sandbox import options, sandbox

ROOT = Path(__file__).parents[2]

Run = Callable[..., str]


@pytest.fixture(scope="session")
def live(postgres_dsn: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """Serve one tenant, ``alpha``, for all examples: each makes people and wallets of its own."""
    with sandbox(postgres_dsn, tmp_path_factory.mktemp("live")) as server:
        yield server


@pytest.fixture
def run(live: LiveServer) -> Run:
    """What runs an example as it stands, with nothing but the variables that `billfold up` prints, or with others."""

    def printed_by_up() -> dict[str, str]:
        variables = {f"BILLFOLD_{name.upper()}": value for name, value in options(live).items()}
        variables |= {
            f"BILLFOLD_PLATFORM_{name.upper().replace('BASE_URL', 'URL')}": value
            for name, value in options(live, None).items()
        }
        return variables

    def run(script: str, variables: Mapping[str, str] | None = None) -> str:
        done = subprocess.run(
            [sys.executable, str(ROOT / "examples" / script)],
            env={**os.environ, **(variables or printed_by_up()), "PYTHONPATH": str(ROOT / "sdk")},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    return run
