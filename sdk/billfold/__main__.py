"""The ``billfold`` command: it hands over to the server's command line, or says which extra brings that."""

import sys

from billfold import _server

__all__ = ["main"]


def main() -> None:
    """Run the server's command line.

    Exits with 69 (``EX_UNAVAILABLE`` of BSD's sysexits) when this install has no server.
    """
    try:
        command = _server.load("cli", extra="server,postgres")
    except _server.MissingExtraError as error:
        sys.stderr.write(f"billfold: {error}\n")
        sys.exit(69)
    command()


if __name__ == "__main__":
    main()
