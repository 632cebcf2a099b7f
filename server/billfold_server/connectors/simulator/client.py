"""The connector to the simulator."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import httpx
import msgspec

from billfold_server.connectors.simulator import address
from billfold_server.connectors.simulator.server import AT_ONCE, AWAY, REJECTS
from billfold_server.connectors.words import Credit, Instruction, RailSilent, Report
from billfold_server.tenancy.context import TenantRef

__all__ = ["Part", "SimulatedRail"]

T = TypeVar("T")
_CONFLICT, _NOT_FOUND, _OK = 409, 404, 200
_PATIENCE_S = 5.0


class Part(msgspec.Struct, frozen=True):
    """What the rail is to play for a tenant now.

    Attributes:
        away: It doesn't answer.
        rejects: It rejects the order for this reason, if it is a new one.
        at_once: Where it would leave a line silent it says so, because nobody waits for an answer by the real clock.
    """

    away: bool = False
    rejects: str | None = None
    at_once: bool = False


Direct = Callable[[TenantRef, str | None], Awaitable[Part]]
"""Tells what the rail plays for a tenant, given the key of an order or None."""


class SimulatedRail:
    """Speaks with the simulator of a data folder, wherever it listens by now.

    Attributes:
        name: What the rail is called.
        wake: Is asked to see that there is a simulator, where one is started when it is needed.
        direct: Is asked what it plays.

    Args:
        folder: As ``address.folder_of`` names it.
        patience_s: After how long no answer is none.
    """

    name = "simulator"

    def __init__(self, folder: Path, *, patience_s: float = _PATIENCE_S) -> None:
        self._folder = folder
        self._patience_s = patience_s
        self._client: httpx.AsyncClient | None = None
        self._tenant: TenantRef | None = None
        self._whole = self
        self.wake: Callable[[], Awaitable[None]] | None = None
        self.direct: Direct | None = None

    def of(self, tenant: TenantRef) -> "SimulatedRail":
        """Return the rail as one tenant speaks with it: what is played for it, and its mailbox."""
        own = SimulatedRail(self._folder, patience_s=self._patience_s)
        own._tenant, own._whole = tenant, self
        return own

    async def submit(self, instruction: Instruction) -> Report:
        """As ``RailConnector`` says."""
        part = await self._part(instruction.key)
        headers = {"content-type": "application/json"}
        if part.rejects is not None:
            headers[REJECTS.decode()] = part.rejects
        body = msgspec.json.encode(instruction)
        path = f"instructions/{instruction.key}"
        answer = await self._ask("PUT", path, part, content=body, headers=headers)
        if answer.status_code != _OK:
            # It has an order that says something else under this key. Whatever it tells of that, isn't about this one.
            raise RailSilent
        return _read(answer, Report)

    async def inquire(self, key: str) -> Report | None:
        """As ``RailConnector`` says."""
        answer = await self._ask("GET", f"instructions/{key}", await self._part())
        if answer.status_code == _NOT_FOUND:
            return None
        if answer.status_code != _OK:
            raise RailSilent
        return _read(answer, Report)

    async def find_credit(self, key: str) -> Credit | None:
        """As ``RailReceiver`` says."""
        answer = await self._ask("GET", f"{self._mailbox}/{key}", await self._part())
        if answer.status_code == _NOT_FOUND:
            return None
        if answer.status_code != _OK:
            raise RailSilent
        return _read(answer, Credit)

    async def answer(self, key: str, *, taken: bool) -> None:
        """As ``RailReceiver`` says; what is sent back is none of the simulator's business any more."""
        del taken
        answer = await self._ask("PUT", f"{self._mailbox}/{key}/answer", await self._part())
        if answer.status_code != _OK:
            raise RailSilent

    async def announce(self, credit: Credit) -> bool:
        """Have money come in; tell whether it is there, as it isn't where other money has the same key.

        Raises:
            RailSilent: No answer came.
        """
        body = msgspec.json.encode(credit)
        answer = await self._ask("PUT", f"{self._mailbox}/{credit.key}", Part(), content=body)
        if answer.status_code not in {_OK, _CONFLICT}:
            raise RailSilent
        return answer.status_code == _OK

    async def withdraw(self, key: str) -> None:
        """Let money that was announced, and isn't answered yet, never come in."""
        await self._ask("PUT", f"{self._mailbox}/{key}/answer", Part())

    async def empty(self) -> None:
        """Forget all money that was announced."""
        await self._ask("DELETE", self._mailbox, Part())

    async def aclose(self) -> None:
        """Close the connections."""
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    @property
    def _mailbox(self) -> str:
        tenant_id = UUID(int=0) if self._tenant is None else self._tenant.id
        return f"mailboxes/{tenant_id.hex}/credits"

    async def _part(self, key: str | None = None) -> Part:
        direct = self._whole.direct
        return Part() if direct is None or self._tenant is None else await direct(self._tenant, key)

    async def _ask(self, method: str, path: str, part: Part, **options: Any) -> httpx.Response:
        whole = self._whole
        if whole.wake is not None:
            await whole.wake()
        where = await asyncio.to_thread(address.read, self._folder)
        if where is None:
            raise RailSilent
        if whole._client is None:  # noqa: SLF001 - It is this class's own.
            # What is on the loopback address is reached directly, whatever proxies the environment names.
            whole._client = httpx.AsyncClient(timeout=self._patience_s, trust_env=False)  # noqa: SLF001
        headers = {**options.pop("headers", {}), "authorization": f"Bearer {where.secret}"}
        if part.away:
            headers[AWAY.decode()] = "1"
        if part.at_once:
            headers[AT_ONCE.decode()] = "1"
        url = f"http://127.0.0.1:{where.port}/{path}"
        try:
            return await whole._client.request(method, url, headers=headers, **options)  # noqa: SLF001
        except httpx.HTTPError as error:
            raise RailSilent from error


def _read(answer: httpx.Response, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(answer.content, type=kind)
    except msgspec.MsgspecError as error:
        # Another program may listen where a simulator did.
        raise RailSilent from error
