"""What a training finds in folders, and what it must not touch."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segue.datasets.check import check_data
from segue.errors import DatasetError
from segue_train.data.footage import gather, read_subset
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


SIZE = (12, 16)
CORNERS = [(2, 3), (8, 3), (8, 9), (2, 9)]


def save(path: Path, content: str | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if content is None:
        Image.fromarray(np.full((*SIZE, 3), 90, np.uint8)).save(path)
    else:
        path.write_text(content)


def line(*corners: tuple[float, float]) -> str:
    return "0 " + " ".join(f"{x / SIZE[1]:.6f} {y / SIZE[0]:.6f}" for x, y in corners) + "\n"


def labelme(*corners: tuple[float, float], kind: str = "polygon", **about: object) -> str:
    shape = {"label": "ball", "points": [*corners], "shape_type": kind, "group_id": None, "flags": {}}
    head = {"version": "5.4.1", "flags": {}, "imageHeight": SIZE[0], "imageWidth": SIZE[1], "imageData": None}
    return json.dumps({**head, "imagePath": "0.png", "shapes": [shape], **about})


LAYOUTS: dict[str, dict[str, str | None]] = {
    "YOLO": {
        "images/train/0.png": None,
        "labels/train/0.txt": line(*CORNERS),
        "images/val/1.png": None,
        "labels/val/1.txt": line(*CORNERS),
        "images/train/empty.png": None,
        "labels/train/empty.txt": "",
        "data.yaml": "names: [ball]\n",
    },
    "YOLO of Roboflow": {
        "train/images/0.png": None,
        "train/labels/0.txt": line(*CORNERS),
        "valid/images/1.png": None,
        "valid/labels/1.txt": line(*CORNERS),
        "README.roboflow.txt": "an export",
    },
    "one folder of YOLO": {"0.png": None, "0.txt": line(*CORNERS), "classes.txt": "ball\n"},
    "labelme": {"0.png": None, "0.json": labelme(*CORNERS)},
    "labelme apart": {"photos/0.png": None, "json/0.json": labelme(*CORNERS)},
}


@pytest.mark.parametrize("files", LAYOUTS.values(), ids=LAYOUTS.keys())
def test_outlines_of_annotation_tools_are_masks_of_still_images(
    tmp_path: Path, files: dict[str, str | None]
) -> None:
    for name, content in files.items():
        save(tmp_path / name, content)
    (still,) = gather([str(tmp_path)], report=silent).stills
    image, mask = still.read(0)
    assert still.name == "0"
    assert (image == 90).all()
    inside = np.zeros(SIZE, np.bool_)
    inside[4:9, 3:8] = True
    assert (mask[inside] == 1).all()
    around = np.zeros(SIZE, np.bool_)
    around[3:10, 2:9] = True
    assert not mask[~around].any()
    found = check_data(tmp_path)
    assert (found.kind, found.complete, found.videos[0].frames) == ("annotated", True, 1)


def test_labelme_is_of_the_image_that_it_names(tmp_path: Path) -> None:
    """Not of a mask or another image of the same stem, nor by the name of its own file."""
    Image.new("RGB", SIZE[::-1], (200, 200, 200)).save(tmp_path / "1.jpg")
    save(tmp_path / "1.png")
    save(tmp_path / "1.json", labelme(*CORNERS, imagePath="1.jpg"))
    Image.new("RGB", SIZE[::-1], (30, 30, 30)).save(tmp_path / "other.jpg")
    save(tmp_path / "2.png")
    save(tmp_path / "2.json", labelme(*CORNERS, imagePath="C:\\photos\\other.jpg"))
    stills = gather([str(tmp_path)], report=silent).stills
    assert [(still.name, round(float(still.read(0)[0].mean()))) for still in stills] == [
        ("1", 200),
        ("other", 30),
    ]
    assert all(still.read(0)[1][5, 5] == 1 for still in stills)


def test_labelme_of_an_image_that_was_converted_is_of_that_of_its_stem(tmp_path: Path) -> None:
    save(tmp_path / "1.png")
    save(tmp_path / "1.json", labelme(*CORNERS, imagePath="1.tif"))
    (still,) = gather([str(tmp_path)], report=silent).stills
    assert still.read(0)[1][5, 5] == 1


def test_yolo_is_of_the_photograph_and_not_of_the_mask_beside_it(tmp_path: Path) -> None:
    Image.new("RGB", SIZE[::-1], (200, 200, 200)).save(tmp_path / "1.jpg")
    save(tmp_path / "1.png")
    save(tmp_path / "1.txt", line(*CORNERS))
    (still,) = gather([str(tmp_path)], report=silent).stills
    assert round(float(still.read(0)[0].mean())) == 200
    for name in ("2.png", "3.jpg"):  # now neither kind has all
        save(tmp_path / name)
        save((tmp_path / name).with_suffix(".txt"), line(*CORNERS))
    assert "1.jpg and 1.png have one name" in str(check_data(tmp_path).problems)


def test_of_two_outlines_the_smaller_one_lies_in_front(tmp_path: Path) -> None:
    save(tmp_path / "0.png")
    save(tmp_path / "0.txt", line((4, 4), (6, 4), (6, 6), (4, 6)) + line(*CORNERS))
    (still,) = gather([str(tmp_path)], report=silent).stills
    mask = still.read(0)[1]
    assert (mask[5, 5], mask[8, 7]) == (2, 1)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("0.txt", "0 0.5 0.5 0.25 0.25\n", "a box is no mask"),
        ("0.txt", line(*CORNERS).strip() + " 0.9\n", "pairs"),
        ("0.json", labelme((2, 3), (8, 9), kind="rectangle"), "a box is no mask"),
        ("0.json", labelme(*CORNERS, imageWidth=99), "imageWidth"),
    ],
)
def test_labels_without_outlines_are_no_masks(tmp_path: Path, name: str, content: str, said: str) -> None:
    save(tmp_path / "0.png")
    save(tmp_path / name, content)
    (still,) = gather([str(tmp_path)], report=silent).stills
    with pytest.raises(DatasetError, match=said):
        still.read(0)
    assert said in str(check_data(tmp_path).videos[0].problems)
