"""Prepares schemathesis's cases: ids that exist, cursors that were handed out, clients that are known."""

import re
import secrets
from collections import Counter
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from schemathesis import GenerationMode

from billfold.ids import Prefix
from tests.contract.clients import REDIRECT_URI
from tests.contract.seeds import DIRECTORY, FRESH, Seeds, Tenants, is_id, statement

__all__ = ["TOKENS", "Approved", "Preparing", "whole_numbers"]


PUSHED = {
    "pushAuthorizationRequest": "tenant:read",
    "pushPlatformAuthorizationRequest": "platform:tenants:read",
}
"""The operations that take an authorization request, with a scope that it may ask for."""

TOKENS = frozenset({"createToken", "createPlatformToken", *PUSHED})
"""The operations at which a client shows itself, not a token."""

_LARGEST = 2**63 - 1

_LAST_PART = re.compile(r"\{(\w+)\}$")
"""What a path names, where it names one thing."""

PLAYED = frozenset({"simulateVaultSeal", "simulateOutage", "simulateSlowAnswers"})
"""The operations by which a tenant becomes one that refuses, or is slow."""


def whole_numbers(value: Any) -> Any:
    """Return a value in which whole numbers are written as such.

    To JSON Schema ``219.0`` is an integer, and schemathesis sometimes writes one so. The API takes ``219`` alone: an
    amount of money is never written as a decimal fraction. And JSON Schema's integers have no end, while RFC 7493,
    section 2.2 tells senders not to rely on more than what others can hold.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return max(-_LARGEST, min(value, _LARGEST))
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {name: whole_numbers(each) for name, each in value.items()}
    if isinstance(value, list):
        return [whole_numbers(each) for each in value]
    return value


class Approved(NamedTuple):
    """A request that another person has approved: whoever sends it again gets its answer."""

    body: dict[str, Any]
    key: str
    path: Mapping[str, str] = MappingProxyType({})


NEVER_MEANT = frozenset({"hold_id", "partner_id", "party_id", "wallet_id"})
"""Parameters that links lead to so often that also a case that is malformed on purpose may have got its null there."""


def leads_nowhere(value: Any) -> bool:
    """Tell whether a link has taken what is no id: null, as of an account that belongs to no wallet, or several."""
    return value is None or isinstance(value, list) or str(value) == "None" or str(value).startswith("['")


def existing_for(name: str, seeds: Seeds) -> str | None:
    """Return an id for a parameter of this name, or None where there is none to be given."""
    prefix = Prefix.__members__.get(name.removesuffix("_id").upper())
    ids = [] if prefix is None else seeds.ids(prefix.value)
    return ids[0] if ids else None


class Preparing:
    """Puts what exists into cases, and notes what answers tell.

    Args:
        seeds: What the tenant holds.
        tenants: What operators may do things to.
        approved: What always waits for another person, by operation, asked for and approved.
    """

    def __init__(self, seeds: Seeds, tenants: Tenants, approved: Mapping[str, "Approved"]) -> None:
        self._seeds = seeds
        self._tenants = tenants
        self._approved = approved
        self._cursors: dict[str, str | None] = {}
        self._turns: Counter[str] = Counter()

    def prepare(self, case: Any) -> None:
        """Make a case name what exists. What is malformed on purpose stays so."""
        operation_id = case.operation.definition.raw["operationId"]
        positive = case.meta is None or case.meta.generation.mode == GenerationMode.POSITIVE
        if isinstance(case.path_parameters, dict):
            for name, value in case.path_parameters.items():
                nowhere = leads_nowhere(value) if positive else name in NEVER_MEANT and value in (None, "None")
                if nowhere and (there := existing_for(name, self._seeds)) is not None:
                    case.path_parameters[name] = there
            case.path_parameters = self._seeds.real(case.path_parameters)
        if isinstance(case.query, dict):
            case.query = self._query(case, positive=positive)
        if isinstance(case.body, dict | list):
            case.body = self._seeds.real(case.body)
        # A name in a header may be any text, and is left as it is; but it names nothing.
        self._seeds.real(dict(case.headers or {}))
        # Also a case that is wrong elsewhere may be carried out, and must not use up what other cases need.
        if operation_id in FRESH and case.method.upper() == case.operation.method.upper():
            fresh = FRESH[operation_id](self._seeds)
            # A proxy may name requests as it likes, so any word is one's id.
            anything = {"request_id"} if positive else set()
            well_formed = {name for name, value in case.path_parameters.items() if is_id(value) or name in anything}
            case.path_parameters |= {name: value for name, value in fresh.items() if name in well_formed}
        if positive:
            self._prepare_well_meant(case, operation_id)

    def _prepare_well_meant(self, case: Any, operation_id: str) -> None:
        """Give a case that is meant well what only this server, or only this operation, can be given."""
        case.body = whole_numbers(case.body)
        self._tenants.prepare(case, operation_id)
        self._prepare_simulation(case, operation_id)
        self._prepare_block(case, operation_id)
        self._prepare_assignment(case, operation_id)
        if case.headers:
            self._keep_keys_apart(case)
        if operation_id in PUSHED:
            # Only this client's address and scopes, and a challenge that a hash has made, are valid data.
            case.body = {
                "response_type": "code",
                "redirect_uri": REDIRECT_URI,
                "scope": PUSHED[operation_id],
                "code_challenge": "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
                "code_challenge_method": "S256",
            }
        elif operation_id in TOKENS:
            # The client shows itself by HTTP Basic, which excludes showing itself in the form.
            case.body = {"grant_type": "client_credentials"}
        elif operation_id == "createStatementImport" and self._is_one_of_two(operation_id):
            # Random bytes are no statement, which is a 422; every second file is one.
            case.body = statement()
        elif operation_id in self._approved and self._is_one_of_two(operation_id):
            # The others are refused, for they wait for approval.
            case.body = self._approved[operation_id].body
            case.headers = {**(case.headers or {}), "Idempotency-Key": self._approved[operation_id].key}
            case.path_parameters = {**(case.path_parameters or {}), **self._approved[operation_id].path}
        elif operation_id == "detokenizeVaultTokens" and isinstance(case.body, dict) and "purpose" in case.body:
            # Only a purpose that the tenant has, and leaves to this caller, is valid data.
            case.body["purpose"] = "look"
        elif operation_id == "rotateDataKeys" and isinstance(case.body, dict) and case.body.get("domain") == "cards":
            # Those keys are out of the API's reach, and it says so.
            case.body["domain"] = "data"
        elif operation_id in {"createPartnerSandbox", "resetPartnerSandbox"} and isinstance(case.body, dict):
            # Customers with months behind them take a second to make.
            case.body = {**case.body, "seeded": False, "seed": None}
        elif operation_id == "advanceClock" and isinstance(case.body, dict):
            # Two hundred years are valid data, and are left to a test that has the tenant for itself.
            where: dict[str, Any] = secrets.choice([{"to": self._seeds.soon()}, {"by_s": 1.5}])
            case.body = {name: value for name, value in case.body.items() if name not in {"to", "by_s"}} | where

    def _is_one_of_two(self, operation_id: str) -> bool:
        """Tell it of every second case of an operation, the first one among them: by chance it might be of none."""
        self._turns[operation_id] += 1
        return self._turns[operation_id] % 2 == 1

    def _prepare_simulation(self, case: Any, operation_id: str) -> None:
        """Let what is simulated cost no time, and be of a payment that has left."""
        given: dict[str, dict[str, Any]] = {
            "simulateSlowAnswers": {"delay_ms": 1},
            "simulatePaymentReturn": {"payment_id": self._seeds.sent},
        }
        if operation_id in given and isinstance(case.body, dict):
            case.body |= given[operation_id]

    def _prepare_block(self, case: Any, operation_id: str) -> None:
        """Name a third party in one of the two ways, by a directory that is believed, and one that is blocked."""
        if operation_id == "blockThirdParty" and isinstance(case.body, dict):
            named = {"directory": DIRECTORY, "organisation_id": secrets.token_hex(16)}
            client = {} if case.body.get("client_id") is None else {"client_id": case.body["client_id"]}
            case.body = {"reason": case.body["reason"], **(client or named)}
        elif operation_id == "unblockOrganisation":
            case.query = self._seeds.blocked_organisation()

    def _prepare_assignment(self, case: Any, operation_id: str) -> None:
        """Name a wallet or an account, and not both or neither, which a schema of members can't say."""
        if operation_id == "assignStatementEntry" and isinstance(case.body, dict):
            named = [name for name in ("wallet_id", "account_id") if case.body.get(name) is not None]
            name = secrets.choice(named or ["wallet_id", "account_id"])
            case.body = {name: case.body[name] if named else self._seeds.ids(name[:3])[0]}

    def _query(self, case: Any, *, positive: bool) -> dict[str, Any]:
        query: dict[str, Any] = self._seeds.real(case.query)
        if positive and "cursor" in query:
            # Only the server can make a cursor, so a random one isn't valid data.
            cursor = self._cursors.get(case.operation.path)
            query = {name: value for name, value in query.items() if name != "cursor"}
            if cursor is not None and set(query) <= {"limit"}:
                query["cursor"] = cursor
        return query

    def _keep_keys_apart(self, case: Any) -> None:
        """Give each valid request an idempotency key of its own; otherwise short keys collide, which is a 422."""
        for name in list(case.headers):
            if name.lower() == "idempotency-key":
                case.headers[name] = secrets.token_hex(16)

    def learn(self, case: Any, response: Any) -> None:
        """Note the ids and the cursor of an answer."""
        if case.operation.definition.raw["operationId"] in PLAYED and response.status_code == 201:
            # It would go on for whatever comes next.
            self._seeds.stop_playing()
        deleted = _LAST_PART.search(case.operation.path) if case.method.upper() == "DELETE" else None
        if deleted is not None and response.status_code == 204:
            self._seeds.lose(str(case.path_parameters[deleted.group(1)]))
        if response.status_code >= 300 or "json" not in response.headers.get("content-type", [""])[0]:
            return
        body = response.json()
        self._seeds.learn(body)
        if isinstance(body, dict) and body.get("next_cursor"):
            self._cursors[case.operation.path] = body["next_cursor"]
