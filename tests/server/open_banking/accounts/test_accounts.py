"""Account information over HTTP, with consents of every kind, held to the official document."""

import threading
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from jsonschema_rs import Draft202012Validator

from billfold import ids
from billfold.ids import Prefix
from billfold_server.account_statements import service as statements
from billfold_server.consents import service as consents
from billfold_server.consents.service import uses_of
from billfold_server.identity.tokens import access_tokens
from billfold_server.open_banking.accounts.routes import routes
from billfold_server.open_banking.accounts.statements import FILES
from billfold_server.open_banking.edge.interface import INTERFACE
from billfold_server.payments.service import Texts
from billfold_server.tenancy.context import SYSTEM
from tests.server.open_banking.accounts.banking import ALL, IBAN, Bank, Reader
from tests.server.open_banking.documents import document, official_operations
from tests.tenants import manifest

FILE = "account-info-openapi.json"
SERVED = {path: each for (area, _, path), each in INTERFACE.items() if area == "aisp" and "consents" not in path}
PATHS = sorted(SERVED)
BASICS = {
    "/accounts": ("ReadAccounts", "OBAccount6"),
    "/transactions": ("ReadTransactions", "OBTransaction6"),
    "/beneficiaries": ("ReadBeneficiaries", "OBBeneficiary5"),
    "/standing-orders": ("ReadStandingOrders", "OBStandingOrder6"),
    "/scheduled-payments": ("ReadScheduledPayments", "OBScheduledPayment3"),
    "/statements": ("ReadStatements", "OBStatement2"),
}
"""What may be read in part, with its permission and its type."""
NEEDS = {
    "/accounts": "ReadAccountsBasic",
    "/balances": "ReadBalances",
    "/transactions": "ReadTransactionsBasic",
    "/beneficiaries": "ReadBeneficiariesBasic",
    "/direct-debits": "ReadDirectDebits",
    "/standing-orders": "ReadStandingOrdersBasic",
    "/scheduled-payments": "ReadScheduledPaymentsBasic",
    "/offers": "ReadOffers",
    "/products": "ReadProducts",
    "/product": "ReadProducts",
    "/statements": "ReadStatementsBasic",
    "/file": "ReadStatementsBasic",
    "/parties": "ReadParty",
    "/party": "ReadPartyPSU",
}
BOTH = frozenset({"ReadTransactionsCredits", "ReadTransactionsDebits"})


def schema_of(path: str) -> dict[str, Any]:
    """Return the official schema of an operation's answer."""
    operation = official_operations()["aisp", "GET", path]
    return {**operation.responses[200].media["application/json"], "components": document(FILE)["components"]}


def filled(reader: Reader, path: str, wallet: str | None = None) -> str:
    """Return a path of something that is there."""
    own = wallet or reader.bank.wallets[0]
    return path.replace("{AccountId}", own).replace("{StatementId}", reader.bank.statement)


def kind_of(path: str) -> str:
    """Return the last word of a path that isn't an id."""
    return "/" + [part for part in path.split("/") if not part.startswith("{")][-1]


