"""Who has access: what a customer has allowed third parties, what was used of it, and how they take it back.

Pages of the bank's own, which need no script. The names are those under which the third parties are registered; where
a software statement has vouched for them, it is what that says (PSD2, article 64(3); RTS on SCA, article 36).
"""

import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Hashable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode
from uuid import UUID

import msgspec

from billfold import errors, ids
from billfold.ids import Prefix
from billfold_server.consents import service as consents
from billfold_server.http.routing import Reply
from billfold_server.identity.authorization import responses, sheets
from billfold_server.identity.authorization.sheets import Words
from billfold_server.identity.clients.service import find_clients
from billfold_server.people.pages.kit import (
    Instead,
    check_csrf,
    language_of,
    page_error,
    render,
    root_of,
    sign_in_address,
)
from billfold_server.people.pages.words import vocabulary
from billfold_server.people.service import Session, current_session
from billfold_server.tenancy.clock import tenant_now
from billfold_server.tenancy.context import Caller, Own
from billfold_server.wallets import service as wallets

if TYPE_CHECKING:
    from billfold_server.consents.service import Consent, Step, Use
    from billfold_server.http.routing import Call
    from billfold_server.identity.clients.service import Client
    from billfold_server.tenancy.manifest import OpenBanking
    from billfold_server.tenancy.transaction import TenantTx

__all__ = ["confirm", "end", "show", "show_one"]

_PAGE: Final = 25
_MOST: Final = 50
_REASON: Final = "taken back by the customer"
_OPEN: Final = frozenset({"AUTH"})
_PAYING: Final = frozenset({"domestic_payment", "domestic_vrp"})
_PLACE: Final = "/oauth/consents"
_ENDINGS: Final = ("Basic", "Detail")


class _Row(msgspec.Struct, frozen=True):
    """One consent in the list."""

    id: str
    what: str
    status: str
    about: list[str]
    open: bool


class _Group(msgspec.Struct, frozen=True):
    """The consents of one third party's software.

    Attributes:
        name: How it is called.
        organisation: Who runs it.
        client_id: One of its registrations, on the wire.
        rows: The consents.
        mark: By what it is told from another that is called the same, and isn't known to be the same.
    """

    name: str
    organisation: str | None
    client_id: str
    rows: list[_Row]
    mark: str | None = None


_UNPROVEN: Final = frozenset({"open", "partner"})
"""Who may say by themselves which software theirs is."""


def _software_of(client: "Client") -> Hashable:
    """Return by what registrations of one software are known as one; nobody gets below another's heading by a claim.

    A partner's people register its programs themselves, so what these say of themselves counts among them alone.
    """
    if client.software_id is None or client.registered_by in _UNPROVEN:
        return client.id
    return client.partner_id, client.registered_by, client.organisation_id, client.software_id


def _told_apart(groups: Sequence[_Group]) -> list[_Group]:
    """Return groups of which those that are called the same have a mark."""
    called = Counter((each.name, each.organisation) for each in groups)
    return [
        msgspec.structs.replace(each, mark=f"…{each.client_id[-6:]}")
        if called[each.name, each.organisation] > 1
        else each
        for each in groups
    ]


@contextlib.asynccontextmanager
async def _admitted(call: "Call", back: str = _PLACE) -> "AsyncIterator[tuple[TenantTx, Session, UUID]]":
    """Open the tenant's transaction, and return with it the customer who is signed in, with their party.

    Args:
        call: The request.
        back: The page, below the tenant's address, to which a sign-in leads back.

    Raises:
        Instead: Nobody is, or they have come by a recovery code, by which nothing is seen here.
    """
    async with call.services.database.tx(call.tenant) as tx:
        session = await current_session(call, "psu", tx=tx)
        if session is not None and session.party_id is not None and not session.is_recovered:
            yield tx, session, session.party_id
            return
    # Who is signed in already would come back from signing in at once.
    raise Instead(responses.go(sign_in_address(call, back) if session is None else f"{root_of(call)}/account"))


async def show(call: "Call", before: str | None = None, ui_locales: str | None = None) -> Reply[bytes]:
    """Show what a customer has allowed, by third party, the newest first, a page at a time.

    Args:
        call: The request.
        before: The consent after which to go on.
        ui_locales: The language that was chosen on the page.
    """
    async with _admitted(call) as (tx, session, party_id):
        found = await consents.list_of_psu(tx, party_id, before=_id(before), limit=_PAGE + 1)
        shown, now = found[:_PAGE], await tenant_now(tx)
        clients = await find_clients(tx, {each.client_id for each in shown})
        last = await consents.last_uses(tx, [each.id for each in shown])
    say = Words(language_of(call, ui_locales=ui_locales, preferred=session.language))
    groups: dict[Hashable, _Group] = {}
    for each in shown:
        client = clients.get(each.client_id)
        name, organisation = ("?", None) if client is None else (client.name, client.organisation)
        key = each.client_id if client is None else _software_of(client)
        group = groups.setdefault(key, _Group(name, organisation, ids.encode(Prefix.CLIENT, each.client_id), []))
        group.rows.append(_row(say, each, last.get(each.id), now))
    here = f"{call.mount}{_PLACE}"
    view = {
        "person": session,
        "groups": _told_apart(list(groups.values())),
        "here": here,
        "more": f"{here}?before={shown[-1].wire_id}" if len(found) > _PAGE else None,
    }
    return render(call, "open_banking_consents.html", view, ui_locales=ui_locales, preferred=session.language)


