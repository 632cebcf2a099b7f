"""How the SDK finds the server (billfold._server) and hands over to it (billfold.__main__)."""

import subprocess
import sys
from pathlib import Path

import pytest

from billfold import _server

ENTRY_POINTS = """
[billfold.server]
whole = json:dumps
lacking = module_that_lacks_a_library:main
broken = module_that_is_broken:main
"""


@pytest.fixture(autouse=True)
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Install a distribution that announces three things, by writing what an installer writes."""
    info = tmp_path / "announcing-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.4\nName: announcing\nVersion: 1.0\n", encoding="utf-8")
    (info / "entry_points.txt").write_text(ENTRY_POINTS, encoding="utf-8")
    (tmp_path / "module_that_lacks_a_library.py").write_text("import a_library_that_nobody_has", encoding="utf-8")
    (tmp_path / "module_that_is_broken.py").write_text("import billfold_server.no_such_room", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))


class TestLoading:
    def test_returns_what_is_announced(self):
        """An entry point of the group is loaded by its name."""
        assert _server.load("whole")([1]) == "[1]"

    def test_names_the_extra_when_nothing_is_announced(self):
        """What no distribution announces is a missing extra."""
        with pytest.raises(_server.MissingExtraError) as caught:
            _server.load("absent", extra="vault")
        assert caught.value.extra == "vault"

    def test_names_the_extra_when_a_library_is_missing(self):
        """A library that can't be imported is a missing extra, and is named."""
        with pytest.raises(_server.MissingExtraError) as caught:
            _server.load("lacking")
        assert (caught.value.extra, caught.value.name) == ("server", "a_library_that_nobody_has")

    def test_hides_no_mistake_of_ours(self):
        """A module of ours that isn't there is reported as what it is."""
        with pytest.raises(ModuleNotFoundError) as caught:
            _server.load("broken")
        assert not isinstance(caught.value, _server.MissingExtraError)


class TestTheCommandWithoutAServer:
    def test_says_in_one_sentence_what_to_install(self):
        """It names the extras on standard error and exits with 69."""
        sdk = Path(_server.__file__).parents[1]
        script = f"import sys; sys.path.insert(0, {str(sdk)!r}); import billfold.__main__ as m; m.main()"
        run = subprocess.run([sys.executable, "-S", "-I", "-c", script], capture_output=True, text=True, check=False)
        assert run.returncode == 69
        assert run.stderr.count("\n") == 1
        assert "billfold[server,postgres]" in run.stderr
