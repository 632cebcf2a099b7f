"""``billfold certs``: certificates for development, on the command line.

The group finds in its context what opens the ``Authority`` of the data folder, put there by ``cli.py``.
"""

import ipaddress
from collections.abc import Callable, Sequence
from typing import Any

import click
from cryptography import x509

from billfold_server.commands import json_option, print_json
from billfold_server.serving.tls.authority import LOCAL_NAMES, Authority, Issued

__all__ = ["certs"]

OpenAuthority = Callable[[], Authority]


class _Subject(click.ParamType[x509.Name]):
    """A distinguished name as RFC 4514 writes it."""

    name = "DN"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> x509.Name:
        """Read it, or say how it is written."""
        try:
            name = x509.Name.from_rfc4514_string(value)
        except (ValueError, AttributeError):
            name = x509.Name([])
        return name if len(name.rdns) else self.fail(f"{value!r} isn't like CN=Acme Payments,O=Acme,C=DE.", param, ctx)


class _Alternative(click.ParamType[x509.GeneralName]):
    """A name of one kind."""

    def __init__(self, name: str, kind: Callable[[Any], x509.GeneralName]) -> None:
        self.name = name
        self._kind = kind

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> x509.GeneralName:
        """Read it."""
        try:
            return self._kind(value)
        except ValueError:
            self.fail(f"{value!r} can't be in a certificate as {self.name}.", param, ctx)


def _address(text: str) -> x509.GeneralName:
    return x509.IPAddress(ipaddress.ip_address(text))


@click.group()
def certs() -> None:
    """Make certificates for development.

    An authority, the server's and clients' own: all of it lies in the data folder, can be asked for again and again,
    and is renewed before it ends. In production, your own authority issues certificates; see BILLFOLD_TLS_CERTIFICATE
    and BILLFOLD_CLIENT_CA_FILE.
    """


@certs.command("ca")
@json_option
@click.pass_obj
def ca(open_authority: OpenAuthority, as_json: bool) -> None:  # noqa: FBT001
    """Make the authority, and show the file that clients are to trust."""
    _show([open_authority().ensure()], as_json=as_json)


@certs.command("server")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@json_option
@click.pass_obj
def server(open_authority: OpenAuthority, names: Sequence[str], as_json: bool) -> None:  # noqa: FBT001
    """Make the server's certificate, as billfold up --tls does by itself.

    It is for localhost, and for every NAME below localhost, test, example or invalid.
    """
    _show([open_authority().ensure_server([*LOCAL_NAMES, *names])], as_json=as_json)


@certs.command("client")
@click.argument("name")
@click.option("--dn", "subject", type=_Subject(), help="Its distinguished name.  [default: CN=NAME]")
@click.option("--san-uri", type=_Alternative("URI", x509.UniformResourceIdentifier), multiple=True, help="A URI.")
@click.option("--san-dns", type=_Alternative("DNS", x509.DNSName), multiple=True, help="A host name.")
@click.option("--san-ip", type=_Alternative("IP", _address), multiple=True, help="An address.")
@click.option("--san-email", type=_Alternative("EMAIL", x509.RFC822Name), multiple=True, help="A mail address.")
@click.option("--self-signed", is_flag=True, help="Let it issue itself, for self_signed_tls_client_auth.")
@json_option
@click.pass_obj
def client(
    open_authority: OpenAuthority,
    /,
    name: str,
    subject: x509.Name | None,
    *,
    self_signed: bool,
    as_json: bool,
    **alternatives: tuple[x509.GeneralName, ...],
) -> None:
    """Make a client's certificate, kept as NAME.

    Asked for with another distinguished name or other names than before, it is made anew, for the same key.
    """
    named = [each for kind in ("san_uri", "san_dns", "san_ip", "san_email") for each in alternatives[kind]]
    issued = open_authority().ensure_client(name, subject=subject, alternatives=named, self_signed=self_signed)
    _show([issued], as_json=as_json)


@certs.command("list")
@json_option
@click.pass_obj
def list_(open_authority: OpenAuthority, as_json: bool) -> None:  # noqa: FBT001
    """List what has been made."""
    issued = open_authority().list()
    if as_json:
        print_json(issued)
    elif issued:
        _show(issued, as_json=False)
    else:
        click.echo("There are no certificates yet; billfold up --tls makes them, and billfold certs client does.")


def _show(issued: Sequence[Issued], *, as_json: bool) -> None:
    if as_json:
        print_json(issued[0])
        return
    for each in issued:
        rows = {
            "For": f"{each.kind}{' (self-signed)' if each.self_signed and each.kind == 'client' else ''}",
            "Subject": each.subject,
            "Names": ", ".join(each.names),
            "Good until": f"{each.ends_at:%Y-%m-%d}",
            "Certificate": each.certificate,
            "Private key": each.key,
            "Thumbprint": each.thumbprint,
        }
        lines = [f"  {name:<12} {value}" for name, value in rows.items() if value]
        click.echo("\n".join([click.style(each.name, bold=True), *lines]))
