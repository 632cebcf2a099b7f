"""What the contract's objects show of themselves."""

import importlib
import pkgutil
import re
from collections.abc import Iterator
from datetime import UTC, datetime

import msgspec
import pytest

import billfold.contract
from billfold.client._open import open_type
from billfold.contract.clients import ClientSecret
from billfold.contract.common import Request, Response
from billfold.contract.oauth import TokenResponse
from billfold.contract.tokens import BankAccount
from billfold.contract.users import EnrolmentCode

SECRET = re.compile(r"(?:secret|password|assertion|verifier|iban|account_number|half)|.*_(?:secret|token|assertion)")
OF_NOBODY = {"counterparty_iban", "vault_token"}
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def kinds() -> Iterator[type[Request | Response]]:
    """Go through all kinds of objects of the contract."""
    for found in pkgutil.iter_modules(billfold.contract.__path__):
        module = importlib.import_module(f"billfold.contract.{found.name}")
        for each in vars(module).values():
            if isinstance(each, type) and issubclass(each, Request | Response) and each.__module__ == module.__name__:
                yield each


class TestAnObject:
    @pytest.mark.parametrize("kind", list(kinds()), ids=lambda each: each.__name__)
    def test_hides_what_opens_something(self, kind: type[Request | Response]) -> None:
        """Whatever is named like a secret is one, and only members that there are can be hidden."""
        named = {name for name in kind.__struct_fields__ if SECRET.fullmatch(name)} - OF_NOBODY
        assert named <= kind._secrets <= set(kind.__struct_fields__)

    @pytest.mark.parametrize("made", [lambda kind: kind, open_type], ids=["closed", "open"])
    def test_shows_all_else(self, made) -> None:
        """Also as the client has read it, and where it stands in a list."""
        secret = made(ClientSecret)(client_id="cli_1", client_secret="bfs_x", former_secret_until=NOW)
        assert repr([secret]) == f"[ClientSecret(client_id='cli_1', client_secret=…, former_secret_until={NOW!r})]"
        assert dict(secret.__rich_repr__())["client_id"] == "cli_1"
        assert msgspec.json.decode(msgspec.json.encode(secret))["client_secret"] == "bfs_x"

    def test_says_that_there_is_no_secret(self) -> None:
        """What is absent isn't hidden."""
        shown = repr(BankAccount(iban="GB33BUKB20201555555555"))
        assert shown == "BankAccount(iban=…, sort_code=None, account_number=None, holder=None)"

    def test_hides_links_and_tokens(self) -> None:
        """A link that signs in is as good as the code in it."""
        code = EnrolmentCode(url="https://bank.example/x?code=4711", code="4711", expires_at=NOW)
        token = TokenResponse(access_token="4711", token_type="Bearer", expires_in=1, scope="x", refresh_token="4711")
        assert "4711" not in f"{code} {token!r}"
