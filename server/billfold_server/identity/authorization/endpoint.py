"""The authorize endpoint: a browser comes with a pushed request, and leaves with an answer for its client.

``begin`` takes the request's address, ``resume`` sees that the right person is signed in well enough and shows what is
asked, ``decide`` takes the answer. Until client and redirect URI are trusted nothing goes to the client: whoever comes
with something else than a request that stands gets a page of ours (RFC 6749, section 4.1.2.1; RFC 9700, section 4.11).
"""

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode
from uuid import UUID

import msgspec

from billfold import errors, ids
from billfold.contract.oauth import OAuthError
from billfold.ids import Prefix
from billfold_server.audit import service as audit
from billfold_server.http.routing import Reply
from billfold_server.identity.authorization import (
    authority,
    codes,
    consent,
    details,
    interactions,
    pushed,
    responses,
    sign_in,
)
from billfold_server.identity.authorization.consent import Asked
from billfold_server.identity.authorization.details import Payment
from billfold_server.identity.authorization.pushed import Pushed
from billfold_server.identity.clients.authentication import transaction
from billfold_server.identity.clients.rows import Client
from billfold_server.identity.clients.service import find as find_client
from billfold_server.identity.grants.service import open_grant
from billfold_server.identity.realms import Realm
from billfold_server.identity.tokens.id_tokens import half_hash
from billfold_server.people.pages.kit import Visit, check_csrf, page_error, pages_of, root_of
from billfold_server.people.service import LinkedAction, Session, begin_sca, current_session, use_sca
from billfold_server.tenancy.context import Caller

if TYPE_CHECKING:
    from billfold_server.http.routing import Call

__all__ = ["begin", "decide", "resume"]

_NO_STORE: Final = {"Cache-Control": "no-store"}


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
    async with transaction(call.services, _realm(call)) as tx:
        found = None if digest is None else await pushed.find(tx, digest)
        client = None if found is None else await _trusted(tx, found)
        if found is None or client is None or client.client_id != client_id or now >= found.expires_at:
            return _not_ours(call, "invalid_request_uri", "request_uri isn't one of this client's that can be used")
        started = await interactions.start(tx, found.digest, now)
    if started is None:
        raise errors.RateLimited("the request was brought too often", retry_after_s=60)
    name, max_age_s = interactions.cookie_of(started.id), int(interactions.TTL.total_seconds())
    cookie = pages_of(call).written(Visit.of(call), name, started.cookie, max_age_s=max_age_s)
    return _go(consent.address_of(call, started.id), cookies=(cookie,))


async def resume(call: "Call", interaction_id: str, ui_locales: str | None = None) -> Reply[bytes]:
    """Show what is asked to who is signed in well enough; send everybody else to sign in.

    Args:
        call: The request.
        interaction_id: From the address.
        ui_locales: The language that was chosen on the page.
    """
    async with transaction(call.services, _realm(call)) as tx:
        asked = await _find(call, tx, interaction_id)
        if asked is None:
            return _gone(call)
        session = await current_session(call, asked.client.login_realm, tx=tx)
        verdict = _judge(call, asked, session)
        may = session is not None and verdict == "enough" and await authority.may_allow(tx, asked.request, session)
        if session is not None and may:
            await interactions.note_user(tx, asked.interaction, session.user_id)
    if (why := _why_not(asked, verdict, may=may)) is not None:
        return await _refuse(call, asked, *why)
    if session is None or verdict != "enough":
        return _go(_sign_in_at(call, asked))
    if asked.interaction.challenge_id is not None and asked.interaction.user_id == session.user_id:
        # They come back from having approved a payment, or from not having done so: then they are asked again.
        answered = await _approve(call, asked, session, by=asked.interaction.challenge_id)
        if answered is not None:
            return answered
    return consent.page(call, asked, session, ui_locales=ui_locales)


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
    async with transaction(call.services, _realm(call)) as tx:
        asked = await _find(call, tx, interaction_id)
        if asked is None:
            return _gone(call)
        session = await current_session(call, asked.client.login_realm, tx=tx)
    if session is None or _judge(call, asked, session) != "enough" or session.user_id != asked.interaction.user_id:
        # Somebody else has signed in meanwhile, or nobody is any more: what was shown was shown to another.
        return _go(consent.address_of(call, interaction_id))
    if form.get("decision") == "approve":
        if (payment := details.payment_among(asked.request.details)) is not None:
            return await _link(call, asked, session, payment)
        return await _approve(call, asked, session) or _gone(call)
    return await _refuse(call, asked, "access_denied", "the person has refused")


async def _link(call: "Call", asked: Asked, session: Session, payment: Payment) -> Reply[bytes]:
    """Have a person approve a payment by strong authentication, linked to amount and payee (RTS on SCA, article 5)."""
    async with transaction(call.services, _realm(call)) as tx:
        back = consent.address_of(call, asked.interaction_id)
        before = asked.interaction.challenge_id
        challenge = await begin_sca(call, tx, session.user_id, _action_of(payment), return_to=back, replaces=before)
        key = ids.decode(Prefix.SCA_CHALLENGE, challenge.id)
        await interactions.note_challenge(tx, asked.interaction, key)
    if challenge.state == "open":
        return _go(f"{root_of(call)}/approve?{urlencode({'challenge': challenge.id})}")
    return await _approve(call, asked, session, by=key) or _gone(call)


