"""Files that lie beside the checkout: published test vectors and samples that are too large or not ours to commit."""

import os
from pathlib import Path

import pytest

_BESIDE_THE_CHECKOUT = Path(__file__).resolve().parents[2] / "shared"


def shared_path(*parts: str) -> Path:
    """Return a path below the shared folder, which ``BILLFOLD_SHARED`` may name; skip the test where it isn't there."""
    path = Path(os.environ.get("BILLFOLD_SHARED") or _BESIDE_THE_CHECKOUT).joinpath(*parts)
    if not path.exists():
        pytest.skip(f"needs {Path(*parts)} of the shared folder beside the checkout (BILLFOLD_SHARED names another)")
    return path
