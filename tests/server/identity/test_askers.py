"""Who asks for something that gives or takes authority, and is shut out before it is done."""

import asyncio
import random
import secrets
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import httpx
import msgspec
import pytest

from billfold import errors, ids
from billfold.contract.partners import PartnerState
from billfold.contract.roles import StaffRole
from billfold.ids import Prefix
from billfold_server.http.entering import OVER_AUTHORITY
from billfold_server.http.routing import Operation
from billfold_server.identity.askers import hold
from billfold_server.identity.clients import management
from billfold_server.identity.clients.rows import LoginRealm
from billfold_server.identity.rules import PLATFORM_SCOPES, TENANT_SCOPES
from billfold_server.partners import service as partners
from billfold_server.people import service as people
from billfold_server.rooms import operations
from billfold_server.tenancy.context import Caller
from tests.callers import CALLER
from tests.live import Credentials, LiveServer
from tests.postgres import until_waited_for
from tests.server.identity.flows import add_app, add_person, tokens_of, tx_of

GIVING = sorted((each for each in operations() if each.gives_authority), key=lambda each: each.operation_id)
OF_OTHER_THINGS = {
    "arrangements:write",
    "clock:write",
    "holds:write",
    "keys:write",
    "ledger:write",
    "parties:write",
    "payments:resolve",
    "payments:write",
    "platform:tenants:write",
    "privacy:write",
    "sandbox:write",
    "statements:write",
    "tokens:detokenize",
    "tokens:search",
    "tokens:write",
    "transfers:write",
    "wallets:write",
}
"""Scopes that change something, but not who may do, get or decide on what."""
BODIES: dict[str, Any] = {
    "requireConsentReauthentication": {"reason": "It looks wrong."},
    "revokeConsent": {"reason": "It looks wrong."},
    "setUserRoles": {"roles": []},
}
"""What is sent where an operation has no example of its own."""
QUERIES = {"unblockOrganisation": {"directory": "https://directory.example", "organisation_id": "0015"}}
IDS = {each: ids.encode(prefix, ids.uuid7()) for each, prefix in {
    "approval_id": Prefix.APPROVAL,
    "client_id": Prefix.CLIENT,
    "consent_id": Prefix.CONSENT,
    "partner_id": Prefix.PARTNER,
    "sandbox_id": Prefix.PARTNER_SANDBOX,
    "user_id": Prefix.USER,
    "webhook_delivery_id": Prefix.WEBHOOK_DELIVERY,
    "webhook_endpoint_id": Prefix.WEBHOOK_ENDPOINT,
}.items()}  # fmt: skip
DEADLINE_S = 60


class Asker:
    """A program or a person that may do everything.

    Args:
        live: Where.
        slug: At which tenant, or (None) at the platform.
        table: Where its row is.
        key: By which id.
        token: What it shows.
    """

    def __init__(self, live: LiveServer, slug: str | None, table: str, key: UUID, token: str) -> None:
        self._live, self._slug, self._table, self._key, self._token = live, slug, table, key, token

    async def set_state(self, tx: Any, state: str) -> None:
        """Shut it out, or let it in again."""
        await tx.execute(f"UPDATE {self._table} SET state = $2 WHERE id = $1", self._key, state)  # noqa: S608 - a constant

    def send(self, operation: Operation) -> httpx.Response:
        """Ask for something."""
        path = operation.path.format(**IDS).removeprefix("/platform")
        body = BODIES.get(operation.operation_id, operation.examples.get("request", {}))
        return httpx.request(
            operation.method,
            self._live.base(self._slug) + path,
            params=QUERIES.get(operation.operation_id),
            headers={"Authorization": f"Bearer {self._token}", "Idempotency-Key": secrets.token_hex(16)},
            json=body if operation.takes_body else None,
            timeout=DEADLINE_S,
        )

    async def ask_while_shut_out(self, operation: Operation) -> httpx.Response:
        """Ask for something while a transaction shuts the asker out that commits only once the request waits for it."""
        loop = asyncio.get_running_loop()
        async with tx_of(self._live, self._slug) as tx:
            await self.set_state(tx, "disabled")
            answer: Any = loop.run_in_executor(None, self.send, operation)
            await until_waited_for(tx, answer)
        told: httpx.Response = await answer
        async with tx_of(self._live, self._slug) as tx:
            await self.set_state(tx, "active")
        return told


