"""What a training finds in folders, and what it must not touch."""

from __future__ import annotations

from pathlib import Path

import pytest

from segue.errors import DatasetError
from segue_train.footage import gather, read_subset
from tests.clips import clip
from tests.segue_train.making import write_all, write_video


def silent(text: str) -> None:
    raise AssertionError(text)


def test_still_folders_of_other_names_are_given_as_a_pair(tmp_path: Path) -> None:
    _, stills = write_all(tmp_path)
    (stills / "images").rename(tmp_path / "photos")
    material = gather([f"{tmp_path / 'photos'}:{stills / 'masks'}"], report=silent)
    assert len(material.stills) == 4


def test_davis_val_is_left_out_and_said_so(tmp_path: Path) -> None:
    for name in ("bear", "goat", "soapbox"):
        write_video(tmp_path, name, *clip(0, 3, 32, 48, 1))
    said: list[str] = []
    material = gather([str(tmp_path)], report=said.append)
    assert [item.name for item in material.videos] == ["bear"]
    (line,) = said
    assert "goat, soapbox" in line
    assert "--include-val" in line
    assert len(gather([str(tmp_path)], include_val=True, report=silent).videos) == 3


def test_a_list_of_sequences_takes_a_part_of_one_folder(tmp_path: Path) -> None:
    videos, stills = write_all(tmp_path)
    listed = tmp_path / "subset.txt"
    listed.write_text("kite\n\nkite\n")
    chosen = {str(videos): read_subset(listed)}
    material = gather([f"2@{videos}", str(stills)], subsets=chosen, report=silent)
    assert [item.name for item in material.videos] == ["kite", "kite"]
    assert len(material.stills) == 4
    for folder, sequence, named in (("elsewhere", "kite", "elsewhere"), (str(videos), "swan", "swan")):
        with pytest.raises(DatasetError, match=named):
            gather([str(videos)], subsets={folder: [sequence]}, report=silent)
    listed.write_text("\n")
    with pytest.raises(DatasetError):
        read_subset(listed)


def test_a_folder_of_neither_kind_is_refused_with_what_is_expected(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"JPEGImages.*IMAGES:MASKS"):
        gather([str(tmp_path)], report=silent)
