"""Video models of transformers in a session, with random weights; skipped where it is not installed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from segue.errors import SegueError
from segue.models.hf_video import HFVideo
from segue.sessions import TrackSession
from segue.types import BoxPrompt, Frame, MaskPrompt, PointPrompt, Segmentation
from tests.clips import clip

transformers = pytest.importorskip("transformers", reason="needs the extra hf (transformers)")

FRAMES, MASKS = clip(7, 20, 48, 72, 2)
GIVEN: dict[int, list[Any]] = {
    0: [PointPrompt(1, ((26.0, 34.0),))],
    2: [MaskPrompt(2, MASKS[2] == 2), BoxPrompt(5, (10, 10, 30, 30))],
    3: [PointPrompt(1, (), ((60.0, 10.0),))],
}


@pytest.fixture(scope="module", params=["Sam2Video", "EdgeTamVideo"])
def network(request: pytest.FixtureRequest) -> HFVideo:
    torch.manual_seed(0)
    named: dict[str, Any] = {
        "image_size": 256,
        "prompt_encoder_config": {"image_size": 256},
        "memory_attention_rope_feat_sizes": [16, 16],
        "vision_config": {"backbone_feature_sizes": [[64, 64], [32, 32], [16, 16]]},
    }
    if request.param == "Sam2Video":
        trunk = {"model_type": "sam2_hiera_det_model", "image_size": [256, 256]}
        named["vision_config"]["backbone_config"] = trunk
    config = getattr(transformers, f"{request.param}Config")(**named)
    return HFVideo(getattr(transformers, f"{request.param}Model")(config).eval())


def follow(session: TrackSession, frames: range) -> list[Segmentation]:
    return [session.step(Frame(t, t / 25, FRAMES[t]), GIVEN.get(t)) for t in frames]


@pytest.mark.slow
def test_a_model_of_transformers_follows_objects_in_a_session(network: HFVideo) -> None:
    session = TrackSession(network, device="cpu")
    plain = follow(session, range(5))
    assert [result.ids for result in plain] == [(1,), (1,), (1, 2, 5), (1, 2, 5), (1, 2, 5)]
    sums = plain[4].probabilities.sum(0)
    assert np.allclose(sums, 1, atol=1e-5)
    run = TrackSession(network, device="cpu")
    follow(run, range(4))
    other = TrackSession(network, device="cpu")
    other.restore(run.state())
    seen = Frame(4, 4 / 25, FRAMES[4])
    ahead = other.peek(seen)
    assert np.allclose(ahead.probabilities, plain[4].probabilities, atol=1e-4)
    assert np.allclose(other.step(seen).probabilities, plain[4].probabilities, atol=1e-4)
    other.forget([2])
    assert other.ids == (1, 5)


def test_a_model_of_another_kind_is_refused() -> None:
    with pytest.raises(SegueError, match="Linear is no video model"):
        HFVideo(torch.nn.Linear(1, 1))