def _program(live: LiveServer, slug: str | None) -> Asker:
    made: Credentials = live.add_client(slug)
    return Asker(live, slug, "api_clients", ids.decode(Prefix.CLIENT, made.client_id), live.token(slug, made))


def _person(live: LiveServer, slug: str | None) -> Asker:
    scopes = [*(TENANT_SCOPES if slug else PLATFORM_SCOPES), "openid"]
    login_realm: LoginRealm = "staff" if slug else "operator"
    app = add_app(live, slug, "client_secret_basic", scopes=scopes, login_realm=login_realm)
    person = add_person(live, slug, roles=list(StaffRole) if slug else [])
    token = tokens_of(app, person, scope=" ".join(scopes))["access_token"]
    return Asker(live, slug, "users", person.user_id, token)


MAKERS: dict[str, Callable[[LiveServer, str | None], Asker]] = {"program": _program, "person": _person}


@pytest.fixture(scope="module")
def askers(live: LiveServer) -> dict[tuple[str, str], Asker]:
    """Askers of each kind, at a tenant and at the platform."""
    return {
        (kind, audience): make(live, slug)
        for kind, make in MAKERS.items()
        for audience, slug in (("tenant", "alpha"), ("platform", None))
    }


class TestEveryScope:
    def test_is_known_to_give_authority_or_not(self) -> None:
        """One that is new is put on one side or the other."""
        changing = {each for each in (*TENANT_SCOPES, *PLATFORM_SCOPES) if not each.endswith(":read")}
        assert changing == OVER_AUTHORITY | OF_OTHER_THINGS
        assert not OVER_AUTHORITY & OF_OTHER_THINGS


class TestWhoIsShutOutWhileTheyAsk:
    @pytest.mark.parametrize("kind", MAKERS)
    @pytest.mark.parametrize("operation", GIVING, ids=lambda each: each.operation_id)
    def test_comes_to_nothing(
        self, live: LiveServer, askers: dict[tuple[str, str], Asker], operation: Operation, kind: str
    ) -> None:
        """Whatever it is that gives or takes authority: it waits for who shuts them out, and is refused then."""
        asker = askers[kind, operation.audience]
        answer = live.run(asker.ask_while_shut_out(operation))
        assert (answer.status_code, answer.json()["code"]) == (403, "permission_denied"), answer.text


# Programs that shut each other out.


def _rivals(live: LiveServer) -> list[tuple[str, httpx.Client]]:
    """Return two programs of which each may shut the other out."""
    made = [live.add_client("alpha") for _ in range(2)]
    return [(each.client_id, live.client_of("alpha", each)) for each in made]


def _states(client: httpx.Client, rivals: list[tuple[str, httpx.Client]]) -> list[str]:
    return sorted(client.get(f"/v1/clients/{client_id}").json()["state"] for client_id, _ in rivals)


class TestOfTwoProgramsThatShutEachOtherOut:
    def test_one_is_left(self, live: LiveServer) -> None:
        """Both at once, again and again: one is done and one refused, and neither waits for the other for good."""

        async def meet(rivals: list[tuple[str, httpx.Client]]) -> list[int]:
            loop = asyncio.get_running_loop()
            paths = [f"/v1/clients/{client_id}/disable" for client_id, _ in reversed(rivals)]
            asked = [
                loop.run_in_executor(None, client.post, path) for (_, client), path in zip(rivals, paths, strict=True)
            ]
            return sorted(each.status_code for each in await asyncio.gather(*asked))

        with live.client("alpha") as bystander:
            for _ in range(10):
                rivals = _rivals(live)
                done, refused = live.run(meet(rivals))
                assert (done, refused in {401, 403}) == (200, True)
                assert _states(bystander, rivals) == ["active", "disabled"]
                for _, client in rivals:
                    client.close()


