"""Dies between publishing and its mark: ``python -m tests.server.streams.killable_publisher DSN URL STREAM``."""

import asyncio
import os
import signal
import sys
from collections.abc import Sequence

from billfold.clock import SystemClock
from billfold.contract.platform import Event
from billfold_server.db.relay import Relay
from billfold_server.http.metrics import Metrics
from billfold_server.nats_settings import NatsSettings
from billfold_server.streams.service import NatsPublisher
from billfold_server.tenancy.context import TenantRef
from billfold_server.tenancy.service import Registry
from billfold_server.tenancy.transaction import Database
from tests.tenants import SECRET


class Dying(NatsPublisher):
    """Publishes a batch, and is killed."""

    async def publish(self, tenant: TenantRef, events: Sequence[Event]) -> None:
        """Publish, and die."""
        await super().publish(tenant, events)
        os.kill(os.getpid(), signal.SIGKILL)


async def main(dsn: str, url: str, stream: str) -> None:
    """Connect and publish."""
    database = Database(dsn, deployment_secret=SECRET)
    settings = NatsSettings(nats_url=url, nats_stream=stream, nats_subject=stream)
    publisher = Dying(settings, Metrics(), SystemClock())
    await Relay(database, [publisher], publish_batch=3).run(await Registry(database).get("testbank"))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
