"""Setting a database up, and bringing tenants into being and out of it, whatever happens on the way."""

import asyncio
import contextlib
import os
import secrets
import signal
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import asyncpg
import pytest
import pytest_asyncio

from billfold import errors, ids
from billfold.contract.platform import TenantState
from billfold.ids import Prefix
from billfold_server.audit import service as audit
from billfold_server.db.pools import dsn_for
from billfold_server.tenancy import building, migrations, provisioning
from billfold_server.tenancy.context import Caller
from billfold_server.tenancy.deleting import Deletions
from billfold_server.tenancy.provisioning import Administrator, DatabaseUnsuitable, KeyringDiffers, Provisioned
from billfold_server.tenancy.service import Registry, Tenants
from billfold_server.tenancy.transaction import Database
from tests.forks import forked
from tests.server.tenancy import killable_provisioning
from tests.tenants import SECRET, Tenancy, in_database, manifest

OPERATOR = Caller(actor="cli_operator", client_id=UUID(int=7))
PASSWORDS = "SELECT rolname, rolpassword FROM pg_authid WHERE rolname = ANY($1::text[]) ORDER BY rolname"


async def query(dsn: str, sql: str, *arguments: object) -> list[asyncpg.Record]:
    """Run one query on a connection of its own."""
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetch(sql, *arguments)
    finally:
        await connection.close()


@pytest_asyncio.fixture
async def empty(postgres_dsn: str) -> AsyncIterator[str]:
    """Return the superuser's DSN of a database in which nothing is."""
    name = f"empty_{secrets.token_hex(6)}"
    await query(postgres_dsn, f"CREATE DATABASE {name}")
    yield in_database(postgres_dsn, name)
    await query(postgres_dsn, f"DROP DATABASE {name} WITH (FORCE)")


@pytest_asyncio.fixture
async def modest(empty: str) -> AsyncIterator[str]:
    """Return the DSN of an administrator who owns the database and may create roles, and is no superuser."""
    role = f"dba_{secrets.token_hex(4)}"
    await query(empty, f"CREATE ROLE {role} LOGIN CREATEROLE NOCREATEDB NOSUPERUSER PASSWORD 'modest'")
    name = (await query(empty, "SELECT current_database() AS name"))[0]["name"]
    await query(empty, f"ALTER DATABASE {name} OWNER TO {role}")
    yield dsn_for(empty, user=role, password="modest")


