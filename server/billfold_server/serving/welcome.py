"""What ``billfold up`` says once it serves: where, for whom, and things to paste."""

import shlex
import sys
from pathlib import Path

import click
import msgspec

from billfold_server.serving.tls.setting_up import DevelopmentFiles

__all__ = [
    "CUSTOMERS_FILE",
    "SANDBOX_FILE",
    "STAFF_FILE",
    "Credentials",
    "Welcome",
    "command_lines",
    "curl_lines",
    "mtls_curl_lines",
    "python_lines",
]

SANDBOX_FILE = "sandbox.env"
"""Where in the data folder the sandbox's credentials are kept."""

CUSTOMERS_FILE = "sandbox-customers.json"
"""Where in it is kept by what the sandbox's customers sign in."""

STAFF_FILE = "sandbox-staff.json"
"""And where, by what its developer signs in at the portal."""


class Credentials(msgspec.Struct, frozen=True, kw_only=True):
    """By what a developer uses the sandbox.

    Attributes:
        base_url: The tenant's base URL.
        client_id: The API client's id.
        client_secret: Its secret.
        file: Where these three lie, as lines for a shell.
        seed: From what the sandbox's customers follow; None where there are none.
        suspended: Whether the sandbox answers nobody until it is resumed.
    """

    base_url: str
    client_id: str
    client_secret: str
    file: str
    seed: int | None = None
    suspended: bool = False

    def __repr__(self) -> str:
        """Show whose credentials they are, and not the secret."""
        return f"Credentials({self.client_id})"


class Welcome(msgspec.Struct, frozen=True, kw_only=True):
    """The facts of a server that is ready; ``--json`` prints them as one line.

    Attributes:
        event: Always ``ready``.
        url: The server's own base URL.
        mtls_url: The same for clients that show a certificate; None where nobody is asked for one.
        base_url: The sandbox's base URL, which the SDK takes; None in production.
        docs_url: Its documentation.
        portal_url: Its developer portal; ``billfold portal`` shows by what to sign in there.
        token_url: Where access tokens are had.
        client_id: The sandbox's API client.
        client_secret: Its secret.
        credentials_file: Where these lie for later.
        customers_file: By what the sandbox's customers sign in; ``billfold directory customers`` shows it.
        seed: From what they follow.
        directory: Where the keys and statements of test third parties lie; ``billfold directory`` shows them.
        curl: Shell lines that read from the sandbox.
        python: Shell lines that move money in it.
        commands: Shell lines that log in on the command line, and read from it there.
        mtls_curl: Shell lines that show a certificate.
        ca_file: The authority to trust, where the certificates are for development.
        client_certificate: A client's certificate to show.
        client_key: Its key.
        pid: The parent process.
        workers: How many processes serve.
        data_dir: The data folder.
        postgres: The database's version.
        embedded: Whether it is the one that came with the install.
        started_in_s: How long the start took.
        warnings: What is all right here and now only.
    """

    event: str = "ready"
    url: str
    mtls_url: str | None = None
    base_url: str | None = None
    docs_url: str | None = None
    portal_url: str | None = None
    token_url: str | None = None
    client_id: str | None = None
    client_secret: str | None = None
    credentials_file: str | None = None
    customers_file: str | None = None
    seed: int | None = None
    directory: str | None = None
    curl: str | None = None
    python: str | None = None
    commands: str | None = None
    mtls_curl: str | None = None
    ca_file: str | None = None
    client_certificate: str | None = None
    client_key: str | None = None
    pid: int
    workers: int
    data_dir: str
    postgres: str
    embedded: bool
    started_in_s: float
    warnings: list[str] = []

    def __repr__(self) -> str:
        """Show where it is, and no secret."""
        return f"Welcome({self.url})"

    def text(self) -> str:
        """Return it for people; nothing in it is wrapped, so that it can be pasted."""
        rows = {
            "Base URL": self.base_url or self.url,
            "mTLS": self.mtls_url and f"{self._of_sandbox(self.mtls_url)} (clients of the SDK keep the Base URL)",
            "Trust": self.ca_file,
            "Docs": self.docs_url,
            "Portal": self.portal_url and f"{self.portal_url} (billfold portal)",
            "Client id": self.client_id,
            "Client secret": self.client_secret,
            "Kept in": self.credentials_file,
            "Customers": self.customers_file and f"{self.customers_file} (billfold directory customers)",
            "Third parties": self.directory,
            "Data": self.data_dir,
            "Database": f"PostgreSQL {self.postgres}{' (embedded)' if self.embedded else ''}",
        }
        facts = "\n".join(f"  {name:<14} {value}" for name, value in rows.items() if value is not None)
        title = click.style(f"Billfold is ready, {self.started_in_s:.1f} s after its start.", bold=True)
        parts = [title, facts, *(click.style(f"Warning: {warning}", fg="yellow") for warning in self.warnings)]
        shown = {
            "Move money with the SDK, from another terminal:": self.python,
            "Look at the wallets with curl:": self.curl,
            "Do the same and more on the command line:": self.commands,
            "Show the server a client's certificate, which it asks for on its second port only:": self.mtls_curl,
        }
        for heading, lines in shown.items():
            parts += [] if lines is None else [click.style(heading, bold=True), lines]
        return "\n\n".join([*parts, "Ctrl-C stops it; the data stays."]) + "\n"

    def _of_sandbox(self, url: str) -> str:
        """Return where the sandbox is at another port, which isn't its name: whoever asks there is told the first."""
        return url + (self.base_url or "").removeprefix(self.url)