class TestEveryOperation:
    def test_is_served(self):
        """All 26 that read are there."""
        assert len(PATHS) == 26
        assert {each.operation_id for each in routes.operations} == {each.operation_id for each in SERVED.values()}

    @pytest.mark.parametrize("path", PATHS)
    def test_answers_as_the_document_says(self, reader: Reader, path: str):
        """What is answered is of the official schema, with its own address in it, and something is shown."""
        answer = reader.get(filled(reader, path))
        assert answer.status_code == 200, answer.text
        body = answer.json()
        Draft202012Validator(schema_of(path), validate_formats=True).validate(body)
        assert uuid.UUID(answer.headers["x-fapi-interaction-id"])
        if not path.endswith("/file"):
            assert body["Links"]["Self"] == str(answer.url)
            (data,) = body["Data"].values()
            assert data

    @pytest.mark.parametrize("path", PATHS)
    def test_takes_its_permission(self, shown_bank: Bank, path: str):
        """Without it, everything else that a customer may allow opens nothing."""
        need = "ReadParty" if path.endswith("{AccountId}/party") else NEEDS[kind_of(path)]
        cluster = need.removesuffix("Basic")
        reader = shown_bank.reader(ALL - {cluster, f"{cluster}Basic", f"{cluster}Detail"})
        answer = reader.get(filled(reader, path))
        assert (answer.status_code, answer.json()["Errors"][0]["ErrorCode"]) == (403, "U008")

    @pytest.mark.parametrize("path", [path for path in PATHS if "{AccountId}" in path])
    def test_of_an_account_is_about_that_account(self, reader: Reader, path: str):
        """An account that the consent isn't about is refused, and one that nobody has isn't found."""
        assert reader.get(filled(reader, path, reader.bank.other)).status_code == 403
        for unknown in ("wal_01m7w9tnzcejq9b78b81gh4nmw", "nothing"):
            answer = reader.get(filled(reader, path, unknown))
            assert (answer.status_code, answer.json()["Errors"][0]["ErrorCode"]) == (400, "U011")


class TestPartOfTheData:
    @pytest.mark.parametrize("path", sorted(BASICS))
    def test_is_what_the_document_calls_basic(self, shown_bank: Bank, path: str):
        """With the permission for the basics no member is shown beyond these; with the other one there are more."""
        permission, name = BASICS[path]
        schemas = document(FILE)["components"]["schemas"]
        basic = set(schemas[f"{name}Basic"]["properties"])
        detail = set(schemas[f"{name}Detail"]["properties"])
        little = shown_bank.reader(BOTH | {f"{permission}Basic"}).data(path)
        much = shown_bank.reader(BOTH | {f"{permission}Detail"}).data(path)
        assert little
        assert {member for each in little for member in each} <= basic
        members = {member for each in much for member in each}
        assert members <= detail
        assert members - basic

    def test_is_one_side_of_transactions(self, shown_bank: Bank):
        """Credits alone, or debits alone; and neither without either."""
        for side in ("Credit", "Debit"):
            reader = shown_bank.reader(frozenset({"ReadTransactionsBasic", f"ReadTransactions{side}s"}))
            assert {each["CreditDebitIndicator"] for each in reader.data("/transactions")} == {side}
        reader = shown_bank.reader(frozenset({"ReadTransactionsDetail"}))
        assert reader.get("/transactions").status_code == 403

    def test_is_what_the_consents_dates_reach(self, shown_bank: Bank):
        """What was booked outside of them isn't shown, whatever is asked for, nor a statement that tells of it."""
        everything = shown_bank.reader().data("/transactions")
        times = sorted({each["BookingDateTime"] for each in everything})
        since = datetime.fromisoformat(times[1])
        reader = shown_bank.reader(transactions_from=since, transactions_to=datetime.fromisoformat(times[2]))
        answer = reader.get("/transactions", fromBookingDateTime="2000-01-01").json()
        assert {each["BookingDateTime"] for each in answer["Data"]["Transaction"]} == {times[1], times[2]}
        told = [answer["Meta"][f"{which}AvailableDateTime"] for which in ("First", "Last")]
        assert [datetime.fromisoformat(each) for each in told] == [datetime.fromisoformat(each) for each in times[1:3]]
        assert len(reader.data("/statements")) < len(shown_bank.reader().data("/statements"))
        (first, *_) = (each for each in shown_bank.reader().data("/statements") if each["StartDateTime"] < times[1])
        path = f"/accounts/{first['AccountId']}/statements/{first['StatementId']}"
        assert [reader.get(each).status_code for each in (path, f"{path}/file", f"{path}/transactions")] == [400] * 3

    def test_is_never_a_card_number(self, shown_bank: Bank):
        """The permission to read card numbers adds nothing."""
        with_it, without = shown_bank.reader(), shown_bank.reader(ALL - {"ReadPAN"})
        assert with_it.data("/accounts") == without.data("/accounts")


