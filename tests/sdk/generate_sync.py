"""Generate the synchronous client from the asynchronous one: ``python -m tests.sdk.generate_sync``.

Only words are replaced, in code and in docstrings alike; what really differs between the two is written by hand, in the
``backend.py`` and ``transport.py`` of each.
"""

import re
import subprocess
import sys
from pathlib import Path

BILLFOLD = Path(__file__).parents[2] / "sdk" / "billfold"
PACKAGES = (BILLFOLD / "auth", BILLFOLD / "client", BILLFOLD / "consents", BILLFOLD / "testing")
BY_HAND = {"__init__.py", "backend.py", "transport.py"}
NOTE = "# Generated from billfold/{package}/_async/{name} by tests/sdk/generate_sync.py. Change that one instead.\n"

WORDS = (
    (r"\basync (def|for|with)\b", r"\1"),
    (r"\bawait ", ""),
    (r"\b_async\b", "_sync"),
    (r"\basynchronous\b", "synchronous"),
    (r"\b(_?)Async([A-Z]\w*)", r"\1\2"),
    (r"\b__a(enter|exit|iter|next)__\b", r"__\1__"),
    (r"\baclose\b", "close"),
    (r"for (\w+) in ([\w.]+):\n +yield \1\n", r"yield from \2\n"),
)


def sources() -> list[Path]:
    """Name the asynchronous modules from which others are made."""
    found = (path for package in PACKAGES for path in (package / "_async").glob("*.py"))
    return sorted(path for path in found if path.name not in BY_HAND)


def generate(source: Path) -> str:
    """Return the synchronous form of a module, formatted."""
    text = source.read_text(encoding="utf-8")
    for pattern, replacement in WORDS:
        text = re.sub(pattern, replacement, text)
    text = NOTE.format(package=source.parents[1].name, name=source.name) + "\n" + text
    # Fewer words make shorter lines, which the formatter then joins; imports change their order.
    for command in (["check", "--select", "I", "--fix", "--exit-zero"], ["format"]):
        text = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "--quiet", "--stdin-filename", str(target(source)), "-"],
            input=text,
            capture_output=True,
            check=True,
            text=True,
        ).stdout
    return text


def target(source: Path) -> Path:
    """Return where the synchronous form of a module lies."""
    return source.parents[1] / "_sync" / source.name


def main() -> None:
    """Write all of them, and what the portal shows of them."""
    for source in sources():
        target(source).write_text(generate(source), encoding="utf-8")
    # By another process, which imports what was just written.
    subprocess.run([sys.executable, "-m", "tests.server.portal.generate_snippets"], check=True)


if __name__ == "__main__":
    main()
