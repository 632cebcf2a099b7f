"""A worker's part: whose keys are made when, what other workers have made, and what is deleted in the end."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from billfold_server.decryptor import rules, service
from billfold_server.decryptor.service import Incoming, Refused, Taken, WorkersDecryptor
from billfold_server.keys.service import TENANT_SUBJECT
from billfold_server.tenancy.context import TenantRef
from tests.live import LiveServer
from tests.server.decryptor.sealing import CARD, encrypted
from tests.tenants import manifest


class Ahead:
    """A clock that is ahead of the real one."""

    def __init__(self) -> None:
        self.by = timedelta(0)

    def now(self) -> datetime:
        """Return the time."""
        return datetime.now(UTC) + self.by


class Vault:
    """A tenant of a server, and two workers that ask for it."""

    def __init__(self, live: LiveServer, tenant: TenantRef) -> None:
        self.live = live
        self.tenant = tenant
        self.clock = Ahead()
        ours = live.services.decryptor
        self.one, self.other = (
            WorkersDecryptor(ours.client, live.services.database, self.clock, self.issuer_of) for _ in range(2)
        )

    def issuer_of(self, tenant: TenantRef) -> str:
        """Return a tenant's issuer."""
        return f"{self.live.url}/t/{tenant.slug}"

    def run(self, work: Any) -> Any:
        """Run something in the server's event loop."""
        return self.live.run(work)

    def kids(self, worker: WorkersDecryptor) -> list[str]:
        """Return the ids of the keys that a worker shows."""
        return [each.jwk["kid"] for each in self.run(worker.public_keys(self.tenant))]

    def take_in(self, worker: WorkersDecryptor, jwe: str) -> Taken | Refused:
        """Take a card in."""
        item = Incoming(token_id=uuid4(), kind="card", subject=TENANT_SUBJECT, jwe=jwe)
        (result,) = self.run(worker.take_in(self.tenant, [item]))
        assert isinstance(result, Taken | Refused)
        return result

    def rows(self) -> list[Any]:
        """Return what lies in the tenant's table."""

        async def read() -> list[Any]:
            async with self.live.services.database.tx(self.tenant) as tx:
                return await tx.fetch("SELECT generation, sealed_private FROM encryption_keys ORDER BY generation")

        found: list[Any] = self.run(read())
        return found


@pytest.fixture
def vault(live: LiveServer) -> Vault:
    """A tenant of its own."""
    slug = f"vault-{uuid4().hex[:8]}"
    live.add_tenant(manifest(slug))
    live.run(live.services.decryptor.client.wake())
    return Vault(live, live.run(live.services.registry.get(slug)))


class TestAKey:
    def test_is_made_by_the_first_who_asks(self, vault: Vault) -> None:
        """Once, however many ask at the same time, and audited."""

        async def at_once() -> list[Any]:
            workers = [vault.one, vault.other] * 4
            return list(await asyncio.gather(*(each.public_keys(vault.tenant) for each in workers)))

        shown = vault.run(at_once())
        assert len({tuple(key.jwk["kid"] for key in each) for each in shown}) == 1
        assert [row["generation"] for row in vault.rows()] == [1]

    def test_is_followed_when_its_time_has_come(self, vault: Vault) -> None:
        """Seven days later the next is first choice, and the former is shown beside it."""
        first = vault.kids(vault.one)
        vault.clock.by = rules.ROTATE_AFTER - timedelta(minutes=1)
        assert vault.kids(vault.one) == first
        vault.clock.by = rules.ROTATE_AFTER + timedelta(minutes=1)
        assert vault.kids(vault.one)[1:] == first
        vault.clock.by = timedelta(0)
        assert vault.kids(vault.other) == vault.kids(vault.one)

    def test_of_another_worker_is_found(self, vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
        """A card to a key that this worker doesn't know yet makes it look, but not more than once a second."""
        assert service._AGAIN_S == 1.0
        # All of this may well take longer than that on a busy machine.
        monkeypatch.setattr(service, "_AGAIN_S", 60.0)
        vault.kids(vault.one)
        vault.run(vault.other.rotate(vault.tenant))
        newest = vault.run(vault.other.public_keys(vault.tenant))[0]
        jwe = encrypted(CARD, newest, aud=vault.issuer_of(vault.tenant))
        assert vault.take_in(vault.one, jwe) == Refused("encryption_key_unknown")
        vault.one._rows[vault.tenant.id].read_at -= 61
        assert isinstance(vault.take_in(vault.one, jwe), Taken)

    def test_loses_its_private_half_after_its_time(self, vault: Vault) -> None:
        """Then nothing that was encrypted to it opens any more, and its id still says that it has expired."""
        key = vault.run(vault.one.public_keys(vault.tenant))[0]
        jwe = encrypted(CARD, key, aud=vault.issuer_of(vault.tenant))
        vault.clock.by = rules.LIFE
        assert vault.run(vault.one.wipe(vault.tenant)) == 0
        vault.clock.by = rules.LIFE + rules.GRACE + timedelta(minutes=1)
        assert vault.run(vault.one.wipe(vault.tenant)) == 1
        assert [row["sealed_private"] for row in vault.rows()] == [None]
        vault.one._rows.clear()
        assert vault.take_in(vault.one, jwe) == Refused("encryption_key_expired")
        assert vault.kids(vault.one) != [key.jwk["kid"]]
        assert [row["generation"] for row in vault.rows()] == [1, 2]

    def test_that_was_written_by_somebody_else_isnt_shown(self, vault: Vault) -> None:
        """Whoever can write rows can't have anybody encrypt to a key of theirs: the next is made and shown alone."""
        first = vault.kids(vault.one)

        async def forge() -> None:
            async with vault.live.services.database.tx(vault.tenant) as tx:
                await tx.execute("UPDATE encryption_keys SET sealed_private = $1", b"\x01" + bytes(120))

        vault.run(forge())
        vault.one._rows.clear()
        shown = vault.kids(vault.one)
        assert len(shown) == 1
        assert shown != first
