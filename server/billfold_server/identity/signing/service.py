"""Signs for realms, and shows the keys by which anybody can verify it.

A public half alone could be written by anybody who can write rows, by injected SQL or into a copy that is restored, and
would verify the tokens that they then sign. So each row has a voucher, a MAC by the keyring of all that it says: it can
be made by nobody without the keyring, nor copied from another realm or key, nor given another purpose or time.

The private half is sealed under a key of the tenant's. It is opened when it first signs, and kept then: what verifies
needs no key that could be out of reach, and what signs needs one once in a process's life.
"""

import asyncio
import functools
import hmac
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, TypeVar
from uuid import UUID

import msgspec
import structlog
from joserfc.jwk import ECKey, OKPKey, RSAKey

from billfold import errors, ids
from billfold.clock import Clock
from billfold.contract.oauth import Jwk, JwkSet
from billfold.ids import Prefix
from billfold_server.audit import service as audit
from billfold_server.identity import jose
from billfold_server.identity.caching import Bounded, Once
from billfold_server.identity.detached import detached, to_sign
from billfold_server.identity.jose import SigningKey
from billfold_server.identity.profiles import SigningAlgorithm
from billfold_server.identity.realms import Realm
from billfold_server.identity.signing import rows, rules
from billfold_server.identity.signing.apart import Apart
from billfold_server.identity.signing.rows import KeyRow, Purpose
from billfold_server.identity.signing.rules import Standing
from billfold_server.keys.service import PLATFORM_KEYS, KeyOwner, Keyring, Keys, Place, SealBroken
from billfold_server.tenancy.context import SYSTEM, Caller

if TYPE_CHECKING:
    from billfold_server.tenancy.transaction import Database

__all__ = ["Begun", "KeyState", "PublicKey", "Signing"]

_log = structlog.stdlib.get_logger("billfold.identity")
T = TypeVar("T")

_KEYS_S: Final = 30.0
_AGAIN_S: Final = 1.0
_USUAL: Final[SigningAlgorithm] = "ES256"
"""By what is signed where nobody asks for anything else: it is much quicker than RSA, and known everywhere."""

Series = tuple[Purpose, SigningAlgorithm]

_MESSAGES: Final[Series] = ("records", "PS256")
"""Signs messages: those of a payment must be proven long after it."""


class PublicKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key that verifies.

    Attributes:
        kid: Its id.
        algorithm: The one algorithm by which it signs.
        purpose: What it signs.
        key: The key.
    """

    kid: str
    algorithm: SigningAlgorithm
    purpose: Purpose
    key: SigningKey


class Begun(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """A detached signature that was begun before it is known whether it is wanted.

    Attributes:
        body: Of which message, to the byte.
        realm: Whose key signs.
        key_id: Which key.
        signature: What will have the signature.
    """

    body: bytes
    realm: str
    key_id: UUID
    signature: "asyncio.Future[str]"


class KeyState(msgspec.Struct, frozen=True, kw_only=True):
    """A key as operators see it."""

    kid: str
    purpose: Purpose
    algorithm: SigningAlgorithm
    generation: int
    standing: Standing
    signs_from: datetime
    created_at: datetime


class _Keys(msgspec.Struct, frozen=True):
    """A realm's keys, as one process knows them.

    Attributes:
        series: The rows that are this deployment's, by what they are for.
        public: What verifies now, by its id.
        jwks: The same for others to read.
        read_at: When they were read.
        lacking: Why those that are due could not be made, where that is so.
    """

    series: dict[Series, list[KeyRow]]
    public: dict[str, PublicKey]
    jwks: JwkSet
    read_at: float
    lacking: errors.KeysUnavailable | None = None

    @property
    def fresh(self) -> bool:
        """Tell whether they needn't be read again yet."""
        return time.monotonic() - self.read_at < (_KEYS_S if self.lacking is None else _AGAIN_S)


