"""Calls as users of SAM 2, Ultralytics, detectron2 and OpenCV write them: right, or one sentence."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import segue
from segue.errors import SegueError
from segue.masks import encode_rle, write_index_mask
from segue.masks.files import DAVIS_PALETTE
from segue.metrics import DavisAccumulator, ForegroundAccumulator, contour_accuracy, region_similarity
from segue.metrics.foreground.counts import ThresholdWarning
from segue.models.stcn import STCNLite
from segue.registry import MODELS
from tests.clips import clip
from tests.lite import lively_lite

FRAMES, MASKS = clip(5, 3, 48, 64, 2)
FIRST = MASKS[0]
BOX = (8, 8, 40, 40)
PLANES = np.stack([FIRST == 1, FIRST == 2])
BGR = [np.ascontiguousarray(frame[..., ::-1]) for frame in FRAMES]
COLOURS = np.asarray(DAVIS_PALETTE, np.uint8).reshape(-1, 3)[FIRST]


@pytest.fixture(scope="module")
def lite() -> STCNLite:
    return lively_lite()


Given = Mapping[str, Any]

RIGHT: dict[str, tuple[Given, Given]] = {
    "a box of SAM, (1, 4)": ({"box": np.array([BOX])}, {"box": BOX}),
    "a row of boxes.xyxy": ({"box": torch.tensor([BOX], dtype=torch.float32)[0]}, {"box": BOX}),
    "boxes.xyxy": ({"boxes": torch.tensor([BOX], dtype=torch.float32)}, {"box": BOX}),
    "boxes by ids of a tracker": ({"boxes": {np.int64(1): BOX}}, {"box": BOX}),
    "point_coords, point_labels": (
        {"points": np.array([[20, 20]], np.float32), "labels": np.array([1], np.int32)},
        {"points": (20, 20)},
    ),
    "points with a batch": (
        {"points": torch.tensor([[[20, 20]]]), "labels": torch.tensor([[1]])},
        {"points": (20, 20)},
    ),
    "one point, one label": ({"points": (20, 20), "labels": 1}, {"points": (20, 20)}),
    "masks (N, 1, H, W)": ({"masks": PLANES[:, None]}, {"prompts": FIRST}),
    "pred_masks": ({"masks": torch.from_numpy(PLANES)}, {"prompts": FIRST}),
    "masks of a list": ({"masks": [*PLANES]}, {"prompts": FIRST}),
    "a white mask of cv2": ({"prompts": (FIRST == 1) * np.uint8(255)}, {"prompts": FIRST == 1}),
    "an id of NumPy": ({"prompts": segue.BoxPrompt(np.int64(1), BOX)}, {"box": BOX}),  # type: ignore[arg-type]
    "images of cv2": ({"prompts": FIRST, "source": BGR, "colour": "bgr"}, {"prompts": FIRST}),
    "a mask in colours of cv2": (
        {"prompts": np.ascontiguousarray(COLOURS[..., ::-1]), "source": BGR, "colour": "bgr"},
        {"prompts": FIRST},
    ),
    "a mask in colours": ({"prompts": COLOURS}, {"prompts": FIRST}),
    "channels first": (
        {"prompts": FIRST, "source": torch.from_numpy(FRAMES).permute(0, 3, 1, 2), "layout": "tchw"},
        {"prompts": FIRST},
    ),
}


MEANT: dict[tuple[str, bytes], list[Any]] = {}
"""What is meant, which many calls share: the argument, its bytes, and the masks."""


@pytest.mark.parametrize("case", RIGHT)
def test_habits_of_other_libraries_give_the_same_masks(case: str, lite: STCNLite) -> None:
    def masks(given: Given) -> list[Any]:
        options = {"source": list(FRAMES), "model": lite, "device": "cpu", **given}
        return [result.mask for result in segue.track(**options)]

    called, meant = RIGHT[case]
    (name,) = meant
    key = name, np.asarray(meant[name]).tobytes()
    if key not in MEANT:
        MEANT[key] = masks(meant)
    assert np.array_equal(masks(called), MEANT[key])


def frames_of(*boxes: Any) -> Any:
    found = segue.detector(lambda image: [{"bbox": [8, 8, 32, 32], "category_id": 1}])
    return list(segue.track(list(FRAMES[:2]), segue.Auto(found), model=lively_lite(), device="cpu"))


REFUSED: dict[str, Callable[[], object]] = {
    "logits of SAM 2": lambda: segue.track(list(FRAMES), masks=torch.randn(2, 48, 64)),
    "masks.data of Ultralytics": lambda: segue.track(list(FRAMES), masks=torch.from_numpy(PLANES).float()),
    "xywh": lambda: list(segue.track(list(FRAMES), box=(40, 40, 8, 8), device="cpu")),
    "xyxyn": lambda: list(segue.track(list(FRAMES), box=(0.1, 0.1, 0.5, 0.5), device="cpu")),
    "a part of a video": lambda: segue.Video(list(FRAMES), device="cpu")[0:3],  # type: ignore[index]
    "a list of records": frames_of,
    "a sparse tensor": lambda: list(segue.track(torch.from_numpy(FRAMES).to_sparse(), box=BOX, device="cpu")),
    "a tensor without values": lambda: segue.track(list(FRAMES), masks=torch.zeros(48, 64, device="meta")),
    "a probability as a mask file": lambda: write_index_mask("x.png", FIRST * 0.4),  # type: ignore[arg-type]
    "run lengths of a probability": lambda: encode_rle(FIRST * 0.4),
    "J of a probability": lambda: region_similarity(FIRST * 0.4, FIRST > 0),
    "F of a probability": lambda: contour_accuracy(FIRST * 0.4, FIRST > 0),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_call_that_cannot_be_meant_is_one_sentence(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SegueError) as refused:
        REFUSED[case]()
    assert "\n" not in str(refused.value)
    assert not list(tmp_path.iterdir())


def test_an_index_mask_where_grey_values_are_scored_gives_a_warning() -> None:
    labels = (FIRST > 0) * np.uint8(255)
    with pytest.warns(ThresholdWarning, match="threshold=1"):
        ForegroundAccumulator().update(FIRST, labels)
    assert ForegroundAccumulator(threshold=1).update(FIRST, labels).tp == (FIRST > 0).sum()


def test_a_background_of_cv2_is_bgr_as_its_images_are() -> None:
    options: dict[str, Any] = {"model": "median", "without": ["align"]}
    plain = segue.foreground(list(FRAMES), scene=FRAMES[0], **options)
    turned = segue.foreground(BGR, scene=BGR[0], colour="bgr", **options)
    assert [result.mask.tolist() for result in plain] == [result.mask.tolist() for result in turned]


def test_a_frame_on_which_a_detector_finds_nothing_has_no_prompts(lite: STCNLite) -> None:
    nothing = SimpleNamespace(
        xyxy=np.zeros((0, 4)), mask=None, class_id=None, tracker_id=None, confidence=None, data={}
    )
    given: list[tuple[Any, dict[str, Any]]] = [
        (None, {"boxes": np.zeros((0, 4))}),
        (None, {"masks": np.zeros((0, 48, 64), bool)}),
        ([], {}),
        (nothing, {}),
    ]
    for prompts, marks in given:
        session, other = (segue.TrackSession(lite, device="cpu") for _ in range(2))
        for each in (session, other):
            each.step(FRAMES[0], FIRST)
        assert session.step(FRAMES[1], prompts, **marks) == other.step(FRAMES[1])


def test_classes_are_names_or_numbers() -> None:
    names = dict(MODELS.find("msstsvis-lite").build().class_names)
    number, name = next(iter(names.items())) if names else (0, "person")
    wanted = [
        [result.mask for result in segue.instances(list(FRAMES), classes=given, device="cpu", model=MODEL)]
        for given in ([name], [number], [np.int64(number)], str(number))
    ]
    assert all(np.array_equal(each, wanted[0]) for each in wanted)


MODEL = "msstsvis-lite"


def test_masks_of_pytorch_are_scored_and_written(tmp_path: Path) -> None:
    tensors = torch.from_numpy(MASKS)
    accumulator = DavisAccumulator("one")
    for mask in tensors:
        accumulator.update(mask, mask)  # type: ignore[arg-type]
    assert accumulator.score().j_and_f == 1
    assert region_similarity(tensors[0], tensors[0]) == 1  # type: ignore[arg-type]
    write_index_mask(tmp_path / "a.png", tensors[0])  # type: ignore[arg-type]
    assert np.array_equal(np.asarray(Image.open(tmp_path / "a.png")), FIRST)
