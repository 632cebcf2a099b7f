"""The way to Vault: pooled connections for hvac, with a bound on the time of each call in total.

hvac takes its own time-outs per read, follows redirects with the token, takes proxies and tokens from the environment,
and puts the address into its errors. The adapter here does none of that.
"""

import logging
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any, Final

import hvac
import requests
import urllib3
from hvac.adapters import RawAdapter
from requests.adapters import HTTPAdapter

from billfold_server.keys.backends.vault.answers import Trouble, read_answer

__all__ = ["THREADS", "Link"]

THREADS: Final = 8
"""How many calls a process makes at once; as many connections, so that no thread waits for one."""
_LARGEST_ANSWER_BYTES: Final = 4 * 1024 * 1024
_PIECE_BYTES: Final = 65_536

# At the level debug it logs the address and each path, with the names of keys in it.
logging.getLogger("urllib3.connectionpool").setLevel(logging.WARNING)


class Link:
    """Connections to one Vault, shared by threads.

    Args:
        address: Where it is.
        namespace: The namespace of all paths, where it isn't the root one.
        ca_file: The authorities of its certificate, where they aren't those that the world trusts.
        certificate: Our own certificate and its key, as files, where we show one.
    """

    def __init__(
        self,
        address: str,
        *,
        namespace: str | None = None,
        ca_file: str | None = None,
        certificate: tuple[str, str] | None = None,
    ) -> None:
        self._address = address.rstrip("/")
        self._namespace = namespace.strip("/") if namespace else None
        self._http = requests.Session()
        # Neither a proxy nor a .netrc nor an authority that some variable names.
        self._http.trust_env = False
        self._http.verify = ca_file if ca_file is not None else True
        self._http.cert = certificate
        self._http.headers["Accept-Encoding"] = "identity"
        pool = HTTPAdapter(pool_connections=1, pool_maxsize=THREADS, pool_block=True)
        for scheme in ("http://", "https://"):
            self._http.mount(scheme, pool)
        self._calls = _Calls()

    def client(self, token: str = "") -> Any:
        """Return an ``hvac.Client`` that shows this token; it shares the connections with all others."""
        # With None, hvac would look for a token in the environment and in the home folder.
        client = hvac.Client(
            self._address,
            token=token,
            namespace=self._namespace,
            session=self._http,
            adapter=_Adapter,
            allow_redirects=False,
        )
        client.adapter.calls = self._calls
        return client

    @contextmanager
    def until(self, deadline: float, said: Mapping[str, str] = MappingProxyType({})) -> Iterator[None]:
        """Let all calls that this thread makes in the block end by a moment of the monotonic clock.

        Args:
            deadline: The moment.
            said: Headers that they have as well, such as to which trace they belong.
        """
        former = self._calls.deadline, self._calls.said
        self._calls.deadline, self._calls.said = deadline, said
        try:
            yield
        finally:
            self._calls.deadline, self._calls.said = former

    def left_s(self) -> float:
        """Return how much time this thread has left.

        Raises:
            Trouble: None.
        """
        return self._calls.left_s()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()


class _Calls(threading.local):
    """By when the calls of a thread must have ended, and what they say beside what is asked."""

    deadline: float = 0.0
    said: Mapping[str, str] = MappingProxyType({})

    def left_s(self) -> float:
        left_s = self.deadline - time.monotonic()
        if left_s <= 0:
            raise Trouble("slow")
        return left_s


class _Adapter(RawAdapter):
    """How hvac's calls go out here: each returns a document or raises what ``answers`` knows."""

    calls: _Calls

    def request(self, method: str, url: str, headers: Any = None, **options: Any) -> dict[str, Any]:
        """Ask Vault.

        Raises:
            Trouble: It can't be used.
            Forbidden: The token may not.
            Refused: What was asked for is wrong.
        """
        options |= {"stream": True, "raise_exception": False}
        answer = self._ask(method, url, headers, options)
        if answer is None:
            # Vault, or who is in between, gave up a connection that had been idle. Nobody has answered yet.
            answer = self._ask(method, url, headers, options)
        if answer is None:
            raise Trouble("unreachable")
        return read_answer(*answer)

    def get_login_token(self, response: dict[str, Any]) -> str:
        """Return the token of a login."""
        return str(response["auth"]["client_token"])

    def _ask(self, method: str, url: str, headers: Any, options: dict[str, Any]) -> tuple[int, bytes] | None:
        """Return status and body, or None where the connection ended before an answer began.

        What was wrong is raised outside of handlers, since causes hold the address.
        """
        trouble: Trouble
        try:
            left_s = self.calls.left_s()
            said = {**self.calls.said, **(headers or {})}
            response = super().request(method, url, headers=said, timeout=(left_s, left_s), **options)
            try:
                return response.status_code, self._read(response.raw)
            finally:
                # One that was read to its end is used again, any other is closed.
                response.close()
        except (requests.Timeout, urllib3.exceptions.TimeoutError):
            trouble = Trouble("slow")
        except requests.exceptions.SSLError:
            trouble = Trouble("untrusted")
        except requests.ConnectionError as error:
            if _was_cut(error):
                return None
            trouble = Trouble("unreachable")
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError):
            trouble = Trouble("unreachable")
        raise trouble

    def _read(self, answer: urllib3.BaseHTTPResponse) -> bytes:
        """Return the body; one that comes in drops is as late as one that doesn't come."""
        parts: list[bytes] = []
        size = 0
        while piece := answer.read1(_PIECE_BYTES):
            self.calls.left_s()
            parts.append(piece)
            size += len(piece)
            if size > _LARGEST_ANSWER_BYTES:
                raise Trouble("garbage")
        return b"".join(parts)


def _was_cut(error: requests.ConnectionError) -> bool:
    return bool(error.args) and isinstance(error.args[0], urllib3.exceptions.ProtocolError)
