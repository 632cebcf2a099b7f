"""A small web app of a licensed third party: it links accounts, shows transactions, pays, and pays again by itself.

Start the bank and then this app, which registers itself there by the statement of the development directory::

    billfold --data-dir=bank up
    python examples/tpp_web_app/app.py --data-dir=bank

Then open http://127.0.0.1:8090. The bank sends people back only to where the directory knows the app to be, which is
that port. For another one, ask the directory for a statement that names it::

    billfold --data-dir=bank directory statement all --redirect-uri=http://127.0.0.1:9000/callback > 9000.jwt
    python examples/tpp_web_app/app.py --data-dir=bank --port=9000 --statement=9000.jwt

Beside `billfold up --tls` the app shows the certificate that its directory gave it.
"""

import argparse
import asyncio
import hmac
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import jinja2
import uvicorn
from litestar import Litestar, MediaType, Request, Response, get, post
from litestar.response import Redirect
from onboarding import Software, connect, find_bank, find_or_register, read_software
from visitors import Kind, Link, Visitor, Visitors, Waiting

from billfold import errors
from billfold.auth import AuthorizationFailed, UserTokens
from billfold.consents import (
    AsyncThirdParty,
    Customer,
    Limit,
    OpenBankingRefusal,
    PaymentUnfinished,
    account,
    control_parameters,
    domestic_payment,
    instruction,
    recurring_payments,
)

HERE: Final = Path(__file__).parent
PORT: Final = 8090
"""Where the development directory knows the app to be."""
COOKIE: Final = "tpp"
PERMISSIONS: Final = [
    "ReadAccountsDetail",
    "ReadBalances",
    "ReadTransactionsCredits",
    "ReadTransactionsDebits",
    "ReadTransactionsDetail",
]
SCOPES: Final[dict[Kind, str]] = {
    "accounts": "openid offline_access accounts",
    "payment": "openid payments",
    "recurring": "openid offline_access payments",
}
COME_BACK: Final = frozenset({"U028", "invalid_grant"})
"""What the bank says where the customer has to come back: of the request, and of tokens that are to be renewed."""
POLICY: Final = "default-src 'none'; style-src 'self'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'"
"""What pages may load. Forms lead on to the bank, whose address is added."""

Browser = Request[Any, Any, Any]


class Stranger(Exception):
    """A form wasn't this app's own, or an answer belongs to nothing that was begun here."""


class App:
    """The app at one bank.

    Args:
        third_party: What speaks with the bank.
        software: Who we are.
        bank: Where the bank is.
    """

    def __init__(self, third_party: AsyncThirdParty, software: Software, bank: str) -> None:
        self.third_party = third_party
        self.software = software
        self.bank = bank
        parts = urlsplit(bank)
        self._policy = f"{POLICY} {parts.scheme}://{parts.netloc}"
        self.visitors = Visitors()
        loader = jinja2.FileSystemLoader(HERE / "templates")
        self._pages = jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined)

    def page(self, request: Browser, name: str, *, status: int = 200, **facts: Any) -> Response[str]:
        """Return a page, with a cookie for who has none yet."""
        visitor, cookie = self.visitors.find(request.cookies.get(COOKIE)), None
        if visitor is None:
            cookie, visitor = self.visitors.welcome()
        known = {"app": self, "visitor": visitor, "bank_name": urlsplit(self.bank).netloc}
        text = self._pages.get_template(f"{name}.html").render(**known, **facts)
        answer = Response(text, status_code=status, media_type=MediaType.HTML)
        answer.headers.update({"content-security-policy": self._policy, "cache-control": "no-store"})
        if cookie is not None:
            answer.set_cookie(COOKIE, cookie, httponly=True, samesite="lax")
        return answer

    async def visitor(self, request: Browser) -> tuple[Visitor, dict[str, str]]:
        """Return who has sent a form, and what is in it.

        Raises:
            Stranger: It isn't a form of ours.
        """
        form = {name: str(value) for name, value in (await request.form()).items()}
        visitor = self.visitors.find(request.cookies.get(COOKIE))
        if visitor is None or not hmac.compare_digest(form.get("csrf", ""), visitor.csrf):
            raise Stranger
        return visitor, form

    def for_customer(self, request: Browser, tokens: UserTokens | None = None) -> AsyncThirdParty:
        """Return the third party telling the bank that the customer is there, and acting for them."""
        customer = Customer(
            ip_address=None if request.client is None else request.client.host,
            user_agent=request.headers.get("user-agent"),
        )
        third_party = self.third_party if tokens is None else self.third_party.as_user(tokens)
        return third_party.on_behalf_of(customer)

    async def ask(self, visitor: Visitor, kind: Kind, consent: Any) -> Redirect:
        """Send the customer to the bank, to agree to a consent."""
        url, pending = await self.third_party.begin(consent.data.consent_id, scope=SCOPES[kind])
        visitor.waiting[pending.state] = Waiting(kind, consent, pending)
        return Redirect(url, status_code=303)


