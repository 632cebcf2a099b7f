"""Vault tokens over HTTP: taken in, shown, changed and deleted."""

import asyncio
import re
import secrets
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from billfold import ids
from billfold.ids import Prefix
from tests.live import LiveServer
from tests.pace import quickest_call
from tests.server.tokens.banks import IBAN, PAN, Bank, fresh_pan

NOBODY = "tok_" + "0" * 26
ACCOUNT = {"kind": "bank_account", "bank_account": {"iban": IBAN}}


def code_of(answer: httpx.Response) -> tuple[int, str]:
    """Return the status and the code of a refusal."""
    return answer.status_code, answer.json()["code"]


async def _set(event: asyncio.Event) -> None:
    event.set()


def advance(bank: Bank, by: timedelta) -> None:
    """Move the tenant's clock."""
    now = datetime.fromisoformat(bank.client.get("/v1/clock").json()["now"])
    answer = bank.post("/v1/clock/advance", {"to": (now + by).isoformat()})
    assert answer.status_code == 200, answer.text


class TestAVaultToken:
    def test_stands_for_a_card(self, bank: Bank) -> None:
        """It shows brand, first eight and last four digits; the number comes back to the caller's key alone."""
        token = bank.card(cvc="123")
        shown = {"brand": "visa", "bin": PAN[:8], "last4": PAN[-4:], "expiry_month": 12, "expiry_year": 2030}
        assert token["card"] == shown
        assert (token["has_cvc"], token["status"], token["kind"]) == (True, "active", "card")
        (verdict,) = bank.told(token["id"], purpose="charge", with_key=True)
        assert bank.opened(verdict) == {"number": PAN, "expiry_month": 12, "expiry_year": 2030, "cvc": "123"}
        (again,) = bank.told(token["id"], purpose="charge", with_key=True)
        assert "cvc" not in bank.opened(again)

    @pytest.mark.parametrize(
        ("account", "told", "shown"),
        [
            ({"iban": "de89 3704 0044 0532 0130 00"}, (IBAN, None, None), {"country": "DE", "last4": "3000"}),
            (
                {"sort_code": "20-00-00", "account_number": "55779911"},
                (None, "200000", "55779911"),
                {"country": "GB", "last4": "9911"},
            ),
        ],
        ids=["iban", "sort code"],
    )
    def test_stands_for_a_bank_account(
        self, bank: Bank, account: dict[str, str], told: tuple[str | None, ...], shown: dict[str, str]
    ) -> None:
        """It shows country and last four characters, and comes back in its normal form."""
        token = bank.made({"kind": "bank_account", "bank_account": account})
        assert token["bank_account"] == shown
        (verdict,) = bank.told(token["id"], purpose="payout")
        assert tuple(verdict["bank_account"][name] for name in ("iban", "sort_code", "account_number")) == told

    def test_stands_for_a_personal_value(self, bank: Bank) -> None:
        """Nothing is shown of it but its type."""
        token = bank.personal()
        assert (token["personal_type"], token["card"], token["bank_account"]) == ("tax_id", None, None)
        (verdict,) = bank.told(token["id"], purpose="payout")
        assert verdict["personal"] == "12345678901"

    def test_is_random(self, bank: Bank) -> None:
        """The same value has another token each time, and all of the 128 bits differ now and then."""
        tokens = [ids.decode(Prefix.VAULT_TOKEN, bank.account()["id"]).int for _ in range(24)]
        assert len(set(tokens)) == 24
        ones = [sum(token >> bit & 1 for token in tokens) for bit in range(128)]
        assert all(0 < count < 24 for count in ones)

    def test_belongs_to_its_tenant(self, bank: Bank, stranger: httpx.Client) -> None:
        """Another tenant's token is the same 404 as one that isn't there, wherever it is named."""
        token = bank.account()["id"]
        for path in (token, NOBODY):
            answer = stranger.get(f"/v1/vault-tokens/{path}")
            assert code_of(answer) == (404, "not_found")
            assert answer.json()["detail"] == "there is no such vault token"
        body = {"vault_token_ids": [token, NOBODY], "purpose": "payout", "reason": "test"}
        verdicts = stranger.post("/v1/vault-tokens/detokenize", json=body).json()["results"]
        told = [{**each, "vault_token_id": "", "problem": each["problem"]["code"]} for each in verdicts]
        assert told[0] == told[1]
        assert (told[0]["problem"], told[0]["kind"]) == ("not_found", None)

    def test_is_about_a_party(self, bank: Bank) -> None:
        """It is listed with the party's; a party that isn't there is refused before anything is sealed."""
        party = bank.party()
        tokens = [bank.account(party_id=party)["id"], bank.personal(party_id=party)["id"]]
        bank.account()
        listed = bank.client.get("/v1/vault-tokens", params={"party_id": party}).json()["data"]
        assert [each["id"] for each in listed] == tokens[::-1]
        bank.decryptor.asked.clear()
        answer = bank.post("/v1/vault-tokens", {**ACCOUNT, "party_id": "par_" + "0" * 26})
        assert (*code_of(answer), answer.json()["param"]) == (404, "not_found", "party_id")
        assert bank.decryptor.asked == []

    def test_is_made_once_for_a_key(self, bank: Bank) -> None:
        """Sent again under its idempotency key, the same value has the same token; another value is refused."""
        first, again = (bank.post("/v1/vault-tokens", ACCOUNT, key="once") for _ in range(2))
        assert (first.json(), again.headers["idempotent-replayed"]) == (again.json(), "true")
        other = bank.post("/v1/vault-tokens", {**ACCOUNT, "single_use": True}, key="once")
        assert code_of(other) == (422, "idempotency_key_reused")

    def test_is_made_once_however_many_copies_come_at_once(self, bank: Bank) -> None:
        """Of ten at the same moment one takes the value in, and all have its answer."""
        body = {**ACCOUNT, "metadata": {"copies": "ten"}}
        answers = bank.at_once(10, lambda: bank.post("/v1/vault-tokens", body, key="copies"))
        assert {each.status_code for each in answers} == {201}
        (token,) = {each.json()["id"] for each in answers}
        assert len({each.content for each in answers}) == 1
        assert sorted(each.headers.get("idempotent-replayed", "") for each in answers) == [""] + ["true"] * 9
        (record,) = bank.records(token)
        assert record["action"] == "vault_token.created"
        (found,) = bank.sql("SELECT count(*) AS number FROM vault_tokens WHERE metadata ->> 'copies' = 'ten'")
        assert found["number"] == 1

    @pytest.mark.usefixtures("product_locks")
    def test_is_not_made_while_a_copy_is_under_way(self, bank: Bank, live: LiveServer) -> None:
        """Who waits too long for a copy hears that there is one, and nothing is written."""
        bank.post("/v1/vault-tokens", ACCOUNT, key="known")
        (known,) = bank.sql("SELECT client_id FROM idempotency_keys WHERE key = 'known'")
        held, answered = asyncio.Event(), asyncio.Event()

        async def hold() -> None:
            async with live.services.database.tx(await live.services.registry.get("alpha")) as tx:
                await tx.execute(
                    "INSERT INTO idempotency_keys (client_id, key, fingerprint, created_at) "
                    "VALUES ($1, 'held', $2, now())",
                    known["client_id"], bytes(32),
                )  # fmt: skip
                held.set()
                await answered.wait()
                raise TimeoutError

        holding = live.begin(hold())
        live.run(held.wait())

        def ask() -> None:
            answer = bank.post("/v1/vault-tokens", {**ACCOUNT, "metadata": {"copy": "held"}}, key="held")
            assert code_of(answer) == (409, "request_in_flight")

        took_s = quickest_call(ask, below_s=3.5)
        live.begin(_set(answered)).result(30)
        with pytest.raises(TimeoutError):
            holding.result(30)
        assert 1.5 < took_s < 3.5
        assert bank.sql("SELECT id FROM vault_tokens WHERE metadata ->> 'copy' = 'held'") == []
        assert bank.post("/v1/vault-tokens", ACCOUNT, key="held").status_code == 201

    def test_that_is_refused_stays_refused_under_its_key(self, bank: Bank) -> None:
        """What the state refuses is kept and answered again, and leaves no token."""
        body = {**ACCOUNT, "expires_at": "2001-01-01T00:00:00Z", "metadata": {"end": "past"}}
        first, again = (bank.post("/v1/vault-tokens", body, key="refused") for _ in range(2))
        assert code_of(first) == code_of(again) == (422, "vault_token_invalid")
        assert again.headers["idempotent-replayed"] == "true"
        assert bank.sql("SELECT id FROM vault_tokens WHERE metadata ->> 'end' = 'past'") == []

    def test_ends(self, bank: Bank) -> None:
        """After its end it opens nothing, is shown as expired, and can't be given another end."""
        token = bank.account(expires_in_s=60)["id"]
        lasting = bank.account(expires_in_s=60)["id"]
        answer = bank.client.patch(f"/v1/vault-tokens/{lasting}", json={"expires_at": None})
        assert (answer.status_code, answer.json()["expires_at"], answer.json()["version"]) == (200, None, 2)
        advance(bank, timedelta(seconds=61))
        told = bank.told(token, lasting, purpose="payout")
        assert [each["status"] for each in told] == [409, 200]
        assert told[0]["problem"]["code"] == "vault_token_expired"
        assert bank.client.get(f"/v1/vault-tokens/{token}").json()["status"] == "expired"
        answer = bank.client.patch(f"/v1/vault-tokens/{token}", json={"expires_at": None})
        assert code_of(answer) == (409, "vault_token_expired")

    @pytest.mark.parametrize(
        "end", [{"expires_at": "2001-01-01T00:00:00Z"}, {"expires_at": "2101-01-01T00:00:00Z", "expires_in_s": 5}]
    )
    def test_has_one_end_that_lies_ahead(self, bank: Bank, end: dict[str, Any]) -> None:
        """An end in the past, or said in two ways, is refused."""
        assert code_of(bank.post("/v1/vault-tokens", {**ACCOUNT, **end})) == (422, "vault_token_invalid")

    def test_is_changed_by_whoever_has_read_it(self, bank: Bank) -> None:
        """If-Match of an older version is refused; what changes nothing counts no version."""
        token = bank.account(metadata={"a": "1"})["id"]
        path = f"/v1/vault-tokens/{token}"
        same = bank.client.patch(path, json={"metadata": {"a": "1"}})
        changed = bank.client.patch(path, json={"metadata": {"a": "2"}}, headers={"If-Match": same.headers["etag"]})
        assert (same.json()["version"], changed.json()["version"], changed.json()["metadata"]) == (1, 2, {"a": "2"})
        late = bank.client.patch(path, json={"metadata": {}}, headers={"If-Match": same.headers["etag"]})
        assert code_of(late) == (412, "precondition_failed")

    def test_is_deleted(self, bank: Bank) -> None:
        """Then it isn't there any more, nor is its value, and the audit knows why."""
        iban = "GB94BARC10201530093459"
        token = bank.account(iban)
        answer = bank.client.delete(f"/v1/vault-tokens/{token['id']}", params={"reason": "Account closed"})
        assert answer.status_code == 204
        assert code_of(bank.client.get(f"/v1/vault-tokens/{token['id']}")) == (404, "not_found")
        assert bank.records(token["id"])[0]["reason"] == "Account closed"
        value = ids.decode(Prefix.FINGERPRINT, token["fingerprint"])
        assert bank.sql("SELECT FROM vault_fingerprints WHERE id = $1", value) == []

    def test_is_told_of_by_ids_alone(self, bank: Bank) -> None:
        """Events and audit hold neither digits nor names nor metadata."""
        token = bank.account("GB33BUKB20201555555555", metadata={"note": "secretly"})["id"]
        bank.told(token, purpose="payout")
        bank.client.delete(f"/v1/vault-tokens/{token}")
        events = bank.sql(
            "SELECT type, data::text AS data FROM outbox_events WHERE object_id = $1 ORDER BY sequence", token
        )
        assert [each["type"] for each in events] == [
            "vault_token.created",
            "vault_token.detokenized",
            "vault_token.deleted",
        ]
        said = " ".join([each["data"] for each in events] + [str(each) for each in bank.records(token)])
        # Chance may have put these digits into an id, or into the microseconds of a time.
        said = re.sub(r"\b[a-z]{3}_[0-9a-z]{26}\b|\b\d{4}-\d\d-\d\dT[0-9:.]+Z", "", said)
        assert "payout" in said
        assert not any(each in said for each in ("5555", "BUKB", "Ada", "secretly"))


