"""A tenant as data: ``tenants/<slug>/tenant.toml``.

The file is read strictly: an unknown key, a wrong type or two statements that contradict each other are reported with
file, key and reason, before anything is changed.
"""

import base64
import re
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from billfold import errors
from billfold.contract.platform import Slug
from billfold.money import CURRENCIES, MAX_AMOUNT_MINOR, CurrencyCode
from billfold_server.http.fields import known_fields, known_values, unknown_field
from billfold_server.tenancy import egress, numbering, tokenization
from billfold_server.tenancy.egress import Egress
from billfold_server.tenancy.numbering import Numbering
from billfold_server.tenancy.tokenization import CardField, PersonalRule, Purpose, Tokenization, TokenRetention

__all__ = [
    "Brand",
    "CardField",
    "Colors",
    "Egress",
    "Feature",
    "KeyRotation",
    "Limits",
    "Manifest",
    "Numbering",
    "OpenBanking",
    "Partners",
    "PersonalRule",
    "Purpose",
    "Registration",
    "RequestLog",
    "RequiredKind",
    "Retention",
    "Sca",
    "SecurityProfile",
    "SoftwarePublisher",
    "TokenRetention",
    "Tokenization",
    "check_manifest",
    "contrast",
    "json_schema",
    "load_manifest",
    "parse_manifest",
]

Feature = Literal["statements"]
"""What a manifest may turn on."""

SecurityProfile = Literal["fapi2", "fapi2-message-signing", "fapi1-advanced", "sandbox"]
"""What a tenant's authorization server asks of clients; ``identity.profiles`` says what each means."""

_FILE = "tenant.toml"
_PLAIN = "^[^\\u0000-\\u001f]*$(?!\\n)"
_Name = Annotated[str, Meta(min_length=1, max_length=100, pattern=_PLAIN)]
_Color = Annotated[str, Meta(pattern=r"^#[0-9a-f]{6}$(?!\n)", description="An sRGB colour.", examples=["#0b5fff"])]
_Host = Annotated[
    str,
    Meta(
        max_length=253,
        pattern=r"^(?!-)[a-z0-9-]{1,63}(?<!-)(\.(?!-)[a-z0-9-]{1,63}(?<!-))+$(?!\n)",
        description="A host name of the tenant's own, lower case, without port.",
        examples=["wallet.demo-bank.example"],
    ),
]
_Asset = Annotated[
    str,
    Meta(
        max_length=200, pattern=r"^theme/[a-z0-9_-]+\.(svg|png|webp)$(?!\n)", description="A file beside the manifest."
    ),
]
_AmountMinor = Annotated[int, Meta(ge=1, le=MAX_AMOUNT_MINOR)]
_PerCurrency = Annotated[dict[CurrencyCode, _AmountMinor], Meta(description="Minor units by currency.")]


class _Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The base of the manifest's parts: closed, so that a misspelt key is reported."""


class Colors(_Part, frozen=True, kw_only=True):
    """The brand's colours. ``primary`` with ``on_primary``, and ``background`` with ``text``, must be legible."""

    primary: _Color = "#1d4ed8"
    on_primary: _Color = "#ffffff"
    background: _Color = "#ffffff"
    text: _Color = "#111827"


LOGO_BYTES: Final = 64 * 1024
"""How large a logo may be: each worker keeps it with the tenant's manifest."""
_LOGO_TEXT: Final = 90_000
LOGO_TYPES: Final = {".svg": "image/svg+xml", ".png": "image/png", ".webp": "image/webp"}
"""What a logo's file is, by its ending."""


class Brand(_Part, frozen=True, kw_only=True):
    """What a tenant's customers see."""

    display_name: _Name
    colors: Colors = Colors()
    logo: _Asset | None = None
    logo_image: (
        Annotated[
            str,
            Meta(
                max_length=_LOGO_TEXT,
                pattern=(
                    "^data:image/(svg\\+xml|png|webp);base64,([A-Za-z0-9+/]{4})*"
                    "([A-Za-z0-9+/]{4}|[A-Za-z0-9+/]{3}=|[A-Za-z0-9+/]{2}==)$(?!\\n)"
                ),
                description="The logo itself, as a ``data:`` address; made of ``logo`` where a folder is applied.",
            ),
        ]
        | None
    ) = None
    support_email: Annotated[str, Meta(max_length=254, pattern=r"^[^@\s]+@[^@\s]+$(?!\n)")] | None = None
    support_url: Annotated[str, Meta(max_length=500, pattern=r"^https://[^\s]+$(?!\n)")] | None = None


