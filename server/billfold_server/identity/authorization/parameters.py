"""The parameters of an authorization request, and the order in which they are checked.

Sources: RFC 6749, section 4.1.1; OpenID Connect Core 1.0, sections 3.1.2.1 and 5.5; RFC 9126; RFC 9396; RFC 8707; RFC
9449, section 10; FAPI 2.0 Security Profile, section 5.3.2.2.

They come as a form, or as the claims of a request object, in which some of them may be JSON. What isn't known is
ignored (RFC 6749, section 3.1); what is known must be right, even where nothing here depends on it.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal
from uuid import UUID

import msgspec

from billfold_server.http import card_numbers
from billfold_server.identity import rules
from billfold_server.identity.authorization import details, intents, pkce, redirects
from billfold_server.identity.clients.rows import Client
from billfold_server.identity.profiles import Profile, ResponseMode
from billfold_server.identity.rules import OAuthRefusal

__all__ = ["LONGEST_NONCE", "LONGEST_STATE", "AuthorizationRequest", "ClaimRequest", "ClaimRequests", "read"]

LONGEST_STATE: Final = 4096
LONGEST_NONCE: Final = 2048
_LONGEST_TEXT: Final = 1024
_LONGEST_CLAIMS: Final = 8192
_MOST_RESOURCES: Final = 10
_MOST_CLAIMS: Final = 100
_LONGEST_AGE_S: Final = 10**9

Prompt = Literal["none", "login", "consent", "select_account"]
_PROMPTS: Final = frozenset({"none", "login", "consent", "select_account"})


class ClaimRequest(msgspec.Struct, frozen=True, omit_defaults=True):
    """How one claim is asked for (OpenID Connect Core, section 5.5.1)."""

    essential: bool = False
    value: Any = None
    values: list[Any] | None = None

    @property
    def accepted(self) -> list[Any]:
        """Return the values that satisfy it; none means any."""
        return self.values if self.values is not None else [] if self.value is None else [self.value]


class ClaimRequests(msgspec.Struct, frozen=True, omit_defaults=True):
    """The ``claims`` parameter (OpenID Connect Core, section 5.5)."""

    id_token: dict[str, ClaimRequest | None] = {}
    userinfo: dict[str, ClaimRequest | None] = {}


class AuthorizationRequest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A request every parameter of which was checked against its client's registration and the profile.

    Attributes:
        redirect_uri: One of the client's.
        response_mode: ``query``, or ``query.jwt`` where the answer is to be signed.
        code_challenge: By S256.
        scopes: In order, each once.
        state: Given back as it is.
        nonce: For the ID token.
        dpop_jkt: The key that alone may redeem the code.
        prompt: What the person must be shown.
        max_age_s: How long ago the person may have signed in at most.
        ui_locales: Languages, the preferred first.
        claims: What it asks to be told.
        resources: For which APIs (RFC 8707).
        details: Authorization details, each checked by its type (RFC 9396).
        consent_id: The consent of open banking that it names.
    """

    redirect_uri: str
    response_mode: ResponseMode
    code_challenge: str
    scopes: list[str]
    state: str | None = None
    nonce: str | None = None
    dpop_jkt: str | None = None
    prompt: list[Prompt] = []
    max_age_s: int | None = None
    ui_locales: str | None = None
    claims: ClaimRequests = ClaimRequests()
    resources: list[str] = []
    details: list[dict[str, Any]] = []
    consent_id: UUID | None = None

    @property
    def essential_acr(self) -> list[str]:
        """Return the classes one of which the sign-in must have; none means any."""
        asked = self.claims.id_token.get("acr")
        if asked is None or not asked.essential:
            return []
        return [each for each in asked.accepted if isinstance(each, str)]


def read(
    parameters: Mapping[str, object],
    resources: Sequence[str],
    client: Client,
    profile: Profile,
    *,
    audiences: frozenset[str],
) -> AuthorizationRequest:
    """Return the request that the parameters make.

    Args:
        parameters: The form's, or the request object's claims.
        resources: The values of ``resource``, the one parameter that may occur often.
        client: Who asks, authenticated.
        profile: What the realm asks of clients.
        audiences: The APIs for which the realm issues tokens.

    Raises:
        OAuthRefusal: By the codes that the RFCs name.
    """
    if "request_uri" in parameters:
        raise OAuthRefusal("invalid_request", "request_uri can't be pushed")
    if parameters.get("client_id", client.client_id) != client.client_id:
        raise OAuthRefusal("invalid_request", "client_id isn't the client that has authenticated")
    if "authorization_code" not in client.grant_types:
        raise OAuthRefusal("unauthorized_client", "the client isn't registered for authorization codes")
    if parameters.get("response_type") != "code":
        missing = "response_type" not in parameters
        raise OAuthRefusal("invalid_request" if missing else "unsupported_response_type", "response_type must be code")
    redirect_uri = redirects.read_redirect_uri(parameters.get("redirect_uri"), client.redirect_uris)
    code_challenge = pkce.read_challenge(parameters)
    checked = details.read(parameters.get("authorization_details"), client.authorization_details_types)
    scopes, claims = _scopes(parameters, client, has_details=bool(checked)), _claims(parameters.get("claims"))
    for name in _UNHEEDED:
        _text(parameters, name)
    return AuthorizationRequest(
        redirect_uri=redirect_uri,
        response_mode=_response_mode(parameters.get("response_mode"), profile),
        code_challenge=code_challenge,
        scopes=scopes,
        state=_text(parameters, "state", LONGEST_STATE),
        nonce=_text(parameters, "nonce", LONGEST_NONCE),
        dpop_jkt=_thumbprint(parameters),
        prompt=_prompt(parameters),
        max_age_s=_max_age(parameters.get("max_age")),
        ui_locales=_text(parameters, "ui_locales"),
        claims=claims,
        resources=_resources(resources, audiences),
        details=checked,
        consent_id=intents.named((claims.id_token, claims.userinfo), checked, scopes),
    )


