"""Every operation of the contract has a method, and every method has an operation."""

import inspect
import re
import typing
from collections import defaultdict
from collections.abc import AsyncIterable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Any

import pytest

from billfold import BillfoldPlatform, Money, Response, debit, errors, order
from billfold.client._async.resource import AsyncResource
from billfold.client._operations import OPERATIONS
from billfold.client._sync.resource import Resource
from billfold.contract.clients import CreateClient, SetClientKeys, UpdateClient
from billfold.contract.tokens import BankAccount, CreateVaultToken, PersonalValue, VaultTokenKind
from tests.sdk.documented import OPENAPI, documented, load, said_by_client, said_by_document
from tests.sdk.recording import Recording, async_client, client

KNOWN = {f"{operation.method} {operation.path}" for operation in OPERATIONS}
AT = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
TLS_NAMES = {f"tls_client_auth_{name}": "x" for name in ("subject_dn", "san_dns", "san_uri", "san_ip", "san_email")}
CHANGES: dict[str, Any] = {
    "client_name": "x",
    "organisation": "x",
    "scope": "x",
    "grant_types": ["client_credentials"],
    "redirect_uris": ["https://app.example/"],
    "post_logout_redirect_uris": ["https://app.example/"],
    "request_object_signing_alg": "ES256",
    "id_token_signed_response_alg": "ES256",
    "authorization_signed_response_alg": "ES256",
    "introspection_signed_response_alg": "ES256",
    "dpop_bound_access_tokens": True,
    "tls_client_certificate_bound_access_tokens": True,
    "authorization_details_types": ["wallet_access"],
    "contacts": ["ops@bank.example"],
    "client_uri": "https://app.example/",
    "policy_uri": "https://app.example/",
    "tos_uri": "https://app.example/",
}
REGISTRATION: dict[str, Any] = {
    **CHANGES,
    **TLS_NAMES,
    "token_endpoint_auth_method": "private_key_jwt",
    "response_types": ["code"],
    "jwks": {"keys": []},
    "token_endpoint_auth_signing_alg": "ES256",
    "organisation_id": "x",
    "software_id": "x",
    "software_version": "x",
}
OWN_WORDS = {
    "after": 7,
    "amount": Money(1250, "EUR"),
    "amount_minor": 1250,
    "monthly_fee_cap": Money(1250, "EUR"),
    "notes": ["x"],
    "wallet_ids": ["wal_1"],
    "at_once": 2,
    "by": timedelta(days=90),
    "changes": UpdateClient(**CHANGES),
    "currencies": ["EUR"],
    "keys": SetClientKeys(jwks={"keys": []}, **TLS_NAMES),
    "registration": CreateClient(**REGISTRATION, login_realm="staff", partner_id="ptn_01m7w9tnzcejq9b78b81gh4nmb"),
    "overlap_s": 60,
    "effective_at": AT,
    "expires_at": AT,
    "expand": ["wallet"],
    "final": True,
    "freeze": True,
    "from_": AT,
    "if_match": 3,
    "interval": timedelta(seconds=2),
    "limit": 25,
    "manifest": {},
    "metadata": {},
    "needs_attention": True,
    "mode": "atomic",
    "overdraft_limit_minor": 0,
    "postings": [debit("acc_1", ("1", "EUR"))],
    "recorded_at": AT,
    "roles": ["customer"],
    "client_scopes": ["x"],
    "source": b"bytes",
    "to": AT,
    "up_to": 9,
    "bank_account": BankAccount(iban="DE89370400440532013000"),
    "expires_in_s": 60,
    "personal": PersonalValue(type="tax_id", value="12345678901"),
    "response_key": {"kty": "EC"},
    "single_use": True,
    "embed_origins": ["https://shop.example"],
    "event_types": ["transfer.posted"],
    "vault_token_ids": ["tok_1"],
    "vault_tokens": [CreateVaultToken(kind=VaultTokenKind.CARD, jwe="a.b.c.d.e")],
    "transfers": [order(from_wallet_id="wal_1", to_wallet_id="wal_2", amount=("1", "EUR"))],
}
"""Arguments that aren't text."""


def resources(thing: Any) -> Iterator[Any]:
    """Yield a client's resources, and theirs."""
    attributes = {name: getattr(thing, name) for name in dir(thing) if not name.startswith("_")}
    for value in attributes.values():
        if isinstance(value, Resource | AsyncResource):
            yield value
            yield from resources(value)


