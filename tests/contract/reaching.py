"""How each documented status is reached, where generated data can't: a recipe per status, and per operation for 409.

What an operation may always refuse is reached in the same way everywhere: no token, no scope, too many requests, a
body of the wrong kind, a tenant that isn't there, a database that is away. What its own state refuses is told per
operation in ``CONFLICTS``; a test sees that the table is complete.
"""

import secrets
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import httpx

from tests.contract.documents import Operation
from tests.contract.seeds import FRESH, SEEDS, Seeds, statement

__all__ = ["CONFLICTS", "OF_OPERATORS", "Reaching", "contradict"]

TOO_MUCH = 900_000_000_000_000
CARD = "Card 4111 1111 1111 1111"


class Reaching:
    """Sends well-formed requests of any operation.

    Attributes:
        in_flight: Keeps an idempotency key as if a request with it were being carried out.

    Args:
        seeds: What the tenant holds.
        tenant: The tenant's base URL.
        deployment: The deployment's base URL.
        tokens: Access tokens with every scope, of the tenant and of the platform.
        basics: The credentials of clients, for the operations that issue tokens.
    """

    def __init__(
        self, seeds: Seeds, tenant: str, deployment: str, tokens: dict[bool, str], basics: dict[bool, tuple[str, str]]
    ) -> None:
        self.seeds = seeds
        self.in_flight: Callable[[str], AbstractContextManager[object]] = nullcontext
        self._bases = {False: tenant, True: deployment}
        self._tokens = tokens
        self._basics = basics
        self.waiting: dict[str, str] = {}
        """Base and token of a tenant where whatever hands out access waits for a second person."""

    def send(self, operation: Operation, **changes: Any) -> httpx.Response:
        """Send the operation's example, with changes.

        Args:
            operation: The operation.
            changes: ``base``, ``token`` (None sends none), ``path`` (parameters), ``query``, ``body`` (JSON),
                ``content`` (bytes), ``content_type`` or ``headers``, in place of the example's.
        """
        headers: dict[str, str] = {}
        token = changes.get("token", self._tokens[operation.at_deployment])
        if operation.needs_token and token is not None:
            headers["Authorization"] = f"Bearer {token}"
        if any(each["name"] == "Idempotency-Key" for each in operation.definition.get("parameters", [])):
            headers["Idempotency-Key"] = secrets.token_hex(16)
        content = changes.get("content", self._content(operation, changes.get("body")))
        if operation.media_type is not None:
            headers["Content-Type"] = changes.get("content_type", operation.media_type)
        auth = None if operation.needs_token else self._basics[operation.at_deployment]
        return httpx.request(
            operation.method,
            changes.get("base", self._bases[operation.at_deployment]) + self._path(operation, changes.get("path")),
            params=changes.get("query"),
            headers={**headers, **changes.get("headers", {})},
            content=content,
            auth=changes.get("auth", auth if operation.media_type == "application/x-www-form-urlencoded" else None),
            timeout=30,
        )

    def add_operator(self) -> str:
        """Create an operator in the name of the one who asks, and return their id."""
        body = {"login_name": f"op.{secrets.token_hex(6)}", "display_name": "x"}
        return str(self._at_platform("/platform/v1/users", body)["id"])

    def shut_out(self, user_id: str) -> None:
        """Disable an operator."""
        self._at_platform(f"/platform/v1/users/{user_id}/disable")

    def hold(self, slug: str) -> None:
        """Suspend a tenant, as its operators do."""
        self._at_platform(f"/platform/v1/tenants/{slug}/suspend", {"reason": "test"})

    def _at_platform(self, path: str, body: dict[str, str] | None = None) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {self._tokens[True]}"}
        answer = httpx.post(self._bases[True] + path, headers=headers, json=body, timeout=30)
        assert answer.status_code < 300, answer.text
        made: dict[str, Any] = answer.json()
        return made

    def example(self, operation: Operation) -> Any:
        """Return the example of the operation's body, with ids that name something."""
        content = next(iter(operation.definition["requestBody"]["content"].values()))
        return self.seeds.real(content.get("example", {}))

    def _content(self, operation: Operation, body: Any) -> bytes | None:
        if operation.media_type is None:
            return None
        if operation.media_type == "application/octet-stream":
            return statement()
        if operation.media_type == "application/x-www-form-urlencoded":
            return b"grant_type=client_credentials"
        return httpx.Request("POST", "http://x", json=self.example(operation) if body is None else body).content

    def _path(self, operation: Operation, given: dict[str, str] | None) -> str:
        path = operation.path
        for parameter in operation.definition.get("parameters", []):
            if parameter["in"] == "path":
                name = parameter["name"]
                value = (given or {}).get(name) or self.seeds.real(parameter.get("example", "nobody"))
                path = path.replace(f"{{{name}}}", value)
        return path

    def fresh(self, operation: Operation) -> dict[str, str]:
        """Return path parameters that nothing has used up."""
        return FRESH[operation.operation_id](self.seeds) if operation.operation_id in FRESH else {}


