"""Taking in and giving out, with real keys and what a foreign library encrypts."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import msgspec
import pytest
from joserfc.jwk import ECKey

from billfold import errors
from billfold_server.decryptor import rules, wire
from billfold_server.decryptor.cvcs import Cvcs
from billfold_server.decryptor.handling import Handling
from billfold_server.decryptor.wire import Given, Incoming, Outgoing, Refused, SealedKey, Taken
from billfold_server.keys.service import TENANT_SUBJECT, Keys
from tests.cards import CARDS
from tests.keystores import Owner
from tests.server.decryptor.sealing import CARD, ISSUER, Vault, encrypted, opened

MINE = ECKey.generate_key("P-256")
PUBLIC = MINE.as_dict(private=False)


def out(item: Incoming, taken: Taken, **changes: object) -> Outgoing:
    """Return what was taken in on its way out."""
    asked = Outgoing(token_id=item.token_id, kind=item.kind, sealed=taken.sealed, response_jwk=dict(PUBLIC))
    return msgspec.structs.replace(asked, **changes)


def personal(value: bytes = b"ada@example.org", *, subject: UUID = TENANT_SUBJECT) -> Incoming:
    """Return an address on its way in."""
    return Incoming(token_id=uuid4(), kind="personal", subject=subject, personal_type="email", plain=value)


def account(**fields: str) -> Incoming:
    """Return a bank account on its way in."""
    return Incoming(token_id=uuid4(), kind="bank_account", subject=TENANT_SUBJECT, plain=json.dumps(fields).encode())


class SetClock:
    """A clock that says what it is told."""

    def __init__(self) -> None:
        self.time = datetime.now(UTC)

    def now(self) -> datetime:
        """Return the time."""
        return self.time


class TestACard:
    async def test_comes_out_as_it_went_in(self, vault: Vault) -> None:
        """To the caller's key alone, with the token's id."""
        item = vault.card()
        taken = await vault.taken(item)
        assert b"4111" not in taken.sealed
        (given,) = await vault.give_out(out(item, taken))
        found = opened(given, MINE)
        assert {**found, "token": ""} == {**{name: CARD[name] for name in CARD if name != "cvc"}, "token": ""}
        assert str(found["token"]).startswith("tok_")

    async def test_tells_only_the_fields_that_are_asked_for(self, vault: Vault) -> None:
        """A purpose may need the expiry alone."""
        item = vault.card()
        (given,) = await vault.give_out(out(item, await vault.taken(item), fields=["expiry"]))
        assert opened(given, MINE).keys() == {"token", "expiry_month", "expiry_year"}

    async def test_never_comes_out_by_itself(self, vault: Vault) -> None:
        """Without a key to encrypt to there is no card, whatever kind is asked for."""
        item = vault.card()
        taken = await vault.taken(item)
        results = await vault.give_out(
            out(item, taken, response_jwk=None),
            out(item, taken, response_jwk=None, kind="personal"),
            out(item, taken, response_jwk=None, kind="bank_account"),
        )
        codes = [result.code for result in results if isinstance(result, Refused)]
        assert codes == ["response_key_required", "token_unreadable", "token_unreadable"]

    async def test_never_comes_in_by_itself(self, vault: Vault) -> None:
        """A card in plain is refused before it is looked at."""
        plain = Incoming(token_id=uuid4(), kind="card", subject=TENANT_SUBJECT, plain=json.dumps(CARD).encode())
        assert await vault.take_in(plain) == [Refused("jwe_invalid")]

    async def test_gives_its_code_out_once(self, vault: Vault, cvcs: Cvcs) -> None:
        """The first that asks for the code has it, and then it is gone; a refusal doesn't use it up."""
        item = vault.card()
        taken = await vault.taken(item)
        assert taken.has_cvc
        (refused,) = await vault.give_out(out(item, taken, with_cvc=True, response_jwk={"kty": "EC"}))
        assert refused == Refused("response_key_invalid")
        (without,) = await vault.give_out(out(item, taken))
        (first,) = await vault.give_out(out(item, taken, with_cvc=True))
        (second,) = await vault.give_out(out(item, taken, with_cvc=True))
        assert ["cvc" in opened(each, MINE) for each in (without, first, second)] == [False, True, False]
        assert opened(first, MINE)["cvc"] == "123"
        assert len(cvcs) == 0

    @pytest.mark.parametrize(
        ("payload", "code"),
        [
            ({**CARD, "number": "4111111111111112"}, "card_number_invalid"),
            ({**CARD, "expiry_year": 2020}, "card_expired"),
            ({**CARD, "cvc": "1"}, "card_cvc_invalid"),
            ({**CARD, "holder": "4111111111111111"}, "card_holder_invalid"),
            ({**CARD, "pin": "1234"}, "jwe_invalid"),
            ({**CARD, "number": 4111111111111111}, "jwe_invalid"),
            ({**CARD, "expiry_month": "12"}, "jwe_invalid"),
            ({"number": CARD["number"]}, "jwe_invalid"),
            ([CARD], "jwe_invalid"),
            (b"", "jwe_invalid"),
            (b"\xff\xfe", "jwe_invalid"),
            (b"[" * 3000 + b"]" * 3000, "jwe_invalid"),
            (b'{"number":' * 300, "jwe_invalid"),
        ],
    )
    async def test_that_cant_be_one_has_its_code(self, vault: Vault, payload: object, code: str) -> None:
        """What was sent comes back in nothing."""
        assert await vault.take_in(vault.card(payload)) == [Refused(code)]

    async def test_for_another_tenant_is_refused(self, vault: Vault) -> None:
        """The audience must be the tenant's issuer, to the letter."""
        for aud in ("https://wallet.example/t/beta", "https://wallet.example/t/alpha/", "x"):
            assert await vault.take_in(vault.card(aud=aud)) == [Refused("jwe_invalid")]

    async def test_leaves_the_others_of_its_batch_alone(self, vault: Vault) -> None:
        """One result for each item, in order."""
        items = [vault.card() if at % 3 else vault.card({**CARD, "cvc": "x"}) for at in range(40)]
        results = await vault.take_in(*items)
        assert [isinstance(each, Taken) for each in results] == [bool(at % 3) for at in range(40)]

    async def test_of_the_same_number_has_the_same_fingerprint(self, vault: Vault) -> None:
        """Expiry, holder and code don't count; another number does, and so does another tenant."""
        one, same, other = [
            await vault.taken(vault.card({**CARD, **changes}))
            for changes in ({}, {"expiry_year": 2031, "holder": "A", "cvc": "999"}, {"number": CARDS["mastercard"]})
        ]
        assert one.fingerprints == same.fingerprints != other.fingerprints
        elsewhere = Vault(vault.handling, uuid4())
        await elsewhere.make_key()
        assert (await elsewhere.taken(elsewhere.card())).fingerprints != one.fingerprints