def methods(thing: Any) -> list[Any]:
    """Return what can be called on a client's resources."""
    return [
        method
        for resource in resources(thing)
        for name, method in inspect.getmembers(resource, inspect.ismethod)
        if not name.startswith("_")
    ]


def arguments(method: Any, *, every: bool = False) -> dict[str, Any]:
    """Return an argument for each parameter that a method needs, or for every one; its own name as a rule."""
    parameters = inspect.signature(method).parameters.values()
    wanted = [each.name for each in parameters if every or each.default is each.empty]
    if method.__name__ == "advance":
        # One of two ways.
        wanted = ["to", "freeze", "idempotency_key"] if every else ["by"]
    return {name: OWN_WORDS.get(name, f"-{name}-") for name in wanted}


def template(method: str, url: str) -> str:
    """Return the operation that a request is, from an address whose ids are the names of their parameters."""
    path = url.removeprefix("http://127.0.0.1:1").removeprefix("/t/sandbox").partition("?")[0]
    return f"{method} " + re.sub(r"(?<=/)-([a-z_]+)-(?=/|$)", r"{\1}", path)


FAILING = Response(404, {}, b"")
"""An answer that ends each call after its first request."""


def call(method: Any, *, every: bool = False, **more: Any) -> None:
    """Call a method, to the first request."""
    with pytest.raises(errors.NotFound):
        consume(method(**{**arguments(method, every=every), **more}))


def consume(result: Any) -> Any:
    """Walk through what is a list."""
    return list(result) if isinstance(result, Iterable) else result


async def async_call(method: Any) -> None:
    """Call an asynchronous method, to the first request."""
    with pytest.raises(errors.NotFound):
        await async_consume(method(**arguments(method)))


async def async_consume(result: Any) -> Any:
    """Walk through what is a list, await what isn't."""
    return [each async for each in result] if isinstance(result, AsyncIterable) else await result


def platform(transport: Recording) -> BillfoldPlatform:
    """Return a client of the platform."""
    return BillfoldPlatform(base_url="http://127.0.0.1:1", client_id="i", client_secret="s", transport=transport)


BULK = {"POST /v1/transfers/bulk"}
"""Each item has a key of its own, so the request has none."""

WITHOUT_KEY = {
    # What is answered is a secret, which no key may keep; asking again asks anew.
    "POST /v1/vault-tokens/detokenize",
    "POST /v1/vault-tokens/search",
    # What is answered is a secret, which no key may keep; asking again makes another one.
    "POST /v1/clients",
    "POST /v1/clients/{client_id}/rotate-secret",
    "POST /v1/partners/{partner_id}/members/{user_id}/enrolment-codes",
    "POST /v1/partners/{partner_id}/sandboxes/{sandbox_id}/credentials",
    "POST /v1/users/{user_id}/enrolment-codes",
    "POST /v1/webhook-endpoints",
    "POST /v1/webhook-endpoints/{webhook_endpoint_id}/rotate-secret",
    # It reads, and says why.
    "POST /v1/parties/{party_id}/exports",
    # They say what shall be, so doing them twice is doing them once.
    "POST /v1/clients/{client_id}/rotate-keys",
    "POST /v1/clients/{client_id}/disable",
    "POST /v1/products/{product_id}/wallets",
    "POST /v1/clients/{client_id}/enable",
    "POST /v1/partners/{partner_id}/suspend",
    "POST /v1/partners/{partner_id}/resume",
    "POST /v1/users/{user_id}/disable",
    "POST /v1/users/{user_id}/enable",
    "POST /v1/users/{user_id}/unlock",
    "POST /v1/users/{user_id}/sign-out",
    "POST /v1/sandbox/reset",
    # Doing it twice is doing more of it, which harms nothing.
    "POST /v1/data-keys/rotate",
    "POST /v1/webhook-deliveries/{webhook_delivery_id}/replay",
    "POST /v1/webhook-endpoints/{webhook_endpoint_id}/replay",
    "POST /v1/webhook-endpoints/{webhook_endpoint_id}/test",
}
"""Orders that need no key of the caller's."""


def called_sync() -> set[str]:
    """Call every method of both synchronous clients and return the operations that were asked for."""
    billfold, transport = client(FAILING)
    for method in [*methods(billfold), *methods(platform(transport))]:
        call(method)
    return {template(method, url) for method, url, _, _ in transport.requests}


