# Generated from billfold/auth/_async/tokens.py by tests/sdk/generate_sync.py. Change that one instead.

"""What each request shows of who is asking: the client's credentials, its access token, and proofs of its keys."""

import copy
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

from billfold import errors
from billfold.auth import _jwt as jwt
from billfold.auth import _proofs as proofs
from billfold.auth._sync.authority import Authority
from billfold.auth.credentials import ClientAuthentication, TokenStore
from billfold.client import _forking as forking
from billfold.client._flow import Authorize, Call, Shown
from billfold.client._message import Response
from billfold.client._problems import token_error_of
from billfold.client._sync.backend import Lock, sign, turn
from billfold.keys.signer import Signer, bare

if TYPE_CHECKING:
    from billfold.client._sync.session import Session

__all__ = ["Credentials", "Tokens", "access", "ask"]


def signed(signer: Signer, claims: dict[str, Any], *, typ: str, header: dict[str, Any] | None = None) -> str:
    """Return claims as a token that a key has signed."""
    data = jwt.signing_input(signer, claims, typ=typ, header=header)
    return jwt.compact(data, sign(signer, data))


def proof(
    session: "Session",
    authority: Authority,
    signer: Signer,
    call: Call,
    url: str,
    *,
    token: str | None = None,
) -> str:
    """Return a DPoP proof for one attempt (RFC 9449, section 4)."""
    claims = proofs.proof(call.method, url, authority.now(session.kit), token=token, nonce=authority.nonces.get(url))
    return signed(signer, claims, typ="dpop+jwt", header={"jwk": bare(signer.public_jwk)})


def outdated(authority: Authority) -> Callable[[Response], bool]:
    """Return what tells whether a refusal has taught us something that the proof lacked: a nonce, or the time."""
    off_s = authority.clock.off_s

    def tells(response: Response) -> bool:
        refused = response.status in {400, 401}
        return refused and (authority.clock.has_moved(off_s) or proofs.asks_for_nonce(response))

    return tells


def access(session: "Session", auth: ClientAuthentication, authority: Authority, call: Call, token: str) -> Shown:
    """Return what shows an access token to the API, and that it is ours."""
    url = call.url
    if auth.certificate is not None:
        base = (authority.server(session)).mtls_base()
        if base is not None and url.startswith(f"{authority.base}/"):
            url = base + url.removeprefix(authority.base)
    headers = {"authorization": f"{auth.scheme} {token}"}
    if auth.dpop is None:
        return Shown(headers, token=token, url=url)
    tells = outdated(authority)
    headers["dpop"] = proof(session, authority, auth.dpop, call, url, token=token)
    return Shown(headers, token=token, url=url, outdated=tells)


class Credentials:
    """Shows the authorization server who the client is, anew on each attempt, with what it is asked.

    Args:
        auth: How the client proves who it is.
        authority: To whom.
        fields: What is asked, as a form.
        bound: Whether tokens are asked for, which are bound to the client's DPoP key.
    """

    def __init__(
        self, auth: ClientAuthentication, authority: Authority, fields: dict[str, Any], *, bound: bool
    ) -> None:
        self._auth = auth
        self._authority = authority
        self._fields = fields
        self._bound = bound

    def authorize(self, session: "Session", step: Authorize) -> Shown:
        """Return what one attempt shows."""
        auth, authority = self._auth, self._authority
        headers, fields = auth.headers(), {**self._fields, **auth.fields()}
        tells = outdated(authority)
        proven = False
        if auth.key is not None and auth.method == "private_key_jwt":
            proven = True
            claims = proofs.assertion(auth.client_id, authority.issuer, authority.now(session.kit))
            fields["client_assertion_type"] = proofs.ASSERTION_TYPE
            fields["client_assertion"] = signed(auth.key, claims, typ="JWT")
        if self._bound and auth.dpop is not None:
            proven = True
            headers["dpop"] = proof(session, authority, auth.dpop, step.call, step.call.url)
        body = urlencode(fields, doseq=True).encode()
        return Shown(headers, body=body, outdated=tells) if proven else Shown(headers, body=body)


def ask(
    session: "Session",
    credentials: Credentials,
    url: str,
    read: Callable[[bytes], Any],
    *,
    name: str | None = None,
    repeatable: bool = True,
    accept: str = "application/json",
    fail: Callable[[Response, float | None], errors.BillfoldError] = token_error_of,
) -> Any:
    """Ask the authorization server something, as the client.

    Raises:
        errors.AuthenticationFailed: It doesn't believe who is asking, or doesn't take what was sent.
        errors.BillfoldError: It can't be reached, or doesn't answer as it should.
    """
    call = Call(
        "POST",
        url,
        name=name or f"POST {urlsplit(url).path}",
        headers={
            "accept": accept,
            "content-type": "application/x-www-form-urlencoded",
            "user-agent": session.headers["user-agent"],
        },
        read=read,
        fail=fail,
        timeouts=session.timeouts,
        repeatable=repeatable,
        authorized=False,
        identity=credentials,
    )
    return session.run(call)


class Tokens:
    """Fetches access tokens, one request at a time, however many calls wait for one.

    Args:
        auth: What proves who is asking.
        authority: Who issues them.
        url: The token endpoint, for clients that needn't discover it.
    """

    def __init__(self, auth: ClientAuthentication, authority: Authority, url: str) -> None:
        self.auth = auth
        self.authority = authority
        self._url = url
        self._store = TokenStore()
        self._lock = Lock()
        forking.watch(self)

    def after_fork(self) -> None:
        """Replace the lock, which may have been held at that moment."""
        self._lock = Lock()

    def authorize(self, session: "Session", step: Authorize) -> Shown:
        """Return what one attempt of a call to the API shows."""
        token = self.get(session, step.refused)
        return access(session, self.auth, self.authority, step.call, token)

    def get(self, session: "Session", refused: str | None) -> str:
        """Return an access token that isn't the refused one.

        Raises:
            errors.AuthenticationFailed: The credentials aren't accepted.
            errors.BillfoldError: The token endpoint can't be reached, or doesn't answer as it should.
        """
        kit, store = session.kit, self._store
        token = store.current(refused, kit.monotonic())
        if token is not None:
            return token
        before = store.turn
        with turn(self._lock, session.timeouts.total_s):
            token = store.current(refused, kit.monotonic())
            if token is not None:
                return token
            error = store.failure_since(before)
            if error is not None:
                # A copy, because each waiter adds its own traceback.
                raise copy.copy(error)
            return self._fetch(session)

    def _fetch(self, session: "Session") -> str:
        now = session.kit.monotonic()
        credentials = Credentials(self.auth, self.authority, self.auth.form(), bound=True)
        try:
            url = self.endpoint(session)
            token = ask(session, credentials, url, lambda body: self.auth.read(body, now), name="POST /oauth/token")
            return self._store.keep(token)
        except errors.BillfoldError as error:
            self._store.fail(error)
            raise

    def endpoint(self, session: "Session") -> str:
        """Return where tokens are had."""
        if not self.auth.discovers:
            return self._url
        server = self.authority.server(session)
        return server.endpoint("token_endpoint", mtls=self.auth.certificate is not None)
