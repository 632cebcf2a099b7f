"""The audit trail against PostgreSQL."""

from datetime import timedelta

import asyncpg
import msgspec
import pytest

from billfold import ids
from billfold.clock import SystemClock
from billfold.contract.platform import AuditRecord
from billfold.ids import Prefix
from billfold_server.audit import service
from billfold_server.audit.service import NewAuditRecord, new_record
from tests.callers import CALLER
from tests.tenants import Tenancy


async def record(tenancy: Tenancy, *records: NewAuditRecord) -> None:
    """Commit records."""
    async with tenancy.database.tx(tenancy.tenant) as tx:
        await service.record(tx, *records)


async def listed(tenancy: Tenancy, **filters: object) -> list[AuditRecord]:
    """Return the records that are listed."""
    async with tenancy.database.tx(tenancy.tenant) as tx:
        return await service.list_records(tx, **filters)  # type: ignore[arg-type]


async def record_and_fail(tenancy: Tenancy) -> None:
    """Write a record in a transaction that rolls back."""
    async with tenancy.database.tx(tenancy.tenant) as tx:
        await service.record(tx, new_record(CALLER, "wallet.frozen", "wal_1"))
        raise ZeroDivisionError


class TestAnAuditRecord:
    async def test_says_who_did_what_why_and_in_which_request(self, tenancy: Tenancy):
        """It is read as it was written."""
        written = new_record(CALLER, "wallet.frozen", "wal_1", reason="court order", facts={"from": "active"})
        await record(tenancy, written)
        assert await listed(tenancy) == [
            AuditRecord(
                id=ids.encode(Prefix.AUDIT_RECORD, written.id),
                actor=CALLER.actor,
                action="wallet.frozen",
                object_id="wal_1",
                reason="court order",
                request_id=CALLER.request_id,
                facts={"from": "active"},
                recorded_at=written.recorded_at,
            )
        ]

    async def test_is_committed_with_its_change_or_not_at_all(self, tenancy: Tenancy):
        """A transaction that rolls back leaves no record."""
        with pytest.raises(ZeroDivisionError):
            await record_and_fail(tenancy)
        assert await listed(tenancy) == []

    @pytest.mark.parametrize(
        "sql",
        [
            "UPDATE audit_records SET actor = 'nobody'",
            "TRUNCATE audit_records",
            "ALTER TABLE audit_records ADD COLUMN x text",
            "DROP TABLE audit_records",
        ],
    )
    async def test_cannot_be_changed_by_the_runtime_role(self, tenancy: Tenancy, sql: str):
        """The trail is append-only, by privilege."""
        await record(tenancy, new_record(CALLER, "wallet.frozen", "wal_1"))
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with tenancy.database.tx(tenancy.tenant) as tx:
                await tx.execute(sql)

    async def test_of_the_last_year_cannot_be_deleted_either(self, tenancy: Tenancy):
        """What asks for all of them reaches those alone that are older than a year, by a policy of the table."""
        old = msgspec.structs.replace(
            new_record(CALLER, "wallet.closed", "wal_1"), recorded_at=SystemClock().now() - timedelta(days=366)
        )
        await record(tenancy, old)
        await record(tenancy, new_record(CALLER, "wallet.frozen", "wal_1"))
        async with tenancy.database.tx(tenancy.tenant) as tx:
            assert await tx.execute("DELETE FROM audit_records") == "DELETE 1"
        assert [each.action for each in await listed(tenancy)] == ["wallet.frozen"]


class TestTheTrail:
    async def test_is_listed_newest_first_page_by_page(self, tenancy: Tenancy):
        """Pages by id meet every record once."""
        written = [new_record(CALLER, "thing.done", f"obj_{n}") for n in range(7)]
        await record(tenancy, *written)
        first = await listed(tenancy, limit=4)
        rest = await listed(tenancy, limit=4, before=ids.decode(Prefix.AUDIT_RECORD, first[-1].id))
        assert [one.object_id for one in first + rest] == [f"obj_{n}" for n in reversed(range(7))]

    async def test_narrows_to_an_object_and_an_action(self, tenancy: Tenancy):
        """Both conditions are met by what is listed."""
        await record(
            tenancy,
            *(new_record(CALLER, action, thing) for action in ("a.made", "a.gone") for thing in ("obj_1", "obj_2")),
        )
        assert len(await listed(tenancy, object_id="obj_1")) == 2
        assert len(await listed(tenancy, action="a.gone")) == 2
        (only,) = await listed(tenancy, object_id="obj_1", action="a.gone")
        assert (only.object_id, only.action) == ("obj_1", "a.gone")

    async def test_takes_what_a_caller_may_send(self, tenancy: Tenancy):
        """The longest reason and request id of the contract fit."""
        long = new_record(CALLER, "wallet.frozen", "wal_1", reason="r" * 2000)
        await record(tenancy, msgspec.structs.replace(long, request_id="q" * 200))
        assert len(await listed(tenancy)) == 1
