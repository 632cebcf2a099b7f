# Generated from billfold/client/_async/clients.py by tests/sdk/generate_sync.py. Change that one instead.

"""API clients: who may ask for access tokens, and what each may."""

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import UNSET, UnsetType

from billfold.client import _encoding as encoding
from billfold.client import _operations as operations
from billfold.client._sync.resource import Pages, Resource
from billfold.contract.clients import Algorithm, AuthenticationMethod, Client, ClientCreated, ClientSecret

__all__ = ["Clients"]


class Clients(Resource):
    """API clients: ``billfold.clients``. Who manages one must itself be allowed everything that it may."""

    __slots__ = ()

    def create(
        self,
        *,
        client_name: str | None = None,
        organisation: str | None = None,
        token_endpoint_auth_method: AuthenticationMethod | None = None,
        scope: str | None = None,
        grant_types: Sequence[str] | None = None,
        response_types: Sequence[str] | None = None,
        redirect_uris: Sequence[str] | None = None,
        post_logout_redirect_uris: Sequence[str] | None = None,
        jwks: Mapping[str, Any] | None = None,
        tls_client_auth_subject_dn: str | None = None,
        tls_client_auth_san_dns: str | None = None,
        tls_client_auth_san_uri: str | None = None,
        tls_client_auth_san_ip: str | None = None,
        tls_client_auth_san_email: str | None = None,
        token_endpoint_auth_signing_alg: Algorithm | None = None,
        request_object_signing_alg: Algorithm | None = None,
        id_token_signed_response_alg: Algorithm | None = None,
        authorization_signed_response_alg: Algorithm | None = None,
        introspection_signed_response_alg: Algorithm | None = None,
        dpop_bound_access_tokens: bool | None = None,
        tls_client_certificate_bound_access_tokens: bool | None = None,
        authorization_details_types: Sequence[str] | None = None,
        contacts: Sequence[str] | None = None,
        client_uri: str | None = None,
        policy_uri: str | None = None,
        tos_uri: str | None = None,
        software_id: str | None = None,
        software_version: str | None = None,
    ) -> ClientCreated:
        """Register a client. Its secret, where it has one, is in the answer and nowhere else.

        There is no idempotency key, because no secret is kept for a second answer; so this isn't repeated by itself
        when the server may have begun with it.

        Args:
            client_name: What people call it; a consent page shows it.
            organisation: Who runs it.
            token_endpoint_auth_method: How it proves who it is, and no other way.
            scope: Space-separated scopes that it may ask for.
            grant_types: ``client_credentials``, ``authorization_code``, ``refresh_token``.
            response_types: ``code``, where it sends people to sign in.
            redirect_uris: Where answers may go, compared as exact texts.
            post_logout_redirect_uris: Where a browser may go after sign-out.
            jwks: Its public keys as a JWK Set.
            tls_client_auth_subject_dn: Its certificate's subject; or one of the four that follow.
            tls_client_auth_san_dns: A DNS name in its certificate.
            tls_client_auth_san_uri: A URI in its certificate.
            tls_client_auth_san_ip: An IP address in its certificate.
            tls_client_auth_san_email: A mail address in its certificate.
            token_endpoint_auth_signing_alg: By what alone its assertions are signed.
            request_object_signing_alg: By what alone its request objects are signed.
            id_token_signed_response_alg: By what ID tokens for it are signed.
            authorization_signed_response_alg: By what authorization responses for it are signed.
            introspection_signed_response_alg: By what introspection answers for it are signed.
            dpop_bound_access_tokens: Whether it always binds its tokens by DPoP.
            tls_client_certificate_bound_access_tokens: Whether its tokens are bound to its certificate.
            authorization_details_types: Which types of RFC 9396 it may use.
            contacts: Whom to write to about it.
            client_uri: Its home page.
            policy_uri: What it says about data.
            tos_uri: Its terms.
            software_id: Which software it is an instance of.
            software_version: Of which version.

        Raises:
            errors.ClientMetadataRefused: It can't be registered so, under the tenant's security profile.
            errors.InsufficientScope: It would be allowed what the caller isn't.
        """
        body = encoding.fields(
            client_name=client_name,
            organisation=organisation,
            token_endpoint_auth_method=token_endpoint_auth_method,
            scope=scope,
            grant_types=grant_types,
            response_types=response_types,
            redirect_uris=redirect_uris,
            post_logout_redirect_uris=post_logout_redirect_uris,
            jwks=jwks,
            tls_client_auth_subject_dn=tls_client_auth_subject_dn,
            tls_client_auth_san_dns=tls_client_auth_san_dns,
            tls_client_auth_san_uri=tls_client_auth_san_uri,
            tls_client_auth_san_ip=tls_client_auth_san_ip,
            tls_client_auth_san_email=tls_client_auth_san_email,
            token_endpoint_auth_signing_alg=token_endpoint_auth_signing_alg,
            request_object_signing_alg=request_object_signing_alg,
            id_token_signed_response_alg=id_token_signed_response_alg,
            authorization_signed_response_alg=authorization_signed_response_alg,
            introspection_signed_response_alg=introspection_signed_response_alg,
            dpop_bound_access_tokens=dpop_bound_access_tokens,
            tls_client_certificate_bound_access_tokens=tls_client_certificate_bound_access_tokens,
            authorization_details_types=authorization_details_types,
            contacts=contacts,
            client_uri=client_uri,
            policy_uri=policy_uri,
            tos_uri=tos_uri,
            software_id=software_id,
            software_version=software_version,
        )
        return self._change(operations.CREATE_CLIENT, body=body)

    def get(self, client_id: str) -> Client:
        """Return a client.

        Raises:
            errors.NotFound: There is none with this id.
        """
        return self._ask(operations.GET_CLIENT, client_id)

    def list(self, *, limit: int | None = None, cursor: str | None = None) -> Pages[Client]:
        """List clients, the oldest first.

        Args:
            limit: How many a page has, 1 to 100.
            cursor: Where to begin: ``next_cursor`` of a page.
        """
        return self._list(operations.LIST_CLIENTS, query=encoding.query(limit=limit, cursor=cursor))

    def update(
        self,
        client_id: str,
        *,
        client_name: str | UnsetType = UNSET,
        organisation: str | UnsetType | None = UNSET,
        scope: str | UnsetType = UNSET,
        grant_types: Sequence[str] | UnsetType = UNSET,
        redirect_uris: Sequence[str] | UnsetType = UNSET,
        post_logout_redirect_uris: Sequence[str] | UnsetType = UNSET,
        request_object_signing_alg: Algorithm | UnsetType | None = UNSET,
        id_token_signed_response_alg: Algorithm | UnsetType | None = UNSET,
        authorization_signed_response_alg: Algorithm | UnsetType | None = UNSET,
        introspection_signed_response_alg: Algorithm | UnsetType | None = UNSET,
        dpop_bound_access_tokens: bool | UnsetType = UNSET,
        tls_client_certificate_bound_access_tokens: bool | UnsetType = UNSET,
        authorization_details_types: Sequence[str] | UnsetType = UNSET,
        contacts: Sequence[str] | UnsetType = UNSET,
        client_uri: str | UnsetType | None = UNSET,
        policy_uri: str | UnsetType | None = UNSET,
        tos_uri: str | UnsetType | None = UNSET,
        if_match: int | str | None = None,
    ) -> Client:
        """Change what is registered of a client. What isn't given stays, None clears, lists are replaced as a whole.

        Args:
            client_id: Which one.
            client_name: What people call it; a consent page shows it.
            organisation: Who runs it.
            scope: Space-separated scopes that it may ask for.
            grant_types: ``client_credentials``, ``authorization_code``, ``refresh_token``.
            redirect_uris: Where answers may go, compared as exact texts.
            post_logout_redirect_uris: Where a browser may go after sign-out.
            request_object_signing_alg: By what alone its request objects are signed.
            id_token_signed_response_alg: By what ID tokens for it are signed.
            authorization_signed_response_alg: By what authorization responses for it are signed.
            introspection_signed_response_alg: By what introspection answers for it are signed.
            dpop_bound_access_tokens: Whether it always binds its tokens by DPoP.
            tls_client_certificate_bound_access_tokens: Whether its tokens are bound to its certificate.
            authorization_details_types: Which types of RFC 9396 it may use.
            contacts: Whom to write to about it.
            client_uri: Its home page.
            policy_uri: What it says about data.
            tos_uri: Its terms.
            if_match: The ``version`` that the caller has read; without it, the change is made whatever was changed
                since.

        Raises:
            errors.PreconditionFailed: The client has changed since that version.
            errors.ClientMetadataRefused: It can't be registered so.
        """
        body = encoding.changes(
            client_name=client_name,
            organisation=organisation,
            scope=scope,
            grant_types=grant_types,
            redirect_uris=redirect_uris,
            post_logout_redirect_uris=post_logout_redirect_uris,
            request_object_signing_alg=request_object_signing_alg,
            id_token_signed_response_alg=id_token_signed_response_alg,
            authorization_signed_response_alg=authorization_signed_response_alg,
            introspection_signed_response_alg=introspection_signed_response_alg,
            dpop_bound_access_tokens=dpop_bound_access_tokens,
            tls_client_certificate_bound_access_tokens=tls_client_certificate_bound_access_tokens,
            authorization_details_types=authorization_details_types,
            contacts=contacts,
            client_uri=client_uri,
            policy_uri=policy_uri,
            tos_uri=tos_uri,
        )
        return self._change(operations.UPDATE_CLIENT, client_id, body=body, if_match=if_match)

    def rotate_keys(
        self,
        client_id: str,
        *,
        jwks: Mapping[str, Any] | None = None,
        tls_client_auth_subject_dn: str | None = None,
        tls_client_auth_san_dns: str | None = None,
        tls_client_auth_san_uri: str | None = None,
        tls_client_auth_san_ip: str | None = None,
        tls_client_auth_san_email: str | None = None,
    ) -> Client:
        """Replace the keys, or the certificate's name, by which a client proves who it is.

        To change keys without a pause, set the old and the new ones together first.

        Args:
            client_id: Which one.
            jwks: Its public keys as a JWK Set.
            tls_client_auth_subject_dn: Its certificate's subject; or one of the four that follow.
            tls_client_auth_san_dns: A DNS name in its certificate.
            tls_client_auth_san_uri: A URI in its certificate.
            tls_client_auth_san_ip: An IP address in its certificate.
            tls_client_auth_san_email: A mail address in its certificate.

        Raises:
            errors.ClientMetadataRefused: They can't be registered.
        """
        body = encoding.fields(
            jwks=jwks,
            tls_client_auth_subject_dn=tls_client_auth_subject_dn,
            tls_client_auth_san_dns=tls_client_auth_san_dns,
            tls_client_auth_san_uri=tls_client_auth_san_uri,
            tls_client_auth_san_ip=tls_client_auth_san_ip,
            tls_client_auth_san_email=tls_client_auth_san_email,
        )
        return self._change(operations.ROTATE_CLIENT_KEYS, client_id, body=body, repeatable=True)

    def rotate_secret(self, client_id: str, *, overlap_s: int | None = None) -> ClientSecret:
        """Give a client another secret, which is in the answer and nowhere else.

        Args:
            client_id: Which one.
            overlap_s: For how many seconds the former secret is taken as well; an hour where absent.

        Raises:
            errors.ClientMetadataRefused: The client has no secret.
        """
        body = encoding.fields(overlap_s=overlap_s)
        return self._change(operations.ROTATE_CLIENT_SECRET, client_id, body=body)

    def disable(self, client_id: str) -> Client:
        """Keep a client out: within a second its tokens open nothing any more."""
        return self._change(operations.DISABLE_CLIENT, client_id, repeatable=True)

    def enable(self, client_id: str) -> Client:
        """Let a disabled client in again."""
        return self._change(operations.ENABLE_CLIENT, client_id, repeatable=True)
