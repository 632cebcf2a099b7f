"""The table of parties."""

from piccolo.columns import UUID, Array, BigInt, Bytea, Integer, Text, Timestamptz
from piccolo.table import Table

from billfold_server.db.engine import ENGINE

__all__ = ["Parties"]


class Parties(Table, tablename="parties", db=ENGINE):
    """A person or company."""

    id = UUID(primary_key=True, default=None)
    kind = Text(default=None)
    sealed_profile = Bytea(default=None, null=True)
    external_id = Text(default=None, null=True, unique=True)
    roles = Array(base_column=Text(), default=None)
    search_digests = Array(base_column=BigInt(), default=None)
    search_version = Integer(default=None)
    forgotten_at = Timestamptz(default=None, null=True)
    version = Integer(default=None)
    created_at = Timestamptz(default=None)
    updated_at = Timestamptz(default=None)
