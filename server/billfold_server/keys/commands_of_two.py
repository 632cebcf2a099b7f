"""What destroys keys, on the command line: one person asks, another one agrees, and each shows who they are.

A party's keys are a matter of its tenant, whose staff asks and approves; all keys of a tenant one of the platform's
operators. Names, passwords and codes are asked for at the terminal.
"""

import asyncio
import os
import sys
from collections.abc import Callable, Coroutine
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar
from uuid import UUID

import click
import msgspec

from billfold import errors, ids
from billfold.contract.approvals import Approval
from billfold.contract.data_keys import ShredSubject
from billfold.ids import Prefix
from billfold_server.commands import OpenServices, json_line, json_option
from billfold_server.http.pipeline import Pipeline
from billfold_server.http.routing import Call, StoredRequest
from billfold_server.keys import destruction, routes
from billfold_server.keys.destruction import Destruction
from billfold_server.listings import listing, print_listing
from billfold_server.people import service as people
from billfold_server.tenancy.context import COMMAND_LINE, Caller, TenantRef

if TYPE_CHECKING:
    from billfold_server.http.services import Services

__all__ = ["COMMANDS", "party_id_of"]

T = TypeVar("T")

_SHRED: Final = "shredSubject"
_NIL: Final = UUID(int=0)

_as = click.option("--as", "name", required=True, metavar="NAME", help="Who you are: the name that you sign in with.")


def party_id_of(text: str) -> UUID:
    """Return a party's id from what was typed.

    Raises:
        errors.NotFound: It is none.
    """
    try:
        return ids.decode(Prefix.PARTY, text)
    except ids.InvalidIdError:
        raise errors.NotFound("there is no such party") from None


class _Typed(msgspec.Struct, frozen=True):
    """What somebody has typed to show who they are."""

    name: str
    password: str
    code: str


def _ask_who(name: str) -> _Typed:
    # What comes from elsewhere than a terminal is shown nowhere, and can't be hidden.
    hidden = _has_terminal()
    password = click.prompt(f"Password of {name}", hide_input=hidden, err=True)
    code = click.prompt(f"Code of {name}'s authenticator app", hide_input=hidden, err=True)
    return _Typed(name, password, code)


