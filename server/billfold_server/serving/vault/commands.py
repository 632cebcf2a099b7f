"""``billfold vault``: what the operators of a Vault need to know, on the command line."""

from collections.abc import Callable

import click

from billfold_server.commands import json_option, print_json
from billfold_server.keys.backends.vault.policies import policies as all_policies
from billfold_server.settings import Settings

__all__ = ["vault"]

ReadSettings = Callable[[], Settings]


@click.group()
def vault() -> None:
    """Print the policies that a Vault needs."""


@vault.command()
@json_option
@click.pass_obj
def policies(read_settings: ReadSettings, as_json: bool) -> None:  # noqa: FBT001
    """Print the policies of least privilege, for BILLFOLD_VAULT_MOUNT and BILLFOLD_VAULT_DEPLOYMENT.

    One is for the API's workers, one for the decryptor, and one for who rotates, retires and destroys keys by commands.
    """
    settings = read_settings()
    found = all_policies(settings.vault_mount, settings.vault_deployment)
    if as_json:
        print_json(found)
    else:
        click.echo("\n".join(f"# {name}\n{policy}" for name, policy in found.items()), nl=False)
