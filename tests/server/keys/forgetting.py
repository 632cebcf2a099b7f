"""A tenant at which people are forgotten, as the tests of that ask it."""

import asyncio
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import httpx
from click.testing import CliRunner, Result

from billfold import ids
from billfold.ids import Prefix
from billfold_server.app import open_services
from billfold_server.keys import commands
from billfold_server.keys.service import Place, open_keys
from billfold_server.people.roles import allowed_scopes
from billfold_server.tenancy.context import TenantRef
from tests.live import LiveServer
from tests.postgres import query
from tests.server.identity.flows import add_app, add_person, tokens_of
from tests.tenants import manifest

SLUG = "forgetting"
SCOPES = ["keys:read", "keys:write", "approvals:read", "approvals:decide", "audit:read", "events:read"]


class Bank:
    """A tenant with parties, of whom sealed notes are kept in a table of its own."""

    def __init__(self, live: LiveServer) -> None:
        self.live = live
        live.add_tenant(manifest(SLUG, rate_limit_per_s=100_000, rate_limit_burst=1_000_000))
        self.tenant: TenantRef = live.run(live.services.registry.get(SLUG))
        self.admin = live.settings.admin_database_url.reveal()  # type: ignore[union-attr]
        self.notes = f"{self.tenant.schema}.notes"
        query(self.admin, f"CREATE TABLE {self.notes} (id uuid PRIMARY KEY, text bytea, card bytea)")
        query(self.admin, f"GRANT SELECT ON {self.notes} TO {self.tenant.runtime_role}")
        self._app = add_app(live, SLUG, "client_secret_basic", login_realm="staff", scopes=SCOPES)

    def person(self, *roles: str) -> httpx.Client:
        """Return a client in the name of somebody with these roles."""
        person = add_person(self.live, SLUG, roles=roles)
        scope = " ".join(sorted(set(SCOPES) & allowed_scopes(roles)))
        token = tokens_of(self._app, person, scope=scope)["access_token"]
        headers = {"Authorization": f"Bearer {token}"}
        return httpx.Client(base_url=self.live.base(SLUG), headers=headers, timeout=30)

    def party(self) -> str:
        """Make a party with a note about it, sealed in both domains, and return its id."""
        with self.live.client(SLUG) as client:
            # What was answered is kept under the key, and is to go, too.
            asked = {"kind": "person", "name": "Ada"}
            made = client.post("/v1/parties", json=asked, headers={"Idempotency-Key": uuid4().hex}).json()["id"]
        self.note(made)
        return str(made)

    def note(self, party: str) -> UUID:
        """Keep a note about a party."""
        note_id = uuid4()

        async def write() -> None:
            services, subject = self.live.services, ids.decode(Prefix.PARTY, party)
            cards = open_keys(services.settings, services.keyring, domain="cards")
            values = []
            for keys, column in ((services.keys, "text"), (cards, "card")):
                sealer = await keys.sealer(self.tenant, subject)
                values.append(sealer.seal(Place("notes", str(note_id), column), b"secret of " + party.encode()))
            await cards.close()
            await asyncio.to_thread(
                query,
                self.admin,
                f"INSERT INTO {self.notes} VALUES ($1, $2, $3)",  # noqa: S608
                note_id,
                *values,
            )

        self.live.run(write())
        return note_id

    def read(self, party: str) -> bytes:
        """Open what the server's worker has of a party."""
        subject = ids.decode(Prefix.PARTY, party)

        async def read() -> bytes:
            keys = self.live.services.keys
            rows = await keys.store.fetch(
                "SELECT id FROM subject_keys WHERE tenant_id = $1 AND subject_id = $2 AND domain = 'data'",
                self.tenant.id,
                subject,
            )
            head = b"\x01" + rows[0]["id"].bytes
            found = await asyncio.to_thread(
                query,
                self.admin,
                f"SELECT id, text FROM {self.notes} WHERE substring(text FROM 1 FOR 17) = $1",  # noqa: S608
                head,
            )
            place = Place("notes", str(found[0]["id"]), "text")
            return (await keys.opener(self.tenant, [found[0]["text"]])).open(place, found[0]["text"])

        opened: Any = self.live.run(read())
        assert isinstance(opened, bytes)
        return opened

    def invoke(self, *words: str, answers: str = "") -> Result:
        """Call a command as ``billfold keys`` does."""
        opening = partial(open_services, self.live.settings)
        return CliRunner().invoke(commands.keys, words, obj=opening, input=answers)


def shred(client: httpx.Client, party: str, key: str | None = None) -> httpx.Response:
    """Ask for the destruction of a party's keys."""
    headers = {"Idempotency-Key": key or uuid4().hex}
    return client.post("/v1/data-keys/shred", json={"party_id": party, "reason": "asked for it"}, headers=headers)