class TestAnAccount:
    def test_has_the_numbers_of_its_wallet(self, reader: Reader):
        """A British IBAN is shown as sort code and account number, too; a wallet without one by its own id."""
        first, second = sorted(reader.data("/accounts"), key=lambda each: each["AccountId"])
        assert first["AccountId"] == reader.bank.wallets[0]
        assert [(each["SchemeName"], each["Identification"]) for each in first["Account"]] == [
            ("UK.OBIE.SortCodeAccountNumber", IBAN[8:]),
            ("UK.OBIE.IBAN", IBAN),
        ]
        (number,) = second["Account"]
        assert (number["SchemeName"], number["Identification"]) == ("UK.OBIE.Wallet", reader.bank.wallets[1])
        assert (number["Name"], first["Description"], first["Nickname"]) == ("Ada", "Everyday", "a")

    def test_has_booked_and_available_balances(self, reader: Reader):
        """What is on a wallet, in decimal digits."""
        found = reader.data(f"/accounts/{reader.bank.wallets[0]}/balances")
        assert [(each["Type"], each["Amount"]["Amount"], each["CreditDebitIndicator"]) for each in found] == [
            ("ITBD", "965.00", "Credit"),
            ("ITAV", "965.00", "Credit"),
        ]

    def test_belongs_to_its_owner(self, reader: Reader):
        """Who has consented is who owns it."""
        wallet = reader.bank.wallets[0]
        own, owner = reader.data("/party"), reader.data(f"/accounts/{wallet}/party")
        assert (own["Name"], own["PartyId"]) == ("Ada", owner["PartyId"])
        assert owner["Relationships"]["Account"]["Related"] == f"{reader.base}/accounts/{wallet}"


