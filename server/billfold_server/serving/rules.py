"""What ``billfold doctor`` makes of what it finds. All of it is pure: facts in, a verdict with one sentence out."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

import msgspec

__all__ = [
    "Check",
    "judge_beginnings",
    "judge_certificate",
    "judge_deletions",
    "judge_disk",
    "judge_durability",
    "judge_files",
    "judge_hosts",
    "judge_key",
    "judge_keyring",
    "judge_logging",
    "judge_partitions",
    "judge_python",
    "judge_rights",
    "judge_schemas",
    "judge_sizes",
    "judge_skew",
    "judge_space",
    "judge_wrapping",
]

Verdict = Literal["ok", "warn", "fail"]

_LONG = timedelta(minutes=10)

OLDEST_PYTHON = (3, 11)
FIRST_UNTRIED_PYTHON = (3, 15)
NEEDED_BYTES = 200 * 1024**2
COMFORTABLE_BYTES = 2 * 1024**3
NEEDED_FILES = 1024
DEFAULT_BUFFERS_BYTES = 128 * 1024**2
DEFAULT_WAL_BYTES = 1024**3
COMFORTABLE_SKEW_S = 1.0
LARGEST_SKEW_S = 30.0
CERTIFICATE_NOTICE = timedelta(days=21)
QUIET = {
    "log_statement": "none",
    "log_min_duration_statement": "-1",
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
}
"""With which settings PostgreSQL's log holds nothing of what people write: no statement, and no row beside an error."""
_OTHERS = 0o077
_EVERYBODY = 0o007
_NAMED = 3


class Check(msgspec.Struct, frozen=True):
    """One thing that was looked at.

    Attributes:
        name: What.
        verdict: ``ok``, ``warn`` (it works, and something should be done) or ``fail`` (a server can't run so).
        sentence: What was found, and what to do.
    """

    name: str
    verdict: Verdict
    sentence: str


def judge_python(version: tuple[int, int]) -> Check:
    """Judge the running Python."""
    name = ".".join(map(str, version))
    if version < OLDEST_PYTHON:
        return Check("python", "fail", f"Python {name} is too old: install 3.11 or later.")
    if version >= FIRST_UNTRIED_PYTHON:
        return Check("python", "warn", f"Python {name} is newer than what Billfold was tested on: use 3.11 to 3.14.")
    return Check("python", "ok", f"Python {name}.")


def judge_disk(folder: str, free_bytes: int) -> Check:
    """Judge how much space is left where the data is."""
    free = f"{free_bytes / 1024**3:.1f} GiB free at {folder}"
    if free_bytes < NEEDED_BYTES:
        return Check("disk", "fail", f"Only {free}: free some, or choose another folder with --data-dir.")
    if free_bytes < COMFORTABLE_BYTES:
        return Check("disk", "warn", f"Only {free}: free some before the database needs it.")
    return Check("disk", "ok", f"{free}.")


def judge_space(because: str | None) -> Check:
    """Judge whether PostgreSQL can write some megabytes.

    Args:
        because: Why it can't, in its own words; None where it can.
    """
    if because is None:
        return Check("database_space", "ok", "PostgreSQL has room to write.")
    sentence = f"PostgreSQL can't write ({because}): free space on its disk, or give it more."
    return Check("database_space", "fail", sentence)


def judge_files(limit: int) -> Check:
    """Judge how many files a process may have open; each connection is one."""
    if limit < NEEDED_FILES:
        return Check("open_files", "warn", f"A process may open {limit} files: raise it with ulimit -n {NEEDED_FILES}.")
    return Check("open_files", "ok", f"A process may open {limit} files.")


def judge_keyring(path: str, *, mode: int | None, ours: bool, production: bool) -> Check:
    """Judge who may read the keyring.

    Args:
        path: Where it lies.
        mode: Its permission bits; None where there is none yet.
        ours: Whether it belongs to this user.
        production: Whether real money depends on it.
    """
    if mode is None:
        return Check("keyring", "ok", f"There is none yet; the first start makes {path}.")
    if mode & _OTHERS:
        verdict: Verdict = "fail" if production else "warn"
        return Check("keyring", verdict, f"Others may read the keyring {path}: run chmod 600 on it.")
    if not ours:
        return Check("keyring", "warn", f"The keyring {path} belongs to another user: give it to the server's.")
    return Check("keyring", "ok", f"{path} opens, and only its owner may read it.")


def judge_skew(skew_s: float) -> Check:
    """Judge by how much the database's clock differs from ours."""
    found = f"The database's clock differs from this machine's by {abs(skew_s):.1f} s"
    if abs(skew_s) > LARGEST_SKEW_S:
        return Check("clock", "fail", f"{found}: let NTP set both.")
    if abs(skew_s) > COMFORTABLE_SKEW_S:
        return Check("clock", "warn", f"{found}: see that NTP sets both.")
    return Check("clock", "ok", f"{found}.")