class Limits(_Part, frozen=True, kw_only=True):
    """What the tenant allows at most; no entry means no limit of the tenant's own."""

    transfer_max_minor: _PerCurrency = {}
    wallet_balance_max_minor: _PerCurrency = {}
    backdate_days: Annotated[int, Meta(ge=0, le=3660, description="How far back an effective time may lie.")] = 30
    retention_months: Annotated[
        int, Meta(ge=1, le=1200, description="Months whose journal entries stay in the ledger, the present one apart.")
    ] = 120


class SoftwarePublisher(_Part, frozen=True, kw_only=True):
    """Whoever vouches for software by statements that it signs, such as a directory of licensed third parties."""

    issuer: Annotated[str, Meta(min_length=1, max_length=500, pattern=_PLAIN, description="The statements' ``iss``.")]
    jwks: Annotated[dict[str, Any], Meta(description="Its public keys as a JWK Set; an address isn't asked for them.")]


class Registration(_Part, frozen=True, kw_only=True):
    """Whether clients may register themselves (RFC 7591)."""

    mode: Annotated[
        Literal["closed", "statement", "open"],
        Meta(description="Nobody; who has a software statement of a publisher below; or anybody, in sandboxes."),
    ] = "closed"
    publishers: Annotated[list[SoftwarePublisher], Meta(max_length=20)] = []
    scopes: Annotated[
        list[Annotated[str, Meta(max_length=100)]],
        Meta(max_length=100, description="What a client that registers itself may ask for."),
    ] = []


class Sca(_Part, frozen=True, kw_only=True):
    """What needs no strong customer authentication (RTS on SCA, articles 13, 14 and 16); nothing, unless it is said."""

    low_value_max_minor: Annotated[_PerCurrency, Meta(description="Largest payment that is exempt, by currency.")] = {}
    low_value_total_minor: Annotated[
        _PerCurrency, Meta(description="How much may be exempt between two authentications, by currency.")
    ] = {}
    low_value_count: Annotated[
        int, Meta(ge=1, le=5, description="How many payments may be exempt between two authentications.")
    ] = 5
    trusted_beneficiaries: Annotated[
        bool, Meta(description="Whether payments to payees that the payer has put on a list by SCA are exempt.")
    ] = False
    recurring: Annotated[
        bool, Meta(description="Whether payments of a series after its first, with the same amount and payee, are.")
    ] = False


ApprovalKind = Literal[
    "client_keys", "overdraft_limit", "re_enrolment", "refund", "roles", "wallet_unfreeze", "withdrawal"
]
"""What may need a second person: ``client_keys`` is replacing an API client's keys or secret, ``roles`` whatever makes
somebody a member of staff or another kind of one, and ``re_enrolment`` letting anybody begin anew who has enrolled, or
giving a customer one more sign-in. Outside of sandboxes, letting a member of staff begin anew always needs one."""

RequiredKind = Literal["erasure", "key_destruction"]
"""What always needs a second person, which is why no manifest can name it."""


class Approvals(_Part, frozen=True, kw_only=True):
    """What is only done once a second person has agreed to it."""

    always: Annotated[list[ApprovalKind], Meta(max_length=20, description="Whatever the amount.")] = []
    refund_from_minor: Annotated[_PerCurrency, Meta(description="Reversals of so much and more.")] = {}
    withdrawal_from_minor: Annotated[_PerCurrency, Meta(description="Withdrawals of so much and more.")] = {}
    expire_after_hours: Annotated[int, Meta(ge=1, le=24 * 90, description="How long a request waits.")] = 72


