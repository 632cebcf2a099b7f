"""The page kit: languages, looks, headers, and forms that only our own pages can send."""

import re
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from billfold_server.people.pages import brand, cookies, forms, kit, words
from billfold_server.tenancy.manifest import Colors, contrast
from tests.live import LiveServer
from tests.server.people.authenticator import options_of

TEMPLATES = Path(kit.__file__).parent / "templates"
KEY = b"k" * 32
COLOR = st.integers(0, 0xFFFFFF).map(lambda number: f"#{number:06x}")


class TestEveryLanguage:
    @pytest.mark.parametrize("language", words.LANGUAGES)
    def test_says_everything_with_the_same_values(self, language: str) -> None:
        """No text is missing in a language, and each has the places for the same values."""
        places = {key: sorted(re.findall(r"\{\w*\}", text)) for key, text in words.vocabulary(language).items()}
        default = {key: sorted(re.findall(r"\{\w*\}", text)) for key, text in words.vocabulary(words.DEFAULT).items()}
        assert places == default

    def test_has_what_the_templates_say(self) -> None:
        """Each text that a template names is there."""
        named = {
            key
            for path in TEMPLATES.rglob("*.html")
            for key in re.findall(r"""\bt\(["']([a-z0-9_.]+)["']""", path.read_text(encoding="utf-8"))
        }
        said = words.vocabulary(words.DEFAULT).keys()
        # A name that ends like this is completed by what the page shows.
        begun = {key for key in named if key.endswith("_")}
        assert named - begun - said == set()
        assert {key for key in begun if not any(each.startswith(key) for each in said)} == set()

    @pytest.mark.parametrize(
        ("wishes", "header", "language"),
        [
            (["de-AT en"], "en", "de"),
            (["fr", "de"], "en", "de"),
            ([None], "fr;q=1, de;q=0.5, en;q=0.7", "en"),
            ([None], "de-CH", "de"),
            ([None], "en;q=0, de;q=0.1", "de"),
            ([None], "xx, ;;;q=2", "en"),
            ([], None, "en"),
        ],
    )
    def test_is_chosen_by_wish_before_preference(self, wishes, header, language) -> None:
        """What was asked for comes first, then the browser's preferences, then English."""
        assert words.choose(wishes, header) == language


class TestTheLooks:
    @given(COLOR, COLOR)
    def test_stay_legible_in_any_brand(self, text: str, background: str) -> None:
        """Hints, complaints and the lines around fields have WCAG's contrast, whatever legible pair a brand has."""
        if contrast(text, background) < 4.5:
            return
        style = brand.style_of(Colors(text=text, background=background))
        values = dict(re.findall(r"--([a-z-]+):(#[0-9a-f]{6})", style))
        assert all(contrast(values[name], background) >= 4.5 for name in ("ink", "quiet", "alarm", "fine"))
        assert all(contrast(values[name], background) >= 3 for name in ("edge", "accent"))


class TestAFormsToken:
    @given(st.lists(st.text(max_size=20), min_size=1, max_size=4), st.integers(0, forms.TTL_S - 1))
    def test_stands_for_whom_it_was_made_until_it_expires(self, bound: list[str], later_s: int) -> None:
        """It is good for the same realm, browser and session, for two hours."""
        token = forms.token(KEY, *bound, now_s=1_000)
        assert forms.stands(KEY, token, *bound, now_s=1_000 + later_s)
        assert not forms.stands(KEY, token, *bound, now_s=1_000 + forms.TTL_S)
        assert not forms.stands(KEY, token, *bound, "", now_s=1_000)
        assert not forms.stands(b"x" * 32, token, *bound, now_s=1_000)

    @given(st.text(max_size=80))
    def test_is_nothing_that_can_be_made_up(self, token: str) -> None:
        """Whatever else is sent doesn't stand."""
        assert not forms.stands(KEY, token, "realm", now_s=1_000)


class TestACookie:
    def test_is_bound_to_the_tenant_and_to_tls(self) -> None:
        """Its name, path and flags keep other tenants, scripts and clear text from it."""
        at_tenant = cookies.written("x", "v", mount="/t/a", secure=True)
        assert at_tenant == "__Secure-billfold-x=v; Path=/t/a; SameSite=Lax; HttpOnly; Secure"
        assert cookies.written("x", "v", mount="", secure=True).startswith("__Host-billfold-x=v; Path=/; ")
        assert "Secure" not in cookies.written("x", "v", mount="/t/a", secure=False)

    def test_is_read_by_its_first_value(self) -> None:
        """Of two with one name the first counts, and what is no cookie is passed over."""
        assert cookies.read('a=1; b=2;a=3; c="x; =4;;d') == {"a": "1", "b": "2"}


class TestAPage:
    @pytest.mark.parametrize("slug", ["alpha", None])
    def test_of_refusal_is_a_page_that_allows_nothing_from_elsewhere(self, live: LiveServer, slug) -> None:
        """What the pipeline refuses is HTML in the visitor's language, under a policy without exceptions."""
        answer = httpx.get(f"{live.base(slug)}/auth/assets/logo?what=1", headers={"Accept-Language": "de"})
        assert answer.status_code == 400
        assert answer.headers["content-type"] == kit.MEDIA_TYPE
        assert answer.headers["cache-control"] == "no-store"
        assert '<html lang="de">' in answer.text
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert "<style" not in answer.text
        assert " style=" not in answer.text
        assert "<script" not in answer.text

    @pytest.mark.parametrize(
        ("name", "kind"), [("kit.css", "text/css"), ("passkeys.js", "text/javascript"), ("logo", "image/svg+xml")]
    )
    @pytest.mark.parametrize("slug", ["alpha", None])
    def test_loads_what_the_server_has_itself(self, live: LiveServer, slug, name: str, kind: str) -> None:
        """Style, script and logo come from the tenant's own address."""
        answer = httpx.get(f"{live.base(slug)}/auth/assets/{name}")
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith(kind)
        assert "default-src 'none'" in answer.headers["content-security-policy"]

    def test_at_a_tenants_own_host_stays_there(self, live: LiveServer) -> None:
        """Addresses, forms and cookies are of the host by which the browser came, and passkeys belong to it."""
        answer = httpx.get(f"{live.url}/auth/sign-in", headers={"Host": "wallet.beta.example"})
        assert answer.status_code == 200
        assert 'action="/auth/sign-in"' in answer.text
        assert "/t/beta" not in answer.text
        assert "Path=/;" in answer.headers["set-cookie"]
        assert options_of(answer)["rpId"] == "wallet.beta.example"
        elsewhere = httpx.get(f"{live.base('beta')}/auth/sign-in", headers={"Host": "evil.example"})
        # What belongs to the deployment's own host, which has no name here.
        assert "data-passkey" not in elsewhere.text
        assert "evil.example" not in elsewhere.text
