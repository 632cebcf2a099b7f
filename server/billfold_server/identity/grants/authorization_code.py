"""Tokens for a code (RFC 6749, section 4.1.3): good once, for its client, its address, its verifier and its key.

The code is claimed before anything about it is checked, and stays used whatever comes of that: so nobody tries
verifiers until one fits. A code that is shown again ends its grant, with all that was issued by it (section 4.1.2).
"""

import hmac
from typing import Any, ClassVar, Final

from authlib.oauth2.rfc6749 import InvalidGrantError
from authlib.oauth2.rfc6749.grants import AuthorizationCodeGrant
from authlib.oauth2.rfc7636 import CodeChallenge
from authlib.oauth2.rfc7636.challenge import CODE_VERIFIER_PATTERN, create_s256_code_challenge

from billfold_server.identity.authorization import codes
from billfold_server.identity.authorization.codes import Code, Used
from billfold_server.identity.grants import consented, refresh_tokens
from billfold_server.identity.grants.frame import Asking, Decision, OAuthClient
from billfold_server.identity.grants.narrowing import narrowed_details
from billfold_server.identity.grants.service import Grant
from billfold_server.identity.rules import granted_scopes
from billfold_server.identity.tokens import resources
from billfold_server.tenancy.context import Caller
from billfold_server.tenancy.transaction import Tx

__all__ = ["REUSED", "AuthorizationCode"]

REUSED: Final = "the authorization code was shown again"


class _Claimed:
    """A claimed code, as Authlib asks about it."""

    def __init__(self, code: Code) -> None:
        self.code = code
        self.code_challenge = code.code_challenge
        self.code_challenge_method = "S256"

    def get_redirect_uri(self) -> str:
        return self.code.redirect_uri

    def get_scope(self) -> str:
        return " ".join(self.code.scopes)


class _Grant(AuthorizationCodeGrant):
    def query_authorization_code(self, code: str, client: OAuthClient) -> _Claimed | None:  # noqa: ARG002 - it is loaded
        asking: Asking = self.request
        found: Code | None = asking.loaded
        grant = asking.grant
        if found is None or grant is None or grant.revoked_at is not None or grant.client_id != client.client.id:
            return None
        # RFC 9449, section 10: the key that the authorization request named, and no other.
        if found.dpop_jkt is not None and not _same(found.dpop_jkt, asking.binding.jkt or ""):
            return None
        return _Claimed(found)

    def authenticate_user(self, authorization_code: _Claimed) -> object:
        asking: Asking = self.request
        grant = asking.grant
        assert grant is not None
        code, form = authorization_code.code, asking.form
        scopes = granted_scopes(form.get("scope"), code.scopes)
        asking.decision = Decision(
            scopes=scopes,
            resource=resources.chosen(asking.realm, form.get("resource"), code.resources, scopes=scopes),
            details=narrowed_details(form.get("authorization_details"), grant.details),
            grant=grant,
            nonce=code.nonce,
            state_hash=code.state_hash,
            id_token="openid" in code.scopes,
        )
        return grant.user_id

    def delete_authorization_code(self, authorization_code: _Claimed) -> None:
        """Do nothing: the code was claimed before."""


class _Pkce(CodeChallenge):
    """PKCE by S256 alone, and always (RFC 7636; RFC 9700, section 2.1.1)."""

    def validate_code_verifier(self, grant: _Grant, result: object) -> None:  # noqa: ARG002 - Authlib's
        verifier = grant.request.form.get("code_verifier", "")
        challenge = grant.request.authorization_code.code_challenge
        # What is missing is as wrong as what doesn't fit (section 4.6), and an empty challenge fits nothing.
        if not CODE_VERIFIER_PATTERN.fullmatch(verifier) or not _same(create_s256_code_challenge(verifier), challenge):
            raise InvalidGrantError


class AuthorizationCode:
    """Claims the code, and gives out what its grant allows."""

    grant: ClassVar[type[Any]] = _Grant
    extensions: ClassVar[tuple[Any, ...]] = (_Pkce(),)
    in_transaction: ClassVar[bool] = True

    async def load(self, tx: Tx, asking: Asking) -> None:
        """Claim the code; one that was claimed before ends its grant."""
        client, code = asking.client.client, asking.form.get("code")
        if code is None or not asking.client.check_grant_type("authorization_code"):
            return
        found = await codes.claim(tx, code, asking.now, client_id=client.id)
        if isinstance(found, Used):
            caller = Caller(actor=client.client_id, client_id=client.id)
            await consented.revoke(tx, found.grant_id, REUSED, by="token", now=asking.now, caller=caller)
        elif found is not None and (usable := await consented.usable(tx, found.grant_id, asking.now)) is not None:
            asking.loaded, asking.grant, asking.until = found, *usable

    async def write(self, tx: Tx, asking: Asking, decision: Decision) -> None:
        """Write the refresh token, where the client may go on without the person."""
        code: Code = asking.loaded
        if decision.refresh and _goes_on(code, asking.grant):
            # Who has allowed something until a day isn't asked again before it, because a token has run out.
            expires_at = asking.until or asking.now + refresh_tokens.LIFE
            decision.refresh_token = await refresh_tokens.create(
                tx, asking, scopes=code.scopes, resources=code.resources, expires_at=expires_at
            )


def _goes_on(code: Code, grant: Grant | None) -> bool:
    """Tell whether the person was asked to let the client go on without them (OpenID Connect Core, section 11).

    A consent of open banking says itself until when it lasts, and third parties ask for nothing beside it.
    """
    return "offline_access" in code.scopes or (grant is not None and grant.consent_id is not None)


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode())
