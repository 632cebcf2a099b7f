"""Who has signed in, told to the holder of an access token (OpenID Connect Core, section 5.3)."""

from typing import TYPE_CHECKING

import msgspec

from billfold import errors, ids
from billfold.contract.oauth import UserInfo
from billfold.ids import Prefix
from billfold_server.people import service as people

if TYPE_CHECKING:
    from billfold_server.http.routing import Call

__all__ = ["userinfo"]


async def userinfo(call: "Call") -> UserInfo:
    """Return the claims that the token's scopes ask for (section 5.4).

    Raises:
        errors.InvalidToken: No user stands behind the token, or not any more.
    """
    user_id, grant_id = call.caller.user_id, call.caller.grant_id
    if user_id is None or grant_id is None:
        raise errors.InvalidToken("no user stands behind the access token")
    async with call.services.database.tx_of(call.tenant_or_none) as tx:
        user = await people.find_named(tx, user_id)
    if user is None:
        raise errors.InvalidToken("the access token isn't valid here and now")
    consent_id = call.caller.consent_id
    told = UserInfo(
        sub=ids.encode(Prefix.USER, user_id),
        openbanking_intent_id=None if consent_id is None else ids.encode(Prefix.CONSENT, consent_id),
    )
    if "profile" not in call.caller.scopes:
        return told
    return msgspec.structs.replace(told, name=user.display_name, updated_at=int(user.updated_at.timestamp()))
