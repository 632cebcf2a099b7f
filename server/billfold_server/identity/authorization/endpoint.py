"""The authorize endpoint: a browser comes with a pushed request, and leaves with an answer for its client.

``begin`` takes the request's address, ``resume`` sees that the right person is signed in well enough and shows what is
asked, ``decide`` takes the answer. Until client and redirect URI are trusted nothing goes to the client: whoever comes
with something else than a request that stands gets a page of ours (RFC 6749, section 4.1.2.1; RFC 9700, section 4.11).
"""

import contextlib
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode
from uuid import UUID

import msgspec

from billfold import errors, ids
from billfold.contract.oauth import OAuthError
from billfold.ids import Prefix
from billfold_server.audit import service as audit
from billfold_server.consents import service as consents
from billfold_server.http.routing import Reply
from billfold_server.identity.askers import hold
from billfold_server.identity.authorization import (
    authority,
    choosing,
    codes,
    consent,
    details,
    interactions,
    journey,
    pushed,
    responses,
    sign_in,
)
from billfold_server.identity.authorization.consent import Asked
from billfold_server.identity.authorization.details import Payment
from billfold_server.identity.authorization.journey import Choice, Found, Nothing
from billfold_server.identity.authorization.pushed import Pushed
from billfold_server.identity.clients.rows import Client
from billfold_server.identity.clients.service import find as find_client
from billfold_server.identity.grants.service import open_grant, revoke_grants
from billfold_server.identity.realms import Realm
from billfold_server.identity.tokens.id_tokens import half_hash
from billfold_server.people.pages.kit import Visit, check_csrf, page_error, pages_of, root_of
from billfold_server.people.service import LinkedAction, Session, begin_sca, current_session, is_sca_open, use_sca
from billfold_server.tenancy.clock import tenant_now
from billfold_server.tenancy.context import Caller

if TYPE_CHECKING:
    from billfold_server.http.routing import Call

__all__ = ["begin", "decide", "resume"]

_NO_STORE: Final = {"Cache-Control": "no-store"}
_OVER: Final = "access_denied", "the consent can't be authorised by this person, or not any more"
_ANEW: Final = "the customer has authenticated again"
_LOST: Final = (
    errors.ConsentNotFound,
    errors.ConsentOfAnother,
    errors.ConsentTransitionRefused,
    errors.ThirdPartyBlocked,
)
"""What can have become of a consent while its customer was reading."""


class _Answer(msgspec.Struct, frozen=True):
    """What somebody allows of a consent."""

    found: Found
    choice: Choice


async def begin(call: "Call", client_id: str | None, request_uri: str | None) -> Reply[bytes]:
    """Take what a browser brings, and send it on.

    Whether the address is another client's, used, expired or never was can't be told from the answer.

    Args:
        call: The request.
        client_id: From the query or the form.
        request_uri: The same.

    Raises:
        errors.RateLimited: It was brought too often.
    """
    if client_id is None or request_uri is None:
        return _not_ours(call, "invalid_request", "client_id and request_uri are required: push the request first")
    now, digest = call.services.clock.now(), pushed.digest_of_uri(request_uri)
    async with call.services.database.tx_of(call.tenant_or_none) as tx:
        found = None if digest is None else await pushed.find(tx, digest)
        client = None if found is None else await _trusted(tx, found)
        if found is None or client is None or client.client_id != client_id or now >= found.expires_at:
            return _not_ours(call, "invalid_request_uri", "request_uri isn't one of this client's that can be used")
        started = await interactions.start(tx, found.digest, now)
    if started is None:
        raise errors.RateLimited("the request was brought too often", retry_after_s=60)
    name, max_age_s = interactions.cookie_of(started.id), int(interactions.TTL.total_seconds())
    pages, visit = pages_of(call), Visit.of(call)
    cookie = pages.written(visit, name, started.cookie, max_age_s=max_age_s)
    # What a client wishes is for this request; what people have chosen for themselves goes before it, and stays.
    spoken = pages.speak(visit, found.request.ui_locales, max_age_s=max_age_s)
    return responses.go(consent.address_of(call, started.id), cookies=(cookie, *spoken))