class TestAValueThatIsNoCard:
    async def test_may_come_and_go_by_itself(self, vault: Vault) -> None:
        """A personal value and an account come out as they went in, in one form."""
        address, bank = personal(), account(iban="de89 3704 0044 0532 0130 00", holder="Ada")
        taken = [await vault.taken(each) for each in (address, bank)]
        given = await vault.give_out(
            *(out(item, each, response_jwk=None) for item, each in zip((address, bank), taken, strict=True))
        )
        plain = [each.plain for each in given if isinstance(each, Given)]
        assert plain[0] == b"ada@example.org"
        assert json.loads(plain[1] or b"") == {"iban": "DE89370400440532013000", "holder": "Ada"}
        assert taken[1].masked == {"country": "DE", "last4": "3000"}
        assert taken[0].masked == {}

    async def test_may_go_encrypted(self, vault: Vault) -> None:
        """With a key, everything goes to that key."""
        item = account(sort_code="20-00-00", account_number="55779911")
        (given,) = await vault.give_out(out(item, await vault.taken(item)))
        found = opened(given, MINE)
        assert (found["sort_code"], found["account_number"]) == ("200000", "55779911")

    async def test_may_come_encrypted(self, vault: Vault) -> None:
        """The payload has the members of its kind."""
        value = Incoming(
            token_id=uuid4(),
            kind="personal",
            subject=TENANT_SUBJECT,
            personal_type="email",
            jwe=encrypted({"value": "Ada@Example.org"}, vault.key),
        )
        assert (await vault.taken(value)).fingerprints == (await vault.taken(personal())).fingerprints

    @pytest.mark.parametrize(
        ("item", "code"),
        [
            (account(iban="DE00"), "bank_account_invalid"),
            (account(iban="DE89370400440532013000", bic="X"), "bank_account_invalid"),
            (account(), "bank_account_invalid"),
            (personal(b""), "personal_value_invalid"),
            (personal(b"\xff"), "personal_value_invalid"),
            (personal(b"a\0b"), "personal_value_invalid"),
            (personal(b"x" * 5000), "personal_value_invalid"),
            (Incoming(token_id=uuid4(), kind="personal", subject=TENANT_SUBJECT, plain=b"x"), "personal_value_invalid"),
            (Incoming(token_id=uuid4(), kind="personal", subject=TENANT_SUBJECT), "jwe_invalid"),
        ],
    )
    async def test_has_its_code_where_it_cant_be_one(self, vault: Vault, item: Incoming, code: str) -> None:
        """Each kind has a code of its own."""
        assert await vault.take_in(item) == [Refused(code)]