class TestAValue:
    @pytest.mark.parametrize(
        ("body", "code"),
        [
            ({"kind": "bank_account", "bank_account": {"iban": "DE89370400440532013001"}}, "bank_account_invalid"),
            ({"kind": "bank_account", "bank_account": {"iban": "ZZ89370400440532013001"}}, "bank_account_invalid"),
            ({"kind": "bank_account", "bank_account": {}}, "bank_account_invalid"),
            ({"kind": "bank_account", "bank_account": {"sort_code": "200000"}}, "bank_account_invalid"),
            (
                {"kind": "bank_account", "bank_account": {"iban": IBAN, "sort_code": "200000"}},
                "bank_account_invalid",
            ),
            ({"kind": "bank_account"}, "vault_token_invalid"),
            ({"kind": "card", "bank_account": {"iban": IBAN}}, "vault_token_invalid"),
            ({"kind": "card", "jwe": "a.b.c.d.e", "bank_account": {"iban": IBAN}}, "vault_token_invalid"),
            ({"kind": "card", "jwe": "a.b.c.d.e"}, "jwe_invalid"),
            ({"kind": "personal", "personal": {"type": "shoe_size", "value": "43"}}, "personal_type_unknown"),
            ({"kind": "personal", "personal": {"type": "tax_id", "value": "1234"}}, "personal_value_invalid"),
            ({"kind": "personal", "personal": {"type": "birthday", "value": "1815-12-10\n"}}, "personal_value_invalid"),
        ],
        ids=str,
    )
    def test_is_what_it_is_said_to_be(self, bank: Bank, body: dict[str, Any], code: str) -> None:
        """What isn't is refused by a code of its own, alone and among others, and nothing is kept."""
        before = bank.sql("SELECT count(*) AS tokens FROM vault_tokens")
        assert code_of(bank.post("/v1/vault-tokens", body)) == (422, code)
        (verdict,) = bank.post("/v1/vault-tokens/bulk", {"vault_tokens": [body]}).json()["results"]
        assert (verdict["status"], verdict["problem"]["code"], verdict["vault_token"]) == (422, code, None)
        assert bank.sql("SELECT count(*) AS tokens FROM vault_tokens") == before

    def test_that_no_card_has_is_refused(self, bank: Bank) -> None:
        """A number with a wrong check digit has the decryptor's own code."""
        answer = bank.post("/v1/vault-tokens", {"kind": "card", "jwe": bank.jwe("4111111111111112")})
        assert (*code_of(answer), answer.json()["param"]) == (422, "card_number_invalid", "jwe")

    @pytest.mark.parametrize("text", [PAN, f"card {PAN[:4]}-{PAN[4:8]} {PAN[8:12]}.{PAN[12:]}!", "378282246310005"])
    def test_does_not_lie_in_a_text_that_is_open(self, bank: Bank, text: str) -> None:
        """Metadata and reasons that hold a card's number are refused, and blame their field without repeating it."""
        token = bank.account()["id"]
        answers = [
            bank.post("/v1/vault-tokens", {**ACCOUNT, "metadata": {"note": text}}),
            bank.client.patch(f"/v1/vault-tokens/{token}", json={"metadata": {"note": text}}),
            bank.client.delete(f"/v1/vault-tokens/{token}", params={"reason": text}),
            bank.ask(token, purpose="payout", reason=text),
        ]
        assert [code_of(each) for each in answers] == [(422, "card_data_not_allowed")] * 4
        assert [each.json()["param"] for each in answers] == ["metadata", "metadata", "reason", "reason"]
        assert not any(text in each.text for each in answers)

    def test_of_another_kind_may_look_like_many_things(self, bank: Bank) -> None:
        """Numbers that no card can have are no card numbers."""
        texts = ["4111111111111112", "1234567890123456", "41111111111111111111", "0" * 16]
        bank.account(metadata={f"n{place}": text for place, text in enumerate(texts)})


