"""Files that commands write what others mustn't read into."""

import stat
from pathlib import Path

import pytest

from billfold_server.private_files import open_output


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

    def test_is_told_by_its_own_name_where_it_can_not_take_its_place(self, tmp_path: Path) -> None:
        """Where something else is there by then, its draft goes and that stays."""
        file = tmp_path / "export"
        with pytest.raises(IsADirectoryError) as caught, open_output(str(file)) as stream:
            stream.write(b"whole")
            file.mkdir()
        assert (caught.value.filename, list(tmp_path.iterdir())) == (str(file), [file])
