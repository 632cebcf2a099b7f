"""Databases that older versions have filled, brought up to date as ``billfold up`` does it, and served by this one.

What each folder of ``upgrades`` holds was made by ``dump_for_upgrades``, in a checkout of the older version.
"""

import asyncio
import contextlib
import lzma
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from billfold.chain import ERA, verify_export, verify_trail_export
from billfold_server.audit.sealing import seal
from billfold_server.audit.trail_reading import export_trail, verify_trail
from billfold_server.db.embedded import DEFAULT_MAJOR, EmbeddedPostgres
from billfold_server.invariants.service import check
from billfold_server.ledger.archives import verify_archives
from billfold_server.ledger.export import export_ledger, verify_ledger
from billfold_server.ledger.recording import record_terms
from billfold_server.serving.database import find_database
from billfold_server.serving.service import make_current
from billfold_server.serving.welcome import SANDBOX_FILE
from billfold_server.settings import Settings
from billfold_server.tenancy import migrations
from billfold_server.tenancy.context import COMMAND_LINE, TenantRef
from tests.live import Credentials, LiveServer, serve
from tests.postgres import binaries, own_data_dir, query, remove
from tests.server.tenancy import dump_for_upgrades
from tests.server.tenancy.dump_for_upgrades import (
    ANSWERS,
    ARCHIVE,
    BANK,
    CLUSTER,
    IBAN,
    KEYRING,
    PURPOSE,
    SANDBOX,
    Answers,
)

pytestmark = pytest.mark.any_postgres

FOLDERS = sorted(Path(__file__).with_name("upgrades").iterdir())
TENANTS = (BANK, SANDBOX)
CONNECTIONS = 300
SLEEPING = ("background", "deletions", "keeper", "sealing")
"""What a server does by itself: much of it would be due, the older the folder gets."""


class Said(msgspec.Struct):
    """What the older version said.

    Attributes:
        base_url: Where it believed to be.
        tenants: What it said of each tenant.
    """

    base_url: str
    tenants: dict[str, Answers]


class Upgraded:
    """A server of this version on what an older one has left.

    Attributes:
        live: The server.
        said: What the older version said.
        archive: The file of a month that the older version has taken out of the bank's ledger.
        now: What this version says to the same questions, before anything else is done.
    """

    def __init__(self, live: LiveServer, said: Said, archive: Path) -> None:
        self.live = live
        self.said = said
        self.archive = archive
        self._clients = {
            slug: live.client_of(slug, Credentials(known.client_id, known.secret))
            for slug, known in said.tenants.items()
        }
        self.now = {slug: {path: self._get(slug, path) for path in said.tenants[slug].read} for slug in TENANTS}

    def client(self, slug: str) -> httpx.Client:
        """Return the client of a tenant that the older version has registered."""
        return self._clients[slug]

    def _get(self, slug: str, path: str) -> Any:
        answer = self.client(slug).get(path)
        assert answer.status_code == 200, (path, answer.text)
        return answer.json()

    def close(self) -> None:
        """Let go of the clients."""
        for client in self._clients.values():
            client.close()

    def of(self, slug: str, work: Callable[[TenantRef], Any]) -> Any:
        """Return what comes of some work with a tenant, in the server's own loop."""

        async def run() -> Any:
            return await work(await self.live.services.registry.get(slug))

        return self.live.run(run())


class _Asleep:
    async def run(self) -> None:
        await asyncio.Event().wait()


def asleep(app: Any) -> Any:
    """Let a server do nothing by itself."""
    app.state.services.rooms.update(dict.fromkeys(SLEEPING, _Asleep()))
    return app


def said_in(folder: Path) -> Said:
    """Return what a folder's version said."""
    return msgspec.json.decode(lzma.decompress((folder / ANSWERS).read_bytes()), type=Said)


