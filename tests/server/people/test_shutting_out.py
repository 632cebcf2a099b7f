"""People who shut each other out at the same time, of whom one is left to let others in."""

import asyncio
import contextvars
import secrets
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any
from uuid import UUID

import msgspec
import pytest

from billfold import errors, ids
from billfold.contract.roles import PartnerRole
from billfold.ids import Prefix
from billfold_server.identity.askers import hold
from billfold_server.people import operators, service
from billfold_server.people.service import Realm, standing_of
from billfold_server.tenancy.context import Caller
from tests.callers import CALLER
from tests.live import LiveServer
from tests.postgres import until_waited_for

ROUNDS = 25
DEADLINE_S = 60
_COLUMNS = "id, login_realm, login_name, display_name, roles, state, handle, version, created_at, updated_at"
_VALUES = "$1, $2, $3, 'Ada', $4, 'active', $5, 1, $6, $6"
# The platform has no partners.
_ADD = f"INSERT INTO users ({_COLUMNS}) VALUES ({_VALUES})"  # noqa: S608 - constants
_ADD_MEMBER = f"INSERT INTO users ({_COLUMNS}, partner_id) VALUES ({_VALUES}, $7)"  # noqa: S608 - constants


class Pair:
    """Two people of whom each may shut the other out.

    Attributes:
        both: Their ids, the older one's first.
        partner_id: Whose members they are, where they are a partner's.

    Args:
        live: Where.
        login_realm: What they are.
        partner_id: Of which partner.
    """

    def __init__(self, live: LiveServer, login_realm: str, partner_id: UUID | None) -> None:
        self._live, self._login_realm = live, login_realm
        self.partner_id = partner_id
        self.both = (ids.uuid7(), ids.uuid7())
        live.run(self._add())

    @property
    def scope(self) -> str:
        """What it takes to shut somebody out."""
        return {"staff": "users:write", "partner": "members:write", "operator": "platform:users:write"}[
            self._login_realm
        ]

    async def _add(self) -> None:
        roles = {"staff": ["owner"], "partner": ["admin"], "operator": []}[self._login_realm]
        sql, more = (_ADD, ()) if self.partner_id is None else (_ADD_MEMBER, (self.partner_id,))
        now = self._live.services.clock.now()
        async with await self.tx() as tx:
            for user_id in self.both:
                name, handle = secrets.token_hex(10), secrets.token_bytes(32)
                await tx.execute(sql, user_id, self._login_realm, name, roles, handle, now, *more)

    async def tx(self) -> AbstractAsyncContextManager[Any]:
        """Return a transaction of theirs, in which nobody gives up waiting because a machine stands still."""
        services = self._live.services
        if self._login_realm == "operator":
            return services.database.platform_tx(lock_timeout_ms=DEADLINE_S * 1_000, statement_timeout_ms=0)
        tenant = await services.registry.get("alpha")
        return services.database.tx(tenant, lock_timeout_ms=DEADLINE_S * 1_000, statement_timeout_ms=0)

    async def realm(self) -> Realm:
        """Return where they are."""
        services = self._live.services
        return Realm.of(services, None if self._login_realm == "operator" else await services.registry.get("alpha"))

    async def let_in(self) -> list[UUID]:
        """Return who of them may still shut somebody out."""
        async with await self.tx() as tx:
            found = {each: await standing_of(tx, each) for each in self.both}
        return [
            each
            for each, standing in found.items()
            if standing is not None and standing.active and (standing.scopes is None or self.scope in standing.scopes)
        ]

    def by(self, user_id: UUID) -> Caller:
        """Return one of them as who asks by a page."""
        actor = ids.encode(Prefix.USER, user_id)
        return msgspec.structs.replace(
            CALLER, actor=actor, client_id=UUID(int=0), user_id=user_id, scopes=frozenset({self.scope})
        )


Way = Callable[[Pair, Realm, Any, Caller, UUID], Awaitable[Any]]


async def _disabled(_: Pair, realm: Realm, tx: Any, caller: Caller, user_id: UUID) -> None:
    await service.set_user_state(realm, tx, caller, user_id, enabled=False)


async def _without_roles(_: Pair, realm: Realm, tx: Any, caller: Caller, user_id: UUID) -> None:
    await service.set_roles(realm, tx, caller, user_id, [])


async def _viewer(pair: Pair, realm: Realm, tx: Any, caller: Caller, user_id: UUID) -> None:
    assert pair.partner_id is not None
    await service.set_member_role(realm, tx, caller, pair.partner_id, user_id, PartnerRole.VIEWER)


async def _removed(pair: Pair, realm: Realm, tx: Any, caller: Caller, user_id: UUID) -> None:
    assert pair.partner_id is not None
    await service.remove_member(realm, tx, caller, pair.partner_id, user_id)


async def _disabled_operator(_: Pair, realm: Realm, tx: Any, caller: Caller, user_id: UUID) -> None:
    await operators.disable(realm, tx, caller, user_id)


async def _let_in(_: Pair, realm: Realm, tx: Any, caller: Caller, user_id: UUID) -> None:
    await operators.enrolment_half(realm, tx, caller, user_id)


