"""A further worker process of a server that is up, as ``billfold up --workers`` starts them.

It gets the data folder, the database and the public URL, prints where it listens, and serves until its input ends.
"""

import sys

from billfold_server.settings import Secret, Settings
from tests.live import serve


def main(data_dir: str, database_url: str, key_store_url: str, public_url: str) -> None:
    """Serve until the parent closes our input."""
    settings = Settings(
        data_dir=data_dir,
        database_url=Secret(database_url),
        key_store_url=Secret(key_store_url),
        public_url=public_url,
        port=0,
        log_level="error",
    )
    with serve(settings) as server:
        print(server.url, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main(*sys.argv[1:])