def _row(say: Words, consent: "Consent", used_at: datetime | None, now: datetime) -> _Row:
    about = [say("board_given", day=say.day(consent.authorised_at or consent.created_at))]
    if consent.ended_at is not None:
        about.append(say("board_ended", day=say.day(consent.ended_at)))
    elif consent.kind != "domestic_payment":
        about.append(say("board_until", day=say.last_day(consent.ends_at)))
    about.append(say("board_unused") if used_at is None else say("board_last", day=say.day(used_at)))
    status = _status(say, consent, now)
    return _Row(consent.wire_id, say(f"kind_{consent.kind}"), status, about, consent.status in _OPEN)


def _status(say: Words, consent: "Consent", now: datetime) -> str:
    again = consent.status == "AUTH" and consent.reauthenticate_by is not None and now >= consent.reauthenticate_by
    return say("status_again" if again else f"status_{consent.status}")


class _Seen(msgspec.Struct, frozen=True):
    """One consent of a customer's own, with what is told of it."""

    session: Session
    consent: "Consent"
    client: str
    organisation: str | None
    history: Sequence["Step"] = ()
    uses: Sequence["Use"] = ()
    wallets: Sequence[Any] = ()
    now: datetime | None = None


async def _find(
    call: "Call", consent: str | None, uses_before: str | None = None, steps_after: str | None = None
) -> _Seen:
    """Return a customer's own consent with what is told of it.

    Raises:
        Instead: There is none; somebody else's is as unknown as one that never was.
    """
    consent_id = _id(consent)
    back = _PLACE if consent_id is None else f"{_PLACE}/one?consent={consent}"
    async with _admitted(call, back) as (tx, session, party_id):
        found = None if consent_id is None else await consents.find(tx, consent_id)
        if found is not None and found.party_id == party_id:
            client = (await find_clients(tx, {found.client_id})).get(found.client_id)
            own = Own(party_id=party_id, balances_of=frozenset(found.wallet_ids))
            return _Seen(
                session=session,
                consent=found,
                client="?" if client is None else client.name,
                organisation=None if client is None else client.organisation,
                history=await consents.list_history(tx, found.id, after=_step_in(steps_after), limit=_MOST + 1),
                uses=await consents.list_uses(tx, found.id, before=_use_in(uses_before), limit=_MOST + 1),
                wallets=await wallets.list_wallets(
                    tx, limit=len(found.wallet_ids), before=None, party_id=None, status=None, alias=None, own=own
                ),
                now=await tenant_now(tx),
            )
    raise Instead(page_error(call, "error.404", status=404))


async def show_one(
    call: "Call",
    consent: str | None,
    ui_locales: str | None = None,
    *,
    done: bool = False,
    uses_before: str | None = None,
    steps_after: str | None = None,
) -> Reply[bytes]:
    """Show one consent: what was allowed, what was used and when, and what has happened to it, a page at a time.

    Args:
        call: The request.
        consent: Which, ``con_…``.
        uses_before: The use after which to go on; the last comes first.
        steps_after: What has happened after which to go on; the first comes first.
        ui_locales: The language that was chosen on the page.
        done: Whether it was taken back just now.

    Raises:
        errors.KeysUnavailable: What was asked for can't be opened now.
    """
    seen = await _find(call, consent, uses_before, steps_after)
    here = f"{call.mount}{_PLACE}/one?consent={seen.consent.wire_id}"
    uses, history = seen.uses[:_MOST], seen.history[:_MOST]
    try:
        request = msgspec.json.decode(await consents.open_request(call.services, call.tenant, seen.consent))
    except errors.SubjectForgotten:
        request = {}
    language = language_of(call, ui_locales=ui_locales, preferred=seen.session.language)
    say = Words(language)
    view = {
        "person": seen.session,
        "client": seen.client,
        "organisation": seen.organisation,
        "row": _row(say, seen.consent, None, seen.now or seen.consent.created_at),
        "sheet": _allowed(seen, request, language, call.tenant.manifest.open_banking),
        "again_by": _again_by(say, seen.consent),
        "uses": [_use_line(say, each) for each in uses],
        "more_uses": f"{here}&{_after_use(uses[-1])}" if len(seen.uses) > _MOST else None,
        "history": [_step_line(say, each) for each in history],
        "more_history": f"{here}&steps_after={history[-1].id}" if len(seen.history) > _MOST else None,
        "done": done and seen.consent.status not in _OPEN,
        "here": here,
        "board": f"{call.mount}{_PLACE}",
    }
    name = "open_banking_one.html"
    return render(call, name, view, ui_locales=ui_locales, preferred=seen.session.language)


