"""The import contracts of tests/architecture.py, on graphs of a few modules."""

from typing import Any

import grimp
import pytest

from tests.architecture import OnlyContract, RoomsContract

ROOMS = {
    "package": "srv",
    "roots": ["app"],
    "shared": ["db", "tenancy.context"],
    "layers": ["routes | tasks", "service", "rules | queries", "tables"],
    "pure": "rules",
    "impure": ["asyncio"],
}
ONLY = {"importer": "srv", "judged": ["sdk"], "allowed": ["sdk.money"]}


def is_kept(
    contract: type[OnlyContract | RoomsContract], options: dict[str, Any], importer: str, imported: str
) -> bool:
    """Judge a graph with a single import."""
    graph = grimp.ImportGraph()
    graph.add_import(importer=importer, imported=imported)
    return bool(contract(name="x", session_options={}, contract_options=options).check(graph, verbose=False).kept)


class TestARoom:
    @pytest.mark.parametrize(
        ("importer", "imported"),
        [
            ("srv.a.routes", "srv.a.service"),
            ("srv.a.service", "srv.a.rules"),
            ("srv.a.queries", "srv.a.tables"),
            ("srv.a.service", "srv.a.engine"),
            ("srv.a.engine", "srv.a.queries"),
            ("srv.a.rules.deep", "srv.a.rules.other"),
            ("srv.a.service", "srv.b.service"),
            ("srv.a.service", "srv.db.pool"),
            ("srv.a.rules", "srv.tenancy.context"),
            ("srv.app", "srv.b.routes"),
            ("srv.a.queries", "asyncio"),
        ],
    )
    def test_imports_downwards_and_through_doors(self, importer: str, imported: str):
        """Down in the room, another room's service, what is shared, and anything for the composition root."""
        assert is_kept(RoomsContract, ROOMS, importer, imported)

    @pytest.mark.parametrize(
        ("importer", "imported"),
        [
            ("srv.a.service", "srv.a.routes"),
            ("srv.a.rules", "srv.a.queries"),
            ("srv.a.tables", "srv.a.service"),
            ("srv.a.routes", "srv.a.tasks"),
            ("srv.a.service", "srv.b.queries"),
            ("srv.a.service", "srv.b"),
            ("srv.a.service", "srv.tenancy.queries"),
            ("srv.a.service", "srv.db._private"),
            ("srv.a.service", "srv.app"),
            ("srv.a.rules", "asyncio"),
        ],
    )
    def test_imports_nothing_else(self, importer: str, imported: str):
        """Not up, not sideways, not around another room's door, and no input or output in rules."""
        assert not is_kept(RoomsContract, ROOMS, importer, imported)


class TestAListOfWhatIsAllowed:
    @pytest.mark.parametrize("imported", ["sdk.money", "sdk.money.tables", "other", "srv.x"])
    def test_lets_through_what_is_on_it(self, imported: str):
        """What is on the list, inside of it, or in a package that isn't judged, may be imported."""
        assert is_kept(OnlyContract, ONLY, "srv.a", imported)

    @pytest.mark.parametrize("imported", ["sdk", "sdk.client", "sdk.moneybox"])
    def test_refuses_the_rest(self, imported: str):
        """What isn't may not, even if its name begins alike."""
        assert not is_kept(OnlyContract, ONLY, "srv.a", imported)
