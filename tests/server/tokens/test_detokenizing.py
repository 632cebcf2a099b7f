"""Detokenizing: for whom, what for, how much, and what happens where something is away."""

import base64
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import pytest

from billfold import errors, ids
from billfold.contract.roles import StaffRole
from billfold.ids import Prefix
from billfold_server.tenancy.manifest import Purpose, Tokenization
from billfold_server.tokens import rules
from tests.live import LiveServer
from tests.pace import quickest_call
from tests.server.identity.flows import add_app, add_person, tokens_of
from tests.server.tokens.banks import IBAN, PAN, Bank
from tests.server.tokens.faults import away, paused
from tests.server.tokens.test_tokens import code_of

ALL = ["tokens:detokenize", "tokens:read", "tokens:search"]


def coordinate(number: int) -> str:
    """Return a coordinate as a JWK has it."""
    return base64.urlsafe_b64encode(number.to_bytes(32)).rstrip(b"=").decode()


def alarms(bank: Bank, purpose: str) -> list[dict[str, Any]]:
    """Return the alarms of a purpose, the oldest first."""
    sql = (
        "SELECT data ->> 'why' AS why, data ->> 'caller' AS caller FROM outbox_events WHERE type = 'vault_token.alarm' "
    )
    return bank.sql(sql + "AND data ->> 'purpose' = $1 ORDER BY sequence", purpose)


class TestAPurpose:
    def test_tells_what_it_may(self, bank: Bank) -> None:
        """A kind that it doesn't name is 403, what is masked stays so, and only its parts of a card are told."""
        card, account = bank.card(holder="Ada"), bank.account()
        (look_card, look_account) = bank.told(card["id"], account["id"], purpose="look")
        assert (look_card["card"], look_card["jwe"]) == (card["card"], None)
        assert (look_account["bank_account_mask"], look_account["bank_account"]) == (account["bank_account"], None)
        (refused, told) = bank.told(card["id"], account["id"], purpose="payout")
        assert (refused["status"], refused["problem"]["code"]) == (403, "purpose_not_allowed")
        assert told["bank_account"]["iban"] == IBAN

    def test_names_types_of_personal_data(self, bank: Bank) -> None:
        """A type that it doesn't name isn't told."""
        (verdict,) = bank.told(bank.personal("1815-12-10", "birthday")["id"], purpose="payout")
        assert (verdict["status"], verdict["personal"]) == (403, None)

    def test_that_nobody_knows_is_as_one_that_is_not_allowed(self, bank: Bank, live: LiveServer) -> None:
        """Both are the same 403, are written down, and don't ask the decryptor."""
        token = bank.account()["id"]
        bank.decryptor.asked.clear()
        answers = [bank.ask(token, purpose=purpose) for purpose in ("nothing", "staff_only")]
        with live.client("alpha", ["tokens:detokenize"]) as poor:
            body = {"vault_token_ids": [token], "purpose": "scoped", "reason": "test"}
            answers.append(poor.post("/v1/vault-tokens/detokenize", json=body))
        assert [code_of(each) for each in answers] == [(403, "purpose_not_allowed")] * 3
        assert len({answer.json()["detail"] for answer in answers}) == 1
        assert bank.decryptor.asked == []
        facts = [
            each["facts"] for each in bank.client.get("/v1/audit-records?action=vault_token.refused").json()["data"]
        ]
        assert [each["purpose"] for each in facts[:3]] == ["scoped", "staff_only", None]

    def test_is_for_roles_where_a_person_asks(self, live: LiveServer, bank: Bank) -> None:
        """A custodian may, support sees masks alone, and a program's own standing is no person's."""
        app = add_app(live, "alpha", "client_secret_basic", login_realm="staff", scopes=ALL)
        token = bank.account()["id"]
        body = {"vault_token_ids": [token], "purpose": "staff_only", "reason": "test"}
        answers = {}
        for role in (StaffRole.CUSTODIAN, StaffRole.SUPPORT):
            person = add_person(live, "alpha", roles=[role])
            allowed = [scope for scope in ALL if role is StaffRole.CUSTODIAN or scope == "tokens:read"]
            bearer = tokens_of(app, person, scope=" ".join(allowed))["access_token"]
            with httpx.Client(base_url=live.base("alpha"), headers={"Authorization": f"Bearer {bearer}"}) as client:
                answers[role] = client.post("/v1/vault-tokens/detokenize", json=body)
                assert client.get(f"/v1/vault-tokens/{token}").json()["bank_account"]["last4"] == IBAN[-4:]
        assert answers[StaffRole.CUSTODIAN].json()["results"][0]["bank_account"]["iban"] == IBAN
        assert code_of(answers[StaffRole.SUPPORT]) == (403, "insufficient_scope")

    @pytest.mark.parametrize(
        ("clients", "roles", "of_person", "admitted"),
        [
            (["*"], [], None, True),
            ([ids.encode(Prefix.CLIENT, UUID(int=1))], [], None, True),
            ([ids.encode(Prefix.CLIENT, UUID(int=2))], [], None, False),
            ([], ["custodian"], None, False),
            ([], ["custodian"], ["support", "custodian"], True),
            (["*"], ["custodian"], ["support"], False),
            (["*"], [], [], False),
        ],
    )
    def test_looks_at_who_asks(
        self, clients: list[str], roles: list[str], of_person: list[str] | None, *, admitted: bool
    ) -> None:
        """Programs are named as clients and people by roles, and neither stands in for the other."""
        part = rules_part(clients, roles)
        try:
            rules.purpose_for(part, "x", scopes=[], client_id=UUID(int=1), roles=of_person)
            found = True
        except errors.PurposeNotAllowed:
            found = False
        assert found is admitted


