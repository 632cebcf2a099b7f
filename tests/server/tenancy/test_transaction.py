"""The tenant transaction against PostgreSQL."""

from tests.tenants import Tenancy


class TestATransaction:
    """What a transaction of a tenant is."""

    async def test_sees_the_tenants_schema_alone(self, tenancy: Tenancy) -> None:
        """Role and search path are the tenant's."""
        async with tenancy.database.tx(tenancy.tenant) as tx:
            row = await tx.fetchrow("SELECT current_user, current_schemas(false)::text[] AS path")
        assert row is not None
        assert row["current_user"] == tenancy.tenant.runtime_role
        assert row["path"] == [tenancy.tenant.schema]
