"""The tokens of one user, as a client uses them."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from billfold import errors
from billfold.auth._async.flow import refresh
from billfold.auth._async.tokens import AsyncTokens
from billfold.auth.credentials import AccessToken
from billfold.auth.refusals import GrantInvalid
from billfold.auth.sign_in import UserTokens
from billfold.client._async.backend import settle

if TYPE_CHECKING:
    from billfold.client._async.session import AsyncSession

__all__ = ["AsyncUserAccess"]

_EARLY_S = 30.0
_EARLY_SHARE = 0.1


class AsyncUserAccess(AsyncTokens):
    """A user's tokens instead of the client's own, refreshed by one call for all that wait.

    Args:
        client: The client's own, whose credentials and authorization server are used.
        session: The client's session.
        tokens: The user's.
        on_refresh: Told of fresh tokens, so that they can be kept.

    Raises:
        ValueError: They were issued to another client, by another server, or are bound to another key.
    """

    def __init__(
        self,
        client: AsyncTokens,
        session: "AsyncSession",
        tokens: UserTokens,
        on_refresh: Callable[[UserTokens], Any] | None,
    ) -> None:
        auth, authority = client.auth, client.authority
        if (tokens.issuer, tokens.client_id, tokens.dpop_jkt) != (authority.issuer, auth.client_id, auth.dpop_jkt):
            raise ValueError("the tokens were issued to another client, by another server, or for another key")
        super().__init__(auth, authority, "")
        self.present = tokens
        self._on_refresh = on_refresh
        self._keep(session, tokens)

    def _keep(self, session: "AsyncSession", tokens: UserTokens) -> str:
        self.present = tokens
        left_s = max(0.0, tokens.expires_at - self.authority.now(session.kit))
        early_s = min(_EARLY_S, left_s * _EARLY_SHARE) if tokens.refresh_token is not None else 0.0
        return self._store.keep(AccessToken(tokens.access_token, session.kit.monotonic() + left_s - early_s))

    async def _fetch(self, session: "AsyncSession") -> str:
        try:
            if self.present.refresh_token is None:
                raise GrantInvalid("the access token has ended, and there is no refresh token")
            fresh = await refresh(session, self.present)
        except errors.BillfoldError as error:
            self._store.fail(error)
            raise
        token = self._keep(session, fresh)
        if self._on_refresh is not None:
            await settle(self._on_refresh(fresh))
        return token
