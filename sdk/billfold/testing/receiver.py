"""A receiver of webhooks for tests: it listens on this machine alone, keeps what comes, and verifies it."""

import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple

from billfold import webhooks
from billfold.contract.platform import Event

__all__ = ["Delivered", "Receiver"]

_POLL_S = 0.02
_LONGEST = 1024 * 1024


class Delivered(NamedTuple):
    """A delivery that was received, and that may be believed.

    Attributes:
        event: What it tells.
        headers: Its headers, by lower-case name.
        body: Its body as it came in.
        answered: With which status the receiver has answered.
    """

    event: Event
    headers: dict[str, str]
    body: bytes
    answered: int


class _Raw(NamedTuple):
    headers: dict[str, str]
    body: bytes
    at_s: int
    answered: int


class Receiver:
    """Listens in threads of its own until it is closed.

    Args:
        status: With which status it answers.
    """

    def __init__(self, status: int) -> None:
        self.status = status
        self.secret = ""
        self._came: list[_Raw] = []
        self._changed = threading.Condition()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = min(int(self.headers.get("content-length", "0")), _LONGEST)
                body = self.rfile.read(length)
                status = receiver.take({name.lower(): value for name, value in self.headers.items()}, body)
                self.send_response(status)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - As the library calls it.
                """Say nothing between the lines of a test."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(_POLL_S,), name="billfold-webhooks", daemon=True
        )
        self._thread.start()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.server_port}/webhooks"

    def take(self, headers: dict[str, str], body: bytes) -> int:
        """Keep a request, and return the status to answer with."""
        with self._changed:
            self._came.append(_Raw(headers, body, int(time.time()), self.status))
            self._changed.notify_all()
            return self.status

    def delivered(self) -> list[Delivered]:
        """Return what has come so far, in the order in which it came.

        Raises:
            billfold.webhooks.WebhookRefused: Something has come that may not be believed.
        """
        with self._changed:
            came = list(self._came)
        return [
            Delivered(
                webhooks.verify(each.body, each.headers, self.secret, now_s=each.at_s),
                each.headers,
                each.body,
                each.answered,
            )
            for each in came
        ]

    def wait_for(self, type: str | None, count: int, timeout_s: float) -> list[Delivered]:  # As the contract calls it.
        """Return what has come of a type, or of any, once it is so many.

        Raises:
            TimeoutError: It wasn't as many in time.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            with self._changed:
                seen = len(self._came)
            found = [each for each in self.delivered() if type is None or each.event.type == type]
            if len(found) >= count:
                return found
            with self._changed:
                left_s = deadline - time.monotonic()
                if len(self._came) == seen and (left_s <= 0 or not self._changed.wait(left_s)):
                    what = "deliveries" if type is None else f"deliveries of {type}"
                    raise TimeoutError(f"{len(found)} of {count} {what} have come within {timeout_s:g} s")

    def close(self) -> None:
        """Listen no more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
