"""The table of parties."""

from piccolo.columns import JSONB, UUID, Array, Integer, Text, Timestamptz
from piccolo.table import Table

from billfold_server.db.engine import ENGINE

__all__ = ["Parties"]


class Parties(Table, tablename="parties", db=ENGINE):
    """A person or company."""

    id = UUID(primary_key=True, default=None)
    kind = Text(default=None)
    name = Text(default=None)
    external_id = Text(default=None, null=True, unique=True)
    email = Text(default=None, null=True)
    roles = Array(base_column=Text(), default=None)
    metadata = JSONB(default=None)
    search_terms = Array(base_column=Text(), default=None)
    version = Integer(default=None)
    created_at = Timestamptz(default=None)
    updated_at = Timestamptz(default=None)
