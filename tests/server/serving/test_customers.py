"""The sandbox's customers, made once."""

import stat
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from billfold import errors, ids
from billfold.contract.arrangements import CreateProduct, ProductType
from billfold.contract.platform import AuditRecord
from billfold.contract.users import CreateUser, LoginRealm
from billfold.contract.wallets import AliasScheme
from billfold.ids import Prefix
from billfold_server.account_statements import service as statements
from billfold_server.account_statements.rules import month_of
from billfold_server.arrangements import service as arrangements
from billfold_server.audit.service import list_records
from billfold_server.invariants.service import check
from billfold_server.parties import service as parties
from billfold_server.people import service as people
from billfold_server.serving.cast import cast_of, iban_of
from billfold_server.serving.customers import ensure_customers, ensure_sign_ins
from billfold_server.serving.sign_ins import read_sign_ins
from billfold_server.tenancy.context import COMMAND_LINE
from billfold_server.wallets import service as wallets
from billfold_server.wallets.rules import new_alias
from tests.live import LiveServer
from tests.tenants import manifest

CUSTOMERS = cast_of(0).customers
POUNDS = {"currencies": ["GBP"], "limits": {"backdate_days": 3660}}


async def seen(live: LiveServer, slug: str) -> dict[str, Any]:
    """Return what the customers have."""
    tenant = await live.services.registry.get(slug)
    async with live.services.database.tx(tenant) as tx:
        found = [(await parties.list_parties(tx, external_id=each.external_id))[0] for each in CUSTOMERS]
        own = [wallet for each in found for wallet in await wallets.list_wallets_of(tx, each.id)]
        rows = await wallets.find_wallets(tx, own)
        shown = await wallets.with_balances(tx, [rows[each] for each in own])
        return {
            "parties": [each.id for each in found],
            "balances": [(each.id, each.label, each.balances[0].posted_minor) for each in shown],
            "arranged": [each.id for each in await arrangements.list_arrangements(tx, limit=100)],
            "products": {each: row.name for each, row in (await arrangements.products_of_wallets(tx, own)).items()},
            "offered": await tx.fetchval("SELECT count(*) FROM products"),
            "statements": [each.id for each in await statements.list_statements(tx, limit=100)],
            "entries": await tx.fetchval("SELECT count(*) FROM journal_entries"),
        }


_OPENED = """
SELECT w.id, w.created_at, min(p.effective_at) AS first_at,
    (SELECT min(s.starts_at) FROM account_statements AS s WHERE s.wallet_id = w.id) AS month
FROM wallets AS w JOIN accounts AS a ON a.wallet_id = w.id JOIN postings AS p ON p.account_id = a.id GROUP BY w.id
"""


async def opened(live: LiveServer, slug: str) -> list[tuple[Any, AuditRecord]]:
    """Return of each wallet when it was opened, what came first, and what the audit says of its opening."""
    tenant = await live.services.registry.get(slug)
    async with live.services.database.tx(tenant) as tx:
        return [
            (row, (await list_records(tx, object_id=ids.encode(Prefix.WALLET, row["id"]), action="wallet.created"))[0])
            for row in await tx.fetch(_OPENED)
        ]


async def offer(live: LiveServer, slug: str, products: int) -> None:
    """Let the bank make products of its own."""
    tenant = await live.services.registry.get(slug)
    async with live.services.database.tx(tenant) as tx:
        for _ in range(products):
            body = CreateProduct(name="Own", type=ProductType.OTHER, description="x")
            await arrangements.create_product(tx, COMMAND_LINE, body)


class TestTheCustomers:
    def test_are_made_once_and_brought_to_an_end(self, live: LiveServer, monkeypatch: pytest.MonkeyPatch):
        """What was broken off is brought to its end by the next start, and a later one changes nothing."""
        live.add_tenant(manifest("customers", **POUNDS))
        tenant = live.run(live.services.registry.get("customers"))

        async def broken(*_: object) -> None:
            raise ConnectionError

        with monkeypatch.context() as patched:
            patched.setattr(arrangements, "create_arrangements", broken)
            with pytest.raises(ConnectionError):
                live.run(ensure_customers(live.services, tenant))
        live.run(ensure_customers(live.services, tenant))
        live.run(offer(live, "customers", 101))
        first = live.run(seen(live, "customers"))
        live.run(ensure_customers(live.services, tenant))
        assert live.run(seen(live, "customers")) == first
        assert len(first["parties"]) == 3
        assert [balance > 0 for _, _, balance in first["balances"]] == [True] * 4
        assert (len(first["arranged"]), len(first["products"]), len(first["statements"]) > 6) == (6, 4, True)
        assert first["entries"] == 117

    def test_had_their_wallets_before_anything_happened_in_them(self, live: LiveServer):
        """The audit says since when they are open, beside when that was written; no statement is from before."""
        live.add_tenant(manifest("opened", **POUNDS))
        tenant = live.run(live.services.registry.get("opened"))
        live.run(ensure_customers(live.services, tenant))
        found = live.run(opened(live, "opened"))
        assert len(found) == 4
        for row, record in found:
            assert row["created_at"] <= row["first_at"] < row["created_at"] + timedelta(days=8)
            assert datetime.fromisoformat(record.facts["opened_at"]) == row["created_at"] < record.recorded_at
            assert row["month"] >= month_of(row["created_at"])
        assert live.run(check(live.services.database, tenant)) == []

    def test_sign_in_by_what_lies_in_the_folder(self, live: LiveServer, tmp_path: Path):
        """Made up once, for the owner alone; who has a name already stays as they are; no other tenant takes any."""
        live.add_tenant(manifest("signed", sandbox=True, security_profile="sandbox", **POUNDS))
        tenant = live.run(live.services.registry.get("signed"))
        live.run(ensure_customers(live.services, tenant))
        file = live.run(ensure_sign_ins(live.services, tenant, tmp_path))
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        first = read_sign_ins(tmp_path)
        assert [each.name for each in first] == ["caroline", "emmy", "shop"]
        assert first[0].password not in repr(first)
        live.run(ensure_sign_ins(live.services, tenant, tmp_path))
        assert read_sign_ins(tmp_path) == first
        file.unlink()
        assert live.run(ensure_sign_ins(live.services, tenant, tmp_path)) is None
        for sandbox, profile in ((False, "fapi2"), (True, "fapi2"), (False, "sandbox")):
            changed = {"sandbox": sandbox, "security_profile": profile}
            other = msgspec.structs.replace(tenant, manifest=msgspec.structs.replace(tenant.manifest, **changed))
            body = CreateUser(
                login_realm=LoginRealm.PSU, login_name="x", display_name="x", party_id=ids.new(Prefix.PARTY)
            )
            with pytest.raises(errors.UserInvalid):
                live.run(
                    people.create_made_up(live.services, other, COMMAND_LINE, body, password="x", totp_secret="A" * 32)
                )

    @pytest.mark.parametrize("number", [number for each in CUSTOMERS for number in each.wallets.values()])
    def test_have_numbers_that_are_right(self, number: str):
        """Each is an IBAN with its own check digits."""
        assert new_alias(AliasScheme.IBAN, iban_of(number)) == iban_of(number)
