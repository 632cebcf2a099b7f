"""From the SDK's methods to commands: each operation of the contract is one, and none can be missing.

Names, types and sentences come from the methods' signatures and docstrings, which tests hold complete. A resource's
module is imported when one of its commands is looked at.
"""

import contextlib
import functools
import inspect
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import click
import msgspec
from msgspec import UNSET

from billfold import errors
from billfold.cli import profiles, showing
from billfold.cli.arguments import JsonType, Members, MoneyType, PairType, ParamType, cleared, members, type_of
from billfold.cli.failures import Exit, Failure, again
from billfold.cli.meanwhile import saying
from billfold.cli.running import PartnerCommand, PartnerGroup, common_options, run

if TYPE_CHECKING:
    from billfold import Billfold
    from billfold.client._message import Request, Response

__all__ = ["RESOURCES", "Answers", "Resource", "connected", "resource"]

RESOURCES: Final[Mapping[str, str]] = {
    "account-statements": "Customers' statements, month by month.",
    "accounts": "The chart of accounts.",
    "approvals": "What waits for a second person.",
    "arrangements": "Standing orders, beneficiaries and the like.",
    "audit-records": "Who did what, when and why.",
    "blocked-third-parties": "Third parties that are kept out.",
    "card-sessions": "Pages and frames at which people enter cards.",
    "clients": "Who may ask for access tokens.",
    "clock": "The tenant's time, which moves in a sandbox.",
    "consents": "What customers have allowed third parties.",
    "data-keys": "Under which keys personal and card data lie.",
    "event-notifications": "What third parties are told, and what they report.",
    "events": "What happened, in order.",
    "holds": "Money that is reserved.",
    "journal-entries": "The ledger's entries.",
    "ledger": "The ledger as a whole: its signed head.",
    "parties": "The people and companies that own wallets.",
    "partners": "Organisations that embed the platform.",
    "payments": "Payments, in the bank and out of it.",
    "privacy": "What is kept of people and where.",
    "products": "What wallets are of, with their terms.",
    "requests": "What programs have asked, and what they were answered.",
    "sandbox": "The sandbox itself, which can begin anew.",
    "simulations": "What happens outside of a sandbox, as you like it.",
    "statement-entries": "The entries of bank statements.",
    "statements": "Imports of bank statements.",
    "tenant": "Name, brand and currencies of the tenant.",
    "top-ups": "Money that comes in.",
    "transfers": "Money from wallet to wallet.",
    "users": "The people who sign in at the tenant's pages.",
    "vault-tokens": "Stand-ins for cards and personal data.",
    "wallets": "Wallets, their balances and their aliases.",
    "webhook-deliveries": "What receivers have answered to webhooks.",
    "webhook-endpoints": "Where webhooks go.",
    "withdrawals": "Money that goes out.",
}
"""Every resource of the client, told without importing it."""

NOT_AT_A_TERMINAL: Final = frozenset({"detokenize_card", "detokenize_cards", "follow"})
"""What prints whole card numbers: ``vault-tokens detokenize`` hands them out encrypted, to a key of the caller's. And
what never ends: ``events tail`` doesn't either, and says what becomes of the server meanwhile."""

_BULK: Final = ("transfers", "bulk")
"""What is answered with a verdict on each of many orders, and was refused where none of them was carried out."""

_HIDDEN: Final = frozenset({"number", "cvc"})
"""What is asked for and never taken from the command line, where histories and process lists keep it."""

_FURTHER: Final = {"from_wallet_id": ("--from",), "to_wallet_id": ("--to",)}
_TEXTS: Final = {"reason": "Why; it is kept in the audit."}
"""What a docstring need not say."""

_NONE: Final = re.compile(r"\bNone\b")
_ARGUMENT: Final = re.compile(r"^    (\w+): ((?:.+\n?)(?:        .+\n?)*)", re.MULTILINE)


