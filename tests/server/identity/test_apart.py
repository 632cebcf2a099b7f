"""Signatures that are made beside the event loop, in a thread or in a process of their own."""

import asyncio
import gc
import hashlib
import os
import select
import signal
import socket
import subprocess
import sys
import time
import weakref
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from joserfc.jwk import RSAKey

from billfold_server.identity.signing import apart as module
from billfold_server.identity.signing import aside, signer
from billfold_server.identity.signing.apart import Apart

KEY: Final = RSAKey.generate_key(2048)
MANY: Final = 40


def messages(count: int = MANY) -> list[bytes]:
    """Return messages that differ."""
    return [f"message {number}".encode() for number in range(count)]


def verify(message: bytes, signature: bytes, key: RSAKey = KEY) -> None:
    """Raise InvalidSignature unless the key has signed the message."""
    pss = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=32)
    key.public_key.verify(signature, message, pss, hashes.SHA256())


async def sign(apart: Apart, count: int = MANY, key: RSAKey = KEY) -> None:
    """Have messages signed at once, and see that each signature is its own message's."""
    wanted = messages(count)
    signatures = await asyncio.gather(*(apart.begin(key, message, bytes) for message in wanted))
    for message, signature in zip(wanted, signatures, strict=True):
        verify(message, signature, key)


async def started(apart: Apart) -> int:
    """Return the id of the process that signs, once it does."""
    while (pid := apart.process_id) is None:
        await sign(apart)
    return pid


def is_there(pid: int) -> bool:
    """Tell whether a process is there, even as one whose end nobody has heard of."""
    return Path(f"/proc/{pid}").exists()


def told(pid: int, what: str) -> bytes:
    """Return what the system tells of a process."""
    return Path(f"/proc/{pid}/{what}").read_bytes()


@pytest.fixture
async def apart(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Apart]:
    """What signs, and waits for its process for as long as a busy machine lets that stand still."""
    monkeypatch.setattr(aside, "_PATIENCE_S", 60.0)
    made = Apart()
    yield made
    await made.close()