class TestTransactions:
    def test_say_what_was_booked(self, reader: Reader):
        """Side, amount, balance after it, the other side's account, and who was paid."""
        found = reader.data(f"/accounts/{reader.bank.wallets[0]}/transactions")
        inside, shop, salary = found
        assert (salary["Amount"]["Amount"], salary["CreditDebitIndicator"]) == ("1000.00", "Credit")
        assert (salary["TransactionInformation"], salary["Balance"]["Amount"]["Amount"]) == ("Salary", "1000.00")
        assert shop["MerchantDetails"] == {"MerchantName": "Shop", "MerchantCategoryCode": "5411"}
        assert shop["CreditorAccount"] == {"SchemeName": "UK.OBIE.Wallet", "Identification": reader.bank.other}
        assert (shop["BankTransactionCode"], shop["Status"]) == ({"Code": "ICDT", "SubCode": "BOOK"}, "BOOK")
        assert inside["CreditorAccount"]["Identification"] == reader.bank.wallets[1]
        (received, *_) = [
            each
            for each in reader.data(f"/accounts/{reader.bank.wallets[1]}/transactions")
            if each["Amount"]["Amount"] == "10.00"
        ]
        assert received["DebtorAccount"] == {
            "SchemeName": "UK.OBIE.SortCodeAccountNumber",
            "Identification": IBAN[8:],
        }

    def test_say_of_payments_to_whom_they_go_and_that_they_came_back(self, shown_bank: Bank):
        """A payment that leaves is an issued credit transfer with its creditor; what comes back is its return."""
        bank = Bank.empty(shown_bank.live, shown_bank.slug)
        bank.wallets = (bank.post("/v1/wallets", {"party_id": bank.party, "label": "a"})["id"],)
        bank.top_up(bank.wallets[0], 5_000, datetime.now(UTC), "Salary")
        texts = Texts(
            scheme="UK.OBIE.SortCodeAccountNumber",
            identification="10000109010102",
            creditor_name="Grace",
            end_to_end_id="e2e",
            reference="Invoice 4711",
        )
        payment_id = bank.pay(bank.wallets[0], 1_000, texts)
        bank.let_come_back(payment_id)
        returned, paid, _ = bank.reader().data("/transactions")
        assert [each["BankTransactionCode"]["SubCode"] for each in (returned, paid)] == ["RRTN", "DMCT"]
        assert {each["BankTransactionCode"]["Code"] for each in (returned, paid)} == {"ICDT"}
        assert {each["TransactionReference"] for each in (returned, paid)} == {ids.encode(Prefix.PAYMENT, payment_id)}
        assert paid["CreditorAccount"] == {
            "SchemeName": texts.scheme,
            "Identification": texts.identification,
            "Name": "Grace",
        }
        assert paid["TransactionInformation"] == "Invoice 4711"
        basics = frozenset({"ReadTransactionsBasic", "ReadTransactionsCredits", "ReadTransactionsDebits"})
        little = bank.reader(basics).data("/transactions")
        assert [each["BankTransactionCode"]["SubCode"] for each in little[:2]] == ["RRTN", "DMCT"]
        assert "10000109010102" not in str(little)

    def test_say_of_money_that_had_left_that_it_was_returned(self, shown_bank: Bank):
        """It comes as a top-up, and is told as the return of its payment; what a client says of its own isn't."""
        bank = Bank.empty(shown_bank.live, shown_bank.slug)
        bank.wallets = (bank.post("/v1/wallets", {"party_id": bank.party, "label": "a"})["id"],)
        bank.top_up(bank.wallets[0], 5_000, datetime.now(UTC), "Salary")
        texts = Texts(scheme="UK.OBIE.IBAN", identification=IBAN, creditor_name="Grace", end_to_end_id="e2e")
        payment_id = bank.pay(bank.wallets[0], 1_000, texts)
        bank.bring_back(payment_id, bank.wallets[0], 1_000)
        amount = {"amount_minor": 100, "currency": "EUR"}
        pretended = {"returns": ids.encode(Prefix.PAYMENT, payment_id)}
        bank.post("/v1/top-ups", {"wallet_id": bank.wallets[0], "amount": amount, "metadata": pretended})
        for permissions in (ALL, frozenset({"ReadTransactionsBasic", *BOTH})):
            own, returned, *_ = bank.reader(permissions).data("/transactions")
            assert list(returned["BankTransactionCode"].values()) == ["ICDT", "RRTN"]
            assert list(own["BankTransactionCode"].values()) == ["RCDT", "DMCT"]
            assert returned["CreditDebitIndicator"] == "Credit"
        told = bank.reader().data("/transactions")[1]
        assert told["TransactionReference"] == ids.encode(Prefix.PAYMENT, payment_id)

    def test_say_the_same_of_payments_that_the_banks_own_client_has_ordered(self, shown_bank: Bank):
        """What is ordered under no consent stands among the transactions like all else."""
        bank = Bank.empty(shown_bank.live, shown_bank.slug)
        bank.wallets = (bank.post("/v1/wallets", {"party_id": bank.party, "label": "a"})["id"],)
        bank.top_up(bank.wallets[0], 5_000, datetime.now(UTC), "Salary")
        creditor = {"scheme": "sort_code_account_number", "identification": "10000109010102", "name": "Grace"}
        order = {"wallet_id": bank.wallets[0], "amount": {"amount_minor": 1_000, "currency": "EUR"}}
        # Whom this asks says nothing, so its name for the payment stays the bank's.
        made = bank.post("/v1/payments", {**order, "creditor": creditor, "reference": "RAIL-DEAF"})
        paid, _ = bank.reader().data("/transactions")
        assert (paid["TransactionReference"], paid["TransactionInformation"]) == (made["id"], "RAIL-DEAF")
        assert (paid["BankTransactionCode"]["Code"], paid["BankTransactionCode"]["SubCode"]) == ("ICDT", "DMCT")
        assert paid["CreditorAccount"] == {
            "SchemeName": "UK.OBIE.SortCodeAccountNumber",
            "Identification": "10000109010102",
            "Name": "Grace",
        }

    def test_say_who_took_a_hold_and_what_was_taken_back(self, shown_bank: Bank):
        """A capture names its other side and its merchant as a transfer does, and so does what undoes either."""
        bank = Bank.empty(shown_bank.live, shown_bank.slug)
        bank.other = shown_bank.other
        wallet = bank.post("/v1/wallets", {"party_id": bank.party, "label": "a"})["id"]
        bank.wallets = (wallet,)
        bank.top_up(wallet, 5_000, datetime.now(UTC), "Salary")
        amount = {"amount_minor": 700, "currency": "EUR"}
        shop = {"merchant_name": "Shop", "merchant_category_code": "5411"}
        order = {"wallet_id": wallet, "to_wallet_id": bank.other, "amount": amount, "metadata": shop}
        hold = bank.post("/v1/holds", order)["id"]
        (captured,) = bank.post(f"/v1/holds/{hold}/capture", {})["journal_entry_ids"]
        bank.transfer(wallet, bank.other, 300, datetime.now(UTC), **shop)
        (transfer,) = bank.reader().data("/transactions")[:1]
        for entry in (captured, transfer["TransactionId"].split("-")[0]):
            bank.post(f"/v1/journal-entries/{entry}/reversals", {"reason": "test"})
        found = bank.reader().data("/transactions")[:4]
        told = [(each["CreditDebitIndicator"], *each["BankTransactionCode"].values()) for each in found]
        assert told == [
            *[("Credit", "ICDT", "RRTN")] * 2,
            *[("Debit", "ICDT", "BOOK")] * 2,
        ]
        other = {"SchemeName": "UK.OBIE.Wallet", "Identification": bank.other}
        sides = ["DebtorAccount"] * 2 + ["CreditorAccount"] * 2
        assert [each[side] for each, side in zip(found, sides, strict=True)] == [other] * 4
        merchant = {"MerchantName": "Shop", "MerchantCategoryCode": "5411"}
        assert [each["MerchantDetails"] for each in found] == [merchant] * 4
        basics = frozenset({"ReadTransactionsBasic", "ReadTransactionsCredits", "ReadTransactionsDebits"})
        little = bank.reader(basics).data("/transactions")[:4]
        assert [(each["CreditDebitIndicator"], *each["BankTransactionCode"].values()) for each in little] == told
        assert bank.other not in str(little)

    def test_are_narrowed_by_dates(self, reader: Reader):
        """A date alone is its beginning, a day's end is the beginning of the next, and a time zone is passed over."""
        path = f"/accounts/{reader.bank.wallets[0]}/transactions"
        times = [each["BookingDateTime"] for each in reader.data(path)]
        middle = datetime.fromisoformat(times[1])
        forms = ("%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S+05:00", "%Y%m%d", "%Y%m%dT%H%MZ", "%G-W%V-%uT%H")
        before = middle - timedelta(days=1)
        ends = [f"{before:%Y-%m-%d}T24:00:00", f"{before:%Y-%m-%d}T24:00:00.000Z", f"{before:%Y%m%d}T24"]
        for text in [*(f"{middle:{form}}" for form in forms), *ends]:
            assert [each["BookingDateTime"] for each in reader.data(path, fromBookingDateTime=text)] == times[:2]
        until = f"{middle:%Y-%m-%dT%H:%M:%S}"
        assert [each["BookingDateTime"] for each in reader.data(path, toBookingDateTime=until)] == times[1:]
        beyond = ("9999-12-31T24:00", "9999-12-31T23:59:59.999999Z", "0001-01-01")
        for text in ("yesterday", "2026-11-01T24:00:01", "2026-11-01T25:00", *beyond):
            assert reader.get(path, fromBookingDateTime=text).status_code == 400
        (error,) = reader.get(path, page="another list's").json()["Errors"]
        assert (error["ErrorCode"], error["Path"]) == ("U002", "page")

    def test_come_in_pages_that_lead_to_each_other(self, shown_bank: Bank, monkeypatch: pytest.MonkeyPatch):
        """By next to the end, by prev back again, with the question's dates in each address."""
        monkeypatch.setattr("billfold_server.open_banking.accounts.service.LIMIT", 2)
        reader = shown_bank.reader()
        whole = [each["TransactionId"] for each in shown_bank.reader().data("/transactions")]
        seen: list[list[str]] = []
        answer = reader.get("/transactions", fromBookingDateTime="2020-01-01").json()
        assert "Prev" not in answer["Links"]
        while True:
            seen.append([each["TransactionId"] for each in answer["Data"]["Transaction"]])
            if "Next" not in answer["Links"]:
                break
            assert "fromBookingDateTime=2020-01-01" in answer["Links"]["Next"]
            following = answer["Links"]["Next"]
            answer = reader.get(following).json()
            assert answer["Links"]["Self"] == following
        found = [each for page in seen for each in page]
        assert len(found) == len(set(found)) == 5
        assert found[:2] == whole[:2]
        back = []
        while "Prev" in answer["Links"]:
            answer = reader.get(answer["Links"]["Prev"]).json()
            back.append([each["TransactionId"] for each in answer["Data"]["Transaction"]])
        assert [each for page in back[::-1] for each in page] == found[: len(found) - len(seen[-1])]

    def test_of_a_statement_are_its_own(self, reader: Reader):
        """The transactions of a month are those that its statement counts."""
        wallet = reader.bank.wallets[0]
        for statement in reader.data(f"/accounts/{wallet}/statements"):
            found = reader.data(f"/accounts/{wallet}/statements/{statement['StatementId']}/transactions")
            begins, ends = statement["StartDateTime"], statement["EndDateTime"]
            assert found
            assert all(begins <= each["BookingDateTime"] < ends for each in found)


