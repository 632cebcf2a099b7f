"""What the vault tells of a person who asks what is known of them."""

from tests.live import LiveServer
from tests.server.tokens.banks import IBAN, Bank


class TestAnExport:
    """An export of what is known of a person."""

    def test_shows_values_only_to_who_may_see_them(self, bank: Bank, live: LiveServer) -> None:
        """With the right to export alone there are masks; with the right to detokenize, values and a record of them."""
        party = bank.party()
        token = bank.account(party_id=party)
        path, body = f"/v1/parties/{party}/exports", {"reason": "asked"}
        with live.client("alpha", ["privacy:write"]) as exporter:
            masked = exporter.post(path, json=body)
        assert masked.status_code == 200, masked.text
        assert IBAN not in masked.text
        (shown,) = (each["data"] for each in masked.json()["data"] if each["kind"] == "vault_token")
        assert (shown["id"], shown["value"]) == (token["id"], None)
        assert IBAN in bank.post(path, body).text
        facts = [each["facts"] for each in bank.records(party) if each["action"] == "vault_token.exported"]
        assert facts == [{"values": 1}]