_UNHEEDED: Final = ("login_hint", "acr_values")
"""What a client may say, and nothing here follows: it is held to what a text may be, and forgotten."""
_PRINTABLE: Final = re.compile(r"[\x20-\x7e]*")
_CONTROLS: Final = re.compile(r"[\x00-\x1f\x7f]")


def _text(parameters: Mapping[str, object], name: str, longest: int = _LONGEST_TEXT) -> str | None:
    value = parameters.get(name)
    if value is None:
        return None
    if not isinstance(value, str):
        raise OAuthRefusal("invalid_request", f"{name} must be a text")
    if len(value) > longest:
        raise OAuthRefusal("invalid_request", f"{name} may have at most {longest} characters")
    # The state travels in an address, where RFC 6749 (appendix A.5) lets it have printable ASCII.
    refused = not _PRINTABLE.fullmatch(value) if name == "state" else _CONTROLS.search(value)
    if refused:
        raise OAuthRefusal("invalid_request", f"{name} holds a character that it can't have")
    # Other texts are a program's own, which it makes up by chance; this one is what somebody has typed.
    if name == "login_hint" and card_numbers.holds_card_number(value, fewest=card_numbers.FEWEST_ANYWHERE):
        raise OAuthRefusal("invalid_request", f"{name} {card_numbers.REASON}")
    return value


def _response_mode(asked: object, profile: Profile) -> ResponseMode:
    mode = profile.response_modes[0] if asked is None else asked
    if mode not in profile.response_modes:
        raise OAuthRefusal("invalid_request", "response_mode isn't one that is supported here")
    return "query" if mode == "query" else "query.jwt"


def _scopes(parameters: Mapping[str, object], client: Client, *, has_details: bool) -> list[str]:
    asked = _text(parameters, "scope")
    if asked is None:
        if has_details:
            return []
        # Nobody is asked to allow everything that the client may.
        raise OAuthRefusal("invalid_scope", "scope is required")
    return rules.granted_scopes(asked, client.scopes)


_THUMBPRINT: Final = re.compile(r"[A-Za-z0-9_-]{43}")


def _thumbprint(parameters: Mapping[str, object]) -> str | None:
    jkt = _text(parameters, "dpop_jkt")
    if jkt is not None and not _THUMBPRINT.fullmatch(jkt):
        raise OAuthRefusal("invalid_request", "dpop_jkt isn't the SHA-256 thumbprint of a key")
    return jkt


def _prompt(parameters: Mapping[str, object]) -> list[Prompt]:
    asked = (_text(parameters, "prompt") or "").split()
    if not _PROMPTS.issuperset(asked):
        raise OAuthRefusal("invalid_request", "prompt holds a value that isn't supported")
    if "none" in asked and len(set(asked)) > 1:
        raise OAuthRefusal("invalid_request", "prompt=none can't stand beside another value")
    return [each for each in dict.fromkeys(asked) if each in _PROMPTS]  # type: ignore[misc]


_AGE: Final = re.compile(r"0|[1-9][0-9]{0,8}")


def _max_age(asked: object) -> int | None:
    if asked is None:
        return None
    if isinstance(asked, str) and _AGE.fullmatch(asked):
        return int(asked)
    if isinstance(asked, int) and not isinstance(asked, bool) and 0 <= asked < _LONGEST_AGE_S:
        return asked
    raise OAuthRefusal("invalid_request", "max_age must be a number of seconds")


_CLAIMS: Final = msgspec.json.Decoder(ClaimRequests)


def _claims(asked: object) -> ClaimRequests:
    if asked is None:
        return ClaimRequests()
    refusal = OAuthRefusal("invalid_request", "claims isn't a JSON object of the form that OpenID Connect names")
    try:
        text = asked.encode() if isinstance(asked, str) else msgspec.json.encode(asked)
        if len(text) > _LONGEST_CLAIMS:
            raise refusal
        claims = _CLAIMS.decode(text)
    except (msgspec.MsgspecError, TypeError, ValueError, RecursionError):
        raise refusal from None
    if len(claims.id_token) + len(claims.userinfo) > _MOST_CLAIMS:
        raise refusal
    acr = claims.id_token.get("acr")
    if acr is not None and not all(isinstance(each, str) for each in acr.accepted):
        # A class that isn't a text would count as none, and an essential one as if it hadn't been asked for.
        raise OAuthRefusal("invalid_request", "a class of sign-in (acr) must be a text")
    return claims


def _resources(asked: Sequence[str], audiences: frozenset[str]) -> list[str]:
    """Check each resource (RFC 8707, section 2)."""
    if len(asked) > _MOST_RESOURCES:
        raise OAuthRefusal("invalid_target", "there are too many resources")
    for each in asked:
        if each not in audiences:
            raise OAuthRefusal("invalid_target", "resource isn't an API of this server")
    return list(dict.fromkeys(asked))
