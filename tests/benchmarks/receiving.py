"""Reads answers as they come, as bare as it can be: for programs that send load, without anything of the product's."""

__all__ = ["Receiver"]


class Receiver:
    """Puts the pieces of one answer together, and then those of the next. Each has to say how long it is."""

    def __init__(self) -> None:
        self._received = b""
        self._whole = 0

    def whole(self, data: bytes) -> bytes | None:
        """Return the answer that is whole by now, or None."""
        self._received += data
        if not self._whole:
            end = self._received.find(b"\r\n\r\n")
            if end < 0:
                return None
            head = self._received[: end + 2].lower()
            at = head.index(b"\r\ncontent-length: ") + 18
            self._whole = end + 4 + int(head[at : head.index(b"\r\n", at)])
        if len(self._received) < self._whole:
            return None
        answer, self._received, self._whole = self._received, b"", 0
        return answer
