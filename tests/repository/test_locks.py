"""The locks: versions and hashes only, in step with pyproject.toml and with each other."""

import importlib.metadata
import itertools
import re
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from noxfile import LOCKS
from tests.repository.tracked import ROOT

PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
HASH = re.compile(r"    --hash=sha256:[0-9a-f]{64}( \\)?")
ENVIRONMENTS = [
    {
        "python_version": version,
        "python_full_version": f"{version}.0",
        "sys_platform": platform,
        "platform_system": system,
    }
    for version in ("3.11", "3.12", "3.13", "3.14")
    for platform, system in (("linux", "Linux"), ("darwin", "Darwin"))
]


def path_of(lock: str) -> Path:
    """Say where a lock lies."""
    return ROOT / "requirements" / f"{lock}.txt"


def locked(lock: str) -> list[Requirement]:
    """Read the pinned requirements of a lock."""
    lines = path_of(lock).read_text(encoding="utf-8").splitlines()
    return [Requirement(line.removesuffix(" \\")) for line in lines if line and line[0] not in "# "]


def versions(lock: str, environment: dict[str, str]) -> dict[str, str]:
    """Tell which version of each package a lock installs in an environment."""
    applying = [pin for pin in locked(lock) if pin.marker is None or pin.marker.evaluate(environment)]
    return {canonicalize_name(pin.name): str(pin.specifier).removeprefix("==") for pin in applying}


def group(name: str) -> Iterator[str]:
    """Yield a dependency group with those that it includes (PEP 735)."""
    for entry in PROJECT["dependency-groups"][name]:
        if isinstance(entry, str):
            yield entry
        else:
            yield from group(entry["include-group"])


def asked(lock: str) -> list[Requirement]:
    """Collect what pyproject.toml asks of a lock; our own extras are followed."""
    project = PROJECT["project"]
    options = LOCKS[lock]
    extras = [value for option, value in itertools.pairwise(options) if option == "--extra"]
    if "--all-extras" in options:
        extras = list(project["optional-dependencies"])
    groups = [value for option, value in itertools.pairwise(options) if option == "--group"]
    texts = [*project["dependencies"], *(text for name in groups for text in group(name)), *of_extras(extras)]
    return [Requirement(text) for text in texts]


def of_extras(extras: Iterable[str]) -> Iterator[str]:
    """Yield the requirements of extras of ours, and of those that they name."""
    for extra in extras:
        for text in PROJECT["project"]["optional-dependencies"][extra]:
            requirement = Requirement(text)
            if requirement.name == PROJECT["project"]["name"]:
                yield from of_extras(requirement.extras)
            else:
                yield text


def unmet(wanted: Iterable[Requirement], have: dict[str, str], environment: dict[str, str]) -> list[str]:
    """Name the requirements that a set of versions doesn't satisfy in an environment."""
    return [
        str(requirement)
        for requirement in wanted
        if (requirement.marker is None or requirement.marker.evaluate({"extra": "", **environment}))
        and not requirement.specifier.contains(have.get(canonicalize_name(requirement.name), "0"), prereleases=True)
    ]


@pytest.mark.parametrize("lock", LOCKS)
class TestALock:
    def test_holds_versions_and_hashes_only(self, lock: str):
        """No address, no option and no index stands in it, and every version has a hash."""
        lines = path_of(lock).read_text(encoding="utf-8").splitlines()
        pins = [number for number, line in enumerate(lines) if line and line[0] not in "# "]
        assert [line for line in lines if "/" in line or line.startswith("-")] == []
        assert [line for line in lines if line.startswith(" ") and not HASH.fullmatch(line)] == []
        assert [lines[number] for number in pins if not HASH.fullmatch(lines[number + 1])] == []
        assert [str(pin) for pin in locked(lock) if not re.fullmatch(r"==[^,*]+", str(pin.specifier))] == []

    @pytest.mark.parametrize("environment", ENVIRONMENTS, ids=lambda e: f"{e['python_version']}-{e['sys_platform']}")
    def test_satisfies_pyproject(self, lock: str, environment: dict[str, str]):
        """Every requirement of pyproject.toml is met by the locked version; ``nox -s lock`` makes it so."""
        assert unmet(asked(lock), versions(lock, environment), environment) == []

    def test_agrees_with_the_lock_of_everything(self, lock: str):
        """Locks differ in what they hold, never in a version."""
        assert {f"{pin.name}{pin.specifier}" for pin in locked(lock)} <= {
            f"{pin.name}{pin.specifier}" for pin in locked("dev")
        }

    def test_is_closed(self, lock: str):
        """What a locked package requires of others is in the lock too, at a version that it accepts."""
        have = versions(lock, {})
        found = {}
        for name, version in have.items():
            try:
                distribution = importlib.metadata.distribution(name)
            except importlib.metadata.PackageNotFoundError:
                continue
            if distribution.version == version and (
                missing := unmet(map(Requirement, distribution.requires or []), have, {})
            ):
                found[name] = missing
        assert found == {}


class TestTheCheckItself:
    def test_finds_a_requirement_that_is_not_met(self):
        """A missing package and a version that is too old are found; a marker that doesn't apply is not."""
        wanted = [Requirement(text) for text in ("a>=2", "b>=1", "c; sys_platform == 'win32'")]
        assert unmet(wanted, {"a": "1.9"}, {"sys_platform": "linux"}) == ["a>=2", "b>=1"]
