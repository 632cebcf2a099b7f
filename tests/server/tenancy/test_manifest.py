"""A tenant as data: what its manifest may say, and how a mistake is told."""

import json
import shutil
import tomllib
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from billfold import errors
from billfold.contract.wallets import AliasScheme
from billfold_server.people.pages.brand import logo_of
from billfold_server.serving.cast import iban_of
from billfold_server.tenancy.manifest import LOGO_BYTES, json_schema, load_manifest, parse_manifest
from billfold_server.tenancy.shipped import find_folder, shipped_tenants
from billfold_server.tenancy.stored import read_stored
from billfold_server.wallets.service import AliasKey, is_given_out

pytestmark = pytest.mark.any_postgres

TENANTS = Path(__file__).parents[3] / "tenants"
SHIPPED = ["demo_bank", "sandbox"]


def data(**changes: Any) -> dict[str, Any]:
    """Return a manifest with changes."""
    return {
        "slug": "acme",
        "name": "Acme",
        "brand": {"display_name": "Acme Pay"},
        "currencies": ["EUR", "JPY"],
        **changes,
    }


class TestAShippedTenant:
    @pytest.mark.parametrize("slug", SHIPPED)
    def test_has_a_manifest_that_loads(self, slug: str) -> None:
        """Both tenants that come with Billfold are right."""
        assert load_manifest(TENANTS / slug).slug == slug

    def test_is_all_that_is_there(self) -> None:
        """No folder is forgotten by the test above."""
        assert sorted(path.parent.name for path in TENANTS.glob("*/tenant.toml")) == SHIPPED

    @pytest.mark.parametrize("slug", SHIPPED)
    def test_fits_the_schema(self, slug: str) -> None:
        """Editors that know the schema accept what the server accepts."""
        document = tomllib.loads((TENANTS / slug / "tenant.toml").read_text())
        jsonschema_rs.validate(json_schema(), document)

    def test_gives_out_the_numbers_of_its_customers(self) -> None:
        """The sandbox's wallets have British IBANs, of which no other account is anybody's."""
        key = AliasKey(AliasScheme.IBAN, iban_of("99999999"))
        given_out = load_manifest(TENANTS / "sandbox").numbering
        assert is_given_out(key, given_out.sort_codes, given_out.iban_prefixes)

    def test_is_found_by_name_and_by_path(self, tmp_path: Path) -> None:
        """A name that is no folder is looked up among those that come with Billfold."""
        assert find_folder("sandbox") == shipped_tenants() / "sandbox"
        assert find_folder(str(TENANTS / "demo_bank" / "tenant.toml")) == TENANTS / "demo_bank"
        assert find_folder(str(tmp_path)) == tmp_path


class TestTheSchema:
    def test_is_the_one_that_is_committed(self) -> None:
        """``tenants/manifest.schema.json`` is what the Struct says."""
        assert json.loads((TENANTS / "manifest.schema.json").read_text()) == json_schema()

    def test_is_valid_itself(self) -> None:
        """It is a JSON Schema of the draft that it names."""
        jsonschema_rs.meta.validate(json_schema())

    def test_describes_every_key_that_a_reader_would_ask_about(self) -> None:
        """An unknown key isn't allowed anywhere."""
        assert all(part.get("additionalProperties") is False for part in json_schema()["$defs"].values())


