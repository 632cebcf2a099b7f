"""Every operation, asked for by those who may not: refused with the right code, and nothing of anybody shown.

The operations are those of the official documents. Where a question can't be asked of an operation (for an account of
somebody else, where none is named), that follows by rule from its path and body; how many are left is counted.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final

import asyncpg
import httpx
import msgspec
import pytest

from billfold import ids
from billfold.ids import Prefix
from billfold_server.open_banking.edge.interface import INTERFACE, Declared
from tests.live import LiveServer
from tests.server.identity.flows import add_person
from tests.server.open_banking.asking import right_request
from tests.server.open_banking.documents import official_operations
from tests.server.open_banking.scene import Scene
from tests.server.open_banking.third_parties import SCOPES, ThirdParty

# One process makes the bank, with everything in it, once.
pytestmark = pytest.mark.xdist_group("open banking scene")

OPERATIONS: Final = list(INTERFACE.values())
Rule = Callable[[Declared], bool]


def of_an_account(declared: Declared) -> bool:
    """Tell whether an operation names an account."""
    return "{AccountId}" in declared.path


def under_a_consent(declared: Declared) -> bool:
    """Tell whether an operation's body or path names the consent of the token that it needs."""
    return declared.of_customer and (declared.takes_body or "{ConsentId}" in declared.path)


def of_its_own(declared: Declared) -> bool:
    """Tell whether an operation names a consent, payment or subscription of the third party's own."""
    return not declared.of_customer and "{" in declared.path


def reading(declared: Declared) -> bool:
    """Tell whether an operation reads accounts."""
    return declared.area == "aisp" and declared.of_customer


QUESTIONS: Final[dict[str, Rule]] = {
    "another third party": lambda each: of_its_own(each) or under_a_consent(each) or of_an_account(each),
    "another customer": lambda each: of_an_account(each) or under_a_consent(each),
    "another tenant": lambda _: True,
    "a missing permission": lambda _: True,
    "an expired consent": lambda each: each.of_customer,
}
"""Who asks, and which operations they can ask for."""


def asked(question: str) -> Any:
    """Parametrize a test with the operations of which a question can be asked."""
    can = [each for each in OPERATIONS if QUESTIONS[question](each)]
    return pytest.mark.parametrize("declared", can, ids=lambda each: each.operation_id)


def refused(answer: httpx.Response, *statuses: int) -> None:
    """See that an answer is one of these refusals, in its documented form."""
    assert answer.status_code in statuses, (answer.status_code, answer.text)
    assert answer.headers["x-fapi-interaction-id"]
    if answer.status_code == 401:
        assert answer.content == b""
    else:
        assert all(len(each["ErrorCode"]) == 4 for each in answer.json()["Errors"])


@pytest.fixture(scope="module")
def rival(scene: Scene) -> Scene:
    """The same bank and customer, as another third party sees them; it may see the second wallet alone."""
    rival = scene.with_another()
    consent = rival.account_consent()
    rival.__dict__["accounts"] = (consent, rival.authorised(consent, scene.bank.wallets[1:]))
    rival.__dict__["statement"] = scene.statement
    return rival


@pytest.fixture(scope="module")
def neighbour(scene: Scene) -> Scene:
    """Another customer of the bank and the third party."""
    person = add_person(scene.bank.live, scene.bank.slug)
    bank = msgspec.structs.replace(scene.bank, person=person)
    wallet = bank.post("/v1/wallets", {"party_id": bank.party})["id"]
    neighbour = Scene(msgspec.structs.replace(bank, wallets=(wallet, scene.bank.wallets[1])), scene.tpp)
    neighbour.__dict__["statement"] = scene.statement
    return neighbour


@pytest.fixture(scope="module")
def unscoped(scene: Scene) -> dict[str, ThirdParty]:
    """Third parties that lack the scopes of an area each."""
    live, slug = scene.bank.live, scene.bank.slug
    others = {each: tuple(scope for scope in SCOPES if scope != each) for each in SCOPES}
    return {each: ThirdParty.register(live, slug, scopes) for each, scopes in others.items()}


@pytest.fixture(scope="module")
def narrow(scene: Scene) -> dict[bool, str]:
    """Customers' tokens that permit one thing alone: balances for accounts themselves, accounts for all else."""
    permissions = {True: frozenset({"ReadBalances"}), False: frozenset({"ReadAccountsBasic"})}
    return {each: scene.bank.reader(allowed).token for each, allowed in permissions.items()}


