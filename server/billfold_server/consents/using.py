"""Looks at a third party's own consents, and uses them for what is asked by the tokens that were issued for them."""

from uuid import UUID

from billfold import errors
from billfold_server.consents import queries, rules
from billfold_server.consents.rows import Consent
from billfold_server.consents.rules import ConsentKind
from billfold_server.consents.standing import at, check_usable
from billfold_server.consents.uses import Uses
from billfold_server.tenancy.context import Caller
from billfold_server.tenancy.transaction import TenantTx

__all__ = ["existing", "get", "own", "use"]


async def get(tx: TenantTx, consent_id: UUID, *, client_id: UUID) -> Consent:
    """Return a third party's own consent as it stands at this moment.

    Raises:
        errors.ConsentNotFound: There is none.
        errors.ConsentOfAnother: It is another third party's.
        errors.ThirdPartyBlocked: The bank has blocked the third party.
    """
    standing = await queries.find_standing(tx, consent_id, lock=False)
    consent = own(None if standing is None else standing.consent, client_id)
    assert standing is not None
    if standing.blocked:
        raise errors.ThirdPartyBlocked
    return at(consent, standing.now)


async def use(
    tx: TenantTx,
    caller: Caller,
    *,
    kind: ConsentKind,
    permission: str | None = None,
    wallet_id: UUID | None = None,
    lock: bool = False,
    consent_id: UUID | None = None,
    uses: Uses | None = None,
    operation: str | None = None,
    sees_grant: bool = False,
) -> Consent:
    """Return the consent of a caller's token, if it allows what the caller is about to do, and count that.

    Args:
        tx: The tenant's transaction in which it is done.
        caller: Who acts; ``consent_id`` is that of their token.
        kind: For what the consent must be.
        permission: What it must permit.
        wallet_id: Which wallet it must be about.
        lock: Whether to keep others from ending it until the transaction has ended; what moves money does.
        consent_id: Which one the request names, where it does; another one than the token's is refused.
        uses: What counts for the process (``uses_of``), for what reads; else it is counted in the transaction.
        operation: What is counted, where that is neither the permission nor the kind.
        sees_grant: Whether it is seen by the same query that the caller's grant and token stand, which ``Call.tx`` asks
            by one of its own. What is locked is asked so.

    Raises:
        errors.ConsentNotFound: There is none.
        errors.ConsentOfAnother: The token is for another one, or for none.
        errors.ThirdPartyBlocked: The bank has blocked the third party.
        errors.ConsentNotUsable: It isn't for this, isn't authorised, or has ended.
        errors.ReauthenticationRequired: The customer has to come back first.
        errors.ConsentLacksPermission: It doesn't permit this.
        errors.ConsentLacksAccount: It is about other wallets.
        errors.InvalidToken: The grant or the token has ended.
    """
    standing = await _find(tx, caller, consent_id, lock=lock, sees_grant=sees_grant)
    consent = _allowing(standing, caller, kind)
    if permission is not None and not rules.allows(consent.permissions, permission):
        raise errors.ConsentLacksPermission(permission=permission)
    if wallet_id is not None and wallet_id not in consent.wallet_ids:
        raise errors.ConsentLacksAccount
    operation = operation or permission or kind
    if uses is None:
        await queries.add_uses(tx, {(consent.id, queries.hour_of(standing.now), operation): (1, standing.now)})
    else:
        uses.note(tx.tenant, consent.id, operation, standing.now)
    return consent


async def _find(tx: TenantTx, caller: Caller, named: UUID | None, *, lock: bool, sees_grant: bool) -> queries.Standing:
    """Return the consent of a caller's token, unless the request names another one."""
    consent_id = caller.consent_id
    if consent_id is None or (named is not None and named != consent_id):
        if named is not None:
            await get(tx, named, client_id=caller.client_id)
        raise errors.ConsentOfAnother("the access token is for another consent")
    if not sees_grant:
        standing = await queries.find_standing(tx, consent_id, lock=lock)
        if standing is None:
            raise _unknown()
        return standing
    assert caller.grant_id is not None, "its token names a consent, and so a grant"
    standing = await queries.find_standing_of_grant(tx, consent_id, caller.grant_id, caller.token_digest)
    if standing is None or not standing.granted:
        raise errors.InvalidToken("the access token isn't valid here and now")
    return standing


def _allowing(standing: queries.Standing, caller: Caller, kind: ConsentKind) -> Consent:
    """Return a caller's own consent that allows something of its kind at this moment."""
    consent = own(standing.consent, caller.client_id)
    if standing.blocked:
        raise errors.ThirdPartyBlocked
    consent = at(consent, standing.now)
    check_usable(consent, kind, standing.now)
    return consent


def existing(consent: Consent | None) -> Consent:
    """Return a consent that was looked for.

    Raises:
        errors.ConsentNotFound: There is none.
    """
    if consent is None:
        raise _unknown()
    return consent


def _unknown() -> errors.ConsentNotFound:
    return errors.ConsentNotFound("there is no such consent", param="consent_id")


def own(consent: Consent | None, client_id: UUID) -> Consent:
    """Return a third party's own consent that was looked for.

    Raises:
        errors.ConsentNotFound: There is none.
        errors.ConsentOfAnother: It is another third party's.
    """
    found = existing(consent)
    if found.client_id != client_id:
        raise errors.ConsentOfAnother
    return found