def restore(cluster: EmbeddedPostgres, folder: Path) -> None:
    """Read a dump into a cluster that is empty, as an operator would."""
    program = str(binaries(DEFAULT_MAJOR) / "psql")
    command = [program, "--quiet", "--no-psqlrc", "--set=ON_ERROR_STOP=1", f"--dbname={cluster.dsn()}"]
    sql = lzma.decompress((folder / CLUSTER).read_bytes())
    done = subprocess.run(command, input=sql, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()


async def bring_up_to_date(data_dir: Path, public_url: str) -> Settings:
    """Do what ``billfold up`` does before it serves: platform, key store, tenants."""
    settings = Settings(data_dir=str(data_dir), port=0, log_level="warning", public_url=public_url)
    async with find_database(settings) as found:
        await make_current(found.settings)
        return found.settings


@contextlib.contextmanager
def upgrading(folder: Path) -> Iterator[Upgraded]:
    """Serve what a folder holds until the block ends."""
    # The test is skipped here where there is no PostgreSQL to start.
    binaries(DEFAULT_MAJOR)
    data_dir = own_data_dir()
    said = said_in(folder)
    try:
        with EmbeddedPostgres(data_dir, max_connections=CONNECTIONS, durable=False) as cluster:
            restore(cluster, folder)
            shutil.copy(folder / KEYRING, data_dir / KEYRING)
            (data_dir / KEYRING).chmod(0o600)
            developer = said.tenants[SANDBOX]
            kept = f"BILLFOLD_CLIENT_ID={developer.client_id}\nBILLFOLD_CLIENT_SECRET={developer.secret}\n"
            (data_dir / SANDBOX_FILE).write_text(kept)
            settings = asyncio.run(bring_up_to_date(data_dir, said.base_url))
            with (
                serve(settings, wrap=asleep) as live,
                contextlib.closing(Upgraded(live, said, folder / ARCHIVE)) as server,
            ):
                yield server
    finally:
        remove(data_dir)


@pytest.fixture(scope="module", params=FOLDERS, ids=lambda folder: folder.name)
def upgraded(request: pytest.FixtureRequest) -> Iterator[Upgraded]:
    """A server of this version on what an older one has left."""
    with upgrading(request.param) as server:
        yield server


def missing(older: Any, newer: Any, place: str = "") -> list[str]:
    """Name what an older answer said that a newer one doesn't; what the newer one says beside it is nobody's loss."""
    if place.startswith("/v1/clients") and place.endswith((".scope", ".version")):
        # A migration that splits a scope gives both of its halves to who had it.
        return [] if _more(older, newer) else [f"{place}: {older!r} -> {newer!r}"]
    if isinstance(older, dict) and isinstance(newer, dict):
        return [each for key, value in older.items() for each in missing(value, newer.get(key), f"{place}.{key}")]
    if isinstance(older, list) and isinstance(newer, list) and len(older) == len(newer):
        pairs = zip(older, newer, strict=True)
        return [each for number, pair in enumerate(pairs) for each in missing(*pair, f"{place}[{number}]")]
    return [] if older == newer else [f"{place}: {older!r} -> {newer!r}"]


def _more(older: Any, newer: Any) -> bool:
    """Tell whether a scope holds another one, or a version comes after another one."""
    if isinstance(older, str):
        return set(older.split()) <= set(newer.split())
    later: bool = older <= newer
    return later


async def lines(stream: Any) -> list[bytes]:
    """Return all lines of an export."""
    return [line async for line in stream]


class TestADatabaseOfAnOlderVersion:
    def test_has_every_migration_now(self, upgraded: Upgraded) -> None:
        """The platform's and each tenant's, in order."""
        assert upgraded.live.settings.admin_database_url is not None
        dsn = upgraded.live.settings.admin_database_url.reveal()
        records = upgraded.live.run(upgraded.live.services.tenants.everyone())
        assert [(each.slug, each.schema_version) for each in records] == [
            (slug, migrations.newest("tenant")) for slug in TENANTS
        ]
        schemas = {upgraded.of(slug, _itself).schema: "tenant" for slug in TENANTS} | {"billfold_platform": "platform"}
        for schema, app in schemas.items():
            rows = query(dsn, f"SELECT name FROM {schema}.migration")  # noqa: S608 -- a name of ours
            assert {row["name"] for row in rows} == set(migrations.load(app))

    @pytest.mark.parametrize("slug", TENANTS)
    def test_is_shown_as_it_was(self, upgraded: Upgraded, slug: str) -> None:
        """Balances, statements, transfers, holds, payments, events, consents and all else: nothing is lost."""
        older = upgraded.said.tenants[slug].read
        assert [each for path in older for each in missing(older[path], upgraded.now[slug][path], path)] == []

    @pytest.mark.parametrize("slug", TENANTS)
    def test_answers_orders_under_their_keys_as_it_did(self, upgraded: Upgraded, slug: str) -> None:
        """An order that comes once more gets the answer of the older version, to the byte, refusals among them."""
        changed = []
        client = upgraded.client(slug)
        for order in upgraded.said.tenants[slug].orders:
            again = client.post(order.path, json=order.body, headers={"Idempotency-Key": order.key})
            if (again.status_code, again.text) != (order.status, order.answer):
                changed.append((order.path, order.answer, again.text))
        assert changed == []

    @pytest.mark.parametrize("slug", TENANTS)
    def test_has_books_that_verify_before_and_after_it_goes_on(self, upgraded: Upgraded, slug: str) -> None:
        """As they were found, with what is posted since, and once the chain says whose the older wallets are."""
        services = upgraded.live.services
        assert upgraded.of(slug, lambda tenant: books(upgraded, tenant)) == ([], [], [])
        go_on(upgraded, slug)
        assert upgraded.of(slug, lambda tenant: books(upgraded, tenant)) == ([], [], [])
        upgraded.of(
            slug,
            lambda tenant: record_terms(
                services.database, services.engine, tenant, reason="recorded as found", caller=COMMAND_LINE
            ),
        )
        verification = upgraded.of(slug, lambda tenant: verify_ledger(services.database, tenant))
        assert (verification.findings, verification.era, verification.unrecorded) == ([], ERA, 0)

    def test_has_archives_that_verify(self, upgraded: Upgraded) -> None:
        """The month that has left the ledger for a file is what its checkpoint seals."""
        database, paths = upgraded.live.services.database, [upgraded.archive]
        (found,) = upgraded.of(BANK, lambda tenant: verify_archives(database, tenant, paths)).values()
        assert (found.findings, found.journal_entries > 0) == ([], True)

    @pytest.mark.parametrize("slug", [*TENANTS, None])
    def test_has_its_audit_trail_sealed(self, upgraded: Upgraded, slug: str | None) -> None:
        """Also what was recorded before trails had a chain; the trail and its export verify."""
        database = upgraded.live.services.database
        tenant = None if slug is None else upgraded.of(slug, _itself)
        sealed = upgraded.live.run(seal(database, tenant, wait=True))
        assert sealed.records > 0
        found = upgraded.live.run(verify_trail(database, tenant))
        assert (found.findings, found.unsealed, found.late) == ([], 0, 0)
        assert verify_trail_export(upgraded.live.run(lines(export_trail(database, tenant)))).ok

    def test_gives_back_what_was_sealed_by_older_keys(self, upgraded: Upgraded) -> None:
        """A bank account that was taken into the vault leaves it as it came."""
        (token,) = upgraded.now[BANK]["/v1/vault-tokens"]["data"]
        asked = {"vault_token_ids": [token["id"]], "purpose": PURPOSE, "reason": "Payout 4711"}
        (result,) = upgraded.client(BANK).post("/v1/vault-tokens/detokenize", json=asked).json()["results"]
        assert result["bank_account"]["iban"] == IBAN


class TestTheDumpOfThisVersion:
    @pytest.mark.timeout(600)
    def test_is_made_as_each_release_makes_it(self, tmp_path: Path) -> None:
        """All that fills it can still be done, and it says no less than the oldest one, in the same form."""
        binaries(DEFAULT_MAJOR)
        folder = tmp_path / "next"
        dump_for_upgrades.main(folder)
        assert {each.name for each in folder.iterdir()} == {CLUSTER, ANSWERS, KEYRING, ARCHIVE}
        now, then = said_in(folder).tenants, said_in(FOLDERS[0]).tenants
        for slug in TENANTS:
            assert len(now[slug].orders) >= len(then[slug].orders), slug
            # What is read of one wallet has its id, which is another one each time.
            lists = {path for path in then[slug].read if "wal_" not in path}
            assert lists <= now[slug].read.keys(), slug


async def _itself(tenant: TenantRef) -> TenantRef:
    return tenant


async def books(upgraded: Upgraded, tenant: TenantRef) -> tuple[Sequence[Any], Sequence[Any], Sequence[Any]]:
    """Return what verification, the verification of the export, and the invariants find."""
    database = upgraded.live.services.database
    exported = verify_export(await lines(export_ledger(database, tenant)))
    return (await verify_ledger(database, tenant)).findings, exported.findings, await check(database, tenant)


def go_on(upgraded: Upgraded, slug: str) -> None:
    """Move money between wallets that are there, and to a new one; reserve some, and let it go."""
    rich = next(path for path, said in upgraded.now[slug].items() if path.endswith("/balances") and _may_pay(said))
    source = rich.split("/")[3]
    currency = next(each["currency"] for each in upgraded.now[slug][rich]["data"] if each["available_minor"] > 1_000)
    client = upgraded.client(slug)

    def order(path: str, body: Any, key: str) -> Any:
        answer = client.post(path, json=body, headers={"Idempotency-Key": key})
        assert answer.is_success, answer.text
        return answer.json()

    party = order("/v1/parties", {"kind": "person", "name": "Mary Somerville"}, "new-party")["id"]
    wallet = order("/v1/wallets", {"party_id": party, "currencies": [currency]}, "new-wallet")["id"]
    amount = {"amount_minor": 100, "currency": currency}
    order("/v1/transfers", {"from_wallet_id": source, "to_wallet_id": wallet, "amount": amount}, "new-transfer")
    hold = order("/v1/holds", {"wallet_id": source, "amount": amount, "to_wallet_id": wallet}, "new-hold")["id"]
    order(f"/v1/holds/{hold}/capture", {"amount_minor": 50}, "new-capture")
    (balance,) = client.get(f"/v1/wallets/{wallet}/balances").json()["data"]
    assert balance["posted_minor"] == 150


def _may_pay(said: Any) -> bool:
    return any(each["available_minor"] > 1_000 for each in said["data"])