class TestAFingerprint:
    def test_is_that_of_the_value(self, bank: Bank) -> None:
        """Tokens of a value share it, whatever the expiry, the holder or the party; another value has another."""
        number = fresh_pan()
        one, same = bank.card(number), bank.card(number, expiry_year=2031, party_id=bank.party())
        other = bank.card(fresh_pan())
        assert one["fingerprint"] == same["fingerprint"] != other["fingerprint"]
        listed = bank.client.get("/v1/vault-tokens", params={"fingerprint": one["fingerprint"]}).json()["data"]
        assert [each["id"] for each in listed] == [same["id"], one["id"]]

    def test_is_for_who_may_search(self, bank: Bank, live: LiveServer) -> None:
        """Without that scope it is blank, and can't be looked for: with many guesses, it tells the number."""
        token = bank.account()
        with live.client("alpha", ["tokens:read", "tokens:write"]) as poor:
            assert poor.get(f"/v1/vault-tokens/{token['id']}").json()["fingerprint"] is None
            assert poor.post("/v1/vault-tokens", json=ACCOUNT).json()["fingerprint"] is None
            assert {each["fingerprint"] for each in poor.get("/v1/vault-tokens").json()["data"]} == {None}
            answer = poor.get("/v1/vault-tokens", params={"fingerprint": token["fingerprint"]})
            assert code_of(answer) == (403, "insufficient_scope")
            assert poor.post("/v1/vault-tokens/search", json=ACCOUNT).status_code == 403

    def test_is_none_of_what_is_not_searched_for(self, bank: Bank) -> None:
        """A type that the manifest doesn't call searchable has no digest anywhere."""
        token = bank.personal("1815-12-10", "birthday")
        assert token["fingerprint"] is None
        body = {"kind": "personal", "personal": {"type": "birthday", "value": "1815-12-10"}}
        assert code_of(bank.post("/v1/vault-tokens/search", body)) == (422, "personal_type_unknown")

    def test_is_one_when_many_take_the_value_in_at_once(self, bank: Bank) -> None:
        """Twenty at the same moment agree on it, and with `dedup` on the token."""
        value = f"{secrets.randbelow(10**11):011d}"
        body = {"kind": "personal", "personal": {"type": "tax_id", "value": value}, "dedup": "reuse"}
        tokens = bank.at_once(20, lambda: bank.made(body))
        assert len({each["fingerprint"] for each in tokens}) == 1
        assert len({each["id"] for each in tokens}) == 1
        assert sorted(each["reused"] for each in tokens) == [False] + [True] * 19

    def test_is_one_for_tokens_of_their_own_that_are_made_at_once(self, bank: Bank) -> None:
        """Twenty at the same moment have as many tokens of a value that nobody knew before."""
        value = f"{secrets.randbelow(10**11):011d}"
        body = {"kind": "personal", "personal": {"type": "tax_id", "value": value}}
        tokens = bank.at_once(20, lambda: bank.made(body))
        assert len({each["id"] for each in tokens}) == 20
        (fingerprint,) = {each["fingerprint"] for each in tokens}
        shown = {bank.client.get(f"/v1/vault-tokens/{each['id']}").json()["fingerprint"] for each in tokens[:3]}
        assert shown == {fingerprint}