class Answers:
    """What the server has answered, as it came: newer servers say more than this client knows."""

    def __init__(self) -> None:
        self.last: bytes = b""
        self._key: str | None = None

    def ask(self, request: "Request") -> None:
        """Note the key of an order that goes out."""
        self._key = request.headers.get("idempotency-key")

    def note(self, _request: "Request", response: "Response", _took_s: float) -> None:
        """Keep the body of a success."""
        if response.status in range(200, 300):
            self.last = response.body
            self._key = None

    @contextlib.contextmanager
    def awaited(self, *, keyed: bool = True) -> Iterator[None]:
        """Tell whoever ends the block by Ctrl-C how to find out what has become of an order that was under way.

        Args:
            keyed: Whether the command can be given a key.

        Raises:
            Failure: There was one.
        """
        try:
            yield
        except errors.BillfoldError as error:
            if not keyed:
                error.idempotency_key = None
            raise
        except KeyboardInterrupt:
            if self._key is None or not keyed:
                raise
            sentence = f"The order may have been carried out.\n{again(self._key)}"
            raise Failure("interrupted", sentence, Exit.TRY_AGAIN, idempotency_key=self._key) from None

    def document(self) -> Any:
        """Return the last answer; None where it had no body."""
        return msgspec.json.decode(self.last) if self.last else None


def connected(profile: str | None, *, max_retries: int | None = None) -> "tuple[Billfold, Answers]":
    """Return a client of the profile that a command is given for, and what it is answered."""
    from billfold import Hooks  # noqa: PLC0415 - Costs more than all of this.

    answers = Answers()
    hooks = Hooks(on_request=answers.ask, on_response=answers.note)
    return profiles.connect(profiles.chosen(profile), hooks=hooks, max_retries=max_retries), answers


class _Parameter(NamedTuple):
    """A parameter of a method.

    Attributes:
        name: In Python.
        found: What it may be.
        required: Whether it has no default.
        positional: Whether it is written without a name.
        text: What it is for.
    """

    name: str
    found: Members
    required: bool
    positional: bool
    text: str

    @property
    def option(self) -> str:
        """The name of its option."""
        return "--" + self.typed

    @property
    def typed(self) -> str:
        """Its name, as people type it."""
        return self.name.strip("_").replace("_", "-")


@functools.cache
def _blueprint() -> "Billfold":
    """Return a client that has methods to look at, and nothing to call."""
    from billfold import Billfold  # noqa: PLC0415 - Costs more than all of this.

    client = Billfold.__new__(Billfold)
    nobody: Any = None
    client._open(nobody)  # noqa: SLF001 - Of the same package.
    return client


class Resource(PartnerGroup):
    """The commands of one resource, made as they are asked for.

    Args:
        way: The attributes that lead to it from a client.
        sentence: What it is.
    """

    def __init__(self, way: tuple[str, ...], sentence: str) -> None:
        super().__init__(name=way[-1].replace("_", "-"), help=sentence, no_args_is_help=True)
        self._way = way

    @functools.cached_property
    def _names(self) -> dict[str, str]:
        """The methods and the resources below, by the names of their commands."""
        from billfold.client._sync.resource import Resource as Below  # noqa: PLC0415 - As above.

        thing = _follow(_blueprint(), self._way)
        return {
            name.replace("_", "-"): name
            for name in dir(thing)
            if not name.startswith("_")
            and name not in NOT_AT_A_TERMINAL
            and (callable(value := getattr(thing, name)) or isinstance(value, Below))
        }

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of its commands."""
        return sorted({*super().list_commands(ctx), *self._names})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command, made by now."""
        if (own := super().get_command(ctx, cmd_name)) is not None or cmd_name not in self._names:
            return own
        way = (*self._way, self._names[cmd_name])
        thing = _follow(_blueprint(), way)
        if callable(thing):
            return _command(way, thing)
        return Resource(way, (inspect.getdoc(thing) or "").partition("\n")[0].partition(":")[0] + ".")


def resource(name: str) -> Resource | None:
    """Return the commands of a resource, or None where there is none of that name."""
    if name not in RESOURCES:
        return None
    group = Resource((name.replace("-", "_"),), RESOURCES[name])
    if name == "events":
        from billfold.cli.following import tail  # noqa: PLC0415 - It imports this.

        group.add_command(tail)
    return group


def _follow(thing: Any, way: tuple[str, ...]) -> Any:
    return functools.reduce(getattr, way, thing)


