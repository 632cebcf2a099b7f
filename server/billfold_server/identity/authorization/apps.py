"""What a person has allowed apps, and how they take it back (RFC 9700, section 4.15; PSD2, article 64(3))."""

from typing import TYPE_CHECKING, Final

import msgspec

from billfold import ids
from billfold.ids import Prefix
from billfold_server.http.routing import Reply
from billfold_server.identity.authorization import responses
from billfold_server.identity.authorization.consent import words_for
from billfold_server.identity.clients.service import find_names
from billfold_server.identity.grants import consented
from billfold_server.identity.grants.service import find_grant, list_grants
from billfold_server.people.pages.kit import check_csrf, language_of, render, sign_in_address
from billfold_server.people.service import current_session
from billfold_server.tenancy.context import Caller

if TYPE_CHECKING:
    from collections.abc import Mapping

    from billfold_server.http.routing import Call

__all__ = ["END_REASON", "end", "show"]

END_REASON = "taken back by the user"
_PAGE: Final = 25
_PLACE: Final = "/oauth/apps"


class _Allowed(msgspec.Struct, frozen=True):
    """One consent, as the page shows it."""

    id: str
    app: str
    day: str
    lines: list[str]


async def show(call: "Call", before: str | None = None, ui_locales: str | None = None) -> Reply[bytes]:
    """Show a person what they have allowed, and to whom, the newest first, a page at a time.

    Args:
        call: The request.
        before: The consent after which to go on.
        ui_locales: The language that was chosen on the page.
    """
    try:
        after = None if before is None else ids.decode(Prefix.GRANT, before)
    except ids.InvalidIdError:
        after = None
    async with call.services.database.tx_of(call.tenant_or_none) as tx:
        session = await current_session(call, tx=tx)
        if session is None:
            return responses.go(sign_in_address(call, _PLACE))
        found = await list_grants(tx, user_id=session.user_id, before=after, limit=_PAGE + 1)
        grants = found[:_PAGE]
        names = await find_names(tx, {grant.client_id for grant in grants})
    language = language_of(call, ui_locales=ui_locales, preferred=session.language)
    allowed = [
        _Allowed(
            ids.encode(Prefix.GRANT, grant.id),
            names[grant.client_id],
            f"{grant.created_at:%Y-%m-%d}",
            words_for(grant.scopes, grant.details, language, of_their_own=session.login_realm == "psu"),
        )
        for grant in grants
        if grant.client_id in names
    ]
    here = f"{call.mount}{_PLACE}"
    more = f"{here}?before={ids.encode(Prefix.GRANT, grants[-1].id)}" if len(found) > _PAGE else None
    view = {"person": session, "apps": allowed, "here": here, "more": more}
    return render(call, "apps.html", view, ui_locales=ui_locales, preferred=session.language)


async def end(call: "Call", form: "Mapping[str, str]") -> Reply[bytes]:
    """Take a consent back, with everything that was issued by it.

    Args:
        call: The request.
        form: What the page's form holds.

    Raises:
        errors.PermissionDenied: The form isn't of a page that we have shown in this browser to this person.
    """
    check_csrf(call, form)
    now = call.services.clock.now()
    try:
        grant_id = ids.decode(Prefix.GRANT, form.get("grant", ""))
    except ids.InvalidIdError:
        return responses.go(f"{call.mount}{_PLACE}")
    async with call.services.database.tx_of(call.tenant_or_none) as tx:
        session = await current_session(call, tx=tx)
        grant = await find_grant(tx, grant_id)
        # Somebody else's is as unknown as one that never was.
        if session is not None and grant is not None and grant.user_id == session.user_id:
            actor = ids.encode(Prefix.USER, session.user_id)
            caller = Caller(actor=actor, client_id=grant.client_id, request_id=call.request_id)
            await consented.revoke(tx, grant_id, END_REASON, by="psu", now=now, caller=caller)
    return responses.go(f"{call.mount}{_PLACE}")