def _twice(reaching: Reaching, operation: Operation) -> httpx.Response:
    """Do something again that can be done once."""
    path = reaching.fresh(operation)
    reaching.send(operation, path=path)
    return reaching.send(operation, path=path)


def _not_frozen(reaching: Reaching, operation: Operation) -> httpx.Response:
    return reaching.send(operation, path=FRESH["freezeWallet"](reaching.seeds))


def _unauthorised(reaching: Reaching, operation: Operation) -> httpx.Response:
    return reaching.send(operation, path={"consent_id": reaching.seeds.ask_consent()})


def _with(name: str, value: Any) -> Callable[[Reaching, Operation], httpx.Response]:
    """Change one member of the example's body; a callable is asked for its value."""

    def recipe(reaching: Reaching, operation: Operation) -> httpx.Response:
        body = reaching.example(operation) | {name: value(reaching) if callable(value) else value}
        return reaching.send(operation, body=body, path=reaching.fresh(operation))

    return recipe


def _external_id(reaching: Reaching) -> str:
    taken = secrets.token_hex(10)
    reaching.seeds.post("/v1/parties", {"kind": "person", "name": "x", "external_id": taken})
    return taken


def _taken_alias(reaching: Reaching, operation: Operation) -> httpx.Response:
    first, second = reaching.seeds.ids("wal")[:2]
    body = {"scheme": "reference", "value": secrets.token_hex(10)}
    reaching.send(operation, path={"wallet_id": first}, body=body)
    return reaching.send(operation, path={"wallet_id": second}, body=body)


def _taken_code(reaching: Reaching, operation: Operation) -> httpx.Response:
    body = reaching.example(operation) | {"code": f"taken_{secrets.token_hex(4)}"}
    reaching.send(operation, body=body)
    return reaching.send(operation, body=body)


def _unbalanced(reaching: Reaching, operation: Operation) -> httpx.Response:
    body = reaching.example(operation)
    body["postings"][0]["amount_minor"] += 1
    return reaching.send(operation, body=body)


def _overdrawn_limit(reaching: Reaching, operation: Operation) -> httpx.Response:
    """Set a limit below what an account is overdrawn already."""
    debit, credit = (reaching.seeds.post("/v1/accounts", _account()) for _ in range(2))
    postings = [
        {"account_id": debit["id"], "amount_minor": 100, "currency": "EUR"},
        {"account_id": credit["id"], "amount_minor": -100, "currency": "EUR"},
    ]
    reaching.seeds.post("/v1/journal-entries", {"postings": postings})
    return reaching.send(operation, path={"account_id": credit["id"]}, body={"overdraft_limit_minor": 0})


def _account() -> dict[str, Any]:
    return {"code": f"reach_{secrets.token_hex(6)}", "type": "asset", "currency": "EUR", "overdraft_limit_minor": None}


def _currency_of_statement(reaching: Reaching, operation: Operation) -> httpx.Response:
    return reaching.send(operation, content=statement().replace(b"EUR", b"CHF"))


def _past(_: Reaching) -> str:
    return "2001-01-01T00:00:00Z"


def _euros(amount_minor: int) -> dict[str, Any]:
    return {"amount_minor": amount_minor, "currency": "EUR"}


def _taken_name(reaching: Reaching) -> str:
    taken = f"taken.{secrets.token_hex(6)}"
    reaching.seeds.post("/v1/users", {"login_realm": "staff", "login_name": taken, "display_name": "x"})
    return taken


