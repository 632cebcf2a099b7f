"""The platform's operators over HTTP, for other operators."""

from uuid import UUID

from billfold import errors, ids
from billfold.contract.common import Page, UserId
from billfold.contract.operators import CreateOperator, EnrolmentHalf, Operator
from billfold.contract.users import LoginName, SignedOut, UserState
from billfold.ids import Prefix
from billfold_server.http.pagination import DEFAULT_LIMIT, Cursor, Limit
from billfold_server.http.routing import Call, Link, Routes
from billfold_server.people import operators
from billfold_server.people.service import Realm

__all__ = ["routes"]

routes = Routes(
    tag="Operators",
    description="The people who run this deployment, as they look after each other.",
    audience="platform",
)

_KIND = "operators"
_READ = "platform:users:read"
_WRITE = "platform:users:write"
_LETS_IN = (errors.NotFound, errors.PersonRequired, errors.PermissionDenied)
_LED_TO = tuple(
    Link(operation_id=name, parameters={"user_id": "$response.body#/id"})
    for name in ("getOperator", "createOperatorEnrolmentCode", "disableOperator", "unlockOperator", "signOperatorOut")
)


def _id(user_id: str) -> UUID:
    return ids.decode(Prefix.USER, user_id)


def _realm(call: Call) -> Realm:
    return Realm.of(call.services, None)


def _second() -> errors.SecondOperatorRequired:
    return errors.SecondOperatorRequired("it is done once another operator asks for the same")


@routes.post(
    "/platform/v1/users",
    scope=_WRITE,
    location="/v1/users/{id}",
    errors=(errors.LoginNameTaken, errors.UserInvalid, errors.PersonRequired),
    links=_LED_TO,
    examples={"request": {"login_name": "grace.hopper", "display_name": "Grace Hopper"}},
)
async def create_operator(call: Call, body: CreateOperator) -> Operator:
    """Create an operator.

    Only a person does. Who was created signs in once they have enrolled, by a code of which two other operators ask
    for half each.
    """
    async with call.platform_tx() as tx:
        return await operators.create(_realm(call), tx, call.caller, body)


@routes.get("/platform/v1/users", scope=_READ)
async def list_operators(
    call: Call,
    *,
    login_name: LoginName | None = None,
    state: UserState | None = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor | None = None,
) -> Page[Operator]:
    """List operators.

    The newest comes first. Conditions narrow the list together.
    """
    after = call.cursors.decode(_KIND, cursor)
    async with call.platform_tx() as tx:
        found = await operators.list_page(
            _realm(call),
            tx,
            login_name=login_name,
            state=state,
            before=UUID(str(after[0])) if after else None,
            limit=limit + 1,
        )
    return call.page(_KIND, found, limit, key=lambda each: [str(_id(each.id))])


@routes.get("/platform/v1/users/{user_id}", scope=_READ, errors=(errors.NotFound,))
async def get_operator(call: Call, user_id: UserId) -> Operator:
    """Show an operator."""
    async with call.platform_tx() as tx:
        return await operators.get(_realm(call), tx, _id(user_id))


@routes.post(
    "/platform/v1/users/{user_id}/enrolment-codes",
    scope=_WRITE,
    status=201,
    errors=(*_LETS_IN, errors.UserStateRefuses),
)
async def create_operator_enrolment_code(call: Call, user_id: UserId) -> EnrolmentHalf:
    """Get half of a one-time code by which an operator enrols.

    Two operators must ask for it, in person and within three days. Each gets half of the code and gives it to the new
    one, who types both; so neither can enrol in their place. It is `complete` once the second has asked. Then it is
    good for seven days, and earlier ones end. Who has enrolled before begins anew by it: the factors and sessions of
    before end once they have finished.
    """
    async with call.platform_tx() as tx:
        return await operators.enrolment_half(_realm(call), tx, call.caller, _id(user_id))


@routes.post("/platform/v1/users/{user_id}/disable", scope=_WRITE, errors=(errors.NotFound, errors.PermissionDenied))
async def disable_operator(call: Call, user_id: UserId) -> Operator:
    """Disable an operator, who is signed out everywhere from the next request on.

    Whoever is disabled already stays so, so it may be sent again. Nobody disables themselves.
    """
    async with call.platform_tx() as tx:
        return await operators.disable(_realm(call), tx, call.caller, _id(user_id))


@routes.post("/platform/v1/users/{user_id}/enable", scope=_WRITE, errors=(*_LETS_IN, errors.SecondOperatorRequired))
async def enable_operator(call: Call, user_id: UserId) -> Operator:
    """Let a disabled operator in again.

    Two operators must ask for it, in person and within three days: the first is refused with
    `second_operator_required`.
    """
    async with call.platform_tx() as tx:
        shown = await operators.enable(_realm(call), tx, call.caller, _id(user_id))
    if shown is None:
        raise _second()
    return shown


@routes.post("/platform/v1/users/{user_id}/unlock", scope=_WRITE, errors=(errors.NotFound,))
async def unlock_operator(call: Call, user_id: UserId) -> Operator:
    """Take attempts to sign in again, where too many have failed."""
    async with call.platform_tx() as tx:
        return await operators.unlock(_realm(call), tx, call.caller, _id(user_id))


@routes.post("/platform/v1/users/{user_id}/sign-out", scope=_WRITE, errors=(errors.NotFound,))
async def sign_operator_out(call: Call, user_id: UserId) -> SignedOut:
    """Sign an operator out everywhere, from the next request on."""
    async with call.platform_tx() as tx:
        return await operators.sign_out(_realm(call), tx, call.caller, _id(user_id))
