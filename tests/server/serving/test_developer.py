"""The sandbox's developer, made once, who signs in at the portal."""

import json
import stat
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from click.testing import CliRunner

from billfold_server.serving.developer import NAME, ensure_developer, portal
from billfold_server.serving.sign_ins import SignIn
from billfold_server.serving.welcome import STAFF_FILE
from tests.live import LiveServer
from tests.server.people.persons import Browser
from tests.tenants import manifest


@pytest.fixture(scope="module")
def sandbox(live: LiveServer) -> str:
    """A sandbox that takes shared secrets."""
    live.add_tenant(manifest("portalled"))
    return "portalled"


def ensured(live: LiveServer, slug: str, folder: Path) -> SignIn | None:
    """Return by what the developer signs in."""
    tenant = live.run(live.services.registry.get(slug))
    found: SignIn | None = live.run(ensure_developer(live.services, tenant, folder))
    return found


class TestTheDeveloper:
    def test_is_made_once_and_kept_for_the_owner_alone(self, live: LiveServer, tmp_path: Path) -> None:
        """What the folder says stays; who has lost it isn't told what another folder knows."""
        live.add_tenant(manifest("portalled-once"))
        first = ensured(live, "portalled-once", tmp_path)
        assert first is not None
        assert (first.name, first.password in repr(first)) == (NAME, False)
        assert stat.S_IMODE((tmp_path / STAFF_FILE).stat().st_mode) == 0o600
        assert ensured(live, "portalled-once", tmp_path) == first
        (tmp_path / STAFF_FILE).unlink()
        assert ensured(live, "portalled-once", tmp_path) is None

    @pytest.mark.parametrize(("sandbox", "profile"), [(False, "fapi2"), (True, "fapi2"), (False, "sandbox")])
    def test_is_made_nowhere_else(self, live: LiveServer, tmp_path: Path, *, sandbox: bool, profile: str) -> None:
        """Whoever isn't made up enrols by themselves."""
        tenant = live.run(live.services.registry.get("alpha"))
        changed = {"sandbox": sandbox, "security_profile": profile}
        other = msgspec.structs.replace(tenant, manifest=msgspec.structs.replace(tenant.manifest, **changed))
        assert live.run(ensure_developer(live.services, other, tmp_path)) is None
        assert not (tmp_path / STAFF_FILE).exists()


class TestTheCommand:
    def run(self, live: LiveServer, *arguments: str) -> Any:
        """Run it against the server's own parts, in its loop."""

        @asynccontextmanager
        async def opened() -> Any:
            yield live.services

        return CliRunner().invoke(portal, arguments, obj=opened)

    def test_shows_by_what_to_sign_in(self, live: LiveServer, sandbox: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """Name, password and code lead into the portal, signed in."""
        monkeypatch.setattr("billfold_server.serving.developer.asyncio.run", live.run)
        shown = json.loads(self.run(live, "--tenant", sandbox, "--json").stdout)
        text = self.run(live, "--tenant", sandbox).stdout
        assert shown["url"] in text
        assert shown["password"] in text
        browser = Browser(live, sandbox, "/auth/staff")
        page = browser.get("/sign-in", params={"to": "/portal"})
        second = browser.submit(page, "/sign-in", name=shown["name"], password=shown["password"])
        answer = browser.submit(second, "/sign-in/code", code=shown["codes"][0])
        home = browser.get(str(httpx.URL(shown["url"]).join(answer.headers["location"])))
        assert (home.status_code, "Sandbox developer" in home.text) == (200, True)

    def test_shows_the_address_alone_elsewhere(self, live: LiveServer, monkeypatch: pytest.MonkeyPatch) -> None:
        """Staff of a bank enrol by themselves."""
        monkeypatch.setattr("billfold_server.serving.developer.asyncio.run", live.run)
        live.add_tenant(manifest("portalled-bank", sandbox=False))
        shown = json.loads(self.run(live, "--tenant", "portalled-bank", "--json").stdout)
        assert list(shown) == ["url"]
        assert shown["url"].endswith("/t/portalled-bank/portal")