def _taken_by_a_partner(reaching: Reaching) -> str:
    taken = secrets.token_hex(10)
    reaching.seeds.post("/v1/partners", {"name": "x", "external_id": taken})
    return taken


def _with_a_member(reaching: Reaching, operation: Operation) -> httpx.Response:
    """Remove a suspended partner that has a member."""
    path = reaching.fresh(operation)
    body = {"login_name": f"left.{secrets.token_hex(6)}", "display_name": "x", "role": "viewer"}
    reaching.seeds.post(f"/v1/partners/{path['partner_id']}/members", body)
    return reaching.send(operation, path=path)


def _one_sandbox_too_many(reaching: Reaching, operation: Operation) -> httpx.Response:
    """Ask for a sandbox where the partner has as many as it may have."""
    path = FRESH["removePartnerSandbox"](reaching.seeds)
    return reaching.send(operation, path=path)


def _not_ready(reaching: Reaching, operation: Operation) -> httpx.Response:
    """Ask something of a sandbox that is being made: of another one where that was quicker than we were."""
    for _ in range(5):
        answer = reaching.send(operation, path=FRESH["removePartnerSandbox"](reaching.seeds))
        if not answer.is_success:
            break
    return answer


def _held(reaching: Reaching, operation: Operation) -> httpx.Response:
    """Remove a sandbox that operators have suspended."""
    path = FRESH["removePartnerSandbox"](reaching.seeds)
    base_url = reaching.seeds.until_ready(path)["base_url"]
    reaching.hold(str(base_url).rpartition("/")[2])
    return reaching.send(operation, path=path)


def _taken_by_a_member(reaching: Reaching) -> str:
    taken = f"taken.{secrets.token_hex(6)}"
    body = {"login_name": taken, "display_name": "x", "role": "viewer"}
    reaching.seeds.post(f"/v1/partners/{reaching.seeds.ids('ptn')[0]}/members", body)
    return taken


def _disabled_user(reaching: Reaching, operation: Operation) -> httpx.Response:
    path = reaching.fresh(operation)
    assert reaching.seeds.client.post(f"/v1/users/{path['user_id']}/disable").status_code == 200
    return reaching.send(operation, path=path)


def _waits(reaching: Reaching, operation: Operation) -> httpx.Response:
    """Ask for what a second person must agree to first."""
    return reaching.send(operation, **reaching.waiting)


def _roles_of_a_customer(reaching: Reaching, operation: Operation) -> httpx.Response:
    """Give roles to somebody who isn't on the staff."""
    body = {"login_realm": "psu", "login_name": f"psu.{secrets.token_hex(6)}", "display_name": "x"}
    made = reaching.seeds.post("/v1/users", {**body, "party_id": reaching.seeds.ids("par")[0]})
    return reaching.send(operation, path={"user_id": made["id"]})


def _of_one_key(reaching: Reaching, operation: Operation) -> httpx.Response:
    """Send a request while another one with its key is still being carried out."""
    key = secrets.token_hex(10)
    with reaching.in_flight(key):
        return reaching.send(operation, headers={"Idempotency-Key": key})


def _expired(reaching: Reaching, operation: Operation) -> httpx.Response:
    """Change when a vault token ends that has ended."""
    account = {"kind": "bank_account", "bank_account": {"iban": "DE89370400440532013000"}}
    token = reaching.seeds.post("/v1/vault-tokens", {**account, "expires_at": reaching.seeds.soon()})
    reaching.seeds.post("/v1/clock/advance", {"to": reaching.seeds.soon()})
    body = {"expires_at": reaching.seeds.soon()}
    return reaching.send(operation, path={"vault_token_id": token["id"]}, body=body)


Recipe = Callable[[Reaching, Operation], httpx.Response]


def _another_name(reaching: Reaching, operation: Operation) -> httpx.Response:
    """Send two bodies under one key that differ in a name."""
    headers, body = {"Idempotency-Key": secrets.token_hex(16)}, reaching.example(operation)
    assert reaching.send(operation, headers=headers, body=body).status_code == 201
    return reaching.send(operation, headers=headers, body=body | {"name": "another"})


