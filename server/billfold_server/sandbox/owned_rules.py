"""Pure decisions about sandboxes of partners: what may be asked of one when, and what it is like."""

from typing import Final, Literal
from uuid import UUID

import msgspec

from billfold import ids
from billfold.contract.partner_sandboxes import PartnerSandboxState
from billfold.ids import Prefix
from billfold_server.tenancy.manifest import Manifest, Partners

__all__ = ["NEEDED", "TRANSITIONS", "UNFINISHED", "Asked", "manifest_of", "slug_of"]

Asked = Literal["reset", "remove"]

TRANSITIONS: Final[dict[tuple[PartnerSandboxState, Asked], PartnerSandboxState]] = {
    (PartnerSandboxState.READY, "reset"): PartnerSandboxState.RESETTING,
    (PartnerSandboxState.PREPARING, "remove"): PartnerSandboxState.REMOVING,
    (PartnerSandboxState.READY, "remove"): PartnerSandboxState.REMOVING,
    (PartnerSandboxState.RESETTING, "remove"): PartnerSandboxState.REMOVING,
    (PartnerSandboxState.REMOVING, "remove"): PartnerSandboxState.REMOVING,
}
"""(from, asked) → to; what isn't here is refused. What is done leads to ``ready``, or to nothing being left."""

UNFINISHED: Final = frozenset(PartnerSandboxState) - {PartnerSandboxState.READY}

_TAIL: Final = 8
_SLUG: Final = 40
_NAME: Final = 100
NEEDED: Final = "GBP"
"""In what the customers of a sandbox keep their money."""


def slug_of(owner_slug: str, sandbox_id: UUID) -> str:
    """Return a sandbox's slug: its bank's, and forty bits of chance, so that it tells nothing of whose it is.

    It follows from what the platform knows by itself, and never from what stands in the tenant's own tables.
    """
    tail = ids.encode(Prefix.PARTNER_SANDBOX, sandbox_id)[-_TAIL:]
    return f"{owner_slug[: _SLUG - _TAIL - 1]}-{tail}"


def manifest_of(template: Manifest, bank: Manifest, slug: str, name: str) -> Manifest:
    """Return the manifest of a partner's sandbox: a sandbox like the shipped one, under the bank's brand.

    It is kept apart in the database as the bank is, may call no address that the bank may not, and has no partners
    with sandboxes of their own.
    """
    currencies = [*bank.currencies] if NEEDED in bank.currencies else [*bank.currencies, NEEDED]
    return msgspec.structs.replace(
        template,
        slug=slug,
        name=f"{bank.name}: {name}"[:_NAME],
        brand=bank.brand,
        currencies=currencies,
        features=bank.features,
        open_banking=bank.open_banking,
        egress=bank.egress,
        isolation=bank.isolation,
        hosts=[],
        partners=Partners(sandboxes=0),
        rate_limit_per_s=bank.rate_limit_per_s,
        rate_limit_burst=bank.rate_limit_burst,
    )
