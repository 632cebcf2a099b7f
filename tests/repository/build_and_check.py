"""Build the sdist and, from it alone, the wheel; check that both hold what they must. Run by ``nox -s sdk_alone``."""

import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
MOVED = {"sdk/": "", "server/billfold_server/": "billfold_server/", "tenants/": "billfold_server/_tenants/"}
"""Where the folders of the checkout go in the wheel."""


def build(source: Path, target: str, suffix: str, out: Path) -> Path:
    """Build one target of a source tree with the locked hatchling and return the file."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(out)]
    subprocess.run(command, cwd=source, check=True, stdout=subprocess.DEVNULL)
    (file,) = out.glob(f"*{suffix}")
    return file


def expected() -> set[str]:
    """Name the files that a wheel must hold, by reading the checkout."""
    return {
        new + path.relative_to(ROOT / old).as_posix()
        for old, new in MOVED.items()
        for path in (ROOT / old).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and not path.name.startswith(".")
    }


def main() -> None:
    """Exit with a sentence when something is missing."""
    out = Path(sys.argv[1]).resolve()
    out.mkdir(parents=True, exist_ok=True)
    for old in out.iterdir():
        old.unlink()
    sdist = build(ROOT, "sdist", ".tar.gz", out)
    with tempfile.TemporaryDirectory() as unpacked:
        shutil.unpack_archive(sdist, unpacked)
        (source,) = Path(unpacked).iterdir()
        wheel = build(source, "wheel", ".whl", out)
    held = set(zipfile.ZipFile(wheel).namelist())
    missing = sorted(expected() - held)
    if missing:
        sys.exit(f"{wheel.name} lacks {missing}")
    print(f"{sdist.name} and {wheel.name}: {len(held)} files, {wheel.stat().st_size // 1024} KiB")


if __name__ == "__main__":
    main()