def of(request: Browser) -> App:
    """Return the app that a request is for."""
    app: App = request.app.state.tpp
    return app


@get("/", media_type=MediaType.HTML)
async def home(request: Browser) -> Response[str]:
    """Show what can be done, and what was."""
    return of(request).page(request, "home")


@get("/style.css", media_type="text/css")
async def style() -> str:
    """Show how pages look."""
    return await asyncio.to_thread((HERE / "style.css").read_text, encoding="utf-8")


@post("/accounts")
async def link_accounts(request: Browser) -> Redirect:
    """Ask to see accounts for a quarter of a year, with a year's transactions."""
    app, (visitor, _) = of(request), await of(request).visitor(request)
    now = datetime.now(UTC).replace(microsecond=0)
    consent = await app.for_customer(request).account_access_consents.create(
        PERMISSIONS,  # type: ignore[arg-type]
        expires_at=now + timedelta(days=90),
        transactions_from=now - timedelta(days=365),
    )
    return await app.ask(visitor, "accounts", consent)


@post("/payments")
async def pay(request: Browser) -> Redirect:
    """Ask to pay once."""
    app, (visitor, form) = of(request), await of(request).visitor(request)
    payee = account(form["scheme"], form["identification"].replace(" ", ""), form["name"])
    consent = await app.for_customer(request).domestic_payment_consents.create(
        domestic_payment((form["amount"], form["currency"]), payee, reference=form["reference"] or None)
    )
    return await app.ask(visitor, "payment", consent)


@post("/recurring")
async def allow_recurring(request: Browser) -> Redirect:
    """Ask to pay the same payee again and again, within limits."""
    app, (visitor, form) = of(request), await of(request).visitor(request)
    payee = account(form["scheme"], form["identification"].replace(" ", ""), form["name"])
    limits = control_parameters(
        (form["amount"], form["currency"]),
        # From the day of the consent on: of the calendar's month, only the days that are left would count at first.
        [Limit("Month", (form["monthly"], form["currency"]), "Consent")],
        valid_to=datetime.now(UTC).replace(microsecond=0) + timedelta(days=365),
    )
    consent = await app.for_customer(request).domestic_vrp_consents.create(limits, recurring_payments(to=payee))
    return await app.ask(visitor, "recurring", consent)


@get("/callback", media_type=MediaType.HTML)
async def callback(request: Browser) -> Response[Any]:
    """Take the bank's answer, and do what was agreed to."""
    app, visitor = of(request), of(request).visitors.find(request.cookies.get(COOKIE))
    (state,) = parse_qs(request.url.query).get("state", [""])[:1]
    # What was begun is used once, whatever comes of it.
    waiting = None if visitor is None else visitor.waiting.pop(state, None)
    if visitor is None or waiting is None:
        raise Stranger
    tokens = await app.third_party.complete(waiting.pending, request.url.query)
    consent_id: str = waiting.consent.data.consent_id
    if waiting.kind == "payment":
        paid = await app.for_customer(request, tokens).domestic_payments.create(waiting.consent)
        visitor.payments.insert(0, ("once", paid.data.domestic_payment_id))
        return Redirect(f"/payments/once/{paid.data.domestic_payment_id}", status_code=303)
    kept = visitor.accounts if waiting.kind == "accounts" else visitor.recurring
    kept[consent_id] = Link(waiting.consent, tokens)
    return Redirect(f"/{waiting.kind}/{consent_id}", status_code=303)


def link_of(links: dict[str, Link], consent_id: str) -> Link:
    """Return a consent that the visitor has given.

    Raises:
        Stranger: They haven't, or have taken it back.
    """
    link = links.get(consent_id)
    if link is None:
        raise Stranger
    return link


def known(request: Browser) -> Visitor:
    """Return who asks.

    Raises:
        Stranger: We don't know them.
    """
    visitor = of(request).visitors.find(request.cookies.get(COOKIE))
    if visitor is None:
        raise Stranger
    return visitor