def _command(way: tuple[str, ...], method: Callable[..., Any]) -> click.Command:
    """Return the command that calls a method."""
    text = inspect.getdoc(method) or ""
    parameters = list(_parameters(method, text))
    returned = str(inspect.signature(method).return_annotation)
    keyed = any(each.name == "idempotency_key" for each in parameters)
    is_list, is_file = ".Pages[" in returned, returned == "<class 'bytes'>"
    made = [each for parameter in parameters for each in _made(parameter)]
    if clearable := [each.typed for each in parameters if each.found.clearable]:
        what = "Empty this; may be given several times."
        made.append(click.Option(["--clear", "cleared_"], multiple=True, type=click.Choice(clearable), help=what))
    if is_list:
        made.append(click.Option(["--all", "all_"], is_flag=True, help="Fetch every page, not the first alone."))
    if is_file:
        made.append(
            click.Option(["--output", "output_"], type=click.Path(dir_okay=False), help="Write it to this file.")
        )

    # In a document it is JSON's own value that clears, and there is no option for it.
    clears = "--clear NAME" if clearable else "null"
    about = "\n\n".join([_about(text, clears), *_of_documents(made)])

    def callback(profile: str | None, as_json: bool, **given: Any) -> None:  # noqa: FBT001 - click hands it over by name.
        options = {name: given.pop(name, None) for name in ("all_", "output_", "cleared_")}
        arguments = _arguments(parameters, given, options["cleared_"] or ())
        client, answers = connected(profile)
        look = None if as_json or way not in _SLOW else functools.partial(_SLOW[way], profile)
        with client, saying(look), answers.awaited(keyed=keyed):
            result = _follow(client, way)(**arguments)
            if is_file:
                _write(result, options["output_"])
            elif is_list:
                showing.show(_listed(result, answers, all_pages=bool(options["all_"])), as_json=as_json)
            elif isinstance(result, Iterator | list):
                showing.show({"data": msgspec.to_builtins(list(result))}, as_json=as_json)
            else:
                showing.show(document := answers.document(), as_json=as_json)
                if way == _BULK and document["refused"] and not document["carried_out"]:
                    raise click.exceptions.Exit(int(Exit.REFUSED))

    command = PartnerCommand(
        way[-1].replace("_", "-"), params=made, callback=run(callback), help=about, short_help=_first_line(text, clears)
    )
    return common_options(command)


def _on_its_way(profile: str | None) -> str:
    """Tell how far a clock is that is being moved."""
    try:
        # By a client of its own, because what the command's own one was answered last is what is shown.
        with connected(profile, max_retries=0)[0] as client:
            return f"the clock is on its way, and shows {client.clock.get().now:%Y-%m-%d %H:%M:%S} UTC"
    except errors.BillfoldError:
        return "the clock is on its way"


_SLOW: Final[Mapping[tuple[str, ...], Callable[[str | None], str]]] = {("clock", "advance"): _on_its_way}
"""What may take long, and what can be said of it meanwhile."""


def _parameters(method: Callable[..., Any], text: str) -> Iterator[_Parameter]:
    said = {name: " ".join(words.split()) for name, words in _ARGUMENT.findall(text)}
    for each in inspect.signature(method).parameters.values():
        found, required = members(each.annotation), each.default is each.empty
        positional = required and each.kind is not each.KEYWORD_ONLY
        words = said.get(each.name) or _TEXTS.get(each.name, "")
        parameter = _Parameter(each.name, found, required, positional, words)
        yield parameter._replace(text=_as_typed(words, f"--clear {parameter.typed}"))


def _made(parameter: _Parameter) -> Iterator[click.Parameter]:
    """Yield the arguments or options by which a parameter is given."""
    if parameter.name in _HIDDEN:
        return
    type_, several = type_of(parameter.found)
    if parameter.positional and not isinstance(type_, PairType):
        metavar = _metavar(parameter, type_) + ("..." if several else "")
        yield click.Argument([parameter.name], type=type_, nargs=-1 if several else 1, required=True, metavar=metavar)
        return
    names = [parameter.option, *_FURTHER.get(parameter.name, ()), parameter.name]
    if type_ is click.BOOL:
        names[0] = f"{parameter.option}/--no-{parameter.option.removeprefix('--')}"
        yield click.Option(names, default=None, help=parameter.text)
        return
    if parameter.name == "limit":
        type_ = click.IntRange(1, 100)
    is_amount = parameter.name == "amount" and isinstance(type_, MoneyType)
    text = "How much, such as 12.50." if is_amount else parameter.text
    if isinstance(type_, JsonType) and (fields := type_.fields()):
        text = f"{text}  {fields}"
    yield click.Option(
        names,
        type=type_,
        multiple=several,
        required=parameter.required,
        help=text,
        metavar="DECIMAL" if is_amount else None,
    )
    if is_amount:
        yield click.Option(["--currency", "currency_"], help='Its currency, such as EUR; or --amount "12.50 EUR".')


