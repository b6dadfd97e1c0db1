"""A recording that breaks off: every mode keeps what came before, then says how to go on."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from segue.masks import read_index_mask, write_index_mask
from segue.video import open_source
from segue.weights import write_checkpoint
from segue_web.video import Video
from tests.cli.running import Command
from tests.lite import lively_lite
from tests.video.making import write_video

COUNT, SIZE = 40, (96, 128)


def column(number: int) -> int:
    return 9 * number % (SIZE[1] - 20)


@pytest.fixture
def cut(tmp_path: Path) -> Path:
    """A square that crosses a noisy wall, in a file whose end is missing."""
    wall = np.random.default_rng(0).integers(60, 200, (*SIZE, 3)).astype(np.uint8)
    images = [wall.copy() for _ in range(COUNT)]
    for number, image in enumerate(images):
        image[30:60, column(number) : column(number) + 20] = (250, 20, 20)
    whole = write_video(tmp_path / "whole.mkv", images)
    path = tmp_path / "cut.mkv"
    path.write_bytes(whole.read_bytes()[: whole.stat().st_size * 6 // 10])
    return path


@pytest.fixture
def readable(cut: Path) -> int:
    count = len(list(open_source(cut, on_damage="skip", warn=lambda _: None)))
    assert 5 < count < COUNT - 5
    return count


def test_two_passes_segment_what_the_first_one_could_read(command: Command, cut: Path, readable: int) -> None:
    complaint = command("foreground", cut, "--model", "median", "--passes", 2, "-o", "out").complaint
    assert f"frames read before it: {readable}" in complaint
    assert "--on-damage" in complaint
    assert "skip" in complaint
    assert "hold" in complaint
    masks = sorted(Path("out/masks").glob("*.png"))
    assert [int(path.stem) for path in masks] == list(range(readable))
    found = read_index_mask(masks[readable // 2])[30:60] > 0
    inside = slice(column(readable // 2) + 3, column(readable // 2) + 17)
    assert found[:, inside].mean() > 0.9
    assert found.sum() < 2 * 30 * 20
    assert (
        command(
            "foreground",
            cut,
            "--model",
            "median",
            "--passes",
            2,
            "-o",
            "out",
            "--resume",
            "--on-damage",
            "skip",
        ).code
        == 0
    )


def test_results_that_wait_for_later_frames_are_kept(command: Command, cut: Path, readable: int) -> None:
    complaint = command("foreground", cut, "--passes", 1, "-o", "out").complaint
    assert "--on-damage" in complaint
    assert len(list(Path("out/masks").glob("*.png"))) == readable


def test_objects_are_followed_backwards_from_prompts_before_the_damage(
    command: Command, cut: Path, readable: int, tmp_path: Path
) -> None:
    write_checkpoint(tmp_path / "lite.safetensors", lively_lite().state_dict(), {})
    mask = np.zeros(SIZE, np.uint8)
    mask[30:60, column(5) : column(5) + 20] = 1
    write_index_mask(tmp_path / "first.png", mask)
    write_index_mask(tmp_path / "second.png", 2 * mask)
    words = ["--mask", "5@first.png", "--mask", f"{COUNT - 2}@second.png", "--reverse", "--device", "cpu"]
    outcome = command("track", cut, *words, "--weights", "lite.safetensors", "-o", "out")
    assert outcome.code == 2
    assert "--on-damage" in outcome.err
    masks = sorted(Path("out/masks").glob("*.png"))
    assert len(masks) == readable
    assert read_index_mask(masks[5]).max() == 1


@pytest.fixture
def resized(cut: Path) -> Path:
    """A recording whose size changes: 12 frames, then 8 larger ones."""
    images = [frame.image for frame, _ in zip(open_source(cut, on_damage="skip"), range(12), strict=False)]
    larger = [cv2.resize(image, None, fx=2, fy=2) for image in images[:8]]
    parts = [
        write_video(cut.with_name(f"{number}.ts"), part, options={"bf": "0", "qp": "8"}, format="mpegts")
        for number, part in enumerate((images, larger))
    ]
    joined = cut.with_name("resized.ts")
    joined.write_bytes(b"".join(part.read_bytes() for part in parts))
    return joined


def test_two_passes_keep_the_frames_before_another_size(command: Command, resized: Path) -> None:
    words = ("foreground", resized, "--model", "median", "--format", "png")
    complaint = command(*words, "--passes", 2, "-o", "out").complaint
    assert "frame 12 is" in complaint
    assert len(list(Path("out/masks").glob("*.png"))) == 12
    assert command(*words, "--passes", 1, "-o", "one").code == 0
    assert len(list(Path("one/masks").glob("*.png"))) == 20


def test_the_page_shows_frames_of_another_size_at_the_first_one(
    resized: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    video = Video(resized)
    assert (video.count, video.size) == (20, SIZE)
    for index in range(12, 20):
        left = column(index - 12)
        assert video.frame(index).image[33:57, left + 3 : left + 17, 0].min() > 200
    assert capsys.readouterr().err.count("is scaled") == 1
