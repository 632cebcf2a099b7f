"""Destroying keys always takes two people, whatever a tenant's manifest says.

Whoever asks must be a person, too: a program may be anybody's, also that of the person who agrees.
"""

from collections.abc import Mapping
from typing import Any

from billfold import errors, ids
from billfold.ids import Prefix
from billfold_server.http.routing import Call, NeedsApproval
from billfold_server.parties import service as parties

__all__ = ["DESTRUCTION"]


async def _always(call: Call, values: Mapping[str, Any]) -> bool:
    if call.caller.user_id is None:
        raise errors.PersonRequired("a member of staff must ask for it, signed in as themselves")
    async with call.tx() as tx:
        # Nobody is asked to agree to what can't be done.
        if not await parties.find_existing(tx, [ids.decode(Prefix.PARTY, values["body"].party_id)]):
            raise errors.NotFound("there is no such party", param="party_id")
    return True


DESTRUCTION = NeedsApproval("key_destruction", _always)
