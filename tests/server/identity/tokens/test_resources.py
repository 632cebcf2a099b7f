"""Which resource a token is for, where its client doesn't say."""

import pytest

from billfold_server.identity.rules import OAuthRefusal
from billfold_server.identity.tokens.resources import chosen
from tests.live import LiveServer


class TestATokenThatNamesNoResource:
    @pytest.mark.parametrize(
        ("scopes", "path"),
        [
            (["accounts"], "/open-banking"),
            (["fundsconfirmations", "openid"], "/open-banking"),
            (["openid"], "/v1"),
            (["accounts", "wallets:read"], "/v1"),
            ([], "/v1"),
        ],
    )
    def test_is_for_what_its_scopes_are_about(self, profiled: LiveServer, scopes: list[str], path: str) -> None:
        """Third parties' scopes open what third parties use, and all others the bank's own API."""
        tenant = profiled.run(profiled.services.registry.get("sandbox"))
        realm = profiled.services.identity.realm(tenant)
        assert chosen(realm, None, scopes=scopes) == realm.issuer + path

    def test_is_never_for_what_the_platform_lacks(self, profiled: LiveServer) -> None:
        """The platform has no open banking."""
        realm = profiled.services.identity.realm(None)
        with pytest.raises(OAuthRefusal) as caught:
            chosen(realm, f"{realm.issuer}/open-banking")
        assert caught.value.error == "invalid_target"
