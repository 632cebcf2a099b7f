"""A scanner for canaries: texts that were given to the server and that may lie nowhere in plain."""

import base64
import io
from collections.abc import Iterable, Iterator

import asyncpg

__all__ = ["dump", "finds"]

_TABLES = """
SELECT n.nspname AS schema, c.relname AS table FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'm') AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg_%'
ORDER BY 1, 2
"""


async def dump(dsn: str) -> bytes:
    """Return all rows of all tables of a database, as ``COPY`` writes them: bytes are hexadecimal digits there."""
    connection = await asyncpg.connect(dsn)
    dumped = io.BytesIO()
    try:
        for row in await connection.fetch(_TABLES):
            dumped.write(f"\n{row['schema']}.{row['table']}\n".encode())
            await connection.copy_from_table(row["table"], schema_name=row["schema"], output=dumped)
    finally:
        await connection.close()
    return dumped.getvalue()


def finds(haystack: bytes, canaries: Iterable[str]) -> list[tuple[str, str]]:
    """Return which canaries are there, each with the form in which it is: raw, hex or base64, whatever its case."""
    folded = haystack.lower()
    # A dump may be searched for hexadecimal digits within bytes that are shown as such themselves.
    return [
        (canary, form)
        for canary in canaries
        for form, needle in _forms(canary)
        if needle.lower() in folded or needle.hex().encode() in folded
    ]


def _forms(canary: str) -> Iterator[tuple[str, bytes]]:
    for text in {canary, canary.lower(), canary.upper()}:
        raw = text.encode()
        yield "raw", raw
        yield "hex", raw.hex().encode()
        for shift in range(3):
            # As it would stand within a longer text; the characters at both ends depend on what is beside it.
            padded = base64.b64encode(bytes(shift) + raw)
            inner = padded[4 if shift else 0 : len(padded) // 4 * 4 - 4]
            yield "base64", inner
            yield "base64", inner.replace(b"+", b"-").replace(b"/", b"_")
