"""What the disposable tenant holds, so that every operation can reach its 2xx.

An id of the right form that names nothing would be a 404, which says little about the operation. So each well-formed
id that names nothing gives way to one that names something. ``SEEDS`` has an entry for each prefix, and ``FRESH`` one
for each operation that uses up what it is given.
"""

import re
import secrets
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import httpx

from tests.contract.dead_jobs import DeadJobs
from tests.contract.operators import Operators

__all__ = ["DIRECTORY", "FRESH", "Seeds", "Tenants", "is_id", "statement"]

_ID = re.compile(r"([a-z]{3})_[0-7][0-9a-hjkmnp-tv-z]{25}")


def is_id(value: Any) -> bool:
    """Tell whether a value is an id of the right form, whatever it names."""
    return isinstance(value, str) and _ID.fullmatch(value) is not None


class Seeds:
    """Objects of a tenant, by the prefix of their ids.

    Args:
        client: Authenticated at the tenant, with every scope.
        ask_consent: Asks for a consent in a third party's name, and returns its id.
        give_consent: The same, and lets a customer allow it.
    """

    def __init__(self, client: httpx.Client, ask_consent: Callable[[], str], give_consent: Callable[[], str]) -> None:
        self.client = client
        self.ask_consent, self.give_consent = ask_consent, give_consent
        self.known: set[str] = set()
        self._made_up: set[str] = set()
        """Ids by which cases have named nothing, such as the document's examples; an answer may repeat them."""
        self._gone: set[str] = set()
        self.contradicted = ""
        """The payment that its rail rejects after it was settled, once there is one."""
        self.ownerless = ""
        """A closed wallet whose owner was forgotten, once there is one."""
        self.sent = ""
        """A payment that has left to outside, once there is one."""
        self.sandbox: dict[str, str] = {}
        """The sandbox of a partner that is kept, once there is one."""
        self._of: dict[str, list[str]] = {}

    def plant(self) -> None:
        """Make one or more of everything."""
        for prefix, make in SEEDS.items():
            self._of[prefix] = [make(self) for _ in range(3)]

    def ids(self, prefix: str) -> list[str]:
        """Return the ids that a prefix has."""
        return self._of.get(prefix, [])

    def replace(self, prefix: str, ids: list[str]) -> None:
        """Use these from now on."""
        self._of[prefix] = ids

    def learn(self, value: Any) -> None:
        """Note every id of an answer; it exists, so links may use it. But for what a consent names, or an erasure.

        An answer that repeats what was made up, as a text of somebody's, makes it no more real.
        """
        if isinstance(value, str) and _ID.fullmatch(value):
            self.known |= {value} - self._made_up - self._gone
        elif isinstance(value, dict) and str(value.get("id")).startswith("con_"):
            self.known.add(value["id"])
        elif isinstance(value, dict) and "forgotten_at" in value and value["forgotten_at"] is not None:
            self.known -= set(map(str, value.values()))
        elif isinstance(value, dict):
            for each in value.values():
                self.learn(each)
        elif isinstance(value, list):
            for each in value:
                self.learn(each)

    def lose(self, gone: str) -> None:
        """Note that this is deleted: what tells of it later, as a webhook's delivery does, makes it no more real."""
        self._gone.add(gone)
        self.known.discard(gone)

    def real(self, value: Any, turn: int = 0) -> Any:
        """Return a value in which every well-formed id names something, and neighbours name different things."""
        if isinstance(value, str) and (match := _ID.fullmatch(value)) and value not in self.known:
            self._made_up.add(value)
            choices = self.ids(match.group(1))
            return choices[turn % len(choices)] if choices else value
        if isinstance(value, dict):
            return {name: self.real(each, turn + place) for place, (name, each) in enumerate(sorted(value.items()))}
        if isinstance(value, list):
            return [self.real(each, turn + place) for place, each in enumerate(value)]
        return value

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Create something, and return it."""
        answer = self.client.post(path, json=body, headers={"Idempotency-Key": secrets.token_hex(16)})
        assert answer.status_code in {200, 201}, f"{path}: {answer.text}"
        made: dict[str, Any] = answer.json()
        self.learn(made)
        return made

    def blocked_organisation(self) -> dict[str, str]:
        """Keep out an organisation that nobody has named before, and return its name."""
        named = {"directory": DIRECTORY, "organisation_id": secrets.token_hex(16)}
        self.post("/v1/blocked-third-parties", {**named, "reason": "test"})
        return named

    def stop_playing(self) -> None:
        """End whatever is simulated."""
        assert self.client.delete("/v1/sandbox/simulations").status_code == 204

    def soon(self) -> str:
        """Return an instant a little ahead of the tenant's clock; a thousand years would take it many thousand jobs."""
        now = datetime.fromisoformat(self.client.get("/v1/clock").json()["now"])
        return (now + timedelta(seconds=30)).isoformat()

    def until_ready(self, sandbox: dict[str, str]) -> dict[str, Any]:
        """Wait until a partner's sandbox is made, and return it."""
        path = "/v1/partners/{partner_id}/sandboxes/{sandbox_id}".format(**sandbox)
        deadline = time.monotonic() + 60
        while (shown := self.client.get(path).json())["state"] != "ready":
            assert time.monotonic() < deadline, "the sandbox isn't made"
            time.sleep(0.05)
        return dict(shown)

    def first(self, path: str) -> str:
        """Return the id of the first item of a list."""
        items = self.client.get(path).json()["data"]
        assert items, f"{path} is empty"
        return str(items[0]["id"])


