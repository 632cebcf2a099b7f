"""Card sessions over HTTP, and the pages at which cards are entered."""

from typing import Final
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit
from uuid import UUID

import msgspec

from billfold import errors, ids
from billfold.contract.card_sessions import CardSession, CardSessionStatus, CreateCardSession
from billfold.contract.common import CardSessionId
from billfold.ids import Prefix
from billfold_server.http.routing import Call, Link, Reply, Routes
from billfold_server.people.pages import forms
from billfold_server.people.pages.kit import MEDIA_TYPE, page_error, render
from billfold_server.tokens import card_sessions
from billfold_server.tokens import service as tokens

__all__ = ["page_routes", "routes"]

routes = Routes(
    tag="Card sessions",
    description="Pages and frames at which people enter cards, so that a partner's own pages never see one.",
)
page_routes = Routes(tag="Pages", description="Where people enter cards.", audience="tenant-public")

_FORM: Final = "application/x-www-form-urlencoded"
_UNPROCESSABLE: Final = 422
_LED_TO = (Link(operation_id="getCardSession", parameters={"card_session_id": "$response.body#/id"}),)


@routes.post(
    "/v1/card-sessions",
    scope="tokens:write",
    idempotency="optional",
    location="/v1/card-sessions/{id}",
    errors=(errors.NotFound, errors.CardDataNotAllowed),
    links=_LED_TO,
    examples={"request": {"return_url": "https://shop.example/checkout/cards"}},
)
async def create_card_session(call: Call, body: CreateCardSession) -> Reply[CardSession]:
    """Open a page at which somebody enters a card.

    Send a browser to `url`, or show `frame_url` in a frame of a page whose origin `embed_origins` names. The card is
    encrypted in that browser, and comes into the vault once. The page then leads to `return_url` with the session's id
    as `card_session`; a frame posts `{"type": "billfold.card_session.completed", "card_session": …}` to the page around
    it. Neither is proof: ask for the session, which has the token.
    """
    return await card_sessions.create(call, body)


@routes.get("/v1/card-sessions/{card_session_id}", scope="tokens:read", errors=(errors.NotFound,))
async def get_card_session(call: Call, card_session_id: CardSessionId) -> CardSession:
    """Show a card session, and the token of the card that was entered."""
    async with call.tx() as tx:
        return await card_sessions.get(call, tx, ids.decode(Prefix.CARD_SESSION, card_session_id))


# The pages. What comes here is a form with one field, which holds a JWE; whoever has the address may send it.


def _session_id(text: str) -> UUID | None:
    try:
        return ids.decode(Prefix.CARD_SESSION, text)
    except ids.InvalidIdError:
        return None


async def _show(
    call: Call, text: str, *, frame: bool, ui_locales: str | None, wrong: str | None = None
) -> Reply[bytes]:
    session_id = _session_id(text)
    session: CardSession | None = None
    if session_id is not None:
        async with call.tx() as tx:
            session = await card_sessions.find(call, tx, session_id)
    if session is None or (frame and not session.embed_origins):
        return page_error(call, "card.gone", status=404)
    if session.status is CardSessionStatus.COMPLETED:
        return _done(call, session, frame=frame, ui_locales=ui_locales)
    if session.status is CardSessionStatus.EXPIRED:
        return page_error(call, "card.gone", status=410)
    keys = await tokens.encryption_keys(call)
    here = f"{call.mount}/cards/{session.id}{'/frame' if frame else ''}"
    view = {
        "action": here,
        "here": None if frame else here,
        "frame": frame,
        "key": msgspec.json.encode(keys.keys[0]).decode(),
        "audience": keys.audience,
        "wrong": wrong,
    }
    return render(
        call,
        "card.html",
        view,
        status=200 if wrong is None else _UNPROCESSABLE,
        ui_locales=ui_locales,
        # Browsers hold where the form's answer leads to against this, too.
        form_to=() if session.return_url is None else (_origin(session.return_url),),
        script=True,
        framed_by=session.embed_origins if frame else (),
    )


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _done(call: Call, session: CardSession, *, frame: bool, ui_locales: str | None = None) -> Reply[bytes]:
    view = {
        "frame": frame,
        "session": session.id,
        "origins": " ".join(session.embed_origins),
        "back": None if session.return_url is None or frame else _back(session),
    }
    return render(
        call,
        "card_done.html",
        view,
        ui_locales=ui_locales,
        script=frame,
        framed_by=session.embed_origins if frame else (),
    )


def _back(session: CardSession) -> str:
    assert session.return_url is not None
    parts = urlsplit(session.return_url)
    query = [*parse_qsl(parts.query, keep_blank_values=True), ("card_session", session.id)]
    return urlunsplit(parts._replace(query=urlencode(query)))


async def _take(call: Call, text: str, body: bytes, *, frame: bool) -> Reply[bytes]:
    call.services.limits.check_address(call.peer)
    jwe = forms.read(body).get("jwe", "")
    session_id = _session_id(text)
    if session_id is None:
        return page_error(call, "card.gone", status=404)
    try:
        session = await card_sessions.complete(call, session_id, jwe)
    except (errors.KeysUnavailable, errors.NotFound):
        raise
    except errors.ProblemError as error:
        call.services.limits.count_failure(call.peer)
        wrong = error.code if error.code in _SAID else "other"
        return await _show(call, text, frame=frame, ui_locales=None, wrong=wrong)
    if session is None:
        return await _show(call, text, frame=frame, ui_locales=None)
    if session.return_url is not None and not frame:
        return Reply(status=303, headers={"Location": _back(session), "Cache-Control": "no-store"})
    return _done(call, session, frame=frame)


_SAID: Final = frozenset(
    {
        "card_brand_unknown",
        "card_cvc_invalid",
        "card_expired",
        "card_expiry_invalid",
        "card_holder_invalid",
        "card_number_invalid",
    }
)
"""Refusals for which the page has words of their own."""


@page_routes.get(
    "/cards/{card_session}", in_document=False, surface="page", response_media_type=MEDIA_TYPE, open_query=True
)
async def show_card_page(call: Call, card_session: str, *, ui_locales: str | None = None) -> Reply[bytes]:
    """Show the page at which a card is entered."""
    return await _show(call, card_session, frame=False, ui_locales=ui_locales)


@page_routes.post(
    "/cards/{card_session}", in_document=False, surface="page", response_media_type=MEDIA_TYPE, body_media_type=_FORM
)
async def take_card_of_page(call: Call, card_session: str, body: bytes) -> Reply[bytes]:
    """Take the card that was encrypted at the page."""
    return await _take(call, card_session, body, frame=False)


@page_routes.get(
    "/cards/{card_session}/frame", in_document=False, surface="page", response_media_type=MEDIA_TYPE, open_query=True
)
async def show_card_frame(call: Call, card_session: str, *, ui_locales: str | None = None) -> Reply[bytes]:
    """Show the frame at which a card is entered."""
    return await _show(call, card_session, frame=True, ui_locales=ui_locales)


@page_routes.post(
    "/cards/{card_session}/frame",
    in_document=False,
    surface="page",
    response_media_type=MEDIA_TYPE,
    body_media_type=_FORM,
)
async def take_card_of_frame(call: Call, card_session: str, body: bytes) -> Reply[bytes]:
    """Take the card that was encrypted in the frame."""
    return await _take(call, card_session, body, frame=True)
