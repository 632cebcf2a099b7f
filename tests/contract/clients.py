"""Clients that may do whatever a client can: ask for tokens by themselves, and ask people."""

from billfold import ids
from billfold.ids import Prefix
from tests.live import Credentials, LiveServer

__all__ = ["REDIRECT_URI", "add_asking_client"]

REDIRECT_URI = "https://app.example/cb"


def add_asking_client(live: LiveServer, slug: str | None) -> Credentials:
    """Register a client of a tenant, or (None) of the platform, that also asks people."""
    credentials = live.add_client(slug)
    key = ids.decode(Prefix.CLIENT, credentials.client_id)

    async def widen() -> None:
        database = live.services.database
        scope = database.platform_tx() if slug is None else database.tx(await live.services.registry.get(slug))
        async with scope as tx:
            await tx.execute(
                "UPDATE api_clients SET redirect_uris = $2, response_types = $3, grant_types = grant_types || $4"
                " WHERE id = $1",
                key, [REDIRECT_URI], ["code"], ["authorization_code"],
            )  # fmt: skip

    live.run(widen())
    return credentials
