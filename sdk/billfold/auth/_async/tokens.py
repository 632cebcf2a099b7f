"""What each request shows of who is asking: the client's credentials, its access token, and proofs of its keys."""

import copy
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

from billfold import errors
from billfold.auth import _jwt as jwt
from billfold.auth import _proofs as proofs
from billfold.auth._async.authority import AsyncAuthority
from billfold.auth.credentials import ClientAuthentication, TokenStore
from billfold.client import _forking as forking
from billfold.client._async.backend import Lock, sign, turn
from billfold.client._flow import Authorize, Call, Shown
from billfold.client._message import Response
from billfold.client._problems import token_error_of
from billfold.keys.signer import Signer, bare

if TYPE_CHECKING:
    from billfold.client._async.session import AsyncSession

__all__ = ["AsyncCredentials", "AsyncTokens", "access", "ask"]


async def signed(signer: Signer, claims: dict[str, Any], *, typ: str, header: dict[str, Any] | None = None) -> str:
    """Return claims as a token that a key has signed."""
    data = jwt.signing_input(signer, claims, typ=typ, header=header)
    return jwt.compact(data, await sign(signer, data))


async def proof(
    session: "AsyncSession",
    authority: AsyncAuthority,
    signer: Signer,
    call: Call,
    url: str,
    *,
    token: str | None = None,
) -> str:
    """Return a DPoP proof for one attempt (RFC 9449, section 4)."""
    claims = proofs.proof(call.method, url, authority.now(session.kit), token=token, nonce=authority.nonces.get(url))
    return await signed(signer, claims, typ="dpop+jwt", header={"jwk": bare(signer.public_jwk)})


def outdated(authority: AsyncAuthority) -> Callable[[Response], bool]:
    """Return what tells whether a refusal has taught us something that the proof lacked: a nonce, or the time."""
    off_s = authority.clock.off_s

    def tells(response: Response) -> bool:
        refused = response.status in {400, 401}
        return refused and (authority.clock.has_moved(off_s) or proofs.asks_for_nonce(response))

    return tells


async def access(
    session: "AsyncSession", auth: ClientAuthentication, authority: AsyncAuthority, call: Call, token: str
) -> Shown:
    """Return what shows an access token to the API, and that it is ours."""
    url = call.url
    if auth.certificate is not None:
        base = (await authority.server(session)).mtls_base()
        if base is not None and url.startswith(f"{authority.base}/"):
            url = base + url.removeprefix(authority.base)
    headers = {"authorization": f"{auth.scheme} {token}"}
    if auth.dpop is None:
        return Shown(headers, token=token, url=url)
    tells = outdated(authority)
    headers["dpop"] = await proof(session, authority, auth.dpop, call, url, token=token)
    return Shown(headers, token=token, url=url, outdated=tells)


class AsyncCredentials:
    """Shows the authorization server who the client is, anew on each attempt, with what it is asked.

    Args:
        auth: How the client proves who it is.
        authority: To whom.
        fields: What is asked, as a form.
        bound: Whether tokens are asked for, which are bound to the client's DPoP key.
    """

    def __init__(
        self, auth: ClientAuthentication, authority: AsyncAuthority, fields: dict[str, Any], *, bound: bool
    ) -> None:
        self._auth = auth
        self._authority = authority
        self._fields = fields
        self._bound = bound

    async def authorize(self, session: "AsyncSession", step: Authorize) -> Shown:
        """Return what one attempt shows."""
        auth, authority = self._auth, self._authority
        headers, fields = auth.headers(), {**self._fields, **auth.fields()}
        tells = outdated(authority)
        proven = False
        if auth.key is not None and auth.method == "private_key_jwt":
            proven = True
            claims = proofs.assertion(auth.client_id, authority.issuer, authority.now(session.kit))
            fields["client_assertion_type"] = proofs.ASSERTION_TYPE
            fields["client_assertion"] = await signed(auth.key, claims, typ="JWT")
        if self._bound and auth.dpop is not None:
            proven = True
            headers["dpop"] = await proof(session, authority, auth.dpop, step.call, step.call.url)
        body = urlencode(fields, doseq=True).encode()
        return Shown(headers, body=body, outdated=tells) if proven else Shown(headers, body=body)


async def ask(
    session: "AsyncSession",
    credentials: AsyncCredentials,
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
    return await session.run(call)


class AsyncTokens:
    """Fetches access tokens, one request at a time, however many calls wait for one.

    Args:
        auth: What proves who is asking.
        authority: Who issues them.
        url: The token endpoint, for clients that needn't discover it.
    """

    def __init__(self, auth: ClientAuthentication, authority: AsyncAuthority, url: str) -> None:
        self.auth = auth
        self.authority = authority
        self._url = url
        self._store = TokenStore()
        self._lock = Lock()
        forking.watch(self)

    def after_fork(self) -> None:
        """Replace the lock, which may have been held at that moment."""
        self._lock = Lock()

    async def authorize(self, session: "AsyncSession", step: Authorize) -> Shown:
        """Return what one attempt of a call to the API shows."""
        token = await self.get(session, step.refused)
        return await access(session, self.auth, self.authority, step.call, token)

    async def get(self, session: "AsyncSession", refused: str | None) -> str:
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
        async with turn(self._lock, session.timeouts.total_s):
            token = store.current(refused, kit.monotonic())
            if token is not None:
                return token
            error = store.failure_since(before)
            if error is not None:
                # A copy, because each waiter adds its own traceback.
                raise copy.copy(error)
            return await self._fetch(session)

    async def _fetch(self, session: "AsyncSession") -> str:
        now = session.kit.monotonic()
        credentials = AsyncCredentials(self.auth, self.authority, self.auth.form(), bound=True)
        try:
            url = await self.endpoint(session)
            token = await ask(
                session, credentials, url, lambda body: self.auth.read(body, now), name="POST /oauth/token"
            )
            return self._store.keep(token)
        except errors.BillfoldError as error:
            self._store.fail(error)
            raise

    async def endpoint(self, session: "AsyncSession") -> str:
        """Return where tokens are had."""
        if not self.auth.discovers:
            return self._url
        server = await self.authority.server(session)
        return server.endpoint("token_endpoint", mtls=self.auth.certificate is not None)