def _action_of(payment: Payment) -> LinkedAction:
    return LinkedAction(
        kind=payment.kind,
        object_id=payment.object_id,
        amount_minor=payment.amount_minor,
        currency=payment.currency,
        payee=payment.payee,
        payee_account=payment.payee_account,
    )


async def _approve(call: "Call", asked: Asked, session: Session, *, by: UUID | None = None) -> Reply[bytes] | None:
    """Write down what is allowed, and send the client a code, once.

    Args:
        call: The request.
        asked: What is allowed.
        session: By whom.
        by: The strong authentication of a payment. It is used up here, and holds only for what was asked.

    Returns:
        The answer; None where a payment isn't approved.
    """
    realm, client, request, now = _realm(call), asked.client, asked.request, call.services.clock.now()
    actor, scopes = ids.encode(Prefix.USER, session.user_id), authority.allowed_scopes(request, session)
    payment = details.payment_among(request.details)
    async with transaction(call.services, realm) as tx:
        if payment is not None and not await _holds(call, tx, session, payment, by):
            return None
        if not await pushed.complete(tx, asked.interaction.pushed.digest, now):
            return _gone(call)
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
            caller=Caller(actor=actor, client_id=client.id, request_id=call.request_id),
        )
        code = await codes.create(
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
            ttl_s=realm.profile.code_ttl_s,
        )
    return await _answer(call, asked, responses.parameters_of(request, code=code))


async def _holds(call: "Call", tx: Any, session: Session, payment: Payment, by: UUID | None) -> bool:
    """Use a strong authentication up for a payment, and tell whether it was made for this one."""
    if by is None:
        return False
    reference = ids.encode(Prefix.SCA_CHALLENGE, by)
    return await use_sca(call, tx, reference, session.user_id, _action_of(payment))


async def _refuse(call: "Call", asked: Asked, error: str, description: str) -> Reply[bytes]:
    """Tell the client that it gets nothing, once."""
    client, now = asked.client, call.services.clock.now()
    caller = Caller(actor=client.client_id, client_id=client.id, request_id=call.request_id)
    record = audit.new_record(caller, "authorization.refused", client.client_id, facts={"error": error})
    async with transaction(call.services, _realm(call)) as tx:
        if not await pushed.complete(tx, asked.interaction.pushed.digest, now):
            return _gone(call)
        await audit.record(tx, record)
    return await _answer(call, asked, responses.refusal_parameters(asked.request, error, description))


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
    return _go(location, cookies=(pages_of(call).written(Visit.of(call), name, "", max_age_s=0),))


def _why_not(asked: Asked, verdict: sign_in.Verdict, *, may: bool) -> tuple[str, str] | None:
    """Return error and description where there is nothing to ask anybody."""
    if verdict == "unmet":
        return "access_denied", "the sign-in isn't of a class that is asked for"
    if "none" in asked.request.prompt:
        # Whoever must not be shown anything can't have agreed to anything, for nothing is remembered silently.
        return "consent_required" if verdict == "enough" else "login_required", "nothing may be shown"
    if verdict == "enough" and not may:
        return "access_denied", "the person may not allow what is asked"
    return None


def _sign_in_at(call: "Call", asked: Asked) -> str:
    """Return where the person signs in, in the language that the client asks for where it does."""
    query = {"interaction": asked.interaction_id}
    if asked.request.ui_locales is not None:
        query["ui_locales"] = asked.request.ui_locales
    return f"{root_of(call, asked.client.login_realm)}/sign-in?{urlencode(query)}"


def _judge(call: "Call", asked: Asked, session: Session | None) -> sign_in.Verdict:
    begun_at, now = asked.interaction.created_at, call.services.clock.now()
    # Whoever came by a recovery code restores their access, and allows nothing.
    usable = None if session is not None and session.is_recovered else session
    return sign_in.judge(asked.request, usable, begun_at=begun_at, now=now)


async def _find(call: "Call", tx: Any, interaction_id: str) -> Asked | None:
    """Return what is asked in this browser, if an answer can still go to the client."""
    cookie = pages_of(call).cookie(Visit.of(call), interactions.cookie_of(interaction_id))
    found = await interactions.find(tx, interaction_id, cookie, call.services.clock.now())
    client = None if found is None else await _trusted(tx, found.pushed)
    return None if found is None or client is None else Asked(interaction_id, found, client)


async def _trusted(tx: Any, found: Pushed) -> Client | None:
    """Return an open request's client if it is still let in, and the redirect URI still its own."""
    client = await find_client(tx, found.client_id)
    if client is None or client.state != "active" or found.completed_at is not None:
        return None
    return client if found.request.redirect_uri in client.redirect_uris else None


def _realm(call: "Call") -> Realm:
    realm: Realm = call.services.identity.realm(call.tenant_or_none)
    return realm


def _go(location: str, *, cookies: tuple[str, ...] = ()) -> Reply[bytes]:
    """Send the browser on by 303, so that it never sends what was posted on to another (RFC 9700, section 4.12)."""
    return Reply(status=303, headers={**responses.HEADERS, "Location": location}, cookies=cookies)


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
