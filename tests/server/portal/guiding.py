"""Who reads the portal's guides and does as they say, at a server that runs.

What a guide shows runs from top to bottom. A function that it defines is used as the guide says that a program would,
and it is noted which statements were reached, so that nothing that is only defined counts as run.
"""

import ast
import asyncio
import time
from collections.abc import Callable, Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import httpx
import msgspec

from billfold import Billfold, Money
from billfold.cli.following import Happened, signed
from billfold.keys import PemKey
from billfold_server.identity.rules import TENANT_SCOPES
from billfold_server.tenancy.manifest import Egress
from tests.examples.reading import Reader
from tests.live import LiveServer
from tests.openbao import OpenBao
from tests.pace import until
from tests.ports import held
from tests.server.identity import clients_of

__all__ = ["GuidesReader"]

_SHOP: Final = "https://shop.example/callback"
_SLUG: Final = "sandbox"
_REACHED: Final = "_reached_"
_MAY_SIGN: Final = """
path "transit/sign/billfold" { capabilities = ["update"] }
path "transit/keys/billfold" { capabilities = ["read"] }
"""


class Block:
    """A block of Python whose statements say that they were reached, each before it runs.

    Attributes:
        program: The block, which otherwise does what it did.
        statements: What each statement begins with, by its line, and which functions it is in.
    """

    def __init__(self, text: str, place: int) -> None:
        self.program = ast.parse(text)
        self.statements: dict[int, tuple[str, frozenset[str]]] = {}
        self._lines = text.splitlines()
        self._place = place
        self._mark(self.program, frozenset())
        ast.fix_missing_locations(self.program)

    def _mark(self, node: ast.AST, within: frozenset[str]) -> None:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            within |= {node.name}
        for field, below in ast.iter_fields(node):
            # Statements are in lists, as are arguments, which say nothing.
            several = below if isinstance(below, list) else []
            for each in several:
                if isinstance(each, ast.AST):
                    self._mark(each, within)
            if any(isinstance(each, ast.stmt) for each in several):
                self.statements |= {each.lineno: (self._lines[each.lineno - 1].strip(), within) for each in several}
                setattr(node, field, [one for each in several for one in (self._saying(each), each)])

    def _saying(self, statement: ast.stmt) -> ast.stmt:
        where: list[ast.expr] = [ast.Constant(self._place), ast.Constant(statement.lineno)]
        return ast.copy_location(ast.Expr(ast.Call(ast.Name(_REACHED, ast.Load()), where, [])), statement)