class TestAFile:
    @pytest.mark.parametrize(
        ("accept", "media", "begins"),
        [
            ("application/pdf", "application/pdf", b"%PDF-1.4"),
            ("text/csv", "text/csv; charset=utf-8", b"booked_at,"),
            ("application/json, text/csv;q=0.5", "application/json; charset=utf-8", b'{"Statement"'),
            ("*/*", "application/json; charset=utf-8", b"{"),
        ],
    )
    def test_is_what_the_client_takes(self, reader: Reader, accept: str, media: str, begins: bytes):
        """PDF, comma-separated values, or JSON."""
        path = filled(reader, "/accounts/{AccountId}/statements/{StatementId}/file")
        answer = reader.get(path, accept=accept)
        assert (answer.status_code, answer.headers["content-type"]) == (200, media)
        assert answer.content.startswith(begins)

    def test_is_made_beside_what_serves_others(self, reader: Reader, monkeypatch: pytest.MonkeyPatch):
        """Not in the thread in which all requests are answered."""

        def named(_: object) -> bytes:
            return threading.current_thread().name.encode()

        async def serving() -> bytes:
            return named(None)

        monkeypatch.setitem(FILES, "text/csv", ("text/csv", named))
        monkeypatch.setattr(statements, "to_csv", named)
        monkeypatch.setattr(statements, "to_pdf", named)
        path = filled(reader, "/accounts/{AccountId}/statements/{StatementId}/file")
        made = [reader.get(path, accept="text/csv").content]
        own = f"{reader.bank.live.base(reader.bank.slug)}/v1/account-statements/{reader.bank.statement}"
        headers = {"Authorization": f"Bearer {reader.bank.token}"}
        made += [httpx.get(f"{own}/{kind}", headers=headers).content for kind in ("csv", "pdf")]
        assert all(made)
        assert reader.bank.live.run(serving()) not in made

    def test_is_nothing_else(self, reader: Reader):
        """What isn't offered isn't made."""
        path = filled(reader, "/accounts/{AccountId}/statements/{StatementId}/file")
        assert reader.get(path, accept="image/png").status_code == 406

    def test_takes_permission_for_all_of_the_statement(self, shown_bank: Bank):
        """The basics don't open it."""
        reader = shown_bank.reader(frozenset({"ReadStatementsBasic"}))
        assert reader.get(filled(reader, "/accounts/{AccountId}/statements/{StatementId}/file")).status_code == 403


