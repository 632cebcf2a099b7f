"""Rotation while others read and seal: no read fails, no row stays behind, and kill -9 changes nothing.

``nox -s keys_soak`` does the same with a million subjects, and prints what reads cost with and without.
"""

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID, uuid4

from billfold_server.keys import upkeep_queries
from billfold_server.keys.rewrapping import Rewrap
from billfold_server.keys.rotation import rotate
from billfold_server.keys.service import (
    Backends,
    Keyring,
    Keys,
    KeyStore,
    Limits,
    LocalBackend,
    Place,
)
from billfold_server.keys.standing import standing
from tests.keystores import Owner, StoreUrls
from tests.patient.sitecustomize import PATH
from tests.soak import SOAK

SUBJECTS = int(os.environ.get("BILLFOLD_SOAK_SUBJECTS") or (1_000_000 if SOAK else 3_000))
BATCH = 250 if SOAK else 50
MEASURED_S = 20.0 if SOAK else 1.0
PLACE = Place("parties", "1", "name")
SECRET = b"s" * 32
COLD = Limits(keys=8, epochs=8, keep_s=0.05)
"""So few keys and so briefly that nearly every read asks the key store."""


def keys_of(urls: StoreUrls, limits: Limits | None = None) -> Keys:
    """Return what one more process has."""
    store = KeyStore(urls.own)
    return Keys(store, Backends(LocalBackend(Keyring(SECRET), store)), limits=limits)


async def fill(keys: Keys, owner: Owner) -> list[tuple[UUID, bytes]]:
    """Make keys of as many subjects, and return a value of each of some thousand of them."""
    kept: list[tuple[UUID, bytes]] = []
    for begin in range(0, SUBJECTS, 500):
        subjects = [uuid4() for _ in range(min(500, SUBJECTS - begin))]
        sealers = await keys.sealers(owner, subjects)
        if len(kept) < 5_000 or random.random() < 0.01:
            kept += [(subject, sealers[subject].seal(PLACE, subject.bytes)) for subject in subjects]
    return kept


class Readers:
    """Processes that read and seal all the time, and note how long each read took."""

    def __init__(self, urls: StoreUrls, owner: Owner, values: list[tuple[UUID, bytes]]) -> None:
        self._keys = [keys_of(urls, COLD) for _ in range(2)]
        self._owner = owner
        self._values = values
        self.took_s: list[float] = []
        self.sealed: list[tuple[UUID, bytes]] = []

    async def read(self, keys: Keys) -> None:
        """Read one value after the other, and seal one for somebody new now and then."""
        while True:
            chosen = random.sample(self._values, 5)
            began = time.perf_counter()
            opener = await keys.opener(self._owner, [value for _, value in chosen])
            assert all(opener.open(PLACE, value) == subject.bytes for subject, value in chosen)
            self.took_s.append(time.perf_counter() - began)
            if random.random() < 0.05:
                subject = uuid4()
                self.sealed.append((subject, (await keys.sealer(self._owner, subject)).seal(PLACE, subject.bytes)))

    def are_few(self) -> bool:
        """Tell whether there were too few reads since the last time to tell how long they take."""
        return len(self.took_s) <= 100

    def p99_ms(self) -> float:
        """Return the 99th percentile since the last time, in milliseconds."""
        assert not self.are_few()
        took, self.took_s = sorted(self.took_s), []
        return 1_000 * took[int(0.99 * len(took))]

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Readers"]:
        """Read until the block ends; whatever fails, fails the block."""
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self.read(each)) for each in self._keys]
                yield self
                for task in tasks:
                    task.cancel()
        finally:
            for each in self._keys:
                await each.close()


async def waiting(keys: Keys, owner: Owner) -> int:
    """Return how many keys lie under former epochs."""
    rows = await keys.store.fetch(upkeep_queries.EPOCHS, owner.id, "data")
    former = [row["id"] for row in rows[:-1]]
    return int((await keys.store.fetch(upkeep_queries.WAITING, owner.id, former))[0]["waiting"])


