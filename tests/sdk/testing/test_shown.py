"""The tests that the portal shows to partners are tests that pass."""

import re

import pytest

from billfold.testing import Sandbox
from billfold_server.portal import markdown

pytestmark = pytest.mark.xdist_group("billfold.testing")

SHOWN = [
    pytest.param(text, id=f"{path.stem} {re.findall(r'def (test_[a-z_]+)', text)[0]}")
    for path in sorted(markdown._FOLDER.rglob("*.md"))
    for language, text in markdown.make(path.read_text(encoding="utf-8")).snippets
    if language == "python" and "def test_" in text
]


class TestATestThatIsShown:
    @pytest.mark.parametrize("text", SHOWN)
    def test_passes_as_it_stands(self, wallet_sandbox: Sandbox, text: str) -> None:
        """A partner who copies it sees it pass."""
        namespace: dict[str, object] = {}
        exec(text, namespace)  # noqa: S102 - Our own page.
        (run,) = (value for name, value in namespace.items() if name.startswith("test_") and callable(value))
        run(wallet_sandbox)