def _one_too_many(reaching: Reaching, operation: Operation) -> httpx.Response:
    """Register endpoints until there are as many as there may be, and let go of them again."""
    made: list[str] = []
    while (answer := reaching.send(operation)).status_code == 201:
        made.append(answer.json()["id"])
    for each in made:
        reaching.seeds.client.delete(f"/v1/webhook-endpoints/{each}")
    return answer


def _endpoint_gone(reaching: Reaching, operation: Operation) -> httpx.Response:
    """Ask for an event to be delivered again to an endpoint that was deleted."""
    delivery = SEEDS["whd"](reaching.seeds)
    reaching.seeds.known.discard(delivery)
    found = reaching.seeds.client.get(f"/v1/webhook-deliveries/{delivery}").json()
    reaching.seeds.client.delete(f"/v1/webhook-endpoints/{found['webhook_endpoint_id']}")
    return reaching.send(operation, path={"webhook_delivery_id": delivery})


CONFLICTS: dict[str, Recipe] = {
    "listEvents": lambda reaching, operation: reaching.send(operation, query={"after": 2**62}),
    "advanceClock": _with("to", _past),
    "createArrangement": _of_one_key,
    "blockThirdParty": _of_one_key,
    "createCardSession": _of_one_key,
    "createProduct": _of_one_key,
    "createParty": _with("external_id", _external_id),
    "updateParty": _with("external_id", _external_id),
    "createUser": _with("login_name", _taken_name),
    "createEnrolmentCode": _disabled_user,
    "setUserRoles": _waits,
    "createPartner": _with("external_id", _taken_by_a_partner),
    "updatePartner": _with("external_id", _taken_by_a_partner),
    "removePartner": _with_a_member,
    "createPartnerMember": _with("login_name", _taken_by_a_member),
    "createPartnerMemberEnrolmentCode": _disabled_user,
    "setPartnerMemberRole": _waits,
    "createPartnerSandbox": _one_sandbox_too_many,
    "resetPartnerSandbox": _not_ready,
    "createPartnerSandboxCredentials": _not_ready,
    "removePartnerSandbox": _held,
    "rotateClientKeys": _waits,
    "rotateClientSecret": _waits,
    "createWallet": _with("currencies", ["CHF"]),
    "updateWallet": lambda reaching, operation: reaching.send(operation, path={"wallet_id": reaching.seeds.ownerless}),
    "freezeWallet": _twice,
    "unfreezeWallet": _not_frozen,
    "closeWallet": _twice,
    "createAlias": _taken_alias,
    "createTransfer": _with("amount", _euros(TOO_MUCH)),
    "reverseTransfer": _with("amount_minor", TOO_MUCH),
    "createTopUp": _with("amount", {"amount_minor": 1, "currency": "CHF"}),
    "reverseTopUp": _with("amount_minor", TOO_MUCH),
    "createWithdrawal": _with("amount", _euros(TOO_MUCH)),
    "reverseWithdrawal": _with("amount_minor", TOO_MUCH),
    "createHold": _with("amount", _euros(TOO_MUCH)),
    "captureHold": _twice,
    "releaseHold": _twice,
    "createAccount": _taken_code,
    "updateAccount": _overdrawn_limit,
    "approveApproval": _twice,
    "rejectApproval": _twice,
    "revokeConsent": _twice,
    "requireConsentReauthentication": _unauthorised,
    "createPayment": _with("amount", _euros(TOO_MUCH)),
    # It needs nobody.
    "resolvePayment": lambda reaching, operation: reaching.send(operation),
    "createJournalEntry": _unbalanced,
    "reverseJournalEntry": _with("amount_minor", TOO_MUCH),
    "createStatementImport": _currency_of_statement,
    "assignStatementEntry": _twice,
    "reverseStatementImport": _twice,
    # It always waits for another person first.
    "shredSubject": lambda reaching, operation: reaching.send(operation),
    # Its wallets are open.
    "eraseParty": lambda reaching, operation: reaching.send(operation),
    "createVaultToken": _of_one_key,
    "createVaultTokens": _of_one_key,
    "updateVaultToken": _expired,
    "createWebhookEndpoint": _one_too_many,
    "replayWebhookDelivery": _endpoint_gone,
    **dict.fromkeys(
        (
            "simulateIncomingTransfer",
            "simulateDeclines",
            "simulateWebhookDelay",
            "simulateWebhookDuplicates",
            "simulateVaultSeal",
            "simulateOutage",
            "simulateSlowAnswers",
        ),
        _of_one_key,
    ),
    # It was never sent to outside.
    "simulatePaymentReturn": lambda reaching, operation: reaching.send(operation),
}
"""For each operation of a tenant whose state may refuse it: a request that it does refuse."""


