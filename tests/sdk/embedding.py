"""Embed the platform in a process of its own; run by test_embedded.py.

It says ``open`` once the platform is, then does what each line on standard input says, and answers with a line.
"""

import os
import sys

from billfold.embedded import embedded_sync


def main() -> None:
    """Serve the lines until there are no more."""
    with embedded_sync(data_dir=sys.argv[1]) as billfold:
        print("open", flush=True)
        for line in sys.stdin:
            if line.strip() == "party":
                print(billfold.parties.create(kind="person", name="Ada Lovelace").id, flush=True)
            elif line.strip() == "fork":
                print(forked(billfold), flush=True)


def forked(billfold: object) -> str:
    """Use the client in a child, and return the name of what came of it."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            billfold.tenant.get()  # type: ignore[attr-defined]
        except BaseException as error:  # noqa: BLE001  # Its name is the answer.
            os.write(writing, type(error).__name__.encode())
        os._exit(0)
    os.waitpid(child, 0)
    return os.read(reading, 100).decode()


main()
