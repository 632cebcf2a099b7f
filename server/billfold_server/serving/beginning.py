"""Which commands may begin a deployment in a data folder that has none yet.

The others only look at one, and a folder without any is likely one that was named wrongly.
"""

import shlex
from pathlib import Path
from typing import Final

import click

from billfold_server.serving.failures import Exit, Failure
from billfold_server.settings import Settings

__all__ = ["look_for_deployment"]

_BEGINNING: Final = frozenset({"clients create", "keys restore", "sandbox create", "tenants apply", "users create"})
"""What may be said first in a data folder that has no database yet, beside ``up``."""


def look_for_deployment(settings: Settings) -> None:
    """See that the command that runs has a deployment to work on, or may begin one, which it says then.

    Raises:
        Failure: The embedded database isn't there yet, and the command doesn't begin one. Nothing is made.
    """
    folder, context = Path(settings.data_dir), click.get_current_context()
    external = settings.database_url is not None or settings.admin_database_url is not None
    if external or (folder / "postgres" / "data").exists():
        return
    named = "another folder is named so: billfold --data-dir=FOLDER …"
    if not _may_begin(context):
        up = f"billfold up --data-dir={shlex.quote(str(folder))}"
        sentence = f"There is no Billfold in {folder} yet; {up} begins one there, and {named}"
        raise Failure("no_deployment", sentence, Exit.REFUSED, data_dir=str(folder))
    if not (context.params.get("as_json") or folder.exists()):
        begun = f"there was nothing in {folder} yet, so this begins a deployment there"
        click.echo(f"billfold: {begun}; {named}", err=True)


def _may_begin(context: click.Context) -> bool:
    # What is said of a tenant is said of one that is there.
    return " ".join(context.command_path.split()[1:]) in _BEGINNING and context.params.get("tenant") is None