class TestATokenThatIsReused:
    def test_has_the_same_value_party_and_end(self, bank: Bank) -> None:
        """Whatever differs makes another token: expiry, party, end, one use, or a code that came along."""
        number, party = fresh_pan(), bank.party()
        first = bank.card(number)
        assert bank.card(number, dedup="reuse")["id"] == first["id"]
        others: list[dict[str, Any]] = [
            {"expiry_year": 2031},
            {"party_id": party},
            {"expires_in_s": 3600},
            {"single_use": True},
            {"cvc": "123"},
        ]
        made = [bank.card(number, dedup="reuse", **changes) for changes in others]
        assert not any(each["reused"] for each in made)
        assert len({first["id"], *(each["id"] for each in made)}) == 6

    def test_may_stand_in_the_same_request(self, bank: Bank) -> None:
        """Of two alike in one request, the second has the first one's token."""
        item = {"kind": "personal", "personal": {"type": "tax_id", "value": f"{secrets.randbelow(10**11):011d}"}}
        answer = bank.post("/v1/vault-tokens/bulk", {"vault_tokens": [{**item, "dedup": "reuse"}] * 2}).json()
        assert (answer["created"], answer["reused"], answer["refused"]) == (1, 1, 0)
        assert [each["status"] for each in answer["results"]] == [201, 200]

    def test_is_for_who_may_search(self, live: LiveServer) -> None:
        """Without that scope nobody is told by `dedup` whether a value is known, nor is anything taken in."""
        item = {**ACCOUNT, "dedup": "reuse"}
        with live.client("alpha", ["tokens:read", "tokens:write"]) as poor:
            for path, body in (("", item), ("/bulk", {"vault_tokens": [ACCOUNT, item]})):
                answer = poor.post(f"/v1/vault-tokens{path}", json=body)
                assert code_of(answer) == (403, "insufficient_scope")

    @pytest.mark.usefixtures("within_an_hour")
    def test_is_counted_as_a_search(self, bank: Bank, live: LiveServer) -> None:
        """Each item that asks for it is one, which is recorded; where that is too many, nothing is taken in."""
        item = {**ACCOUNT, "dedup": "reuse"}
        with live.client("alpha") as other:
            body = {"vault_tokens": [item, ACCOUNT, item]}
            taken = other.post("/v1/vault-tokens/bulk", json=body).json()
            assert taken["refused"] == 0
            used = "SELECT used FROM vault_uses WHERE purpose = '(search)' AND span = 'hour' ORDER BY used"
            before = [row["used"] for row in bank.sql(used)]
            assert 2 in before
            bank.sql("UPDATE vault_uses SET used = 499 WHERE purpose = '(search)' RETURNING 1")
            assert code_of(other.post("/v1/vault-tokens/bulk", json=body)) == (429, "search_limit_reached")
            assert other.post("/v1/vault-tokens", json=item).status_code == 201
            assert code_of(other.post("/v1/vault-tokens", json=item)) == (429, "search_limit_reached")
            bank.sql("UPDATE vault_uses SET used = 0 WHERE purpose = '(search)' RETURNING 1")