def rules_part(clients: list[str], roles: list[str]) -> Any:
    """Return a manifest's part with one purpose."""
    return Tokenization(purposes={"x": Purpose(kinds=["card"], clients=clients, roles=roles)})  # type: ignore[arg-type]


class TestACard:
    def test_leaves_encrypted_alone(self, bank: Bank) -> None:
        """Without a key there is no value, and the answer holds the number in no form."""
        token = bank.card()["id"]
        (verdict,) = bank.told(token, purpose="charge")
        assert (verdict["status"], verdict["problem"]["code"]) == (422, "response_key_required")
        answer = bank.ask(token, purpose="charge", with_key=True)
        assert PAN not in answer.text
        assert bank.opened(answer.json()["results"][0])["number"] == PAN

    @pytest.mark.parametrize(
        "point", [(0, 0), (1, 1), (2**256 - 1, 2**256 - 1)], ids=["origin", "off the curve", "too great"]
    )
    def test_is_encrypted_to_no_point_off_the_curve(self, bank: Bank, point: tuple[int, int]) -> None:
        """Such a key is refused as a whole before anything is used up."""
        token = bank.card(single_use=True)["id"]
        key = {"kty": "EC", "crv": "P-256", "x": coordinate(point[0]), "y": coordinate(point[1])}
        body = {"vault_token_ids": [token], "purpose": "charge", "reason": "test", "response_key": key}
        assert code_of(bank.post("/v1/vault-tokens/detokenize", body)) == (422, "response_key_invalid")
        assert bank.client.get(f"/v1/vault-tokens/{token}").json()["status"] == "active"

    def test_is_encrypted_to_no_private_key(self, bank: Bank) -> None:
        """A key with a private part is refused, and none of it comes back."""
        jwk = bank.key._key.as_dict(private=True)
        body = {"vault_token_ids": [bank.card()["id"]], "purpose": "charge", "reason": "test"}
        private = {name: jwk[name] for name in ("kty", "crv", "x", "y", "d")}
        answer = bank.post("/v1/vault-tokens/detokenize", {**body, "response_key": private})
        assert code_of(answer) == (400, "validation_failed")
        assert str(jwk["d"]) not in answer.text


class TestATokenForOneUse:
    def test_opens_once(self, bank: Bank) -> None:
        """Of a hundred that ask at the same moment exactly one is told, and the token is shown as used."""
        token = bank.account(single_use=True)["id"]
        told = [each[0] for each in bank.at_once(100, lambda: bank.told(token, purpose="payout"))]
        assert sorted(each["status"] for each in told) == [200] + [409] * 99
        assert {each["problem"]["code"] for each in told if each["problem"]} == {"vault_token_used"}
        shown = bank.client.get(f"/v1/vault-tokens/{token}").json()
        assert (shown["status"], shown["used_at"] is None) == ("used", False)

    def test_opens_for_purposes_that_may_use_it_up(self, bank: Bank) -> None:
        """Another purpose is refused, looking at the mask uses nothing up."""
        token = bank.account(single_use=True)["id"]
        (refused,) = bank.told(token, purpose="lasting")
        assert refused["problem"]["code"] == "purpose_not_allowed"
        (masked,) = bank.told(token, purpose="look")
        assert masked["bank_account_mask"]["last4"] == IBAN[-4:]
        assert bank.told(token, purpose="payout")[0]["status"] == 200


