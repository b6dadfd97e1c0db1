"""NanoDet-Plus against the released network: levels, outputs, boxes, and images of any size."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch
from PIL import Image

import segue
from segue.inference.running import inference_copy
from segue.models.detection.classes import COCO_ORDER
from segue.models.detection.detections import take
from segue.models.detection.nanodet import (
    STRIDES,
    NanoDetPlus,
    decode,
    prepare,
    select,
)
from tests.fill import fill
from tests.golden_arrays import Golden, load_golden

Reader = Callable[[str], Golden]

PLACES = ((30, 20), (1050, 900))
"""Where an image with two people stands in a larger one; the second lies across cuts between tiles."""


@pytest.fixture(scope="module")
def trained() -> NanoDetPlus:
    if not (Path(segue.__file__).parent / "assets" / "nanodet.safetensors").exists():
        pytest.skip("no weights come with this version")
    return cast(NanoDetPlus, segue.load("nanodet"))


@pytest.mark.parametrize("weights", ["fill", "real"])
@torch.inference_mode()
def test_levels_outputs_and_boxes_are_those_of_the_release(
    golden: Reader, trained: NanoDetPlus, weights: str
) -> None:
    expected = golden("nanodet_plus_m")
    network = trained if weights == "real" else cast(NanoDetPlus, fill(NanoDetPlus, "nanodet"))
    image = expected["small_bgr"][..., ::-1]
    trunk = network.backbone(prepare(image, (64, 96)))
    levels = network.fpn(trunk)
    outputs = network.head(levels)
    for stride, features in zip((3, 4, 5), trunk, strict=True):
        expected.check(f"{weights}_c{stride}", features[0, ::4])
    for stride, level, output in zip(STRIDES, levels, outputs, strict=True):
        expected.check(f"{weights}_fpn{stride}", level[0, ::4])
        expected.check(f"{weights}_raw{stride}", output[0])
    expected.check(f"{weights}_all_boxes", decode(outputs, (64, 96))[0][0])


@pytest.mark.parametrize("prepared", [False, True])
@torch.inference_mode()
def test_detections_equal_those_of_the_release(golden: Reader, trained: NanoDetPlus, prepared: bool) -> None:
    expected = golden("nanodet_plus_m")
    network = inference_copy(trained, torch.device("cpu"), torch.float32) if prepared else trained
    size = expected["pic_bgr"].shape[:2]
    outputs = network(prepare(expected["pic_bgr"][..., ::-1], size))
    for name, least in (("pic", 0.3), ("pic05", 0.05)):
        found = select(outputs, size, least)
        np.testing.assert_allclose(found.boxes, expected[f"{name}_boxes"], atol=1e-2)
        np.testing.assert_allclose(found.scores, expected[f"{name}_scores"], atol=1e-4)
        np.testing.assert_array_equal(found.labels, expected[f"{name}_classes"])


@pytest.mark.shared
def test_boxes_are_in_the_pixels_of_the_image(golden: Reader, shared: Path, trained: NanoDetPlus) -> None:
    with Image.open(shared / "data" / "static" / "images" / "coco_000000000036.jpg") as file:
        found = trained.detect(np.array(file.convert("RGB")), 0.4)
    expected = golden("nanodet_plus_m")
    np.testing.assert_allclose(found.boxes, expected["full_boxes"], atol=0.5)
    np.testing.assert_allclose(found.scores, expected["full_scores"], atol=5e-3)
    assert [COCO_ORDER[label] for label in found.labels.tolist()] == ["person", "umbrella"]


def test_tiles_find_what_is_too_small_for_the_whole_and_nothing_twice(trained: NanoDetPlus) -> None:
    image = load_golden("nanodet_plus_m")["pic_bgr"][..., ::-1]
    wide = np.full((1536, 2048, 3), 127, np.uint8)
    for x, y in PLACES:
        wide[y : y + 192, x : x + 256] = image
    whole, tiled = (
        take(found, found.labels == 0).boxes
        for found in (trained.detect(wide, 0.55), trained.detect(wide, 0.55, tiles=4))
    )
    people = trained.detect(image, 0.55)
    people = take(people, people.labels == 0)
    shifted = torch.cat([people.boxes + torch.tensor([x, y, x, y]) for x, y in PLACES])
    assert len(whole) < len(tiled) == len(shifted) == 4
    assert float((tiled[:, None] - shifted).abs().amax(-1).amin(0).max()) < 12