def _party(seeds: Seeds) -> str:
    return str(seeds.post("/v1/parties", {"kind": "person", "name": "Ada Lovelace"})["id"])


def _wallet(seeds: Seeds) -> str:
    wallet = seeds.post("/v1/wallets", {"party_id": _party(seeds), "currencies": ["EUR", "USD"]})["id"]
    for currency in ("EUR", "USD"):
        _top_up(seeds, wallet, currency)
    return str(wallet)


def _top_up(seeds: Seeds, wallet: str | None = None, currency: str = "EUR") -> str:
    amount = {"amount_minor": 1_000_000, "currency": currency}
    return str(seeds.post("/v1/top-ups", {"wallet_id": wallet or _open_wallets(seeds)[0], "amount": amount})["id"])


def _cents(amount_minor: int = 500) -> dict[str, Any]:
    return {"amount_minor": amount_minor, "currency": "EUR"}


def _open_wallets(seeds: Seeds) -> tuple[str, str]:
    """Return two wallets in which money moves, new ones where a case has frozen or closed what there was."""
    pair = seeds.ids("wal")[:2]
    if any(seeds.client.get(f"/v1/wallets/{wallet}").json()["status"] != "active" for wallet in pair):
        seeds.replace("wal", pair := [_wallet(seeds) for _ in range(3)])
    return pair[0], pair[1]


def _transfer(seeds: Seeds) -> str:
    source, target = _open_wallets(seeds)
    return str(
        seeds.post("/v1/transfers", {"from_wallet_id": source, "to_wallet_id": target, "amount": _cents()})["id"]
    )


def _withdrawal(seeds: Seeds) -> str:
    return str(seeds.post("/v1/withdrawals", {"wallet_id": seeds.ids("wal")[0], "amount": _cents()})["id"])


def _hold(seeds: Seeds) -> str:
    source, target = _open_wallets(seeds)
    return str(seeds.post("/v1/holds", {"wallet_id": source, "to_wallet_id": target, "amount": _cents()})["id"])


def _account(seeds: Seeds) -> str:
    body = {"code": f"test_{secrets.token_hex(6)}", "type": "asset", "currency": "EUR", "overdraft_limit_minor": None}
    return str(seeds.post("/v1/accounts", body)["id"])


def _journal_entry(seeds: Seeds) -> str:
    debit, credit = seeds.ids("acc")[:2]
    postings = [
        {"account_id": debit, "amount_minor": 5, "currency": "EUR"},
        {"account_id": credit, "amount_minor": -5, "currency": "EUR"},
    ]
    return str(seeds.post("/v1/journal-entries", {"postings": postings})["id"])


def _alias(seeds: Seeds, wallet: str | None = None) -> str:
    body = {"scheme": "reference", "value": f"REF {secrets.token_hex(6)}"}
    return str(seeds.post(f"/v1/wallets/{wallet or seeds.ids('wal')[0]}/aliases", body)["id"])


def statement() -> bytes:
    """Return an MT940 file of one entry, of a bank account that no other file knows."""
    account, reference = f"{secrets.randbelow(10**10):010d}", secrets.token_hex(6).upper()
    lines = [
        f":20:{reference}",
        f":25:{account}",
        ":28C:1/1",
        ":60F:C261119EUR100,00",
        ":61:2611191119C12,50NTRFNONREF",
        f":86:166?00TRANSFER?20SVWZ+{reference}?32Grace Hopper",
        ":62F:C261119EUR112,50",
        "-",
    ]
    return "\r\n".join([*lines, ""]).encode()