# Many of all kinds, who meet.

DEADLINE_MS = 60_000
_Way = Callable[[Any], Awaitable[object]]


class Crowd:
    """Clients, people and a partner at a tenant, of which each may be asker, or what is asked about."""

    def __init__(self, live: LiveServer) -> None:
        self._live = live
        self._chance = random.Random(71)
        with live.client("alpha") as client:
            body = {"name": "Example Shop", "client_scopes": ["wallets:read"]}
            self._partner_id: str = client.post("/v1/partners", json=body).json()["id"]
            asked = {
                "client_name": "Till",
                "scope": "wallets:read",
                "token_endpoint_auth_method": "client_secret_basic",
            }
            more = [{}, {}, {"partner_id": self._partner_id}, {"partner_id": self._partner_id}]
            self._clients: list[str] = [client.post("/v1/clients", json=asked | each).json()["id"] for each in more]
        self._users = [add_person(live, "alpha", roles=roles).user_id for roles in (["owner"], ["owner"], [], [])]

    def _caller(self) -> Caller:
        """Return a program, a person, or a person by way of a program, who may have been shut out."""
        client = self._chance.choice([None, *self._clients])
        user = self._chance.choice([None, *self._users] if client is not None else self._users)
        client_id = UUID(int=0) if client is None else ids.decode(Prefix.CLIENT, client)
        return msgspec.structs.replace(CALLER, client_id=client_id, user_id=user)

    def _way(self, caller: Caller, realm: people.Realm) -> tuple[list[str], _Way]:
        """Return something to be done, and what it is about."""
        enabled, now = self._chance.random() < 0.7, realm.now
        client_id, user_id = self._chance.choice(self._clients), self._chance.choice(self._users)
        bank = msgspec.structs.replace(caller, user_id=None, scopes=frozenset(TENANT_SCOPES))
        state = PartnerState.ACTIVE if enabled else PartnerState.SUSPENDED
        partner_id = ids.decode(Prefix.PARTNER, self._partner_id)
        key = ids.decode(Prefix.CLIENT, client_id)
        return self._chance.choice(
            [
                ([client_id], lambda tx: management.set_state(tx, bank, key, enabled=enabled, now=now)),
                (
                    [ids.encode(Prefix.USER, user_id)],
                    lambda tx: people.set_user_state(realm, tx, bank, user_id, enabled=enabled),
                ),
                ([self._partner_id], lambda tx: partners.set_state(tx, bank, partner_id, state, real_now=now)),
            ]
        )

    async def one(self, number: int) -> str:
        """Let somebody do something, and return what comes of it."""
        services = self._live.services
        tenant = await services.registry.get("alpha")
        caller = self._caller()
        about, way = self._way(caller, people.Realm.of(services, tenant))
        await asyncio.sleep(number % 7 / 1_000)
        try:
            async with services.database.tx(tenant, lock_timeout_ms=DEADLINE_MS, statement_timeout_ms=0) as tx:
                await hold(tx, caller, about=about)
                await way(tx)
        except errors.PermissionDenied:
            return "refused"
        return "done"


class TestManyWhoMeet:
    def test_never_wait_for_each_other(self, live: LiveServer) -> None:
        """Programs, people, members and a partner ask about each other; a deadlock would be told as ``errors.Busy``."""
        crowd = Crowd(live)

        async def meet() -> list[str]:
            return await asyncio.gather(*(crowd.one(number) for number in range(150)))

        for _ in range(3):
            assert "done" in live.run(meet())
