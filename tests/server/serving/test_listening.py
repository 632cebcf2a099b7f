"""The socket that all workers share."""

import errno
import os
import socket
import sys
import threading

import pytest

from billfold_server.serving import listening
from billfold_server.serving.failures import Exit, Failure
from billfold_server.serving.listening import holder_of, is_any, listen, reachable_host


class TestListening:
    def test_takes_a_free_port(self):
        """Port 0 is any that is free, and connections are accepted from then on."""
        with listen("127.0.0.1", 0) as listener, socket.create_connection(listener.getsockname()):
            accepted, _ = listener.accept()
            accepted.close()

    def test_tells_who_has_the_port(self):
        """A port that is taken is refused, where the system tells with the process that has it."""
        with listen("127.0.0.1", 0) as first:
            port = first.getsockname()[1]
            with pytest.raises(Failure) as caught:
                listen("127.0.0.1", port)
            assert (caught.value.code, caught.value.exit_code) == ("port_in_use", Exit.PORT)
            if sys.platform == "linux":
                assert (holder_of(port) or "").split()[0] == str(os.getpid())
        assert holder_of(port) is None

    def test_waits_for_who_is_about_to_go(self):
        """A port that becomes free in time is taken."""
        first = listen("127.0.0.1", 0)
        port = first.getsockname()[1]
        asked = threading.Event()

        def about_to_go() -> bool:
            asked.set()
            return True

        def leave() -> None:
            asked.wait()
            first.close()

        leaving = threading.Thread(target=leave)
        leaving.start()
        with listen("127.0.0.1", port, may_become_free=about_to_go) as second:
            assert second.getsockname()[1] == port
        leaving.join()

    @pytest.mark.skipif(sys.platform != "linux", reason="needs Linux, which alone ends such connections")
    def test_keeps_no_connection_whose_client_reads_nothing(self, monkeypatch: pytest.MonkeyPatch):
        """Where nothing of what was sent is taken for too long, the connection is over."""
        monkeypatch.setattr(listening, "_UNTAKEN_MS", 300)
        with listen("127.0.0.1", 0) as listener, socket.create_connection(listener.getsockname()):
            accepted, _ = listener.accept()
            with accepted:
                accepted.settimeout(30)
                with pytest.raises(TimeoutError) as caught:
                    while True:
                        accepted.sendall(b"a" * 65_536)
        assert caught.value.errno == errno.ETIMEDOUT

    @pytest.mark.parametrize("host", ["192.0.2.1", "no-such-host.invalid"])
    def test_refuses_an_address_that_is_not_ours(self, host: str):
        """An address of another machine, or of none, is told by its name."""
        with pytest.raises(Failure) as caught:
            listen(host, 0)
        assert (caught.value.code, caught.value.facts["host"]) == ("address_unusable", host)

    @pytest.mark.parametrize(
        ("host", "reached"),
        [("0.0.0.0", "127.0.0.1"), ("::", "[::1]"), ("::1", "[::1]"), ("localhost", "localhost")],  # noqa: S104
    )
    def test_knows_how_it_is_reached(self, host: str, reached: str):
        """An address that stands for all is reached by loopback."""
        assert reachable_host(host) == reached
        assert is_any(host) is (host in {"0.0.0.0", "::"})  # noqa: S104