async def resume(call: "Call", interaction_id: str, ui_locales: str | None = None) -> Reply[bytes]:
    """Show what is asked to who is signed in well enough; send everybody else to sign in.

    Args:
        call: The request.
        interaction_id: From the address.
        ui_locales: The language that was chosen on the page.
    """
    async with call.services.database.tx_of(call.tenant_or_none) as tx:
        asked = await _find(call, tx, interaction_id)
        seen = None if asked is None else await _see(call, tx, asked)
    if asked is None or seen is None:
        return await _once_more(call, interaction_id)
    session, verdict, may = seen
    if (why := _why_not(asked, verdict, may=may)) is not None:
        return await _refuse(call, asked, *why)
    if session is None or verdict != "enough":
        return responses.go(consent.sign_in_at(call, asked))
    return await _show(call, asked, session, ui_locales)


async def _see(call: "Call", tx: Any, asked: Asked) -> tuple[Session | None, sign_in.Verdict, bool]:
    """Return who is signed in, whether well enough, and whether they may allow it; who is shown it is noted."""
    session = await current_session(call, asked.client.login_realm, tx=tx)
    verdict = _judge(call, asked, session)
    if session is not None and verdict == "enough" and await _waits_for_another(tx, asked, session):
        verdict = "sign_in"
    may = session is not None and verdict == "enough" and await authority.may_allow(tx, asked.request, session)
    if session is not None and may:
        await interactions.note_user(tx, asked.interaction, session.user_id)
    return session, verdict, may


async def _show(call: "Call", asked: Asked, session: Session, ui_locales: str | None) -> Reply[bytes]:
    """Show what is asked, or carry it out where the person comes back from having approved it."""
    found, over = None, False
    if asked.request.consent_id is not None:
        look = journey.look_of(asked.interaction.choice)
        if (found := await journey.load(call, asked, session, look)) is None:
            return await _refuse(call, asked, *_OVER)
    if asked.interaction.challenge_id is not None and asked.interaction.user_id == session.user_id:
        # They come back from having approved a payment, or from not having done so: then they are asked again.
        answered = await _approve(call, asked, session, by=asked.interaction.challenge_id, of=_before(asked, found))
        if answered is not None:
            return answered
        over = not await _is_open(call, session, asked.interaction.challenge_id)
    if found is not None:
        return consent.page_of_consent(call, asked, session, found, ui_locales=ui_locales, over=over)
    return consent.page(call, asked, session, ui_locales=ui_locales, over=over)


async def _is_open(call: "Call", session: Session, challenge_id: UUID) -> bool:
    """Tell whether somebody has come back without approving a payment, though they still could."""
    async with call.services.database.tx_of(call.tenant_or_none) as tx:
        return await is_sca_open(call, tx, ids.encode(Prefix.SCA_CHALLENGE, challenge_id), session.user_id)


def _before(asked: Asked, found: Found | None) -> _Answer | None:
    """Return what somebody has answered before they approved it by strong authentication."""
    if found is None or asked.interaction.choice is None:
        return None
    return _Answer(found, msgspec.json.decode(asked.interaction.choice, type=Choice))


async def decide(call: "Call", form: dict[str, str]) -> Reply[bytes]:
    """Take a person's answer, and send it to the client.

    Args:
        call: The request.
        form: What the page's form holds.

    Raises:
        errors.PermissionDenied: The form isn't of a page that we have shown in this browser to this person.
    """
    check_csrf(call, form)
    interaction_id = form.get("interaction", "")
    async with call.services.database.tx_of(call.tenant_or_none) as tx:
        asked = await _find(call, tx, interaction_id)
        session = None if asked is None else await current_session(call, asked.client.login_realm, tx=tx)
    if asked is None:
        return await _once_more(call, interaction_id)
    is_asked = session is not None and session.user_id == asked.interaction.user_id
    known = is_asked and _judge(call, asked, session) == "enough"
    looks = asked.request.consent_id is not None and choosing.is_look(form)
    if form.get("decision") != "approve" and not looks:
        # To go back nobody needs to sign in. What is refused for good is refused by who was asked.
        by_person = known and form.get("decision") != "leave"
        return await _refuse(call, asked, "access_denied", "the person has refused", by_person=by_person)
    if session is None or not known:
        # Somebody else has signed in meanwhile, or nobody is any more: what was shown was shown to another.
        return responses.go(consent.address_of(call, interaction_id))
    if asked.request.consent_id is not None:
        answer = _look if looks else _allow
        return await answer(call, asked, session, form)
    if (payment := details.payment_among(asked.request.details)) is not None:
        return await _link(call, asked, session, payment)
    return await _approve(call, asked, session) or _gone(call)