@get("/accounts/{consent_id:str}", media_type=MediaType.HTML)
async def show_accounts(request: Browser, consent_id: str) -> Response[str]:
    """Show the accounts that were linked, and what is on them."""
    link = link_of(known(request).accounts, consent_id)
    accounts = of(request).for_customer(request, link.tokens).accounts
    found = [each async for each in accounts.list()]
    balances = {each.account_id: [b async for b in accounts.balances(each.account_id)] for each in found}
    return of(request).page(request, "accounts", consent_id=consent_id, accounts=found, balances=balances)


@get("/accounts/{consent_id:str}/{account_id:str}", media_type=MediaType.HTML)
async def show_transactions(request: Browser, consent_id: str, account_id: str) -> Response[str]:
    """Show an account's transactions, the bank's pages one after the other."""
    link = link_of(known(request).accounts, consent_id)
    accounts = of(request).for_customer(request, link.tokens).accounts
    transactions = [each async for each in accounts.transactions(account_id)]
    return of(request).page(
        request, "transactions", consent_id=consent_id, account_id=account_id, transactions=transactions
    )


@get("/payments/{kind:str}/{payment_id:str}", media_type=MediaType.HTML)
async def show_payment(request: Browser, kind: str, payment_id: str) -> Response[str]:
    """Show a payment, once it has come to an end or has taken its time."""
    if (kind, payment_id) not in known(request).payments:
        raise Stranger
    third_party = of(request).third_party
    payments = third_party.domestic_payments if kind == "once" else third_party.domestic_vrps
    try:
        payment: Any = await payments.follow(payment_id, timeout_s=5)
    except PaymentUnfinished as unfinished:
        payment = unfinished.last
    return of(request).page(request, "payment", payment_id=payment_id, payment=payment.data)


@get("/recurring/{consent_id:str}", media_type=MediaType.HTML)
async def show_recurring(request: Browser, consent_id: str) -> Response[str]:
    """Show a permission for recurring payments."""
    link = link_of(known(request).recurring, consent_id)
    consent = await of(request).third_party.domestic_vrp_consents.get(consent_id)
    return of(request).page(request, "recurring", consent_id=consent_id, consent=consent.data, asked=link.consent.data)


@post("/recurring/{consent_id:str}/payments")
async def pay_again(request: Browser, consent_id: str) -> Redirect:
    """Pay within the limits, without asking the customer again."""
    app, (visitor, form) = of(request), await of(request).visitor(request)
    link = link_of(visitor.recurring, consent_id)
    creditor = link.consent.data.initiation.creditor_account
    payee = account(creditor.scheme_name, creditor.identification, creditor.name)
    currency = link.consent.data.control_parameters.maximum_individual_amount.currency
    paid = await app.for_customer(request, link.tokens).domestic_vrps.create(
        link.consent, instruction((form["amount"], currency), payee)
    )
    visitor.payments.insert(0, ("again", paid.data.domestic_vrp_id))
    return Redirect(f"/payments/again/{paid.data.domestic_vrp_id}", status_code=303)


@post("/consents/{consent_id:str}/again")
async def ask_again(request: Browser, consent_id: str) -> Redirect:
    """Send the customer to the bank once more for a consent that they have given, because the bank asks for that."""
    app, (visitor, _) = of(request), await of(request).visitor(request)
    if consent_id in visitor.accounts:
        return await app.ask(visitor, "accounts", visitor.accounts[consent_id].consent)
    return await app.ask(visitor, "recurring", link_of(visitor.recurring, consent_id).consent)


@post("/accounts/{consent_id:str}/revoke")
async def unlink_accounts(request: Browser, consent_id: str) -> Redirect:
    """Give a consent back to the bank; nothing can be seen by it any longer."""
    app, (visitor, _) = of(request), await of(request).visitor(request)
    link_of(visitor.accounts, consent_id)
    await app.third_party.account_access_consents.delete(consent_id)
    del visitor.accounts[consent_id]
    return Redirect("/", status_code=303)


@post("/recurring/{consent_id:str}/revoke")
async def end_recurring(request: Browser, consent_id: str) -> Redirect:
    """Give a consent back to the bank; nothing can be paid by it any longer."""
    app, (visitor, _) = of(request), await of(request).visitor(request)
    link_of(visitor.recurring, consent_id)
    await app.third_party.domestic_vrp_consents.delete(consent_id)
    del visitor.recurring[consent_id]
    return Redirect("/", status_code=303)


