"""Why a database can't be reached, told apart by who mends it: who runs it, or who has written its address."""

import ssl

import asyncpg

from billfold_server import database_urls
from billfold_server.serving.failures import Exit, Failure, too_many_connections

__all__ = ["unreachable"]


def unreachable(url: str, variable: str, error: Exception) -> Failure:
    """Return what it means that a database couldn't be connected to.

    Args:
        url: Where it is said to be; its secrets aren't repeated.
        variable: By which setting it was named.
        error: What was raised.
    """
    where = database_urls.where(url)
    if isinstance(error, asyncpg.TooManyConnectionsError):
        return too_many_connections()
    unusable = _unusable(url, where, variable, error)
    if unusable is not None:
        # Waiting mends none of these, so whatever starts the server needn't try again.
        return Failure("database_url_unusable", unusable, Exit.SETTINGS, where=where)
    parts = database_urls.parts(url)
    code = "database_unreachable"
    match error:
        case asyncpg.InvalidAuthorizationSpecificationError():
            code = "database_login_refused"
            sentence = (
                f"The database at {where} refuses the login {parts.username}: correct user and password in {variable}."
            )
        case asyncpg.InvalidCatalogNameError():
            code, name = "database_missing", parts.path.lstrip("/")
            sentence = f"There is no database {name} at {where}: create it, or correct {variable}."
        case _:
            why = "no answer in time" if isinstance(error, TimeoutError) else str(error) or type(error).__name__
            sentence = f"The database at {where} can't be reached ({why}): start it, or correct {variable}."
    return Failure(code, sentence, Exit.UNAVAILABLE, where=where)


def _unusable(url: str, where: str, variable: str, error: Exception) -> str | None:
    """Return what is wrong with the address itself, or None."""
    sentence = None
    match error:
        case ssl.SSLCertVerificationError():
            sentence = (
                f"The certificate of the database at {where} isn't trusted ({error.verify_message.rstrip('.')}): "
                f"name the host that it is for, and the file of its authority as sslrootcert, in {variable}."
            )
        case OSError() if (file := _unusable_file(url)) is not None:
            sentence = f"{file}: correct it in {variable}."
        case asyncpg.ClientConfigurationError() if "root certificate" in str(error):
            sentence = (
                f"{variable} asks for the database's certificate to be verified, and doesn't say by which authority: "
                "add sslrootcert=/path/to/authority.pem to it."
            )
        case asyncpg.ClientConfigurationError():
            sentence = f"{variable} can't be used ({str(error).splitlines()[0]}): correct it."
        case ValueError():
            sentence = f"{variable} can't be read: write it like postgresql://user:password@host:5432/name."
        case (
            asyncpg.UndefinedObjectError()
            | asyncpg.CantChangeRuntimeParamError()
            | asyncpg.InvalidParameterValueError()
        ):
            sentence = f"{variable} holds a parameter that the database doesn't take ({error}): correct it."
    return sentence


def _unusable_file(url: str) -> str | None:
    """Return which file that an address names can't be used, and why, as a sentence begins."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    key, password = (database_urls.parameter(url, name) for name in ("sslkey", "sslpassword"))
    for name, load in (
        ("sslrootcert", context.load_verify_locations),
        ("sslcrl", context.load_verify_locations),
        ("sslcert", lambda path: context.load_cert_chain(path, key, lambda: password or "")),
    ):
        path = database_urls.parameter(url, name)
        if path is None:
            continue
        if (name, path) == ("sslrootcert", "system"):
            return "sslrootcert=system isn't known here; name a PEM file of authorities"
        try:
            load(path)
        except ssl.SSLError:
            return f"The file {path}, named as {name}, holds nothing in PEM that can be used so"
        except OSError as error:
            return f"The file {path}, named as {name}, can't be used ({error.strerror})"
    return None