class GuidesReader(Reader):
    """A reader of the guides, whose client may do everything at the tenant, and have its customers sign in.

    Attributes:
        vault: Gives an OpenBao that runs.
        blocks: Of the guide that is being read, as far as it was.
        reached: Which statements of these were, each by the block's place and its line.
    """

    def __init__(self, live: LiveServer, folder: Path, vault: Callable[[], OpenBao]) -> None:
        super().__init__(live, folder, egress=Egress(loopback=True))
        self.vault = vault
        self.blocks: list[Block] = []
        self.reached: set[tuple[int, int]] = set()
        registered = clients_of.make(
            live,
            _SLUG,
            "client_secret_basic",
            scopes=[*TENANT_SCOPES, "openid", "offline_access"],
            redirect_uris=[_SHOP],
            grant_types=["client_credentials", "authorization_code", "refresh_token"],
            response_types=["code"],
        )
        self.options = {
            "base_url": live.base(_SLUG),
            "client_id": registered.client_id,
            "client_secret": registered.secret,
        }

    def begin(self, name: str) -> None:
        """Begin with a guide, of which nothing is known yet."""
        self.blocks, self.reached = [], set()
        self.namespace = {"__name__": name, _REACHED: lambda *where: self.reached.add(where)}

    def unreached(self, elsewhere: Iterable[str]) -> list[str]:
        """Return the guide's statements that nothing has reached, but for those of functions that run elsewhere."""
        return [
            said
            for place, block in enumerate(self.blocks)
            for line, (said, within) in block.statements.items()
            if (place, line) not in self.reached and within.isdisjoint(elsewhere)
        ]

    def run(self, block: str) -> None:
        """Run a block as it stands, and do with it what the guide says."""
        for words, prepare in _BEFORE.items():
            if words in block:
                prepare(self)
        self.blocks.append(Block(block, len(self.blocks)))
        program = compile(self.blocks[-1].program, self.namespace["__name__"], "exec")
        exec(program, self.namespace)  # noqa: S102 - Our own page.
        self.note_clients()
        for words, use in _AFTER.items():
            if words in block:
                use(self)

    def environment(self) -> dict[str, str | None]:
        """Return what tells commands of the server and, unlike the README's reader, of the client."""
        own: dict[str, str | None] = {f"BILLFOLD_{name.upper()}": value for name, value in self.options.items()}
        return super().environment() | own

    def say(self, line: str) -> str:
        """Give a command as it stands; whom it makes the bank forget is forgotten here too."""
        said = super().say(line)
        if line == "billfold api sandbox reset":
            self.__dict__.pop("customer", None)
        return said

    def wallet(self, label: str, holding_minor: int = 0) -> str:
        """Return a wallet of somebody's, with money in it."""
        ada = self.billfold.parties.create(kind="person", name="Ada Lovelace")
        wallet = self.billfold.wallets.create(party_id=ada.id, label=label).id
        if holding_minor:
            self.billfold.top_ups.create(wallet_id=wallet, amount=Money(holding_minor, "EUR"))
        return wallet

    def transfer(self) -> str:
        """Move money, and return the transfer's id once it can be heard of."""
        made = self.billfold.transfers.create(
            from_wallet_id=self.wallet("From", 100), to_wallet_id=self.wallet("To"), amount=Money(100, "EUR")
        )
        until(lambda: made.id in [each.object_id for each in self.billfold.events.list(type="transfer.posted")])
        return made.id


def _ask(app: Any, *requests: dict[str, Any]) -> list[httpx.Response]:
    """Return what a program answers from its start to its end, without a server around it."""

    async def ask() -> list[httpx.Response]:
        transport = httpx.ASGITransport(app=app)
        async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport) as browser:
            return [await browser.request("POST", **each) for each in requests]

    return asyncio.run(ask())


def _order(reader: GuidesReader) -> None:
    """Order twice by one number, and once for more than there is."""
    who = {"payer": reader.wallet("Payer", 5000), "till": reader.wallet("Till")}
    asked = [("4711", 1250), ("4711", 1250), ("4712", 5000)]
    orders = [
        {"url": f"https://shop.example/orders/{who['till']}-{number}", "params": {**who, "price_minor": price_minor}}
        for number, price_minor in asked
    ]
    paid, again, refused = _ask(reader.namespace["app"], *orders)
    assert (paid.status_code, again.json()) == (200, paid.json())
    assert (refused.status_code, refused.json()["code"]) == (409, "insufficient_funds")


def _sign_in(reader: GuidesReader) -> None:
    """Sign a customer in, as the app would between two requests of theirs."""
    session: dict[str, str] = {}
    called = reader.customer.agree(reader.namespace["begin"](session))
    wallets = reader.namespace["finish"](session, called)
    assert (set(wallets), session) == ({reader.customer.wallet, reader.customer.savings}, {})


def _hear(reader: GuidesReader) -> None:
    """Have an event delivered twice, and once by somebody who can't sign."""
    transfer_id = reader.transfer()
    (event,) = (each for each in reader.billfold.events.list(type="transfer.posted") if each.object_id == transfer_id)
    body = msgspec.json.encode(event)
    told = Happened(event.id, event.sequence, event.type, event.object_id, str(event.occurred_at), body)
    headers = signed(told, reader.namespace["endpoint"].secret, time.time())
    delivery = {"url": "https://partner.example/billfold", "content": body, "headers": headers}
    forged = {**delivery, "content": body.replace(b"100", b"900")}
    answers = _ask(reader.namespace["app"], delivery, delivery, forged)
    assert [each.status_code for each in answers] == [204, 204, 400]
    assert reader.namespace["seen"] == {event.id}