def judge_durability(
    *,
    fsync: bool,
    full_page_writes: bool,
    synchronous_commit: bool,
    name: str = "durability",
    what: str = "acknowledged payments",
) -> Check:
    """Judge whether what a database has acknowledged survives a crash.

    Args:
        fsync: As it is set there.
        full_page_writes: The same.
        synchronous_commit: The same.
        name: What the check is called.
        what: What could be lost.
    """
    settings = {"fsync": fsync, "full_page_writes": full_page_writes, "synchronous_commit": synchronous_commit}
    off = [name for name, on in settings.items() if not on]
    if off:
        return Check(name, "fail", f"PostgreSQL may lose {what} in a crash ({', '.join(off)} off): turn it on.")
    return Check(name, "ok", "What PostgreSQL acknowledges survives a crash.")


def judge_logging(
    found: Mapping[str, str], *, production: bool, name: str = "logging", what: str = "what people write"
) -> Check:
    """Judge whether what a database is given gets into its log, where nobody expects or erases it.

    Args:
        found: What ``QUIET`` names, as the database has it.
        production: Whether real people write.
        name: What the check is called.
        what: What would stand there.
    """
    loud = [setting for setting, quiet in QUIET.items() if found[setting] != quiet]
    if loud:
        told = ", ".join(f"{setting} = {found[setting]}" for setting in loud)
        wanted = ", ".join(f"{setting} to {QUIET[setting]}" for setting in loud)
        return Check(name, "fail" if production else "warn", f"PostgreSQL may log {what} ({told}): set {wanted}.")
    return Check(name, "ok", "PostgreSQL logs no statements, nor rows that are refused.")


def judge_sizes(*, buffers_bytes: int, most_wal_bytes: int, production: bool) -> Check:
    """Judge whether somebody has sized the database: what PostgreSQL starts with is meant for the smallest machine.

    Args:
        buffers_bytes: How much memory it has for pages.
        most_wal_bytes: How long its write-ahead log may get between two checkpoints.
        production: Whether real money is moved.
    """
    small = [
        name
        for name, found, default in (
            ("shared_buffers", buffers_bytes, DEFAULT_BUFFERS_BYTES),
            ("max_wal_size", most_wal_bytes, DEFAULT_WAL_BYTES),
        )
        if found <= default
    ]
    if small and production:
        sentence = (
            f"PostgreSQL has no more than its defaults ({', '.join(small)}), so transfers get slower as the history "
            "grows: set them as the page on deploying says."
        )
        return Check("sizes", "warn", sentence)
    mib = 1024**2
    sentence = f"PostgreSQL has {buffers_bytes // mib} MB for pages and {most_wal_bytes // mib} MB between checkpoints."
    return Check("sizes", "ok", sentence)


def judge_rights(*, role: str, creates_roles: bool, owns_database: bool, prepared: bool) -> Check:
    """Judge what the database's role may do.

    Args:
        role: Its name.
        creates_roles: Whether it may create roles.
        owns_database: Whether it may create schemas and let others.
        prepared: Whether the database has been set up, so that the server's own login will do.
    """
    if creates_roles and owns_database:
        return Check("rights", "ok", f"{role} may set up, migrate and create tenants.")
    if prepared and not creates_roles:
        sentence = f"{role} serves tenants; to create or migrate them, give BILLFOLD_ADMIN_DATABASE_URL."
        return Check("rights", "ok", sentence)
    if creates_roles:
        return Check(
            "rights", "fail", f"{role} doesn't own the database: make it the owner (ALTER DATABASE … OWNER TO)."
        )
    sentence = f"The database isn't set up, and {role} may not do it: give BILLFOLD_ADMIN_DATABASE_URL."
    return Check("rights", "fail", sentence)


def _few(names: Sequence[str]) -> list[str]:
    """Return the first names, and how many more there are."""
    return [*names[:_NAMED], *([f"{len(names) - _NAMED} more"] if len(names) > _NAMED else [])]


def judge_schemas(*, platform: int, tenants: Sequence[str]) -> Check:
    """Judge whether every schema is of this version.

    Args:
        platform: How many migrations the platform's schema lacks.
        tenants: Slugs of the tenants whose schema lacks some.
    """
    if not platform and not tenants:
        return Check("schemas", "ok", "Every schema is up to date.")
    lacking = [*(["the platform's"] if platform else []), *_few(tenants)]
    sentence = f"Schemas are behind this version ({', '.join(lacking)}): run billfold tenants migrate, or billfold up."
    return Check("schemas", "warn", sentence)


