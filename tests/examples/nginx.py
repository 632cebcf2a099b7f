"""nginx as the examples configure it, for tests: on ports that are handed to it open, without rights of its own."""

import contextlib
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

__all__ = ["Listeners", "listeners", "running"]

END_S = 20
AROUND = """daemon off;
{user}
worker_processes 1;
pid {folder}/pid;
error_log {folder}/errors;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/billfold.conf;
}}
"""

Listeners = tuple[socket.socket, ...]


@contextlib.contextmanager
def listeners(count: int) -> Iterator[Listeners]:
    """Listen on free ports of this machine, whose numbers are known before nginx runs and stay taken until it does."""
    with contextlib.ExitStack() as stack:
        yield tuple(stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count))


@contextlib.contextmanager
def running(folder: Path, configuration: Path, changes: Mapping[str, str], open_: Listeners) -> Iterator[None]:
    """Run nginx with a configuration until the block ends.

    Args:
        folder: Where it keeps what it writes.
        configuration: The file, as it stands in the documentation.
        changes: What is written there for what, so that it fits this machine: each must occur.
        open_: The ports that it serves. As it is handed them open, whoever connects before it runs waits.
    """
    if shutil.which("nginx") is None:
        pytest.skip("needs nginx")
    text = configuration.read_text(encoding="utf-8")
    for there, here in changes.items():
        assert there in text, f"{configuration.name} doesn't say {there!r}"
        text = text.replace(there, here)
    (folder / "billfold.conf").write_text(text, encoding="utf-8")
    main = folder / "nginx.conf"
    # Where root starts it, nginx would give its rights away, and with them what it may read in a test's folder.
    user = "user root;" if os.geteuid() == 0 else ""
    main.write_text(AROUND.format(folder=folder, user=user), encoding="utf-8")
    numbers = [each.fileno() for each in open_]
    process = subprocess.Popen(
        ["nginx", "-c", str(main), "-p", str(folder), "-e", str(folder / "errors")],
        env={**os.environ, "NGINX": "".join(f"{number};" for number in numbers)},
        pass_fds=numbers,
    )
    try:
        yield
    finally:
        process.terminate()
        process.wait(END_S)
