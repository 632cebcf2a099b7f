"""The README's two lines, as far as they can be checked without pasting them."""

import re

from tests.repository.tracked import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```sh\n(.*?)```", README, flags=re.DOTALL)


class TestTheReadme:
    def test_opens_with_three_sentences(self):
        """What Billfold is takes three sentences."""
        opening = README.split("\n\n")[1].replace("\n", " ")
        assert len(re.findall(r"[.](?: |$)", opening)) == 3

    def test_has_one_line_to_run_and_one_to_test(self):
        """The first two blocks are one line each: it ends in `billfold up`, then in `nox`."""
        run, test = BLOCKS[:2]
        assert run.count("\n") == test.count("\n") == 1
        assert run.endswith("/billfold up\n")
        assert test.endswith("/nox\n")

    def test_names_files_that_exist(self):
        """Every file that a line installs from is there."""
        named = re.findall(r"-r (\S+)", "".join(BLOCKS[:2]))
        assert len(named) == 2
        assert [name for name in named if not (ROOT / name).is_file()] == []

    def test_has_one_test_line_that_ci_can_find(self):
        """CI's scripts take the test line from the README by its beginning and end."""
        assert len(re.findall(r"^python3 -m venv .*nox$", README, flags=re.MULTILINE)) == 1
