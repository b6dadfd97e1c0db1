"""EdgeTAM against the predictor of its release.

``edgetam_video.npz`` has answers of commit 9cc44bf, on a processor, with the weights of ``fill``, frames of
256 pixels, memory in float32, and one line of its perceiver made to run with two objects.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

import segue
from segue.models.edgetam import EdgeTAM
from segue.models.sam2 import SAM2Schedule
from segue.prompts import ImagePrompts, find_prompter
from segue.types import Segmentation
from segue.weights import prepare
from tests.clips import clip
from tests.conftest import golden_network
from tests.golden_arrays import Golden
from tests.models.sam2_videos import Tolerance, biased, compare, info_of, run

CONTRACT = Path(__file__).parent.parent / "contracts" / "edgetam.json"
SIDE = 256
CLOSE = Tolerance(low=0.01, mask=1e-4, score=1e-4, pointer=1e-4)


@pytest.fixture(scope="module")
def network() -> Iterator[EdgeTAM]:
    yield from golden_network(EdgeTAM, "edgetam")


def test_names_and_shapes_are_those_of_the_official_network() -> None:
    with torch.device("meta"):
        state = EdgeTAM().state_dict()
    assert {name: list(tensor.shape) for name, tensor in state.items()} == json.loads(CONTRACT.read_text())


@pytest.mark.slow
@pytest.mark.parametrize("case", ["clicks", "correct_cond", "two"])
def test_a_video_gives_what_the_release_gives(
    golden: Callable[[str], Golden], network: EdgeTAM, case: str
) -> None:
    file = golden("edgetam_video")
    compare(file, case, run(network, info_of(file, case), SIDE), CLOSE)


def test_segue_video_takes_a_box_and_a_correction_as_the_release_does(
    golden: Callable[[str], Golden], network: EdgeTAM
) -> None:
    file = golden("edgetam_video")
    info = info_of(file, "correct_cond")
    schedule = SAM2Schedule(short_side=SIDE, keep_corrections=True, exact_memory=True)
    results: list[Segmentation] = []
    with biased(network, info["settings"]["obj_bias"]):
        prepared = prepare(network, device="cpu")
    video = segue.Video([*clip(*info["clip"])[0]], model=prepared, schedule=schedule)
    for step in info["steps"]:
        if step["do"] == "go":
            results += video.propagate()
        else:
            prompts = {key: step[key] for key in ("box", "points", "labels") if key in step}
            results.append(video.add(step["frame"], **prompts))
    assert [result.index for result in results] == file["correct_cond/frame"].tolist()
    width = results[0].mask.shape[1]
    expected = np.unpackbits(file["correct_cond/mask"], axis=-1)[:, 0, :, :width].astype(bool)
    differing = [np.mean(result.masks[0] != mask) for result, mask in zip(results, expected, strict=True)]
    assert max(differing) <= CLOSE.mask
    assert 0.3 < expected.mean() < 0.9


@pytest.mark.slow
def test_a_weight_file_of_the_release_is_recognised_and_answers_clicks(
    network: EdgeTAM, tmp_path: Path
) -> None:
    torch.save({"model": network.state_dict()}, tmp_path / "edgetam.pt")
    make = find_prompter(str(tmp_path / "edgetam.pt"), device="cpu")
    answer = make(clip(7, 1, 48, 64, 1)[0][0]).answer(ImagePrompts(points=[(30, 20)]))
    assert answer.masks.shape == (3, 48, 64)
    loaded = segue.load("edgetam", tmp_path / "edgetam.pt")
    assert torch.equal(loaded.spatial_perceiver.latents, network.spatial_perceiver.latents)
