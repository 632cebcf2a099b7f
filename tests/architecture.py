"""Kinds of import contract that import-linter lacks, for the rules that keep the rooms apart.

They are registered in pyproject.toml under ``[tool.importlinter]`` and run by ``nox -s lint``. Both look at direct
imports alone: what a module reaches through another one's door is that other module's business.
"""

from typing import TYPE_CHECKING, Any, ClassVar

from importlinter import Contract, ContractCheck, fields, output

if TYPE_CHECKING:
    from collections.abc import Iterator

    from grimp import ImportGraph

Finding = tuple[str, str, str]
"""The importing module, the imported module, and the rule that this breaks."""


def is_within(module: str, package: str) -> bool:
    """Tell whether a module is the package itself or lies inside of it."""
    return module == package or module.startswith(f"{package}.")


class _DirectImports(Contract):
    """A contract that judges each direct import by itself."""

    def find(self, graph: "ImportGraph") -> "Iterator[Finding]":
        raise NotImplementedError

    def check(self, graph: "ImportGraph", verbose: bool) -> ContractCheck:  # noqa: ARG002, FBT001  # import-linter calls it so.
        findings = sorted(set(self.find(graph)))
        return ContractCheck(kept=not findings, metadata={"findings": findings})

    def render_broken_contract(self, check: ContractCheck) -> None:
        for importer, imported, rule in check.metadata["findings"]:
            output.print_error(f"{importer} imports {imported}: {rule}")


class OnlyContract(_DirectImports):
    """Let a package import nothing of some other packages but the modules listed.

    A list of what is allowed keeps its meaning when modules are added, which a list of what is forbidden doesn't.

    Options:
        importer: The package whose imports are judged.
        judged: The packages out of which only some modules may be imported.
        allowed: Those modules; what lies inside of them is allowed too.
    """

    type_name = "only"

    importer: Any = fields.StringField()
    judged: Any = fields.ListField(subfield=fields.StringField())
    allowed: Any = fields.ListField(subfield=fields.StringField())

    def find(self, graph: "ImportGraph") -> "Iterator[Finding]":
        """Yield the imports that aren't on the list."""
        rule = f"of {', '.join(self.judged)} it may import {', '.join(self.allowed)} only"
        for module in sorted(graph.modules):
            if is_within(module, self.importer):
                for imported in graph.find_modules_directly_imported_by(module):
                    if self._is_refused(imported):
                        yield module, imported, rule

    def _is_refused(self, imported: str) -> bool:
        return (
            any(is_within(imported, package) for package in self.judged)
            and not is_within(imported, self.importer)
            and not any(is_within(imported, package) for package in self.allowed)
        )


class RoomsContract(_DirectImports):
    """Hold the rules between and inside the rooms, the sub-packages of one package.

    Rooms are found in the code, so that a new room is under the rules from its first line on.

    Options:
        package: The package whose children are the rooms.
        roots: Children that put the rooms together, and may import whatever they need.
        shared: Children that every room stands on, or single files of a room; all that is public there may be imported.
        layers: File names from top to bottom, those on one line of equal height; a file imports those below it only.
        pure: A file name that does no input or output.
        impure: Top-level names of libraries that a pure file may not import.
    """

    type_name = "rooms"

    package: Any = fields.StringField()
    roots: Any = fields.ListField(subfield=fields.StringField())
    shared: Any = fields.ListField(subfield=fields.StringField())
    layers: Any = fields.ListField(subfield=fields.StringField())
    pure: Any = fields.StringField()
    impure: Any = fields.ListField(subfield=fields.StringField())

    DOOR: ClassVar[str] = "service"

    def find(self, graph: "ImportGraph") -> "Iterator[Finding]":
        """Yield the imports that go up, around a door or, from a pure file, out of the process."""
        for importer in sorted(graph.modules):
            room, file = self._place(importer)
            if room is None or room in self.roots:
                continue
            for imported in graph.find_modules_directly_imported_by(importer):
                other, other_file = self._place(imported)
                if file == self.pure and imported.split(".")[0] in self.impure:
                    yield importer, imported, f"{self.pure} takes the time, new ids and what was read as arguments"
                if other == room and self._goes_up(file, other_file):
                    yield importer, imported, f"inside a room, imports go down: {', then '.join(self.layers)}"
                if other not in {None, room} and not self._is_open(other, other_file):
                    yield importer, imported, f"another room is reached only through its {self.DOOR}"

    def _goes_up(self, file: str, imported: str) -> bool:
        """Compare two files of a room by height; one that is in no layer may be imported by all and import all."""
        heights = self._heights()
        return file != imported and file in heights and heights.get(imported, -1) >= heights[file]

    def _heights(self) -> dict[str, int]:
        """Number the layers from the bottom up."""
        rows = [row.split("|") for row in reversed(self.layers)]
        return {name.strip(): height for height, row in enumerate(rows) for name in row}

    def _place(self, module: str) -> tuple[str | None, str]:
        """Name a module's room and, in it, its file; no room for what lies outside the package."""
        prefix, _, rest = module.partition(f"{self.package}.")
        if prefix or not rest:
            return None, ""
        room, _, inner = rest.partition(".")
        return room, inner.split(".")[0]

    def _is_open(self, room: str | None, file: str) -> bool:
        if file == self.DOOR or f"{room}.{file}" in self.shared:
            return True
        return room in self.shared and not file.startswith("_")
