"""First frames of the STCN report on a small video: who gives them, and how they are drawn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from segue.datasets import DavisFolder
from segue.datasets.files import read_rgb
from segue.errors import CheckpointError
from segue.masks import write_index_mask
from segue.models.deeplab import DeepLabV3
from segue.registry import MODELS
from segue.types import Frame, ObjectInfo, Segmentation
from segue.weights import write_checkpoint
from segue_papers import stcn_report
from segue_papers.papers import TABLES, source_names
from segue_papers.stcn_report import Start, filtering_image, first_frame
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


def test_sources_without_weights_say_what_brings_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SEGUE_HOME", str(tmp_path))
    lacking = {}
    for name in source_names("masks")[1:]:
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


def test_the_published_rows_of_lost_stand_beside_both_networks_that_may_have_given_them() -> None:
    for name, score in (("davis", 25.7), ("something", 17.2)):
        (table,) = (each for each in TABLES if (each.paper, each.name) == ("stcn-report", name))
        published = {
            row.name: row.published["J&F"] for row in table.rows if row.published and "LOST" in row.name
        }
        assert published == {"LOST B/16, keys": score, "LOST S/16, keys": score}
        assert "ViT-S" in table.remark


def test_a_weight_file_makes_its_source(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SEGUE_HOME", str(tmp_path))
    save_file(fill_plainly(DeepLabV3).state_dict(), tmp_path / "deeplab.safetensors")
    source = first_frame("DeepLabV3", "masks", {"deeplab": tmp_path / "deeplab.safetensors"}, "cpu")
    first = source(START)
    assert first.planes is not None
    assert first.planes.shape[1:] == first.mask.shape == (48, 64)
    assert first.unrefined is None
    with pytest.raises(CheckpointError):
        first_frame("DeepLabV3", "masks", {"deeplab": tmp_path / "there_is_none.safetensors"}, "cpu")


def test_the_mask_of_lost_before_crf_is_kept_and_drawn(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def look(name: str, *, refine: str | None, **_: Any) -> Any:
        """A detector whose masks end at another row before CRF."""

        def detect(*frames: Frame) -> Segmentation:
            mask = np.zeros((48, 64), np.uint8)
            mask[: 8 if refine == "none" else 10, :10] = 1
            return Segmentation(0, 0.0, mask, (ObjectInfo(1, box=(0, 0, 10, 10), area=1),))

        vars(detect)["lookahead"] = 0
        return detect

    monkeypatch.setattr(stcn_report, "detector", look)
    first = first_frame("LOST S/16, keys", "masks", {}, "cpu")(START)
    assert first.unrefined is not None
    assert (first.mask[:, 0].sum(), first.unrefined[:, 0].sum()) == (10, 8)
    assert first.planes is not None
    assert filtering_image(START, first.planes, first).shape == (48, 4 * 64, 3)
    assert first_frame("LOST S/16, keys", "boxes", {}, "cpu")(START).unrefined is None


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
    ended = command_in(capsys)(*order)
    assert ended.code == 0, ended.err
    assert "cannot be done" not in ended.err
    rows = {line.split("\t")[0]: line.split("\t")[1:] for line in ended.out.splitlines()[2:]}
    assert list(rows)[1:] == list(source_names("masks"))
    for name, cells in [*rows.items()][1:]:
        assert 0 <= float(cells[0]) <= 100, name
    image = read_rgb(tmp_path / "out/davis/mask-r-cnn-first-frames/one.png")
    assert image.shape == (48, 3 * 64, 3)
    assert read_rgb(tmp_path / "out/davis/lost-s-16-keys-first-frames/one.png").shape == (48, 4 * 64, 3)
    assert (tmp_path / "out/davis/lost-s-16-keys-first-frames/before-crf/one.png").exists()
    assert (
        "Mask R-CNN: first frames before and after filtering: out/davis/mask-r-cnn-first-frames" in ended.err
    )