class OpenBanking(_Part, frozen=True, kw_only=True):
    """What licensed third parties may connect to, and for how long customers' consents hold."""

    enabled: Annotated[
        bool, Meta(description="Whether third parties may connect; else their addresses answer 404.")
    ] = True
    reauthentication_days: Annotated[
        Literal[90, 180],
        Meta(
            description="After how many days a customer must authenticate again for a third party to go on reading "
            "their accounts (90 in the UK's and the first EU rules; 180 by Delegated Regulation (EU) 2022/2360)."
        ),
    ] = 180
    consent_days: Annotated[
        int, Meta(ge=1, le=3_660, description="How long a consent that lasts may last at most.")
    ] = 1_826
    pending_hours: Annotated[
        int,
        Meta(
            ge=1,
            le=24 * 90,
            description="How long a consent waits to be authorised, and an authorised single payment to be made.",
        ),
    ] = 24
    long_poll_s: Annotated[
        int, Meta(ge=0, le=60, description="How long a third party that polls for events may have its answer wait.")
    ] = 10
    not_offered: Annotated[
        list[
            Literal[
                "beneficiaries",
                "direct_debits",
                "offers",
                "parties",
                "products",
                "scheduled_payments",
                "standing_orders",
                "statements",
            ]
        ],
        Meta(max_length=8, description="What of accounts the bank doesn't show; its addresses answer 404."),
    ] = []
    financial_id: (
        Annotated[
            str, Meta(max_length=18, pattern=r"^[0-9A-Za-z]+$(?!\n)", description="The bank's id in its directory.")
        ]
        | None
    ) = None


class RequestLog(_Part, frozen=True, kw_only=True):
    """Whether developers can look up what their programs have asked, and what they were answered."""

    enabled: (
        Annotated[
            bool, Meta(description="Whether requests are logged, without anybody's data; where absent, in sandboxes.")
        ]
        | None
    ) = None


class KeyRotation(_Part, frozen=True, kw_only=True):
    """How long keys of personal and card data are used."""

    rotate_days: (
        Annotated[
            int,
            Meta(
                ge=1,
                le=730,
                description="After how many days the tenant's key gets a new version, and what lies under former ones "
                "is rewrapped; where absent, as the deployment says. Two years at most, as NIST SP 800-57 part 1, "
                "section 5.3.6, has it for keys that wrap keys.",
            ),
        ]
        | None
    ) = None


class Partners(_Part, frozen=True, kw_only=True):
    """What partner organisations may have of their own."""

    sandboxes: Annotated[
        int,
        Meta(
            ge=0,
            le=20,
            description="How many sandboxes each may have: tenants of their own, without anybody's data. With 0, none; "
            "in production there are none in any case.",
        ),
    ] = 3


_Days = Annotated[int, Meta(ge=1, le=36_525)]


class Retention(_Part, frozen=True, kw_only=True):
    """For how many days what is no longer needed is kept; after that it is deleted by itself."""

    customer_days: Annotated[
        int,
        Meta(
            ge=0,
            le=36_525,
            description="How long customers must be known after their last wallet was closed (in the EU: five years, "
            "Directive (EU) 2015/849, article 40). Until then nobody is forgotten.",
        ),
    ] = 1_826
    audit_days: Annotated[int, Meta(ge=365, le=36_525, description="Audit records.")] = 3_653
    events_days: Annotated[
        _Days,
        Meta(description="Events that every publisher has seen; at least four, while endpoints are told of them."),
    ] = 365
    idempotent_answers_days: Annotated[
        int, Meta(ge=1, le=3_660, description="Answers to requests with an idempotency key.")
    ] = 30
    approvals_days: Annotated[_Days, Meta(description="Requests for approval, once decided or expired.")] = 1_826
    dead_jobs_days: Annotated[_Days, Meta(description="Jobs that failed for good.")] = 90
    sessions_days: Annotated[_Days, Meta(description="Sessions that have ended, and where they were.")] = 90
    sca_days: Annotated[_Days, Meta(description="Evidence of what payers agreed to.")] = 1_826
    grants_days: Annotated[_Days, Meta(description="What users had allowed apps, once it has ended.")] = 1_826
    consents_days: Annotated[
        _Days, Meta(description="Consents to third parties with their history and evidence, once they have ended.")
    ] = 1_826
    requests_days: Annotated[int, Meta(ge=1, le=90, description="What programs have asked, where it is logged.")] = 7