async def _look(call: "Call", asked: Asked, session: Session, form: dict[str, str]) -> Reply[bytes]:
    """Show other accounts to somebody who has more of them than a page shows, beside those that they have chosen."""
    look = choosing.wanted(form)
    found = await journey.load(call, asked, session, look)
    if found is None:
        return await _refuse(call, asked, *_OVER)
    complaint = "many" if look.too_many else None
    return consent.page_of_consent(call, asked, session, found, ui_locales=None, complaint=complaint)


async def _allow(call: "Call", asked: Asked, session: Session, form: dict[str, str]) -> Reply[bytes]:
    """Take what somebody allows of a consent: for which accounts, and only if it says what they were shown."""
    found = await journey.load(call, asked, session, choosing.answered(form))
    if found is None:
        return await _refuse(call, asked, *_OVER)
    choice = journey.chosen(call, asked, found, form)
    if isinstance(choice, Nothing):
        if choice.complaint is None:
            return responses.go(consent.address_of(call, asked.interaction_id))
        return consent.page_of_consent(call, asked, session, found, ui_locales=None, complaint=choice.complaint)
    answer = _Answer(found, choice)
    if (payment := journey.payment_of(found, choice)) is not None:
        return await _link(call, asked, session, payment, of=answer)
    return await _approve(call, asked, session, of=answer) or responses.go(
        consent.address_of(call, asked.interaction_id)
    )


async def _link(
    call: "Call", asked: Asked, session: Session, payment: Payment, *, of: _Answer | None = None
) -> Reply[bytes]:
    """Have a person approve a payment by strong authentication, linked to amount and payee (RTS on SCA, article 5)."""
    choice = None if of is None else msgspec.json.encode(of.choice).decode()
    async with call.services.database.tx_of(call.tenant_or_none) as tx:
        back = consent.address_of(call, asked.interaction_id)
        before = asked.interaction.challenge_id
        challenge = await begin_sca(call, tx, session.user_id, _action_of(payment), return_to=back, replaces=before)
        key = ids.decode(Prefix.SCA_CHALLENGE, challenge.id)
        await interactions.note_challenge(tx, asked.interaction, key, choice)
    if challenge.state == "open":
        return responses.go(f"{root_of(call)}/approve?{urlencode({'challenge': challenge.id})}")
    return await _approve(call, asked, session, by=key, of=of) or _gone(call)


def _action_of(payment: Payment) -> LinkedAction:
    return LinkedAction(
        kind=payment.kind,
        object_id=payment.object_id,
        amount_minor=payment.amount_minor,
        currency=payment.currency,
        payee=payment.payee,
        payee_account=payment.payee_account,
        terms=payment.terms,
    )


async def _approve(
    call: "Call", asked: Asked, session: Session, *, by: UUID | None = None, of: _Answer | None = None
) -> Reply[bytes] | None:
    """Write down what is allowed, and send the client a code, once.

    Args:
        call: The request.
        asked: What is allowed.
        session: By whom.
        by: The strong authentication of a payment. It is used up here, and holds only for what was asked.
        of: What they allow of a consent, which is authorised in the same transaction.

    Returns:
        The answer; None where a payment isn't approved, or a consent isn't what was shown any more.
    """
    if asked.request.consent_id is not None and of is None:
        return None
    payment = details.payment_among(asked.request.details) if of is None else journey.payment_of(of.found, of.choice)
    evidence = None if of is None else await journey.evidence(call, of.found, session, of.choice)
    if of is not None and evidence is None:
        return None
    now = call.services.clock.now()
    try:
        async with call.services.database.tx_of(call.tenant_or_none) as tx:
            are_in = await _are_in(call, tx, asked, session)
            if are_in and payment is not None and not await _holds(call, tx, session, payment, by):
                return None
            if not are_in or not await _complete(tx, asked, now):
                return _gone(call)
            if asked.request.consent_id is not None:
                await _end_former(call, tx, asked, session, asked.request.consent_id)
            code = await _open(call, tx, asked, session, now)
            if of is not None and evidence is not None:
                # The last thing, because it writes an event.
                await _authorise(call, tx, asked, session, of.choice, evidence, by)
    except _LOST:
        return await _refuse(call, asked, *_OVER)
    return await _answer(call, asked, responses.parameters_of(asked.request, code=code))