class TestAMistake:
    @pytest.mark.parametrize(
        ("changes", "key"),
        [
            ({"colour": "red"}, "colour"),
            ({"brand": {"display_name": "x", "colour": "red"}}, "brand.colour"),
            ({"brand": {}}, "brand.display_name"),
            ({"slug": "A"}, "slug"),
            ({"slug": "a b"}, "slug"),
            ({"name": ""}, "name"),
            ({"name": 7}, "name"),
            ({"name": "line\nbreak"}, "name"),
            ({"name": "a line\n"}, "name"),
            ({"hosts": ["pay.example\n"]}, "hosts[0]"),
            ({"keys": {"rotate_days": 0}}, "keys.rotate_days"),
            ({"keys": {"rotate_days": 731}}, "keys.rotate_days"),
            ({"keys": {"rotate_months": 1}}, "keys.rotate_months"),
            ({"currencies": []}, "currencies"),
            ({"currencies": ["EUR", "XYZ"]}, "currencies[1]"),
            ({"currencies": ["EUR", "eur"]}, "currencies[1]"),
            ({"currencies": ["EUR", "EUR"]}, "currencies"),
            ({"currencies": ["XAU"]}, "currencies[0]"),
            ({"limits": {"transfer_max_minor": {"USD": 1}}}, "limits.transfer_max_minor.USD"),
            ({"limits": {"wallet_balance_max_minor": {"USD": 1}}}, "limits.wallet_balance_max_minor.USD"),
            ({"limits": {"transfer_max_minor": {"QQQ": 1}}}, "limits.transfer_max_minor.QQQ"),
            ({"limits": {"transfer_max_minor": {"EUR": 0}}}, "limits.transfer_max_minor.EUR"),
            ({"limits": {"transfer_max_minor": {"EUR": 1.5}}}, "limits.transfer_max_minor.EUR"),
            ({"limits": {"transfer_max_minor": {"EUR": 10**15 + 1}}}, "limits.transfer_max_minor.EUR"),
            ({"limits": {"backdate_days": -1}}, "limits.backdate_days"),
            ({"isolation": "schema"}, "isolation"),
            ({"security_profile": "none"}, "security_profile"),
            ({"features": ["teleport"]}, "features[0]"),
            ({"hosts": ["Pay.example"]}, "hosts[0]"),
            ({"hosts": ["localhost"]}, "hosts[0]"),
            ({"hosts": ["pay.example:443"]}, "hosts[0]"),
            ({"hosts": ["a.example", "a.example"]}, "hosts"),
            ({"rate_limit_per_s": 10, "rate_limit_burst": 5}, "rate_limit_burst"),
            ({"sandbox": "yes"}, "sandbox"),
            ({"numbering": {"sort_codes": ["04-00-04"]}}, "numbering.sort_codes[0]"),
            ({"numbering": {"iban_prefixes": ["DE5", "DE5"]}}, "numbering.iban_prefixes"),
            ({"brand": {"display_name": "x", "logo": "../../etc/passwd"}}, "brand.logo"),
            ({"brand": {"display_name": "x", "logo_image": "https://evil.example/x.png"}}, "brand.logo_image"),
            ({"brand": {"display_name": "x", "logo_image": "data:text/html;base64,PGI+"}}, "brand.logo_image"),
            ({"brand": {"display_name": "x", "logo_image": "data:image/png;base64,A"}}, "brand.logo_image"),
            ({"brand": {"display_name": "x", "colors": {"primary": "red"}}}, "brand.colors.primary"),
            (
                {"brand": {"display_name": "x", "colors": {"primary": "#ffff00", "on_primary": "#ffffff"}}},
                "brand.colors.on_primary",
            ),
            (
                {"brand": {"display_name": "x", "colors": {"text": "#cccccc", "background": "#ffffff"}}},
                "brand.colors.text",
            ),
        ],
    )
    def test_is_told_with_file_key_and_reason(self, changes: dict[str, Any], key: str) -> None:
        """Who reads the refusal knows what to change."""
        with pytest.raises(errors.ManifestInvalid) as caught:
            parse_manifest(data(**changes), file="somewhere/tenant.toml")
        assert caught.value.facts["file"] == "somewhere/tenant.toml"
        assert caught.value.key == key
        assert caught.value.param == caught.value.key
        assert caught.value.reason

    @pytest.mark.parametrize(
        ("changes", "reason"),
        [
            ({"isolation": "schema"}, "'schema' isn't one of login, role"),
            ({"approvals": {"always": ["wallet.unfreeze"]}}, "wallet_unfreeze, withdrawal"),
            ({"approvals": {"allways": []}}, "isn't a key of the manifest; did you mean always?"),
            ({"brand": {"display_name": "x", "colors": {"primry": "#ffffff"}}}, "did you mean primary?"),
            ({"tokenization": {"purposes": {"look": {"kinds": ["cards"], "reveal": "full"}}}}, "'cards' isn't one of"),
        ],
    )
    def test_names_what_there_is_instead(self, changes: dict[str, Any], reason: str) -> None:
        """Whoever has misspelled a key or a value is told what may stand there."""
        with pytest.raises(errors.ManifestInvalid) as caught:
            parse_manifest(data(**changes))
        assert reason in str(caught.value.reason)

    def test_names_the_currency_that_is_none(self) -> None:
        """Among several currencies the wrong one is named."""
        with pytest.raises(errors.ManifestInvalid) as caught:
            parse_manifest(data(currencies=["EUR", "XYZ", "USD"]))
        assert caught.value.key == "currencies[1]"
        assert "XYZ" in str(caught.value.reason)

    def test_of_a_missing_file_names_the_path(self, tmp_path: Path) -> None:
        """There is no manifest in the folder."""
        with pytest.raises(errors.ManifestInvalid) as caught:
            load_manifest(tmp_path / "nowhere")
        assert caught.value.file == str(tmp_path / "nowhere" / "tenant.toml")

    @pytest.mark.parametrize("content", [b"slug = ", b"\xff\xfe"])
    def test_of_the_file_itself_names_the_reason(self, tmp_path: Path, content: bytes) -> None:
        """What isn't TOML, or isn't UTF-8, is no manifest."""
        (tmp_path / "tenant.toml").write_bytes(content)
        with pytest.raises(errors.ManifestInvalid) as caught:
            load_manifest(tmp_path)
        assert caught.value.key == ""
        assert caught.value.reason

    def test_of_the_folders_name_is_told(self, tmp_path: Path) -> None:
        """A copied folder keeps the slug of the original, which would change that tenant."""
        shutil.copytree(TENANTS / "sandbox", tmp_path / "copy")
        with pytest.raises(errors.ManifestInvalid) as caught:
            load_manifest(tmp_path / "copy")
        assert caught.value.key == "slug"

    def test_holds_the_logo_itself(self, tmp_path: Path) -> None:
        """A bank's folder is on the machine of who applies it; what the pages show goes with the manifest."""
        folder = tmp_path / "sandbox"
        shutil.copytree(TENANTS / "sandbox", folder)
        drawn = b'<svg xmlns="http://www.w3.org/2000/svg"/>'
        (folder / "theme" / "logo.svg").write_bytes(drawn)
        brand = load_manifest(folder).brand
        assert logo_of("elsewhere", brand.logo, brand) == ("image/svg+xml", drawn)
        (folder / "theme" / "logo.svg").write_bytes(b" " * (LOGO_BYTES + 1))
        with pytest.raises(errors.ManifestInvalid) as caught:
            load_manifest(folder)
        assert caught.value.key == "brand.logo"

    def test_of_a_logo_that_is_not_there_is_told(self, tmp_path: Path) -> None:
        """What the manifest names lies beside it."""
        shutil.copytree(TENANTS / "sandbox", tmp_path / "sandbox")
        (tmp_path / "sandbox" / "theme" / "logo.svg").unlink()
        with pytest.raises(errors.ManifestInvalid) as caught:
            load_manifest(tmp_path / "sandbox")
        assert caught.value.key == "brand.logo"


class TestAStoredManifest:
    def test_that_says_more_by_a_newline_at_its_end_is_read_without(self) -> None:
        """Former versions overlooked it, and no tenant is cut off for what only new manifests may not say."""
        stored = data(name="Acme\n", hosts=["pay.example\n"])
        assert read_stored(json.dumps(stored)) == parse_manifest(data(hosts=["pay.example"]))
