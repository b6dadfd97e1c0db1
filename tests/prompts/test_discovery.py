"""Objects found without labels, and the choice of detections, against published numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from segue.errors import PromptError
from segue.models.dino import DINO
from segue.prompts.detectors import DiscoveryDetector, discover, pixels_of_patches
from segue.prompts.planes import tight_box
from segue.prompts.proposals import Rules, select
from segue.types import Frame
from segue_papers.stcn_report import nearest_detections
from tests.fill import fill_plainly
from tests.golden_arrays import Golden, best_golden, load_golden

BLANK = Frame(0, 0.0, np.zeros((20, 20, 3), np.uint8))


@pytest.fixture(scope="module")
def lost() -> Golden:
    return best_golden("lost_cases")


@pytest.fixture(scope="module")
def selection(shared: Path) -> Golden:
    return load_golden("firstframe_select", shared / "golden")


@pytest.fixture(scope="module")
def dino() -> DINO:
    network = fill_plainly(DINO)
    assert isinstance(network, DINO)
    return network


@pytest.mark.parametrize("case", ["one", "two", "small_k", "few_patches", "border"])
def test_discovery_finds_the_published_object(lost: Golden, case: str) -> None:
    height, width = lost[f"{case}.dims"].tolist()
    found = discover(lost[f"{case}.feats"], (height, width), k=int(lost[f"{case}.k"]))
    assert np.array_equal(found, lost[f"{case}.mask"])
    size = tuple(lost[f"{case}.image_size"].tolist())
    drawn = pixels_of_patches(found, 16, size)
    assert drawn.shape == size
    assert tight_box(drawn) == tuple(lost[f"{case}.box"].tolist())


@pytest.mark.parametrize("case", ["vit", "vit_pad", "vit224"])
def test_features_of_dino_are_the_published_ones(dino: DINO, lost: Golden, case: str) -> None:
    image = torch.from_numpy(lost[f"{case}.image"]).permute(2, 0, 1)[None].float() / 255
    with torch.inference_mode():
        keys, grid = dino.dense(image)
        lost.check(f"{case}.cls", dino(image)[0, 0])
        lost.check(f"{case}.pos_embed_sum", dino.position(grid)[0, ::7, ::31])
    features = keys[0].numpy()
    lost.check(f"{case}.keys", features[:, :: 16 if case == "vit224" else 1])
    for kind, seen in (("raw", features), ("centred", features - features.mean(0))):
        found = discover(seen, grid)
        assert np.array_equal(found, lost[f"{case}.{kind}.mask"])


class Colours(torch.nn.Module):
    """Mean colour of patches of 8 pixels, less that of the ground."""

    patch = 8

    def dense(self, images: Tensor, which: str) -> tuple[Tensor, tuple[int, int]]:
        assert which == "keys"
        means = F.avg_pool2d(images - 0.5, 8, ceil_mode=True)
        means -= means.mean((2, 3), keepdim=True)
        return means.flatten(2).transpose(1, 2), (means.shape[2], means.shape[3])


@pytest.mark.parametrize("size", [(48, 64), (41, 59)])
def test_the_object_of_a_frame_is_drawn_in_whole_patches(size: tuple[int, int]) -> None:
    image = np.full((*size, 3), 127, np.uint8)
    image[8:24, 16:32] = (255, 0, 0)
    find = DiscoveryDetector(Colours(), refine="none")  # type: ignore[arg-type]
    assert [item.box for item in find(Frame(0, 0.0, image)).objects] == [(16, 8, 32, 24)]


def test_unknown_ways_are_refused() -> None:
    with pytest.raises(PromptError):
        DiscoveryDetector(DINO(64, depth=1), refine="sharp")  # type: ignore[arg-type]
    with pytest.raises(PromptError):
        DiscoveryDetector(DINO(64, depth=1), which="tokens")  # type: ignore[arg-type]


def test_an_empty_image_is_refused() -> None:
    with pytest.raises(PromptError):
        discover(np.zeros((12, 4), np.float32), (3, 4))


def test_detections_become_the_published_objects(selection: Golden) -> None:
    found = select(BLANK, selection["probs"], selection["det_scores"], [None] * len(selection["det_scores"]))
    assert np.array_equal(found.mask, selection["index"])
    kept = selection["det_scores"][selection["kept"]]
    assert [item.score for item in found.objects] == pytest.approx(sorted(kept, reverse=True))
    assert found.probabilities.shape == (1 + len(found.objects), *found.mask.shape)


def test_known_boxes_get_the_published_detections(selection: Golden) -> None:
    wanted, boxes, scores = selection["boxes_gt"], selection["boxes_det"], selection["scores"]
    assert nearest_detections(wanted, boxes, scores) == selection["choice"].tolist()
    assert nearest_detections(wanted, boxes, scores * 0) == [None] * len(wanted)


def test_only_wanted_classes_become_objects() -> None:
    probabilities = np.zeros((2, 20, 20), np.float32)
    probabilities[0, :8, :8] = probabilities[1, 10:, 10:] = 0.9
    labels, scores = ["dog", "cat"], np.array([0.9, 0.8])
    found = select(BLANK, probabilities, scores, labels, Rules(classes=frozenset({"cat"})))
    assert [(item.id, item.label, item.box) for item in found.objects] == [(1, "cat", (10, 10, 20, 20))]
    nothing = select(BLANK, probabilities, np.array([0.1, 0.2]), labels)
    assert not nothing.objects
    assert not nothing.mask.any()