def _be_away(reader: GuidesReader) -> None:
    """Let nothing be taken for as long as it is tried, until there is a dead delivery."""
    endpoint = reader.namespace["endpoint"].id
    with held(1) as (port,):
        # On this machine, so that no name is looked up, and nobody is waited for.
        reader.billfold.webhook_endpoints.update(endpoint, url=f"http://127.0.0.1:{port}/billfold")
        reader.transfer()
        dead = reader.billfold.webhook_deliveries
        until(lambda: list(dead.list(webhook_endpoint_id=endpoint)))
        reader.billfold.clock.advance(timedelta(days=4), freeze=False)
        until(lambda: list(dead.list(webhook_endpoint_id=endpoint, state="dead")))


def _pay_until_refused(reader: GuidesReader) -> None:
    """Pay until there is nothing left, then where nobody answers, and let the next have something again."""
    surely, billfold = reader.namespace["pay_surely"], reader.namespace["billfold"]
    paid = [surely(order) is not None for order in ("4713", "4714", "4715")]
    assert paid == [True, True, False]
    with (
        held(1) as (port,),
        Billfold(**{**reader.options, "base_url": f"http://127.0.0.1:{port}"}, max_retries=0) as nobody,
    ):
        reader.namespace["billfold"] = nobody
        assert surely("4716") is None
    reader.namespace["billfold"] = billfold
    billfold.top_ups.create(wallet_id=reader.namespace["customer"].id, amount=Money(5000, "EUR"))


def _consent(reader: GuidesReader) -> None:
    """Have a customer agree, and refuse."""
    shown, known = reader.namespace, reader.bank
    session: dict[str, str] = {}
    with shown["connect"](known.registered.client_id, known.directory.find("all").signing_key, known.dpop) as bank:
        third_party = shown["speak"](bank)
        agreed = reader.customer.agree(shown["ask"](third_party, session), reader.customer.wallet)
        assert len(shown["finish"](third_party, session, agreed)) == 1
        refused = reader.customer.agree(shown["ask"](third_party, session), reader.customer.wallet, decision="deny")
        assert shown["finish"](third_party, session, refused) == []


def _keys(reader: GuidesReader) -> None:
    """Register a key in a file and one in Vault for one program, and connect by each."""
    bao = reader.vault()
    bao.make_key("ecdsa-p256", "billfold")
    PemKey.generate().save("client.pem")
    keys = [PemKey("client.pem").public_jwk]
    program = bao.client_that_may(_MAY_SIGN)
    keys.append(reader.namespace["VaultTransitKey"](program, "billfold").public_jwk)
    client_id = clients_of.make(reader.live, _SLUG, further_keys=keys).client_id
    for connected in (reader.namespace["by_key"](client_id), reader.namespace["by_vault"](client_id, program)):
        with connected:
            assert connected.tenant.get().slug == _SLUG


def _close(reader: GuidesReader) -> None:
    """Close a wallet twice, which is once too often."""
    wallet = reader.wallet("Everyday")
    assert [reader.namespace["closing"](reader.billfold, wallet) for _ in range(2)] == [True, False]


_BEFORE: Final[dict[str, Callable[[GuidesReader], None]]] = {'state="dead"': _be_away}
"""What has happened before a block that has this."""

_AFTER: Final[dict[str, Callable[[GuidesReader], None]]] = {
    "def refuse(": _order,
    "AuthorizationFlow(": _sign_in,
    "def receive(": _hear,
    "def pay_surely(": _pay_until_refused,
    "def finish(third_party": _consent,
    "def by_vault(": _keys,
    "def closing(": _close,
}
"""What is done with the functions of a block that has this, and of those before it."""