class TestASearch:
    def test_finds_by_value(self, bank: Bank) -> None:
        """A card by a JWE of its number, an account however it is written, a personal value; and who searched."""
        number, tax_id = fresh_pan(), f"{secrets.randbelow(10**11):011d}"
        card, personal = bank.card(number), bank.personal(tax_id)
        bank.account("GB33BUKB20201555555555")
        searches = [
            ({"kind": "card", "jwe": bank.jwe(number)}, card["fingerprint"]),
            ({"kind": "personal", "personal": {"type": "tax_id", "value": tax_id}}, personal["fingerprint"]),
        ]
        for body, fingerprint in searches:
            found = bank.post("/v1/vault-tokens/search", body).json()
            assert (found["fingerprint"], len(found["data"])) == (fingerprint, 1)
        account = {"kind": "bank_account", "bank_account": {"iban": "gb33 BUKB 2020 1555 5555 55"}}
        assert bank.post("/v1/vault-tokens/search", account).json()["data"]
        assert bank.post("/v1/vault-tokens/search", {"kind": "card", "jwe": bank.jwe(fresh_pan())}).json() == {
            "fingerprint": None,
            "data": [],
        }

    @pytest.mark.usefixtures("within_an_hour")
    def test_is_counted(self, bank: Bank, live: LiveServer) -> None:
        """After as many as the manifest allows in an hour, each further one is 429, and the first raises the alarm."""
        alarms = "SELECT FROM outbox_events WHERE type = 'vault_token.alarm' AND data::text LIKE '%(search)%'"
        before = len(bank.sql(alarms))
        with live.client("alpha") as other:
            body = {"kind": "personal", "personal": {"type": "tax_id", "value": "00000000000"}}
            assert other.post("/v1/vault-tokens/search", json=body).status_code == 200
            bank.sql("UPDATE vault_uses SET used = 500 WHERE purpose = '(search)' RETURNING 1")
            answers = [other.post("/v1/vault-tokens/search", json=body) for _ in range(2)]
            assert [code_of(each) for each in answers] == [(429, "search_limit_reached")] * 2
            assert 0 < int(answers[0].headers["retry-after"]) <= 3601
            bank.sql("UPDATE vault_uses SET used = 0 WHERE purpose = '(search)' RETURNING 1")
        assert len(bank.sql(alarms)) == before + 1


