"""``segue train mustan-lite`` from folders to a file that can be loaded."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from segue.api.foreground import foreground
from segue.datasets.check import check_data
from segue.errors import CheckpointError, DatasetError, SinkError, TrainingError
from segue.flow import DIS, Farneback
from segue.models.mustan_lite import MustanLite
from segue.sessions.foreground.segmenters.by_name import foreground_segmenter
from segue.sessions.foreground.session import ForegroundSession
from segue.types import Frame
from segue.weights import load, load_strict, read_checkpoint, write_checkpoint
from segue_train.data.footage import gather
from segue_train.data.foreground.material import fill_pool, gather_videos
from segue_train.recipes import mustan_lite as recipes
from segue_train.trunks import load_mobilenet
from tests.segue_train.commands import run
from tests.segue_train.making import write_all


@pytest.fixture(autouse=True)
def _small_samples(small_shards: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recipes, "SAMPLE_SIZE", (48, 64))
    monkeypatch.setattr(recipes.MustanLiteRecipe, "shown_size", (32, 48))


@pytest.fixture
def start(tmp_path: Path) -> Path:
    path = tmp_path / "start.safetensors"
    torch.manual_seed(0)
    write_checkpoint(path, MustanLite().state_dict(), {})
    return path


def test_lite_is_trained_resumed_and_teaches_slim(tmp_path: Path, start: Path) -> None:
    videos, stills = write_all(tmp_path)
    shared = (
        "--data", videos, "--data", stills, "--samples", 8, "--batch", 2, "--device", "cpu",
        "--precision", "32-true",
        "--steps", 2, "--log-every", 1,
    )  # fmt: skip
    lite = ("mustan-lite", *shared, "--start", start, "--out", tmp_path / "lite")
    first = run(*lite, "--until", 1)
    assert "2 videos and 4 still images for clips, 0 videos of still cameras" in first
    assert "drawing 8 samples" in first
    second = run(*lite, "--resume")
    assert "step 2/2" in second
    assert "drawing" not in second
    trained = tmp_path / "lite" / "mustan-lite.safetensors"
    network, before = MustanLite(), MustanLite()
    load_strict(network, trained)
    load_strict(before, start)
    assert not torch.equal(network.decoder.head.weight, before.decoder.head.weight)
    assert torch.equal(network.encoder.stem.weight, before.encoder.stem.weight)


def test_lite_learns_to_look_at_flow_and_says_so(tmp_path: Path, start: Path) -> None:
    videos, _ = write_all(tmp_path)
    words = (
        "mustan-lite", "--data", videos, "--samples", 4, "--batch", 2, "--device", "cpu",
        "--precision", "32-true",
        "--steps", 2, "--start", start, "--flow", "farneback", "--class-in-scale", "always", "--recurrence",
        "--out", tmp_path / "flow",
    )  # fmt: skip
    run(*words)
    file = tmp_path / "flow" / "mustan-lite.safetensors"
    network = load("mustan-lite", file)
    assert isinstance(network, MustanLite)
    assert network.options == {"flow": "farneback", "flow_attention": True, "recurrence": True}
    assert network.capabilities.flow_gaps == (3, 6)
    assert network.flow_attention is not None
    assert network.flow_attention.fusion[0].get_parameter("weight").any()

    made = foreground_segmenter("mustan-lite", file, device="cpu")
    assert isinstance(made.capabilities.flow_provider, Farneback)
    by_dis = foreground_segmenter("mustan-lite", file, "dis", device="cpu")
    assert isinstance(by_dis.capabilities.flow_provider, DIS)
    images = np.random.default_rng(0).integers(0, 256, (3, 32, 48, 3), np.uint8)
    session = ForegroundSession(made)
    session.explain()
    found = [session.step(Frame(i, float(i), image)) for i, image in enumerate(images)]
    assert session.explanation is not None
    assert session.explanation.shape == (4 * 32, 9 * 48, 3)  # frame, scene 3, context 4, probability; flow
    by_name = foreground(list(images), model="mustan-lite", weights=file, short_side=32, device="cpu")
    masks = [result.mask for result in by_name]
    assert all(np.array_equal(a.mask, b) for a, b in zip(found, masks, strict=True) if a is not None)


def test_a_further_training_learns_from_sessions_and_keeps_what_was_right(
    tmp_path: Path, start: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("segue_train.data.foreground.session_samples.LENGTHS", (12, 16))
    _, stills = write_all(tmp_path)
    words = (
        "mustan-lite", "--data", stills, "--samples", 4, "--batch", 2, "--device", "cpu",
        "--precision", "32-true",
        "--steps", 2, "--log-every", 1, "--keep", 10, "--out", tmp_path / "lite",
    )  # fmt: skip
    with pytest.raises(TrainingError, match="--start"):
        run(*words)
    said = run(*words, "--start", start, "--sessions", "shipped", "--sessions", start)
    assert "drawing 8 samples" in said
    assert "keep" in said
    after, before = (
        read_checkpoint(path).tensors for path in (tmp_path / "lite/mustan-lite.safetensors", start)
    )
    statistics = [name for name in before if name.endswith(("running_mean", "running_var"))]
    assert statistics
    assert all(torch.equal(after[name], before[name]) for name in statistics)
    assert not torch.equal(after["decoder.head.weight"], before["decoder.head.weight"])


def test_a_pool_is_not_used_again_for_other_weights_under_the_same_name(
    tmp_path: Path, start: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("segue_train.data.foreground.session_samples.LENGTHS", (12, 16))
    write_all(tmp_path, frames=9)
    footage = gather([str(tmp_path / "videos")], report=print)
    draw = partial(
        fill_pool, tmp_path / "pool", footage, {}, (-6, -3, 0), (48, 64), samples=1, seed=1, workers=0,
        report=print,
    )  # fmt: skip
    draw(sessions=[start])
    moved = start.rename(tmp_path / "moved.safetensors")
    draw(sessions=[moved])  # it is the content that counts
    tensors = read_checkpoint(moved).tensors
    write_checkpoint(moved, {name: 2 * value for name, value in tensors.items()}, {})
    with pytest.raises(DatasetError, match="a pool of other data or settings"):
        draw(sessions=[moved])


def test_missing_weights_of_sessions_are_refused_before_anything_is_drawn(
    tmp_path: Path, start: Path
) -> None:
    _, stills = write_all(tmp_path)
    given = ("--data", stills, "--samples", 4, "--start", start, "--sessions", start)
    with pytest.raises(CheckpointError, match=r"missing\.safetensors"):
        run("mustan-lite", *given, "--sessions", tmp_path / "missing.safetensors", "--out", tmp_path / "lite")
    assert not (tmp_path / "lite").exists()


def test_a_run_is_not_overwritten_by_accident(tmp_path: Path, start: Path) -> None:
    out = tmp_path / "run"
    out.mkdir()
    (out / "mustan-lite.safetensors").touch()
    videos, stills = write_all(tmp_path)
    with pytest.raises(SinkError):
        run("mustan-lite", "--data", videos, "--data", stills, "--start", start, "--out", out)
    assert not (out / "pool").exists()


def test_a_backbone_of_another_kind_is_refused(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "other.safetensors", {"conv1.weight": torch.zeros(1)}, {})
    with pytest.raises(CheckpointError, match=r"other\.safetensors.*MobileNetV2"):
        load_mobilenet(MustanLite().encoder, tmp_path / "other.safetensors", "unit")


def test_a_labelled_camera_of_ones_own_is_training_data(tmp_path: Path, start: Path) -> None:
    """Every sixth image is labelled, by its number; without other footage there are no artificial clips."""
    rng = np.random.default_rng(0)
    for number in range(1, 25):
        image = rng.integers(60, 90, (60, 80, 3), np.uint8)
        label = np.zeros((60, 80), np.uint8)
        label[20:40, number : number + 20] = 255
        image[label > 0] = 200
        for folder, values in (("input", image), ("groundtruth", label)):
            if folder == "input" or number % 6 == 0:
                path = tmp_path / "MYCAM" / "yard" / folder / f"{number}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(values).save(path)
    found = check_data(tmp_path / "MYCAM")
    assert (found.kind, found.complete, found.videos[0].labelled) == ("foreground", True, 4)
    command = ("mustan-lite", "--steps", 1, "--device", "cpu", "--precision", "32-true", "--start", start)
    said = run(*command, "--data", tmp_path / "MYCAM", "--out", tmp_path / "lite")
    assert "1 videos of still cameras" in said
    assert "--samples 0" in said
    assert (tmp_path / "lite" / "mustan-lite.safetensors").is_file()
    videos = gather_videos([str(tmp_path / "MYCAM")])
    assert [video.key for video in videos.real] == ["yard"]
