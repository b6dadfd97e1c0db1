"""A file is tried before any work is spent on it, and what a killed process has left of it goes."""

from __future__ import annotations

from pathlib import Path

import pytest

from segue.errors import SinkError
from segue.utils.files import PartialFile, prepare


def test_partial_files_of_a_killed_process_are_removed(tmp_path: Path) -> None:
    path, other = tmp_path / "scores.csv", tmp_path / "others.csv"
    PartialFile(path).prepare()
    PartialFile(other).prepare()
    path.write_text("kept")
    prepare(path)
    assert path.read_text() == "kept"
    assert [name.name[:12] for name in tmp_path.iterdir() if name != path] == [".others.csv."]


def test_a_place_that_cannot_be_written_is_told_beforehand(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for place in (tmp_path, tmp_path / "file" / "scores.csv"):
        with pytest.raises(SinkError):
            prepare(place)
