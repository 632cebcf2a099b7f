"""Signing a user in: what is sent, what is kept meanwhile, and what may be believed of what comes back.

Nothing here does input or output. Sources: RFC 6749 section 4.1, RFC 7636 (PKCE), RFC 9101 (JAR), RFC 9126 (PAR),
RFC 9207 (``iss``), RFC 9396 (RAR), and OAuth's JWT Secured Authorization Response Mode (JARM).
"""

import base64
import hashlib
import hmac
import json
import secrets
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple, Self
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import msgspec

from billfold import errors
from billfold.auth._jwt import is_time
from billfold.auth.credentials import TokenAnswer
from billfold.auth.refusals import (
    CallbackInvalid,
    IssuerMismatch,
    ResponseInvalid,
    SignInExpired,
    StateMismatch,
    refusal,
)

__all__ = ["AuthorizationRequest", "Pending", "UserTokens"]

LEEWAY_S: Final = 10
"""How far the clocks may be apart that a token's times are held against."""

_REQUEST_OBJECT_S: Final = 300
_MAX_CALLBACK: Final = 64 * 1024
_MAX_FIELDS: Final = 50
_JARM: Final = "response"
INTENT: Final = "openbanking_intent_id"
"""The claim that names a consent."""

ResponseMode = Literal["query", "jwt"]
"""How the answer comes back: plain, or signed by the server (JARM)."""