def _statement_import(seeds: Seeds) -> str:
    headers = {"Content-Type": "application/octet-stream", "Idempotency-Key": secrets.token_hex(16)}
    answer = seeds.client.post("/v1/statement-imports", content=statement(), headers=headers)
    assert answer.status_code == 201, answer.text
    seeds.learn(answer.json())
    return str(answer.json()["id"])


def _statement_entry(seeds: Seeds) -> str:
    entry = seeds.first(f"/v1/statement-entries?statement_import_id={_statement_import(seeds)}")
    seeds.learn(entry)
    return entry


def _user(seeds: Seeds) -> str:
    body = {"login_realm": "staff", "login_name": f"user.{secrets.token_hex(6)}", "display_name": "Grace Hopper"}
    return str(seeds.post("/v1/users", body)["id"])


def _new_sandbox(seeds: Seeds) -> dict[str, str]:
    """Return a sandbox that was just asked for, of a partner that has no other."""
    partner = _partner(seeds)
    made = seeds.post(f"/v1/partners/{partner}/sandboxes", {"name": "checkout", "seeded": False})
    return {"partner_id": partner, "sandbox_id": str(made["id"])}


def _ready_sandbox(seeds: Seeds) -> dict[str, str]:
    """Return the one sandbox that is kept, once it is ready."""
    if not seeds.sandbox:
        seeds.sandbox = _new_sandbox(seeds)
    seeds.until_ready(seeds.sandbox)
    return seeds.sandbox


def _partner(seeds: Seeds) -> str:
    return str(seeds.post("/v1/partners", {"name": "Example Shop Ltd"})["id"])


def _suspended_partner(seeds: Seeds) -> dict[str, str]:
    """Return a partner that can be removed: it is suspended, and has nothing."""
    partner = _partner(seeds)
    assert seeds.client.post(f"/v1/partners/{partner}/suspend").status_code == 200
    return {"partner_id": partner}


def _member(seeds: Seeds) -> dict[str, str]:
    partner = seeds.ids("ptn")[0]
    body = {"login_name": f"member.{secrets.token_hex(6)}", "display_name": "Grace Hopper", "role": "developer"}
    made = seeds.post(f"/v1/partners/{partner}/members", body)
    return {"partner_id": partner, "user_id": str(made["id"])}


def _client(seeds: Seeds) -> str:
    body = {"token_endpoint_auth_method": "client_secret_basic", "scope": "wallets:read"}
    return str(seeds.post("/v1/clients", body)["id"])


def _approval(seeds: Seeds) -> str:
    """Ask for what the tenant's manifest lets wait for a second person."""
    answer = seeds.client.patch(f"/v1/accounts/{seeds.ids('acc')[0]}", json={"overdraft_limit_minor": 5})
    assert answer.json()["code"] == "approval_required", answer.text
    approval: str = answer.json()["facts"]["approval_id"]
    seeds.learn(approval)
    return approval


def _vault_token(seeds: Seeds) -> str:
    account = {"iban": "DE89370400440532013000"}
    return str(seeds.post("/v1/vault-tokens", {"kind": "bank_account", "bank_account": account})["id"])


def _card_session(seeds: Seeds) -> str:
    return str(seeds.post("/v1/card-sessions", {})["id"])


def _consent(seeds: Seeds) -> str:
    consent = seeds.ask_consent()
    seeds.learn(consent)
    return consent


DIRECTORY = "https://directory.openbanking.example"
"""Whose statements the tenant believes."""


def _blocked(seeds: Seeds) -> dict[str, str]:
    client_id = _client(seeds)
    seeds.post("/v1/blocked-third-parties", {"client_id": client_id, "reason": "test"})
    return {"client_id": client_id}


def _fingerprint(seeds: Seeds) -> str:
    return str(seeds.client.get(f"/v1/vault-tokens/{seeds.ids('tok')[0]}").json()["fingerprint"])


def _arrangement(seeds: Seeds) -> str:
    creditor = {"scheme": "iban", "identification": "GB33BUKB20201555555555"}
    body = {"wallet_id": seeds.ids("wal")[0], "kind": "beneficiary", "beneficiary": {"creditor": creditor}}
    return str(seeds.post("/v1/arrangements", body)["id"])


def _product(seeds: Seeds) -> str:
    return str(seeds.post("/v1/products", {"name": "x", "type": "other", "description": "x"})["id"])