class TestTheLimits:
    @pytest.mark.usefixtures("within_an_hour")
    def test_are_exact_however_many_ask(self, bank: Bank, live: LiveServer) -> None:
        """Of thirty at once five are told, the rest is 429; threshold and limit each raise the alarm once."""
        token = bank.account()["id"]
        with live.client("alpha") as client:
            caller = Bank(live, client, bank.decryptor)
            answers = bank.at_once(30, lambda: caller.ask(token, purpose="scarce"))
            assert sorted(each.status_code for each in answers) == [200] * 5 + [429] * 25
            refused = next(each for each in answers if each.status_code == 429)
            assert (refused.json()["facts"]["limit"], refused.json()["facts"]["per"]) == (5, "hour")
            assert 0 < int(refused.headers["retry-after"]) <= 3601
            (count,) = bank.sql(
                "SELECT used, refused FROM vault_uses WHERE purpose = 'scarce' AND span = 'hour' AND refused > 0"
            )
            assert (count["used"], count["refused"]) == (5, 25)
        told = [each for each in bank.records(token) if each["action"] == "vault_token.detokenized"]
        assert len(told) == 5
        raised = alarms(bank, "scarce")
        assert [each["why"] for each in raised] == ["threshold", "limit"]
        assert [
            each["facts"]["why"] for each in bank.records(raised[0]["caller"]) if each["action"].endswith("alarm")
        ] == [
            "limit",
            "threshold",
        ]
        metrics = httpx.get(f"{live.url}/metrics").text
        counted = re.search(
            r'^billfold_vault_tokens_total\{kind="limit",operation="alarm"\} (.*)$', metrics, re.MULTILINE
        )
        assert counted is not None
        assert float(counted[1]) > 0

    @pytest.mark.usefixtures("within_an_hour")
    def test_count_each_token(self, bank: Bank, live: LiveServer) -> None:
        """A request that asks for more than is left is refused as a whole, and takes nothing from what is left."""
        tokens = [bank.account()["id"] for _ in range(6)]
        with live.client("alpha") as client:
            caller = Bank(live, client, bank.decryptor)
            assert caller.ask(*tokens, purpose="scarce").status_code == 429
            assert caller.ask(*tokens[:5], purpose="scarce").json()["released"] == 5
            assert caller.ask(tokens[5], purpose="scarce").status_code == 429

    @pytest.mark.parametrize(
        ("span", "begins", "left"),
        [("hour", datetime(2026, 11, 20, 12, tzinfo=UTC), 1801), ("day", datetime(2026, 11, 20, tzinfo=UTC), 41_401)],
    )
    def test_begin_anew(self, span: str, begins: datetime, left: int) -> None:
        """With each full hour, or each day of UTC."""
        assert rules.window(span, datetime(2026, 11, 20, 12, 30, tzinfo=UTC)) == (begins, left)


class TestTheAudit:
    def test_says_who_what_for_and_why(self, bank: Bank) -> None:
        """One record per token, with purpose and reason; what was refused is there with its code."""
        card, account = bank.card()["id"], bank.account()["id"]
        bank.ask(card, account, purpose="charge", with_key=True, reason="Order 4711")
        told, refused = bank.records(card)[0], bank.records(account)[0]
        assert (told["action"], told["reason"], told["actor"][:4]) == ("vault_token.detokenized", "Order 4711", "cli_")
        assert told["facts"] == {
            "purpose": "charge",
            "reveal": "full",
            "kind": "card",
            "fields": ["number", "expiry", "cvc"],
        }
        assert (refused["action"], refused["facts"]["code"]) == ("vault_token.refused", "purpose_not_allowed")

    def test_comes_before_the_value(self, bank: Bank, live: LiveServer) -> None:
        """Where nothing can be written down nothing is told, used up or even opened."""
        token = bank.account(single_use=True)["id"]
        bank.decryptor.asked.clear()
        tenant = live.run(live.services.registry.get("alpha"))
        as_owner(live, tenant, f'REVOKE INSERT ON audit_records FROM "{tenant.runtime_role}"')
        try:
            answer = bank.ask(token, purpose="payout")
            assert answer.status_code == 500
            assert IBAN not in answer.text
            assert bank.decryptor.asked == []
        finally:
            as_owner(live, tenant, f'GRANT INSERT ON audit_records TO "{tenant.runtime_role}"')
        assert bank.told(token, purpose="payout")[0]["status"] == 200


