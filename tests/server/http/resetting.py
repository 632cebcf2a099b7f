"""How a client goes that says nothing of it: its connection is reset."""

import asyncio
import socket
import struct

__all__ = ["abort"]


def abort(writer: asyncio.StreamWriter) -> None:
    """End a connection as a client does that is gone, and not as one that only sends nothing more."""
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