class TestBootstrapping:
    async def test_makes_an_empty_database_ready(self, empty: str) -> None:
        """Afterwards the server's own login reaches the platform's tables."""
        ready = await Administrator(empty, deployment_secret=SECRET).bootstrap()
        database = Database(ready.runtime_dsn, deployment_secret=SECRET)
        assert await database.deployment() == ready.deployment
        async with database.platform_tx() as tx:
            assert await tx.fetchval("SELECT count(*) FROM tenants") == 0
        await database.close()

    async def test_changes_nothing_the_second_time(self, empty: str) -> None:
        """The deployment stays the same, and so does every role."""
        administrator = Administrator(empty, deployment_secret=SECRET)
        first = await administrator.bootstrap()
        # Other tests make roles in the same cluster at the same time.
        roles = "SELECT rolname, rolpassword FROM pg_authid WHERE starts_with(rolname::text, $1) ORDER BY rolname"
        ours = f"bf_{first.deployment.id}_"
        before = await query(empty, roles, ours)
        second = await administrator.bootstrap()
        assert second == first
        assert before
        assert await query(empty, roles, ours) == before

    async def test_by_several_processes_at_once_makes_one_deployment(self, empty: str) -> None:
        """They wait for each other."""
        ready = await asyncio.gather(*(Administrator(empty, deployment_secret=SECRET).bootstrap() for _ in range(4)))
        assert len({each.deployment.id for each in ready}) == 1

    async def test_gives_the_servers_login_nothing_by_itself(self, tenancy: Tenancy) -> None:
        """The login inherits nothing but that it may connect, and may only become runtime roles."""
        rows = await query(
            tenancy.admin_dsn,
            "SELECT r.rolname, m.inherit_option, m.set_option, m.admin_option, "
            "l.rolinherit, l.rolsuper, l.rolcreaterole "
            "FROM pg_auth_members m JOIN pg_roles l ON l.oid = m.member JOIN pg_roles r ON r.oid = m.roleid "
            "WHERE l.rolname = $1",
            (await tenancy.database.deployment()).app_login,
        )
        assert {row["rolname"].rpartition("_")[2] for row in rows} == {"run", "guest"}
        for row in rows:
            # What it inherits from the guests is the way into the database.
            guest = row["rolname"].endswith("_guest")
            assert [*row.values()][1:] == [guest, not guest, False, False, False, False]

    async def test_is_refused_with_another_secret(self, tenancy: Tenancy) -> None:
        """A laptop, or a server that lost its volume, changes no password, so nobody is locked out."""
        vault = await tenancy.add("vault", isolation="login")
        logins = [(await tenancy.database.deployment()).app_login, vault.runtime_role]
        before = await query(tenancy.admin_dsn, PASSWORDS, logins)
        with pytest.raises(KeyringDiffers):
            await Administrator(tenancy.admin_dsn, deployment_secret=b"another one").bootstrap()
        assert len(before) == len(logins)
        assert await query(tenancy.admin_dsn, PASSWORDS, logins) == before

    async def test_follows_another_secret_if_told_to(self, empty: str) -> None:
        """The logins get the passwords that follow from the new secret, also those of tenants."""
        # A deployment of its own: roles are the cluster's, and other tests use those of theirs at the same time.
        administrator = Administrator(empty, deployment_secret=SECRET)
        ready = await administrator.bootstrap()
        database = Database(ready.runtime_dsn, deployment_secret=SECRET)
        await Tenants(database, administrator).apply(manifest("vault", isolation="login"))
        vault = await Registry(database).get("vault")
        await database.close()
        await Administrator(empty, deployment_secret=b"a new one").bootstrap(adopt=True)
        renewed = Database(ready.runtime_dsn, deployment_secret=b"a new one")
        async with renewed.tx(vault) as tx:
            assert await tx.fetchval("SELECT session_user::text") == vault.runtime_role
        await renewed.close()

    async def test_that_was_cut_short_is_continued_with_another_secret(self, empty: str) -> None:
        """Before it is noted from which secret the passwords follow, nobody relies on them."""
        await Administrator(empty, deployment_secret=SECRET).bootstrap()
        await query(empty, "DELETE FROM billfold_platform.deployment")
        ready = await Administrator(empty, deployment_secret=b"a new one").bootstrap()
        assert (await query(ready.runtime_dsn, "SELECT 1 AS one"))[0]["one"] == 1

    @pytest.mark.parametrize("owner", [True, False], ids=["owner", "superuser"])
    async def test_lets_no_other_login_of_the_cluster_in(self, empty: str, modest: str, *, owner: bool) -> None:
        """Who has nothing to do with Billfold can't connect to its database."""
        stranger = f"stranger_{secrets.token_hex(4)}"
        await query(empty, f"CREATE ROLE {stranger} LOGIN PASSWORD 'strange'")
        dsn = dsn_for(empty, user=stranger, password="strange")
        assert await query(dsn, "SELECT 1")
        await Administrator(modest if owner else empty, deployment_secret=SECRET).bootstrap()
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await query(dsn, "SELECT 1")
        await query(empty, f"DROP ROLE {stranger}")

    async def test_goes_on_where_the_administrator_may_not_close_the_database(self, empty: str, modest: str) -> None:
        """Whoever may create schemas without owning the database sets it up, and leaves its doors as they are."""
        database, role = urlsplit(empty).path.removeprefix("/"), urlsplit(modest).username
        await query(empty, f"ALTER DATABASE {database} OWNER TO CURRENT_USER")
        await query(empty, f"GRANT CREATE ON DATABASE {database} TO {role} WITH GRANT OPTION")
        ready = await Administrator(modest, deployment_secret=SECRET).bootstrap()
        assert await query(ready.runtime_dsn, "SELECT 1")

    async def test_is_refused_to_a_role_that_may_not_create_roles(self, empty: str, modest: str) -> None:
        """One sentence says which right is missing."""
        role = urlsplit(modest).username
        await query(empty, f"ALTER ROLE {role} NOCREATEROLE")
        with pytest.raises(DatabaseUnsuitable) as caught:
            await Administrator(modest, deployment_secret=SECRET).bootstrap()
        assert "CREATEROLE" in str(caught.value)

    async def test_is_refused_to_a_role_that_does_not_own_the_database(self, empty: str, modest: str) -> None:
        """One sentence says which right is missing."""
        name = urlsplit(empty).path.removeprefix("/")
        await query(empty, f"ALTER DATABASE {name} OWNER TO CURRENT_USER")
        with pytest.raises(DatabaseUnsuitable) as caught:
            await Administrator(modest, deployment_secret=SECRET).bootstrap()
        assert name in str(caught.value)

    async def test_is_done_though_postgresql_does_not_let_go(
        self, tenancy: Tenancy, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A connection on which everything was done, and which takes long to close, makes nothing of it undone."""
        monkeypatch.setattr(provisioning, "_CLOSE_S", 0.1)
        with contextlib.ExitStack() as stopped:
            async with tenancy.administrator.connect() as connection:
                await connection.execute("CREATE TABLE public.done (x int)")
                backend = connection.get_server_pid()
                os.kill(backend, signal.SIGSTOP)
                stopped.callback(os.kill, backend, signal.SIGCONT)
        assert await query(tenancy.admin_dsn, "SELECT FROM public.done") == []

    async def test_of_a_database_that_ends_in_a_transaction_says_unavailable(self, tenancy: Tenancy) -> None:
        """Though the driver complains of how the transaction ends."""
        with pytest.raises(errors.DatabaseUnavailable):
            async with tenancy.administrator.connect() as connection, connection.transaction():
                await connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")

    async def test_of_a_database_that_is_away_says_unavailable(self) -> None:
        """Nobody listens there."""
        with pytest.raises(errors.DatabaseUnavailable):
            await Administrator("postgresql://a:b@127.0.0.1:9/none", deployment_secret=SECRET).bootstrap()

    async def test_says_that_the_database_takes_no_changes(self, empty: str) -> None:
        """Waiting, or naming another server, mends it; it is no mistake of ours."""
        only_read = f"{empty}{'&' if '?' in empty else '?'}default_transaction_read_only=on"
        with pytest.raises(errors.DatabaseUnavailable, match="can't write"):
            await Administrator(only_read, deployment_secret=SECRET).bootstrap()


class TestAModestAdministrator:
    async def test_can_do_everything(self, modest: str) -> None:
        """CREATEROLE and owning the database suffice for both kinds of isolation, a change of it, and deleting."""
        ready = await Administrator(modest, deployment_secret=SECRET).bootstrap()
        database = Database(ready.runtime_dsn, deployment_secret=SECRET)
        registry = Registry(database)
        tenants = Tenants(database, Administrator(modest, deployment_secret=SECRET), registry)
        for isolation in ("role", "login"):
            await tenants.apply(manifest(f"by_{isolation}", isolation=isolation))
            async with database.tx(await registry.get(f"by_{isolation}")) as tx:
                assert await tx.fetchval("SELECT count(*) FROM pg_class WHERE relname = 'migration'")
        await tenants.apply(manifest("by_role", isolation="login"))
        await tenants.apply(manifest("by_login", isolation="role"))
        for slug in ("by_role", "by_login"):
            async with database.tx(await registry.get(slug)) as tx:
                assert await tx.fetchval("SELECT 1") == 1
            await tenants.suspend(slug, reason="test")
            await tenants.delete(slug, confirm=slug)
        assert await tenants.everyone() == []
        await database.close()

    async def test_is_not_needed_to_suspend(self, tenancy: Tenancy) -> None:
        """Without an administrator's URL tenants can be shown and suspended, and nothing is created."""
        tenants = Tenants(tenancy.database, None, tenancy.registry)
        with pytest.raises(errors.FeatureDisabled):
            await tenants.apply(manifest("more"))
        suspended = await tenants.suspend("testbank", reason="test")
        assert suspended.state is TenantState.SUSPENDED


class TestApplying:
    async def test_twice_changes_nothing(self, tenancy: Tenancy) -> None:
        """The second time says so, and writes nothing."""
        first = await tenancy.tenants.apply(manifest("acme"))
        second = await tenancy.tenants.apply(manifest("acme"))
        assert (first.change, second.change) == ("created", "unchanged")
        assert second.tenant == first.tenant

    async def test_again_takes_away_what_a_kill_has_left(self, tenancy: Tenancy) -> None:
        """Whoever was killed between making the schema and taking the right to make schemas away is made up for."""
        acme = await tenancy.add("acme")
        creator = (await tenancy.database.deployment()).creator_role
        await query(tenancy.admin_dsn, f"GRANT {creator} TO {acme.owner_role} WITH INHERIT TRUE, SET FALSE")
        await tenancy.tenants.apply(manifest("acme"))
        may = "SELECT has_database_privilege($1, current_database(), 'CREATE') AS may"
        assert not (await query(tenancy.admin_dsn, may, acme.owner_role))[0]["may"]

    async def test_another_manifest_changes_the_tenant(self, tenancy: Tenancy) -> None:
        """Workers see the new manifest, under the same id."""
        before = await tenancy.add("acme")
        applied = await tenancy.tenants.apply(manifest("acme", name="Acme Renamed", hosts=["pay.acme.example"]))
        after = await tenancy.registry.find_by_host("pay.acme.example")
        assert applied.change == "changed"
        assert after is not None
        assert (after.id, after.manifest.name) == (before.id, "Acme Renamed")
        assert after.revision > before.revision

    async def test_takes_no_host_from_another_tenant(self, tenancy: Tenancy) -> None:
        """The host stays where it is, and nothing of the new tenant stays."""
        await tenancy.add("acme", hosts=["pay.example"])
        with pytest.raises(errors.TenantExists):
            await tenancy.tenants.apply(manifest("other", hosts=["pay.example"]))
        with pytest.raises(errors.UnknownTenant):
            await tenancy.tenants.get("other")

    @pytest.mark.parametrize(("before", "after"), [("role", "login"), ("login", "role")])
    async def test_that_is_refused_opens_no_other_way_to_a_tenant(
        self, tenancy: Tenancy, before: str, after: str
    ) -> None:
        """Its roles are reached as its isolation asks for, and not as well by what a refused manifest has asked for."""
        await tenancy.add("other", hosts=["pay.example"])
        acme = await tenancy.add("acme", isolation=before)
        with pytest.raises(errors.TenantExists):
            await tenancy.tenants.apply(manifest("acme", isolation=after, hosts=["pay.example"]))
        app = (await tenancy.database.deployment()).app_login
        ways = "SELECT rolcanlogin AS login, pg_has_role($2, oid, 'MEMBER') AS role FROM pg_roles WHERE rolname = $1"
        (found,) = await query(tenancy.admin_dsn, ways, acme.runtime_role, app)
        assert dict(found) == {"login": before == "login", "role": before == "role"}
        async with tenancy.database.tx(acme) as tx:
            assert await tx.fetchval("SELECT 1") == 1

    @pytest.mark.parametrize("before", [True, False])
    async def test_leaves_a_sandbox_one_and_a_bank_none(self, tenancy: Tenancy, before: bool) -> None:  # noqa: FBT001
        """A clock that stands would stand for good, and a bank's books would be there for anybody to reset."""
        acme = await tenancy.add("acme", sandbox=before)
        with pytest.raises(errors.ManifestInvalid) as caught:
            await tenancy.tenants.apply(manifest("acme", sandbox=not before))
        assert caught.value.key == "sandbox"
        assert (await tenancy.tenants.get("acme")).manifest == acme.manifest

    async def test_settles_the_isolation_that_a_manifest_leaves_open(self, tenancy: Tenancy) -> None:
        """The deployment's default, which is the safe one, becomes part of the tenant."""
        applied = await tenancy.tenants.apply(manifest("acme", isolation=None))
        assert applied.tenant.isolation == "login"

    async def test_by_two_processes_at_once_makes_one_tenant(self, tenancy: Tenancy) -> None:
        """Both succeed, with one tenant between them."""
        both = await asyncio.gather(*(tenancy.tenants.apply(manifest("acme")) for _ in range(3)))
        assert len({applied.tenant.id for applied in both}) == 1
        assert {applied.tenant.state for applied in both} == {TenantState.ACTIVE}

    async def test_leaves_the_owner_no_right_to_make_schemas(self, tenancy: Tenancy) -> None:
        """The owner role has it for the one moment in which its own schema is made."""
        acme = await tenancy.add("acme")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await tenancy.as_owner(acme, "CREATE SCHEMA another")


class TestProvisioningThatIsCutShort:
    @pytest.mark.slow
    @pytest.mark.xdist_group("kills")
    async def test_by_a_kill_is_continued_by_applying_again(self, tenancy: Tenancy) -> None:
        """The process is killed before each of its steps; in the end there is one tenant, and it works."""
        codes: list[int | None] = []
        for attempt in range(100):
            # Roles and schema are looked at each time; the third step is the first migration that is still to be run.
            process = forked(killable_provisioning.run, tenancy.admin_dsn, min(attempt, 2))
            await asyncio.to_thread(process.join, 60)
            codes.append(process.exitcode)
            if process.exitcode == 0:
                break
            record = await tenancy.tenants.get("acme")
            assert record.state is TenantState.PROVISIONING
        # It was killed before the roles, before the schema, after the migrations that an empty schema gets at once and
        # after each of the others, and then it went through.
        others = len(migrations.load("tenant")) - building.AT_ONCE
        assert codes == [-signal.SIGKILL] * (3 + others) + [0]
        tenancy.registry.expire()
        async with tenancy.database.tx(await tenancy.registry.get("acme")) as tx:
            assert await tx.fetchval("SELECT 1") == 1

    @pytest.mark.parametrize("isolation", ["role", "login"])
    async def test_at_any_moment_is_continued_by_applying_again(self, tenancy: Tenancy, isolation: str) -> None:
        """Cut short wherever the process waits for PostgreSQL, it goes on from there."""
        cut = 0
        for steps in range(0, 2000, 11):
            task = asyncio.create_task(tenancy.tenants.apply(manifest("acme", isolation=isolation)))
            for _ in range(steps):
                await asyncio.sleep(0.0005 if steps > 300 else 0)
                if task.done():
                    break
            if task.done():
                break
            task.cancel()
            await asyncio.wait({task})
            cut += 1
        assert (await task).tenant.state is TenantState.ACTIVE
        assert cut > 5
        rows = await query(tenancy.admin_dsn, "SELECT count(*) AS n FROM billfold_platform.tenants WHERE slug = 'acme'")
        assert rows[0]["n"] == 1
        tenancy.registry.expire()
        async with tenancy.database.tx(await tenancy.registry.get("acme")) as tx:
            assert await tx.fetchval("SELECT 1") == 1


class TestDeleting:
    async def test_needs_the_tenant_to_be_suspended(self, tenancy: Tenancy) -> None:
        """An active tenant isn't deleted."""
        with pytest.raises(errors.TenantStateRefuses) as caught:
            await tenancy.tenants.delete("testbank", confirm="testbank")
        assert caught.value.state == "active"

    async def test_needs_the_slug_twice(self, tenancy: Tenancy) -> None:
        """A slip deletes nothing."""
        await tenancy.tenants.suspend("testbank", reason="test")
        with pytest.raises(errors.ValidationFailed) as caught:
            await tenancy.tenants.delete("testbank", confirm="testbonk")
        assert caught.value.param == "confirm"
        assert (await tenancy.tenants.get("testbank")).state is TenantState.SUSPENDED

    @pytest.mark.parametrize("isolation", ["role", "login"])
    async def test_leaves_no_schema_role_or_row(self, tenancy: Tenancy, isolation: str) -> None:
        """Nothing of the tenant is left but the note that it was there, and its slug and host are free."""
        acme = await tenancy.add("acme", isolation=isolation, hosts=["pay.example"])
        async with tenancy.database.tx(acme) as tx:
            assert await tx.fetchval("SELECT 1") == 1
        await tenancy.tenants.suspend("acme", reason="test")
        await tenancy.tenants.delete("acme", confirm="acme", reason="test")
        assert await tenancy.registry.find("acme") is None
        assert await tenancy.registry.find_by_host("pay.example") is None
        left = await query(
            tenancy.admin_dsn,
            "SELECT (SELECT count(*) FROM pg_roles WHERE rolname = ANY($1)) AS roles, to_regnamespace($2) AS schema",
            [acme.owner_role, acme.runtime_role],
            acme.schema,
        )
        assert dict(left[0]) == {"roles": 0, "schema": None}
        again = await tenancy.add("acme", isolation=isolation, hosts=["pay.example"])
        assert again.id != acme.id

    async def test_leaves_nothing_that_somebody_applies_at_the_same_time(
        self, tenancy: Tenancy, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Whoever had begun to apply it is refused, and makes neither roles nor a schema that nobody would delete."""
        acme = await tenancy.add("acme")
        provision = tenancy.administrator.provision

        async def too_late(*arguments: Any, **named: Any) -> Provisioned:
            await tenancy.tenants.suspend("acme", reason="test")
            await tenancy.tenants.delete("acme", confirm="acme")
            return await provision(*arguments, **named)

        monkeypatch.setattr(tenancy.administrator, "provision", too_late)
        with pytest.raises(errors.TenantStateRefuses):
            await tenancy.tenants.apply(manifest("acme", name="Acme Renamed"))
        left = await query(
            tenancy.admin_dsn,
            "SELECT (SELECT count(*) FROM pg_roles WHERE rolname = ANY($1)) AS roles, to_regnamespace($2) AS schema",
            [acme.owner_role, acme.runtime_role],
            acme.schema,
        )
        assert dict(left[0]) == {"roles": 0, "schema": None}

    async def test_that_was_cut_short_is_continued(self, tenancy: Tenancy) -> None:
        """A tenant that is half deleted isn't served, applied or resumed, and deleting it again finishes the work."""
        acme = await tenancy.add("acme")
        await tenancy.tenants.suspend("acme", reason="test")
        holder = await asyncpg.connect(tenancy.admin_dsn)
        await holder.execute(f"BEGIN; LOCK TABLE {acme.schema}.migration")
        with pytest.raises(errors.Busy):
            await tenancy.tenants.delete("acme", confirm="acme")
        await holder.close()
        with pytest.raises(errors.TenantStateRefuses):
            await tenancy.tenants.resume("acme", reason="test")
        with pytest.raises(errors.TenantStateRefuses):
            await tenancy.tenants.apply(manifest("acme"))
        await tenancy.tenants.delete("acme", confirm="acme")
        with pytest.raises(errors.UnknownTenant):
            await tenancy.tenants.get("acme")


class TestWhatWasAskedToBeDeleted:
    async def test_is_deleted_by_whoever_lives_with_its_partners_sandboxes(self, tenancy: Tenancy) -> None:
        """To ask is one short step, after which nobody gets it back; another process does the work, and tells who."""
        bank = await tenancy.add_with_sandboxes("acme", 3)
        await tenancy.tenants.suspend("acme", reason="test")
        asked = await tenancy.tenants.ask_to_delete("acme", confirm="acme", reason="it ends", caller=OPERATOR)
        assert asked.state is TenantState.DELETING
        assert [each.state for each in await tenancy.tenants.sandboxes_of(bank.id)] == [TenantState.ACTIVE] * 3
        # Whoever was asked is gone by now.
        living = Tenants(tenancy.database, tenancy.administrator)
        assert tenancy.tenants.asked_to_delete.is_set(), "it would begin at once"
        await Deletions(living).carry_on()
        assert not living.asked_to_delete.is_set(), "the sandboxes are no reason to look again at once"
        assert [each.slug for each in await tenancy.tenants.everyone()] == ["testbank"]
        gone = await query(
            tenancy.admin_dsn,
            "SELECT slug, reason, owner_id FROM billfold_platform.deleted_tenants ORDER BY slug",
        )
        told = "its bank was deleted"
        assert [tuple(each) for each in gone] == [
            ("acme", "it ends", None), *((f"acme-{number}", told, bank.id) for number in range(3))
        ]  # fmt: skip
        async with tenancy.database.platform_tx() as tx:
            trail = await audit.list_records(tx, object_id=ids.encode(Prefix.TENANT, bank.id), limit=10)
        actors = {each.action: each.actor for each in trail}
        assert (actors["tenant.deleting"], actors["tenant.deleted"]) == (OPERATOR.actor, "job:tenant.delete")

    async def test_is_gone_on_with_after_what_fails(self, tenancy: Tenancy) -> None:
        """A tenant whose tables are in use is tried again, and keeps no other one waiting."""
        held = await tenancy.add("acme")
        await tenancy.add("zeta")
        for slug in ("acme", "zeta"):
            await tenancy.doom(slug)
        holder = await asyncpg.connect(tenancy.admin_dsn)
        await holder.execute(f"BEGIN; LOCK TABLE {held.schema}.migration")
        deletions = Deletions(tenancy.tenants)
        await deletions.carry_on()
        assert await tenancy.tenants.list_deleting() == ["acme"]
        await holder.close()
        await deletions.carry_on()
        assert await tenancy.tenants.list_deleting() == []

    async def test_is_left_to_the_process_that_is_at_it(self, tenancy: Tenancy) -> None:
        """Nobody waits behind one long deletion: the others are deleted meanwhile."""
        for slug in ("acme", "zeta"):
            await tenancy.add(slug)
            await tenancy.doom(slug)
        deletions = Deletions(tenancy.tenants)
        async with asyncio.timeout(30), tenancy.administrator.exclusively("delete acme"):
            await deletions.carry_on()
            assert await tenancy.tenants.list_deleting() == ["acme"]
        await deletions.carry_on()
        assert await tenancy.tenants.list_deleting() == []

    async def test_is_deleted_but_for_the_sandbox_that_cannot_be(self, tenancy: Tenancy) -> None:
        """One whose tables are in use keeps the bank, and none of the other sandboxes; all are told to go."""
        await tenancy.add_with_sandboxes("acme", 3)
        await tenancy.doom("acme")
        held = await tenancy.registry.find("acme-0")
        assert held is not None
        holder = await asyncpg.connect(tenancy.admin_dsn)
        await holder.execute(f"BEGIN; LOCK TABLE {held.schema}.migration")
        with pytest.raises(errors.Busy):
            await tenancy.tenants.carry_out_deletion("acme")
        assert await tenancy.tenants.list_deleting() == ["acme", "acme-0"]
        await holder.close()
        await Deletions(tenancy.tenants).carry_on()
        assert [each.slug for each in await tenancy.tenants.everyone()] == ["testbank"]


class TestSuspending:
    async def test_and_resuming_can_be_repeated(self, tenancy: Tenancy) -> None:
        """A command that is sent twice isn't an error."""
        for _ in range(2):
            assert (await tenancy.tenants.suspend("testbank", reason="test")).state is TenantState.SUSPENDED
        assert (await tenancy.registry.get("testbank")).state == "suspended"
        for _ in range(2):
            assert (await tenancy.tenants.resume("testbank", reason="test")).state is TenantState.ACTIVE
        assert (await tenancy.registry.get("testbank")).state == "active"

    async def test_of_nobody_is_refused(self, tenancy: Tenancy) -> None:
        """There is no such tenant."""
        with pytest.raises(errors.UnknownTenant):
            await tenancy.tenants.suspend("nobody", reason="test")
