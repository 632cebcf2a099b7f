"""What a directory's statement makes of a third party's client."""

from typing import Any

import pytest

from billfold_server.identity.clients.software_statements import StatementRefused
from billfold_server.identity.clients.third_parties import scopes_of, with_statement

OFFERED = ["tenant:read", "accounts", "payments", "fundsconfirmations"]
NAMED = {"software_id": "sw-1"}
KNOWN = ["https://tpp.example/a", "https://tpp.example/b"]


class TestScopes:
    @pytest.mark.parametrize(
        ("roles", "scopes"),
        [
            (["AISP"], ["accounts"]),
            (["PISP"], ["payments"]),
            (["CBPII"], ["fundsconfirmations"]),
            (["PISP", "AISP", "ASPSP"], ["accounts", "payments"]),
            ([], []),
        ],
        ids=str,
    )
    def test_are_those_of_the_roles(self, roles: list[str], scopes: list[str]):
        """Each role holds one scope, and what belongs to no role is left to the tenant."""
        assert scopes_of({"software_roles": roles}, OFFERED) == ["tenant:read", *scopes]

    def test_are_none_without_roles(self):
        """A directory that says nothing of roles vouches for no right."""
        assert scopes_of({}, OFFERED) == ["tenant:read"]

    @pytest.mark.parametrize("roles", ["AISP", [1], {"AISP": True}], ids=str)
    def test_need_roles_of_their_form(self, roles: Any):
        """Roles that can't be read hold nothing."""
        with pytest.raises(StatementRefused) as caught:
            scopes_of({"software_roles": roles}, OFFERED)
        assert caught.value.error == "invalid_software_statement"


class TestAStatement:
    def test_names_the_software_as_directories_do(self):
        """RFC 7591's own name wins where both are there."""
        said = with_statement({"client_name": "mine"}, {**NAMED, "software_client_name": "Theirs", "org_name": "Ltd"})
        assert (said["client_name"], said["organisation"]) == ("Theirs", "Ltd")
        assert with_statement({}, {**NAMED, "software_client_name": "a", "client_name": "b"})["client_name"] == "b"

    def test_bounds_where_answers_go(self):
        """The client chooses among the directory's addresses; all of them, where it names none."""
        vouched = {**NAMED, "software_redirect_uris": KNOWN}
        assert with_statement({"redirect_uris": KNOWN[1:]}, vouched)["redirect_uris"] == KNOWN[1:]
        assert with_statement({}, vouched)["redirect_uris"] == KNOWN
        assert with_statement({"grant_types": ["client_credentials"]}, vouched)["redirect_uris"] == []
        for foreign in (["https://evil.example/"], [*KNOWN, "https://evil.example/"], "https://tpp.example/a"):
            with pytest.raises(StatementRefused) as caught:
                with_statement({"redirect_uris": foreign}, vouched)
            assert caught.value.error == "invalid_redirect_uri"

    def test_names_a_certificate_only_to_who_proves_itself_by_it(self):
        """A client that signs assertions isn't refused because its directory knows a certificate of it."""
        vouched = {**NAMED, "tls_client_auth_subject_dn": "CN=tpp"}
        by_tls = {"token_endpoint_auth_method": "tls_client_auth", "tls_client_auth_subject_dn": "CN=other"}
        assert with_statement(by_tls, vouched)["tls_client_auth_subject_dn"] == "CN=tpp"
        assert "tls_client_auth_subject_dn" not in with_statement({}, vouched)

    @pytest.mark.parametrize(
        ("name", "own"),
        [
            ("jwks", {"keys": []}),
            ("tls_client_auth_san_dns", "evil.example"),
            ("redirect_uris", KNOWN),
            ("organisation", "Your Bank"),
        ],
    )
    def test_is_the_only_word_on_who_the_software_is(self, name: str, own: Any):
        """Whoever has merely seen a statement can't add a key, a certificate, an address or an owner to it."""
        said = {"token_endpoint_auth_method": "tls_client_auth", name: own}
        assert name not in with_statement(said, NAMED)

    @pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
    def test_isnt_for_who_has_a_secret(self, method: str):
        """A secret would be whoever's that has seen the statement; so it isn't the default either."""
        with pytest.raises(StatementRefused) as caught:
            with_statement({"token_endpoint_auth_method": method}, NAMED)
        assert caught.value.error == "invalid_client_metadata"
        for nothing in ({}, {"token_endpoint_auth_method": None}):
            assert with_statement(nothing, NAMED)["token_endpoint_auth_method"] == "private_key_jwt"

    def test_says_whose_it_is(self):
        """One that names no software vouches for none, whatever the client says it is."""
        with pytest.raises(StatementRefused) as caught:
            with_statement({"software_id": "sw-1"}, {"software_client_name": "Theirs"})
        assert caught.value.error == "invalid_software_statement"
