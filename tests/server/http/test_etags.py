"""Entity tags and If-Match."""

import pytest

from billfold import errors
from billfold_server.http.etags import check_if_match, etag
from tests.pace import quickest_call


class TestIfMatch:
    @pytest.mark.parametrize(
        "header", [None, "*", '"3"', ' "3" ', '"2", "3"', '"a","3"', 'W/"3", "3"', '"3",', ',\t, "2", ,, "3" ,']
    )
    def test_lets_the_present_version_through(self, header: str | None) -> None:
        """No header, the star, or a list that holds the present tag allows the change."""
        check_if_match(header, 3)

    @pytest.mark.parametrize("header", ['"2"', 'W/"3"', '"2", "4"', '""', '"03"'])
    def test_refuses_another_version(self, header: str) -> None:
        """A tag of another version, or a weak one, means that the caller read something else."""
        with pytest.raises(errors.PreconditionFailed):
            check_if_match(header, 3)

    @pytest.mark.parametrize("header", ["3", "", '"3', '"3" "4"', "*,*", "*,", ",", '"2" , "3" "4"', "W/3", '"\x7f"'])
    def test_refuses_what_is_no_entity_tag(self, header: str) -> None:
        """A header that isn't of RFC 9110's form is a mistake, not a mismatch."""
        with pytest.raises(errors.ValidationFailed) as caught:
            check_if_match(header, 3)
        assert caught.value.param == "If-Match"

    @pytest.mark.parametrize("header", ["," * 30_000, '"",' * 10_000 + "x", '"3"' + " " * 30_000 + "x"])
    def test_refuses_at_once_what_is_long(self, header: str) -> None:
        """How long it takes goes by its length."""

        def check() -> None:
            with pytest.raises(errors.ValidationFailed):
                check_if_match(header, 3)

        assert quickest_call(check, below_s=1) < 1

    def test_matches_the_tag_that_was_handed_out(self) -> None:
        """The tag of a version matches that version."""
        check_if_match(etag(12), 12)