@pytest.fixture(scope="module")
def expired(scene: Scene) -> Scene:
    """The same as another third party sees it, all of whose consents have expired since they were authorised."""
    late = scene.with_another()
    request = late.payment_request()
    consent = late.payment_consent(request)
    token = late.authorised(consent)
    made = (late.accounts, late.funds, late.waiting, late.agreed, (consent, token))
    # What is ordered under it afterwards is what was agreed to before.
    late.__dict__["payment_request"] = lambda: request
    late.__dict__["payment_consent"] = lambda _: consent
    late.__dict__["authorised"] = lambda _: token
    late.__dict__["statement"] = scene.statement
    _expire(scene.bank.live, scene.bank.slug, [each for each, _ in made])
    return late


def _expire(live: LiveServer, slug: str, consents: list[str]) -> None:
    """Put the end of consents into the past."""
    rows = [ids.decode(Prefix.CONSENT, each) for each in consents]
    tenant = live.run(live.services.registry.get(slug))

    async def update() -> None:
        assert live.settings.admin_database_url is not None
        connection = await asyncpg.connect(live.settings.admin_database_url.reveal())
        past = "expires_at = created_at - interval '1 day', ends_at = created_at - interval '1 day'"
        table = f'"{tenant.schema}".consents'
        await connection.execute(f"UPDATE {table} SET {past} WHERE id = ANY($1::uuid[])", rows)  # noqa: S608 - a constant
        await connection.close()

    asyncio.run(update())


class TestAnOperationIsRefused:
    @asked("another third party")
    def test_to_another_third_party(self, declared: Declared, scene: Scene, rival: Scene) -> None:
        """What was agreed with one third party, its accounts, consents and payments, is no other's: 403."""
        request = right_request(scene, declared)
        token = right_request(rival, declared).token if declared.of_customer else None
        refused(request.send(rival, token=token), 403)

    @asked("another customer")
    def test_for_an_account_of_another_customer(self, declared: Declared, scene: Scene, neighbour: Scene) -> None:
        """A customer's token opens no other customer's accounts or consents, also for the same third party: 403."""
        request = right_request(scene, declared)
        if of_an_account(declared):
            refused(request.send(scene, path=request.path.replace(scene.payer, neighbour.payer)), 403)
        refused(request.send(scene, token=_token_of(neighbour, declared)), 403)

    @asked("another tenant")
    def test_with_a_token_of_another_tenant(self, declared: Declared, scene: Scene, tpp: ThirdParty) -> None:
        """A token of one bank opens nothing at another one: 401, without a word."""
        refused(right_request(scene, declared).send(scene, token=tpp.token), 401)

    @asked("a missing permission")
    def test_without_permission(
        self, declared: Declared, scene: Scene, unscoped: dict[str, ThirdParty], narrow: dict[bool, str]
    ) -> None:
        """Without the scope, or the customer's permission where accounts are read, it is 403."""
        request = right_request(scene, declared)
        if reading(declared):
            refused(request.send(scene, token=narrow[declared.path in {"/accounts", "/accounts/{AccountId}"}]), 403)
        if len(declared.scopes) == 1:
            lacking = unscoped[declared.scopes[0]]
            refused(request.send(Scene(scene.bank, lacking), token=lacking.token), 403)
        else:
            # Any of several scopes will do.
            other = Scene(scene.bank, unscoped["payments"])
            assert right_request(other, declared).send(other).is_success

    @asked("an expired consent")
    def test_under_an_expired_consent(self, declared: Declared, expired: Scene) -> None:
        """What has expired opens nothing, however fresh its token is: 400 by its code, wherever it is looked at."""
        answer = right_request(expired, declared).send(expired)
        refused(answer, 400, 401)
        if answer.status_code == 400:
            assert {each["ErrorCode"] for each in answer.json()["Errors"]} == {"U009"}


def _token_of(neighbour: Scene, declared: Declared) -> str | None:
    return right_request(neighbour, declared).token


class TestTheQuestions:
    def test_are_asked_of_every_operation(self) -> None:
        """Of 5 questions about 53 operations, those that can't be asked follow by rule, and each operation has some."""
        official = {(each.operation_id, each.method) for each in official_operations().values()}
        assert official == {(each.operation_id, each.method) for each in OPERATIONS}
        can = {
            (question, each.operation_id) for question, rule in QUESTIONS.items() for each in OPERATIONS if rule(each)
        }
        assert {name for _, name in can} == {each.operation_id for each in OPERATIONS}
        counted = {question: sum(1 for each, _ in can if each == question) for question in QUESTIONS}
        assert counted == {
            "another third party": 35,
            "another customer": 20,
            "another tenant": 53,
            "a missing permission": 53,
            "an expired consent": 31,
        }
