"""Files that commands write what others mustn't read into."""

import errno
import os
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from billfold_server.private_files import EVERYBODY, open_output
from tests.server.upping import billfold, environment

NOBODY = 65534
SOMEBODY, TEAM = 54_321, 54_322
WRITING = f"""
import os, sys
from billfold_server.private_files import EVERYBODY, open_output
os.setgroups([int(each) for each in sys.argv[2:]])
os.setgid({SOMEBODY})
os.setuid({SOMEBODY})
with open_output(sys.argv[1], mode=EVERYBODY) as stream:
    stream.write(b"whole")
"""
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts files and gives them away")


class TestAFileForEverybody:
    @pytest.mark.parametrize("mode", [0o600, 0o640, 0o664])
    def test_goes_on_letting_in_whom_it_did(self, tmp_path: Path, mode: int) -> None:
        """Whoever has closed it, or opened it to others, finds it so."""
        file = tmp_path / "contract.yaml"
        file.write_text("former")
        file.chmod(mode)
        with open_output(str(file), mode=EVERYBODY) as stream:
            stream.write(b"whole")
        assert (file.read_text(), stat.S_IMODE(file.stat().st_mode)) == ("whole", mode)

    @as_root
    def test_goes_on_belonging_to_whom_it_did(self, tmp_path: Path) -> None:
        """Root takes nobody's file from them."""
        file = tmp_path / "contract.yaml"
        file.touch()
        os.chown(file, NOBODY, NOBODY)
        with open_output(str(file), mode=EVERYBODY):
            pass
        assert (file.stat().st_uid, file.stat().st_gid) == (NOBODY, NOBODY)

    @as_root
    @pytest.mark.parametrize(
        ("groups", "former", "group", "mode"),
        [
            ([TEAM], 0o660, TEAM, 0o660),
            ([], 0o660, SOMEBODY, 0o600),
            ([], 0o664, SOMEBODY, 0o644),
        ],
        ids=["one of the group", "another one", "another one, of what all may read"],
    )
    def test_lets_in_its_group_and_no_other(self, groups: list[int], former: int, group: int, mode: int) -> None:
        """Who writes it may not give it to its owner; what only its group might read is not for their own group."""
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "contract.yaml")
            file.touch()
            for path, allowed in ((file, former), (file.parent, 0o777)):
                os.chown(path, NOBODY, TEAM)
                path.chmod(allowed)
            command = [sys.executable, "-c", WRITING, str(file), *map(str, groups)]
            done = subprocess.run(command, env=environment(), check=False, capture_output=True, text=True)
            found = file.stat()
            assert (done.returncode, done.stderr, file.read_text()) == (0, "", "whole")
            assert (found.st_gid, oct(stat.S_IMODE(found.st_mode))) == (group, oct(mode))

    def test_is_for_nobody_else_before_it_is_known_whom_it_lets_in(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Who has a draft open by then would read what is written afterwards."""
        file = tmp_path / "contract.yaml"
        file.touch(mode=0o600)
        seen = list[int]()

        def look(descriptor: int, mode: int) -> None:
            seen.append(stat.S_IMODE(os.fstat(descriptor).st_mode))
            changing(descriptor, mode)

        changing = os.fchmod
        monkeypatch.setattr(os, "fchmod", look)
        with open_output(str(file), mode=EVERYBODY):
            pass
        assert seen == [0o600]


class TestAFileThatIsMountedByItself:
    @as_root
    def test_is_told_to_be_busy_and_stays(self, tmp_path: Path) -> None:
        """As containers have single files of their host: nothing can take its place."""
        file, host = tmp_path / "contract.yaml", tmp_path / "host"
        for each in (file, host):
            each.write_text("former")
        if subprocess.run(["mount", "--bind", host, file], check=False, capture_output=True).returncode:
            pytest.skip("this root may not mount a file")
        try:
            done = billfold("openapi", str(file))
            assert (done.returncode, str(file) in done.stderr, host.read_text()) == (73, True, "former")
            assert sorted(tmp_path.iterdir()) == [file, host]
        finally:
            subprocess.run(["umount", str(file)], check=True)


class TestAPrivateFile:
    def test_is_there_once_it_is_whole(self, tmp_path: Path) -> None:
        """What was there stays until then, and nothing else is left in the folder."""
        file = tmp_path / "export"
        file.write_text("former")
        with pytest.raises(ValueError, match="cut short"), open_output(str(file)) as stream:
            stream.write(b"half")
            raise ValueError("cut short")
        assert (file.read_text(), list(tmp_path.iterdir())) == ("former", [file])
        with open_output(str(file)) as stream:
            stream.write(b"whole")
        assert (file.read_text(), stat.S_IMODE(file.stat().st_mode)) == ("whole", 0o600)

    def test_is_told_by_its_own_name_where_it_can_not_be(self, tmp_path: Path) -> None:
        """Nobody has named the file that it is written to first."""
        file = tmp_path / "nowhere" / "export"
        with pytest.raises(FileNotFoundError) as caught, open_output(str(file)):
            pass
        assert caught.value.filename == str(file)

    def test_is_told_by_its_own_name_where_that_leads_to_itself(self, tmp_path: Path) -> None:
        """A symlink that goes round in a circle is no place for a file, and stays."""
        file, other = tmp_path / "export", tmp_path / "other"
        file.symlink_to(other)
        other.symlink_to(file)
        with pytest.raises(OSError, match="symbolic links") as caught, open_output(str(file)):
            pass
        assert (caught.value.filename, caught.value.errno) == (str(file), errno.ELOOP)
        assert file.is_symlink()

    def test_is_told_by_its_own_name_where_it_can_not_take_its_place(self, tmp_path: Path) -> None:
        """Where something else is there by then, its draft goes and that stays."""
        file = tmp_path / "export"
        with pytest.raises(IsADirectoryError) as caught, open_output(str(file)) as stream:
            stream.write(b"whole")
            file.mkdir()
        assert (caught.value.filename, list(tmp_path.iterdir())) == (str(file), [file])