def _after_use(use: "Use") -> str:
    return urlencode({"uses_before": f"{int(use.hour.timestamp())}/{use.operation}"})


def _use_in(text: str | None) -> tuple[datetime, str] | None:
    """Return the use after which a page goes on; what can't be one is passed over."""
    hour, _, operation = (text or "").partition("/")
    try:
        return None if "\0" in operation else (datetime.fromtimestamp(int(hour), UTC), operation)
    except (ValueError, OverflowError, OSError):
        return None


def _step_in(text: str | None) -> UUID | None:
    try:
        return None if text is None else UUID(text)
    except ValueError:
        return None


def _allowed(seen: _Seen, request: Mapping[str, Any], language: str, policy: "OpenBanking") -> sheets.Sheet | None:
    """Return what was asked and allowed, as its page said it; None where that was erased."""
    if not request:
        return None
    ends_at = consents.agreed_end(seen.consent, policy)
    return sheets.sheet_of(seen.consent, request, seen.wallets, language, client=seen.client, ends_at=ends_at)


def _again_by(say: Words, consent: "Consent") -> str | None:
    by = consent.reauthenticate_by
    return say.day(by) if by is not None and consent.status == "AUTH" and by < consent.ends_at else None


def _use_line(say: Words, use: "Use") -> tuple[str, str]:
    """Return what was used, and when and how often."""
    name = use.operation
    for ending in _ENDINGS:
        name = name.removesuffix(ending)
    known = f"open_banking.use_{name}" in vocabulary(say.language)
    what = say(f"use_{name}") if known else say("use_other", operation=use.operation)
    times = say("board_once") if use.times == 1 else say("board_times", times=use.times)
    return what, f"{say.day(use.last_at)}, {use.last_at:%H:%M} UTC · {times}"


def _step_line(say: Words, step: "Step") -> tuple[str, str]:
    """Return what has happened, and when and by whom. The bank's own words of reason are the bank's."""
    if step.to_status is None:
        what = say("event_not_again" if step.event == "refuse" and step.done_by == "psu" else "event_other")
    else:
        known = f"open_banking.event_{step.event}" in vocabulary(say.language)
        what = say(f"event_{step.event}" if known else "event_other")
    return what, f"{say.day(step.happened_at)}, {step.happened_at:%H:%M} UTC · {say(f'by_{step.done_by}')}"


async def confirm(call: "Call", consent: str | None, ui_locales: str | None = None) -> Reply[bytes]:
    """Ask whether a consent is really to be taken back, and say what follows from that.

    Args:
        call: The request.
        consent: Which.
        ui_locales: The language that was chosen on the page.
    """
    seen = await _find(call, consent)
    one = f"{call.mount}{_PLACE}/one?consent={seen.consent.wire_id}"
    if seen.consent.status not in _OPEN:
        return responses.go(one)
    view = {
        "person": seen.session,
        "client": seen.client,
        "consent": seen.consent.wire_id,
        "text": "pays" if seen.consent.kind in _PAYING else "reads",
        "kind": seen.consent.kind,
        "here": f"{call.mount}{_PLACE}/end?consent={seen.consent.wire_id}",
        "one": one,
        "end": f"{call.mount}{_PLACE}/end",
    }
    name = "open_banking_end.html"
    return render(call, name, view, ui_locales=ui_locales, preferred=seen.session.language)


async def end(call: "Call", form: Mapping[str, str]) -> Reply[bytes]:
    """Take a consent back, with everything that was issued by it.

    Args:
        call: The request.
        form: What the page's form holds.

    Raises:
        errors.PermissionDenied: The form isn't of a page that we have shown in this browser to this person.
    """
    check_csrf(call, form)
    consent_id = _id(form.get("consent"))
    async with _admitted(call) as (tx, session, party_id):
        found = None if consent_id is None else await consents.find(tx, consent_id)
        if found is None or found.party_id != party_id:
            return responses.go(f"{call.mount}{_PLACE}")
        actor = ids.encode(Prefix.USER, session.user_id)
        caller = Caller(actor=actor, client_id=found.client_id, request_id=call.request_id)
        if found.status in _OPEN:
            # Whoever comes second finds it ended, which is what they wanted.
            with contextlib.suppress(errors.ConsentTransitionRefused):
                await consents.revoke(tx, found.id, actor=caller, by="psu", reason=_REASON)
    return responses.go(f"{call.mount}{_PLACE}/one?consent={found.wire_id}&done=1")


def _id(text: str | None) -> UUID | None:
    try:
        return None if text is None else ids.decode(Prefix.CONSENT, text)
    except ids.InvalidIdError:
        return None
