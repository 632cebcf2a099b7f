"""What ``import billfold`` gives, and what it doesn't load."""

import importlib
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import billfold
from billfold import errors

SDK = Path(billfold.__file__).parents[1]
PACKAGES = ["billfold.auth", "billfold.consents", "billfold.keys", "billfold.testing"]
"""Packages beside the first whose names are for partners."""

PUBLIC = [(package, name) for package in PACKAGES for name in importlib.import_module(package).__all__]


def loaded_by(code: str) -> set[str]:
    """Run code in a fresh interpreter and return the modules that it loaded."""
    script = f"import sys; sys.path.insert(0, {str(SDK)!r}); {code}; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-I", "-c", script], capture_output=True, text=True, check=True)
    return set(run.stdout.split())


class TestThePackage:
    @pytest.mark.parametrize("name", billfold.__all__)
    def test_has_every_name_that_it_promises(self, name: str):
        """Each public name can be imported, and is listed for completion."""
        assert getattr(billfold, name) is not None
        assert name in dir(billfold)

    def test_has_no_other_names(self):
        """A name that isn't there is an AttributeError, as with any module."""
        with pytest.raises(AttributeError):
            billfold.Wallet  # noqa: B018


class TestAPackageBelow:
    @pytest.mark.parametrize(("package", "name"), PUBLIC)
    def test_has_every_name_that_it_promises(self, package: str, name: str):
        """Each public name can be imported, is listed for completion, and says what it is."""
        module = importlib.import_module(package)
        value = getattr(module, name)
        assert name in dir(module)
        assert (not inspect.isroutine(value) and not inspect.isclass(value)) or inspect.getdoc(value)

    @pytest.mark.parametrize(("package", "name"), PUBLIC)
    def test_says_what_every_method_does(self, package: str, name: str):
        """Every public method of a public class has a docstring that begins with one line."""
        value = getattr(importlib.import_module(package), name)
        members = vars(value).items() if inspect.isclass(value) else ()
        methods = [
            each for each in members if not each[0].startswith("_") and inspect.isroutine(inspect.unwrap(each[1]))
        ]
        assert [
            each for each, method in methods if not (inspect.getdoc(method) or "").partition("\n")[0].endswith(".")
        ] == []

    @pytest.mark.parametrize("package", PACKAGES)
    def test_has_no_other_names(self, package: str):
        """A name that isn't there is an AttributeError, as with any module."""
        with pytest.raises(AttributeError):
            getattr(importlib.import_module(package), "Nothing")  # noqa: B009  # Its types know that it isn't there.


class TestTheTreeOfErrors:
    def test_is_drawn_with_all_that_stand_beside_it(self):
        """Every public error of the SDK that isn't a refusal by its code is named where the tree is drawn."""
        named = set(re.findall(r"[├└]── (?:\w+\.)?(\w+)", errors.__doc__ or ""))
        homes = ("auth", "chain", "consents", "errors", "ids", "keys", "money", "proofs", "tokenization", "webhooks")
        modules = [importlib.import_module(f"billfold.{home}") for home in homes]
        public = [getattr(module, name) for module in modules for name in module.__all__]
        found = [each for each in public if inspect.isclass(each) and issubclass(each, Exception)]
        # Of a tree the root is enough, and an exception of Python's own is the root of ours.
        roots = {each for each in found if errors.BillfoldError in each.__bases__ or ValueError in each.__bases__}
        assert {each.__name__ for each in roots} <= named
        # Of refusals the families are, which together take every one of them.
        assert {
            each.__name__ for each in errors.ProblemError.__subclasses__() if each.__module__ == "billfold.errors"
        } <= named

    def test_names_what_is_there(self):
        """A name that is drawn with its module is found there."""
        for module, name in re.findall(r"[├└]── (\w+)\.(\w+)", errors.__doc__ or ""):
            assert issubclass(getattr(importlib.import_module(f"billfold.{module}"), name), Exception)


class TestImporting:
    def test_a_client_loads_neither_httpx_nor_the_other_mode(self):
        """The transport is loaded with the first request, so that a program starts fast."""
        make = "Billfold(base_url='http://127.0.0.1', client_id='i', client_secret='s')"
        loaded = loaded_by(f"from billfold import Billfold, Money, errors; {make}")
        assert "billfold.client._sync.client" in loaded
        assert not loaded & {"httpx", "cryptography", "joserfc", "asyncio", "billfold_server"}
        assert not {name for name in loaded if name.startswith("billfold.client._async")}

    def test_the_contract_loads_no_client(self):
        """The server imports the contract and the primitives, and gets nothing else."""
        loaded = loaded_by("import billfold.contract.wallets, billfold.errors, billfold.ids, billfold.clock")
        assert not {name for name in loaded if name.startswith(("billfold.client", "billfold.auth"))}

    def test_ways_to_authenticate_load_nothing_before_they_are_used(self):
        """Neither cryptography nor httpx is loaded by making a client, or by any public name of either package."""
        make = "Billfold(base_url='http://127.0.0.1', auth=PrivateKeyJWT('i', key=None, dpop=None))"
        every = "import billfold.auth as a, billfold.keys as k; [getattr(p, n) for p in (a, k) for n in p.__all__]"
        loaded = loaded_by(f"from billfold import Billfold; from billfold.auth import PrivateKeyJWT; {make}")
        assert not loaded & {"httpx", "cryptography", "joserfc", "hvac", "requests", "asyncio", "authlib"}
        assert not loaded_by(every) & {"httpx", "cryptography", "joserfc", "hvac", "requests", "billfold_server"}

    def test_keys_load_nothing_before_they_are_used(self):
        """Neither cryptography nor Vault's client is loaded with the names."""
        loaded = loaded_by("from billfold.keys import PemKey, VaultTransitKey, Signer")
        assert not loaded & {"httpx", "cryptography", "joserfc", "hvac", "requests", "asyncio"}