WAYS: dict[str, tuple[str, Way]] = {
    "disabled": ("staff", _disabled),
    "without roles": ("staff", _without_roles),
    "viewer": ("partner", _viewer),
    "removed": ("partner", _removed),
    "disabled operator": ("operator", _disabled_operator),
}


@pytest.fixture(scope="module")
def partner_id(live: LiveServer) -> UUID:
    """A partner."""
    with live.client("alpha") as client:
        made = client.post("/v1/partners", json={"name": "Example Shop", "client_scopes": ["wallets:read"]})
    assert made.status_code == 201, made.text
    return ids.decode(Prefix.PARTNER, made.json()["id"])


@pytest.fixture
def make(live: LiveServer, partner_id: UUID) -> Callable[[str], Pair]:
    """Make two of a kind."""
    return lambda kind: Pair(live, kind, partner_id if kind == "partner" else None)


async def ask(  # noqa: PLR0917 - who, whom and what
    pair: Pair, way: Way, realm: Realm, tx: Any, who: UUID, whom: UUID
) -> None:
    """Do something to somebody in a transaction, which begins as that of a request does."""
    caller = pair.by(who)
    await hold(tx, caller, about=[ids.encode(Prefix.USER, whom)])
    await way(pair, realm, tx, caller, whom)


async def does(pair: Pair, way: Way, who: int, *, to_oneself: bool = False) -> str:
    """Let one of two do something to the other, and return what comes of it."""
    realm, whom = await pair.realm(), who if to_oneself else 1 - who
    try:
        async with await pair.tx() as tx:
            await ask(pair, way, realm, tx, pair.both[who], pair.both[whom])
    except errors.BillfoldError as refused:
        return type(refused).__name__
    return "done"


async def one_after_the_other(pair: Pair, way: Way, first: int) -> str:
    """Let one of two do it in a transaction that stays open until the other waits for it; return how that one fares."""
    # What is begun within a transaction would be taken for a part of it.
    outside, realm = contextvars.copy_context(), await pair.realm()
    async with await pair.tx() as tx:
        await ask(pair, way, realm, tx, pair.both[first], pair.both[1 - first])
        task = asyncio.get_running_loop().create_task(does(pair, way, 1 - first), context=outside)
        await until_waited_for(tx, task)
    return await task


class TestOfTwoWhoShutEachOtherOut:
    @pytest.mark.parametrize("first", [0, 1])
    @pytest.mark.parametrize("name", WAYS)
    def test_the_second_waits_and_may_no_more(
        self, live: LiveServer, make: Callable[[str], Pair], name: str, first: int
    ) -> None:
        """Whichever of them is the older one: as if they had asked when they were shut out already."""
        kind, way = WAYS[name]
        pair = make(kind)
        assert live.run(one_after_the_other(pair, way, first)) == "PermissionDenied"
        assert live.run(pair.let_in()) == [pair.both[first]]

    @pytest.mark.parametrize("name", WAYS)
    def test_one_is_left_whoever_is_quicker(self, live: LiveServer, make: Callable[[str], Pair], name: str) -> None:
        """Both at once, again and again: one is done and one refused, and neither waits for the other for good."""
        kind, way = WAYS[name]

        async def meet(pair: Pair, order: tuple[int, int]) -> tuple[list[str], list[UUID]]:
            came = await asyncio.gather(*(does(pair, way, who) for who in order))
            return sorted(came), await pair.let_in()

        for number in range(ROUNDS):
            pair = make(kind)
            came, left = live.run(meet(pair, (0, 1) if number % 2 else (1, 0)))
            assert (came, len(left)) == (["PermissionDenied", "done"], 1)

    def test_one_who_asks_for_the_other_is_heard_or_refused(
        self, live: LiveServer, make: Callable[[str], Pair]
    ) -> None:
        """What an operator asks for another names both; it is written down before they are disabled, or not at all."""

        async def meet(pair: Pair, asks: int) -> tuple[str, str]:
            asked, done = await asyncio.gather(does(pair, _let_in, asks), does(pair, _disabled_operator, 1 - asks))
            return asked, done

        for number in range(ROUNDS):
            asked, done = live.run(meet(make("operator"), number % 2))
            assert (asked in {"done", "PermissionDenied"}, done) == (True, "done")


class TestWhoeverWasShutOut:
    @pytest.mark.parametrize("name", WAYS)
    def test_shuts_nobody_out(self, live: LiveServer, make: Callable[[str], Pair], name: str) -> None:
        """However good their token is for another moment."""
        kind, way = WAYS[name]
        pair = make(kind)
        assert live.run(does(pair, way, 0)) == "done"
        assert live.run(does(pair, way, 1)) == "PermissionDenied"


class TestNobody:
    @pytest.mark.parametrize("name", WAYS)
    def test_shuts_themselves_out(self, live: LiveServer, make: Callable[[str], Pair], name: str) -> None:
        """Or the last one could leave nobody who lets anybody in."""
        kind, way = WAYS[name]
        pair = make(kind)
        assert live.run(does(pair, way, 0, to_oneself=True)) == "PermissionDenied"
        assert live.run(pair.let_in()) == list(pair.both)
