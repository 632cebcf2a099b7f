"""The step that gives the scope of resolving payments to whoever could resolve them before."""

from uuid import UUID

from billfold_server.tenancy.migrations.tenant.tenant_0046_payments_resolve import STATEMENTS
from tests.tenants import Tenancy

BANKS, PARTNERS, READS, PARTNER = (UUID(int=number) for number in range(1, 5))
BOTH = ["payments:resolve", "payments:write"]
AT = "'2026-11-20T12:00Z'"


def client(client_id: UUID, scopes: str, partner: str = "NULL") -> str:
    """Return what registers a client."""
    return f"""
    INSERT INTO api_clients (id, name, state, authentication, scopes, redirect_uris, post_logout_redirect_uris,
        grant_types, response_types, dpop_bound, certificate_bound, authorization_details_types, contacts,
        registered_by, login_realm, version, created_at, updated_at, partner_id)
    VALUES ('{client_id}', 'x', 'active', 'private_key_jwt', '{scopes}', '{{}}', '{{}}', '{{}}', '{{}}', false, false,
        '{{}}', '{{}}', 'x', 'staff', 1, {AT}, {AT}, {partner})
    """  # noqa: S608 - constants


def issued(client_id: UUID, number: int, ended: str = "NULL") -> tuple[str, str]:
    """Return what allows a client to order payments, and gives it a refresh token."""
    grant_id = UUID(int=number)
    return (
        f"""
        INSERT INTO grants (id, client_id, user_id, scopes, resources, details, amr, factor_ids, auth_time, created_at,
            revoked_at, reason)
        VALUES ('{grant_id}', '{client_id}', '{grant_id}', '{{payments:write}}', '{{}}', '[]', '{{}}', '{{}}', {AT},
            {AT}, {ended}, {"NULL" if ended == "NULL" else "'over'"})
        """,  # noqa: S608 - constants
        f"""
        INSERT INTO refresh_tokens (digest, grant_id, client_id, scopes, resources, created_at, expires_at, rotated_at)
        VALUES (sha256('{number}'), '{grant_id}', '{client_id}', '{{payments:write}}', '{{}}', {AT}, {AT}, {ended})
        """,  # noqa: S608 - constants
    )


class TestTheStep:
    """The step."""

    async def test_gives_it_to_the_banks_own_clients_that_had_it_within_another(self, tenancy: Tenancy) -> None:
        """They and what they still hold can do what they could; partners' programs and what has ended get nothing."""
        await tenancy.as_owner(
            tenancy.tenant,
            "INSERT INTO partners (id, name, state, client_scopes, version, created_at, updated_at)"  # noqa: S608 - constants
            f" VALUES ('{PARTNER}', 'x', 'active', '{{payments:write}}', 1, {AT}, {AT})",
            client(BANKS, "{payments:read,payments:write}"),
            client(READS, "{payments:read}"),
            client(PARTNERS, "{payments:write}", f"'{PARTNER}'"),
            *issued(BANKS, 11),
            *issued(BANKS, 12, AT),
            *issued(PARTNERS, 13),
            # It may be run again where it was cut short.
            *STATEMENTS,
            *STATEMENTS,
        )
        async with tenancy.database.tx(tenancy.tenant) as tx:
            clients = await tx.fetch("SELECT id, scopes, version FROM api_clients ORDER BY id")
            held = [
                await tx.fetch(f"SELECT scopes FROM {table} ORDER BY {key}")  # noqa: S608 - constants
                for table, key in (("grants", "id"), ("refresh_tokens", "grant_id"))
            ]
        assert {row["id"]: (row["scopes"], row["version"]) for row in clients} == {
            BANKS: (["payments:read", *BOTH], 2),
            PARTNERS: (["payments:write"], 1),
            READS: (["payments:read"], 1),
        }
        assert [[row["scopes"] for row in rows] for rows in held] == [
            [BOTH, ["payments:write"], ["payments:write"]]
        ] * 2
