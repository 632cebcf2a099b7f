"""Keys of tenants that come and go."""

from collections.abc import Callable

import pytest

from billfold_server.keys.service import Keys, Place, SealBroken
from billfold_server.tenancy.service import Tenants
from tests.keystores import StoreUrls, as_administrator
from tests.tenants import Tenancy

PLACE = Place("parties", "pty_1", "email")


class TestADeletedTenant:
    async def test_leaves_no_keys(
        self, tenancy: Tenancy, new_keys: Callable[..., Keys], key_store_urls: StoreUrls
    ) -> None:
        """With its schema go its keys, and what was copied of its data before can't be read any more."""
        keys, tenant = new_keys(), tenancy.tenant
        tenants = Tenants(tenancy.database, tenancy.administrator, tenancy.registry, forget_keys=keys.forget_tenant)
        sealed = (await keys.sealer(tenant)).seal(PLACE, b"x")
        await tenants.suspend(tenant.slug, reason="it ends")
        await tenants.delete(tenant.slug, confirm=tenant.slug, reason="it ends")
        assert not await as_administrator(key_store_urls, "SELECT FROM subject_keys WHERE tenant_id = $1", tenant.id)
        for process in (keys, new_keys()):
            with pytest.raises(SealBroken):
                (await process.opener(tenant, [sealed])).open(PLACE, sealed)
