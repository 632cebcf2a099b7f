"""Open two wallets, fund one, and move money to the other, with asyncio.

Set BILLFOLD_BASE_URL, BILLFOLD_CLIENT_ID and BILLFOLD_CLIENT_SECRET as `billfold up` prints them, then run this file.
"""

import asyncio

from billfold import AsyncBillfold, Money, errors
from billfold.money import to_decimal


async def main() -> None:
    """Run the example."""
    async with AsyncBillfold() as billfold:
        ada = await billfold.parties.create(kind="person", name="Ada Lovelace")
        grace = await billfold.parties.create(kind="person", name="Grace Hopper")
        adas = await billfold.wallets.create(party_id=ada.id, label="Ada's wallet")
        graces = await billfold.wallets.create(party_id=grace.id, label="Grace's wallet")

        # Money comes in from outside. Amounts are whole minor units: 5000 cents are 50 euros.
        await billfold.top_ups.create(wallet_id=adas.id, amount=Money(5000, "EUR"))

        # Each order carries an idempotency key that the SDK makes and keeps over retries, so it is booked once.
        transfer = await billfold.transfers.create(
            from_wallet_id=adas.id, to_wallet_id=graces.id, amount=("12.50", "EUR"), description="Lunch"
        )
        print(f"{transfer.description}: {transfer.amount}")

        # Part of the balance can be reserved now and taken later.
        hold = await billfold.holds.create(wallet_id=adas.id, to_wallet_id=graces.id, amount=("20.00", "EUR"))
        hold = await billfold.holds.capture(hold.id, amount_minor=1500)
        print(f"hold {hold.status}: {hold.captured_minor} taken, {hold.released_minor} given back")

        # Every refusal has a class and facts of its own.
        try:
            await billfold.transfers.create(from_wallet_id=adas.id, to_wallet_id=graces.id, amount=("1000.00", "EUR"))
        except errors.InsufficientFunds as error:
            print(f"{error.code}: {error.available_minor} available, {error.required_minor} required")

        for wallet in (adas, graces):
            async for balance in billfold.wallets.balances(wallet.id):
                print(f"{wallet.label}: {to_decimal(balance.available_minor, balance.currency)} {balance.currency}")

        # The newest comes first. A list fetches its pages as it is walked through.
        async for line in billfold.wallets.statement(graces.id, limit=1):
            print(f"{line.kind} {line.amount_minor:+d}, then {line.balance_after_minor}")


if __name__ == "__main__":
    asyncio.run(main())
