"""Destroying keys always takes two people, whatever a tenant's manifest says.

Whoever asks must be a person, too: a program may be anybody's, also that of the person who agrees.
"""

from collections.abc import Mapping
from typing import Any

from billfold import errors, ids
from billfold.ids import Prefix
from billfold_server.http.routing import Call, NeedsApproval
from billfold_server.parties import service as parties

__all__ = ["DESTRUCTION", "needs_two"]


def needs_two(party: str = "party_id") -> NeedsApproval:
    """Return that an operation destroys a party's keys.

    Args:
        party: The name under which the party's id is in the path or the body.
    """

    async def when(call: Call, values: Mapping[str, Any]) -> bool:
        if call.caller.user_id is None:
            raise errors.PersonRequired("a member of staff must ask for it, signed in as themselves")
        party_id = values[party] if party in values else getattr(values["body"], party)
        async with call.tx() as tx:
            # Nobody is asked to agree to what can't be done.
            if not await parties.find_existing(tx, [ids.decode(Prefix.PARTY, party_id)]):
                raise errors.NotFound("there is no such party", param=party)
        return True

    return NeedsApproval("key_destruction", when)


DESTRUCTION = needs_two()
