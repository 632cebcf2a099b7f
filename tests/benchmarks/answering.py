"""A server that answers every request with the same bytes, as fast as Python can; prints its port and serves."""

import asyncio
import sys
from pathlib import Path

WIRE = Path(__file__).parents[1] / "sdk" / "wire" / "0.1"


def whole(name: str) -> bytes:
    """Return a wire sample as an answer."""
    body = (WIRE / f"{name}.json").read_bytes()
    head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


TOKEN, TRANSFER = whole("TokenResponse"), whole("Transfer")


class Answering(asyncio.Protocol):
    """Answers when a request is complete."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin a connection."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._received = b""

    def data_received(self, data: bytes) -> None:
        """Take what came, and answer if it is a whole request."""
        self._received += data
        head, blank, body = self._received.partition(b"\r\n\r\n")
        lengths = [line[15:] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
        if blank and len(body) >= int((lengths or [b"0"])[0]):
            self._received = b""
            self._transport.write(TOKEN if b"/oauth/token " in head else TRANSFER)


async def main() -> None:
    """Serve until the process is ended."""
    server = await asyncio.get_running_loop().create_server(Answering, "127.0.0.1", 0)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
