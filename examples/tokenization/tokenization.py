"""Keep a card and a bank account in the vault, and get them back for a purpose that the tenant allows.

The number never passes through this program's requests as it is: it is encrypted here to the tenant's key, and comes
back encrypted to a key that is made for one request. Set BILLFOLD_BASE_URL, BILLFOLD_CLIENT_ID and
BILLFOLD_CLIENT_SECRET as `billfold up` prints them, then run this file.
"""

from billfold import Billfold, errors
from billfold.contract.tokens import BankAccount, CreateVaultToken, VaultTokenKind
from billfold.tokenization import Card, ResponseKeyPair, seal_card


def keep_a_card(billfold: Billfold, party_id: str) -> str:
    """Take a card in, and see what is shown of it."""
    card = Card(number="4111 1111 1111 1111", expiry_month=12, expiry_year=2030, holder="Ada Lovelace", cvc="123")
    token = billfold.vault_tokens.create(
        kind="card", jwe=seal_card(card, billfold.vault_tokens.encryption_keys()), party_id=party_id
    )
    assert token.card is not None
    print(f"kept: {token.card.brand} {token.card.bin}…{token.card.last4}, with a code: {token.has_cvc}")

    # The same card again, without a code: the vault knows it, and answers with the token that is there.
    # That tells whether a number is known, so it needs the scope tokens:search and counts as a search.
    plain = Card(number="4111111111111111", expiry_month=12, expiry_year=2030, holder="Ada Lovelace")
    jwe = seal_card(plain, billfold.vault_tokens.encryption_keys())
    again = billfold.vault_tokens.create(kind="card", jwe=jwe, party_id=party_id, dedup="reuse")
    print(f"known before: {again.reused}, the same token: {again.id == token.id}")
    return token.id


def charge(billfold: Billfold, token_id: str) -> None:
    """Get the card for one charge. The code is there once."""
    for attempt in ("first", "second"):
        key = ResponseKeyPair()
        answer = billfold.vault_tokens.detokenize(
            [token_id], purpose="charge", reason="Order 4711", response_key=key.public
        )
        jwe = answer.results[0].jwe
        assert jwe is not None
        card = key.open_card(jwe, vault_token_id=token_id)
        assert card.number is not None
        print(f"{attempt} charge: {len(card.number)} digits, code: {'there' if card.cvc else 'gone'}")


def pay_out(billfold: Billfold, party_id: str) -> None:
    """Keep accounts, one of them for one use, and pay out to them."""
    accounts = [BankAccount(iban="DE89 3704 0044 0532 0130 00"), BankAccount(iban="DE89 3704 0044 0532 0130 01")]
    taken = billfold.vault_tokens.bulk(
        [
            CreateVaultToken(kind=VaultTokenKind.BANK_ACCOUNT, bank_account=each, party_id=party_id, single_use=True)
            for each in accounts
        ]
    )
    tokens = []
    for verdict in taken.results:
        if verdict.vault_token is not None and verdict.vault_token.bank_account is not None:
            tokens.append(verdict.vault_token.id)
            print(f"account: {verdict.vault_token.bank_account.country} …{verdict.vault_token.bank_account.last4}")
        elif verdict.problem is not None:
            print(f"refused: {verdict.problem.code}")

    for _ in range(2):
        (told,) = billfold.vault_tokens.detokenize(tokens, purpose="payout", reason="Payout 12").results
        if told.bank_account is not None:
            print(f"pay to: {told.bank_account.iban}")
        elif told.problem is not None:
            print(f"refused: {told.problem.code}")


def main() -> None:
    """Run the example."""
    with Billfold() as billfold:
        ada = billfold.parties.create(kind="person", name="Ada Lovelace")
        token_id = keep_a_card(billfold, ada.id)
        charge(billfold, token_id)
        pay_out(billfold, ada.id)

        # What isn't a purpose of the tenant's, or not for this caller, opens nothing.
        try:
            billfold.vault_tokens.detokenize([token_id], purpose="curiosity", reason="Just looking")
        except errors.PurposeNotAllowed as error:
            print(f"refused: {error.code}")

        billfold.vault_tokens.delete(token_id, reason="The customer has left")
        print(f"left: {len([token for token in billfold.vault_tokens.list(party_id=ada.id) if token.kind == 'card'])}")

        records = billfold.audit_records.list(object_id=token_id)
        print("audit:", ", ".join(record.action.removeprefix("vault_token.") for record in records))


if __name__ == "__main__":
    main()
