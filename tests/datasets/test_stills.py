"""Still images with masks are read in the layouts of their makers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segue.datasets.check import check_data
from segue.datasets.stills import open_stills
from segue.errors import DatasetError

# pycocotools 2.0 calls numpy in ways that numpy 2 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

SIZE = (8, 10)
PUBLISHED = {
    "ecssd": ("images/{}.jpg", "ground_truth_mask/{}.png"),
    "duts": ("DUTS-TR-Image/{}.jpg", "DUTS-TR-Mask/{}.png"),
    "duts-test": ("DUTS-TE-Image/{}.jpg", "DUTS-TE-Mask/{}.png"),
    "hrsod": ("HRSOD_train/{}.jpg", "HRSOD_train_mask/{}.png"),
    "big": ("{}_im.jpg", "{}_gt.png"),
    "big, all PNG": ("{}_im.png", "{}_gt.png"),
    "msra10k": ("MSRA10K_Imgs_GT/Imgs/{}.jpg", "MSRA10K_Imgs_GT/Imgs/{}.png"),
    "repacked for STCN": ("{}.jpg", "{}.png"),
}


def write(path: Path, values: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path)


def grey(level: int = 255) -> np.ndarray:
    """A saliency mask whose left half is the object, at a level; beside it a rim below half of the range."""
    mask = np.zeros(SIZE, np.uint8)
    mask[:, :5] = level
    mask[:, 5] = 127
    return mask


@pytest.mark.parametrize("layout", PUBLISHED)
def test_saliency_sets_are_read_as_published(layout: str, tmp_path: Path) -> None:
    image, mask = PUBLISHED[layout]
    for name in ("b", "a10", "a9"):
        write(tmp_path / image.format(name), np.full((*SIZE, 3), 50, np.uint8))
        write(tmp_path / mask.format(name), grey(128 if name == "b" else 255))
    stills = open_stills(tmp_path)
    suffix = "_im" if "_im" in image else ""
    assert stills.names == tuple(f"{name}{suffix}" for name in ("a9", "a10", "b"))
    for i in range(3):
        assert stills.read_image(i).shape == (*SIZE, 3)
        assert stills.read_mask(i).tolist() == [[1] * 5 + [0] * 5] * SIZE[0]


def test_fss_has_a_folder_for_each_class_and_masks_in_colours(tmp_path: Path) -> None:
    for name in ("zebra", "ant"):
        write(tmp_path / "fewshot_data" / name / "1.jpg", np.full((*SIZE, 3), 50, np.uint8))
        write(tmp_path / "fewshot_data" / name / "1.png", np.repeat(grey()[..., None], 3, axis=2))
    stills = open_stills(tmp_path)
    assert stills.names == ("ant_1", "zebra_1")
    assert stills.read_mask(0).sum() == 5 * SIZE[0]


def test_voc_has_masks_for_a_part_and_a_void_rim(tmp_path: Path) -> None:
    mask = np.zeros(SIZE, np.uint8)
    mask[2:6, 2:6], mask[1, 1] = 3, 255
    for name in ("2007_000032", "2007_000033"):
        write(tmp_path / "JPEGImages" / f"{name}.jpg", np.full((*SIZE, 3), 50, np.uint8))
    write(tmp_path / "SegmentationObject" / "2007_000032.png", mask)
    stills = open_stills(tmp_path)
    assert stills.names == ("2007_000032",)
    np.testing.assert_array_equal(stills.read_mask(0), mask)


def test_coco_gives_its_instances_and_crowds_are_void(tmp_path: Path) -> None:
    def box(x: int, y: int, side: int) -> dict[str, object]:
        corners = [x, y, x + side, y, x + side, y + side, x, y + side]
        return {"segmentation": [corners], "iscrowd": 0, "area": side**2, "category_id": 1, "image_id": 9}

    crowd = {"segmentation": {"size": list(SIZE), "counts": [0, 8, 72]}, "iscrowd": 1, "area": 8}
    values = {
        "images": [
            {"id": 9, "height": SIZE[0], "width": SIZE[1], "file_name": "000009.png"},
            {"id": 10, "height": SIZE[0], "width": SIZE[1], "file_name": "000010.png"},
        ],
        "annotations": [
            {"id": 1, **box(4, 3, 2)},
            {"id": 2, **box(3, 2, 5)},
            {"id": 3, "image_id": 9, "category_id": 1, **crowd},
        ],
        "categories": [{"id": 1, "name": "person"}],
    }
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations" / "instances_train2017.json").write_text(json.dumps(values))
    write(tmp_path / "train2017" / "000009.png", np.full((*SIZE, 3), 50, np.uint8))
    stills = open_stills(tmp_path)
    assert stills.names == ("000009",), "an image without instances is left out"
    mask = stills.read_mask(0)
    assert (mask == 1).sum() == 25 - 4, "the smaller one lies in front"
    assert (mask == 2).sum() == 4
    assert (mask[:, 0] == 255).all()
    assert stills.read_image(0).shape == (*SIZE, 3)


def roboflow(folder: Path, **about: object) -> Path:
    """A split as Roboflow exports it; numbers begin at 0."""
    corners = [2, 1, 7, 1, 7, 5, 2, 5]
    item = {"id": 0, "image_id": 0, "category_id": 1, "bbox": [2, 1, 5, 4], "area": 20, "iscrowd": 0}
    values = {
        "images": [{"id": 0, "height": SIZE[0], "width": SIZE[1], "file_name": "a_png.rf.0f.png"}],
        "annotations": [item | {"segmentation": [corners]} | about],
        "categories": [{"id": 0, "name": "things"}, {"id": 1, "name": "ball"}],
    }
    write(folder / "a_png.rf.0f.png", np.full((*SIZE, 3), 50, np.uint8))
    (folder / "_annotations.coco.json").write_text(json.dumps(values))
    return folder


def test_an_export_of_roboflow_is_read_by_its_training_split(tmp_path: Path) -> None:
    for split in ("train", "valid", "test"):
        roboflow(tmp_path / split)
    for folder in (tmp_path, tmp_path / "train"):
        stills = open_stills(folder)
        assert stills.names == ("a_png.rf.0f",)
        mask = np.zeros(SIZE, np.uint8)
        mask[1:5, 2:7] = 1
        assert np.array_equal(stills.read_mask(0), mask)
        found = check_data(folder)
        assert (found.kind, found.complete) == ("roboflow", True)
    with pytest.raises(DatasetError, match="a box is no mask"):
        open_stills(roboflow(tmp_path / "boxes", segmentation=[]))


@pytest.mark.parametrize("gone", ["1.jpg", "1.png"])
@pytest.mark.parametrize("count", [1, 2])
def test_a_class_of_fss_that_lacks_a_file_is_named_and_not_dropped(
    gone: str, count: int, tmp_path: Path
) -> None:
    root = tmp_path / "fewshot_data"
    for name in ("zebra", "ant"):
        for number in range(1, count + 1):
            write(root / name / f"{number}.jpg", np.full((*SIZE, 3), 50, np.uint8))
            write(root / name / f"{number}.png", grey())
    (root / "ant" / gone).unlink()
    with pytest.raises(DatasetError, match=r"ant lacks the (image|mask) of 1$"):
        open_stills(tmp_path)
    assert not check_data(tmp_path).complete


KINDS = {
    **{
        name: (PUBLISHED[name], name.removesuffix("-test"))
        for name in ("ecssd", "duts", "duts-test", "hrsod", "big")
    },
    "msra10k": (PUBLISHED["msra10k"], "msra10k"),
    # The folders of pairs that STCN repacked are known by their names.
    "BIG_small": (PUBLISHED["repacked for STCN"], "big"),
    "DUTS-TR": (PUBLISHED["repacked for STCN"], "duts"),
    "HRSOD_small": (PUBLISHED["repacked for STCN"], "hrsod"),
    "fss": (("ant/{}.jpg", "ant/{}.png"), "fss"),
}


@pytest.mark.parametrize("name", KINDS)
def test_segue_data_check_knows_them(name: str, tmp_path: Path) -> None:
    (image, mask), kind = KINDS[name]
    root = tmp_path / name
    for number in ("1", "2"):
        write(root / image.format(number), np.full((*SIZE, 3), 50, np.uint8))
        write(root / mask.format(number), grey())
    found = check_data(root)
    assert (found.kind, found.complete) == (kind, True)
    assert sum(video.labelled for video in found.videos) == 2
    write(root / mask.format("2"), np.zeros((4, 4), np.uint8))
    found = check_data(root)
    assert sum(video.labelled for video in found.videos) == 1
    assert any("2" in problem for video in found.videos for problem in video.problems)


def test_another_folder_is_refused_with_what_is_known(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(DatasetError):
        open_stills(tmp_path)
