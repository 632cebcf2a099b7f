"""Every operation of the contract has a method, and every method has an operation."""

import inspect
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from billfold import AsyncPages, BillfoldPlatform, Money, Pages, Response, debit, errors
from billfold.client._async.resource import AsyncResource
from billfold.client._operations import OPERATIONS
from billfold.client._sync.resource import Resource
from tests.sdk.recording import Recording, async_client, client

OPENAPI = Path(__file__).parents[2] / "openapi" / "billfold.yaml"
KNOWN = {f"{operation.method} {operation.path}" for operation in OPERATIONS}
OWN_WORDS = {
    "amount": Money(1250, "EUR"),
    "by": timedelta(days=90),
    "manifest": {},
    "postings": [debit("acc_1", ("1", "EUR"))],
    "source": b"bytes",
}
"""Arguments that aren't text."""

NOT_FOR_CLIENTS = re.compile(r"^(?!/v1/|/platform/v1/)")
"""Health, metrics, documents and the token endpoint, which the client calls by itself."""


def resources(thing: Any) -> Iterator[Any]:
    """Yield a client's resources, and theirs."""
    attributes = vars(thing) if hasattr(thing, "__dict__") else {name: getattr(thing, name) for name in thing.__slots__}
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


def arguments(method: Any) -> dict[str, Any]:
    """Return an argument for each parameter that a method needs, its own name as a rule."""
    parameters = inspect.signature(method).parameters.values()
    wanted = [each.name for each in parameters if each.default is each.empty]
    if method.__name__ == "advance":
        wanted = ["by"]
    return {name: OWN_WORDS.get(name, f"-{name}-") for name in wanted}


def template(method: str, url: str) -> str:
    """Return the operation that a request is, from an address whose ids are the names of their parameters."""
    path = url.removeprefix("http://127.0.0.1:1").removeprefix("/t/sandbox").partition("?")[0]
    return f"{method} " + re.sub(r"-([a-z_]+)-", r"{\1}", path)


FAILING = Response(404, {}, b"")
"""An answer that ends each call after its first request."""


def call(method: Any, **more: Any) -> None:
    """Call a method, to the first request."""
    with pytest.raises(errors.NotFound):
        consume(method(**arguments(method), **more))


def consume(result: Any) -> Any:
    """Walk through what is a list."""
    return list(result) if isinstance(result, Pages) else result


async def async_call(method: Any) -> None:
    """Call an asynchronous method, to the first request."""
    with pytest.raises(errors.NotFound):
        await async_consume(method(**arguments(method)))


async def async_consume(result: Any) -> Any:
    """Walk through what is a list, await what isn't."""
    return [each async for each in result] if isinstance(result, AsyncPages) else await result


def platform(transport: Recording) -> BillfoldPlatform:
    """Return a client of the platform."""
    return BillfoldPlatform(base_url="http://127.0.0.1:1", client_id="i", client_secret="s", transport=transport)


ADVANCE = {"POST /v1/clock/advance"}
"""Moving the clock by a while begins with a look at it, so this isn't the first request; test_client asks for it."""


def called_sync() -> set[str]:
    """Call every method of both synchronous clients and return the operations that were asked for."""
    billfold, transport = client(FAILING)
    for method in [*methods(billfold), *methods(platform(transport))]:
        call(method)
    return {template(method, url) for method, url, _, _ in transport.requests}


class TestEveryOperation:
    def test_has_a_method(self):
        """Calling all methods asks for every operation in the table, and for nothing else."""
        assert called_sync() | ADVANCE == KNOWN

    async def test_has_the_same_method_in_both_modes(self):
        """The asynchronous client asks for the same operations."""
        billfold, transport = async_client(FAILING)
        for method in methods(billfold):
            await async_call(method)
        asked = {template(method, url) for method, url, _, _ in transport.requests}
        assert asked == {each for each in called_sync() if "/platform/" not in each}

    def test_is_in_the_committed_contract(self):
        """The table and openapi/billfold.yaml name the same operations below a tenant and below the platform."""
        if not OPENAPI.exists():
            pytest.skip("the contract isn't exported yet")
        paths = yaml.safe_load(OPENAPI.read_text(encoding="utf-8"))["paths"]
        documented = {
            f"{method.upper()} {path.removeprefix('/t/{slug}').removeprefix('/t/{tenant}')}"
            for path, item in paths.items()
            for method in item
            if method in {"get", "post", "patch", "put", "delete"}
        }
        assert {each for each in documented if not NOT_FOR_CLIENTS.match(each.partition(" ")[2])} == KNOWN


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

    def test_that_orders_takes_a_key(self):
        """Every method that sends a POST takes the caller's own idempotency key and sends it as it is."""
        billfold, transport = client(FAILING)
        for method in methods(billfold):
            if "idempotency_key" in inspect.signature(method).parameters and method.__name__ != "advance":
                call(method, idempotency_key="order-1")
        assert {each[2]["idempotency-key"] for each in transport.requests} == {"order-1"}
        posts = {f"{each.method} {each.path}" for each in OPERATIONS if each.method == "POST"}
        asked = {template(method, url) for method, url, _, _ in transport.requests}
        assert asked | ADVANCE == {each for each in posts if "/platform/" not in each}

    def test_is_reached_by_public_names_alone(self):
        """The resources of a client are all public, so that an editor shows them."""
        billfold, _ = client()
        assert [name for name in vars(billfold) if name.startswith("_")] == ["_session"]
        assert isinstance(billfold._session.transport, Recording)