def rewrapper(urls: StoreUrls, owner: Owner, *, least: int = -1) -> "subprocess.Popen[bytes]":
    """Start a process that rewraps, slowly enough to be killed on the way, and no further than it is told."""
    command = [sys.executable, "-m", "tests.server.keys.rewrapper", urls.own, SECRET.hex(), str(owner.id)]
    paths = [PATH, str(Path(__file__).parents[3]), *sys.path]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}
    return subprocess.Popen([*command, str(BATCH), "0" if SOAK else "1", str(least)], env=environment)


async def killed_on_the_way(keys: Keys, urls: StoreUrls, owner: Owner, left: int) -> int:
    """Kill a rewrapper once it has moved a part, and return how many keys wait then."""
    goal = left - max(BATCH, left // 5)
    process = rewrapper(urls, owner, least=goal // 2)
    while (now := await waiting(keys, owner)) > goal:
        assert process.poll() is None, "it ended by itself"
        await asyncio.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert process.returncode == -signal.SIGKILL
    assert 0 < now < left
    return await waiting(keys, owner)


class TestARotationUnderLoad:
    async def test_survives_kills_and_fails_no_read(self, key_store_urls: StoreUrls) -> None:
        """Three times the rewrapping process is killed; every read succeeds, and in the end no row is left behind."""
        owner, keys = Owner(uuid4()), keys_of(key_store_urls)
        values = await fill(keys, owner)
        async with Readers(key_store_urls, owner, values).running() as readers:
            began = time.monotonic()
            await rotate(keys.store, keys.backends, owner.id, "data")
            left = await waiting(keys, owner)
            for _ in range(3):
                left = await killed_on_the_way(keys, key_store_urls, owner, left)
            process = rewrapper(key_store_urls, owner)
            while process.poll() is None:
                await asyncio.sleep(0.02)
            assert process.returncode == 0
            took_s = time.monotonic() - began
        assert len(readers.took_s) > 50
        print(
            f"\n{SUBJECTS:,} subjects rewrapped in {took_s:.0f} s over 3 kills, with {len(readers.took_s):,} reads and "
            f"{len(readers.sealed):,} new subjects meanwhile"
        )
        (domain,) = (await standing(keys.store, keys.backends, owner.id)).domains
        ((number, subjects),) = [(epoch.number, epoch.subject_keys) for epoch in domain.epochs]
        # Each of the two readers may have been stopped between making a key and sealing by it.
        assert number == 2
        assert 0 <= subjects - SUBJECTS - len(readers.sealed) <= 2
        assert domain.tenant_key_least == 2
        fresh = keys_of(key_store_urls)
        every = [*values, *readers.sealed]
        opener = await fresh.opener(owner, [value for _, value in every])
        assert all(opener.open(PLACE, value) == subject.bytes for subject, value in every)
        await fresh.close()
        await keys.close()

    async def test_costs_readers_little(self, key_store_urls: StoreUrls) -> None:
        """Reads go on while the keys of all are moved in this very process, as the background does it."""
        owner, keys = Owner(uuid4()), keys_of(key_store_urls)
        values = await fill(keys, owner)
        async with Readers(key_store_urls, owner, values).running() as readers:
            await asyncio.sleep(MEASURED_S)
            # A process that stands still meanwhile reads little.
            while readers.are_few():
                await asyncio.sleep(0.02)
            without_ms = readers.p99_ms()
            began, moved = time.monotonic(), 0
            while time.monotonic() - began < MEASURED_S or readers.are_few() or not moved:
                await rotate(keys.store, keys.backends, owner.id, "data")
                work = Rewrap(keys.store, keys.backends, owner.id, "data", idle=1.0)
                moved += (await work.run(for_s=MEASURED_S)).moved
            with_ms = readers.p99_ms()
        print(
            f"\n{SUBJECTS:,} subjects: p99 of a read of 5 values {without_ms:.1f} ms without and {with_ms:.1f} ms with "
            f"a rewrap going on, {with_ms / without_ms:.2f} times; {moved / (time.monotonic() - began):,.0f} keys/s"
        )
        assert moved
        await keys.close()
