"""The audit trail of operators: whatever they do with tenants and clients leaves a record."""

from uuid import UUID

import asyncpg
import httpx
import msgspec
import pytest

from billfold import errors, ids
from billfold.clock import SystemClock
from billfold.contract.platform import AuditRecord
from billfold.ids import Prefix
from billfold_server.audit import service as audit
from billfold_server.identity.service import create_client, set_client_state
from billfold_server.keys.service import Keyring
from billfold_server.tenancy.context import Caller
from tests.live import LiveServer
from tests.tenants import Tenancy, manifest

pytestmark = pytest.mark.any_postgres

OPERATOR = Caller(actor="cli_operator", client_id=UUID(int=7), request_id="req_seven")
KEYRING = Keyring(b"k" * 32)


async def platform_trail(tenancy: Tenancy, object_id: str | None = None) -> list[AuditRecord]:
    """Return the platform's records, oldest first."""
    async with tenancy.database.platform_tx() as tx:
        return list(reversed(await audit.list_records(tx, object_id=object_id)))


class TestATenantsLife:
    async def test_stands_in_the_platforms_audit_trail(self, tenancy: Tenancy) -> None:
        """From its creation to its end each change says who, why and in which request; what changes nothing doesn't."""
        tenants = tenancy.tenants
        made = (await tenants.apply(manifest("acme"), caller=OPERATOR)).tenant
        await tenants.apply(manifest("acme"), caller=OPERATOR)
        await tenants.apply(manifest("acme", name="Acme & Sons", hosts=["pay.acme.example"]), caller=OPERATOR)
        await tenants.suspend("acme", reason="overdue", caller=OPERATOR)
        await tenants.resume("acme", reason="r" * 5000, caller=OPERATOR)
        await tenants.suspend("acme", reason="overdue again", caller=OPERATOR)
        await tenants.delete("acme", confirm="acme", reason="contract ended", caller=OPERATOR)
        records = await platform_trail(tenancy, ids.encode(Prefix.TENANT, made.id))
        assert [(record.action, record.reason) for record in records] == [
            ("tenant.created", None),
            ("tenant.migrated", None),
            ("tenant.active", None),
            ("tenant.changed", None),
            ("tenant.suspended", "overdue"),
            ("tenant.active", "r" * 2000),
            ("tenant.suspended", "overdue again"),
            ("tenant.deleting", "contract ended"),
            ("tenant.deleted", "contract ended"),
        ]
        assert {(record.actor, record.request_id) for record in records} == {("cli_operator", "req_seven")}
        assert records[3].facts == {"slug": "acme", "fields": ["hosts", "name"]}
        assert records[4].facts == {"slug": "acme", "before": "active"}

    async def test_leaves_no_record_of_what_was_refused(self, tenancy: Tenancy) -> None:
        """The record is part of the change's own transaction."""
        before = await platform_trail(tenancy)
        with pytest.raises(errors.TenantStateRefuses):
            await tenancy.tenants.delete("testbank", confirm="testbank", caller=OPERATOR)
        assert await platform_trail(tenancy) == before

    def test_names_the_operator_who_asked_over_http(self, live: LiveServer) -> None:
        """The actor is the operator's client, and the request is the one whose id the answer has."""
        with live.client(None) as operator:
            answers = [
                operator.post(f"{live.url}/platform/v1/tenants/beta/{event}", json={"reason": "drill"})
                for event in ("suspend", "resume")
            ]
        assert {answer.status_code for answer in answers} == {200}

        async def trail() -> list[AuditRecord]:
            async with live.services.database.platform_tx() as tx:
                return await audit.list_records(tx, object_id=answers[0].json()["id"], limit=2)

        records = list(reversed(live.run(trail())))
        assert [record.request_id for record in records] == [answer.headers["x-request-id"] for answer in answers]
        assert all(record.actor.startswith("cli_") and record.reason == "drill" for record in records)


class TestAnApiClient:
    @pytest.mark.parametrize("platform", [False, True])
    async def test_stands_in_its_realms_audit_trail(self, tenancy: Tenancy, *, platform: bool) -> None:
        """Who made it with which scopes, who disabled it and who let it in again; and never its secret."""
        scope = tenancy.database.platform_tx if platform else lambda: tenancy.database.tx(tenancy.tenant)
        wanted = ["platform:tenants:read"] if platform else ["wallets:read"]
        now = SystemClock().now()
        async with scope() as tx:
            client, secret = await create_client(
                tx, KEYRING, name="n", scopes=wanted, now=now, platform=platform, caller=OPERATOR
            )
            for enabled in (False, True):
                await set_client_state(tx, client.client_id, enabled=enabled, now=now, caller=OPERATOR)
        async with scope() as tx:
            records = list(reversed(await audit.list_records(tx, object_id=client.client_id)))
        assert [record.action for record in records] == ["client.created", "client.disabled", "client.enabled"]
        assert {record.actor for record in records} == {"cli_operator"}
        assert records[0].facts == {
            "scopes": wanted,
            "authentication": "client_secret_basic",
            "grant_types": ["client_credentials"],
            "registered_by": "operator",
        }
        assert secret not in msgspec.json.encode(records).decode()


class TestTheFirstSigningKey:
    def test_stands_in_its_realms_audit_trail(self, live: LiveServer) -> None:
        """One record for the key that was made, by the server itself."""
        kid = httpx.get(f"{live.base('beta')}/.well-known/jwks.json").json()["keys"][0]["kid"]

        async def trail() -> list[AuditRecord]:
            async with live.services.database.tx(await live.services.registry.get("beta")) as tx:
                return await audit.list_records(tx, object_id=kid)

        assert [(record.action, record.actor) for record in live.run(trail())] == [("signing_key.created", "system")]


class TestThePlatformsTrail:
    def test_is_shown_to_operators_who_may_read_it(self, live: LiveServer) -> None:
        """Newest first, page by page, by object and by action; and not with the scope for tenants."""
        with live.client(None) as operator:
            for event in ("suspend", "resume"):
                tenant = operator.post(
                    f"{live.url}/platform/v1/tenants/beta/{event}", json={"reason": "a drill"}
                ).json()
            address = f"{live.url}/platform/v1/audit-records"
            first = operator.get(address, params={"object_id": tenant["id"], "limit": "1"}).json()
            query = {"object_id": tenant["id"], "limit": "1", "cursor": first["next_cursor"]}
            second = operator.get(address, params=query).json()
            named = operator.get(address, params={"object_id": tenant["id"], "action": "tenant.suspended"}).json()
        assert [(page["data"][0]["action"], page["data"][0]["reason"]) for page in (first, second)] == [
            ("tenant.active", "a drill"),
            ("tenant.suspended", "a drill"),
        ]
        assert named["data"][0] == second["data"][0]
        assert {record["action"] for record in named["data"]} == {"tenant.suspended"}
        with live.client(None, ["platform:tenants:read"]) as other:
            refused = other.get(address)
        assert (refused.status_code, refused.json()["facts"]) == (403, {"scope": "platform:audit:read"})

    @pytest.mark.parametrize(
        "sql", ["UPDATE audit_records SET actor = 'me'", "DELETE FROM audit_records", "TRUNCATE audit_records"]
    )
    async def test_is_only_ever_added_to(self, tenancy: Tenancy, sql: str) -> None:
        """The role that serves operators may neither change nor remove a record."""
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with tenancy.database.platform_tx() as tx:
                await tx.execute(sql)
