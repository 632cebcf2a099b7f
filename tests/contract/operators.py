"""Operators that platform operations may do things to."""

import secrets
from datetime import timedelta

from billfold import ids
from billfold.ids import Prefix
from tests.live import LiveServer

__all__ = ["Operators"]


class Operators:
    """Makes operators to whom anything may happen.

    Args:
        live: The server.
    """

    def __init__(self, live: LiveServer) -> None:
        self._live = live

    def fresh(self) -> str:
        """Make one for whom another operator has asked already, so that the next one who asks is the second."""
        made, asker = ids.uuid7(), ids.uuid7()

        async def insert() -> None:
            now = self._live.services.clock.now()
            async with self._live.services.database.platform_tx() as tx:
                for each in (made, asker):
                    await tx.execute(
                        "INSERT INTO users (id, login_realm, login_name, display_name, roles, state, handle, version,"
                        " created_at, updated_at) VALUES ($1, 'operator', $2, 'Ada', '{}', 'active', $3, 1, $4, $4)",
                        each, secrets.token_hex(10), secrets.token_bytes(32), now,
                    )  # fmt: skip
                await tx.execute(
                    "INSERT INTO operator_requests (user_id, what, asked_by, asked_at, expires_at)"
                    " VALUES ($1, 'enrolment', $2, $3, $4)",
                    made, asker, now, now + timedelta(days=1),
                )  # fmt: skip

        self._live.run(insert())
        return ids.encode(Prefix.USER, made)