class Pending(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is kept while the user is away: in the session of the browser that was sent, and nowhere else.

    It holds secrets of this one sign-in. Where a framework keeps sessions in cookies that can be read, seal it with a
    ``Sealer``.

    Attributes:
        issuer: Who was asked.
        client_id: Who is asking.
        redirect_uri: Where the answer comes to.
        state: Binds the answer to the browser.
        code_verifier: Binds the code to us (RFC 7636).
        expires_at: Until when the answer is taken, in seconds since 1970 by the server's clock.
        nonce: Binds the ID token to this sign-in; None where none was asked for.
        response_mode: How the answer has to come back.
        dpop_jkt: The thumbprint of the key that tokens will be bound to, where they will be.
        scope: What was asked for.
        max_age_s: How long ago the user may have signed in, where that was asked for.
        acr_values: How they had to, where that was asked for.
        intent_id: Which consent was asked for, where it was one of open banking; the ID token has to name it.
    """

    issuer: str
    client_id: str
    redirect_uri: str
    state: str
    code_verifier: str
    expires_at: int
    nonce: str | None = None
    response_mode: ResponseMode = "query"
    dpop_jkt: str | None = None
    scope: str | None = None
    max_age_s: int | None = None
    acr_values: tuple[str, ...] = ()
    intent_id: str | None = None

    def dump(self) -> str:
        """Return it as text, for the session."""
        return msgspec.json.encode(self).decode()

    @classmethod
    def load(cls, text: str | bytes) -> Self:
        """Return what ``dump`` has written.

        Raises:
            CallbackInvalid: It isn't that.
        """
        try:
            return msgspec.json.decode(text, type=cls)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            raise CallbackInvalid("the session holds no sign-in that was begun") from None

    def __repr__(self) -> str:
        return f"Pending(issuer={self.issuer!r}, …)"


class AuthorizationRequest(NamedTuple):
    """A sign-in that was begun: where to send the browser, and what to keep until it is back."""

    url: str
    pending: Pending


class UserTokens(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a client holds for a user who has signed in. Secrets: they aren't shown, and belong into a safe place.

    Attributes:
        access_token: For the API.
        expires_at: Until when, in seconds since 1970.
        issuer: Who issued them.
        client_id: To whom.
        refresh_token: For further access tokens, where there is one.
        id_token: The ID token as it came, for signing out; None where none was asked for.
        claims: What the ID token says, once it was checked.
        scopes: What the access token allows.
        authorization_details: What it allows in particular (RFC 9396).
        dpop_jkt: The thumbprint of the key that they are bound to, where they are.
    """

    access_token: str
    expires_at: int
    issuer: str
    client_id: str
    refresh_token: str | None = None
    id_token: str | None = None
    claims: dict[str, Any] = {}
    scopes: tuple[str, ...] = ()
    authorization_details: tuple[dict[str, Any], ...] = ()
    dpop_jkt: str | None = None

    @property
    def subject(self) -> str | None:
        """Who signed in: stable, and unique at the issuer. None where no ID token was asked for."""
        return self.claims.get("sub")

    def dump(self) -> str:
        """Return them as text, to be kept."""
        return msgspec.json.encode(self).decode()

    @classmethod
    def load(cls, text: str | bytes) -> Self:
        """Return what ``dump`` has written.

        Raises:
            ValueError: It isn't that.
        """
        try:
            return msgspec.json.decode(text, type=cls)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            raise ValueError("these are no UserTokens") from None

    def __repr__(self) -> str:
        return f"UserTokens(issuer={self.issuer!r}, scopes={self.scopes!r}, …)"


def challenge(verifier: str) -> str:
    """Return the S256 challenge of a code verifier (RFC 7636, section 4.2)."""
    digest = hashlib.sha256(verifier.encode("ascii")).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")


def begun(
    *,
    issuer: str,
    client_id: str,
    redirect_uri: str,
    now: float,
    lifetime_s: float,
    scope: str | None,
    response_mode: ResponseMode,
    dpop_jkt: str | None,
    max_age_s: int | None,
    acr_values: Sequence[str],
    intent_id: str | None = None,
) -> Pending:
    """Return a new sign-in, with secrets of its own."""
    signs_in = scope is not None and "openid" in scope.split()
    return Pending(
        issuer=issuer,
        client_id=client_id,
        redirect_uri=redirect_uri,
        state=secrets.token_urlsafe(32),
        code_verifier=secrets.token_urlsafe(48),
        expires_at=int(now + lifetime_s),
        nonce=secrets.token_urlsafe(32) if signs_in else None,
        response_mode=response_mode,
        dpop_jkt=dpop_jkt,
        scope=scope,
        max_age_s=max_age_s,
        acr_values=tuple(acr_values.split() if isinstance(acr_values, str) else acr_values),
        intent_id=intent_id,
    )


def parameters(
    pending: Pending,
    *,
    authorization_details: Sequence[Mapping[str, Any]] | None,
    resource: Sequence[str],
    extra: Mapping[str, str],
) -> dict[str, Any]:
    """Return what the authorization server is asked, as JSON has it.

    Raises:
        ValueError: ``extra`` says what this module says itself.
    """
    asked: dict[str, Any] = {
        "response_type": "code",
        "client_id": pending.client_id,
        "redirect_uri": pending.redirect_uri,
        "state": pending.state,
        "code_challenge": challenge(pending.code_verifier),
        "code_challenge_method": "S256",
        "scope": pending.scope,
        "nonce": pending.nonce,
        "dpop_jkt": pending.dpop_jkt,
        "max_age": pending.max_age_s,
        "acr_values": " ".join(pending.acr_values) or None,
        "response_mode": "jwt" if pending.response_mode == "jwt" else None,
        "claims": None if pending.intent_id is None else _intent(pending.intent_id, signs_in=pending.nonce is not None),
        "authorization_details": None if authorization_details is None else list(authorization_details),
        "resource": list(resource) if len(resource) > 1 else next(iter(resource), None),
    }
    twice = sorted((set(extra) & set(asked)) | (set(extra) & {"request", "request_uri", "client_secret"}))
    if twice:
        raise ValueError(f"{', '.join(twice)} can't be given as extra")
    return {name: value for name, value in {**asked, **extra}.items() if value is not None}


def _intent(intent_id: str, *, signs_in: bool) -> dict[str, Any]:
    """Return how UK Open Banking's profile names a consent in a request (OpenID Connect Core, section 5.5)."""
    value = {INTENT: {"value": intent_id, "essential": True}}
    return {"userinfo": value, "id_token": value} if signs_in else {"userinfo": value}


def as_form(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Return the same as a form has it: texts, and JSON in texts (RFC 9396, section 3; OpenID Connect, section 5.5)."""
    return {
        name: json.dumps(value, separators=(",", ":")) if name in {"authorization_details", "claims"} else value
        for name, value in asked.items()
    }


def request_object(asked: Mapping[str, Any], pending: Pending, now: float) -> dict[str, Any]:
    """Return the claims of a signed request object (RFC 9101, section 4; FAPI 2.0 Message Signing, section 5.3)."""
    at = int(now)
    own = {"iss": pending.client_id, "aud": pending.issuer, "jti": secrets.token_urlsafe(16)}
    return {**asked, **own, "iat": at, "nbf": at, "exp": at + _REQUEST_OBJECT_S}


class _Pushed(msgspec.Struct):
    request_uri: str
    expires_in: int | None = None


def read_pushed(body: bytes) -> str:
    """Return the name under which a pushed request is kept (RFC 9126, section 2.2).

    Raises:
        errors.MalformedAnswer: The answer holds none.
    """
    try:
        return msgspec.json.decode(body, type=_Pushed).request_uri
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise errors.MalformedAnswer("the answer isn't one to a pushed authorization request") from None


def with_query(url: str, **more: str) -> str:
    """Return an address with some parameters more than it has."""
    parts = urlsplit(url)
    query = [*parse_qsl(parts.query, keep_blank_values=True), *more.items()]
    return urlunsplit((parts.scheme, parts.netloc, parts.path, urlencode(query), ""))


def read_callback(callback: str | Mapping[str, Any]) -> dict[str, str]:
    """Return the parameters of an answer: of an address, a query, or a framework's mapping of it.

    Raises:
        ResponseInvalid: A parameter occurs twice (RFC 6749, section 3.1), or there are too many.
    """
    pairs = _of_text(callback) if isinstance(callback, str) else _of_mapping(callback)
    found: dict[str, str] = {}
    for name, value in pairs:
        if name in found or not isinstance(value, str) or len(value) > _MAX_CALLBACK:
            raise ResponseInvalid("a parameter of the answer occurs twice, or isn't text")
        found[name] = value
    return found


def _of_text(text: str) -> Iterable[tuple[str, str]]:
    query = text.partition("#")[0].rpartition("?")[2]
    if len(query) > _MAX_CALLBACK:
        raise ResponseInvalid("the answer is too long")
    try:
        return parse_qsl(query, keep_blank_values=True, max_num_fields=_MAX_FIELDS)
    except ValueError:
        raise ResponseInvalid("the answer has too many parameters") from None


def _of_mapping(callback: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
    # Frameworks keep repeated parameters apart, and show the last alone unless they are asked for the list.
    several = getattr(callback, "getlist", None)
    for name in callback:
        values = several(name) if callable(several) else callback[name]
        if isinstance(values, list | tuple):
            yield from ((name, value) for value in values)
        else:
            yield name, values


def is_signed(pending: Pending, answer: Mapping[str, str]) -> bool:
    """Tell whether an answer has to be verified as a signed one.

    Raises:
        ResponseInvalid: It comes in another way than the one that was asked for, which nobody but an attacker does.
    """
    signed = _JARM in answer
    if signed != (pending.response_mode == "jwt"):
        raise ResponseInvalid("the answer isn't of the response mode that was asked for")
    return signed


def of_signed(claims: Mapping[str, Any], pending: Pending, now: float) -> dict[str, str]:
    """Return the parameters in a signed answer (JARM, section 2.4), once it is seen that they are meant for us.

    Raises:
        IssuerMismatch: Another server has signed it.
        ResponseInvalid: It is meant for another client, or has ended.
    """
    if claims.get("iss") != pending.issuer:
        raise IssuerMismatch("the answer comes from another authorization server")
    audience = claims.get("aud")
    if audience not in (pending.client_id, [pending.client_id]):
        raise ResponseInvalid("the answer is meant for another client")
    ends_at = claims.get("exp")
    if not is_time(ends_at) or now >= float(str(ends_at)) + LEEWAY_S:
        raise ResponseInvalid("the answer has ended")
    return {name: value for name, value in claims.items() if isinstance(value, str)}


def check_not_expired(pending: Pending, now: float) -> None:
    """See that the user isn't too late.

    Raises:
        SignInExpired: They are.
    """
    if now >= pending.expires_at:
        raise SignInExpired("the sign-in has taken too long; begin again")


def code_of(answer: Mapping[str, str], pending: Pending) -> str:
    """Return the code of an answer that belongs to what was begun.

    Raises:
        StateMismatch: It belongs to another sign-in.
        IssuerMismatch: It doesn't say that it comes from the server that was asked (RFC 9207, section 2.4).
        AuthorizationRefused: The server says no.
        ResponseInvalid: There is neither a code nor an error in it.
    """
    # In constant time, and before anything else in the answer is believed.
    if not hmac.compare_digest(answer.get("state", "").encode(), pending.state.encode()):
        raise StateMismatch("the answer doesn't belong to the sign-in that was begun here")
    if answer.get("iss") != pending.issuer:
        raise IssuerMismatch("the answer comes from another authorization server")
    error = answer.get("error")
    if error is not None:
        raise refusal(_visible(error), _visible(answer.get("error_description")))
    code = answer.get("code")
    if not code:
        raise ResponseInvalid("the answer holds no code")
    return code


def _visible(text: str | None) -> Any:
    """Return text from an address without what could forge a line in a log."""
    return None if text is None else "".join(each if each.isprintable() else "?" for each in text[:500])


def received(answer: TokenAnswer, pending: Pending, claims: dict[str, Any], now: float) -> UserTokens:
    """Return what the token endpoint has given for a code."""
    scope = pending.scope if answer.scope is None else answer.scope
    return UserTokens(
        access_token=answer.access_token,
        expires_at=int(now) + answer.lifetime_s,
        issuer=pending.issuer,
        client_id=pending.client_id,
        refresh_token=answer.refresh_token,
        id_token=answer.id_token,
        claims=claims,
        scopes=tuple((scope or "").split()),
        authorization_details=tuple(answer.authorization_details or ()),
        dpop_jkt=pending.dpop_jkt,
    )


def refreshed(answer: TokenAnswer, tokens: UserTokens, claims: dict[str, Any] | None, now: float) -> UserTokens:
    """Return what the token endpoint has given for a refresh token; what it leaves out stays as it was."""
    details = answer.authorization_details
    return msgspec.structs.replace(
        tokens,
        access_token=answer.access_token,
        expires_at=int(now) + answer.lifetime_s,
        refresh_token=answer.refresh_token or tokens.refresh_token,
        id_token=answer.id_token or tokens.id_token,
        claims=tokens.claims if claims is None else claims,
        scopes=tokens.scopes if answer.scope is None else tuple(answer.scope.split()),
        authorization_details=tokens.authorization_details if details is None else tuple(details),
    )
