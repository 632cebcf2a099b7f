"""One journey, wherever the platform is: in this process, at a server, or at a bank behind TLS with certificates.

    python examples/journey.py --embedded
    python examples/journey.py
    python examples/journey.py --certificate client.crt --key client.key --ca ca.crt

The first needs nothing but `pip install 'billfold[server,postgres]'`. The second reads BILLFOLD_BASE_URL,
BILLFOLD_CLIENT_ID and BILLFOLD_CLIENT_SECRET as `billfold up` prints them, and the third the first two of these. All
of them print the same.
"""

import argparse
import os
import sys
from contextlib import AbstractContextManager
from uuid import uuid4

from billfold import Billfold, Money, errors


def opened(arguments: argparse.Namespace) -> AbstractContextManager[Billfold]:
    """Return a client of the platform in the setting that the command line names; nothing else depends on it."""
    if arguments.embedded:
        from billfold.embedded import embedded_sync  # noqa: PLC0415 - the server isn't needed otherwise.

        return embedded_sync(data_dir=arguments.data_dir)
    if arguments.certificate:
        from billfold.auth import MutualTLS  # noqa: PLC0415 - nor are certificates.

        client_id = os.environ.get("BILLFOLD_CLIENT_ID") or sys.exit("set BILLFOLD_CLIENT_ID to the client's id")
        return Billfold(auth=MutualTLS(client_id, arguments.certificate, arguments.key, ca=arguments.ca))
    return Billfold()


def journey(billfold: Billfold) -> None:
    """Go from a new customer to a refused transfer, and look at what is left of it."""
    seen = billfold.events.newest()

    ada = billfold.parties.create(kind="person", name="Ada Lovelace")
    everyday = billfold.wallets.create(party_id=ada.id, label="Everyday")
    savings = billfold.wallets.create(party_id=ada.id, label="Savings")
    print(f"{ada.name} has {', '.join(sorted(str(each.label) for each in billfold.wallets.list(party_id=ada.id)))}")

    top_up = billfold.top_ups.create(wallet_id=everyday.id, amount=Money(5000, "EUR"))
    print(f"top-up: {top_up.amount}")

    # A key that is used twice stands for one transfer, however often it is asked for.
    key = uuid4().hex
    first, again = (
        billfold.transfers.create(
            from_wallet_id=everyday.id,
            to_wallet_id=savings.id,
            amount=("12.50", "EUR"),
            description="Rainy days",
            idempotency_key=key,
        )
        for _ in range(2)
    )
    print(f"transfer: {first.amount}, once: {first == again}")

    hold = billfold.holds.create(wallet_id=everyday.id, to_wallet_id=savings.id, amount=Money(2000, "EUR"))
    (balance,) = billfold.wallets.balances(everyday.id)
    available = Money(balance.available_minor, balance.currency)
    print(f"hold: {Money(hold.amount_minor, hold.currency)}, available: {available}")
    captured = billfold.holds.capture(hold.id, amount_minor=1500)
    print(f"capture: {Money(captured.captured_minor, captured.currency)}, the hold is {captured.status.value}")

    try:
        billfold.transfers.create(from_wallet_id=everyday.id, to_wallet_id=savings.id, amount=Money(9900, "EUR"))
    except errors.InsufficientFunds as error:
        print(f"refused: {error.code}, available: {Money(error.available_minor, error.currency)}")

    print(f"statement of {everyday.label}:")
    for line in billfold.wallets.statement(everyday.id):
        after = Money(line.balance_after_minor, line.currency)
        print(f"  {line.kind} {line.amount_minor} {line.description or '-'}: {after}")

    # Other customers' events may lie between: a program keeps to what it knows.
    ours = {ada.id, everyday.id, savings.id, top_up.id, first.id, hold.id}
    print("events:")
    for event in billfold.events.list(after=seen):
        if event.object_id in ours:
            print(f"  {event.type}")


def main() -> None:
    """Run the example."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--embedded", action="store_true", help="run the platform in this process")
    parser.add_argument("--data-dir", help="where it keeps its database then")
    parser.add_argument("--certificate", help="PEM file with a certificate that the bank knows this client by")
    parser.add_argument("--key", help="PEM file with its private key")
    parser.add_argument("--ca", help="PEM file with who has issued the bank's own, where nobody public has")
    with opened(parser.parse_args()) as billfold:
        journey(billfold)


if __name__ == "__main__":
    main()
