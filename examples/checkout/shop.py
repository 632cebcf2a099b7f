"""A shop whose customers pay by card, and which never sees one: the card is typed at the bank's hosted page.

The shop opens a card session and sends the browser there. It comes back with the session's id, which proves nothing;
the shop asks the bank, and has a token. What is to be paid is held at once, and captured when the parcel leaves.

Nothing but the standard library and the SDK is needed. Set BILLFOLD_BASE_URL, BILLFOLD_CLIENT_ID and
BILLFOLD_CLIENT_SECRET as `billfold up` prints them, run this file, and open the address that it prints.
"""

import secrets
import sys
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal
from urllib.parse import urlsplit

from billfold import Billfold, Money, errors
from billfold.contract.wallets import Wallet

PRICE = Money(1250, "EUR")
PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title><body><main><h1>{title}</h1><p>{text}</p>{form}</main></body></html>"""
FORM = """<form method="post" action="{action}"><button>{label}</button></form>"""


class Order:
    """What somebody buys. A shop with a database keeps it there."""

    def __init__(self) -> None:
        # Whoever knows the number may pay for the order, so nobody can guess it.
        self.number = secrets.token_urlsafe(12)
        self.session_id: str | None = None
        self.hold_id: str | None = None
        self.is_paid = False


class Shop:
    """The shop's side of a checkout.

    Args:
        billfold: The bank.
        url: Where the shop is.
    """

    def __init__(self, billfold: Billfold, url: str) -> None:
        self.billfold = billfold
        self.url = url
        self.orders: dict[str, Order] = {}
        self.till = self._wallet("company", "Book shop")
        self.wallet = self._wallet("person", "Ada")
        if not self.wallet.balances:
            billfold.top_ups.create(wallet_id=self.wallet.id, amount=("50.00", "EUR"), idempotency_key="checkout-money")

    def _wallet(self, kind: Literal["company", "person"], name: str) -> Wallet:
        """Return somebody's wallet, of which there is one, however often and by which client the shop is started.

        An idempotency key is kept for a month, and for the client that has used it. What lasts is the external id.
        """
        own = f"checkout-{kind}"
        party = next(iter(self.billfold.parties.list(external_id=own)), None) or self.billfold.parties.create(
            kind=kind, name=name, external_id=own, idempotency_key=own
        )
        return next(iter(self.billfold.wallets.list(party_id=party.id)), None) or self.billfold.wallets.create(
            party_id=party.id, label=name, idempotency_key=f"{own}-wallet"
        )

    def begin(self) -> str:
        """Take an order, and return the bank's page at which its card is typed."""
        order = Order()
        self.orders[order.number] = order
        session = self.billfold.card_sessions.create(
            party_id=self.wallet.party_id,
            return_url=f"{self.url}/orders/{order.number}",
            metadata={"wallet_id": self.wallet.id},
            idempotency_key=f"checkout-card-{order.number}",
        )
        order.session_id = session.id
        print("an order: its card is typed at the bank", flush=True)
        return session.url

    def come_back(self, order: Order) -> str | None:
        """See what has come of the order's card, reserve the price once, and return the card as people know it."""
        assert order.session_id is not None
        session = self.billfold.card_sessions.get(order.session_id)
        if session.vault_token_id is None:
            return None
        card = self.billfold.vault_tokens.get(session.vault_token_id).card
        assert card is not None
        shown = f"{card.brand} …{card.last4}"
        if order.hold_id is None:
            hold = self.billfold.holds.create(
                wallet_id=self.wallet.id,
                to_wallet_id=self.till.id,
                amount=PRICE,
                description="A book",
                metadata={"order": order.number, "vault_token_id": session.vault_token_id},
                idempotency_key=f"checkout-hold-{order.number}",
            )
            order.hold_id = hold.id
            print(f"{shown}: {Money(hold.amount_minor, hold.currency)} reserved", flush=True)
        return shown

    def ship(self, order: Order) -> None:
        """Send the parcel, and take the money."""
        if order.hold_id is None:
            return
        hold = self.billfold.holds.capture(order.hold_id, idempotency_key=f"checkout-capture-{order.number}")
        if not order.is_paid:
            print(f"shipped: {Money(hold.captured_minor, hold.currency)} paid", flush=True)
        order.is_paid = True


class Page(BaseHTTPRequestHandler):
    """The shop's pages."""

    shop: Shop

    def do_GET(self) -> None:
        """Show the shop window, or an order."""
        path = urlsplit(self.path).path
        if path == "/":
            self._show("A book", f"It costs {PRICE}.", FORM.format(action="/orders", label="Pay by card"))
        elif (order := self._order(path)) is None:
            self._show("There is no such page", "", status=404)
        elif (card := self.shop.come_back(order)) is None:
            self._show("No card yet", "Nothing was paid.", FORM.format(action="/orders", label="Try again"))
        elif order.is_paid:
            self._show("Paid", f"{PRICE} by {card}. Your book is on its way.")
        else:
            ship = FORM.format(action=f"/orders/{order.number}/ship", label="Ship it")
            self._show("Thank you", f"{PRICE} by {card} are reserved until we ship.", ship)

    def do_POST(self) -> None:
        """Take an order, or ship one."""
        path = urlsplit(self.path).path
        try:
            if path == "/orders":
                self._lead_to(self.shop.begin())
            elif path.endswith("/ship") and (order := self._order(path.removesuffix("/ship"))) is not None:
                self.shop.ship(order)
                self._lead_to(f"/orders/{order.number}")
            else:
                self._show("There is no such page", "", status=404)
        except errors.ProblemError as error:
            self._show("That was not done", f"{error.title} ({error.code}).", status=502)

    def _order(self, path: str) -> Order | None:
        return self.shop.orders.get(path.removeprefix("/orders/"))

    def _show(self, title: str, text: str, form: str = "", status: int = 200) -> None:
        page = PAGE.format(title=escape(title), text=escape(text), form=form).encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    def _lead_to(self, url: str) -> None:
        self.send_response(303)
        self.send_header("Location", url)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing of requests; what matters is printed above."""


def main() -> None:
    """Serve at the port that is named, or at a free one."""
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 0
    with Billfold() as billfold, ThreadingHTTPServer(("127.0.0.1", port), Page) as server:
        Page.shop = Shop(billfold, f"http://127.0.0.1:{server.server_port}")
        print(f"open {Page.shop.url}", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
