"""Tokens for a refresh token (RFC 6749, section 6): of the same client and key, for as much as was allowed or less.

Where the profile rotates, each use makes a new one and ends the former; a former one that is shown again tells that
somebody else has it, and ends the grant (RFC 9700, section 4.14.2). Where tokens are bound to keys, rotation adds
nothing and a lost answer would end the grant, so the token stays (FAPI 2.0 Security Profile, section 5.3.2.1).
"""

import hmac
from typing import Any, ClassVar, Final

from authlib.oauth2.rfc6749.grants import RefreshTokenGrant

from billfold_server.identity.grants import consented, refresh_tokens
from billfold_server.identity.grants.frame import Asking, Decision, OAuthClient
from billfold_server.identity.grants.narrowing import narrowed_details
from billfold_server.identity.grants.refresh_tokens import RefreshToken
from billfold_server.identity.rules import granted_scopes
from billfold_server.identity.tokens import resources
from billfold_server.tenancy.context import Caller
from billfold_server.tenancy.transaction import Tx

__all__ = ["REUSED", "RefreshTokens"]

REUSED: Final = "a refresh token was shown again"


class _Shown:
    """A refresh token, as Authlib asks about it."""

    def __init__(self, row: RefreshToken) -> None:
        self.row = row

    def check_client(self, client: OAuthClient) -> bool:
        return self.row.client_id == client.client.id

    def get_scope(self) -> str:
        return " ".join(self.row.scopes)


class _Grant(RefreshTokenGrant):
    @property
    def INCLUDE_NEW_REFRESH_TOKEN(self) -> bool:  # noqa: N802 - Authlib's
        asking: Asking = self.request
        row: RefreshToken | None = asking.loaded
        # What counts is to what the token is bound, not what this request shows.
        return asking.realm.profile.refresh_rotation and row is not None and row.jkt is None

    def authenticate_refresh_token(self, refresh_token: str) -> _Shown | None:  # noqa: ARG002 - it is loaded
        asking: Asking = self.request
        row: RefreshToken | None = asking.loaded
        grant = asking.grant
        if row is None or row.rotated_at is not None or row.expires_at <= asking.now:
            return None
        if grant is None:
            return None
        if row.jkt is not None and not hmac.compare_digest(row.jkt, asking.binding.jkt or ""):
            return None
        return _Shown(row)

    def authenticate_user(self, refresh_token: _Shown) -> object:
        asking: Asking = self.request
        grant = asking.grant
        assert grant is not None
        row, form = refresh_token.row, asking.form
        # What the client has lost since then it doesn't get back by an old token.
        still = [scope for scope in row.scopes if scope in asking.client.client.scopes]
        scopes = granted_scopes(form.get("scope"), still)
        asking.decision = Decision(
            scopes=scopes,
            resource=resources.chosen(asking.realm, form.get("resource"), row.resources, scopes=scopes),
            details=narrowed_details(form.get("authorization_details"), grant.details),
            grant=grant,
            id_token="openid" in still,
        )
        return grant.user_id

    def revoke_old_credential(self, refresh_token: object) -> None:
        """Do nothing: it is written afterwards."""


class RefreshTokens:
    """Looks the token up, and rotates it where that is wanted."""

    grant: ClassVar[type[Any]] = _Grant
    extensions: ClassVar[tuple[Any, ...]] = ()
    in_transaction: ClassVar[bool] = True

    async def load(self, tx: Tx, asking: Asking) -> None:
        """Find the token; one of this client's that was rotated ends its grant."""
        shown, client = asking.form.get("refresh_token"), asking.client.client
        if shown is None or not asking.client.check_grant_type("refresh_token"):
            return
        row = await refresh_tokens.find(tx, shown, lock=asking.realm.profile.refresh_rotation)
        if row is None or row.client_id != client.id:
            return
        if row.rotated_at is not None:
            caller = Caller(actor=client.client_id, client_id=client.id)
            await consented.revoke(tx, row.grant_id, REUSED, by="token", now=asking.now, caller=caller)
            return
        asking.loaded = row
        if (usable := await consented.usable(tx, row.grant_id, asking.now)) is not None:
            asking.grant, asking.until = usable

    async def write(self, tx: Tx, asking: Asking, decision: Decision) -> None:
        """Let a new token take the place of the one that was shown, where the profile rotates."""
        if decision.refresh:
            row: RefreshToken = asking.loaded
            await refresh_tokens.rotate(tx, row.digest, asking.now)
            decision.refresh_token = await refresh_tokens.create(
                tx, asking, scopes=row.scopes, resources=row.resources, expires_at=asking.bounded(row.expires_at)
            )