def _account_statement(seeds: Seeds) -> str:
    """Let the night come in which this month's statements are made, unless it has come already."""
    if not seeds.client.get("/v1/account-statements").json()["data"]:
        now = datetime.fromisoformat(seeds.client.get("/v1/clock").json()["now"])
        next_month = (now.replace(day=1) + timedelta(days=32)).replace(day=2)
        seeds.post("/v1/clock/advance", {"to": next_month.isoformat()})
    return seeds.first("/v1/account-statements")


def _webhook_endpoint(seeds: Seeds) -> str:
    """Register an endpoint that is never told of anything, in the place of another where there are many."""
    present = [each["id"] for each in seeds.client.get("/v1/webhook-endpoints?limit=100").json()["data"]]
    if len(present) > 10:
        for each in set(present) - set(seeds.ids("whe")):
            seeds.client.delete(f"/v1/webhook-endpoints/{each}")
            seeds.known.discard(each)
    body = {"url": "https://partner.example/webhooks", "event_types": ["webhook_endpoint.tested"]}
    return str(seeds.post("/v1/webhook-endpoints", body)["id"])


def _webhook_delivery(seeds: Seeds) -> str:
    """Let something happen that a paused endpoint is told of, and wait until that is written."""
    body = {"url": "https://partner.example/paused", "event_types": ["product.created"]}
    made = seeds.post("/v1/webhook-endpoints", body)["id"]
    assert seeds.client.patch(f"/v1/webhook-endpoints/{made}", json={"state": "paused"}).status_code == 200
    _product(seeds)
    path = f"/v1/webhook-deliveries?webhook_endpoint_id={made}"
    deadline = time.monotonic() + 60
    while not seeds.client.get(path).json()["data"] and time.monotonic() < deadline:
        time.sleep(0.01)
    delivery = seeds.first(path)
    body = {"event_types": ["webhook_endpoint.tested"]}
    assert seeds.client.patch(f"/v1/webhook-endpoints/{made}", json=body).is_success
    seeds.learn(delivery)
    return delivery


def _simulation(seeds: Seeds) -> str:
    return str(seeds.post("/v1/sandbox/simulations/webhook-duplicates", {"for_s": 1})["id"])


SEEDS: dict[str, Callable[[Seeds], str]] = {
    "par": _party,
    "wal": _wallet,
    "acc": _account,
    "als": _alias,
    "trf": _transfer,
    "top": _top_up,
    "wdr": _withdrawal,
    "hld": _hold,
    "jrn": _journal_entry,
    "apr": _approval,
    "sti": _statement_import,
    "ste": _statement_entry,
    "usr": _user,
    "ptn": _partner,
    "cli": _client,
    "tok": _vault_token,
    "fpr": _fingerprint,
    "cse": _card_session,
    "arr": _arrangement,
    "prd": _product,
    "ast": _account_statement,
    "con": _consent,
    "whe": _webhook_endpoint,
    "whd": _webhook_delivery,
    "sim": _simulation,
}
"""How one of each kind is made, in the order in which they lean on each other."""


def _fresh_wallet(seeds: Seeds) -> dict[str, str]:
    return {"wallet_id": str(seeds.post("/v1/wallets", {"party_id": seeds.ids("par")[0]})["id"])}


def _frozen_wallet(seeds: Seeds) -> dict[str, str]:
    wallet = _fresh_wallet(seeds)
    seeds.post(f"/v1/wallets/{wallet['wallet_id']}/freeze", {"reason": "test"})
    return wallet


def _fresh_alias(seeds: Seeds) -> dict[str, str]:
    wallet = seeds.ids("wal")[0]
    return {"wallet_id": wallet, "alias_id": _alias(seeds, wallet)}


def _fresh_user(seeds: Seeds) -> dict[str, str]:
    return {"user_id": _user(seeds)}


def _logged(seeds: Seeds) -> dict[str, str]:
    return {"request_id": seeds.client.get("/v1/requests?limit=1").json()["data"][0]["request_id"]}


