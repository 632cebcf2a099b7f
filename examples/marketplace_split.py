"""Split what a customer pays between sellers and the marketplace, all together or not at all.

Set BILLFOLD_BASE_URL, BILLFOLD_CLIENT_ID and BILLFOLD_CLIENT_SECRET as `billfold up` prints them, then run this file.
"""

from collections.abc import Mapping

from billfold import Billfold, Money, as_error, order
from billfold.contract.wallets import KeyedTransfer, Wallet

FEE_PERCENT = 15


def open_wallet(billfold: Billfold, kind: str, name: str) -> Wallet:
    """Open a wallet of a new party."""
    party = billfold.parties.create(kind=kind, name=name)
    return billfold.wallets.create(party_id=party.id, label=name)


def split(
    number: str, customer: Wallet, market: Wallet, fees: Wallet, basket: Mapping[str, int]
) -> list[KeyedTransfer]:
    """Return the orders that a purchase comes to: one payment in, a share out to each seller, and the fee.

    Shares are rounded down to whole cents and the marketplace takes what is left, so the sums always agree. The keys
    follow from the purchase's number: sent again, nothing is paid twice.

    Args:
        number: The purchase's.
        customer: Who pays.
        market: Through which wallet it goes.
        fees: Where the fee goes.
        basket: The cents that are due for what each seller sells, by the seller's wallet.
    """
    total = sum(basket.values())
    shares = {seller: price * (100 - FEE_PERCENT) // 100 for seller, price in basket.items()}
    steps = [
        (customer.id, market.id, total, "Purchase"),
        *((market.id, seller, share, "Share") for seller, share in shares.items()),
        (market.id, fees.id, total - sum(shares.values()), "Fee"),
    ]
    return [
        order(
            from_wallet_id=source,
            to_wallet_id=destination,
            amount=Money(amount_minor, "EUR"),
            description=f"{what} {number}",
            idempotency_key=f"{customer.id}-{number}-{step}",
        )
        for step, (source, destination, amount_minor, what) in enumerate(steps)
    ]


def main() -> None:
    """Run the example."""
    with Billfold() as billfold:
        customer = open_wallet(billfold, "person", "Ada")
        market, fees = (open_wallet(billfold, "company", name) for name in ("Market", "Fees"))
        potter, weaver = (open_wallet(billfold, "company", name) for name in ("Potter", "Weaver"))
        billfold.top_ups.create(wallet_id=customer.id, amount=Money(10_000, "EUR"))

        # The market's wallet is empty before and after: what comes in goes out again in the same moment.
        for number, basket in {"1001": {potter.id: 3999, weaver.id: 2501}, "1002": {potter.id: 9900}}.items():
            verdicts = billfold.transfers.bulk(split(number, customer, market, fees, basket), mode="atomic")
            print(f"purchase {number}: {verdicts.carried_out} of {len(verdicts.results)} carried out")
            for verdict in verdicts.results:
                if verdict.transfer is not None:
                    print(f"  {verdict.transfer.description}: {verdict.transfer.amount}")
            refusals = [as_error(verdict.problem) for verdict in verdicts.results if verdict.problem is not None]
            if refusals:
                print(f"  {refusals[0].code}")

        for wallet in (customer, market, potter, weaver, fees):
            held = [str(Money(each.available_minor, each.currency)) for each in billfold.wallets.balances(wallet.id)]
            print(f"{wallet.label}: {', '.join(held) or 'nothing'}")


if __name__ == "__main__":
    main()
