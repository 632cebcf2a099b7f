"""What ends with a consent: the grants that were given by it.

Grants know of consents, and consents of nobody who lives by them; so whoever keeps grants says here how they end.
"""

from collections.abc import Awaitable
from datetime import datetime
from typing import Final, Protocol
from uuid import UUID

from billfold.clock import SystemClock
from billfold_server.tenancy.context import Caller
from billfold_server.tenancy.transaction import TenantTx

__all__ = ["EndGrants", "end_grants", "ends_with_consents"]


class EndGrants(Protocol):
    """Ends the grants that were given by a consent, in the transaction that ends the consent."""

    def __call__(
        self, tx: TenantTx, reason: str, /, *, now: datetime, consent_id: UUID, caller: Caller
    ) -> Awaitable[int]:
        """End them at the real time ``now``, and return how many stood until then."""


_ENDING: Final[list[EndGrants]] = []


def ends_with_consents(end: EndGrants) -> None:
    """Say how grants end with the consent that they were given by. Saying so again changes nothing."""
    if end not in _ENDING:
        _ENDING.append(end)


async def end_grants(tx: TenantTx, reason: str, *, consent_id: UUID, caller: Caller) -> None:
    """End the grants that were given by a consent."""
    assert _ENDING, "somebody keeps grants"
    for end in _ENDING:
        await end(tx, reason, now=SystemClock().now(), consent_id=consent_id, caller=caller)
