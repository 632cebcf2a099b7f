"""A real browser, headless, with a virtual authenticator, and axe-core, where these tools are installed."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service

from billfold_server.db.embedded.locks import locked
from billfold_server.tenancy.manifest import load_manifest
from billfold_server.tenancy.shipped import shipped_tenants
from tests.live import LiveServer

HERE = Path(__file__).parent
BRANDS = ("sandbox", "demo_bank")


def tool(*names: str) -> str:
    """Return where a tool is, by the first of its names that is found; skip the test where there is none."""
    for name in names:
        if (found := shutil.which(name)) is not None:
            return found
    pytest.skip(f"needs {names[0]}")


@pytest.fixture(scope="session")
def banks(live: LiveServer) -> LiveServer:
    """Serve the tenants that come with Billfold, for their looks."""
    for slug in BRANDS:
        manifest = load_manifest(shipped_tenants() / slug)
        live.add_tenant(msgspec.structs.replace(manifest, isolation="role", hosts=[]))
    return live


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    """Start Chromium, without anything that it would ask of others."""
    options = ChromeOptions()
    options.binary_location = tool("chromium", "chromium-browser", "google-chrome")
    for argument in (
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--disable-dev-shm-usage",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--lang=en",
        f"--user-data-dir={tmp_path_factory.mktemp('chromium')}",
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = Chrome(options=options, service=Service(tool("chromedriver")))
    yield driver
    driver.quit()


@pytest.fixture(scope="session")
def axe() -> str:
    """The source of axe-core, installed by its lock where it isn't yet."""
    script = HERE / "node_modules" / "axe-core" / "axe.min.js"
    with locked(HERE / ".install.lock", timeout_s=100):
        if not script.is_file():
            run = subprocess.run([tool("npm"), "ci"], cwd=HERE, capture_output=True, text=True, check=False)
            if run.returncode != 0:
                pytest.skip("needs axe-core, which npm can't install here")
    return script.read_text(encoding="utf-8")