def _metavar(parameter: _Parameter, type_: ParamType) -> str:
    """Return how help writes an argument: by its name, or by what may stand there where that says more."""
    if isinstance(type_, click.Choice):
        return f"{{{'|'.join(type_.choices)}}}"
    name = parameter.name.upper()
    return f"{name}:{type_.get_metavar(click.Argument(['x']))}" if isinstance(type_, JsonType) else name


def _arguments(parameters: list[_Parameter], given: dict[str, Any], clear: tuple[str, ...]) -> dict[str, Any]:
    """Return what a method is called with, from what a command was given."""
    arguments = {}
    currency = given.pop("currency_", None)
    for each in parameters:
        value = _hidden(each) if each.name in _HIDDEN else given.get(each.name)
        is_given = value is not None and value != ()
        if each.typed in clear:
            if is_given:
                raise click.UsageError(f"Say either {each.option} or --clear {each.typed}, not both.")
            arguments[each.name] = cleared(each.found)
        elif is_given:
            type_, several = type_of(each.found)
            arguments[each.name] = _finished(type_, value, currency, several=several)
        elif each.found.unset:
            arguments[each.name] = UNSET
    return arguments


def _of_documents(made: list[click.Parameter]) -> list[str]:
    """Return what the arguments that are JSON hold, which have no help of their own."""
    types = [((each.name or "").upper(), each.type) for each in made if isinstance(each, click.Argument)]
    return [f"{name} is {type_.fields()}" for name, type_ in types if isinstance(type_, JsonType)]


def _finished(type_: ParamType, value: Any, currency: str | None, *, several: bool) -> Any:
    if isinstance(type_, PairType):
        return dict(value)
    if isinstance(type_, MoneyType):
        number, own = value
        if own and currency and own != currency:
            raise click.UsageError(f"Say one currency: --amount has {own}, and --currency {currency}.")
        if not (own or currency):
            raise click.UsageError("Say the currency too, as in --amount 12.50 --currency EUR.")
        return number, own or currency
    if isinstance(type_, click.File):
        return value.read()
    return list(value) if several else value


def _hidden(parameter: _Parameter) -> str | None:
    """Ask for something that no command line should hold."""
    words = parameter.name.capitalize() if parameter.name != "cvc" else "CVC"
    if not sys.stdin.isatty():
        text = sys.stdin.readline().strip()
    else:
        text = click.prompt(words, hide_input=True, default=None if parameter.required else "", show_default=False)
    if parameter.required and not text:
        raise Failure("usage", f"{words} is needed: type it when asked, or pipe it in.", Exit.USAGE)
    return text or None


def _listed(pages: Any, answers: Answers, *, all_pages: bool) -> Any:
    """Return a page as the server wrote it, or every page as one."""
    if not all_pages:
        pages.page()
        return answers.document()
    data = [each for _ in pages.pages() for each in answers.document()["data"]]
    return {"data": data, "next_cursor": None}


def _write(content: bytes, output: str | None) -> None:
    if output is not None:
        with click.open_file(output, "wb") as file:
            file.write(content)
        return
    if sys.stdout.isatty() and b"\0" in content:
        raise click.UsageError("That is no text; name a file with --output.")
    sys.stdout.buffer.write(content)


def _first_line(text: str, clears: str) -> str:
    return _as_typed(text.partition("\n")[0], clears)


def _about(text: str, clears: str) -> str:
    """Return what a docstring says before its sections."""
    return _as_typed(re.split(r"\n\n(?:Args|Raises|Returns):", text)[0], clears)


def _as_typed(text: str, clears: str) -> str:
    """Return what a docstring says in words of the command line, where None would be a text like any other."""
    return _NONE.sub(clears, text.replace("``", ""))