class TestASealedValue:
    async def test_opens_at_its_own_token_alone(self, vault: Vault) -> None:
        """Another token's row, another kind and another tenant don't open it; nor does it open when it was changed."""
        item = vault.card()
        taken = await vault.taken(item)
        broken = [
            out(item, taken, token_id=uuid4()),
            out(item, taken, kind="personal"),
            out(item, taken, sealed=taken.sealed[:-1] + bytes([taken.sealed[-1] ^ 1])),
            out(item, taken, sealed=b""),
            out(item, taken, sealed=b"\x01" * 80),
        ]
        assert await vault.give_out(*broken) == [Refused("token_unreadable")] * len(broken)
        elsewhere = Vault(vault.handling, uuid4())
        assert await elsewhere.give_out(out(item, taken)) == [Refused("token_unreadable")]

    async def test_of_somebody_who_was_forgotten_is_told_apart(
        self, vault: Vault, owner: Owner, new_keys: Callable[..., Keys]
    ) -> None:
        """Neither in nor out, and the others of the batch aren't held up."""
        party, other = uuid4(), personal()
        item = personal(subject=party)
        taken, kept = await vault.taken(item), await vault.taken(other)
        keys = new_keys(domain="cards")
        await keys.forget(owner, [party], reason="asked to")
        vault.handling = Handling(keys, SetClock(), Cvcs(slots=1))
        results = await vault.give_out(out(item, taken), out(other, kept))
        assert results[0] == Refused("token_forgotten")
        assert isinstance(results[1], Given)
        again = await vault.take_in(personal(subject=party), personal())
        assert again[0] == Refused("token_forgotten")
        assert isinstance(again[1], Taken)


class TestAnEncryptionKey:
    async def test_is_refused_by_the_code_of_its_state(self, new_keys: Callable[..., Keys], owner: Owner) -> None:
        """Unknown, good, good for an hour's grace, and then expired; and expired when its private half is gone."""
        clock = SetClock()
        vault = Vault(Handling(new_keys(domain="cards"), clock, Cvcs(slots=8)), owner.id)
        await vault.make_key()
        foreign = msgspec.structs.replace(vault.key, jwk={**vault.key.jwk, "kid": "enk_unknown"})
        card = Incoming(token_id=uuid4(), kind="card", subject=TENANT_SUBJECT, jwe=encrypted(CARD, foreign))
        assert await vault.take_in(card) == [Refused("encryption_key_unknown")]
        card = vault.card()
        clock.time = vault.key.not_after + rules.GRACE
        assert isinstance((await vault.take_in(card))[0], Taken)
        assert (await vault.shown()).keys == []
        clock.time += timedelta(seconds=1)
        assert await vault.take_in(card) == [Refused("encryption_key_expired")]
        clock.time -= rules.LIFE
        vault.sealed = [SealedKey(each.id, None) for each in vault.sealed]
        assert await vault.take_in(card) == [Refused("encryption_key_expired")]

    async def test_overlaps_with_its_successor(self, vault: Vault) -> None:
        """The newest is shown first, and what was encrypted to the one before is still taken."""
        card, former = vault.card(), vault.key
        await vault.make_key()
        assert [each.jwk["kid"] for each in (await vault.shown()).keys] == [vault.key.jwk["kid"], former.jwk["kid"]]
        assert isinstance((await vault.take_in(card))[0], Taken)
        assert isinstance((await vault.take_in(vault.card()))[0], Taken)

    async def test_of_another_tenant_or_row_isnt_shown(self, vault: Vault) -> None:
        """A row that was copied, or written by somebody else, is passed over."""
        elsewhere = Vault(vault.handling, uuid4())
        await elsewhere.make_key()
        vault.sealed = [*elsewhere.sealed, SealedKey(uuid4(), vault.sealed[0].sealed_private), SealedKey(uuid4(), b"x")]
        assert (await vault.shown()).keys == []
        card = elsewhere.card()
        assert await vault.take_in(card) == [Refused("encryption_key_expired")]

    async def test_shows_no_private_half(self, vault: Vault) -> None:
        """What is shown has a public key's members alone."""
        assert vault.key.jwk.keys() == {"kty", "crv", "x", "y", "kid", "use", "alg"}
        assert (vault.key.jwk["use"], vault.key.jwk["alg"]) == ("enc", "ECDH-ES")


