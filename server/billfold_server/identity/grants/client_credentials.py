"""Tokens for a client that acts for itself (RFC 6749, section 4.4)."""

from typing import Any, ClassVar

from authlib.oauth2.rfc6749.grants import ClientCredentialsGrant

from billfold_server.identity.grants.frame import Asking, Decision
from billfold_server.identity.rules import OPENID_SCOPES, OAuthRefusal, granted_scopes
from billfold_server.identity.tokens import resources
from billfold_server.tenancy.transaction import Tx

__all__ = ["ClientCredentials"]


class _Grant(ClientCredentialsGrant):
    def validate_requested_scope(self) -> None:
        asking: Asking = self.request
        form, client = asking.form, asking.client.client
        if "authorization_details" in form:
            raise OAuthRefusal("invalid_authorization_details", "only a person can allow what details ask for")
        # Nobody has signed in of whom these could tell.
        allowed = [scope for scope in client.scopes if scope not in OPENID_SCOPES]
        scopes = granted_scopes(form.get("scope"), allowed)
        asking.decision = Decision(
            scopes=scopes,
            resource=resources.chosen(asking.realm, form.get("resource"), scopes=scopes),
        )


class ClientCredentials:
    """Nothing is loaded and nothing is written: the client is all that counts."""

    grant: ClassVar[type[Any]] = _Grant
    extensions: ClassVar[tuple[Any, ...]] = ()
    in_transaction: ClassVar[bool] = False

    async def load(self, tx: Tx, asking: Asking) -> None:
        """Load nothing."""

    async def write(self, tx: Tx, asking: Asking, decision: Decision) -> None:
        """Write nothing."""
