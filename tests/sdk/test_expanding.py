"""What answers refer to is told together with them where it is asked for (``expand``), over real HTTP."""

from collections.abc import Iterator
from typing import Any, Literal
from uuid import uuid4

import httpx
import msgspec
import pytest

from billfold import Billfold, Money, errors, ids
from billfold.contract.wallets import Transfer, Wallet
from billfold.ids import Prefix
from billfold_server.consents.service import Owner
from billfold_server.expanders import EXPANDERS
from billfold_server.identity.rules import TENANT_SCOPES
from billfold_server.rooms import operations
from billfold_server.tenancy.transaction import TenantTx
from tests.contract.paying import order_payment
from tests.live import LiveServer
from tests.sandbox import options


@pytest.fixture(scope="module")
def billfold(live: LiveServer) -> Iterator[Billfold]:
    """Return a client with every scope."""
    with Billfold(**options(live)) as client:
        yield client


@pytest.fixture
def wallets(billfold: Billfold) -> tuple[Wallet, Wallet]:
    """Open two wallets, of which the first has money."""
    party = billfold.parties.create(kind="person", name="Ada Lovelace")
    first, second = (billfold.wallets.create(party_id=party.id, label=label) for label in ("Everyday", "Savings"))
    billfold.top_ups.create(wallet_id=first.id, amount=Money(5000, "EUR"))
    return first, second


def moved(billfold: Billfold, wallets: tuple[Wallet, Wallet]) -> Transfer:
    """Move a euro."""
    first, second = wallets
    return billfold.transfers.create(from_wallet_id=first.id, to_wallet_id=second.id, amount=Money(100, "EUR"))


def ask(live: LiveServer, path: str, **query: str) -> httpx.Response:
    """Ask by a client with every scope, with a query as it is spelled."""
    with live.client("alpha") as client:
        return client.get(path, params=query)


