# Generated from billfold/auth/_async/flow.py by tests/sdk/generate_sync.py. Change that one instead.

"""The authorization code flow, for web frameworks: begin, send the browser away, complete."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec

from billfold import errors
from billfold.auth import _jwt as jwt
from billfold.auth import id_tokens, sign_in
from billfold.auth._sync.tokens import Credentials, access, ask, signed
from billfold.auth.credentials import TokenAnswer
from billfold.auth.refusals import GrantInvalid, IdTokenInvalid, ResponseInvalid
from billfold.auth.sign_in import AuthorizationRequest, Pending, ResponseMode, UserTokens
from billfold.client._flow import Authorize, Call, Shown
from billfold.client._message import Response
from billfold.client._problems import token_error_of

if TYPE_CHECKING:
    from billfold.client._sync.client import Billfold, BillfoldPlatform
    from billfold.client._sync.session import Session

__all__ = ["AuthorizationFlow", "refresh"]

_SIGNED_INTROSPECTION = "application/token-introspection+jwt"


class AuthorizationFlow:
    """Signs users in at a tenant and gets tokens for them: PAR, PKCE and, where asked for, JAR and JARM.

    ::

        flow = AuthorizationFlow(billfold, redirect_uri="https://shop.example/callback")

        url, pending = flow.begin(scope="openid wallets:read")   # Keep pending.dump() in the session, redirect.
        tokens = flow.complete(Pending.load(text), request_url)  # At the callback.
        wallets = billfold.as_user(tokens).wallets

    It holds no state of a user's, so one serves a whole program. It shares the client's connections, keys and
    credentials, and what is known of the authorization server.

    Args:
        client: Whose ``auth`` says who is asking.
        redirect_uri: Where the answer comes to, as it is registered; ``begin`` may name another.
        response_mode: ``jwt`` has the answer signed by the server (JARM), as message signing asks.
        signed_request: Whether what is asked is signed by the client's key (JAR), as message signing asks.
        lifetime_s: How long the user may take.

    Raises:
        ValueError: Requests are to be signed, but the client has no key for that.
    """

    def __init__(
        self,
        client: "Billfold | BillfoldPlatform",
        *,
        redirect_uri: str | None = None,
        response_mode: ResponseMode = "query",
        signed_request: bool = False,
        lifetime_s: float = 900.0,
    ) -> None:
        self._session = client._session  # noqa: SLF001  # The flow is part of the client.
        self._auth = self._session.tokens.auth
        self._authority = self._session.tokens.authority
        if signed_request and self._auth.key is None:
            raise ValueError("to sign requests the client's auth needs a key")
        self._redirect_uri = redirect_uri
        self._response_mode: ResponseMode = response_mode
        self._signed_request = signed_request
        self._lifetime_s = lifetime_s

    def __repr__(self) -> str:
        return f"{type(self).__name__}(issuer={self._authority.issuer!r}, client_id={self._auth.client_id!r})"

    def begin(
        self,
        *,
        scope: str | None = None,
        authorization_details: Sequence[Mapping[str, Any]] | None = None,
        redirect_uri: str | None = None,
        resource: Sequence[str] = (),
        max_age_s: int | None = None,
        acr_values: Sequence[str] = (),
        intent_id: str | None = None,
        extra: Mapping[str, str] | None = None,
    ) -> AuthorizationRequest:
        """Push a request, and return where to send the browser and what to keep in its session meanwhile.

        Args:
            scope: What is asked for; with ``openid`` among it, who the user is; with ``offline_access``, to go on when
                the access token has ended, without the user.
            authorization_details: What in particular (RFC 9396).
            redirect_uri: Where the answer comes to, if elsewhere than usual.
            resource: For which API, where there are several (RFC 8707).
            max_age_s: How long ago the user may have signed in; they do it again otherwise.
            acr_values: How they have to; the ID token must name one of them.
            intent_id: Which consent of open banking they are asked for; the ID token must name it.
            extra: Other parameters, such as ``prompt``, ``login_hint`` or ``ui_locales``.

        Raises:
            errors.AuthenticationFailed: The authorization server refuses the request; ``oauth_error`` says why.
            errors.BillfoldError: It can't be reached, or isn't what it should be.
            ValueError: There is no redirect URI.
        """
        target = redirect_uri or self._redirect_uri
        if target is None:
            raise ValueError("redirect_uri isn't given, neither here nor to the flow")
        session, auth, authority = self._session, self._auth, self._authority
        server = authority.server(session)
        endpoint = server.endpoint("authorization_endpoint", mtls=False)
        now = authority.now(session.kit)
        pending = sign_in.begun(
            issuer=authority.issuer,
            client_id=auth.client_id,
            redirect_uri=target,
            now=now,
            lifetime_s=self._lifetime_s,
            scope=scope,
            response_mode=self._response_mode,
            dpop_jkt=auth.dpop_jkt,
            max_age_s=max_age_s,
            acr_values=acr_values,
            intent_id=intent_id,
        )
        asked = sign_in.parameters(
            pending, authorization_details=authorization_details, resource=resource, extra=extra or {}
        )
        if self._signed_request and auth.key is not None:
            claims = sign_in.request_object(asked, pending, now)
            asked = {"client_id": auth.client_id, "request": signed(auth.key, claims, typ="oauth-authz-req+jwt")}
        uri = self._ask("pushed_authorization_request_endpoint", sign_in.as_form(asked), sign_in.read_pushed)
        return AuthorizationRequest(sign_in.with_query(endpoint, client_id=auth.client_id, request_uri=uri), pending)

    def complete(self, pending: Pending, callback: str | Mapping[str, Any]) -> UserTokens:
        """Check what came back, and get the user's tokens for it.

        Use what was kept in the session of the browser that came, once: take it out of the session first.

        Args:
            pending: What was kept.
            callback: The address that was called, its query, or the framework's mapping of that.

        Raises:
            CallbackInvalid: What came doesn't belong to what was begun.
            SignInExpired: The user took too long.
            AuthorizationRefused: The authorization server says no.
            IdTokenInvalid: The ID token isn't accepted.
            GrantInvalid: The code isn't good any more.
            errors.BillfoldError: The authorization server can't be reached, or isn't what it should be.
        """
        session, auth, authority = self._session, self._auth, self._authority
        self._check_ours(pending)
        authority.server(session)
        now = authority.now(session.kit)
        sign_in.check_not_expired(pending, now)
        answer = sign_in.read_callback(callback)
        if sign_in.is_signed(pending, answer):
            answer = sign_in.of_signed(self._verified_answer(answer["response"]), pending, now)
        code = sign_in.code_of(answer, pending)
        fields = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": pending.redirect_uri,
            "code_verifier": pending.code_verifier,
        }
        # A code is good once, so that asking again after a lost answer would end what the first has begun.
        got: TokenAnswer = self._ask(
            "token_endpoint", fields, auth.read_answer, bound=True, repeatable=False, fail=grant_error_of
        )
        claims = self._claims(got, pending, code)
        return sign_in.received(got, pending, claims, now)

    def _check_ours(self, pending: Pending) -> None:
        """See that what was kept was begun by this client, with the key that it still has."""
        present = (self._authority.issuer, self._auth.client_id, self._auth.dpop_jkt)
        if (pending.issuer, pending.client_id, pending.dpop_jkt) != present:
            raise ResponseInvalid("the sign-in was begun by another client, or with another key")

    def _verified_answer(self, text: str) -> dict[str, Any]:
        problem: ResponseInvalid
        try:
            return self._authority.verified(self._session, text)
        except jwt.Rejected as rejection:
            problem = ResponseInvalid(f"the answer isn't accepted: {rejection.reason}")
        raise problem

    def _claims(self, got: TokenAnswer, pending: Pending, code: str) -> dict[str, Any]:
        """Return what the ID token says, which is there if and only if it was asked for."""
        if pending.nonce is None:
            return {}
        if got.id_token is None:
            raise IdTokenInvalid("absence")
        claims = verified_id_token(self._session, got.id_token)
        id_tokens.check(
            claims,
            pending,
            self._authority.now(self._session.kit),
            algorithm=jwt.unverified_header(got.id_token)["alg"],
            access_token=got.access_token,
            code=code,
        )
        return claims

    def refresh(self, tokens: UserTokens) -> UserTokens:
        """Return fresh tokens for a user's refresh token; a client ``as_user`` does that by itself.

        Raises:
            GrantInvalid: The refresh token isn't good any more, or there is none.
            IdTokenInvalid: The new ID token isn't of the same sign-in.
            errors.BillfoldError: The authorization server can't be reached, or isn't what it should be.
        """
        return refresh(self._session, tokens)

    def revoke(self, tokens: UserTokens) -> None:
        """End what the user has allowed: the refresh token, and its access tokens with it (RFC 7009).

        Where there is no refresh token, the access token alone is ended.

        Raises:
            errors.BillfoldError: The authorization server can't be reached, or refuses.
        """
        hint, token = ("access_token", tokens.access_token)
        if tokens.refresh_token is not None:
            hint, token = ("refresh_token", tokens.refresh_token)
        self._ask("revocation_endpoint", {"token": token, "token_type_hint": hint}, _nothing)

    def introspect(self, token: str, *, signed_answer: bool = False) -> dict[str, Any]:
        """Return what the authorization server knows of a token (RFC 7662); ``active`` tells whether it is good.

        Args:
            token: An access token or a refresh token.
            signed_answer: Whether the answer is to be signed (RFC 9701), so that it can be shown to others.

        Raises:
            ResponseInvalid: The signed answer isn't the server's, or not for this client.
            errors.BillfoldError: The authorization server can't be reached, or refuses.
        """
        fields = {"token": token}
        if not signed_answer:
            told: dict[str, Any] = self._ask("introspection_endpoint", fields, _read_object)
            return told
        text = self._ask("introspection_endpoint", fields, _read_text, accept=_SIGNED_INTROSPECTION)
        problem: ResponseInvalid
        try:
            claims = self._authority.verified(self._session, text, typ=["token-introspection+jwt"])
        except jwt.Rejected as rejection:
            problem = ResponseInvalid(f"the answer isn't accepted: {rejection.reason}")
        else:
            about = claims.get("token_introspection")
            ours = claims.get("aud") in (self._auth.client_id, [self._auth.client_id])
            if claims.get("iss") == self._authority.issuer and ours and isinstance(about, dict):
                return about
            problem = ResponseInvalid("the answer is another server's, or meant for another client")
        raise problem

    def userinfo(self, tokens: UserTokens) -> dict[str, Any]:
        """Return what the authorization server tells about the user (OpenID Connect Core, section 5.3).

        Raises:
            ResponseInvalid: It tells about someone else (section 5.3.2).
            errors.BillfoldError: It can't be reached, or refuses.
        """
        session = self._session
        server = self._authority.server(session)
        url = server.endpoint("userinfo_endpoint", mtls=self._auth.certificate is not None)
        call = Call(
            "GET",
            url,
            name=f"GET {urlsplit(url).path}",
            headers={"accept": "application/json", "user-agent": session.headers["user-agent"]},
            read=_read_object,
            timeouts=session.timeouts,
            authorized=False,
            identity=_Shows(tokens.access_token),
        )
        claims: dict[str, Any] = session.run(call)
        if tokens.subject is not None and claims.get("sub") != tokens.subject:
            raise ResponseInvalid("the answer is about another user")
        return claims

    def sign_out_url(self, tokens: UserTokens, *, redirect_uri: str | None = None, state: str = "") -> str:
        """Return where to send the browser to sign the user out at the tenant as well.

        Args:
            tokens: The user's.
            redirect_uri: Where the browser comes back to, as it is registered.
            state: What comes back with it.

        Raises:
            DiscoveryFailed: The tenant has no such page.
        """
        server = self._authority.server(self._session)
        url = server.endpoint("end_session_endpoint", mtls=False)
        given = {
            "client_id": tokens.client_id,
            "id_token_hint": tokens.id_token,
            "post_logout_redirect_uri": redirect_uri,
            "state": state,
        }
        return sign_in.with_query(url, **{name: value for name, value in given.items() if value})

    def _ask(
        self,
        endpoint: str,
        fields: Mapping[str, Any],
        read: Callable[[bytes], Any],
        *,
        bound: bool = False,
        repeatable: bool = True,
        accept: str = "application/json",
        fail: Callable[[Response, float | None], errors.BillfoldError] = token_error_of,
    ) -> Any:
        server = self._authority.server(self._session)
        url = server.endpoint(endpoint, mtls=self._auth.certificate is not None)
        credentials = Credentials(self._auth, self._authority, dict(fields), bound=bound)
        return ask(self._session, credentials, url, read, repeatable=repeatable, accept=accept, fail=fail)


class _Shows:
    """Shows one access token, good or not."""

    def __init__(self, token: str) -> None:
        self._token = token

    def authorize(self, session: "Session", step: Authorize) -> Shown:
        """Return what one attempt shows."""
        tokens = session.tokens
        shown = access(session, tokens.auth, tokens.authority, step.call, self._token)
        # There is no other to try, so that a refusal is final.
        shown.token = None
        return shown


def verified_id_token(session: "Session", text: str) -> dict[str, Any]:
    """Return what an ID token says, once its signature is verified.

    Raises:
        IdTokenInvalid: It isn't the server's.
    """
    try:
        return session.tokens.authority.verified(session, text)
    except jwt.Rejected:
        problem = IdTokenInvalid("signature")
    raise problem


def refresh(session: "Session", tokens: UserTokens) -> UserTokens:
    """Return fresh tokens for a user's refresh token."""
    auth, authority = session.tokens.auth, session.tokens.authority
    if tokens.refresh_token is None:
        raise GrantInvalid("there is no refresh token; the user has to sign in again", oauth_error="invalid_grant")
    fields = {"grant_type": "refresh_token", "refresh_token": tokens.refresh_token}
    server = authority.server(session)
    url = server.endpoint("token_endpoint", mtls=auth.certificate is not None)
    asked_at = authority.now(session.kit)
    credentials = Credentials(auth, authority, fields, bound=True)
    got: TokenAnswer = ask(session, credentials, url, auth.read_answer, fail=grant_error_of)
    claims = None
    if got.id_token is not None:
        claims = verified_id_token(session, got.id_token)
        id_tokens.check_refreshed(claims, tokens, authority.now(session.kit))
    return sign_in.refreshed(got, tokens, claims, asked_at)


def grant_error_of(response: Response, asked_s: float | None = None) -> errors.BillfoldError:
    """Return the error for a refusal of the token endpoint, where a code or a refresh token may be to blame."""
    error = token_error_of(response, asked_s)
    if not isinstance(error, errors.ProblemError) or error.facts.get("oauth_error") != "invalid_grant":
        return error
    invalid = GrantInvalid(error.detail)
    invalid.facts.update(error.facts)
    invalid.status, invalid.request_id = error.status, error.request_id
    return invalid


def _nothing(_body: bytes) -> None:
    return None


def _read_text(body: bytes) -> str:
    return body.decode("ascii", errors="replace").strip()


def _read_object(body: bytes) -> dict[str, Any]:
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise errors.MalformedAnswer("the answer isn't an object in JSON") from None
