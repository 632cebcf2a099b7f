"""Tenants over HTTP, for the platform's operators."""

from collections.abc import Iterator
from typing import Any

import httpx
import msgspec
import pytest

from billfold import ids
from tests.live import LiveServer
from tests.pace import until
from tests.tenants import manifest

pytestmark = pytest.mark.any_postgres


@pytest.fixture(scope="module")
def operator(live: LiveServer) -> Iterator[httpx.Client]:
    """Return an operator's client, with relative addresses below the platform's base."""
    with live.client(None) as client:
        yield client


def body(slug: str, **changes: object) -> dict[str, object]:
    """Return an order to apply a tenant."""
    plain = msgspec.to_builtins(manifest(slug, **changes))
    return {"slug": slug, "manifest": {key: value for key, value in plain.items() if value is not None}}


class TestAnOperator:
    def test_creates_shows_suspends_resumes_migrates_and_deletes(self, operator: httpx.Client) -> None:
        """The life of a tenant over HTTP."""
        created = operator.post("/v1/tenants", json=body("gamma"))
        assert (created.status_code, created.json()["state"]) == (200, "active")
        assert operator.get("/v1/tenants/gamma").json() == created.json()
        reason = {"reason": "test"}
        assert operator.post("/v1/tenants/gamma/suspend", json=reason).json()["state"] == "suspended"
        assert operator.post("/v1/tenants/gamma/resume", json=reason).json()["state"] == "active"
        assert operator.post("/v1/tenants/gamma/migrate").json()["schema_version"] == created.json()["schema_version"]
        refused = operator.delete("/v1/tenants/gamma", params={"confirm": "gamma"})
        assert (refused.status_code, refused.json()["code"]) == (409, "tenant_state_refuses")
        operator.post("/v1/tenants/gamma/suspend", json=reason)
        unconfirmed = operator.delete("/v1/tenants/gamma")
        assert (unconfirmed.status_code, unconfirmed.json()["param"]) == (400, "confirm")
        assert operator.delete("/v1/tenants/gamma", params={"confirm": "gamma"}).status_code == 204
        until(lambda: operator.get("/v1/tenants/gamma").status_code == 404)

    def test_pages_through_all_tenants(self, operator: httpx.Client) -> None:
        """Each tenant is seen once, in order."""
        slugs = [each["slug"] for each in every_tenant(operator, limit=1)]
        assert slugs == sorted(set(slugs))
        assert {"alpha", "beta"} <= set(slugs)

    def test_is_told_the_key_that_is_wrong(self, operator: httpx.Client) -> None:
        """A manifest over HTTP is checked as one from a file."""
        wrong = operator.post("/v1/tenants", json=body("gamma") | {"manifest": {"slug": "gamma", "nam": "x"}})
        assert (wrong.status_code, wrong.json()["code"], wrong.json()["facts"]["key"]) == (
            422,
            "manifest_invalid",
            "nam",
        )

    def test_cannot_apply_one_tenant_under_the_name_of_another(self, operator: httpx.Client) -> None:
        """The slug of the request and that of the manifest agree."""
        wrong = operator.post("/v1/tenants", json=body("gamma") | {"slug": "delta"})
        assert (wrong.status_code, wrong.json()["facts"]["key"]) == (422, "slug")

    def test_needs_the_scope(self, live: LiveServer) -> None:
        """Who may read tenants may not change them."""
        with live.client(None, ["platform:tenants:read"]) as reader:
            assert reader.get("/v1/tenants").status_code == 200
            assert reader.post("/v1/tenants", json=body("gamma")).status_code == 403

    def test_is_no_tenants_client(self, live: LiveServer) -> None:
        """A tenant's token isn't valid at the platform."""
        with live.client("alpha") as client:
            header = {"Authorization": client.headers["Authorization"]}
            assert httpx.get(f"{live.url}/platform/v1/tenants", headers=header).status_code == 401


class TestATenantThatCannotBeRead:
    def test_is_shown_to_operators_and_says_so_to_others(self, live: LiveServer, operator: httpx.Client) -> None:
        """Its clients learn that it isn't gone; readiness and metrics count it; it can be suspended and deleted."""
        live.run(write_strange(live))
        base = f"{live.url}/t/strange"
        until(lambda: httpx.get(f"{base}/v1/tenant").status_code == 503)
        refused = httpx.get(f"{base}/v1/tenant")
        assert (refused.json()["code"], refused.headers["retry-after"]) == ("tenant_unreadable", "60")
        assert "manifest" not in refused.text
        shown = operator.get("/v1/tenants/strange").json()
        assert (shown["state"], shown["isolation"], shown["unreadable"] is None) == ("active", "unknown", False)
        assert operator.get("/v1/tenants/strange/dead-jobs").json()["code"] == "tenant_unreadable"
        listed = {each["slug"]: each["unreadable"] for each in every_tenant(operator)}
        assert (listed["alpha"], listed["strange"]) == (None, shown["unreadable"])
        ready = httpx.get(f"{live.url}/health/ready")
        assert (ready.status_code, "1 tenant(s)" in str(ready.json()["warnings"])) == (200, True)
        assert "billfold_tenants_unreadable 1.0" in httpx.get(f"{live.url}/metrics").text
        operator.post("/v1/tenants/strange/suspend", json={"reason": "test"})
        assert operator.delete("/v1/tenants/strange", params={"confirm": "strange"}).status_code == 204
        until(lambda: operator.get("/v1/tenants/strange").status_code == 404)
        until(lambda: httpx.get(f"{base}/v1/tenant").status_code == 404)


def every_tenant(operator: httpx.Client, limit: int = 100) -> Iterator[dict[str, Any]]:
    """Yield all tenants, so many from a page; other tests may have made more than one page has."""
    query: dict[str, str | int] = {"limit": limit}
    while True:
        page = operator.get("/v1/tenants", params=query).json()
        yield from page["data"]
        if page["next_cursor"] is None:
            return
        query["cursor"] = page["next_cursor"]


async def write_strange(live: LiveServer) -> None:
    """Write a tenant as only another version could."""
    async with live.services.database.platform_tx() as tx:
        revision = await tx.fetchval("UPDATE registry SET revision = revision + 1 WHERE id = 1 RETURNING revision")
        await tx.execute(
            "INSERT INTO tenants (id, slug, state, manifest, revision, created_at, updated_at) "
            "VALUES ($1, 'strange', 'active', '{}', $2, now(), now())",
            ids.uuid7(),
            revision,
        )