async def _are_in(call: "Call", tx: Any, asked: Asked, session: Session) -> bool:
    """Tell whether who has answered and the client are let in still, which nobody changes then until it is done.

    Since it was looked who they are, keys were fetched: meanwhile one of the two may have been shut out.
    """
    allows = msgspec.structs.replace(_caller(call, asked, session), user_id=session.user_id)
    try:
        await hold(tx, allows, session_id=session.id)
    except errors.PermissionDenied:
        return False
    return True


async def _complete(tx: Any, asked: Asked, now: datetime) -> bool:
    """Answer a request once, and only to a client that is let in at this moment."""
    if await _trusted(tx, asked.interaction.pushed) is None:
        return False
    return await _end(tx, asked, now)


async def _end(tx: Any, asked: Asked, now: datetime) -> bool:
    """Note that a request was answered in this browser, and tell whether it is the first answer."""
    if not await pushed.complete(tx, asked.interaction.pushed.digest, now):
        return False
    await interactions.end_others(tx, asked.interaction)
    return True


async def _end_former(call: "Call", tx: Any, asked: Asked, session: Session, consent_id: UUID) -> None:
    """End what was issued for a consent before. The consent is locked before its grants, as everybody does."""
    await consents.hold(tx, consent_id)
    now, caller = call.services.clock.now(), _caller(call, asked, session)
    await revoke_grants(tx, _ANEW, now=now, consent_id=consent_id, caller=caller)


async def _authorise(  # noqa: PLR0917 - what a consent consists of
    call: "Call",
    tx: Any,
    asked: Asked,
    session: Session,
    choice: Choice,
    evidence: consents.PreparedEvidence,
    by: UUID | None,
) -> None:
    """Authorise a consent, in the transaction that opens its grant."""
    consent_id, party_id = asked.request.consent_id, session.party_id
    assert consent_id is not None
    assert party_id is not None
    await consents.authorise(
        tx,
        consent_id,
        client_id=asked.client.id,
        owner=consents.Owner(user_id=session.user_id, party_id=party_id),
        wallet_ids=tuple(ids.decode(Prefix.WALLET, each) for each in choice.wallet_ids),
        # Where nothing moves, the sign-in itself is the strong authentication, which isn't older than this journey.
        sca_id=by or session.id,
        evidence=evidence,
        now=await tenant_now(tx),
        caller=_caller(call, asked, session),
    )


def _caller(call: "Call", asked: Asked, session: Session) -> Caller:
    actor = ids.encode(Prefix.USER, session.user_id)
    return Caller(actor=actor, client_id=asked.client.id, request_id=call.request_id)


async def _open(call: "Call", tx: Any, asked: Asked, session: Session, now: datetime) -> str:
    """Open the grant of what is allowed, and return its code."""
    client, request = asked.client, asked.request
    scopes = authority.allowed_scopes(request, session)
    grant_id = await open_grant(
        tx,
        client_id=client.id,
        user_id=session.user_id,
        scopes=scopes,
        resources=request.resources,
        details=request.details,
        acr=sign_in.acr_for(request, session),
        amr=session.amr,
        factor_ids=session.factor_ids,
        auth_time=session.auth_time,
        now=now,
        consent_id=request.consent_id,
        caller=_caller(call, asked, session),
    )
    return await codes.create(
        tx,
        client_id=client.id,
        grant_id=grant_id,
        redirect_uri=request.redirect_uri,
        code_challenge=request.code_challenge,
        scopes=scopes,
        resources=request.resources,
        nonce=request.nonce,
        state_hash=None if request.state is None else half_hash(request.state, client.id_token_alg or "ES256"),
        dpop_jkt=request.dpop_jkt,
        id_token_claims=msgspec.to_builtins(request.claims),
        now=now,
        ttl_s=_realm(call).profile.code_ttl_s,
    )


