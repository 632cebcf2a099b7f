"""The cards of the sandbox's customers: numbers that processors publish for tests, taken into the vault as any card is.

They go the whole way, encrypted to the tenant's key, sealed by the decryptor, kept as tokens of whose they are. A token
is random here too, so it is found by its party, and its metadata names the wallet.
"""

from typing import Final

import msgspec

from billfold import ids
from billfold.contract.tokens import CreateVaultToken, EncryptionKeys, VaultTokenKind, VaultTokenVerdicts
from billfold.ids import Prefix
from billfold_server.db.jobs import JobRun
from billfold_server.decryptor.jwe import public_key, seal_payload
from billfold_server.http.routing import Call
from billfold_server.http.services import Services
from billfold_server.parties import service as parties
from billfold_server.sandbox import seeding
from billfold_server.serving.cast import Card, Customer, cast_of
from billfold_server.tenancy.clock import tenant_now
from billfold_server.tenancy.context import COMMAND_LINE, TenantRef
from billfold_server.tenancy.transaction import TenantTx
from billfold_server.tokens import service as tokens
from billfold_server.wallets import service as wallets

__all__ = ["give_cards"]

_WALLET: Final = "wallet_id"


async def give_cards(services: Services, run: JobRun) -> None:
    """Take in the cards that the customers of a sandbox still lack, and write down that they have everything.

    Raises:
        errors.KeysUnavailable: The process that sees cards isn't there now.
        errors.ProblemError: The tenant doesn't take such cards.
    """

    async def finish(tx: TenantTx) -> None:
        await run.finish(tx)
        await seeding.end(tx)

    async with run.tx() as tx:
        begun = await seeding.find(tx)
        year = (await tenant_now(tx)).year
        wanted = [] if begun is None else await _lacking(tx, cast_of(begun.seed).customers)
    if wanted:
        call = _call(services, run.tenant)
        keys = await tokens.encryption_keys(call)
        items = [
            CreateVaultToken(
                kind=VaultTokenKind.CARD,
                jwe=_sealed(keys, card, name, year),
                party_id=party_id,
                metadata={_WALLET: wallet_id},
            )
            for party_id, wallet_id, name, card in wanted
        ]
        # Whoever has brought the sandbox back meanwhile has taken the job away, and nothing is kept.
        reply = await tokens.create_many(call, items, together_with=finish)
        assert isinstance(reply.body, bytes), "what is carried out once is answered as it is kept"
        verdicts = msgspec.json.decode(reply.body, type=VaultTokenVerdicts)
        assert verdicts.refused == 0, "numbers for tests are taken everywhere"
    else:
        async with run.tx() as tx:
            await finish(tx)


async def _lacking(tx: TenantTx, customers: tuple[Customer, ...]) -> list[tuple[str, str, str, Card]]:
    """Return the cards that aren't in the vault, with party, wallet and the name on it."""
    lacking = []
    for customer in customers:
        for party in await parties.list_parties(tx, external_id=customer.external_id, limit=1):
            own = await wallets.find_wallets(tx, await wallets.list_wallets_of(tx, party.id))
            labels = {row.label: row.wire_id for row in own.values()}
            there = await tokens.list_tokens(
                tx,
                COMMAND_LINE,
                party_id=party.id,
                kind=VaultTokenKind.CARD,
                fingerprint_id=None,
                before=None,
                limit=50,
            )
            known = {token.metadata.get(_WALLET) for _, token in there}
            lacking += [
                (ids.encode(Prefix.PARTY, party.id), labels[label], customer.name, card)
                for label, card in customer.cards.items()
                if label in labels and labels[label] not in known
            ]
    return lacking


def _sealed(keys: EncryptionKeys, card: Card, holder: str, year: int) -> str:
    """Return a card as somebody's browser would send it."""
    newest = keys.keys[0]
    key = public_key({"kty": newest.kty, "crv": newest.crv, "x": newest.x, "y": newest.y, "kid": newest.kid})
    payload = {
        "number": card.number,
        "expiry_month": card.month,
        "expiry_year": year + card.lasts_years,
        "holder": holder,
    }
    return seal_payload(msgspec.json.encode(payload), key, aud=keys.audience)


def _call(services: Services, tenant: TenantRef) -> Call:
    return Call(
        services=services,
        caller=COMMAND_LINE,
        request_id=ids.new(Prefix.REQUEST),
        method="POST",
        path="/v1/vault-tokens/bulk",
        headers={},
        base_url=services.identity.realm(tenant).issuer,
        tenant_or_none=tenant,
    )
