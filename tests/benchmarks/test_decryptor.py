"""The decryptor: cards in and out per second, beside the cryptography that nobody can do without.

Both are measured in one run. The bare side does the same arithmetic in this process with nothing around it: no checks,
no masks, no frames. Only the process is measured, without HTTP and without a commit; it needs no more than one core.
"""

import asyncio
import base64
import hmac
import json
import os
import time
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.concatkdf import ConcatKDFHash
from joserfc.jwk import ECKey

from billfold_server.decryptor import wire
from billfold_server.decryptor.wire import Incoming, Outgoing
from billfold_server.serving.on_demand import OnDemand
from billfold_server.settings import Secret, Settings
from tests.benchmarks.extent import Extent
from tests.benchmarks.gauge import say
from tests.keystores import StoreUrls, key_store_urls
from tests.server.decryptor.sealing import CARD, Worker, encrypted

__all__ = ["key_store_urls"]

pytestmark = pytest.mark.timeout(0)

_MADE = 512
_AT_ONCE = 16


@pytest.fixture(scope="module")
def settings(key_store_urls: StoreUrls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """A decryptor's, which runs meanwhile."""
    settings = Settings(data_dir=str(tmp_path_factory.mktemp("decryptor")), key_store_url=Secret(key_store_urls.own))
    process = OnDemand(settings)
    asyncio.run(process.wake())
    yield settings
    process.stop()


def rate(work: Callable[[], int], seconds: float) -> float:
    """Return how many are done per second."""
    began, done = time.perf_counter(), 0
    while (took := time.perf_counter() - began) < seconds:
        done += work()
    return done / took


def _unb64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "==")


def _kdf(shared: bytes) -> bytes:
    info = b"\0\0\0\x07A256GCM" + b"\0" * 8 + b"\0\0\x01\0"
    return ConcatKDFHash(algorithm=SHA256(), length=32, otherinfo=info).derive(shared)


class Bare:
    """The same arithmetic, and nothing else."""

    def __init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        jwk = ECKey.import_key(self.key).as_dict(private=False)
        public = {"kid": "enk", **{name: str(jwk[name]) for name in ("kty", "crv", "x", "y")}}
        made = [
            encrypted(CARD, wire.PublicKey(jwk=public, not_after=datetime(2030, 1, 1, tzinfo=UTC)))
            for _ in range(_MADE)
        ]
        self.jwes = [text.split(".") for text in made]
        self.subject, self.prints = AESGCM(os.urandom(32)), os.urandom(32)
        self.at = 0

    def take_in(self) -> int:
        """Open one card, seal it and make its fingerprint."""
        head, _, nonce, ciphertext, tag = self.jwes[self.at % _MADE]
        self.at += 1
        epk = json.loads(_unb64(head))["epk"]
        x, y = (int.from_bytes(_unb64(epk[name]), "big") for name in ("x", "y"))
        public = ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()
        key = _kdf(self.key.exchange(ec.ECDH(), public))
        plain = AESGCM(key).decrypt(_unb64(nonce), _unb64(ciphertext) + _unb64(tag), head.encode())
        self.subject.encrypt(os.urandom(12), plain, b"place")
        hmac.digest(self.prints, plain, "sha256")
        return 1

    def give_out(self) -> int:
        """Encrypt one card to somebody."""
        ephemeral = ec.generate_private_key(ec.SECP256R1())
        key = _kdf(ephemeral.exchange(ec.ECDH(), self.key.public_key()))
        AESGCM(key).encrypt(os.urandom(12), json.dumps(CARD).encode(), b"head")
        return 1


async def concurrently(ask: Callable[[], Awaitable[int]], seconds: float) -> float:
    """Return how many are done per second, with several orders under way."""
    began, done = time.perf_counter(), 0

    async def one() -> None:
        nonlocal done
        while time.perf_counter() - began < seconds:
            asked = await ask()
            done += asked

    await asyncio.gather(*(one() for _ in range(_AT_ONCE)))
    return done / (time.perf_counter() - began)


class TestTheDecryptor:
    @pytest.mark.parametrize("batch", [1, 100])
    async def test_takes_cards_in_and_gives_them_out(self, settings: Settings, extent: Extent, batch: int) -> None:
        """Every card is taken and given, and both rates are told beside the bare ones of the same run."""
        bare, worker = Bare(), await Worker(settings).ready()
        items = [worker.card() for _ in range(_MADE)]
        taken = dict(zip((each.token_id for each in items), await worker.take_all(items), strict=True))
        public = worker.public
        at = 0

        def some() -> list[Incoming]:
            nonlocal at
            at += batch
            return [items[number % _MADE] for number in range(at - batch, at)]

        async def take_in() -> int:
            assert len(await worker.take_in(*some())) == batch
            return batch

        async def give_out() -> int:
            asked = [
                Outgoing(token_id=each.token_id, kind="card", sealed=taken[each.token_id].sealed, response_jwk=public)
                for each in some()
            ]
            answer = await worker.client.ask(wire.GiveOut(worker.tenant_id, asked))
            assert isinstance(answer, wire.GivenOut)
            return len(answer.results)

        for name, ours, theirs in (("in", take_in, bare.take_in), ("out", give_out, bare.give_out)):
            alone = rate(theirs, extent.seconds / 2)
            together = await concurrently(ours, extent.seconds)
            again = rate(theirs, extent.seconds / 2)
            crypto = (alone + again) / 2
            what = f"decryptor, {name}, {batch} at a time"
            say(f"{what}: {together:,.0f}/s; bare {crypto:,.0f}/s; {together / crypto:.2f}")
        spent = (await worker.status()).spent
        say("  " + ", ".join(f"{name} {seconds / done * 1e6:.0f} us" for name, (done, seconds) in spent.items()))
        await worker.client.aclose()
