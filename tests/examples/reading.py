"""Who reads the README and does as it says: what it leaves to the reader, at a server that runs."""

import functools
import itertools
import re
import shlex
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec
from click.testing import CliRunner
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from billfold import Billfold
from billfold.auth import PrivateKeyJWT
from billfold.cli.following import Happened, signed
from billfold.cli.root import partner
from billfold.keys import PemKey
from billfold_server.cli import billfold_command
from billfold_server.payments import service as payments
from billfold_server.serving.developer import ensure_developer
from billfold_server.tenancy.manifest import load_manifest
from billfold_server.tenancy.shipped import find_folder
from tests.live import LiveServer
from tests.sandbox import options
from tests.sdk.consents.customers import Customer, ThirdPartysBank
from tests.server.identity import clients_of

__all__ = ["ROOT", "Reader"]

ROOT: Final = Path(__file__).parents[2]
_SLUG: Final = "sandbox"
_CALLBACKS: Final = ("https://shop.example/callback", "https://tpp.example/callback")


class _Request:
    """What a web framework hands to the reader's program: a webhook, or a customer who comes back."""

    def __init__(self, reader: "Reader", *wallets: str) -> None:
        self._reader, self._wallets = reader, wallets

    @functools.cached_property
    def _happened(self) -> Any:
        return next(iter(self._reader.billfold.events.list(type="transfer.posted")))

    @property
    def body(self) -> bytes:
        """What is delivered: the first transfer's event."""
        return msgspec.json.encode(self._happened)

    @property
    def headers(self) -> dict[str, str]:
        """Its headers, signed by the endpoint's secret."""
        event = self._happened
        told = Happened(event.id, event.sequence, event.type, event.object_id, str(event.occurred_at), self.body)
        return signed(told, self._reader.namespace["endpoint"].secret, time.time())

    @property
    def url(self) -> str:
        """Where the bank sends the customer back to, who went where the program has sent them, and agreed."""
        return self._reader.customer.agree(self._reader.namespace["address"], *self._wallets)


class Reader:
    """A reader with the tenant that `billfold up` makes, in a folder of their own; what else shall hold of it is said.

    Attributes:
        live: The server.
        folder: The folder.
        bank: The tenant, at which a third party of theirs is registered.
        billfold: A client of it that may do everything.
        namespace: What the README's Python knows by now.
    """

    def __init__(self, live: LiveServer, folder: Path, **changes: Any) -> None:
        self.live, self.folder = live, folder
        shipped = msgspec.structs.replace(load_manifest(find_folder(_SLUG)), isolation="role", **changes)
        # Where the command line has it, so that commands know the same third parties.
        self.bank = ThirdPartysBank(live, _SLUG, Path(live.settings.data_dir), like=shipped, callback=_CALLBACKS[1])
        self.options = options(live, _SLUG)
        self.billfold = Billfold(**self.options)
        self._clients = {self.billfold}
        self.namespace: dict[str, Any] = {"__name__": "readme"}
        self._said = ""
        self._wallets = itertools.cycle(("everyday", "savings"))
        for name in ("examples", "tenants"):
            (folder / name).symlink_to(ROOT / name)
        tenant = live.run(live.services.registry.get(_SLUG))
        live.run(ensure_developer(live.services, tenant, Path(live.settings.data_dir)))
        # Nothing can be started while a command's output is caught.
        for each in (live.services.rooms[payments.ROOM].simulated, live.services.decryptor.client):
            live.run(each.wake())

    def close(self) -> None:
        """Let go of the clients."""
        for each in self._clients:
            each.close()

    @functools.cached_property
    def customer(self) -> Customer:
        """A customer who has enrolled, with two wallets."""
        return Customer(self.live, _SLUG)

    def run(self, block: str) -> None:
        """Run a block of Python as it stands."""
        for word, prepare in _GIVEN.items():
            if word in block:
                self.namespace |= prepare(self)
        self.note_clients()
        exec(block, self.namespace)  # noqa: S102 - Our own page.
        self.note_clients()

    def note_clients(self) -> None:
        """Note which clients the blocks have made, to let go of them at the end."""
        self._clients |= {each for each in self.namespace.values() if isinstance(each, Billfold)}

    def say(self, line: str) -> str:
        """Give a command as it stands, but for ids and for what would never end, and return what it prints."""
        words = [self._known(word) for word in shlex.split(line.removeprefix(".venv/bin/").removeprefix("billfold "))]
        if words[0] == "login":
            words[words.index("--base-url") + 1] = self.options["base_url"]
        if words[:2] == ["events", "tail"]:
            words += ["--after=0", "--count=1"]
        typed = self.options["client_secret"] + "\n" if words[0] == "login" else None
        done = CliRunner().invoke(billfold_command, words, obj=partner, env=self.environment(), input=typed)
        assert done.exit_code == 0, (line, done.output, done.exception)
        self._said += done.stdout
        return done.stdout

    def _known(self, word: str) -> str:
        """Return what stands for an id that nobody can know before."""
        if not word.endswith("_…"):
            return word
        if word == "cli_…":
            return str(self.options["client_id"])
        if word == "wal_…":
            return str(self.namespace[next(self._wallets)].id)
        return str(re.findall(rf"{word[:-1]}\w+", self._said)[-1])

    def environment(self) -> dict[str, str | None]:
        """Return what tells commands of the server, as its own settings do; and programs by what they come in."""
        settings = self.live.settings
        urls = {name: getattr(settings, name) for name in ("database_url", "admin_database_url", "key_store_url")}
        told: dict[str, str | None] = dict.fromkeys(self.options)
        told |= {name: secret.reveal() for name, secret in urls.items() if secret is not None}
        told |= {"data_dir": settings.data_dir, "public_url": self.live.url}
        told["profiles_file"] = str(self.folder / "profiles.json")
        return {f"BILLFOLD_{name.upper()}": value for name, value in told.items()} | {"COLUMNS": "200"}