class Manifest(_Part, frozen=True, kw_only=True):
    """Everything that makes one tenant different from another."""

    slug: Slug
    name: _Name
    brand: Brand
    currencies: Annotated[list[CurrencyCode], Meta(min_length=1, max_length=200)]
    limits: Limits = Limits()
    numbering: Numbering = Numbering()
    sca: Sca = Sca()
    approvals: Approvals = Approvals()
    tokenization: Tokenization = Tokenization()
    open_banking: OpenBanking = OpenBanking()
    request_log: RequestLog = RequestLog()
    partners: Partners = Partners()
    retention: Retention = Retention()
    keys: KeyRotation = KeyRotation()
    egress: Egress = Egress()
    security_profile: Annotated[
        SecurityProfile, Meta(description="Which OAuth 2 profile the tenant's clients must meet.")
    ] = "fapi2"
    registration: Registration = Registration()
    features: list[Feature] = []
    isolation: (
        Annotated[
            Literal["role", "login"],
            Meta(description="``login`` gives the tenant a database login of its own; ``role`` shares the server's."),
        ]
        | None
    ) = None
    hosts: Annotated[list[_Host], Meta(max_length=20)] = []
    sandbox: Annotated[
        bool,
        Meta(description="Whether the tenant is for trying out, with a clock that can be moved; it stays as made."),
    ] = False
    rate_limit_per_s: Annotated[int, Meta(ge=1, le=100_000, description="Requests of one client per second.")] = 100
    rate_limit_burst: Annotated[int, Meta(ge=1, le=1_000_000)] = 200

    @property
    def logs_requests(self) -> bool:
        """Tell whether requests are logged."""
        enabled = self.request_log.enabled
        return self.sandbox if enabled is None else enabled


_AT = re.compile(r" - at (?:`key` in )?`(?P<path>[^`]+)`$")


def load_manifest(folder: Path) -> Manifest:
    """Read ``tenant.toml`` of a tenant's folder.

    Raises:
        errors.ManifestInvalid: The file is absent, no TOML, or says something that can't be.
    """
    path = folder / _FILE
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise _invalid(str(path), "", error.strerror or "can't be read") from error
    except UnicodeDecodeError as error:
        raise _invalid(str(path), "", "isn't UTF-8") from error
    except tomllib.TOMLDecodeError as error:
        raise _invalid(str(path), "", f"isn't TOML: {error}") from error
    manifest = parse_manifest(data, file=str(path))
    if manifest.slug != folder.name:
        raise _invalid(str(path), "slug", f"must be the folder's name, {folder.name}")
    return _with_logo(manifest, folder, path)


def _with_logo(manifest: Manifest, folder: Path, path: Path) -> Manifest:
    """Return a manifest with its logo in it: the servers that show it never see the folder."""
    brand = manifest.brand
    if brand.logo is None:
        return manifest
    file = folder / brand.logo
    if not file.is_file():
        raise _invalid(str(path), "brand.logo", f"there is no file {brand.logo} beside the manifest")
    content = file.read_bytes()
    if len(content) > LOGO_BYTES:
        raise _invalid(str(path), "brand.logo", f"is larger than {LOGO_BYTES // 1024} KiB")
    image = f"data:{LOGO_TYPES[file.suffix]};base64,{base64.b64encode(content).decode()}"
    return msgspec.structs.replace(manifest, brand=msgspec.structs.replace(brand, logo_image=image))


def parse_manifest(data: dict[str, Any], *, file: str = _FILE) -> Manifest:
    """Turn what a manifest holds into a ``Manifest``.

    Args:
        data: The keys and values, as from TOML or JSON.
        file: How an error names the source.

    Raises:
        errors.ManifestInvalid: A value isn't of its form, or two contradict each other.
    """
    try:
        manifest = msgspec.convert(data, Manifest)
    except msgspec.ValidationError as error:
        raise _from_validation(str(error), data, file) from error
    for key, reason in _contradictions(manifest):
        raise _invalid(file, key, reason)
    return manifest


