"""A server on the loopback that answers in order and notes what it was asked, and commands that are given to it."""

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from click.testing import CliRunner, Result

from billfold.cli.root import partner
from tests.sdk.recording import TOKEN

__all__ = ["Answering", "answering", "give"]

SECRET = "s-e-c-r-e-t"


class Answering:
    """What a server is to say, and what it was asked.

    Attributes:
        url: The tenant's base URL.
        answers: Status and body of each answer, or what makes the body; the last one is for all that follow.
        requests: Method, address, headers by name in lower case, and body.
    """

    def __init__(self) -> None:
        self.url = ""
        self.answers: list[tuple[int, Any]] = [(404, {})]
        self.requests: list[tuple[str, str, dict[str, str], bytes | None]] = []

    def say(self, *answers: Any, status: int = 200) -> None:
        """Set what is answered from now on."""
        self.requests.clear()
        self.answers = [each if isinstance(each, tuple) else (status, each) for each in answers]

    def next(self) -> tuple[int, bytes]:
        """Return the next answer."""
        status, body = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        body = body() if callable(body) else body
        return status, body if isinstance(body, bytes) else json.dumps(body).encode()

    @property
    def environment(self) -> dict[str, str]:
        """What tells a command to go here."""
        return {"BILLFOLD_BASE_URL": self.url, "BILLFOLD_CLIENT_ID": "cli_1", "BILLFOLD_CLIENT_SECRET": SECRET}


@contextmanager
def answering() -> Iterator[Answering]:
    """Serve until the block ends."""
    script = Answering()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # An answer goes out as one piece; in two, the second waits until the first is acknowledged.
        wbufsize = -1

        def handle_one_request(self) -> None:
            self.do_GET = self.do_POST = self.do_PATCH = self.do_DELETE = self.answer
            super().handle_one_request()

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            status, text = 200, TOKEN % 1
            if not self.path.endswith("/oauth/token"):
                headers = {name.lower(): value for name, value in self.headers.items()}
                script.requests.append((self.command, self.path, headers, body or None))
                status, text = script.next()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: Any) -> None:
            """Stay silent."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        script.url = f"http://127.0.0.1:{server.server_port}/t/sandbox"
        try:
            yield script
        finally:
            server.shutdown()
            thread.join()


def give(server: Answering | None, *arguments: str, typed: str = "", **variables: str) -> Result:
    """Give a command to a server, as its environment says, in this process."""
    told = {} if server is None else server.environment
    return run(arguments, typed, {**told, **variables})


def run(arguments: Sequence[str], typed: str, variables: dict[str, str]) -> Result:
    """Run a command line to its end."""
    return CliRunner().invoke(partner, list(arguments), input=typed, env={"COLUMNS": "80", **variables})
