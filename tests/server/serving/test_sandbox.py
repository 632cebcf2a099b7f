"""The sandbox that a start makes."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from billfold import errors
from billfold_server.serving.database import Found
from billfold_server.serving.sandbox import SLUG, ensure_sandbox
from billfold_server.serving.service import _welcome
from tests.live import LiveServer
from tests.tenants import manifest


class TestASandbox:
    def test_is_made_anew_where_its_deletion_was_cut_short(self, live: LiveServer, monkeypatch: pytest.MonkeyPatch):
        """A server without tables for it starts all the same, since nobody else goes on with the deletion."""
        tenants = live.services.tenants
        live.add_tenant(manifest(SLUG, sandbox=True, security_profile="sandbox"))
        before = live.run(live.services.registry.get(SLUG)).id
        live.run(tenants.suspend(SLUG, reason="test"))

        async def away(_: Any) -> None:
            raise errors.KeysUnavailable("the key store is away")

        async def none(**_: Any) -> list[str]:
            return []

        # What this server does in the background might go on with it at this very moment.
        monkeypatch.setattr(tenants, "list_deleting", none)
        with monkeypatch.context() as patched:
            patched.setattr(tenants._keys, "forget", away)
            with pytest.raises(errors.KeysUnavailable):
                live.run(tenants.delete(SLUG, confirm=SLUG))
        with pytest.raises(errors.TenantStateRefuses, match="goes on with its deletion"):
            live.run(live.services.registry.get(SLUG))
        made = live.run(ensure_sandbox(live.services, step=lambda _: None))
        assert made.base_url.endswith(f"/t/{SLUG}")
        assert live.run(live.services.registry.get(SLUG)).id != before
        live.run(tenants.suspend(SLUG, reason="test"))
        live.run(tenants.delete(SLUG, confirm=SLUG))

    def test_that_is_suspended_has_no_lines_to_paste(self, live: LiveServer):
        """None of them would work; what is to be done first is said instead, until it is done."""
        tenants, found = live.services.tenants, SimpleNamespace(facts=SimpleNamespace(version="18"), embedded=None)
        live.add_tenant(manifest(SLUG, sandbox=True, security_profile="sandbox"))

        def said() -> tuple[list[bool], bool]:
            made = live.run(ensure_sandbox(live.services, step=lambda _: None))
            welcome = _welcome(live.services.settings, cast("Found", found), made, None, 1.0)
            lines = [each is not None for each in (welcome.curl, welcome.python, welcome.commands)]
            return lines, any("billfold tenants resume sandbox --reason" in each for each in welcome.warnings)

        assert said() == ([True] * 3, False)
        live.run(tenants.suspend(SLUG, reason="test"))
        assert said() == ([False] * 3, True)
        live.run(tenants.resume(SLUG, reason="test"))
        assert said() == ([True] * 3, False)
        live.run(tenants.suspend(SLUG, reason="test"))
        live.run(tenants.delete(SLUG, confirm=SLUG))
