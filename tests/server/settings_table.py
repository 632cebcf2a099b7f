"""The table of settings in DEPLOYING.md, made of the code; ``python -m tests.server.settings_table`` writes it anew."""

import inspect
import re
from pathlib import Path
from typing import Any

import msgspec

from billfold_server.nats_settings import NatsSettings
from billfold_server.settings import Settings
from billfold_server.vault_settings import VaultSettings

PAGE = Path(__file__).parents[2] / "server" / "DEPLOYING.md"
BEGIN, END = "<!-- settings: begin -->", "<!-- settings: end -->"
NOT_FIXED = {"data_dir": "the user's own", "metrics_networks": "see there"}
"""Defaults that depend on the machine, or are too long for a table."""


def descriptions() -> dict[str, str]:
    """Return what the class says of each setting."""
    docs = [inspect.cleandoc(each.__doc__ or "") for each in (Settings, VaultSettings, NatsSettings)]
    attributes = "\n".join(doc.partition("Attributes:\n")[2] for doc in docs)
    entries = re.findall(r"^    (\w+): (.*(?:\n {8}.*)*)", attributes, flags=re.MULTILINE)
    return {name: re.sub(r"\s+", " ", text).replace("``", "`") for name, text in entries}


def default_of(field: msgspec.structs.FieldInfo) -> str:
    """Return a setting's default as somebody would write it."""
    if field.name in NOT_FIXED:
        return NOT_FIXED[field.name]
    value: Any = field.default if field.default is not msgspec.NODEFAULT else field.default_factory()
    return "" if value is None or value == [] else f"`{value}`"


def table() -> str:
    """Return the table."""
    said = descriptions()
    # What is inherited comes last.
    fields = sorted(msgspec.structs.fields(Settings), key=lambda field: field.name in NatsSettings.__struct_fields__)
    rows = [f"| `BILLFOLD_{field.name.upper()}` | {default_of(field)} | {said[field.name]} |" for field in fields]
    return "\n".join(["| Variable | Default | |", "|---|---|---|", *rows])


def with_table(text: str) -> str:
    """Return the page with the table as it should be."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{table()}\n\n{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
