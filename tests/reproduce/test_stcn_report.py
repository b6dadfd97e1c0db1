"""First frames of the STCN report on a small video: who gives them, and how they are drawn."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from segue.datasets import DavisFolder
from segue.datasets.files import read_rgb
from segue.errors import CheckpointError, DatasetError
from segue.masks import write_index_mask
from segue.models.deeplab import DeepLabV3
from segue.models.detection.mask_rcnn import Detections
from segue.prompts.selection import Found
from segue.registry import MODELS
from segue.reproduce.papers import source_names
from segue.reproduce.stcn_report import (
    Start,
    cut_boxes,
    discovered,
    draw_boxes,
    draw_masks,
    filtering_picture,
    first_frame,
    nearest_instances,
    nearest_regions,
    start_of,
    truth_itself,
)
from segue.types import Frame, ObjectInfo
from segue.weights import write_checkpoint
from tests.cli.running import command_in
from tests.clips import clip
from tests.fill import fill_plainly

FRAMES, MASKS = clip(5, 5, 48, 64, 2)
FRAME = Frame(0, 0.0, FRAMES[0])

TRUTH = np.zeros((48, 64), np.uint8)
TRUTH[:10, :10] = 1
TRUTH[20:30, 20:40] = 2
START = Start((FRAME, FRAME), TRUTH, {1: (0, 0, 10, 10), 2: (20, 20, 40, 30)})


@pytest.fixture
def davis(tmp_path: Path) -> DavisFolder:
    for name in ("one", "two"):
        for part in ("JPEGImages", "Annotations"):
            (tmp_path / part / name).mkdir(parents=True)
        for t in range(5):
            Image.fromarray(FRAMES[t]).save(tmp_path / "JPEGImages" / name / f"{t:05d}.png")
            write_index_mask(tmp_path / "Annotations" / name / f"{t:05d}.png", MASKS[t])
    return DavisFolder(tmp_path)


def test_in_a_box_the_object_of_another_colour_is_cut_out() -> None:
    image = np.full((48, 64, 3), 40, np.uint8)
    image[10:30, 20:40] = (220, 60, 60)
    boxes = {1: (15.0, 5.0, 45.0, 36.0), 2: (70.0, 0.0, 90.0, 10.0)}
    start = Start((Frame(0, 0.0, image),), TRUTH, boxes)
    mask = cut_boxes(start, truth_itself(start))
    assert np.array_equal(mask == 1, image[..., 0] == 220)
    assert not (mask == 2).any()


class Seen:
    """Stands for a network with three detections."""

    def detections(self, image: object) -> Detections:
        boxes = torch.tensor([[19.0, 20, 40, 30], [0, 0, 9, 10], [0, 0, 10, 10]])
        masks = torch.zeros(3, 48, 64)
        masks[0, 5:30, 5:40] = 0.8
        masks[1, :12, :12] = 0.9
        return Detections(boxes, torch.tensor([0.5, 0.2, 0.001]), torch.ones(3), masks)


def test_detections_stand_for_the_nearest_objects_and_are_shown_beside_them() -> None:
    shown: list[npt.NDArray[np.floating]] = []
    chosen = nearest_instances(Seen(), START, show=shown.append)  # type: ignore[arg-type]
    mask = draw_masks(START, chosen)
    assert {1, 2} == set(np.unique(mask[mask > 0]).tolist())
    assert filtering_picture(START, shown[0], mask).shape == (48, 3 * 64, 3)


class Finds:
    """Stands for a discovery of one object beside the second one."""

    names: Mapping[int, str] = {}
    lookahead = 1

    def __call__(self, frame: Frame, *following: Frame) -> Found:
        mask = np.zeros(frame.size, np.uint8)
        mask[22:30, 22:44] = 1
        item = ObjectInfo(1, None, 1.0, (22.0, 22.0, 44.0, 30.0), 176)
        return Found(mask, (item,), mask[None] > 0)


def test_what_is_discovered_stands_for_the_nearest_object() -> None:
    chosen = discovered(Finds(), START)
    assert chosen.keys() == {2}
    assert np.array_equal(draw_masks(START, chosen) == 2, draw_boxes(START, chosen) == 2)
    shown: list[npt.NDArray[np.floating]] = []
    nearest_regions(Finds(), START, show=shown.append)
    assert [planes.shape for planes in shown] == [(1, 48, 64)]


def test_a_video_begins_with_what_is_known_of_its_first_frame(davis: DavisFolder) -> None:
    start = start_of(davis["one"])
    assert [frame.index for frame in start.frames] == [0, 1, 2]
    assert np.array_equal(start.truth, MASKS[0])
    assert start.boxes.keys() == {1, 2}
    (davis.root / "Annotations" / "two" / "00000.png").unlink()
    with pytest.raises(DatasetError, match="sequence two"):
        start_of(DavisFolder(davis.root, ["two"])["two"])


def test_sources_without_weights_say_what_brings_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SEGUE_HOME", str(tmp_path))
    lacking = {}
    for name in source_names("masks"):
        try:
            first_frame(name, "masks", {}, "cpu")
        except CheckpointError as error:
            lacking[name] = str(error)
    of_lost = [f"LOST {size}, {kind}" for size in ("B/16", "S/16") for kind in ("keys", "queries", "values")]
    assert list(lacking) == ["Mask R-CNN", "Mask R-CNN v2", "PointRend", "DeepLabV3", *of_lost]
    for row, name in (
        ("Mask R-CNN", "maskrcnn-v1"),
        ("PointRend", "pointrend"),
        ("LOST B/16, values", "dino-b16"),
        ("LOST S/16, keys", "dino-s16"),
    ):
        assert f"`{MODELS.find(name).download_command}` downloads https://" in lacking[row]
    assert "boxes, filled" not in source_names("boxes")


def test_a_weight_file_makes_its_source(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SEGUE_HOME", str(tmp_path))
    save_file(fill_plainly(DeepLabV3()).state_dict(), tmp_path / "deeplab.safetensors")
    source = first_frame("DeepLabV3", "masks", {"deeplab": tmp_path / "deeplab.safetensors"}, "cpu")
    assert source(START).shape == (48, 64)
    with pytest.raises(CheckpointError, match="there_is_none"):
        first_frame("DeepLabV3", "masks", {"deeplab": tmp_path / "there_is_none.safetensors"}, "cpu")


@pytest.mark.slow
def test_all_rows_of_the_tables_run_with_weights_of_their_networks(
    davis: DavisFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SEGUE_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    given: list[str] = []
    for name in ("maskrcnn-v1", "maskrcnn", "pointrend", "dino-s16", "dino-b16", "deeplab"):
        torch.manual_seed(0)
        write_checkpoint(tmp_path / f"{name}.safetensors", MODELS.find(name).build().state_dict(), {})
        given += ["--weights", f"{name}={tmp_path / name}.safetensors"]
    order = ("reproduce", "stcn-report", "davis", "--data", f"davis={davis.root}", "--model", "stcn-lite")
    order += ("--sequence", "one", "--workers", "1", "--run", "--device cpu", "-q", "-o", "out", *given)
    ended = command_in(monkeypatch, capsys)(*order)
    assert ended.code == 0, ended.err
    assert "cannot be done" not in ended.err
    rows = {line.split("\t")[0]: line.split("\t")[1:] for line in ended.out.splitlines()[2:]}
    assert list(rows) == list(source_names("masks"))
    assert len(rows) == 18
    for name, cells in rows.items():
        assert 0 <= float(cells[0]) <= 100, name
    picture = read_rgb(tmp_path / "out/davis/mask-r-cnn-first-frames/one.png")
    assert picture.shape == (48, 3 * 64, 3)
    assert (
        "Mask R-CNN: first frames before and after filtering: out/davis/mask-r-cnn-first-frames" in ended.err
    )