def _taken_by_an_operator(reaching: Reaching, operation: Operation) -> httpx.Response:
    body = {"login_name": f"taken.{secrets.token_hex(6)}", "display_name": "x"}
    assert reaching.send(operation, body=body).status_code == 201
    return reaching.send(operation, body=body)


def _asked_by_one(reaching: Reaching, operation: Operation) -> httpx.Response:
    """Ask for what another operator must ask for as well, or for what somebody who is disabled doesn't get."""
    user_id = reaching.add_operator()
    reaching.shut_out(user_id)
    return reaching.send(operation, path={"user_id": user_id})


OF_OPERATORS: dict[str, Recipe] = {
    "createOperator": _taken_by_an_operator,
    "createOperatorEnrolmentCode": _asked_by_one,
    "enableOperator": _asked_by_one,
}
"""The same for operators, below the platform."""


def _reused_key(reaching: Reaching, operation: Operation) -> httpx.Response:
    """Send two different requests under one key."""
    headers = {"Idempotency-Key": secrets.token_hex(16)}
    body: dict[str, Any] | None = None
    if operation.media_type == "application/json":
        # What must be unique or lie ahead isn't the example's, which others send too.
        body = reaching.example(operation)
        unique = {
            "to": reaching.seeds.soon(),
            "code": f"once_{secrets.token_hex(4)}",
            "login_name": f"once.{secrets.token_hex(4)}",
            "scheme": "reference",
            "value": secrets.token_hex(10),
        }
        body |= {name: value for name, value in unique.items() if name in body}
    first = reaching.send(operation, headers=headers, path=reaching.fresh(operation), body=body)
    assert first.status_code < 300, first.text
    # The path differs where it was made anew, and the body where it is a file.
    other = body if body is None or operation.operation_id in FRESH else body | _otherwise(reaching, body)
    return reaching.send(operation, headers=headers, path=reaching.fresh(operation), body=other)


def _otherwise(reaching: Reaching, body: dict[str, Any]) -> dict[str, Any]:
    """Return a change to a body that makes another request of it."""
    if "to" in body:
        return {"to": reaching.seeds.soon()}
    if "login_name" in body:
        return {"login_name": f"other.{secrets.token_hex(4)}"}
    if "reason" in body:
        return {"reason": "another one"}
    return {"value": secrets.token_hex(10)} if "value" in body else {"metadata": {"other": "yes"}}


def contradict(reaching: Reaching, operation: Operation) -> httpx.Response:
    """Send a request that contradicts something, which is a 422."""
    return CONTRADICTIONS.get(operation.operation_id, _reused_key)(reaching, operation)


def _twice_under_a_key(reaching: Reaching, operation: Operation) -> httpx.Response:
    """Send two lists of different lengths under one key."""
    headers = {"Idempotency-Key": secrets.token_hex(16)}
    body = reaching.example(operation)
    assert reaching.send(operation, headers=headers, body=body).status_code == 200
    return reaching.send(operation, headers=headers, body={name: each * 2 for name, each in body.items()})


def _another_sandbox(reaching: Reaching, operation: Operation) -> httpx.Response:
    """Ask under one key for two sandboxes, or for two things of one."""
    headers, path = {"Idempotency-Key": secrets.token_hex(16)}, reaching.fresh(operation)
    one: dict[str, Any] = {"seeded": False}
    other: dict[str, Any] = {"seeded": True}
    if operation.operation_id == "createPartnerSandbox":
        one, other = one | {"name": "one"}, one | {"name": "other"}
    assert reaching.send(operation, headers=headers, path=path, body=one).is_success
    return reaching.send(operation, headers=headers, path=path, body=other)


def _secret_of_none(reaching: Reaching, operation: Operation) -> httpx.Response:
    """Ask for another secret of a client that has none."""
    certificate = {"token_endpoint_auth_method": "tls_client_auth", "tls_client_auth_san_dns": "client.bank.example"}
    made = reaching.seeds.post("/v1/clients", {**certificate, "scope": "wallets:read"})
    return reaching.send(operation, path={"client_id": made["id"]})


