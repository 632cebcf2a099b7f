"""Rails as other rooms know them: one small protocol, which every connector speaks.

A connector translates. It decides nothing, keeps nothing, and moves no money: it hands an instruction to a rail under a
key, or asks what has become of it, and says in these words what the rail has said. What that means for a payment is the
payments room's to decide.
"""

from billfold_server.connectors.simulator.address import folder_of
from billfold_server.connectors.simulator.client import Part, SimulatedRail
from billfold_server.connectors.simulator.rules import Behaviour
from billfold_server.connectors.simulator.rules import listed as magic_values
from billfold_server.connectors.simulator.rules import table as table_of_magic_values
from billfold_server.connectors.words import (
    WORDS,
    Account,
    Credit,
    Instruction,
    Notice,
    RailConnector,
    RailReceiver,
    RailSilent,
    Report,
    Word,
)
from billfold_server.settings import Settings
from billfold_server.tenancy.context import TenantRef

__all__ = [
    "WORDS",
    "Account",
    "Behaviour",
    "Credit",
    "Instruction",
    "Notice",
    "Part",
    "RailConnector",
    "RailReceiver",
    "RailSilent",
    "Rails",
    "Report",
    "SimulatedRail",
    "Word",
    "magic_values",
    "table_of_magic_values",
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

    def of(self, tenant: TenantRef) -> SimulatedRail | None:
        """Return the rail by which a tenant's payments leave and come in, or None where none do."""
        return self.simulated.of(tenant) if self.simulated is not None and tenant.manifest.sandbox else None

    async def aclose(self) -> None:
        """Close the connections."""
        if self.simulated is not None:
            await self.simulated.aclose()
