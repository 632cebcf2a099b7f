"""A partner's sandbox as the tenant has it, at which the partner is."""

from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from billfold import ids
from billfold.contract.partner_sandboxes import PartnerSandbox, PartnerSandboxState, PartnerSandboxStep
from billfold.ids import Prefix

__all__ = ["COLUMNS", "OwnedSandbox", "to_owned"]


class OwnedSandbox(msgspec.Struct, frozen=True, kw_only=True):
    """A sandbox that a partner has asked for.

    Attributes:
        id: The row's id, by which the platform knows it too.
        partner_id: Whose it is.
        name: What people call it.
        state: What was asked for last; ``ready`` where nothing is left to do.
        step: How far it is with that.
        seeded: Whether there are customers in it.
        seed: From what they follow; the usual one where there is None.
        version: Counts what was asked for, so that who does it notices that something else was meanwhile.
        created_at: When it was asked for.
        updated_at: When anything was last.
    """

    id: UUID
    partner_id: UUID
    name: str
    state: PartnerSandboxState
    step: PartnerSandboxStep
    seeded: bool
    seed: int | None
    version: int
    created_at: datetime
    updated_at: datetime

    @property
    def wire_id(self) -> str:
        """The id as others see it."""
        return ids.encode(Prefix.PARTNER_SANDBOX, self.id)

    def to_response(self, base_url: str) -> PartnerSandbox:
        """Return it as the API shows it."""
        return PartnerSandbox(
            id=self.wire_id,
            partner_id=ids.encode(Prefix.PARTNER, self.partner_id),
            name=self.name,
            state=self.state,
            step=self.step,
            seeded=self.seeded,
            seed=(self.seed or 0) if self.seeded else None,
            base_url=base_url,
            created_at=self.created_at,
            updated_at=self.updated_at,
        )


COLUMNS: Final = ", ".join(OwnedSandbox.__struct_fields__)


def to_owned(row: Any) -> OwnedSandbox:
    """Return a sandbox that was read."""
    read = dict(row)
    state, step = PartnerSandboxState(read.pop("state")), PartnerSandboxStep(read.pop("step"))
    return OwnedSandbox(**read, state=state, step=step)