class Signing:
    """Signs and publishes, for all realms of one process.

    Args:
        database: Where the keys are.
        keyring: Vouches for them.
        keys: Seals and opens their private halves.
        clock: The real clock.
    """

    def __init__(self, database: "Database", keyring: Keyring, keys: Keys, clock: Clock) -> None:
        self._database = database
        self._voucher_key = keyring.derive("vouchers of signing keys")
        self._keys_of_tenants = keys
        self._clock = clock
        self._known: Bounded[str, _Keys] = Bounded(2_000)
        self._private: Bounded[tuple[str, UUID], SigningKey] = Bounded(4_000)
        self._broken: set[tuple[str, UUID]] = set()
        self._once = Once()
        self._apart = Apart()

    async def sign(
        self,
        realm: Realm,
        claims: Mapping[str, Any] | msgspec.Struct,
        *,
        typ: str,
        alg: SigningAlgorithm | None = None,
        purpose: Purpose = "tokens",
    ) -> str:
        """Return claims as a compact JWS, which anybody can verify by the realm's JWKS.

        Args:
            realm: Whose key signs.
            claims: What is said.
            typ: The header's ``typ``, by which readers tell it from other things that are signed.
            alg: By which algorithm; one of the realm's profile.
            purpose: ``records`` for what must stay verifiable when the key has long been replaced.

        Raises:
            errors.KeysUnavailable: The key that signs was never opened by this process, and can't be now.
        """
        series = (purpose, alg or _USUAL)
        row, key = await self._signer(realm, series)
        return jose.sign(claims, key, alg=series[1], kid=_kid(row), typ=typ)

    async def ready(self, realm: Realm, *algorithms: SigningAlgorithm | None) -> None:
        """See that tokens can be signed now, before something is used up for one.

        Args:
            realm: Whose keys are to sign.
            algorithms: By which, as ``sign`` takes them.

        Raises:
            errors.KeysUnavailable: As of ``sign``.
        """
        for alg in algorithms:
            await self._signer(realm, ("tokens", alg or _USUAL))

    async def sign_detached(
        self, realm: Realm, body: bytes, claims: Mapping[str, Any], begun: Begun | None = None
    ) -> str:
        """Return a detached signature of a message, which anybody can verify by the realm's JWKS for years.

        Args:
            realm: Whose key signs.
            body: The message, to the byte.
            claims: What the header says beside algorithm and key, all of it critical.
            begun: What was begun of it. It is taken where it is of this message and of the key that signs now: one may
                have been withdrawn meanwhile, and nothing leaves by it any more.

        Raises:
            errors.KeysUnavailable: As of ``sign``.
        """
        row, key = await self._signer(realm, _MESSAGES)
        if begun is not None and (begun.body, begun.realm, begun.key_id) == (body, realm.owner, row.id):
            return await begun.signature
        return await self._begin((row, key), body, claims)

    def begin_detached(self, realm: Realm, body: bytes, claims: Mapping[str, Any]) -> Begun | None:
        """Begin to sign a message as ``sign_detached`` does, for which that may take it then.

        Nobody need wait for it.

        Returns:
            None where the key that signs isn't at hand, but would have to be read, made or opened first.
        """
        known = self._known.get(realm.owner)
        if known is None or not known.fresh:
            return None
        row = rules.signer(self._usable(realm, known.series.get(_MESSAGES, ())), self._clock.now())
        key = None if row is None else self._private.get((realm.owner, row.id))
        if row is None or key is None:
            return None
        return Begun(body=body, realm=realm.owner, key_id=row.id, signature=self._begin((row, key), body, claims))

    def _begin(
        self, signer: tuple[KeyRow, SigningKey], body: bytes, claims: Mapping[str, Any]
    ) -> "asyncio.Future[str]":
        row, key = signer
        assert isinstance(key, RSAKey)
        head, signed = to_sign(body, kid=_kid(row), claims=claims)
        return self._apart.begin(key, signed, functools.partial(detached, head))

    async def close(self) -> None:
        """End what signs beside this process."""
        await self._apart.close()

    async def _signer(self, realm: Realm, series: Series) -> tuple[KeyRow, SigningKey]:
        keys = await self._keys(realm, series)
        for _ in range(2):
            row = rules.signer(self._usable(realm, keys.series[series]), self._clock.now())
            if row is not None:
                try:
                    return row, await self._open(realm, row)
                except (SealBroken, errors.SubjectForgotten, ValueError):
                    # It still verifies what it has signed, but signs no more.
                    _log.exception("a signing key doesn't open, and is replaced", key=str(row.id), realm=realm.owner)
                    self._broken.add((realm.owner, row.id))
            keys = await self._read_once(realm, series)
        raise keys.lacking or errors.InternalError("no signing key of this realm opens")

    def _usable(self, realm: Realm, series: Sequence[KeyRow]) -> list[KeyRow]:
        """Return the keys of a series that this process hasn't failed to open."""
        return [row for row in series if (realm.owner, row.id) not in self._broken]

    async def jwks(self, realm: Realm) -> JwkSet:
        """Return the realm's public keys: those that sign, those that will, and those whose tokens still live.

        The first key of a series signs at once, at whichever worker has made it; so this is never older than a second.
        """
        known = self._known.get(realm.owner)
        if known is None or time.monotonic() - known.read_at > _AGAIN_S:
            known = await self._read_once(realm, ("tokens", _USUAL))
        return known.jwks

    async def public_key(self, realm: Realm, kid: str) -> PublicKey | None:
        """Return the realm's key of this id, if what it signed is good now; otherwise None."""
        keys = await self._keys(realm, ("tokens", _USUAL))
        # Another worker may have made a newer key; but whoever sends unknown ids can't make us look at each request.
        if kid not in keys.public and time.monotonic() - keys.read_at > _AGAIN_S:
            keys = await self._read_once(realm, ("tokens", _USUAL))
        return keys.public.get(kid)

    async def states(self, realm: Realm) -> list[KeyState]:
        """Return all keys of a realm that are this deployment's, for operators."""
        keys = await self._read_once(realm, ("tokens", _USUAL))
        now = self._clock.now()
        return [
            KeyState(
                kid=_kid(row),
                purpose=row.purpose,
                algorithm=row.algorithm,
                generation=row.generation,
                standing=rules.standing(row, series, now),
                signs_from=row.signs_from,
                created_at=row.created_at,
            )
            for series in keys.series.values()
            for row in series
        ]

    async def keep(self, realm: Realm) -> None:
        """Make the successors that are due. Reading the keys does so too; this is for realms that nobody asks."""
        await self._read_once(realm, ("tokens", _USUAL))

    async def rotate(self, realm: Realm, *, withdraw: bool = False, caller: Caller = SYSTEM) -> None:
        """Replace every key of a realm before its time.

        Args:
            realm: Whose keys.
            withdraw: Whether the present ones are worth nothing at once, because somebody else may have them. What
                they have signed is refused within half a minute, on every worker. Otherwise the new ones are published
                for an hour before they sign, and nobody notices.
            caller: Who asks for it.
        """
        keys = await self._read_once(realm, ("tokens", _USUAL))
        now = self._clock.now()
        signs_from = now if withdraw else now + rules.LEAD
        made = [await self._make(realm, each, _next(series), signs_from) for each, series in keys.series.items()]
        async with self._database.tx_of(realm.tenant) as tx:
            if withdraw:
                for row in (row for series in keys.series.values() for row in series):
                    if await rows.withdraw_key(tx, row.id, now):
                        await audit.record(tx, audit.new_record(caller, "signing_key.withdrawn", _kid(row)))
            await self._write(tx, made, caller)
        await self._read_once(realm, ("tokens", _USUAL))

    async def _keys(self, realm: Realm, needed: Series) -> _Keys:
        known = self._known.get(realm.owner)
        if known is not None and needed in known.series and known.fresh:
            return known
        return await self._read_once(realm, needed)

    async def _read_once(self, realm: Realm, needed: Series) -> _Keys:
        return await self._once.do((realm.owner, needed), self._read(realm, needed))

    async def _read(self, realm: Realm, needed: Series) -> _Keys:
        """Read the realm's keys, and make those that are due or needed and not there."""
        read_at = time.monotonic()
        async with self._database.tx_of(realm.tenant) as tx:
            found = await rows.list_keys(tx)
        now, lacking = self._clock.now(), None
        due = {}
        for each, series in {needed: [], **self._series(realm, found)}.items():
            if (signs_from := rules.successor_due(self._usable(realm, series), now)) is not None:
                due[each] = signs_from
        if due:
            # Strangers' rows count here, so that they can't stand in the way of a new generation.
            of = {each: [row for row in found if (row.purpose, row.algorithm) == each] for each in due}
            try:
                made = [await self._make(realm, each, _next(of[each]), at) for each, at in due.items()]
            except errors.KeysUnavailable as error:
                # What there is verifies all the same, and signs, if it was opened before.
                lacking = error
            else:
                async with self._database.tx_of(realm.tenant) as tx:
                    await self._write(tx, made, SYSTEM)
                    found = await rows.list_keys(tx)
        keys = self._published(self._series(realm, found), needed, read_at, lacking)
        self._known.put(realm.owner, keys)
        return keys

    def _series(self, realm: Realm, found: Sequence[KeyRow]) -> dict[Series, list[KeyRow]]:
        """Return the keys that this deployment has made for this realm, by what they are for."""
        series: dict[Series, list[KeyRow]] = defaultdict(list)
        for row in found:
            if self._vouched(realm, row):
                series[row.purpose, row.algorithm].append(row)
        return dict(series)

    def _published(
        self,
        series: dict[Series, list[KeyRow]],
        needed: Series,
        read_at: float,
        lacking: errors.KeysUnavailable | None,
    ) -> _Keys:
        now = self._clock.now()
        public: dict[str, PublicKey] = {}
        jwks: list[Jwk] = []
        for (purpose, algorithm), found in series.items():
            for row in reversed(found):
                if rules.standing(row, found, now) not in {"ended", "withdrawn"}:
                    jwk = msgspec.json.decode(row.public_jwk, type=Jwk)
                    jwks.append(jwk)
                    key = jose.import_key(msgspec.to_builtins(jwk))
                    public[jwk.kid] = PublicKey(kid=jwk.kid, algorithm=algorithm, purpose=purpose, key=key)
        return _Keys({needed: [], **series}, public, JwkSet(keys=jwks), read_at, lacking)

    async def _open(self, realm: Realm, row: KeyRow) -> SigningKey:
        """Return the private half of a key, opened once in this process's life.

        Raises:
            SealBroken: It was sealed elsewhere, or is another key's.
            errors.KeysUnavailable: What opens it is out of reach.
        """
        known = self._private.get((realm.owner, row.id))
        if known is None:
            opener = await self._keys_of_tenants.opener(_owner(realm), [row.sealed_private])
            known = _IMPORT[row.algorithm](opener.open(_place(row.id), row.sealed_private).decode())
            if msgspec.json.encode(_public_jwk(known, row.algorithm, _kid(row))).decode() != row.public_jwk:
                raise SealBroken
            self._private.put((realm.owner, row.id), known)
        return known

    def _vouched(self, realm: Realm, row: KeyRow) -> bool:
        """Tell whether a row says what this deployment has written."""
        ours = hmac.compare_digest(row.voucher, self._voucher(realm, row))
        if not ours:
            _log.error("a signing key isn't this deployment's, and is passed over", key=str(row.id), realm=realm.owner)
        return ours

    def _voucher(self, realm: Realm, row: KeyRow) -> bytes:
        said = (realm.owner, row.id, row.purpose, row.algorithm, row.generation, row.signs_from, row.public_jwk)
        return hmac.digest(self._voucher_key, msgspec.json.encode(said), "sha256")

    async def _make(self, realm: Realm, series: Series, generation: int, signs_from: datetime) -> KeyRow:
        purpose, algorithm = series
        key_id = ids.uuid7()
        kid = ids.encode(Prefix.SIGNING_KEY, key_id)
        # Primes are looked for elsewhere, so that nobody else waits for them.
        key = await asyncio.to_thread(_of_messages if series == _MESSAGES else _GENERATE[algorithm])
        sealer = await self._keys_of_tenants.sealer(_owner(realm))
        row = KeyRow(
            id=key_id,
            purpose=purpose,
            algorithm=algorithm,
            generation=generation,
            public_jwk=msgspec.json.encode(_public_jwk(key, algorithm, kid)).decode(),
            sealed_private=sealer.seal(_place(key_id), key.as_pem(private=True)),
            voucher=b"",
            signs_from=signs_from,
            created_at=self._clock.now(),
        )
        return msgspec.structs.replace(row, voucher=self._voucher(realm, row))

    async def _write(self, tx: Any, made: Sequence[KeyRow], caller: Caller) -> None:
        for row in made:
            if await rows.insert_key(tx, row):
                facts = {"purpose": row.purpose, "algorithm": row.algorithm, "generation": row.generation}
                await audit.record(tx, audit.new_record(caller, "signing_key.created", _kid(row), facts=facts))


