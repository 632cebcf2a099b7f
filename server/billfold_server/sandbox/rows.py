"""A simulation as it lies."""

from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from billfold import ids
from billfold.contract.sandbox import Simulation, SimulationKind, SimulationState
from billfold.ids import Prefix

__all__ = ["SIMULATION", "SimulationRow", "to_simulation"]


class SimulationRow(msgspec.Struct, frozen=True, kw_only=True):
    """A simulation.

    Attributes:
        facts: What else the contract's ``Simulation`` tells of its kind.
        state: Whether it was ended; it may also be over because its time is.
        until: When it ends, on the tenant's clock.
        at_last: When it ends on the real one, where that is bounded.
    """

    id: UUID
    kind: SimulationKind
    facts: dict[str, Any]
    state: SimulationState
    times: int | None
    used: int
    until: datetime | None
    at_last: datetime | None
    created_at: datetime
    ended_at: datetime | None

    @property
    def wire_id(self) -> str:
        """Its id on the wire."""
        return ids.encode(Prefix.SIMULATION, self.id)

    def is_over(self, now: datetime, real_now: datetime) -> bool:
        """Tell whether its time has passed."""
        return (self.until is not None and self.until <= now) or (self.at_last is not None and self.at_last <= real_now)

    def to_response(self, now: datetime, real_now: datetime) -> Simulation:
        """Return it as the API shows it at an instant of the tenant's clock and of the real one."""
        state = self.state
        if state is SimulationState.ACTIVE and self.is_over(now, real_now):
            state = SimulationState.EXPIRED
        shown = {
            "id": self.wire_id,
            "kind": self.kind,
            "state": state,
            "times": self.times,
            "used": self.used,
            "until": self.until,
            "created_at": self.created_at,
            "ended_at": self.ended_at,
            **self.facts,
        }
        return msgspec.convert(shown, Simulation)


SIMULATION: Final = ", ".join(
    f"{name}::text AS {name}" if name == "facts" else name for name in SimulationRow.__struct_fields__
)


def to_simulation(row: Any) -> SimulationRow:
    """Return a simulation that was read."""
    read = dict(row)
    read["facts"] = msgspec.json.decode(read["facts"])
    return SimulationRow(**{**read, "kind": SimulationKind(read["kind"]), "state": SimulationState(read["state"])})
