"""Take what the bank delivers: believe only what it has signed, and act on each event once.

Nothing but the standard library and the SDK is needed. Run this file with the secret by which deliveries are signed,
and in another terminal let the events of a tenant be delivered to it::

    export BILLFOLD_WEBHOOK_SECRET=whsec_c2VjcmV0IG9mIHRoZSByZWNlaXZlciBoZXJl
    python receiver.py 9000
    billfold webhooks listen --forward-to http://127.0.0.1:9000/ --secret-variable BILLFOLD_WEBHOOK_SECRET
"""

import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from billfold import events, webhooks
from billfold.contract.platform import Event

SECRET = os.environ.get("BILLFOLD_WEBHOOK_SECRET") or sys.exit(
    "set BILLFOLD_WEBHOOK_SECRET, as the head of this file says"
)
MOST_BYTES = 1_000_000

# A program with a database keeps this in a table, in the transaction that does the work.
done: set[str] = set()


def act(event: Event) -> None:
    """Do what an event asks for."""
    if transfer := events.data_of(event, events.TRANSFER_POSTED):
        print(f"{event.type}: {transfer.amount}", flush=True)
    else:
        print(event.type, flush=True)


class Receiver(BaseHTTPRequestHandler):
    """Answers deliveries."""

    def do_POST(self) -> None:
        """Take one delivery. What isn't answered with success comes again, so an event may come twice."""
        body = self.rfile.read(min(int(self.headers.get("content-length") or 0), MOST_BYTES))
        try:
            event = webhooks.verify(body, dict(self.headers), SECRET)
        except webhooks.WebhookRefused as error:
            print(f"refused: {type(error).__name__}", flush=True)
            self.send_response(400)
        else:
            if event.id not in done:
                act(event)
                done.add(event.id)
            self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing of requests; what matters is printed above."""


def main() -> None:
    """Listen at the port that is named, or at a free one."""
    with ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1]) if len(sys.argv) > 1 else 0), Receiver) as server:
        print(f"listening at http://127.0.0.1:{server.server_port}/", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
