"""Rails as other rooms know them: one small protocol, which every connector speaks.

A connector translates. It decides nothing, keeps nothing, and moves no money: it hands an instruction to a rail under a
key, or asks what has become of it, and says in these words what the rail has said. What that means for a payment is the
payments room's to decide.
"""

from billfold_server.connectors.simulator.address import folder_of
from billfold_server.connectors.simulator.client import SimulatedRail
from billfold_server.connectors.words import (
    WORDS,
    Account,
    Instruction,
    Notice,
    RailConnector,
    RailSilent,
    Report,
    Word,
)
from billfold_server.settings import Settings
from billfold_server.tenancy.context import TenantRef

__all__ = [
    "WORDS",
    "Account",
    "Instruction",
    "Notice",
    "RailConnector",
    "RailSilent",
    "Rails",
    "Report",
    "SimulatedRail",
    "Word",
]


class Rails:
    """The rails of one process.

    Attributes:
        simulated: The one that is simulated; None in production, where nothing may look like a payment that isn't one.

    Args:
        settings: Where the simulator is found.
    """

    def __init__(self, settings: Settings) -> None:
        self.simulated = None if settings.production else SimulatedRail(folder_of(settings.data_dir))

    def of(self, tenant: TenantRef) -> RailConnector | None:
        """Return the rail by which a tenant's payments leave, or None where none does."""
        return self.simulated if tenant.manifest.sandbox else None

    async def aclose(self) -> None:
        """Close the connections."""
        if self.simulated is not None:
            await self.simulated.aclose()