def as_owner(live: LiveServer, tenant: Any, sql: str) -> None:
    """Run SQL as the owner of the tenant's tables."""

    async def run() -> None:
        assert live.settings.admin_database_url is not None
        connection = await asyncpg.connect(live.settings.admin_database_url.reveal())
        try:
            await connection.execute(f'SET ROLE "{tenant.owner_role}"; SET search_path TO "{tenant.schema}"; {sql}')
        finally:
            await connection.close()

    live.run(run())


class TestWithoutKeys:
    def test_values_are_not_taken_in(self, bank: Bank, live: LiveServer) -> None:
        """503 within two seconds with the time to come back, nothing is written, and everything else goes on."""
        before = bank.sql("SELECT count(*) AS tokens FROM vault_tokens")
        card = {"kind": "card", "jwe": bank.jwe()}

        def refused() -> None:
            answer = bank.post("/v1/vault-tokens", card, key="keyless")
            assert code_of(answer) == (503, "keys_unavailable")
            assert int(answer.headers["retry-after"]) >= 1

        with paused(live):
            assert quickest_call(refused, below_s=2) < 2
            assert bank.client.get("/v1/wallets").status_code == 200
        assert bank.post("/v1/vault-tokens", card, key="keyless").status_code == 201
        (after,) = bank.sql("SELECT count(*) AS tokens FROM vault_tokens")
        assert after["tokens"] == before[0]["tokens"] + 1

    @pytest.mark.usefixtures("within_an_hour")
    def test_nothing_is_told_or_used_up(self, bank: Bank, live: LiveServer, tmp_path: Path) -> None:
        """A token for one use and the limit are given back, and it is written down that nothing was released."""
        token = bank.account(single_use=True)["id"]
        lasting = bank.account()["id"]
        with live.client("alpha") as client:
            caller = Bank(live, client, bank.decryptor)
            with away(live, tmp_path):
                answers = [caller.ask(token, purpose="payout")]
                answers += [caller.ask(lasting, purpose="scarce") for _ in range(6)]
            assert [code_of(each) for each in answers] == [(503, "keys_unavailable")] * 7
            assert caller.told(token, purpose="payout")[0]["status"] == 200
            assert [caller.ask(lasting, purpose="scarce").status_code for _ in range(6)] == [200] * 5 + [429]
        actions = [each["action"].removeprefix("vault_token.") for each in bank.records(token)]
        assert actions == ["detokenized", "not_released", "detokenized", "created"]

    def test_masks_are_shown_all_the_same(self, bank: Bank, live: LiveServer, tmp_path: Path) -> None:
        """Lists, tokens and masked purposes need no key."""
        token = bank.card()["id"]
        with away(live, tmp_path):
            assert bank.client.get(f"/v1/vault-tokens/{token}").json()["card"]["last4"] == PAN[-4:]
            assert bank.told(token, purpose="look")[0]["status"] == 200
            assert bank.client.delete(f"/v1/vault-tokens/{token}").status_code == 204


class TestAPersonWhoIsForgotten:
    def test_leaves_tokens_that_say_so(self, bank: Bank, live: LiveServer) -> None:
        """A destroyed key is told as such, for one token of many, and that nothing of it was released."""
        party = bank.party()
        gone, there = bank.account(party_id=party)["id"], bank.account()["id"]
        tenant = live.run(live.services.registry.get("alpha"))
        live.run(live.services.keys.forget(tenant, [ids.decode(Prefix.PARTY, party)], reason="test"))
        while True:
            # The decryptor drops what it has cached of the key within seconds.
            refused, told = bank.told(gone, there, purpose="payout")
            if refused["status"] != 200:
                break
        assert (refused["status"], refused["problem"]["code"], told["status"]) == (410, "token_forgotten", 200)
        assert bank.records(gone)[0]["action"] == "vault_token.not_released"
