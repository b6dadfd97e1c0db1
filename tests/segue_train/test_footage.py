"""What a training finds in folders, and what it must not touch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from segue.errors import DatasetError
from segue_train.footage import VOID, gather, object_ids, read_subset, relabel
from tests.clips import clip
from tests.segue_train.making import write_all, write_stills, write_video


def silent(text: str) -> None:
    raise AssertionError(text)


def test_both_kinds_of_folders_are_recognised(tmp_path: Path) -> None:
    videos, stills = write_all(tmp_path)
    material = gather([str(videos), str(stills)], report=silent)
    assert [(item.name, len(item)) for item in material.videos] == [("boat", 6), ("kite", 6)]
    assert [(item.name, len(item)) for item in material.stills] == [(str(i), 1) for i in range(4)]
    picture, mask = material.videos[0].read(2)
    frames, masks = clip(1, 6, 64, 96, 2)
    np.testing.assert_array_equal(picture, frames[2])
    np.testing.assert_array_equal(mask, masks[2])


def test_still_folders_of_other_names_are_given_as_a_pair(tmp_path: Path) -> None:
    _, stills = write_all(tmp_path)
    (stills / "images").rename(tmp_path / "photos")
    material = gather([f"{tmp_path / 'photos'}:{stills / 'masks'}"], report=silent)
    assert len(material.stills) == 4


def test_a_folder_can_count_several_times(tmp_path: Path) -> None:
    videos, stills = write_all(tmp_path)
    material = gather([f"5@{videos}", str(stills)], report=silent)
    assert len(material.videos) == 10
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


def test_sequences_can_be_excluded_but_not_misspelt(tmp_path: Path) -> None:
    videos, _ = write_all(tmp_path)
    assert [v.name for v in gather([str(videos)], exclude=["kite"], report=silent).videos] == ["boat"]
    with pytest.raises(DatasetError, match="kyte"):
        gather([str(videos)], exclude=["kyte"], report=silent)


def test_a_list_of_sequences_takes_a_part_of_one_folder(tmp_path: Path) -> None:
    videos, stills = write_all(tmp_path)
    listed = tmp_path / "subset.txt"
    listed.write_text("kite\n\nkite\n")
    chosen = {str(videos): read_subset(listed)}
    material = gather([f"2@{videos}", str(stills)], subsets=chosen, report=silent)
    assert [item.name for item in material.videos] == ["kite", "kite"]
    assert len(material.stills) == 4
    with pytest.raises(DatasetError, match="no folder elsewhere of videos among the data"):
        gather([str(videos)], subsets={"elsewhere": ["kite"]}, report=silent)
    with pytest.raises(DatasetError, match="swan"):
        gather([str(videos)], subsets={str(videos): ["swan"]}, report=silent)
    listed.write_text("\n")
    with pytest.raises(DatasetError, match="names no sequence"):
        read_subset(listed)


def test_pascal_voc_is_still_images_and_no_video(tmp_path: Path) -> None:
    frames, masks = clip(0, 2, 32, 48, 1)
    write_stills(tmp_path, frames, masks)
    (tmp_path / "images").rename(tmp_path / "JPEGImages")
    (tmp_path / "masks").rename(tmp_path / "SegmentationObject")
    material = gather([str(tmp_path)], report=silent)
    assert (len(material.videos), len(material.stills)) == (0, 2)
    np.testing.assert_array_equal(material.stills[1].read(0)[1], masks[1])


def test_a_folder_of_neither_kind_is_refused_with_what_is_expected(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"not one of still images.*JPEGImages.*IMAGES:MASKS"):
        gather([str(tmp_path)], report=silent)


def test_the_spacing_of_labelled_frames_is_read_from_their_names(tmp_path: Path) -> None:
    frames, masks = clip(0, 4, 32, 48, 1)
    write_video(tmp_path, "sparse", frames, masks, ["00000", "00005", "00010", "00015"])
    write_video(tmp_path, "dense", frames, masks)
    spacing = {item.name: item.spacing for item in gather([str(tmp_path)], report=silent).videos}
    assert spacing == {"dense": 1, "sparse": 5}


def test_an_object_of_value_255_is_object_1_and_void_is_none(tmp_path: Path) -> None:
    frames, masks = clip(0, 2, 32, 48, 1)
    masks[0] *= 255
    masks[1, :4] = VOID
    stills = gather([str(write_stills(tmp_path, frames, masks))], report=silent).stills
    assert object_ids(stills[0].read(0)[1]) == [1]
    assert object_ids(stills[1].read(0)[1]) == [1]
    assert (stills[1].read(0)[1][:4] == VOID).all()


def test_relabelling_keeps_the_chosen_and_void() -> None:
    mask = np.array([[0, 3, 7, 9, VOID]], np.uint8)
    assert relabel(mask, [9, 3]).tolist() == [[0, 2, 0, 1, VOID]]
    assert relabel(mask, []).tolist() == [[0, 0, 0, 0, VOID]]


@pytest.mark.shared
def test_the_shared_davis_folders_hold_28_sequences_to_train_on(shared: Path) -> None:
    folders = [str(shared / "data" / "vos" / name) for name in ("davis2016_240p", "davis2016_480p")]
    said: list[str] = []
    material = gather(folders, report=said.append)
    assert len(material.videos) == 28
    assert len(said) == 2