async def _holds(call: "Call", tx: Any, session: Session, payment: Payment, by: UUID | None) -> bool:
    """Use a strong authentication up for a payment, and tell whether it was made for this one."""
    if by is None:
        return False
    reference = ids.encode(Prefix.SCA_CHALLENGE, by)
    return await use_sca(call, tx, reference, session.user_id, _action_of(payment))


async def _refuse(call: "Call", asked: Asked, error: str, description: str, *, by_person: bool = False) -> Reply[bytes]:
    """Tell the client that it gets nothing, once. What the person has refused, its consent is refused by, too."""
    client, now = asked.client, call.services.clock.now()
    caller = Caller(actor=client.client_id, client_id=client.id, request_id=call.request_id)
    record = audit.new_record(caller, "authorization.refused", client.client_id, facts={"error": error})
    async with call.services.database.tx_of(call.tenant_or_none) as tx:
        if not await _end(tx, asked, now):
            return _gone(call)
        await audit.record(tx, record)
        if by_person and asked.request.consent_id is not None:
            await _refuse_consent(call, tx, asked, asked.request.consent_id)
    return await _answer(call, asked, responses.refusal_parameters(asked.request, error, description))


async def _refuse_consent(call: "Call", tx: Any, asked: Asked, consent_id: UUID) -> None:
    """Refuse a consent, if there is still something to refuse: one that was only to be allowed again just stays.

    Its history says that it wasn't, so that everybody sees why it goes on resting.
    """
    found, user_id = await consents.find(tx, consent_id), asked.interaction.user_id
    if found is None or user_id is None:
        return
    is_again = found.status == "AUTH" and found.user_id == user_id and consents.lasts(found.kind)
    if found.status != "AWAU" and not is_again:
        return
    actor = ids.encode(Prefix.USER, user_id)
    caller = Caller(actor=actor, client_id=asked.client.id, request_id=call.request_id)
    with contextlib.suppress(*_LOST):
        answer = consents.keep if is_again else consents.refuse
        await answer(tx, consent_id, client_id=asked.client.id, now=await tenant_now(tx), caller=caller)


async def _answer(call: "Call", asked: Asked, parameters: dict[str, str]) -> Reply[bytes]:
    """Send the browser to the client with an answer, which is signed where that was asked for."""
    realm, client, signed = _realm(call), asked.client, None
    if asked.request.response_mode != "query":
        now = call.services.clock.now()
        claims = responses.claims_of(parameters, issuer=realm.issuer, client_id=client.client_id, now=now)
        alg = client.authorization_response_alg
        signed = await call.services.identity.signing.sign(realm, claims, typ="JWT", alg=alg)
    location = responses.location_of(asked.request, parameters, issuer=realm.issuer, signed=signed)
    name = interactions.cookie_of(asked.interaction_id)
    return responses.go(location, cookies=(pages_of(call).written(Visit.of(call), name, "", max_age_s=0),))


async def _once_more(call: "Call", interaction_id: str) -> Reply[bytes]:
    """Answer again in the browser that has answered and never got what came of it, or say that there is nothing left.

    An answer takes the browser's half of the interaction. Who has it still has lost the answer on its way, or it
    couldn't be signed; the consent stands, and its client would never hear of it.
    """
    async with call.services.database.tx_of(call.tenant_or_none) as tx:
        asked = await _find(call, tx, interaction_id, answered=True)
        said = None if asked is None else await _said_before(call, tx, asked)
    return _gone(call) if asked is None or said is None else await _answer(call, asked, said)