def curl_lines(credentials: Credentials, files: DevelopmentFiles | None = None) -> str:
    """Return shell lines that get a token and list the wallets with it."""
    curl = "curl -sS" if files is None else f"curl -sS --cacert {shlex.quote(files.ca_file)}"
    user = shlex.quote(f"{credentials.client_id}:{credentials.client_secret}")
    base = credentials.base_url
    return "\n".join(
        [
            f"BILLFOLD_TOKEN=$({curl} -u {user} -d grant_type=client_credentials {base}/oauth/token |",
            """  sed 's/.*"access_token":"\\([^"]*\\)".*/\\1/')""",
            f'{curl} -H "Authorization: Bearer $BILLFOLD_TOKEN" {base}/v1/wallets; echo',
        ]
    )


def command_lines(credentials: Credentials, files: DevelopmentFiles | None = None) -> str:
    """Return shell lines that log in by the file that the credentials are kept in, and list the wallets."""
    installed = Path(sys.executable).with_name("billfold")
    billfold = shlex.quote(str(installed)) if installed.exists() else "billfold"
    trusted = "" if files is None else f" --ca {shlex.quote(files.ca_file)}"
    return "\n".join(
        [
            f"{billfold} login --credentials {shlex.quote(credentials.file)}{trusted}",
            f"{billfold} wallets list",
        ]
    )


def mtls_curl_lines(mtls_url: str, files: DevelopmentFiles) -> str:
    """Return shell lines that show the server a client's certificate."""
    given = {"--cacert": files.ca_file, "--cert": files.client_certificate, "--key": files.client_key}
    options = " ".join(f"{name} {shlex.quote(file)}" for name, file in given.items())
    return f"curl -sS {options} {mtls_url}/health/ready; echo"


def python_lines(credentials: Credentials, files: DevelopmentFiles | None = None) -> str:
    """Return shell lines in which this Python, which has the SDK, moves money between two wallets."""
    imports, names, transport = "", "Billfold, Money", ""
    if files is not None:
        imports, names = "import ssl\n\n", "Billfold, HttpxTransport, Money"
        trusted = f"ssl.create_default_context(cafile={files.ca_file!r})"
        transport = f"\n    transport=HttpxTransport(verify={trusted}),"
    return f"""{shlex.quote(sys.executable)} - <<'END'
{imports}from billfold import {names}

with Billfold(
    base_url="{credentials.base_url}",
    client_id="{credentials.client_id}",
    client_secret="{credentials.client_secret}",{transport}
) as billfold:
    ada = billfold.parties.create(kind="person", name="Ada Lovelace")
    everyday = billfold.wallets.create(party_id=ada.id, label="Everyday")
    savings = billfold.wallets.create(party_id=ada.id, label="Savings")
    billfold.top_ups.create(wallet_id=everyday.id, amount=Money(5000, "EUR"))
    billfold.transfers.create(from_wallet_id=everyday.id, to_wallet_id=savings.id, amount=Money(1250, "EUR"))
    for wallet in (everyday, savings):
        for balance in billfold.wallets.balances(wallet.id):
            print(wallet.label, Money(balance.available_minor, balance.currency))
END"""