def judge_tenants(unreadable: Mapping[str, str]) -> Check:
    """Judge whether this version can read what is stored of every tenant.

    Args:
        unreadable: Why not, by the slugs of those that it can't read.
    """
    if not unreadable:
        return Check("tenants", "ok", "What is stored of every tenant can be read.")
    named = _few([f"{slug} ({why})" for slug, why in unreadable.items()])
    sentence = f"This version can't read {', '.join(named)}: run the version that wrote it, or apply the manifest anew."
    return Check("tenants", "fail", sentence)


def judge_wrapping(lacking: Sequence[UUID], *, of: int) -> Check:
    """Judge whether Vault has the keys that have wrapped what lies in the key store.

    Args:
        lacking: The tenants whose key it doesn't have, or not in the version that was used last.
        of: Of how many tenants it was asked.
    """
    if not lacking:
        return Check("vault_keys", "ok", "Vault has the keys that the key store's are wrapped by.")
    sentence = (
        f"Vault lacks the keys of {len(lacking)} of {of} tenants, such as {lacking[0]}, by which the key store's are "
        "wrapped: name the Vault that has them, or restore it to its newest state; nothing of theirs opens without."
    )
    return Check("vault_keys", "fail", sentence)


def judge_beginnings(begun: Mapping[str, datetime], now: datetime) -> Check:
    """Judge whether tenants that somebody has begun to make come to be served.

    Args:
        begun: Since when, by the slugs of those that aren't made to their end.
        now: The time.
    """
    stuck = [slug for slug, since in begun.items() if now - since > _LONG]
    if not stuck:
        return Check("beginnings", "ok", "No tenant is half made.")
    named = _few(stuck)
    sentence = (
        f"Tenants were begun more than ten minutes ago and aren't made to their end ({', '.join(named)}): run billfold "
        "tenants apply for them again (for partners' sandboxes, billfold sandbox carry-out), or billfold tenants "
        "delete."
    )
    return Check("beginnings", "warn", sentence)


def judge_deletions(deleting: Mapping[str, datetime], now: datetime) -> Check:
    """Judge whether tenants that are to be deleted go.

    Args:
        deleting: Since when, by the slugs of those that are still there.
        now: The time.
    """
    stuck = [slug for slug, since in deleting.items() if now - since > _LONG]
    if not stuck:
        return Check("deletions", "ok", "No tenant waits for its deletion.")
    named = _few(stuck)
    sentence = (
        f"The deletion of tenants isn't done after more than ten minutes ({', '.join(named)}): "
        "run billfold tenants delete for one of them, which says what keeps it."
    )
    return Check("deletions", "warn", sentence)


def judge_partitions(lacking: Sequence[str]) -> Check:
    """Judge whether every tenant's ledger has partitions for the next month.

    Args:
        lacking: Slugs of the tenants whose ledger has none.
    """
    if not lacking:
        return Check("partitions", "ok", "Every ledger has partitions for the next month.")
    named = _few(lacking)
    sentence = f"Ledgers have no partitions for the next month ({', '.join(named)}): run billfold tenants migrate."
    return Check("partitions", "warn", sentence)


def judge_certificate(
    ends_at: datetime,
    now: datetime,
    *,
    name: str = "tls",
    what: str = "The certificate",
    notice: timedelta = CERTIFICATE_NOTICE,
) -> Check:
    """Judge how long a certificate is good for.

    Args:
        ends_at: Until when it is.
        now: The time.
        name: The check's name.
        what: Whose certificate it is, as a sentence begins.
        notice: How long before its end to warn.
    """
    if ends_at <= now:
        return Check(name, "fail", f"{what} ended on {ends_at:%Y-%m-%d}: renew it; that needs no restart.")
    if ends_at - now < notice:
        return Check(name, "warn", f"{what} ends on {ends_at:%Y-%m-%d}: renew it; that needs no restart.")
    return Check(name, "ok", f"{what} is good until {ends_at:%Y-%m-%d}.")


def judge_key(path: str, mode: int, *, production: bool) -> Check:
    """Judge who may read the private key of the server's certificate; a group of its own may.

    Args:
        path: Where it lies.
        mode: Its permission bits.
        production: Whether anybody depends on it.
    """
    if mode & _EVERYBODY:
        verdict: Verdict = "fail" if production else "warn"
        return Check("tls_key", verdict, f"Everybody on this machine may read the TLS key {path}: run chmod o= on it.")
    return Check("tls_key", "ok", f"{path} is closed to others.")


def judge_hosts(host: str, names: Sequence[str]) -> Check:
    """Judge whether a certificate is for the host by which the world reaches the server (RFC 6125, section 6.4).

    Args:
        host: That host, or an address.
        names: What the certificate says that it is for.
    """
    above = host.partition(".")[2]
    if host in names or (above and f"*.{above}" in names):
        return Check("tls_host", "ok", f"The certificate is for {host}.")
    sentence = f"The certificate isn't for {host}, by which the server is to be reached: get one that names it."
    return Check("tls_host", "warn", sentence)