class TestASignature:
    """A signature that is made apart."""

    async def test_needs_no_process_by_itself(self, apart: Apart) -> None:
        """One after the other they are made in a thread."""
        for _ in range(2 * module._MANY):
            await sign(apart, 1)
        assert apart.process_id is None

    async def test_is_made_in_a_process_once_many_are_wanted(self, apart: Apart) -> None:
        """What is wanted meanwhile is made by the thread, and from then on by the process."""
        pid = await started(apart)
        before = told(pid, "schedstat")
        await sign(apart)
        assert told(pid, "schedstat") != before

    async def test_is_made_by_the_key_that_is_named(self, apart: Apart) -> None:
        """However many there are."""
        await started(apart)
        others = [RSAKey.generate_key(2048) for _ in range(2)]
        await asyncio.gather(*(sign(apart, key=key) for key in (KEY, *others)))

    @pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
    async def test_is_made_whatever_becomes_of_the_process(
        self, apart: Apart, how: signal.Signals, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Where it dies, or doesn't answer any more, the thread does what is left, and the next process comes later."""
        monkeypatch.setattr(aside, "_PATIENCE_S", 0.2)
        pid = await started(apart)
        wanted = asyncio.gather(*(sign(apart) for _ in range(5)))
        await asyncio.sleep(0)
        os.kill(pid, how)
        await wanted
        await sign(apart)
        assert apart.process_id is None
        while is_there(pid):
            await asyncio.sleep(0.01)
        apart._again_at = 0.0
        assert await started(apart) != pid

    async def test_is_made_where_no_process_can_be_started(self, apart: Apart, monkeypatch: pytest.MonkeyPatch) -> None:
        """Then it is the thread that goes on."""

        def refuse(*_: object, **__: object) -> None:
            raise PermissionError

        with monkeypatch.context() as patched:
            patched.setattr(subprocess, "Popen", refuse)
            await sign(apart)
        await sign(apart)
        assert apart.process_id is None

    async def test_is_made_where_a_process_ends_before_it_is_ready(
        self, apart: Apart, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """One that can't run here is left alone for longer than one that has run."""
        monkeypatch.setattr(aside, "_PROGRAM", "billfold_server.no_such_program")
        monkeypatch.setattr(module, "_AGAIN_S", 0.0)
        await sign(apart)
        while apart._aside is not None:
            await sign(apart)
        monkeypatch.setattr(aside, "_PROGRAM", "billfold_server.identity.signing.signer")
        for _ in range(5):
            await sign(apart)
        assert apart.process_id is None
        assert apart._again_at - time.monotonic() > 60

    async def test_is_made_where_more_are_wanted_than_a_socket_takes(self, apart: Apart) -> None:
        """What can't be handed over is made by the thread."""
        await started(apart)
        await sign(apart, 3_000)

    async def test_is_made_where_the_loop_was_held_up(self, apart: Apart, monkeypatch: pytest.MonkeyPatch) -> None:
        """Then it isn't the process that was late."""
        monkeypatch.setattr(aside, "_PATIENCE_S", 0.05)
        pid = await started(apart)
        assert apart._aside is not None
        channel = apart._aside._channel
        answer = apart.begin(KEY, b"message", bytes)
        # The loop goes on once the answer is there, and it is too late for it.
        asyncio.get_running_loop().call_soon(select.select, [channel], [], [], 30)
        asyncio.get_running_loop().call_soon(time.sleep, 0.1)
        verify(b"message", await answer)
        await asyncio.sleep(0.1)
        assert apart.process_id == pid

    async def test_may_be_wanted_no_longer(self, apart: Apart) -> None:
        """Who goes away takes nothing from the others."""
        await started(apart)
        given_up = [apart.begin(KEY, message, bytes) for message in messages()]
        for answer in given_up[::2]:
            answer.cancel()
        for message, answer in list(zip(messages(), given_up, strict=True))[1::2]:
            verify(message, await answer)


class TestTheProcess:
    """The process that signs."""

    async def test_ends_with_what_it_signs_for(self) -> None:
        """And nothing is left of it."""
        apart = Apart()
        pid = await started(apart)
        await apart.close()
        assert not is_there(pid)
        await sign(apart)
        assert apart.process_id is None

    async def test_has_nothing_of_ours_in_its_environment(self, apart: Apart, monkeypatch: pytest.MonkeyPatch) -> None:
        """Our variables may hold secrets."""
        monkeypatch.setenv("BILLFOLD_DATABASE_URL", "postgresql://somebody:secret@localhost/")
        pid = await started(apart)
        assert b"PATH=" in told(pid, "environ")
        assert b"BILLFOLD_" not in told(pid, "environ")
        assert b"secret" not in told(pid, "cmdline")

    async def test_forgets_a_key_when_its_worker_does(self, apart: Apart) -> None:
        """So a key whose seal was broken for good is nowhere."""
        pid = await started(apart)
        assert apart._aside is not None
        key = RSAKey.generate_key(2048)
        await sign(apart, key=key)
        known = len(apart._aside._keys)
        del key
        gc.collect()
        assert len(apart._aside._keys) == known - 1
        while apart._aside._forgotten or len(apart._aside._finalizers) == known:
            await asyncio.sleep(0)
        await sign(apart)
        assert apart.process_id == pid

    async def test_that_does_not_get_ready_is_ended(self, apart: Apart, monkeypatch: pytest.MonkeyPatch) -> None:
        """Nobody has waited for it."""
        monkeypatch.setattr(aside, "_START_S", 0.0)
        await sign(apart)
        assert apart._aside is not None
        pid = apart._aside.process.pid
        while is_there(pid):
            await sign(apart)
        assert apart.process_id is None

    async def test_leaves_nothing_behind_when_it_ends(self, apart: Apart) -> None:
        """Keys stay for as long as the worker does, and each process has been told of them."""
        pid = await started(apart)
        ended = weakref.ref(apart._aside)
        os.kill(pid, signal.SIGKILL)
        while is_there(pid) or apart.process_id is not None:
            await sign(apart)
        apart._aside = None
        gc.collect()
        assert ended() is None

    def test_can_end_after_the_threads_of_its_loop(self) -> None:
        """As where nobody has closed it."""

        async def attempt() -> int:
            apart = Apart()
            pid = await started(apart)
            await asyncio.get_running_loop().shutdown_default_executor()
            await apart.close()
            return pid

        assert not is_there(asyncio.run(attempt()))

    def test_serves_the_loop_that_has_started_it_alone(self) -> None:
        """Another one has its own thread."""
        apart = Apart()
        first = asyncio.new_event_loop()
        pid = first.run_until_complete(started(apart))
        asyncio.run(sign(apart))
        assert is_there(pid)
        first.run_until_complete(apart.close())
        first.close()

    def test_signs_with_what_it_was_told_and_not_forgotten(self) -> None:
        """It is asked as its worker asks it."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        program = [sys.executable, "-m", "billfold_server.identity.signing.signer", str(theirs.fileno())]
        digest = hashlib.sha256(b"message").digest()
        with ours, subprocess.Popen(program, pass_fds=[theirs.fileno()]) as process:
            theirs.close()
            ours.settimeout(30)
            assert ours.recv(signer.LONGEST) == signer.READY
            # Whoever stops its group stops it no sooner than its worker.
            process.send_signal(signal.SIGINT)
            process.send_signal(signal.SIGTERM)
            seven, order = signer.NUMBER.pack(7), signer.NUMBER.pack(8)
            private: RSAPrivateKey = KEY.private_key  # type: ignore[assignment]
            encoded = private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
            ours.send(signer.LEARN + seven + encoded)
            ours.send(signer.SIGN + order + seven + digest)
            said = ours.recv(signer.LONGEST)
            assert said.startswith(order)
            verify(b"message", said.removeprefix(order))
            ours.send(signer.FORGET + seven)
            ours.send(signer.SIGN + order + seven + digest)
            assert ours.recv(signer.LONGEST) == order
            ours.close()
            assert process.wait(30) == 0
