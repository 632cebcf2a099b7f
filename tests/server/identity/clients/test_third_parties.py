"""What a directory's statement makes of a third party's client."""

from typing import Any

import pytest

from billfold_server.identity.clients.third_parties import StatementUnfit, scopes_of, with_statement

OFFERED = ["tenant:read", "accounts", "payments", "fundsconfirmations"]
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
        with pytest.raises(StatementUnfit) as caught:
            scopes_of({"software_roles": roles}, OFFERED)
        assert caught.value.error == "invalid_software_statement"


class TestAStatement:
    def test_names_the_software_as_directories_do(self):
        """RFC 7591's own name wins where both are there."""
        said = with_statement({"client_name": "mine"}, {"software_client_name": "Theirs", "org_name": "Ltd"})
        assert (said["client_name"], said["organisation"]) == ("Theirs", "Ltd")
        assert with_statement({}, {"software_client_name": "a", "client_name": "b"})["client_name"] == "b"

    def test_bounds_where_answers_go(self):
        """The client chooses among the directory's addresses; all of them, where it names none."""
        vouched = {"software_redirect_uris": KNOWN}
        assert with_statement({"redirect_uris": KNOWN[1:]}, vouched)["redirect_uris"] == KNOWN[1:]
        assert with_statement({}, vouched)["redirect_uris"] == KNOWN
        assert with_statement({"grant_types": ["client_credentials"]}, vouched)["redirect_uris"] == []
        for foreign in (["https://evil.example/"], [*KNOWN, "https://evil.example/"], "https://tpp.example/a"):
            with pytest.raises(StatementUnfit) as caught:
                with_statement({"redirect_uris": foreign}, vouched)
            assert caught.value.error == "invalid_redirect_uri"

    def test_names_a_certificate_only_to_who_proves_itself_by_it(self):
        """A client that signs assertions isn't refused because its directory knows a certificate of it."""
        vouched = {"tls_client_auth_subject_dn": "CN=tpp"}
        by_tls = {"token_endpoint_auth_method": "tls_client_auth", "tls_client_auth_subject_dn": "CN=other"}
        assert with_statement(by_tls, vouched)["tls_client_auth_subject_dn"] == "CN=tpp"
        assert "tls_client_auth_subject_dn" not in with_statement({}, vouched)