class TestEveryOperation:
    def test_has_a_method(self):
        """Calling all methods asks for every operation in the table, and for nothing else."""
        assert called_sync() == KNOWN

    async def test_has_the_same_method_in_both_modes(self):
        """The asynchronous client asks for the same operations."""
        billfold, transport = async_client(FAILING)
        for method in methods(billfold):
            await async_call(method)
        asked = {template(method, url) for method, url, _, _ in transport.requests}
        assert asked == {each for each in called_sync() if "/platform/" not in each}


class TestEveryMethod:
    @pytest.mark.parametrize("method", methods(client()[0]), ids=lambda method: method.__qualname__)
    def test_says_what_it_does(self, method: Any):
        """A docstring begins with one imperative line, and explains every parameter where there is more than an id."""
        text = inspect.getdoc(method) or ""
        parameters = list(inspect.signature(method).parameters)
        assert text.partition("\n")[0].endswith(".")
        if len(parameters) > 1 and method.__name__ not in {"get", "delete"}:
            assert [name for name in parameters if f"\n    {name}: " not in text] == []

    @pytest.mark.parametrize("method", methods(client()[0]), ids=lambda method: method.__qualname__)
    def test_is_fully_typed(self, method: Any):
        """Every parameter and the answer are annotated, and no parameter is a float."""
        signature = inspect.signature(method)
        annotations = [each.annotation for each in signature.parameters.values()] + [signature.return_annotation]
        assert inspect.Signature.empty not in annotations
        assert not any("float" in str(each) for each in annotations)

    def test_takes_each_word_of_the_contracts_as_plain_text(self):
        """Where words may be given for members of one of its enumerations, checkers of types know all of them."""
        lacking = []
        for method in methods(client()[0]):
            for name, parameter in inspect.signature(method).parameters.items():
                kinds = typing.get_args(parameter.annotation)
                words = {word for kind in kinds if typing.get_origin(kind) is typing.Literal for word in kind.__args__}
                enums = [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, Enum)]
                known = {member.value for kind in enums for member in kind}
                if words and known and words != known:
                    lacking.append((method.__qualname__, name, sorted(words ^ known)))
        assert lacking == []

    def test_that_orders_takes_a_key(self):
        """Every method that sends a POST takes the caller's own idempotency key and sends it as it is."""
        billfold, transport = client(FAILING)
        for method in methods(billfold):
            if "idempotency_key" in inspect.signature(method).parameters:
                call(method, idempotency_key="order-1")
        assert {each[2]["idempotency-key"] for each in transport.requests} == {"order-1"}
        posts = {f"{each.method} {each.path}" for each in OPERATIONS if each.method == "POST"}
        asked = {template(method, url) for method, url, _, _ in transport.requests}
        assert asked | BULK | WITHOUT_KEY == {each for each in posts if "/platform/" not in each}

    def test_is_reached_by_public_names_alone(self):
        """The resources of a client are all public, so that an editor shows them."""
        billfold, _ = client()
        assert [name for name in vars(billfold) if name.startswith("_")] == ["_session"]
        assert isinstance(billfold._session.transport, Recording)


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    """The committed contract."""
    if not OPENAPI.exists():
        pytest.skip("the contract isn't exported yet")
    return load()


@pytest.mark.xdist_group("the committed contract")
class TestTheCommittedContract:
    def test_has_the_same_operations(self, document: dict[str, Any]):
        """The table and openapi/billfold.yaml name the same operations below a tenant and below the platform."""
        served = set(documented(document))
        assert served <= KNOWN
        # The room of statements is the last to be served.
        assert KNOWN - served in (set(), {each for each in KNOWN if "/v1/statement-" in each})

    def test_has_the_same_parameters(self, document: dict[str, Any]):
        """A method that is given everything sends what is documented, no more and no less."""
        billfold, transport = client(FAILING)
        for method in [*methods(billfold), *methods(platform(transport))]:
            call(method, every=True)
        # How far is the other way of saying where to, and never said beside it.
        call(billfold.clock.advance)
        operations = documented(document)
        said: defaultdict[str, defaultdict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
        for request in transport.requests:
            for where, names in said_by_client(request).items():
                said[template(*request[:2])][where] |= names
        differences = {
            name: (each, wanted)
            for name, each in said.items()
            if name in operations and each != (wanted := said_by_document(document, operations[name]))
        }
        assert differences == {}
