"""The consent page: what a client asks, in plain words and in the person's language."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode, urlsplit

import msgspec

from billfold_server.http.routing import Reply
from billfold_server.identity.authorization import authority, choosing, details
from billfold_server.identity.authorization import journey as journeys
from billfold_server.identity.authorization.interactions import Interaction
from billfold_server.identity.authorization.parameters import AuthorizationRequest
from billfold_server.identity.clients.rows import Client
from billfold_server.people.pages.kit import language_of, render, root_of
from billfold_server.people.pages.words import amount_text, kind_text, text_of, vocabulary
from billfold_server.people.service import Session

if TYPE_CHECKING:
    from billfold_server.http.routing import Call
    from billfold_server.identity.authorization.journey import Found

__all__ = ["RESUME", "Asked", "address_of", "page", "page_of_consent", "sign_in_at", "words_for"]

RESUME: Final = "/oauth/authorize/resume"
_WRONG: Final = 422
_DECISION: Final = "/oauth/authorize/decision"


class Asked(msgspec.Struct, frozen=True):
    """What a browser has brought, and for which client.

    Attributes:
        interaction_id: As it stands in addresses.
        interaction: The interaction.
        client: Who asks, trusted.
    """

    interaction_id: str
    interaction: Interaction
    client: Client

    @property
    def request(self) -> AuthorizationRequest:
        """Return what is asked."""
        return self.interaction.pushed.request


def address_of(call: "Call", interaction_id: str) -> str:
    """Return the address at which an interaction goes on."""
    return f"{call.mount}{RESUME}?{urlencode({'interaction': interaction_id})}"


def sign_in_at(call: "Call", asked: Asked) -> str:
    """Return where the person signs in."""
    return f"{root_of(call, asked.client.login_realm)}/sign-in?{urlencode({'interaction': asked.interaction_id})}"


def page(call: "Call", asked: Asked, session: Session, *, ui_locales: str | None, over: bool = False) -> Reply[bytes]:
    """Show what is asked, to who is to answer; ``over`` says that their approval holds for nothing any more."""
    request = asked.request
    preferred = request.ui_locales or session.language
    to = urlsplit(request.redirect_uri)
    view = {
        "interaction": asked.interaction_id,
        "client": asked.client,
        "over": over,
        "place": to.hostname or f"{to.scheme}:",
        "lines": words_for(
            authority.allowed_scopes(request, session),
            request.details,
            language_of(call, ui_locales=ui_locales, preferred=preferred),
            of_their_own=session.login_realm == "psu",
        ),
        "payment": details.payment_among(request.details),
        "amount": amount_text,
        "kind": kind_text,
        "person": session,
        "here": address_of(call, asked.interaction_id),
        "instead": sign_in_at(call, asked),
        "decide": f"{call.mount}{_DECISION}",
    }
    # The client's page may send the browser on to anywhere, and browsers hold that against the form.
    return render(call, "consent.html", view, ui_locales=ui_locales, preferred=preferred, form_to=None)


def page_of_consent(
    call: "Call",
    asked: Asked,
    session: Session,
    found: "Found",
    *,
    ui_locales: str | None,
    complaint: str | None = None,
    over: bool = False,
) -> Reply[bytes]:
    """Show a consent of open banking to who is to answer, with the accounts among which they choose.

    Args:
        call: The request.
        asked: What the browser has brought.
        session: Who is to answer.
        found: The consent.
        ui_locales: The language that was chosen on the page.
        complaint: How many accounts would have to be chosen, where too few or too many were.
        over: Whether the approval that was begun on the next page holds for nothing any more.
    """
    preferred = asked.request.ui_locales or session.language
    language = language_of(call, ui_locales=ui_locales, preferred=preferred)
    to, sheet = urlsplit(asked.request.redirect_uri), found.sheet(language)
    view = {
        "interaction": asked.interaction_id,
        "client": asked.client,
        "place": to.hostname or f"{to.scheme}:",
        "sheet": sheet,
        "ticket": journeys.ticket_of(call, asked, sheet, language),
        "finder": found.finder,
        "most": choosing.MOST,
        "complaint": complaint,
        "over": over,
        "person": session,
        "here": address_of(call, asked.interaction_id),
        "instead": sign_in_at(call, asked),
        "decide": f"{call.mount}{_DECISION}",
    }
    status = 200 if complaint is None else _WRONG
    name = "open_banking_consent.html"
    return render(call, name, view, status=status, ui_locales=ui_locales, preferred=preferred, form_to=None)


def words_for(
    scopes: Iterable[str],
    given: Iterable[Mapping[str, Any]],
    language: str,
    *,
    of_their_own: bool,
) -> list[str]:
    """Return what is asked in a language's words: what scopes allow, and details.

    Claims about a person that are asked for by name have no line: a scope tells of them, or nobody does.

    A customer's scopes open what is their own alone, and say so; where details choose wallets, those are said instead.

    Args:
        scopes: As they stand in the grant.
        given: Authorization details that were checked once; a type that is no longer there is passed over.
        language: Of the page.
        of_their_own: Whether the person is a customer.
    """
    known, given = vocabulary(language), list(given)
    chosen = of_their_own and any(each["type"] == "wallet_access" for each in given)
    shown = [scope for scope in scopes if scope != "openid" and not (chosen and scope == "wallets:read")]
    lines = [_words_of(known, language, scope, of_their_own=of_their_own) for scope in shown]
    there = [each for each in given if each["type"] in details.kinds()]
    lines += [text_of(language, line.text, **line.facts) for each in there for line in details.describe(each)]
    return list(dict.fromkeys(lines))


def _words_of(known: Mapping[str, str], language: str, scope: str, *, of_their_own: bool) -> str:
    name = scope.replace(":", "_")
    keys = [f"consent.own_{name}"] if of_their_own else []
    found = next((known[key] for key in (*keys, f"consent.scope_{name}") if key in known), None)
    return text_of(language, "consent.other", scope=scope) if found is None else found
