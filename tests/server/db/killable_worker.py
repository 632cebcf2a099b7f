"""A worker process for tests that kill it.

``relay`` numbers events a few at a time and publishes them to a file; ``jobs`` does jobs, each of which leaves a line
in a file (an effect outside of the database) and a party (one inside); ``clock`` moves the test clock.
"""

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path

import msgspec

from billfold.contract.platform import Event
from billfold_server.db.jobs import JobKinds, JobRun, RetryPolicy
from billfold_server.db.relay import Relay
from billfold_server.db.runner import JobRunner
from billfold_server.tenancy.context import TenantRef
from billfold_server.tenancy.service import Registry
from billfold_server.tenancy.transaction import Database
from tests.parties import add_party
from tests.tenants import SECRET

KIND = "visit"


class FilePublisher:
    """Publishes to a file, one id per line."""

    name = "file"
    question = "NULL::boolean"

    def __init__(self, folder: Path) -> None:
        self._file = folder / "published"

    def wanted(self, _: TenantRef, __: None) -> None:
        """Want everything."""

    async def publish(self, _: TenantRef, events: Sequence[Event]) -> None:
        """Append the events' numbers."""
        for event in events:
            append(self._file, str(event.sequence))
            await asyncio.sleep(0)


def append(file: Path, line: str) -> None:
    """Add a line in one system call, so that a kill leaves it whole or not there."""
    handle = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(handle, f"{line}\n".encode())
    os.close(handle)


def job_kinds(folder: Path) -> JobKinds:
    """Return the kind of job that leaves a line in a file and a party in the database."""

    async def visit(run: JobRun) -> None:
        number = msgspec.json.decode(run.job.payload)["n"]
        append(folder / "visited", str(number))
        async with run.tx() as tx:
            await add_party(tx, f"visit-{number}")
            await run.finish(tx)

    kinds = JobKinds()
    # Nobody but the test's kills makes an attempt fail, and there may be many of those.
    kinds.register(KIND, visit, RetryPolicy(attempts=1000, timeout_s=30))
    return kinds


async def work(role: str, database: Database, tenant: TenantRef, folder: Path) -> None:
    """Work for ever."""
    relay = Relay(database, [FilePublisher(folder)], publish_batch=3)
    runner = JobRunner(database, job_kinds(folder))
    while True:
        if role == "relay":
            await relay.run(tenant)
        elif role == "jobs":
            await runner.run(tenant)
        else:
            await runner.drive(tenant)
        await asyncio.sleep(0.001)


async def _main(role: str, dsn: str, folder: Path) -> None:
    database = Database(dsn, deployment_secret=SECRET)
    await work(role, database, await Registry(database).get("testbank"), folder)


def run(role: str, dsn: str, folder: Path) -> None:
    """Connect and work, in a process of its own."""
    asyncio.run(_main(role, dsn, folder))
