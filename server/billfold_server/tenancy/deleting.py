"""Deletes the tenants of which operators have asked it, in the background of every process that may.

That a tenant is to be deleted stands in its row. So a request that asks for it is short, however many sandboxes its
partners have, and whatever is killed in between, the next look goes on.
"""

import asyncio

import structlog

from billfold import errors
from billfold_server.tenancy.context import SYSTEM, Caller
from billfold_server.tenancy.service import Tenants

__all__ = ["Deletions"]

log = structlog.get_logger(__name__)

_CALLER = Caller(actor="job:tenant.delete", client_id=SYSTEM.client_id)

_EVERY_S = 30.0
"""How often it looks by itself for what another process has left behind; of what this one was asked it is told."""


class Deletions:
    """Looks for tenants that are to be deleted, and deletes them one after the other.

    Args:
        tenants: What operators do.
    """

    def __init__(self, tenants: Tenants) -> None:
        self._tenants = tenants

    async def run(self) -> None:
        """Go on until cancelled. A process that has no administrator's URL leaves it to others, or the command line."""
        asked = self._tenants.asked_to_delete
        while self._tenants.may_administer:
            asked.clear()
            try:
                await self.carry_on()
            except errors.DatabaseUnavailable:
                log.warning("deletions_wait_for_database")
            try:
                async with asyncio.timeout(_EVERY_S):
                    await asked.wait()
            except TimeoutError:
                continue

    async def carry_on(self) -> None:
        """Delete what is to be deleted and no other process is at.

        What fails holds no other tenant up, and is tried again at the next look.
        """
        after = ""
        while slugs := await self._tenants.list_deleting(after=after):
            after = slugs[-1]
            for slug in slugs:
                await self._carry_out(slug)

    async def _carry_out(self, slug: str) -> None:
        try:
            await self._tenants.carry_out_deletion(slug, wait=False, caller=_CALLER)
        except errors.DatabaseUnavailable:
            raise
        except Exception:
            log.exception("tenant_not_deleted", tenant=slug)
