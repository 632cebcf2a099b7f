"""What of people's operations needs a second person: whatever would let one member of staff become somebody else.

Whoever may hand out access could hand it to themselves under another name: by making a member of staff, by giving
somebody roles, or by letting somebody begin anew and opening the link themselves. Where customers don't begin anew by
one person's word, they get no further sign-in by it, either, which would be as good. Operators at the server's machine
make the first members of staff, and help where nobody is left (``billfold users``).
"""

from collections.abc import Mapping
from typing import Any

from billfold import errors, ids
from billfold.contract.users import CreateUser, LoginRealm
from billfold.ids import Prefix
from billfold_server.http.routing import Call, NeedsApproval
from billfold_server.people import service
from billfold_server.tenancy.manifest import ApprovalKind

__all__ = ["NEW_USER", "RE_ENROLMENT", "ROLES"]


async def _makes_somebody(call: Call, values: Mapping[str, Any]) -> bool | ApprovalKind:
    body: CreateUser = values["body"]
    always = call.tenant.manifest.approvals.always
    if body.login_realm is LoginRealm.STAFF:
        return "roles" in always
    if body.party_id is None or "re_enrolment" not in always:
        return False
    async with call.tx() as tx:
        theirs = await service.list_users_of(tx, ids.decode(Prefix.PARTY, body.party_id))
    return "re_enrolment" if theirs else False


async def _changes_roles(call: Call, _values: Mapping[str, Any]) -> bool:
    return "roles" in call.tenant.manifest.approvals.always


async def _begins_anew(call: Call, values: Mapping[str, Any]) -> bool:
    manifest = call.tenant.manifest
    try:
        async with call.tx() as tx:
            user = await service.get_user(
                service.Realm.of(call.services, call.tenant), tx, ids.decode(Prefix.USER, values["user_id"])
            )
    except errors.NotFound:
        # The handler refuses it, with a reason.
        return False
    if not user.factors:
        return False
    if "re_enrolment" in manifest.approvals.always:
        return True
    hands_out = user.login_realm in {LoginRealm.STAFF, LoginRealm.PARTNER}
    return hands_out and (not manifest.sandbox or "roles" in manifest.approvals.always)


NEW_USER = NeedsApproval("roles", _makes_somebody)
ROLES = NeedsApproval("roles", _changes_roles)
RE_ENROLMENT = NeedsApproval("re_enrolment", _begins_anew, by_maker=True)
