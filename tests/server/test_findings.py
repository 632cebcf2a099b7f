"""Findings by the ids that the API knows."""

from uuid import UUID

import pytest

from billfold import ids
from billfold.chain import Damage, Finding
from billfold.ids import Prefix
from billfold_server.findings import with_wire_ids
from tests.server.ledger.books import Bench
from tests.server.ledger.conftest import bench
from tests.tenants import Tenancy

__all__ = ["bench"]

A, B = ids.uuid7(), ids.uuid7()


def finding(record: str, id_: str | None, fact: str = "it was edited") -> Finding:
    """Return a finding about an object."""
    return Finding(damage=Damage.EDITED, record=record, id=id_, sequence=3, link=2, fact=fact)


async def shown(tenancy: Tenancy, *findings: Finding) -> list[tuple[str | None, str]]:
    """Return the ids and facts that are shown, of findings that are otherwise as they were."""
    async with tenancy.database.tx(tenancy.tenant) as tx:
        found = await with_wire_ids(tx, findings)
    assert [(each.damage, each.record, each.sequence, each.link) for each in found] == [
        (each.damage, each.record, each.sequence, each.link) for each in findings
    ]
    return [(each.id, each.fact) for each in found]


class TestAFinding:
    @pytest.mark.parametrize(
        ("record", "prefix"),
        [
            ("account", Prefix.ACCOUNT),
            ("account_terms", Prefix.ACCOUNT),
            ("alias", Prefix.ALIAS),
            ("audit_record", Prefix.AUDIT_RECORD),
            ("hold", Prefix.HOLD),
            ("hold_terms", Prefix.HOLD),
            ("hold_movement", Prefix.HOLD),
            ("idempotency_key", Prefix.CLIENT),
            ("journal_entry", Prefix.JOURNAL_ENTRY),
            ("party", Prefix.PARTY),
            ("posting", Prefix.JOURNAL_ENTRY),
            ("reversal", Prefix.JOURNAL_ENTRY),
            ("wallet", Prefix.WALLET),
            ("wallet_terms", Prefix.WALLET),
        ],
    )
    async def test_has_the_id_of_its_object(self, tenancy: Tenancy, record: str, prefix: Prefix) -> None:
        """With what follows in a key that begins with one."""
        wire_id = ids.encode(prefix, A)
        assert await shown(tenancy, finding(record, str(A)), finding(record, f"{A}/7")) == [
            (wire_id, "it was edited"),
            (f"{wire_id}/7", "it was edited"),
        ]

    async def test_names_others_by_their_ids(self, tenancy: Tenancy) -> None:
        """As far as it says what they are."""
        fact = f"account {A} isn't one of wallet {B}; it came after hold movement {A}/2, and {B}"
        account, wallet, hold = (
            ids.encode(prefix, id_) for prefix, id_ in ((Prefix.ACCOUNT, A), (Prefix.WALLET, B), (Prefix.HOLD, A))
        )
        said = f"account {account} isn't one of wallet {wallet}; it came after hold movement {hold}/2, and {B}"
        assert await shown(tenancy, finding("link", "12", fact)) == [("12", said)]

    async def test_keeps_an_id_of_which_nobody_knows_what_it_is(self, tenancy: Tenancy) -> None:
        """Or that is none."""
        kept = [
            finding("row", f"payments/{A}"),
            finding("record", f"2/{A}"),
            finding("head", None),
            finding("party", "forgotten"),
            finding("transfer", str(A)),
        ]
        assert await shown(tenancy, *kept) == [(each.id, each.fact) for each in kept]

    async def test_tells_transfers_from_top_ups(self, tenancy: Tenancy, bench: Bench) -> None:
        """By what lies in the tenant's table."""
        await bench.top_up(0, 500)
        await bench.transfer(0, 1, 100)
        async with tenancy.database.tx(tenancy.tenant) as tx:
            rows = await tx.fetch("SELECT id, kind FROM transfers ORDER BY id")
        top_up, transfer = (UUID(int=row["id"].int) for row in rows)
        assert [row["kind"] for row in rows] == ["top_up", "transfer"]
        wire_ids = ids.encode(Prefix.TOP_UP, top_up), ids.encode(Prefix.TRANSFER, transfer)
        findings = [
            finding("transfer", str(top_up)),
            finding("transfer", str(transfer)),
            finding("transfer", None, f"1 missing after transfer {transfer}"),
        ]
        assert await shown(tenancy, *findings) == [
            (wire_ids[0], "it was edited"),
            (wire_ids[1], "it was edited"),
            (None, f"1 missing after transfer {wire_ids[1]}"),
        ]
