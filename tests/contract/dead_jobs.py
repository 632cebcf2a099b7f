"""Jobs that operators may have tried again."""

from billfold import ids
from billfold.ids import Prefix
from tests.live import LiveServer

__all__ = ["DeadJobs"]


class DeadJobs:
    """Makes dead jobs, of a kind that nobody does.

    Args:
        live: The server.
        slug: The tenant whose jobs they are.
    """

    def __init__(self, live: LiveServer, slug: str) -> None:
        self._live = live
        self._slug = slug

    def fresh(self) -> str:
        """Make one, and return its id."""
        made = ids.uuid7()

        async def insert() -> None:
            async with self._live.services.database.tx(await self._live.services.registry.get(self._slug)) as tx:
                now = self._live.services.clock.now()
                await tx.execute(
                    "INSERT INTO jobs (id, kind, due_at, payload, status, attempts, last_error, died_at)"
                    " VALUES ($1, 'test.nobody', $2, '{}', 'dead', 8, 'keys_unavailable', $2)",
                    made, now,
                )  # fmt: skip

        self._live.run(insert())
        return ids.encode(Prefix.JOB, made)
