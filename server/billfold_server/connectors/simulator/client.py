"""The connector to the simulator."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import msgspec

from billfold_server.connectors.simulator import address
from billfold_server.connectors.words import Instruction, RailSilent, Report

__all__ = ["SimulatedRail"]

_NOT_FOUND, _OK = 404, 200
_PATIENCE_S = 5.0


class SimulatedRail:
    """Speaks with the simulator of a data folder, wherever it listens by now.

    Attributes:
        name: What the rail is called.
        wake: Is asked to see that there is a simulator, where one is started when it is needed.

    Args:
        folder: As ``address.folder_of`` names it.
        patience_s: After how long no answer is none.
    """

    name = "simulator"

    def __init__(self, folder: Path, *, patience_s: float = _PATIENCE_S) -> None:
        self._folder = folder
        self._patience_s = patience_s
        self._client: httpx.AsyncClient | None = None
        self.wake: Callable[[], Awaitable[None]] | None = None

    async def submit(self, instruction: Instruction) -> Report:
        """As ``RailConnector`` says."""
        body = msgspec.json.encode(instruction)
        answer = await self._ask("PUT", instruction.key, content=body, headers={"content-type": "application/json"})
        if answer.status_code != _OK:
            # It has an order that says something else under this key. Whatever it tells of that, isn't about this one.
            raise RailSilent
        return _report(answer)

    async def inquire(self, key: str) -> Report | None:
        """As ``RailConnector`` says."""
        answer = await self._ask("GET", key)
        if answer.status_code == _NOT_FOUND:
            return None
        if answer.status_code != _OK:
            raise RailSilent
        return _report(answer)

    async def aclose(self) -> None:
        """Close the connections."""
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    async def _ask(self, method: str, key: str, **options: Any) -> httpx.Response:
        if self.wake is not None:
            await self.wake()
        where = await asyncio.to_thread(address.read, self._folder)
        if where is None:
            raise RailSilent
        if self._client is None:
            # What is on the loopback address is reached directly, whatever proxies the environment names.
            self._client = httpx.AsyncClient(timeout=self._patience_s, trust_env=False)
        headers = {**options.pop("headers", {}), "authorization": f"Bearer {where.secret}"}
        url = f"http://127.0.0.1:{where.port}/instructions/{key}"
        try:
            return await self._client.request(method, url, headers=headers, **options)
        except httpx.HTTPError as error:
            raise RailSilent from error


def _report(answer: httpx.Response) -> Report:
    try:
        return msgspec.json.decode(answer.content, type=Report)
    except msgspec.MsgspecError as error:
        # Another program may listen where a simulator did.
        raise RailSilent from error
