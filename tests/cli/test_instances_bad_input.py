"""What can be wrong with the input of ``segue instances``: one line that says what, and what is kept."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segue.masks import read_index_mask
from segue.weights import write_checkpoint
from tests.cli.running import FRAMES, Command, Outcome
from tests.lite import lively_instances
from tests.video.making import busy_pictures, write_video

SETTINGS = ("--window", 3, "--overlap", 1, "--score", 0.0, "--top", 2, "--short-side", 48, "--format", "png")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "msstsvis-lite.safetensors"
    write_checkpoint(path, lively_instances().state_dict(), {})
    return path


@pytest.fixture
def find(command: Command, weights: Path, tmp_path: Path) -> Command:
    """Runs ``segue instances`` on a source with these weights, into ``tmp_path / "out"``."""

    def run(source: object, *arguments: object) -> Outcome:
        model = ("--model", "msstsvis-lite", "--weights", weights)
        output = ("--output", tmp_path / "out")
        return command("instances", source, *model, *SETTINGS, *output, "--device", "cpu", *arguments)

    return run


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*.png"))


def save_folder(root: Path, *pictures: np.ndarray) -> Path:
    """A folder with these images in order."""
    root.mkdir()
    for t, picture in enumerate(pictures):
        Image.fromarray(picture).save(root / f"{t}.png")
    return root


def test_gray_pictures_and_those_of_16_bits_are_seen_as_their_colours_are(
    find: Command, tmp_path: Path
) -> None:
    gray = [frame.mean(2).astype(np.uint8) for frame in FRAMES[:3]]
    sources = {
        "colour": [np.repeat(picture[..., None], 3, axis=2) for picture in gray],
        "gray": gray,
        "deep": [picture.astype(np.uint16) * 257 for picture in gray],
    }
    masks = {}
    for name, pictures in sources.items():
        assert find(save_folder(tmp_path / name, *pictures), "--output", tmp_path / f"{name}-out").code == 0
        masks[name] = [read_index_mask(tmp_path / f"{name}-out" / "masks" / f"{t}.png") for t in range(3)]
    for name in ("gray", "deep"):
        assert all(np.array_equal(a, b) for a, b in zip(masks[name], masks["colour"], strict=True))


def test_an_unreadable_picture_stops_or_is_passed_over(find: Command, tmp_path: Path) -> None:
    source = save_folder(tmp_path / "in", *FRAMES[:6])
    (source / "4.png").write_bytes(b"torn")
    complaint = find(source).complaint
    assert "4.png: unreadable image" in complaint
    assert "frames read before it: 4" in complaint
    outcome = find(source, "--resume", "--on-damage", "skip")
    assert outcome.code == 0, outcome.err
    assert names_in(tmp_path / "out" / "masks") == [f"{t}.png" for t in (0, 1, 2, 3, 5)]


def test_a_truncated_video(find: Command, tmp_path: Path) -> None:
    whole = write_video(tmp_path / "whole.mkv", busy_pictures(20), fps=10)
    short = tmp_path / "short.mkv"
    short.write_bytes(whole.read_bytes()[: whole.stat().st_size * 6 // 10])
    complaint = find(short).complaint
    assert "short.mkv: " in complaint
    assert "frames read before it" in complaint
    outcome = find(short, "--resume", "--on-damage", "skip")
    assert outcome.code == 0, outcome.err
    masks = names_in(tmp_path / "out" / "masks")
    assert masks == [f"{t:05d}.png" for t in range(len(masks))]
    assert len(masks) >= 3