class TestFingerprints:
    async def test_find_what_was_taken_in(self, vault: Vault) -> None:
        """However a value is written; a card is looked for by a JWE."""
        card = await vault.taken(vault.card())
        bank = await vault.taken(account(iban="DE89370400440532013000"))
        mail = await vault.taken(personal())
        found = [
            await self.made(vault, "card", encrypted({"number": CARD["number"]}, vault.key)),
            await self.made(vault, "card", encrypted(CARD, vault.key)),
            await self.made(vault, "bank_account", '{"iban": "DE89 3704 0044 0532 0130 00"}'),
            await self.made(vault, "personal", " ADA@example.org", personal_type="email"),
        ]
        assert found == [card.fingerprints, card.fingerprints, bank.fingerprints, mail.fingerprints]

    async def test_of_one_type_tell_nothing_of_another(self, vault: Vault) -> None:
        """Each type of personal data has a key of its own."""
        values = [await self.made(vault, "personal", "x", personal_type=each) for each in ("email", "tax_id")]
        assert values[0] != values[1]

    async def test_can_be_made_anew_of_what_is_sealed(self, vault: Vault) -> None:
        """Without giving anything out."""
        items = [vault.card(), personal()]
        taken = [await vault.taken(each) for each in items]
        sealed = [out(item, each, response_jwk=None) for item, each in zip(items, taken, strict=True)]
        answer = await vault.handling.do(
            wire.Refingerprint(vault.tenant_id, [*sealed, out(items[0], taken[0], token_id=uuid4())])
        )
        assert isinstance(answer, wire.FingerprintsMade)
        assert answer.results == [*(each.fingerprints for each in taken), Refused("token_unreadable")]

    async def test_of_what_cant_be_are_refused(self, vault: Vault) -> None:
        """By the codes by which it wouldn't be taken in."""
        assert await self.made(vault, "bank_account", '{"iban": "DE00"}') == Refused("bank_account_invalid")
        assert await self.made(vault, "card", "4111111111111111") == Refused("jwe_invalid")

    async def made(self, vault: Vault, kind: wire.Kind, value: str, personal_type: str | None = None) -> object:
        """Return the fingerprints of one value."""
        order = wire.Fingerprints(vault.tenant_id, ISSUER, vault.sealed, kind, [value], personal_type)
        answer = await vault.handling.do(order)
        assert isinstance(answer, wire.FingerprintsMade)
        return answer.results[0]


class TestWhatIsSaid:
    def test_shows_no_value(self) -> None:
        """Nothing that holds a value shows it, wherever it is printed."""
        shown = [
            repr(personal(b"SECRET")),
            repr(Given(plain=b"SECRET", jwe="SECRET")),
            repr(rules.Card(number="SECRET", expiry_month=1, expiry_year=2)),
            repr(rules.Account(iban="SECRET")),
            repr(wire.Fingerprints(uuid4(), "", [], "personal", ["SECRET"])),
        ]
        assert not any("SECRET" in each for each in shown)

    def test_has_a_class_of_errors_for_each_code(self) -> None:
        """Whoever is refused gets an error of that code."""
        assert errors.ERRORS.keys() >= wire.CODES

    async def test_counts_what_each_kind_of_order_costs(self, vault: Vault) -> None:
        """The processor's time is told for each kind of work."""
        await vault.taken(vault.card())
        told = await vault.handling.do(wire.Status())
        assert isinstance(told, wire.StatusTold)
        items, seconds = told.spent["open"]
        assert items == 1
        assert seconds > 0
