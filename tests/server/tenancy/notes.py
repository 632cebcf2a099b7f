"""A table that the tests of transactions make."""

from piccolo.columns import Integer, Text
from piccolo.table import Table

from billfold_server.db.engine import ENGINE


class Notes(Table, tablename="notes", db=ENGINE):
    """Texts by number."""

    id = Integer(primary_key=True, default=None)
    body = Text(default=None)