def check_manifest(manifest: Manifest) -> Manifest:
    """Return a manifest as if it had been written down, which one that was put together in Python may not be.

    Raises:
        errors.ManifestInvalid: A value isn't of its form, or two contradict each other.
    """
    return parse_manifest(msgspec.to_builtins(manifest))


def json_schema() -> dict[str, Any]:
    """Return the manifest's JSON Schema, which editors and ``tenants/manifest.schema.json`` use."""
    # In Python `$` also matches before a newline at the end, in ECMA it doesn't: editors need no word of that.
    text = msgspec.json.encode(msgspec.json.schema(Manifest)).replace(rb"$(?!\\n)", b"$")
    schema = msgspec.json.decode(text)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "A Billfold tenant", **schema}


def _contradictions(manifest: Manifest) -> list[tuple[str, str]]:
    """Return each pair of statements that can't both be meant, as (key, reason)."""
    found: list[tuple[str, str]] = []
    lists: dict[str, Sequence[str]] = {
        "currencies": manifest.currencies,
        "hosts": manifest.hosts,
        "features": manifest.features,
        "approvals.always": manifest.approvals.always,
    }
    for key, values in lists.items():
        doubled = sorted({str(value) for value in values if values.count(value) > 1})
        found += [(key, f"lists {value} twice") for value in doubled]
    for name in ("transfer_max_minor", "wallet_balance_max_minor"):
        strangers = sorted(set(getattr(manifest.limits, name)) - set(manifest.currencies))
        found += [(f"limits.{name}.{code}", f"{code} isn't one of the tenant's currencies") for code in strangers]
    registration = manifest.registration
    if registration.mode == "open" and manifest.security_profile != "sandbox":
        found.append(("registration.mode", "can be open with the security profile sandbox alone"))
    if registration.mode == "statement" and not registration.publishers:
        found.append(("registration.publishers", "must name whose statements are believed"))
    if registration.mode != "closed" and not registration.scopes:
        found.append(("registration.scopes", "must say what such a client may ask for"))
    found += [
        (f"registration.publishers[{at}].jwks", "has no keys")
        for at, publisher in enumerate(registration.publishers)
        if not isinstance(publisher.jwks.get("keys"), list) or not publisher.jwks["keys"]
    ]
    found += _unlawful(manifest)
    found += tokenization.contradictions(manifest.tokenization)
    found += numbering.contradictions(manifest.numbering)
    found += egress.contradictions(manifest.egress, sandbox=manifest.sandbox)
    for name in ("refund_from_minor", "withdrawal_from_minor"):
        strangers = sorted(set(getattr(manifest.approvals, name)) - set(manifest.currencies))
        found += [(f"approvals.{name}.{code}", f"{code} isn't one of the tenant's currencies") for code in strangers]
    if manifest.rate_limit_burst < manifest.rate_limit_per_s:
        found.append(("rate_limit_burst", "must be at least rate_limit_per_s"))
    colors = manifest.brand.colors
    for name, front, back in (
        ("on_primary", colors.on_primary, colors.primary),
        ("text", colors.text, colors.background),
    ):
        if contrast(front, back) < _LEGIBLE:
            found.append((f"brand.colors.{name}", f"{front} on {back} has a contrast below 4.5:1 (WCAG 2.2, 1.4.3)"))
    return found


def _unlawful(manifest: Manifest) -> list[tuple[str, str]]:
    """Return what the exemptions from SCA may not say, as (key, reason)."""
    found: list[tuple[str, str]] = []
    for name in ("low_value_max_minor", "low_value_total_minor"):
        strangers = sorted(set(getattr(manifest.sca, name)) - set(manifest.currencies))
        found += [(f"sca.{name}.{code}", f"{code} isn't one of the tenant's currencies") for code in strangers]
    for code, most_minor in _ARTICLE_16_EUR_MINOR.items():
        if getattr(manifest.sca, code).get("EUR", 0) > most_minor:
            found.append((f"sca.{code}.EUR", f"article 16 of the RTS on SCA allows {most_minor} at most"))
    return found