class TestAConsent:
    def test_counts_what_it_is_used_for(self, shown_bank: Bank):
        """Every reading is noted, by what was read."""
        reader = shown_bank.reader()
        for path in ("/accounts", "/balances", "/balances"):
            reader.data(path)

        async def uses() -> dict[str, int]:
            await uses_of(shown_bank.live.services).flush()
            tenant = await shown_bank.live.services.registry.get(shown_bank.slug)
            async with shown_bank.live.services.database.tx(tenant) as tx:
                rows = await tx.fetch(
                    "SELECT operation, times FROM consent_uses WHERE consent_id = $1", reader.consent_id
                )
            return {row["operation"]: row["times"] for row in rows}

        assert shown_bank.live.run(uses()) == {"ReadAccountsBasic": 1, "ReadBalances": 2}

    def test_is_about_the_wallets_that_were_chosen(self, shown_bank: Bank):
        """What is listed is of these alone."""
        reader = shown_bank.reader(wallets=shown_bank.wallets[1:])
        assert {each["AccountId"] for each in reader.data("/accounts")} == set(shown_bank.wallets[1:])
        assert {each["AccountId"] for each in reader.data("/transactions")} == set(shown_bank.wallets[1:])
        assert reader.data("/beneficiaries") == []
        assert reader.get(f"/accounts/{shown_bank.wallets[0]}/balances").status_code == 403

    def test_that_was_revoked_opens_nothing(self, shown_bank: Bank):
        """From the next request on."""
        reader = shown_bank.reader()
        assert reader.get("/accounts").status_code == 200

        async def revoke() -> None:
            tenant = await shown_bank.live.services.registry.get(shown_bank.slug)
            async with shown_bank.live.services.database.tx(tenant) as tx:
                await consents.revoke(tx, reader.consent_id, actor=SYSTEM, by="psu", reason="no more")

        shown_bank.live.run(revoke())
        assert reader.get("/accounts").status_code in {401, 403}

    @pytest.mark.parametrize(
        "sql",
        [
            "UPDATE grants SET revoked_at = now(), reason = 'ended' WHERE consent_id = $1",
            """
            INSERT INTO revoked_tokens (digest, client_id, revoked_at, expires_at)
            SELECT $2, client_id, now(), now() + interval '1 hour' FROM consents WHERE id = $1
            """,
        ],
    )
    def test_opens_nothing_once_its_token_has_ended(self, shown_bank: Bank, sql: str):
        """Also where the worker has seen the token a moment ago, and another one has ended it or its grant."""
        reader = shown_bank.reader()
        assert [reader.get(path).status_code for path in ("/accounts", "/transactions")] == [200, 200]
        digest = access_tokens.digest_of(reader.token_id)

        async def end() -> None:
            tenant = await shown_bank.live.services.registry.get(shown_bank.slug)
            async with shown_bank.live.services.database.tx(tenant) as tx:
                await tx.execute(f"{sql} AND $2::bytea IS NOT NULL", reader.consent_id, digest)

        shown_bank.live.run(end())
        assert [reader.get(path).status_code for path in ("/accounts", "/transactions")] == [401, 401]


class TestWhatTheBankDoesNotShow:
    def test_is_no_address(self, shown_bank: Bank):
        """What its manifest leaves out answers 404, without a body; the rest is served."""
        slug = "littlebank"
        shown_bank.live.add_tenant(manifest(slug, open_banking={"not_offered": ["offers", "statements"]}))
        little = Bank.empty(shown_bank.live, slug)
        little.wallets = (little.post("/v1/wallets", {"party_id": little.party})["id"],)
        reader = little.reader()
        wallet = little.wallets[0]
        for path in ("/offers", f"/accounts/{wallet}/offers", "/statements", f"/accounts/{wallet}/statements"):
            answer = reader.get(path)
            assert (answer.status_code, answer.content) == (404, b"")
        # A wallet on which nothing ever was has a balance all the same.
        assert [each["Amount"]["Amount"] for each in reader.data("/balances")] == ["0.00", "0.00"]
        assert reader.data("/products") == []
