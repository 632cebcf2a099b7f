"""The third party's web app runs as it stands, at a bank that believes the development directory."""

import contextlib
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from billfold_server.serving.directory.directory import Directory
from billfold_server.serving.directory.setting_up import believing
from tests.live import LiveServer
from tests.server.upping import environment
from tests.tenants import manifest

ROOT = Path(__file__).parents[2]
SLUG = "thirdparty"


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with a directory."""
    made = tmp_path_factory.mktemp("bank")
    Directory(made).ensure()
    return made


@contextlib.contextmanager
def running(live: LiveServer, data_dir: Path, software: str) -> Iterator[str]:
    """Run the app until the block ends, and yield its address."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    statement = data_dir / f"{port}.jwt"
    callback = f"http://127.0.0.1:{port}/callback"
    statement.write_text(Directory(data_dir).statement(software, redirect_uris=[callback]), encoding="utf-8")
    command = [sys.executable, str(ROOT / "examples" / "tpp_web_app" / "app.py"), f"--data-dir={data_dir}"]
    command += [f"--bank={live.base(SLUG)}", f"--software={software}", f"--port={port}", f"--statement={statement}"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment())
    try:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(2)]
        assert lines[0] == f"open http://127.0.0.1:{port}\n"
        assert re.fullmatch(r"[A-Z][a-z]+ [A-Z][a-z]+ is known at the bank as cli_\w{26}\n", lines[1])
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)
        assert process.stdout is not None
        process.stdout.close()


def looking() -> httpx.Client:
    """Return what opens pages, and tries again while the app's port isn't open yet."""
    return httpx.Client(transport=httpx.HTTPTransport(retries=8))


@pytest.fixture(scope="module")
def bank(live: LiveServer, data_dir: Path) -> LiveServer:
    """A bank that believes the directory."""
    live.add_tenant(believing(manifest(SLUG), Directory(data_dir).publisher()))
    return live


class TestTheWebApp:
    def test_offers_what_its_software_is_licensed_for(self, bank: LiveServer, data_dir: Path):
        """An account reader's page has nothing to pay with; it registers once, and is the same client later."""
        with running(bank, data_dir, "aisp") as url, looking() as client:
            page = client.get(url)
        assert "Link accounts" in page.text
        assert "Pay by bank" not in page.text
        (kept,) = (data_dir / "tpp_web_app").glob("aisp-*.json")
        assert kept.stat().st_mode & 0o777 == 0o600