_ARTICLE_16_EUR_MINOR = {"low_value_max_minor": 3_000, "low_value_total_minor": 10_000}
_LEGIBLE = 4.5
_LINEAR_BELOW = 0.04045


def contrast(one: str, other: str) -> float:
    """Return the contrast of two colours, 1 to 21 (WCAG 2.2, relative luminance)."""
    darker, lighter = sorted((_luminance(one), _luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(color: str) -> float:
    channels = [int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= _LINEAR_BELOW else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _from_validation(message: str, data: dict[str, Any], file: str) -> errors.ManifestInvalid:
    """Say which key msgspec refuses, and why, in the words of the file."""
    match = _AT.search(message)
    reason = _AT.sub("", message)
    place = match["path"] if match else "$"
    whole = place.removeprefix("$").removeprefix(".")
    if (entry := _entry(data, whole)) is not None:
        whole, reason = entry
    key = whole.removesuffix("[...]")
    value = _value_at(data, key)
    if named := _NAMED.search(reason):
        key = f"{key}.{named['name']}" if key else named["name"]
        reason = "is missing" if "missing" in reason else _unknown_key(named["name"], place)
    elif isinstance(value, dict) and (offender := _offender(value)) is not None:
        # msgspec doesn't say which entry of a table it means.
        name, reason = offender
        key = f"{key}.{name}"
    elif key.startswith("currencies["):
        reason = f"{value} isn't an ISO 4217 currency with a minor unit"
    elif reason.startswith("Invalid enum value") and (known := known_values(Manifest, place)):
        reason = f"{value!r} isn't one of {', '.join(known)}"
    elif "matching regex" in reason:
        reason = f"{value!r} isn't of the form that the schema asks for"
    return _invalid(file, key, reason)


def _unknown_key(name: str, place: str) -> str:
    _, _, advice = unknown_field(name, known_fields(Manifest, place) or []).partition("; ")
    return f"isn't a key of the manifest; {advice}"


_NAMED = re.compile(r"(?:unknown field|required field) `(?P<name>[^`]+)`")
_STEP = re.compile(r"[A-Za-z_]\w*|\[\d+\]")


_TABLES: dict[str, Any] = {
    "tokenization.personal": dict[tokenization.Name, PersonalRule],
    "tokenization.purposes": dict[tokenization.Name, Purpose],
}


def _entry(data: dict[str, Any], key: str) -> tuple[str, str] | None:
    """Return the key of what is wrong in an entry of a table that has entries by name, and what msgspec says of it."""
    table, _, rest = key.partition("[...]")
    entries = _value_at(data, table)
    if table not in _TABLES or not isinstance(entries, dict):
        return None
    for name, value in entries.items():
        try:
            msgspec.convert({name: value}, _TABLES[table])
        except msgspec.ValidationError as error:
            return f"{table}.{name}{rest}", _AT.sub("", str(error))
    return None


def _value_at(data: Any, key: str) -> Any:
    for step in _STEP.findall(key):
        try:
            data = data[int(step[1:-1])] if step.startswith("[") else data[step]
        except (KeyError, IndexError, TypeError):
            return None
    return data


def _offender(table: dict[str, Any]) -> tuple[str, str] | None:
    """Return the entry of a table of amounts that is wrong, and why."""
    for name, value in table.items():
        if name not in CURRENCIES:
            return name, f"{name} isn't an ISO 4217 currency with a minor unit"
        try:
            msgspec.convert(value, _AmountMinor)
        except msgspec.ValidationError as error:
            return name, str(error)
    return None


def _invalid(file: str, key: str, reason: str) -> errors.ManifestInvalid:
    where = f"{file}: {key}: {reason}" if key else f"{file}: {reason}"
    return errors.ManifestInvalid(where, param=key or None, file=file, key=key, reason=reason)
