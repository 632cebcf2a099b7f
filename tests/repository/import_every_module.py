"""Import every module of the installed SDK; run by ``nox -s sdk_alone`` in an environment with no extra in it.

There are two exceptions. A module that the distribution registers as a pytest plugin is loaded by pytest alone, and so
may import it. The partner's commands need click, which is the extra ``cli``, and nothing else.
"""

import importlib
import importlib.metadata
import pkgutil
import sys

import billfold

FEW = 6


def main() -> None:
    """Import them one by one, and fail on the first that needs something else."""
    announced = importlib.metadata.distribution("billfold").entry_points
    plugins = {point.module for point in announced.select(group="pytest11")}
    found = [module.name for module in pkgutil.walk_packages(billfold.__path__, "billfold.")]
    names = [name for name in found if name not in plugins]
    for name in names:
        try:
            importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name != "click" or not name.startswith("billfold.cli."):
                raise
    loaded = {name for name in sys.modules if name.partition(".")[0] == "billfold_server"}
    if loaded:
        sys.exit(f"The SDK imported the server: {sorted(loaded)}")
    if len(names) < FEW:
        sys.exit(f"Only {names} were found, so this has checked next to nothing")
    print(f"{len(names)} modules of the SDK import without an extra, from {billfold.__path__[0]}")


if __name__ == "__main__":
    main()