def refused(request: Browser, error: Exception) -> Response[str]:
    """Show what went wrong, in words, with what the bank calls it."""
    facts: dict[str, Any] = {"code": None, "path": None, "interaction_id": None}
    consent_id = request.path_params.get("consent_id")
    status, words = 502, "The bank can't be reached at the moment."
    if isinstance(error, Stranger):
        status, words = 400, "This page is out of date. Please begin again."
    elif isinstance(error, AuthorizationFailed):
        status, words = 400, "You haven't allowed it, so nothing was done."
        facts["code"] = getattr(error, "oauth_error", None) or error.code
    elif isinstance(error, OpenBankingRefusal):
        status, words = 400, error.detail
        facts = {"code": error.code, "path": error.path, "interaction_id": error.interaction_id}
    elif isinstance(error, errors.ProblemError):
        status, words = 400, error.detail
        facts["code"] = error.facts.get("oauth_error") or error.code
    # The same consent, asked for again, is good for new tokens as long as it stands.
    again = consent_id if facts["code"] in COME_BACK else None
    return of(request).page(request, "refused", status=status, words=words, again=again, **facts)


def build(start: Callable[[], Awaitable[App]]) -> Litestar:
    """Return the web app; it comes to its bank when it is started."""

    @asynccontextmanager
    async def living(app: Litestar) -> Any:
        app.state.tpp = await start()
        yield

    return Litestar(
        [
            home,
            style,
            link_accounts,
            pay,
            allow_recurring,
            callback,
            show_accounts,
            show_transactions,
            show_payment,
            show_recurring,
            pay_again,
            ask_again,
            unlink_accounts,
            end_recurring,
        ],
        lifespan=[living],
        exception_handlers={errors.BillfoldError: refused, Stranger: refused},
        openapi_config=None,
    )


def another_port(given: argparse.Namespace, redirect_uri: str) -> str:
    """Return how the directory comes to know that this app listens elsewhere."""
    return (
        f"The directory knows this app at port {PORT}. For port {given.port}, have it say so, and start again:\n"
        f"  billfold --data-dir={given.data_dir} directory statement {given.software} "
        f"--redirect-uri={redirect_uri} > {given.port}.jwt\n"
        f"  python {Path(__file__).name} --data-dir={given.data_dir} --software={given.software} --port={given.port} "
        f"--statement={given.port}.jwt\n"
    )


def main() -> None:
    """Run the example."""
    parser = argparse.ArgumentParser(description="A third party's web app, at a bank of the sandbox.")
    parser.add_argument("--data-dir", type=Path, required=True, help="the data folder of billfold up")
    parser.add_argument("--bank", help="the tenant's base URL; otherwise the sandbox of that data folder")
    parser.add_argument("--software", default="all", help="who this app is: aisp, pisp, cbpii or all")
    parser.add_argument("--statement", type=Path, help="a file with another software statement")
    parser.add_argument("--port", type=int, default=PORT, help="another than 8090 needs a statement of its own")
    given = parser.parse_args()
    try:
        bank = given.bank or find_bank(given.data_dir)
        software = read_software(
            given.data_dir, given.software, tls=bank.startswith("https://"), statement=given.statement
        )
    except FileNotFoundError as error:
        parser.exit(1, f"{error.filename} isn't there: is {given.data_dir} the folder of a `billfold up`?\n")
    redirect_uri = f"http://127.0.0.1:{given.port}/callback"
    keep_in = given.data_dir / "tpp_web_app" / f"{given.software}-{given.port}.json"
    try:
        registered = find_or_register(bank, software, redirect_uri, keep_in)
    except errors.BillfoldError as error:
        elsewhere = isinstance(error, errors.AuthenticationFailed) and error.oauth_error == "invalid_redirect_uri"
        way_out = another_port(given, redirect_uri) if elsewhere else ""
        parser.exit(1, f"The bank at {bank} doesn't know this app yet: {error}\n{way_out}")

    async def start() -> App:
        return App(connect(bank, software, registered, redirect_uri), software, bank)

    print(f"{software.name} is known at the bank as {registered.client_id}", flush=True)
    config = uvicorn.Config(build(start), host="127.0.0.1", port=given.port, log_level="warning")
    listening = config.bind_socket()
    print(f"open http://127.0.0.1:{given.port}", flush=True)
    uvicorn.Server(config).run(sockets=[listening])


if __name__ == "__main__":
    main()