def _reused_for_another_reason(reaching: Reaching, operation: Operation) -> httpx.Response:
    """Ask under one key for what is refused, or waits for approval, for two reasons."""
    headers, body = {"Idempotency-Key": secrets.token_hex(16)}, reaching.example(operation)
    assert reaching.send(operation, headers=headers, body=body).status_code == 409
    return reaching.send(operation, headers=headers, body=body | {"reason": "another one"})


def _erased_for_another_reason(reaching: Reaching, operation: Operation) -> httpx.Response:
    """Ask under one key for somebody to be forgotten, for two reasons."""
    path = {"party_id": reaching.seeds.post("/v1/parties", {"kind": "person", "name": "Ada"})["id"]}
    headers, body = {"Idempotency-Key": secrets.token_hex(16)}, reaching.example(operation)
    assert reaching.send(operation, headers=headers, path=path, body=body).status_code == 409
    return reaching.send(operation, headers=headers, path=path, body=body | {"reason": "another one"})


def _played_otherwise(name: str, value: Any) -> Recipe:
    """Have two things simulated under one key."""

    def recipe(reaching: Reaching, operation: Operation) -> httpx.Response:
        headers, body = {"Idempotency-Key": secrets.token_hex(16)}, reaching.example(operation)
        assert reaching.send(operation, headers=headers, body=body).status_code in {201, 409}
        reaching.seeds.stop_playing()
        return reaching.send(operation, headers=headers, body=body | {name: value})

    return recipe


CONTRADICTIONS: dict[str, Recipe] = {
    "simulateIncomingTransfer": _played_otherwise("reference", "another one"),
    "simulatePaymentReturn": _played_otherwise("reason", "MS03"),
    "simulateDeclines": _played_otherwise("reason", "MS03"),
    "simulateWebhookDelay": _played_otherwise("delay_s", 77),
    "simulateWebhookDuplicates": _played_otherwise("copies", 3),
    "simulateVaultSeal": _played_otherwise("for_s", 77),
    "simulateOutage": _played_otherwise("for_s", 77),
    "simulateSlowAnswers": _played_otherwise("delay_ms", 2),
    "applyTenant": lambda reaching, operation: reaching.send(operation, body={"slug": "demo_bank", "manifest": {}}),
    # So many letters after compatibility forms are folded that it can't be a name.
    "createOperator": _with("login_name", "\ufb03" * 100),
    "createClient": _with("redirect_uris", ["http://bank.example/#a"]),
    "updateClient": _with("redirect_uris", ["http://bank.example/#a"]),
    "rotateClientKeys": _with("jwks", {"keys": []}),
    "setUserRoles": _roles_of_a_customer,
    "createPartner": _with("client_scopes", ["users:write"]),
    "updatePartner": _with("client_scopes", ["users:write"]),
    "createPartnerSandbox": _another_sandbox,
    "resetPartnerSandbox": _another_sandbox,
    "rotateClientSecret": _secret_of_none,
    "shredSubject": _reused_for_another_reason,
    "resolvePayment": _reused_for_another_reason,
    "eraseParty": _erased_for_another_reason,
    "createArrangement": _with("kind", "offer"),
    "updateArrangement": _with("offer", {"type": "other", "description": "x"}),
    "createProduct": _another_name,
    "createVaultTokens": _twice_under_a_key,
    "updateVaultToken": _with("metadata", {"card": CARD}),
    "deleteVaultToken": lambda reaching, operation: reaching.send(operation, query={"reason": CARD}),
    "detokenizeVaultTokens": _with("reason", CARD),
    "searchVaultTokens": _with("kind", "card"),
    "createWebhookEndpoint": _with("url", "https://10.0.0.1/webhooks"),
    "updateWebhookEndpoint": _with("url", "https://10.0.0.1/webhooks"),
    "replayWebhookEvents": lambda reaching, operation: reaching.send(operation, body={"after": 2, "up_to": 1}),
    "listEvents": lambda reaching, operation: reaching.send(operation, query={"type": "transfer.postd"}),
}
"""For each operation that refuses otherwise than by a key that was used before: what contradicts something."""