def _owner(realm: Realm) -> KeyOwner:
    return PLATFORM_KEYS if realm.tenant is None else realm.tenant


def _place(key_id: UUID) -> Place:
    return Place("signing_keys", str(key_id), "sealed_private")


def _kid(row: KeyRow) -> str:
    return ids.encode(Prefix.SIGNING_KEY, row.id)


def _next(series: Sequence[KeyRow]) -> int:
    return max((row.generation for row in series), default=0) + 1


_GENERATE: Final[dict[SigningAlgorithm, Callable[[], SigningKey]]] = {
    "PS256": lambda: RSAKey.generate_key(3072),
    "ES256": lambda: ECKey.generate_key("P-256"),
    "EdDSA": lambda: OKPKey.generate_key("Ed25519"),
}


def _of_messages() -> SigningKey:
    """Make a key that signs each answer: one of 3072 bits would take twice the time, which is most of the answer's."""
    return RSAKey.generate_key(2048)


def _rsa_of_ours(pem: str) -> RSAKey:
    """Return a key whose seal has just shown that this deployment has made it."""
    try:
        return jose.rsa_key_of_ours(pem.encode())
    except TypeError as error:
        raise SealBroken from error


_IMPORT: Final[dict[SigningAlgorithm, Callable[[str], SigningKey]]] = {
    "PS256": _rsa_of_ours,
    "ES256": ECKey.import_key,
    "EdDSA": OKPKey.import_key,
}


def _public_jwk(key: SigningKey, algorithm: SigningAlgorithm, kid: str) -> Jwk:
    """Return the public half of a key, as others are shown it."""
    numbers = {name: str(value) for name, value in key.as_dict(private=False).items() if name in _NUMBERS}
    return Jwk(kid=kid, use="sig", alg=algorithm, **numbers)  # type: ignore[arg-type]


_NUMBERS: Final = frozenset({"kty", "crv", "x", "y", "n", "e"})