class TestExpanding:
    def test_tells_what_a_transfer_refers_to(self, billfold: Billfold, wallets: tuple[Wallet, Wallet]):
        """Each name stands for what the id of that name names, and the ids stay what they are."""
        made = moved(billfold, wallets)
        read = billfold.transfers.get(made.id, expand=["from_wallet", "to_wallet", "journal_entry"])
        told = read.expanded
        assert told.from_wallet is not None
        assert told.journal_entry is not None
        assert (told.from_wallet.id, told.from_wallet.label) == (made.from_wallet_id, "Everyday")
        assert [each.posted_minor for each in told.from_wallet.balances] == [4900]
        assert told.to_wallet == billfold.wallets.get(made.to_wallet_id)
        assert (told.journal_entry.id, len(told.journal_entry.postings)) == (made.journal_entry_id, 2)
        assert msgspec.structs.replace(read, expanded=made.expanded) == made

    def test_tells_nothing_that_was_not_asked_for(
        self, live: LiveServer, billfold: Billfold, wallets: tuple[Wallet, Wallet]
    ):
        """An answer has no member more than before; one with a part of it tells that part alone."""
        made = moved(billfold, wallets)
        assert "expanded" not in ask(live, f"/v1/transfers/{made.id}").json()
        told = ask(live, f"/v1/transfers/{made.id}", expand="to_wallet").json()["expanded"]
        assert list(told) == ["to_wallet"]
        assert "expanded" not in told["to_wallet"]
        read = billfold.transfers.get(made.id)
        assert (read.expanded.from_wallet, read.expanded.to_wallet) == (None, None)

    def test_asks_no_more_of_the_database_for_a_page_than_for_one(
        self, billfold: Billfold, wallets: tuple[Wallet, Wallet], monkeypatch: pytest.MonkeyPatch
    ):
        """Each kind is found by a fixed number of statements, and each item has what is its own."""
        asked: list[set[object]] = []
        fetch = TenantTx.fetch

        async def counting(tx: TenantTx, sql: str, *arguments: object) -> list[Any]:
            asked.append({one for each in arguments if isinstance(each, list) for one in each})
            return await fetch(tx, sql, *arguments)

        counts = []
        monkeypatch.setattr(TenantTx, "fetch", counting)
        for further in (1, 7):
            for _ in range(further):
                moved(billfold, wallets)
            asked.clear()
            page = billfold.transfers.list(
                wallet_id=wallets[0].id, expand=["from_wallet", "to_wallet", "journal_entry"], limit=100
            ).page()
            # The server has other things to ask as well.
            named = {ids.decode(Prefix.WALLET, each.id) for each in wallets}
            named |= {ids.decode(Prefix.JOURNAL_ENTRY, each.journal_entry_id) for each in page.data}
            counts.append(len([each for each in asked if each & named]))
            for each in page.data:
                told = each.expanded
                assert told.from_wallet is not None
                assert told.to_wallet is not None
                assert told.journal_entry is not None
                there = told.from_wallet.id, told.to_wallet.id, told.journal_entry.id
                assert there == (each.from_wallet_id, each.to_wallet_id, each.journal_entry_id)
        assert len(page.data) == 8
        assert counts[0] == counts[1] > 0

    def test_tells_of_a_wallet_who_owns_it(self, billfold: Billfold, wallets: tuple[Wallet, Wallet]):
        """A party's sealed name is opened for who may read parties, for one wallet and for a page of them."""
        one = billfold.wallets.get(wallets[0].id, expand=["party"])
        assert one.expanded.party is not None
        assert (one.expanded.party.id, one.expanded.party.name) == (one.party_id, "Ada Lovelace")
        names = [each.expanded.party for each in billfold.wallets.list(party_id=one.party_id, expand=("party",))]
        assert names == [one.expanded.party] * 2

    def test_leaves_out_what_is_not_there(self, billfold: Billfold, wallets: tuple[Wallet, Wallet]):
        """A hold for nobody in particular has no destination to tell of."""
        made = billfold.holds.create(wallet_id=wallets[0].id, amount=Money(100, "EUR"))
        told = billfold.holds.get(made.id, expand=["wallet", "to_wallet"]).expanded
        assert told.wallet is not None
        assert (told.wallet.id, told.to_wallet) == (wallets[0].id, None)

    def test_tells_what_a_payment_refers_to(self, live: LiveServer, billfold: Billfold, wallets: tuple[Wallet, Wallet]):
        """Under which consent it was ordered, among others."""
        owner = Owner(user_id=uuid4(), party_id=ids.decode(Prefix.PARTY, wallets[0].party_id))
        first, second = (ids.decode(Prefix.WALLET, each.id) for each in wallets)
        made = live.run(order_payment(live, "alpha", uuid4(), owner, (first, second)))
        names: list[Literal["consent", "wallet", "to_wallet", "journal_entry"]]
        names = ["consent", "wallet", "to_wallet", "journal_entry"]
        (read,) = billfold.payments.list(wallet_id=wallets[0].id, expand=names)
        assert read.id == made
        told = read.expanded
        assert [getattr(told, each).id for each in names] == [getattr(read, f"{each}_id") for each in names]

    @pytest.mark.parametrize("scope", ["wallets:read", "ledger:read"])
    def test_needs_the_scope_of_what_is_told(
        self, live: LiveServer, billfold: Billfold, wallets: tuple[Wallet, Wallet], scope: str
    ):
        """Who may read transfers and not this is refused, and told which scope it lacks."""
        made = moved(billfold, wallets)
        scopes = sorted(TENANT_SCOPES.keys() - {scope})
        with Billfold(**options(live, scopes=scopes)) as other:
            name = {"wallets:read": "to_wallet", "ledger:read": "journal_entry"}[scope]
            with pytest.raises(errors.InsufficientScope) as caught:
                other.transfers.get(made.id, expand=[name])  # type: ignore[list-item]
            assert caught.value.scope == scope
            assert other.transfers.get(made.id) == made

    @pytest.mark.parametrize(
        "spelled",
        ["", ",", "nobody", "wallet", "to_wallet,", "to_wallet,to_wallet", "to_wallet, from_wallet", "to_wallet.party"],
    )
    def test_refuses_what_is_no_list_of_names(
        self, live: LiveServer, billfold: Billfold, wallets: tuple[Wallet, Wallet], spelled: str
    ):
        """Unknown names, one name twice, none at all, and a second step are refused by the parameter's name."""
        refused = ask(live, f"/v1/transfers/{moved(billfold, wallets).id}", expand=spelled)
        assert (refused.status_code, refused.json()["code"]) == (400, "validation_failed")
        assert refused.json()["param"] == "expand"

    def test_finds_every_kind_that_is_declared(self):
        """Whatever an operation may be asked to tell of, there is a room that finds it by ids of its prefix."""
        declared = {kind for each in operations() if each.expansion for kind in each.expansion.kinds.values()}
        assert declared == set(EXPANDERS)
        assert {each.scope for each in EXPANDERS.values()} <= TENANT_SCOPES.keys()
