"""The tests that the portal and the README show to partners are tests that pass."""

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

from billfold import Money
from billfold.testing import Sandbox
from billfold_server.portal import markdown

pytestmark = pytest.mark.xdist_group("billfold.testing")

SHOWN = [
    pytest.param(text, id=f"{path.stem} {re.findall(r'def (test_[a-z_]+)', text)[0]}")
    for path in sorted(markdown._FOLDER.rglob("*.md"))
    for language, text in markdown.make(path.read_text(encoding="utf-8")).snippets
    if language == "python" and "def test_" in text
]

ROOT = Path(__file__).parents[3]
README = re.findall(r"```python\n([^`]*wallet_sandbox[^`]*)```", (ROOT / "README.md").read_text(encoding="utf-8"))


def shop() -> ModuleType:
    """Return the program that the README has tested, which is the example's."""
    spec = importlib.util.spec_from_file_location("shop", ROOT / "examples" / "testing_a_shop" / "shop.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class TestATestThatIsShown:
    @pytest.mark.parametrize("text", SHOWN)
    def test_passes_as_it_stands(self, wallet_sandbox: Sandbox, text: str) -> None:
        """A partner who copies it sees it pass."""
        namespace: dict[str, object] = {}
        exec(text, namespace)  # noqa: S102 - Our own page.
        (run,) = (value for name, value in namespace.items() if name.startswith("test_") and callable(value))
        run(wallet_sandbox)

    def test_passes_in_the_readme_too(self, wallet_sandbox: Sandbox) -> None:
        """Both run as they stand: a test of a shop, and what a test does with webhooks."""
        checkout, webhooks = README
        namespace: dict[str, object] = {"shop": shop(), "Money": Money}
        exec(checkout, namespace)  # noqa: S102 - Our own page.
        run = namespace["test_checkout"]
        assert callable(run)
        run(wallet_sandbox)
        exec(webhooks, {"wallet_sandbox": wallet_sandbox, "wallet": wallet_sandbox.wallet()})  # noqa: S102 - As above.