def _webhook(reader: Reader) -> dict[str, Any]:
    return {"request": _Request(reader)}


def _files(reader: Reader) -> dict[str, Any]:
    """Have a key and a certificate in files."""
    PemKey.generate().save(reader.folder / "client.pem")
    certificate, private = clients_of.self_signed("my-app")
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (reader.folder / "client.crt").write_bytes(certificate.public_bytes(Encoding.PEM))
    (reader.folder / "client.key").touch(0o600)
    (reader.folder / "client.key").write_bytes(pem)
    return {"url": reader.options["base_url"]}


def _app(reader: Reader) -> dict[str, Any]:
    """Have an app at which customers sign in, and one who does."""
    key = PemKey.generate()
    app = clients_of.make(
        reader.live,
        _SLUG,
        scopes=["openid", "offline_access", "wallets:read"],
        redirect_uris=[_CALLBACKS[0]],
        grant_types=["authorization_code", "refresh_token"],
        response_types=["code"],
        further_keys=[key.public_jwk],
    )
    auth = PrivateKeyJWT(app.client_id, key, dpop=key)
    client = Billfold(base_url=reader.options["base_url"], auth=auth)
    return {"billfold": client, "session": {}, "request": _Request(reader)}


def _program(reader: Reader) -> dict[str, Any]:
    return {"billfold": reader.billfold}


def _third_party(reader: Reader) -> dict[str, Any]:
    client = Billfold(base_url=reader.bank.base, auth=reader.bank.auth())
    return {"bank": client, "request": _Request(reader, reader.customer.wallet)}


def _books(reader: Reader) -> dict[str, Any]:
    entry = next(iter(reader.billfold.journal_entries.list()))
    return {"billfold": reader.billfold, "base_url": reader.options["base_url"], "entry_id": entry.id}


_GIVEN: Final[dict[str, Callable[[Reader], dict[str, Any]]]] = {
    "webhooks.verify": _webhook,
    "PemKey": _files,
    "AuthorizationFlow(": _app,
    "vault_tokens": _program,
    "ThirdParty(": _third_party,
    "verify_export": _books,
}
"""What a block that has this takes for granted."""
