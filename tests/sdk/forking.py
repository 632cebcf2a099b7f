"""Use one client before and after a fork, while another thread holds its locks; run by test_transport.py."""

import os
import sys
import threading
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "sdk"))

from billfold import Billfold, ids

# Newer Pythons warn of what is done here on purpose.
warnings.simplefilter("ignore", DeprecationWarning)


def main() -> None:
    """Print the tenant's name three times: before the fork, in the child and in the parent."""
    billfold = Billfold(base_url=sys.argv[1], client_id="cli_1", client_secret="s")
    sys.stdout.write(f"{billfold.tenant.get().slug}\n")
    sys.stdout.flush()
    held, forked = threading.Event(), threading.Event()
    thread = threading.Thread(target=hold, args=(billfold, held, forked))
    thread.start()
    held.wait()
    child = os.fork()
    if child == 0:
        # As each order does, for its idempotency key.
        ids.uuid7()
        sys.stdout.write(f"{billfold.tenant.get().slug}\n")
        sys.stdout.flush()
        os._exit(0)
    forked.set()
    thread.join()
    _, status = os.waitpid(child, 0)
    sys.stdout.write(f"{billfold.tenant.get().slug}\n")
    sys.exit(os.waitstatus_to_exitcode(status))


def hold(billfold: Billfold, held: threading.Event, forked: threading.Event) -> None:
    """Hold every lock of a client, and the one of all ids, until the process has been forked."""
    session = billfold._session
    budget, tokens, transport = session.kit.budget, session.tokens, session.transport
    with budget._lock, tokens._lock, transport._lock, ids._lock:  # type: ignore[attr-defined]
        # A token that is refused, and a budget that isn't full, make the child take both locks.
        tokens._store._token = None
        budget._left -= 1
        held.set()
        forked.wait()


main()
