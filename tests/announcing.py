"""Announces this checkout as an installed distribution does: the server to the SDK, the plugin to pytest."""

import tomllib
from pathlib import Path

__all__ = ["announce"]

ROOT = Path(__file__).parents[1]


def announce(folder: Path) -> Path:
    """Fill a folder that is to be on the path, and return it."""
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["entry-points"]
    info = folder / "announcing-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.4\nName: announcing\nVersion: 1.0\n", encoding="utf-8")
    lines = [line for name, each in groups.items() for line in (f"[{name}]", *(f"{k} = {v}" for k, v in each.items()))]
    (info / "entry_points.txt").write_text("\n".join(lines), encoding="utf-8")
    return folder
