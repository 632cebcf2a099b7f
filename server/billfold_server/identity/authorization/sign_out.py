"""Sign-out that an app begins (OpenID Connect RP-Initiated Logout 1.0).

The app sends the browser here, and the person is asked, for a link alone must not end anybody's session. Where the
browser goes afterwards is one of the addresses that the app has registered for it, to the character; whatever else it
brings gets a page of ours.
"""

from typing import TYPE_CHECKING, Any, Final

import msgspec

from billfold import ids
from billfold.ids import Prefix
from billfold_server.http.routing import Reply
from billfold_server.identity import jose
from billfold_server.identity.authorization import redirects, responses
from billfold_server.identity.authorization.parameters import LONGEST_STATE
from billfold_server.identity.clients.rows import Client
from billfold_server.identity.clients.service import find as find_client
from billfold_server.identity.jose import SignatureInvalid
from billfold_server.people.pages.kit import check_csrf, page_error, render, root_of
from billfold_server.people.service import current_session, end_current_session

if TYPE_CHECKING:
    from collections.abc import Mapping

    from billfold_server.http.routing import Call

__all__ = ["ask", "decide"]

_PARAMETERS: Final = ("id_token_hint", "client_id", "post_logout_redirect_uri", "state")
_LONGEST: Final = 8192
_ID_TOKEN: Final = ("jwt", None)


class _Refused(Exception):
    """What was brought isn't right; nobody is sent anywhere for it."""


class _Leaving(msgspec.Struct, frozen=True, kw_only=True):
    """What an app asks, checked.

    Attributes:
        client: Which app, where it said so.
        to: Where the browser goes afterwards, where it is to go anywhere.
    """

    client: Client | None
    to: str | None


async def ask(call: "Call", parameters: "Mapping[str, str]") -> Reply[bytes]:
    """Ask the person who is signed in; send everybody else on at once.

    Args:
        call: The request.
        parameters: From the query or a form.
    """
    try:
        leaving = await _read(call, parameters)
    except _Refused:
        return page_error(call, "consent.out_link", status=400)
    realm = None if leaving.client is None else leaving.client.login_realm
    session = await current_session(call, realm)
    if session is None:
        return responses.go(leaving.to or f"{root_of(call, realm)}/signed-out")
    view = {
        "person": session,
        "client": leaving.client,
        "fields": {name: parameters[name] for name in _PARAMETERS if name in parameters},
        "decide": f"{call.mount}/oauth/end-session/decision",
    }
    # The app's page may send the browser on to anywhere, and browsers hold that against the form.
    return render(call, "end_session.html", view, form_to=None, preferred=session.language)


async def decide(call: "Call", form: "Mapping[str, str]") -> Reply[bytes]:
    """End the session, if the person wants it, and send the browser on.

    Args:
        call: The request.
        form: What the page's form holds; all of it is checked again.

    Raises:
        errors.PermissionDenied: The form isn't of a page that we have shown in this browser.
    """
    check_csrf(call, form)
    try:
        leaving = await _read(call, form)
    except _Refused:
        return page_error(call, "consent.out_link", status=400)
    realm = None if leaving.client is None else leaving.client.login_realm
    if form.get("decision") != "leave":
        return responses.go(f"{root_of(call, realm)}/account")
    return responses.go(
        leaving.to or f"{root_of(call, realm)}/signed-out", cookies=await end_current_session(call, realm)
    )


async def _read(call: "Call", parameters: "Mapping[str, str]") -> _Leaving:
    """Check what was brought (section 2).

    Raises:
        _Refused: It isn't right.
    """
    hint, named = parameters.get("id_token_hint"), parameters.get("client_id")
    told = None if hint is None else await _read_hint(call, hint)
    if told is not None and named is not None and told.client_id != named:
        raise _Refused
    to = parameters.get("post_logout_redirect_uri")
    # Who only names a client, without anything that only the client knows, is told nothing of whether there is one.
    proven = told is not None and told.verified
    wanted = (named if told is None else told.client_id) if proven or to is not None else None
    client = None if wanted is None else await _client(call, wanted)
    if wanted is not None and client is None:
        raise _Refused
    if to is None:
        return _Leaving(client=client, to=None)
    if client is None or to not in client.post_logout_redirect_uris:
        raise _Refused
    state = parameters.get("state")
    if state is not None and len(state) > LONGEST_STATE:
        raise _Refused
    return _Leaving(client=client, to=to if state is None else redirects.with_parameters(to, {"state": state}))


class _Hint(msgspec.Struct, frozen=True):
    """For whom an ID token was made, as it says, and whether that was seen by its signature."""

    client_id: str
    verified: bool


async def _read_hint(call: "Call", hint: str) -> _Hint:
    """Return for whom an ID token of ours was made; it may have expired (section 4).

    People stay signed in for longer than a key verifies after it was replaced or withdrawn. What can't be verified any
    more for that is worth as much as a client that is merely named, which suffices to lead to an address of its own.
    """
    realm = call.services.identity.realm(call.tenant_or_none)
    try:
        token = jose.read(hint if len(hint) <= _LONGEST else "")
        public = await call.services.identity.signing.public_key(realm, token.kid or "")
        claims: dict[str, Any] = token.claims
        if public is not None:
            claims = jose.verify(token, public.key, alg=public.algorithm, types=_ID_TOKEN)
    except SignatureInvalid:
        raise _Refused from None
    audience = claims.get("aud")
    if claims.get("iss") != realm.issuer or not isinstance(audience, str):
        raise _Refused
    return _Hint(audience, verified=public is not None)


async def _client(call: "Call", client_id: str) -> Client | None:
    try:
        key = ids.decode(Prefix.CLIENT, client_id)
    except ids.InvalidIdError:
        return None
    async with call.services.database.tx_of(call.tenant_or_none) as tx:
        client = await find_client(tx, key)
    return client if client is not None and client.is_let_in else None
