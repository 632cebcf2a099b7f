"""What a parent says to its workers."""

import os
import socket
import sys
from contextlib import ExitStack

import msgspec
import pytest

from billfold_server.serving.orders import Orders, settings_of, settings_sent, take_sockets
from billfold_server.settings import Secret, Settings


class TestOrders:
    def test_carry_every_setting(self):
        """What a worker reads is what the parent has, secrets included, whatever its own environment says."""
        settings = Settings(
            port=8123,
            data_dir="/srv/billfold",
            database_url=Secret("postgresql://app:pw@127.0.0.1/billfold"),
            keyring_passphrase=Secret("nine tall ships"),
            trusted_proxies=["10.1.0.0/16"],
        )
        line = msgspec.json.encode(Orders(settings_sent(settings), owns_database=True))
        assert settings_of(msgspec.json.decode(line, type=Orders)) == settings


class TestWhatIsHandedOver:
    def test_goes_no_further(self, monkeypatch: pytest.MonkeyPatch):
        """A process has the sockets that its parent names, and no process of its own inherits them."""
        handed = list(socket.socketpair())
        with ExitStack() as closing:
            for each in handed:
                each.set_inheritable(True)
            numbers = [each.detach() for each in handed]
            monkeypatch.setattr(sys, "argv", ["worker", *map(str, numbers)])
            taken = [closing.enter_context(each) for each in take_sockets()]
            assert [each.fileno() for each in taken] == numbers
            assert not any(map(os.get_inheritable, numbers))
            taken[0].sendall(b"orders")
            assert taken[1].recv(6) == b"orders"
