"""Video models of transformers in a session, with random weights, against transformers' own loop."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import segue
from segue.errors import CheckpointError, SegueError
from segue.models import transformers_video
from segue.models.base import Setup
from segue.models.transformers_video import SCHEDULE, TransformersTracker, TransformersVideo
from segue.prompt_types import BoxPrompt, MaskPrompt, PointPrompt
from segue.sessions import TrackSession
from segue.types import Frame, Segmentation
from tests.clips import clip
from tests.models.test_transformers_clip import FRAMES as CLIP
from tests.models.test_transformers_clip import OwnLoop
from tests.needs import needs

needs("torchvision")
transformers = needs("transformers")

SIDE = 128
FRAMES, MASKS = clip(7, 40, 48, 72, 2)
GIVEN: dict[int, list[Any]] = {
    0: [PointPrompt(1, ((26.0, 34.0), (28.0, 30.0))), BoxPrompt(5, (10, 10, 30, 30))],
    2: [MaskPrompt(2, MASKS[2] == 2)],
    3: [PointPrompt(1, (), ((60.0, 10.0),))],
}
KINDS = {"Sam2Video": "Sam2Video", "EdgeTamVideo": "Sam2Video", "Sam3TrackerVideo": "Sam3TrackerVideo"}
"""How the names of models and of their processors begin."""


def small_sam3() -> Any:
    """The tracker of SAM 3 with random weights, a shallow trunk and a square of 112 pixels."""
    torch.manual_seed(0)
    trunk = {
        "model_type": "sam3_vit_model",
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": 112,
        "pretrain_image_size": 112,
        "patch_size": 14,
        "window_size": 4,
        "global_attn_indexes": [1],
    }
    config = transformers.Sam3TrackerVideoConfig(
        vision_config={"model_type": "sam3_vision_model", "backbone_config": trunk},
        image_size=112,
        memory_attention_rope_feat_sizes=[8, 8],
        memory_attention_num_layers=1,
    )
    return transformers.Sam3TrackerVideoModel(config).eval()


def small(kind: str) -> Any:
    """A model with random weights, a shallow trunk and a square of 128 pixels."""
    torch.manual_seed(0)
    trunk = {
        "model_type": "sam2_hiera_det_model",
        "image_size": [SIDE, SIDE],
        "blocks_per_stage": [1, 1, 2, 1],
        "hidden_size": 24,
        "embed_dim_per_stage": [24, 48, 96, 192],
        "num_attention_heads_per_stage": [1, 1, 2, 4],
        "global_attention_blocks": [3],
    }
    named: dict[str, Any] = {
        "image_size": SIDE,
        "prompt_encoder_config": {"image_size": SIDE},
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


def processor_of(kind: str, size: int = SIDE) -> Any:
    side = {"height": size, "width": size}
    images = transformers.Sam2ImageProcessor(size=side)
    videos = transformers.Sam2VideoVideoProcessor(size=side)
    made = getattr(transformers, f"{KINDS[kind]}Processor")
    return made(image_processor=images, video_processor=videos, target_size=size)


@pytest.fixture(scope="module", params=["Sam2Video"])
def network(request: pytest.FixtureRequest) -> TransformersVideo:
    return TransformersVideo(small(request.param), processor_of(request.param))


def frame(t: int) -> Frame:
    return Frame(t, t / 25, FRAMES[t])


def follow(session: TrackSession, frames: range) -> list[Segmentation]:
    return [session.step(frame(t), GIVEN.get(t)) for t in frames]


@torch.inference_mode()
def own_loop(network: TransformersVideo, frames: range) -> Iterator[dict[int, Any]]:
    """Mask logits by id at the size of the video, as the documentation of transformers makes them."""
    model, processor = network.model, network.processor
    session = processor.init_video_session(dtype=torch.float32)
    for t in frames:
        pixels = processor(images=FRAMES[t], return_tensors="pt")["pixel_values"][0]
        if t == 0:
            processor.add_inputs_to_inference_session(
                session,
                t,
                [1, 5],
                input_points=[[[[26.0, 34.0], [28.0, 30.0]], [[10, 10], [30, 30]]]],
                input_labels=[[[1, 1], [2, 3]]],
                original_size=FRAMES[t].shape[:2],
            )
        if t == 2:
            processor.add_inputs_to_inference_session(session, t, [2], input_masks=[MASKS[t] == 2])
        found = model(session, frame=pixels, frame_idx=t)
        if t == 3:  # a correction of what is seen
            processor.add_inputs_to_inference_session(
                session, t, [1], input_points=[[[[60.0, 10.0]]]], input_labels=[[[0]]]
            )
            found = model(session, frame=pixels, frame_idx=t)
        low = found.pred_masks
        full = processor.post_process_masks([low], [FRAMES[t].shape[:2]], binarize=False)[0]
        yield dict(zip(found.object_ids, full[:, 0], strict=True))


def test_a_session_gives_what_the_loop_of_transformers_gives(network: TransformersVideo) -> None:
    results = follow(TrackSession(network, device="cpu"), range(24))
    assert [result.ids for result in results[:4]] == [(1, 5), (1, 5), (1, 2, 5), (1, 2, 5)]
    for result, logits in zip(results, own_loop(network, range(24)), strict=True):
        planes = torch.stack([torch.zeros(48, 72), *(logits[i] for i in sorted(logits))])
        expected = planes.softmax(0).numpy()
        assert np.abs(result.probabilities - expected).max() < 2e-3, f"frame {result.index}"
        first, second = planes.topk(2, 0).values
        clear = (first - second > 0.02).numpy()
        drawn = np.array([0, *sorted(logits)])[planes.argmax(0)]
        assert np.array_equal(result.mask[clear], drawn[clear])


def test_a_session_goes_on_from_its_state_and_looks_ahead_without_a_trace(network: TransformersVideo) -> None:
    plain = follow(TrackSession(network, device="cpu"), range(6))
    run = TrackSession(network, device="cpu")
    follow(run, range(4))
    other = TrackSession(network, device="cpu")
    other.restore(run.state())
    for t in (4, 5):
        ahead = other.peek(frame(t))
        assert np.allclose(ahead.probabilities, plain[t].probabilities, atol=1e-4)
        assert np.allclose(other.step(frame(t)).probabilities, plain[t].probabilities, atol=1e-4)
    other.forget([2])
    assert other.ids == (1, 5)
    assert other.step(frame(6)).ids == (1, 5)


def held(tracker: TransformersTracker) -> int:
    """Values in all tensors of the inference session."""

    def count(value: Any) -> int:
        if isinstance(value, torch.Tensor):
            return value.numel()
        return sum(map(count, value.values())) if isinstance(value, dict) else 0

    return sum(count(value) for value in vars(tracker._session).values())


def sizes_while_following(network: TransformersVideo, count: int) -> Iterator[int]:
    """Values of the inference session after each frame of a video."""
    session = TrackSession(network, device="cpu")
    for t in range(count):
        session.step(Frame(t, t / 25, FRAMES[t % 40]), GIVEN[0] if t == 0 else None)
        yield held(session.tracker)  # type: ignore[arg-type]


def test_memory_does_not_grow_with_the_video(network: TransformersVideo) -> None:
    sizes = list(sizes_while_following(network, 40))
    assert set(sizes[20:]) == {sizes[20]}


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc")
def test_memory_is_flat_over_ten_thousand_frames(network: TransformersVideo) -> None:
    sizes, resident = [], []
    for t, size in enumerate(sizes_while_following(network, 10_000)):
        sizes.append(size)
        if t in (500, 9_999):
            resident.append(int(Path("/proc/self/statm").read_text().split()[1]))
    assert set(sizes[20:]) == {sizes[20]}
    early, late = resident
    assert late <= 1.02 * early


def test_masks_begin_a_new_session_where_transformers_keeps_its_books_elsewhere(
    network: TransformersVideo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transformers_video, "BOOKS", ("a_book_that_is_not_there",))
    monkeypatch.setattr(transformers_video, "SEED_EVERY", 5)
    session = TrackSession(network, device="cpu")
    sessions = set()
    sizes = []
    for t in range(22):
        session.step(frame(t), GIVEN.get(t))
        sessions.add(session.tracker._session)  # type: ignore[attr-defined]
        sizes.append(held(session.tracker))  # type: ignore[arg-type]
    assert len(sessions) > 3
    assert max(sizes[10:]) <= max(sizes[5:10])
    other = TrackSession(network, device="cpu")
    other.restore(session.state())
    trackers = session.tracker, other.tracker
    assert [each._since_seed for each in trackers] == [22 % 5] * 2  # type: ignore[attr-defined]
    ahead = other.peek(frame(22)).mask
    assert np.array_equal(other.step(frame(22)).mask, ahead)
    session.remove([2])
    assert session.step(frame(22)).ids == (1, 5)


def test_edgetam_follows_objects() -> None:
    pytest.importorskip("timm", reason="EdgeTAM needs timm")
    network = TransformersVideo(small("EdgeTamVideo"), processor_of("EdgeTamVideo"))
    session = TrackSession(network, device="cpu")
    for t in range(2):
        assert session.step(frame(t), GIVEN.get(t)).ids == (1, 5)


def test_errors_of_transformers_are_one_sentence(network: TransformersVideo) -> None:
    session = TrackSession(network, device="cpu")
    follow(session, range(2))
    session.tracker._model.memory_encoder = torch.nn.Linear(1, 1)  # type: ignore[attr-defined]
    with pytest.raises(SegueError, match=r"Sam2VideoModel of transformers failed: .*\S"):
        session.step(frame(2))
    with pytest.raises(SegueError):
        session.step(frame(2))


def test_the_tracker_of_sam_3_follows_objects() -> None:
    network = TransformersVideo(small_sam3(), processor_of("Sam3TrackerVideo", 112))
    assert follow(TrackSession(network, device="cpu"), range(5))[-1].ids == (1, 2, 5)


def test_bfloat16_gives_nearly_the_same(network: TransformersVideo) -> None:
    tracker = TransformersTracker(
        network.to(torch.bfloat16), Setup(SCHEDULE, torch.device("cpu"), torch.bfloat16, 1 << 30)
    )
    try:
        with torch.inference_mode():
            found = tracker.step(FRAMES[0], TrackSession(network, device="cpu").resolve(frame(0), GIVEN[0]))
        assert found.probabilities.isfinite().all()
    finally:
        network.to(torch.float32)


@pytest.fixture(scope="module")
def folder(network: TransformersVideo, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("model")
    network.model.save_pretrained(place)
    network.processor.save_pretrained(place)
    return place


def test_a_whole_video_gives_what_the_loop_of_transformers_gives(network: TransformersVideo) -> None:
    loop, video = OwnLoop(network), segue.Video([*CLIP], model=network, device="cpu")
    point = [26.0, 34.0]
    loop.add(3, 1, input_points=[[[point]]], input_labels=[[[1]]])
    video.add(3, points=[tuple(point)])
    for _ in range(2):
        expected = loop.passes(1)
        for result in video.propagate():
            assert np.abs(result.logits[0] - expected[result.index].numpy()).max() < 1e-3
        loop.add(6, 1, input_points=[[[[60.0, 40.0]]]], input_labels=[[[0]]])
        loop.keep(1, 6)
        video.add(6, points=[(60.0, 40.0)], labels=[0])


def test_a_folder_is_a_model_by_name(folder: Path, network: TransformersVideo) -> None:
    for name in (f"hf:{folder}", str(folder)):
        found = segue.load(name)
        assert isinstance(found, TransformersVideo)
    plain = follow(TrackSession(network, device="cpu"), range(2))
    named = follow(TrackSession(str(folder), device="cpu"), range(2))
    assert np.allclose(plain[1].probabilities, named[1].probabilities, atol=1e-4)


def test_a_model_of_another_kind_is_refused() -> None:
    with pytest.raises(SegueError):
        TransformersVideo(torch.nn.Linear(1, 1), None)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "config.json: no such file"),
        ("{", "config.json: cannot be read"),
        ("[]", "model_type is ''"),
        (json.dumps({"model_type": "bert"}), "model_type is 'bert'"),
        (json.dumps({"model_type": "sam2_video"}), "transformers cannot load it"),
    ],
)
def test_a_folder_of_something_else_is_refused(tmp_path: Path, text: str | None, message: str) -> None:
    if text is not None:
        (tmp_path / "config.json").write_text(text)
    with pytest.raises(CheckpointError, match=message):
        segue.load(f"hf:{tmp_path}")
