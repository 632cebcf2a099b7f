"""The inventory of personal data, held to the real catalog of a migrated tenant."""

from collections import Counter

import msgspec
import pytest

from billfold.contract.privacy import DataInventory
from billfold_server.db.personal import Kept, PersonalColumn
from billfold_server.http.idempotency import is_sealed
from billfold_server.privacy import service
from billfold_server.rooms import INVENTORIES, operations
from billfold_server.tenancy.manifest import Retention
from tests.live import LiveServer
from tests.server.privacy.catalog import columns_of
from tests.tenants import Tenancy

CLASSIFIED = [column for inventory in INVENTORIES for column in inventory.classified()]


class TestTheInventory:
    """The inventory."""

    async def test_classifies_every_column_that_there_is(self, tenancy: Tenancy):
        """Each column of a migrated tenant is personal, or says why it isn't; none is named that there isn't."""
        there_are = set(await columns_of(tenancy))
        assert there_are - set(CLASSIFIED) == set(), "columns that no room's inventory classifies"
        assert set(CLASSIFIED) - there_are == set(), "columns that an inventory names though there are none"

    def test_classifies_each_column_once(self):
        """No column is said to be personal in one place and not in another."""
        assert [column for column, times in Counter(CLASSIFIED).items() if times > 1] == []

    def test_names_days_that_the_manifest_has(self):
        """What is kept for a number of days is kept for one that the manifest can set."""
        days = {kept for kept in Kept.__args__ if kept.endswith("_days")}  # type: ignore[attr-defined]
        assert days <= set(Retention.__struct_fields__)

    async def test_counts_what_there_is(self, tenancy: Tenancy):
        """The number of rows comes from the tables themselves."""
        async with tenancy.database.tx(tenancy.tenant) as tx:
            before = await service.data_inventory(tx, INVENTORIES)
            await tx.execute(
                "INSERT INTO audit_records (id, actor, action, object_id, facts, recorded_at) "
                "SELECT gen_random_uuid(), 'system', 'test.done', 'x', '{}', now() FROM generate_series(1, 3)"
            )
            after = await service.data_inventory(tx, INVENTORIES)
        assert _records(after, "actor") - _records(before, "actor") == 3
        assert _records(after, "reason") == _records(before, "reason")


def _records(inventory: DataInventory, column: str) -> int:
    (found,) = (each for each in inventory.columns if (each.table, each.column) == ("audit_records", column))
    return found.records


class TestAColumn:
    """A column."""

    @pytest.mark.parametrize("changes", [{}, {"domain": "data", "plain_because": "it is"}])
    def test_is_sealed_or_says_why_not(self, changes: dict[str, str]):
        """One that says neither can't be declared, and none says both."""
        with pytest.raises(ValueError, match="sealed"):
            PersonalColumn(table="t", column="c", category="name", owner="party", kept="party", **changes)  # type: ignore[arg-type]


class TestTheOperation:
    """The operation."""

    def test_shows_the_inventory_to_who_may_see_it(self, live: LiveServer):
        """It needs a scope of its own, and names columns, keys and days."""
        with live.client("alpha", ["privacy:read"]) as client:
            answer = client.get("/v1/data-inventory")
        assert answer.status_code == 200
        inventory = msgspec.json.decode(answer.content, type=DataInventory)
        assert {each.room for each in inventory.columns} >= {"parties", "people", "audit"}
        (body,) = (each for each in inventory.columns if (each.table, each.column) == ("idempotency_keys", "body"))
        assert body.kept_days == Retention().idempotent_answers_days
        with live.client("alpha", ["audit:read"]) as client:
            assert client.get("/v1/data-inventory").status_code == 403


TELLS = {"name", "email", "login_name", "display_name", "counterparty_name", "counterparty_iban", "remittance"}
"""Fields of answers that tell of people."""
NOT_OF_PEOPLE = {
    # An account of the chart has a name, too.
    "createAccount",
    # So has what the bank offers everybody.
    "createProduct",
    # And a partner is an organisation.
    "createPartner",
    # Whose sandboxes have names, too.
    "createPartnerSandbox",
    "resetPartnerSandbox",
    # Its answer is kept with its texts sealed, and opened when it goes out.
    "assignStatementEntry",
}


class TestAKeptAnswer:
    """A kept answer."""

    def test_that_tells_of_people_is_sealed(self):
        """An operation whose answer is kept for copies of the request says so where that has such fields."""
        forgotten = [
            operation.operation_id
            for operation in operations()
            if operation.idempotency != "none"
            and not operation.personal
            and TELLS & set(getattr(operation.signature.response, "__struct_fields__", ()))
        ]
        assert set(forgotten) - NOT_OF_PEOPLE == set()

    def test_is_read_again_by_copies_of_the_request_alone(self, live: LiveServer):
        """What lies in the table is sealed, and a copy of the request gets what was answered first, to the byte."""
        key, body = {"Idempotency-Key": "a-kept-party"}, {"kind": "person", "name": "Kept Quill"}
        with live.client("alpha", ["parties:write"]) as client:
            first, again = (client.post("/v1/parties", json=body, headers=key) for _ in range(2))
        assert (first.status_code, again.headers["idempotent-replayed"]) == (201, "true")
        assert first.content == again.content

        async def kept() -> bytes:
            tenant = await live.services.registry.get("alpha")
            async with live.services.database.tx(tenant) as tx:
                found: bytes = await tx.fetchval("SELECT body FROM idempotency_keys WHERE key = 'a-kept-party'")
            return found

        body_ = live.run(kept())
        assert is_sealed(body_)
        assert b"Quill" not in body_
