"""Pay many people in one request, then see what becomes of refusals, retries and payments that belong together.

Set BILLFOLD_BASE_URL, BILLFOLD_CLIENT_ID and BILLFOLD_CLIENT_SECRET as `billfold up` prints them, then run this file.
"""

from billfold import Billfold, Money, order
from billfold.contract.wallets import TransferVerdicts, Wallet


def open_wallet(billfold: Billfold, kind: str, name: str) -> Wallet:
    """Open a wallet of a new party."""
    party = billfold.parties.create(kind=kind, name=name)
    return billfold.wallets.create(party_id=party.id, label=name)


def show(what: str, verdicts: TransferVerdicts) -> None:
    """Print what became of each payment."""
    print(f"{what}: {verdicts.carried_out} carried out, {verdicts.refused} refused, {verdicts.replayed} known before")
    for verdict in verdicts.results:
        if verdict.transfer is not None:
            print(f"  {verdict.transfer.description}: {verdict.transfer.amount}")
        elif verdict.problem is not None:
            print(f"  refused: {verdict.problem.code} {verdict.problem.facts.get('available_minor', '')}".rstrip())


def main() -> None:
    """Run the example."""
    with Billfold() as billfold:
        company = open_wallet(billfold, "company", "Analytical Engines")
        people = [open_wallet(billfold, "person", name) for name in ("Ada", "Grace", "Edsger")]
        billfold.top_ups.create(wallet_id=company.id, amount=Money(10_000, "EUR"))

        # Each order has an idempotency key of its own, which is made with it.
        wages = [
            order(from_wallet_id=company.id, to_wallet_id=person.id, amount=(amount, "EUR"), description=person.label)
            for person, amount in zip(people, ("40.00", "70.00", "55.00"), strict=True)
        ]
        show("each for itself", billfold.transfers.bulk(wages))

        # Sent again, because an answer was lost or a program was started twice, nothing is paid twice.
        show("the same again", billfold.transfers.bulk(wages))

        # What belongs together is paid together: the first refusal ends it, and no money has moved.
        bonus = [
            order(from_wallet_id=company.id, to_wallet_id=person.id, amount=("2.00", "EUR"), description="Bonus")
            for person in people
        ]
        show("all together", billfold.transfers.bulk(bonus, mode="atomic"))

        # The ones that were not carried out keep their keys: under them they can still be ordered, also alone.
        first = bonus[0]
        transfer = billfold.transfers.create(
            from_wallet_id=first.from_wallet_id,
            to_wallet_id=first.to_wallet_id,
            amount=first.amount,
            description=first.description,
            idempotency_key=first.idempotency_key,
        )
        print(f"alone: {transfer.amount}")


if __name__ == "__main__":
    main()
