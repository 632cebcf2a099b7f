"""Authorization codes: who of many gets what a code stands for."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from billfold import ids
from billfold_server.identity.authorization import codes
from billfold_server.identity.authorization.codes import Code, Used
from tests.tenants import Tenancy

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
CLIENT, GRANT = UUID(int=1), UUID(int=2)
CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


async def create(tx: Any, **changes: Any) -> str:
    """Make a code of a request that says no more than it must."""
    said = {
        "client_id": CLIENT,
        "grant_id": GRANT,
        "redirect_uri": "https://client.example/cb",
        "code_challenge": CHALLENGE,
        "scopes": ["openid"],
        "now": NOW,
    }
    return await codes.create(tx, **{**said, **changes})


async def claim(tenancy: Tenancy, code: str, *, at_s: float = 1, client_id: UUID = CLIENT) -> Code | Used | None:
    """Claim a code in a transaction of its own."""
    async with tenancy.database.tx(tenancy.tenant) as tx:
        return await codes.claim(tx, code, NOW + timedelta(seconds=at_s), client_id=client_id)


class TestACode:
    """A code."""

    async def test_brings_what_it_was_made_of(self, tenancy: Tenancy) -> None:
        """Everything that the token endpoint must know comes back as it was written."""
        said: dict[str, Any] = {
            "nonce": "n",
            "state_hash": "LDktKdoQak3Pk0cnXxCltA",
            "dpop_jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I",
            "resources": ["https://api.example/v1"],
            "id_token_claims": {"id_token": {"acr": {"essential": True}}},
        }
        async with tenancy.database.tx(tenancy.tenant) as tx:
            code = await create(tx, **said)
        assert await claim(tenancy, code) == Code(
            client_id=CLIENT,
            grant_id=GRANT,
            redirect_uri="https://client.example/cb",
            code_challenge=CHALLENGE,
            scopes=["openid"],
            created_at=NOW,
            **said,
        )

    async def test_is_claimed_once_and_its_second_use_names_the_grant(self, tenancy: Tenancy) -> None:
        """Whoever comes second is told apart, so that what the first got can be taken back (RFC 6749, 4.1.2)."""
        async with tenancy.database.tx(tenancy.tenant) as tx:
            code = await create(tx)
        assert isinstance(await claim(tenancy, code), Code)
        second = await claim(tenancy, code, at_s=2)
        assert second == Used(grant_id=GRANT, used_at=NOW + timedelta(seconds=1))
        # Also long after it would have expired.
        assert await claim(tenancy, code, at_s=3600) == second

    @pytest.mark.parametrize(("ttl_s", "lives_s"), [(60, 60), (30, 30), (600, 60)])
    async def test_lives_sixty_seconds_at_most(self, tenancy: Tenancy, ttl_s: int, lives_s: int) -> None:
        """A longer life isn't given, whatever is asked for (FAPI 2.0, section 5.3.2.1)."""
        async with tenancy.database.tx(tenancy.tenant) as tx:
            code = await create(tx, ttl_s=ttl_s)
        assert await claim(tenancy, code, at_s=lives_s) is None
        assert isinstance(await claim(tenancy, code, at_s=lives_s - 0.001), Code)

    async def test_stays_with_its_client_when_another_shows_it(self, tenancy: Tenancy) -> None:
        """Another client learns nothing, before and after its use, and the thief's try doesn't use it up."""
        async with tenancy.database.tx(tenancy.tenant) as tx:
            code = await create(tx)
        thief = ids.uuid7()
        assert await claim(tenancy, code, client_id=thief) is None
        assert isinstance(await claim(tenancy, code), Code)
        assert await claim(tenancy, code, client_id=thief) is None

    async def test_is_unknown_to_another_tenant(self, tenancy: Tenancy) -> None:
        """A code is good where it was made; the other tenant's client may even have the same id."""
        other = await tenancy.add("otherbank")
        async with tenancy.database.tx(tenancy.tenant) as tx:
            code = await create(tx)
        async with tenancy.database.tx(other) as tx:
            assert await codes.claim(tx, code, NOW, client_id=CLIENT) is None
        assert isinstance(await claim(tenancy, code), Code)

    async def test_isnt_claimed_by_who_doesnt_commit(self, tenancy: Tenancy) -> None:
        """The claim and what the code brings are one transaction: what fails has claimed nothing."""
        async with tenancy.database.tx(tenancy.tenant) as tx:
            code = await create(tx)
        with pytest.raises(ZeroDivisionError):
            async with tenancy.database.tx(tenancy.tenant) as tx:
                assert isinstance(await codes.claim(tx, code, NOW, client_id=CLIENT), Code)
                raise ZeroDivisionError
        assert isinstance(await claim(tenancy, code), Code)

    async def test_isnt_kept(self, tenancy: Tenancy) -> None:
        """A copy of the table redeems nothing: there is a digest in it."""
        async with tenancy.database.tx(tenancy.tenant) as tx:
            code = await create(tx)
            rows = await tx.fetch("SELECT authorization_codes::text AS row FROM authorization_codes")
        assert len(rows) == 1
        assert code not in rows[0]["row"]
        assert len(code) == 43

    async def test_has_one_winner_of_a_thousand(self, tenancy: Tenancy) -> None:
        """Of 1,000 who claim at the same time one gets it, and each other is told that it was used."""
        async with tenancy.database.tx(tenancy.tenant) as tx:
            code = await create(tx)
        outcomes = await asyncio.gather(*(claim(tenancy, code) for _ in range(1000)))
        assert sum(isinstance(each, Code) for each in outcomes) == 1
        assert sum(isinstance(each, Used) for each in outcomes) == 999
