"""Data keys over HTTP: where they stand, and how they are replaced and destroyed."""

from uuid import UUID

from billfold import errors, ids
from billfold.contract.common import Page
from billfold.contract.data_keys import DataKeyStatus, ForgottenSubject, RotateDataKeys, ShredSubject
from billfold.ids import Prefix
from billfold_server.http.pagination import DEFAULT_LIMIT, Cursor, Limit
from billfold_server.http.routing import Call, Reply, Routes
from billfold_server.keys import service
from billfold_server.keys.approving import DESTRUCTION

__all__ = ["routes"]

routes = Routes(
    tag="Data keys", description="Under which keys personal and card data lie, how they are replaced, and destroyed."
)

_KIND = "forgotten_subjects"


@routes.get("/v1/data-keys", scope="keys:read", errors=(errors.KeysUnavailable,))
async def get_data_keys(call: Call) -> DataKeyStatus:
    """Show where the keys stand.

    Of each domain: what keeps the tenant key and its versions, the epochs with the keys that lie under them still, and
    how many wait for a newer one. A tenant that has sealed nothing yet has no domains.
    """
    keys, days = call.services.keys, call.services.settings.key_rotation_days
    return await service.standing(keys.store, keys.backends, call.tenant.id, rotate_days=days)


@routes.post("/v1/data-keys/rotate", scope="keys:write", errors=(errors.FeatureDisabled, errors.KeysUnavailable))
async def rotate_data_keys(call: Call, body: RotateDataKeys) -> DataKeyStatus:
    """Replace tenant key and epoch of personal data.

    The tenant key gets a new version, and a new epoch lies under it; every worker uses it within seconds. What lies
    under former ones stays readable, is brought along in the background, and they are gone once nothing needs them.
    The keys of cards are out of the API's reach, and to ask for them is refused (`feature_disabled`): an operator
    rotates them by `billfold keys rotate --domain cards`, and the server does when they are due.
    """
    return await service.rotate_as_asked(call, call.services.keys, body)


@routes.post(
    "/v1/data-keys/shred",
    scope="keys:write",
    idempotency="optional",
    approval=DESTRUCTION,
    errors=(
        errors.NotFound,
        errors.PersonRequired,
        errors.ApprovalRequired,
        errors.ApprovalRefused,
        errors.KeysUnavailable,
    ),
)
async def shred_subject(call: Call, body: ShredSubject) -> Reply[ForgottenSubject]:
    """Destroy a party's keys.

    Whatever lies under them can't be read any more, by anybody, in no backup of the tenant's data either; every worker
    has forgotten them within seconds. Another person must agree first, whatever the tenant's manifest says. The party's
    vault tokens are forgotten with them. What else isn't sealed stays; erasing a party takes that away, too.
    """
    party_id = ids.decode(Prefix.PARTY, body.party_id)
    return await service.shred(call, call.services.keys, party_id, body.reason)


@routes.get("/v1/data-keys/forgotten-subjects", scope="keys:read", errors=(errors.KeysUnavailable,))
async def list_forgotten_subjects(
    call: Call, *, limit: Limit = DEFAULT_LIMIT, cursor: Cursor | None = None
) -> Page[ForgottenSubject]:
    """List parties whose keys were destroyed.

    In the order of their ids.
    """
    after = call.cursors.decode(_KIND, cursor)
    found = await service.list_forgotten(
        call.services.keys.store, call.tenant.id, after=UUID(str(after[0])) if after else None, limit=limit + 1
    )
    return call.page(_KIND, found, limit, key=lambda each: [str(ids.decode(Prefix.PARTY, each.party_id))])