FRESH: dict[str, Callable[[Seeds], dict[str, str]]] = {
    "getRequest": _logged,
    "closeWallet": _fresh_wallet,
    "freezeWallet": _fresh_wallet,
    "unfreezeWallet": _frozen_wallet,
    "createEnrolmentCode": _fresh_user,
    "disableUser": _fresh_user,
    # A consent may name somebody who was never there.
    "enableUser": _fresh_user,
    "unlockUser": _fresh_user,
    # Nobody changes roles of their own, or may be signed out on the way.
    "setUserRoles": _fresh_user,
    "signUserOut": _fresh_user,
    **dict.fromkeys(
        ("getPartnerMember", "setPartnerMemberRole", "createPartnerMemberEnrolmentCode", "removePartnerMember"), _member
    ),
    **dict.fromkeys(("getPartnerSandbox", "resetPartnerSandbox", "createPartnerSandboxCredentials"), _ready_sandbox),
    "removePartnerSandbox": _new_sandbox,
    # Of the partners that are there, one may be suspended, or have as many as it may.
    "createPartnerSandbox": lambda seeds: {"partner_id": _partner(seeds)},
    "removePartner": _suspended_partner,
    "deleteAlias": _fresh_alias,
    "approveApproval": lambda seeds: {"approval_id": _approval(seeds)},
    "rejectApproval": lambda seeds: {"approval_id": _approval(seeds)},
    "captureHold": lambda seeds: {"hold_id": _hold(seeds)},
    "releaseHold": lambda seeds: {"hold_id": _hold(seeds)},
    "reverseTransfer": lambda seeds: {"transfer_id": _transfer(seeds)},
    "reverseTopUp": lambda seeds: {"top_up_id": _top_up(seeds)},
    "reverseWithdrawal": lambda seeds: {"withdrawal_id": _withdrawal(seeds)},
    # Nobody's own client may be stopped on the way.
    **{
        name: lambda seeds: {"client_id": _client(seeds)}
        for name in ("disableClient", "enableClient", "rotateClientKeys", "rotateClientSecret", "updateClient")
    },
    "deleteVaultToken": lambda seeds: {"vault_token_id": _vault_token(seeds)},
    "revokeConsent": lambda seeds: {"consent_id": _consent(seeds)},
    "requireConsentReauthentication": lambda seeds: {"consent_id": seeds.give_consent()},
    "unblockThirdParty": _blocked,
    "cancelSimulation": lambda seeds: {"simulation_id": _simulation(seeds)},
    "deleteWebhookEndpoint": lambda seeds: {"webhook_endpoint_id": _webhook_endpoint(seeds)},
    "assignStatementEntry": lambda seeds: {"statement_entry_id": _statement_entry(seeds)},
    "reverseStatementImport": lambda seeds: {"statement_import_id": _statement_import(seeds)},
    "reverseJournalEntry": lambda seeds: {"journal_entry_id": _journal_entry(seeds)},
}
"""The path parameters of operations that use up what they are given, made anew for each request that is meant well."""


class Tenants:
    """Tenants, and operators, that platform operations may do things to.

    Args:
        operator: Authenticated at the platform, with every scope.
        operators: Makes others.
        dead_jobs: Makes jobs of ``spare_active`` that have failed for good.
    """

    def __init__(self, operator: httpx.Client, operators: Operators, dead_jobs: DeadJobs) -> None:
        self._operator = operator
        self._operators = operators
        self._dead_jobs = dead_jobs
        for slug in ("spare_active", "spare_suspended"):
            self._apply(slug)
        self._suspend("spare_suspended")

    def prepare(self, case: Any, operation_id: str) -> None:
        """Put a tenant that exists, in the state that the operation needs, into a case that is meant well."""
        if case.operation.path.startswith("/platform/v1/users/"):
            case.path_parameters = {"user_id": self._operators.fresh()}
        if "slug" not in (case.path_parameters or {}):
            return
        slug = "spare_active"
        if operation_id == "deleteTenant":
            slug = f"doomed_{secrets.token_hex(4)}"
            self._apply(slug)
            self._suspend(slug)
            case.query = {"confirm": slug}
        elif operation_id == "resumeTenant":
            slug = "spare_suspended"
        given = {"job_id": self._dead_jobs.fresh()} if "job_id" in case.path_parameters else {}
        case.path_parameters = {"slug": slug, **given}

    def _apply(self, slug: str) -> None:
        brand = {"display_name": slug}
        manifest = {"slug": slug, "name": slug, "brand": brand, "currencies": ["EUR"], "isolation": "role"}
        answer = self._operator.post("/v1/tenants", json={"slug": slug, "manifest": manifest})
        assert answer.status_code == 200, answer.text

    def _suspend(self, slug: str) -> None:
        assert self._operator.post(f"/v1/tenants/{slug}/suspend", json={"reason": "test"}).status_code == 200