def _has_terminal() -> bool:
    """Tell whether somebody can be asked at a terminal, whatever standard input is."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR))
    except OSError:
        return sys.stdin.isatty()
    return True


def _call(services: "Services", tenant: TenantRef | None, path: str, body: bytes = b"") -> Call:
    return Call(
        services=services,
        caller=COMMAND_LINE,
        request_id=ids.new(Prefix.REQUEST),
        method="POST",
        path=path,
        headers={},
        base_url=services.identity.realm(tenant).issuer,
        body=body,
        tenant_or_none=tenant,
    )


async def _as_person(call: Call, typed: _Typed, scope: str | None) -> Call:
    """Return what is done as done by somebody who has shown who they are, and may do it."""
    realm: Literal["operator", "staff"] = "operator" if call.tenant_or_none is None else "staff"
    person = await people.identify(call, realm, typed.name, typed.password, typed.code)
    if scope is not None and person.scopes is not None and scope not in person.scopes:
        raise errors.InsufficientScope(f"this needs a role that allows {scope}", scope=scope)
    call.caller = Caller(
        actor=person.actor,
        client_id=_NIL,
        request_id=call.request_id,
        scopes=frozenset() if scope is None else frozenset({scope}),
        user_id=person.user_id,
    )
    return call


def _run(open_services: OpenServices, work: "Callable[[Services], Coroutine[Any, Any, T]]") -> T:
    async def run() -> T:
        async with open_services() as services:
            return await work(services)

    return asyncio.run(run())


class _Asked(msgspec.Struct, frozen=True):
    """A request that waits for another person."""

    approval_id: str
    status: str = "pending"


@click.command()
@click.option("--tenant", required=True, metavar="SLUG", help="The tenant whose party it is.")
@click.option("--party", required=True, metavar="ID", help="The party whose keys are to be destroyed.")
@click.option("--reason", required=True, help="Why, for the audit.")
@_as
@json_option
@click.pass_obj
def shred(  # noqa: PLR0917 - click hands over one argument for each option
    open_services: OpenServices,
    tenant: str,
    party: str,
    reason: str,
    name: str,
    as_json: bool,  # noqa: FBT001
) -> None:
    """Ask for the destruction of a party's keys, so that nothing under them can be read again, in no backup either.

    It is done once another member of staff has approved it: by billfold keys approve, or over the API.
    """
    typed = _ask_who(name)

    async def work(services: "Services") -> _Asked:
        party_id_of(party)
        body = ShredSubject(party_id=party, reason=reason)
        found = await services.registry.get(tenant)
        call = _call(services, found, "/v1/data-keys/shred", msgspec.json.encode(body))
        call = await _as_person(call, typed, "keys:write")
        (operation,) = (each for each in routes.routes.operations if each.operation_id == _SHRED)
        assert operation.approval is not None, "destroying keys takes two"
        await operation.approval.when(call, {"body": body})
        request = StoredRequest(operation_id=_SHRED, path={}, query=b"", body=call.body, if_match=None)
        try:
            await services.approvals.admit(call, operation.approval, request)
        except errors.ApprovalRequired as waits:
            return _Asked(waits.approval_id)
        raise AssertionError("a request without a key of its own always waits")

    asked = _run(open_services, work)
    if as_json:
        click.echo(json_line(asked))
    else:
        click.echo(f"{asked.approval_id} waits for another person: billfold keys approve {asked.approval_id}")


def _decision(word: str, text: str) -> click.Command:
    """Make a command by which somebody decides on what another person has asked for."""

    def command(  # noqa: PLR0917
        open_services: OpenServices,
        request: str,
        tenant: str | None,
        platform: bool,  # noqa: FBT001
        reason: str | None,
        name: str,
        as_json: bool,  # noqa: FBT001
    ) -> None:
        if (tenant is None) is not platform:
            msg = "Name a tenant with --tenant, or say --platform."
            raise click.UsageError(msg)
        typed = _ask_who(name)

        async def work(services: "Services") -> Approval | Destruction:
            if tenant is None:
                return await _decide_on_destruction(services, word, request, typed)
            return await _decide_on_approval(
                services, await services.registry.get(tenant), word, request, reason, typed
            )

        done = _run(open_services, work)
        status = done.status.value if isinstance(done, Approval) else done.state
        click.echo(json_line(done) if as_json else f"{request} is {status}.")

    command.__doc__ = text
    for option in (
        click.argument("request", metavar="ID"),
        click.option("--tenant", metavar="SLUG", help="The tenant whose staff has asked for it."),
        click.option("--platform", is_flag=True, help="An operator of the platform has asked for it."),
        click.option("--reason", help="Why, for the audit."),
        _as,
        json_option,
    ):
        command = option(command)
    return click.command(word)(click.pass_obj(command))


async def _decide_on_approval(  # noqa: PLR0917
    services: "Services", tenant: TenantRef, word: Any, request: str, reason: str | None, typed: _Typed
) -> Approval:
    try:
        approval_id = ids.decode(Prefix.APPROVAL, request)
    except ids.InvalidIdError:
        raise errors.NotFound("there is no such approval") from None
    call = await _as_person(_call(services, tenant, f"/v1/approvals/{request}/{word}"), typed, "approvals:decide")
    # What isn't ours is left to the server's own job, which knows how to carry it out.
    services.approvals.bind({each.operation_id: Pipeline(each, services) for each in routes.routes.operations})
    decided: Approval = (await services.approvals.decide(call, approval_id, word, reason)).body
    return decided


async def _decide_on_destruction(services: "Services", word: str, request: str, typed: _Typed) -> Destruction:
    try:
        destruction_id = UUID(request)
    except ValueError:
        raise errors.NotFound("there is no such destruction") from None
    operator = (await _as_person(_call(services, None, ""), typed, None)).caller
    now = services.clock.now()
    if word == "approve":
        await _check_asker(services, destruction_id)
        return await destruction.approve(services.database, services.keys, operator, destruction_id, now=now)
    async with services.database.platform_tx() as tx:
        return await destruction.reject(tx, operator, destruction_id, now=now)


async def _check_asker(services: "Services", destruction_id: UUID) -> None:
    """See that who has asked for a destruction still is an operator: what is agreed to is their word, too.

    Raises:
        errors.NotFound: There is no such destruction.
        errors.MakerLacksPermission: They aren't let in any more.
    """
    async with services.database.platform_tx() as tx:
        asked = await destruction.get(tx, destruction_id)
        maker = await people.standing_of(tx, asked.asked_by)
    # What was agreed to before is carried out to its end.
    if asked.state == "pending" and (maker is None or not maker.active):
        raise errors.MakerLacksPermission(
            "who has asked for it is no operator any more; reject it, and have another one ask"
        )


approve = _decision(
    "approve", "Approve the destruction of keys that another person has asked for; it is carried out at once."
)
reject = _decision("reject", "Refuse the destruction of keys that another person has asked for.")


@click.command()
@click.option("--tenant", metavar="SLUG", help="The tenant, suspended or deleted.")
@click.option(
    "--removed-sandboxes",
    "removed",
    is_flag=True,
    help="Instead of one tenant: all sandboxes of partners that were removed, up to 1,000 at once.",
)
@click.option("--reason", required=True, help="Why, for the audit.")
@_as
@json_option
@click.pass_obj
def destroy(
    open_services: OpenServices,
    tenant: str | None,
    reason: str,
    name: str,
    *,
    removed: bool,
    as_json: bool,
) -> None:
    """Ask for the destruction of all keys of a tenant, so that nothing that it has sealed can be read again.

    It is done once another operator of the platform has approved it, by billfold keys approve --platform.
    """
    if (tenant is None) is not removed:
        msg = "Name a tenant with --tenant, or say --removed-sandboxes."
        raise click.UsageError(msg)
    typed = _ask_who(name)

    async def work(services: "Services") -> Destruction:
        operator = (await _as_person(_call(services, None, ""), typed, None)).caller
        now: datetime = services.clock.now()
        async with services.database.platform_tx() as tx:
            if tenant is None:
                _tell_unclaimed(await destruction.count_unclaimed(tx, now))
                return await destruction.ask_for_removed(tx, operator, reason=reason, now=now)
            tenant_id = await destruction.find_doomed(tx, tenant)
            return await destruction.ask(tx, operator, tenant_id=tenant_id, slug=tenant, reason=reason, now=now)

    asked = _run(open_services, work)
    if as_json:
        click.echo(json_line(asked))
    else:
        whose = asked.slug if tenant is not None else f"{asked.tenants:,} removed sandboxes"
        click.echo(f"{asked.id} ({whose}) waits for another operator: billfold keys approve --platform {asked.id}")


def _tell_unclaimed(tenants: int) -> None:
    if tenants:
        click.echo(
            f"Not among them: {tenants:,} deleted tenants of which no destruction was asked for. They were no "
            "sandboxes, or an older version has removed them, which didn't write that down. billfold keys "
            "verify-destroyed shows of which keys are left; ask for each by billfold keys destroy --tenant SLUG.",
            err=True,
        )


@click.command()
@json_option
@click.pass_obj
def destructions(open_services: OpenServices, *, as_json: bool) -> None:
    """Show the destructions of all of a tenant's keys that were asked for."""

    async def work(services: "Services") -> list[Destruction]:
        async with services.database.platform_tx() as tx:
            return await destruction.list_destructions(tx)

    found = _run(open_services, work)
    if as_json:
        click.echo(json_line(found))
        return
    table = listing("Id", "Tenant", "State", "Asked by", "Asked at", "Decided by", "Done at")
    for each in found:
        decided_by = "" if each.decided_by is None else ids.encode(Prefix.USER, each.decided_by)
        done_at = "" if each.done_at is None else f"{each.done_at:%Y-%m-%d %H:%M}"
        asked_by = ids.encode(Prefix.USER, each.asked_by)
        whose = each.slug if each.tenants == 1 else f"{each.slug} and {each.tenants - 1:,} more"
        table.add_row(str(each.id), whose, each.state, asked_by, f"{each.asked_at:%Y-%m-%d %H:%M}", decided_by, done_at)
    print_listing(table)


COMMANDS: Final = (shred, approve, reject, destroy, destructions)
"""What is added to the group of ``commands``."""
