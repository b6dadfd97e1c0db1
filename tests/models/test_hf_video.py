"""Video models of transformers in a session, with random weights; skipped where it is not installed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import segue
from segue.errors import CheckpointError, SegueError
from segue.models.hf_video import HFVideo
from segue.sessions import TrackSession
from segue.types import BoxPrompt, Frame, MaskPrompt, PointPrompt, Segmentation
from tests.clips import clip

transformers = pytest.importorskip("transformers", reason="needs the extra hf (transformers)")

NAMES = {"Sam2Video": "sam2-hf", "EdgeTamVideo": "edgetam-hf"}
"""What segue calls the models, by how transformers begins the names of their classes."""

FRAMES, MASKS = clip(7, 20, 48, 72, 2)
GIVEN: dict[int, list[Any]] = {
    0: [PointPrompt(1, ((26.0, 34.0),))],
    2: [MaskPrompt(2, MASKS[2] == 2), BoxPrompt(5, (10, 10, 30, 30))],
    3: [PointPrompt(1, (), ((60.0, 10.0),))],
}


def small(kind: str) -> Any:
    """A model of transformers with random weights, a shallow trunk and a square of 128 pixels."""
    torch.manual_seed(0)
    trunk = {
        "model_type": "sam2_hiera_det_model",
        "image_size": [128, 128],
        "blocks_per_stage": [1, 1, 2, 1],
        "hidden_size": 24,
        "embed_dim_per_stage": [24, 48, 96, 192],
        "num_attention_heads_per_stage": [1, 1, 2, 4],
        "global_attention_blocks": [3],
    }
    named: dict[str, Any] = {
        "image_size": 128,
        "prompt_encoder_config": {"image_size": 128},
        "memory_attention_rope_feat_sizes": [8, 8],
        "memory_attention_num_layers": 1,
        "vision_config": {
            "backbone_config": trunk,
            "backbone_channel_list": [192, 96, 48, 24],
            "backbone_feature_sizes": [[32, 32], [16, 16], [8, 8]],
        },
    }
    if kind == "EdgeTamVideo":
        named |= {"perceiver_resampler_num_latents_2d": 16, "memory_attention_rope_k_sizes": [4, 4]}
    config = getattr(transformers, f"{kind}Config")(**named)
    return getattr(transformers, f"{kind}Model")(config).eval()


@pytest.fixture(scope="module", params=["Sam2Video", "EdgeTamVideo"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as transformers writes it; its name is that of the kind."""
    folder = tmp_path_factory.mktemp("models") / str(request.param)
    small(str(request.param)).save_pretrained(folder)
    return folder


@pytest.fixture
def network(folder: Path) -> HFVideo:
    found = segue.load(NAMES[folder.name], folder)
    assert isinstance(found, HFVideo)
    return found


def follow(session: TrackSession, frames: range) -> list[Segmentation]:
    return [session.step(Frame(t, t / 25, FRAMES[t]), GIVEN.get(t)) for t in frames]


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


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "config.json: no such file"),
        ("{", "config.json: cannot be read"),
        ("[]", "model_type is None"),
        (json.dumps({"model_type": "bert"}), "model_type is 'bert'"),
        (json.dumps({"model_type": "sam2_video"}), "transformers cannot load it"),
    ],
)
def test_a_folder_of_something_else_is_refused(tmp_path: Path, text: str | None, message: str) -> None:
    if text is not None:
        (tmp_path / "config.json").write_text(text)
    with pytest.raises(CheckpointError, match=message):
        segue.load("sam2-hf", tmp_path)