class TestTheEncryptionKeys:
    def test_are_public(self, live: LiveServer) -> None:
        """Anybody may read and keep them for a while, and learns for whom to encrypt."""
        answer = httpx.get(f"{live.base('alpha')}/v1/encryption-keys")
        assert answer.headers["cache-control"] == "public, max-age=300"
        assert answer.json()["audience"] == live.base("alpha")
        (key,) = answer.json()["keys"]
        assert set(key) == {"kty", "crv", "x", "y", "kid", "use", "alg", "not_after"}


class TestManyValues:
    def test_have_a_verdict_each(self, bank: Bank) -> None:
        """In order: what can be taken in is, what can't has its problem; a copy of the request is answered alike."""
        items = [ACCOUNT, {"kind": "card", "jwe": "a.b.c.d.e"}, {"kind": "card", "jwe": bank.jwe()}]
        first, again = (bank.post("/v1/vault-tokens/bulk", {"vault_tokens": items}, key="bulk") for _ in range(2))
        assert [each["status"] for each in first.json()["results"]] == [201, 422, 201]
        assert (first.text, again.headers["idempotent-replayed"]) == (again.text, "true")

    def test_are_a_hundred_at_most(self, bank: Bank) -> None:
        """A hundred are taken in and told in one request each, one more is refused as a whole."""
        taken = bank.post("/v1/vault-tokens/bulk", {"vault_tokens": [ACCOUNT] * 100}).json()
        tokens = [each["vault_token"]["id"] for each in taken["results"]]
        assert (taken["created"], len(set(tokens))) == (100, 100)
        told = bank.told(*tokens, purpose="payout")
        assert [each["vault_token_id"] for each in told] == tokens
        assert {each["bank_account"]["iban"] for each in told} == {IBAN}
        for path, body in (
            ("/v1/vault-tokens/bulk", {"vault_tokens": [ACCOUNT] * 101}),
            (
                "/v1/vault-tokens/detokenize",
                {"vault_token_ids": [*tokens, NOBODY], "purpose": "payout", "reason": "test"},
            ),
        ):
            assert code_of(bank.post(path, body)) == (400, "validation_failed")

    def test_are_listed_page_by_page(self, bank: Bank) -> None:
        """The newest first, and each once, also where their ids are in no order."""
        party = bank.party()
        made = bank.post("/v1/vault-tokens/bulk", {"vault_tokens": [{**ACCOUNT, "party_id": party}] * 5}).json()
        listed: list[str] = []
        query: dict[str, Any] = {"party_id": party, "limit": 2, "kind": "bank_account"}
        while True:
            page = bank.client.get("/v1/vault-tokens", params=query).json()
            listed += [each["id"] for each in page["data"]]
            if page["next_cursor"] is None:
                break
            query["cursor"] = page["next_cursor"]
        assert listed == [each["vault_token"]["id"] for each in made["results"]][::-1]