async def _said_before(call: "Call", tx: Any, asked: Asked) -> dict[str, str] | None:
    """Return what a client was answered, with another code where it hasn't redeemed the former; None where it has."""
    client, request, answered_at = asked.client, asked.request, asked.interaction.pushed.completed_at
    assert answered_at is not None, "this was looked for"
    which = (client.id, request.code_challenge, answered_at)
    if not await codes.was_made(tx, *which):
        return responses.refusal_parameters(request, "access_denied", "it was refused before")
    session = await current_session(call, client.login_realm, tx=tx)
    if session is None or session.user_id != asked.interaction.user_id:
        return None
    code = await codes.renew(tx, *which, now=call.services.clock.now(), ttl_s=_realm(call).profile.code_ttl_s)
    return None if code is None else responses.parameters_of(request, code=code)


def _why_not(asked: Asked, verdict: sign_in.Verdict, *, may: bool) -> tuple[str, str] | None:
    """Return error and description where there is nothing to ask anybody."""
    if verdict == "unmet":
        # OpenID Connect Core Error Code unmet_authentication_requirements 1.0, section 1.
        return "unmet_authentication_requirements", "no sign-in is of a class that is asked for"
    if "none" in asked.request.prompt:
        # Whoever must not be shown anything can't have agreed to anything, for nothing is remembered silently.
        return "consent_required" if verdict == "enough" else "login_required", "nothing may be shown"
    if verdict == "enough" and not may:
        return "access_denied", "the person may not allow what is asked"
    return None


def _judge(call: "Call", asked: Asked, session: Session | None) -> sign_in.Verdict:
    begun_at, now = asked.interaction.created_at, call.services.clock.now()
    # Whoever came by a recovery code restores their access, and allows nothing.
    usable = None if session is not None and session.is_recovered else session
    if asked.request.consent_id is not None:
        return sign_in.judge_strictly(asked.request, usable, begun_at=begun_at, now=now)
    return sign_in.judge(asked.request, usable, begun_at=begun_at, now=now)


async def _waits_for_another(tx: Any, asked: Asked, session: Session) -> bool:
    """Tell whether only another customer can answer, who may be there: nobody has signed in for this request yet.

    Several people use one browser, and whoever has used it before mustn't end what somebody else is asked for again.
    """
    if asked.request.consent_id is None or session.auth_time >= asked.interaction.created_at:
        return False
    found = await consents.find(tx, asked.request.consent_id)
    return found is not None and found.party_id not in {None, session.party_id}


async def _find(call: "Call", tx: Any, interaction_id: str, *, answered: bool = False) -> Asked | None:
    """Return what is asked, or was answered, in this browser, if an answer can still go to the client."""
    cookie = pages_of(call).cookie(Visit.of(call), interactions.cookie_of(interaction_id))
    found = await interactions.find(tx, interaction_id, cookie, call.services.clock.now())
    client = None if found is None else await _trusted(tx, found.pushed, answered=answered)
    return None if found is None or client is None else Asked(interaction_id, found, client)


async def _trusted(tx: Any, found: Pushed, *, answered: bool = False) -> Client | None:
    """Return a request's client if it is still let in, and the redirect URI still its own."""
    client = await find_client(tx, found.client_id)
    if client is None or not client.is_let_in or (found.completed_at is not None) is not answered:
        return None
    return client if found.request.redirect_uri in client.redirect_uris else None


def _realm(call: "Call") -> Realm:
    realm: Realm = call.services.identity.realm(call.tenant_or_none)
    return realm


def _gone(call: "Call") -> Reply[bytes]:
    """Tell whoever has no interaction that can be answered: it is over, answered already, or another browser's."""
    return _not_ours(call, "invalid_request", "there is no such interaction in this browser", key="consent.over")


def _not_ours(call: "Call", error: str, description: str, *, key: str = "consent.link") -> Reply[bytes]:
    """Refuse without going anywhere: a page for people, JSON for programs."""
    if "text/html" in call.headers.get("accept", ""):
        return page_error(call, key, status=400, headers=_NO_STORE)
    body = OAuthError(error=error, error_description=description)
    headers = {**_NO_STORE, "Content-Type": "application/json"}
    return Reply(body=msgspec.json.encode(body), status=400, headers=headers)
