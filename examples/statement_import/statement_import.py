"""Fund wallets from two bank statements, then clear up what nobody could be found for.

Set BILLFOLD_BASE_URL, BILLFOLD_CLIENT_ID and BILLFOLD_CLIENT_SECRET as `billfold up` prints them, then run this file.
`aliases.toml` says by which names money finds its wallet. The operator's way to import is
`billfold statements import --tenant sandbox monday.camt053.xml tuesday.mt940.sta`.
"""

import tomllib
from pathlib import Path
from typing import Any

from billfold import Billfold
from billfold.contract.statements import StatementImport
from billfold.money import to_decimal

HERE = Path(__file__).parent


def euros(minor: int | None) -> str:
    """Return an amount as people write it; a statement's balance in another currency is None."""
    return "-" if minor is None else f"{to_decimal(minor, 'EUR')} EUR"


def open_wallets(billfold: Billfold) -> dict[str, str]:
    """Open the wallets of aliases.toml, unless they are there, and return their ids by label."""
    there = {wallet.label: wallet.id for wallet in billfold.wallets.list()}
    wallets = {}
    for label, facts in tomllib.loads((HERE / "aliases.toml").read_text(encoding="utf-8")).items():
        wallets[label] = there.get(label) or open_wallet(billfold, label, facts)
    return wallets


def open_wallet(billfold: Billfold, label: str, facts: dict[str, Any]) -> str:
    """Open a wallet with the names by which money finds it."""
    party = billfold.parties.create(kind="person", name=facts.pop("owner"))
    wallet = billfold.wallets.create(party_id=party.id, label=label)
    for scheme, values in facts.items():
        for value in values:
            billfold.wallets.aliases.create(wallet.id, scheme=scheme, value=value)
    return wallet.id


def show(file: str, done: StatementImport) -> None:
    """Print what an import did."""
    for one in done.statements:
        print(
            f"{file}: {one.entries} entries, {one.topped_up} top-ups, {one.withdrawn} withdrawals, "
            f"{one.suspense} in suspense, {one.duplicates} duplicates, {one.not_booked} not booked yet"
        )
        print(
            f"  the bank says {euros(one.opening_balance_minor)} -> {euros(one.closing_balance_minor)}, "
            f"the cash account went {euros(one.cash_before_minor)} -> {euros(one.cash_after_minor)}"
        )
        print(f"  {one.verdict}")


def main() -> None:
    """Run the example."""
    with Billfold() as billfold:
        wallets = open_wallets(billfold)

        # A file is imported whole or not at all. Sending one again changes nothing.
        for file in ("monday.camt053.xml", "tuesday.mt940.sta", "monday.camt053.xml"):
            show(file, billfold.statements.import_file(HERE / file))

        # What fits no wallet, or what the wallet can't bear, waits until somebody knows better.
        for entry in billfold.statement_entries.list(outcome="suspense"):
            print(f"waits: {euros(entry.amount_minor)}, {entry.counterparty_name}, {entry.reason}")
            if entry.remittance == "Happy birthday, Lena":
                assigned = billfold.statement_entries.assign(entry.id, wallet_id=wallets["Lena's wallet"])
                print(f"  {assigned.outcome} to Lena's wallet")

        for label, wallet_id in wallets.items():
            for balance in billfold.wallets.balances(wallet_id):
                print(f"{label}: {euros(balance.available_minor)}")


if __name__ == "__main__":
    main()
