"""What a user can do wrong: one line that says what, exit code 2, and nothing half-written."""

from __future__ import annotations

import errno
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from segue.masks import read_index_mask, write_index_mask
from tests.cli.running import FRAMES, MASKS, Command, contents
from tests.video.making import busy_images, write_video


def test_a_file_that_is_no_video(track: Command, tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("not a video\n" * 50)
    assert "text.mp4: not a video" in track(source=tmp_path / "text.mp4").complaint
    assert list(contents(tmp_path)) == ["text.mp4"]


@pytest.fixture
def truncated(tmp_path: Path) -> Path:
    """A video of 20 frames of which the file has about half."""
    whole = write_video(tmp_path / "whole.mkv", busy_images(20), fps=10)
    short = tmp_path / "short.mkv"
    short.write_bytes(whole.read_bytes()[: whole.stat().st_size * 6 // 10])
    whole.unlink()
    return short


def test_a_truncated_video_keeps_the_frames_before_the_damage(
    track: Command, truncated: Path, tmp_path: Path
) -> None:
    box = ("--box", "10,10,60,60", "--fill")
    complaint = track(*box, source=truncated, mask=None).complaint
    masks = sorted(path.name for path in (tmp_path / "out" / "masks").glob("*.png"))
    assert len(masks) >= 5
    assert "short.mkv: " in complaint
    assert f"frames read before it: {len(masks)}" in complaint
    assert masks[-1] == f"{len(masks) - 1:05d}.png"
    assert (tmp_path / "out" / "overlay.mp4").exists()  # of the frames so far
    assert not list((tmp_path / "out").rglob("*.partial"))
    # The user decides that this is all there is: the run goes on from where it stood.
    outcome = track(*box, "--resume", "--on-damage", "skip", source=truncated, mask=None)
    assert outcome.code == 0, outcome.err
    assert (tmp_path / "out" / "overlay.mp4").exists()
    assert sorted(path.name for path in (tmp_path / "out" / "masks").glob("*.png")) == masks


def test_a_skipped_image_is_reported(track: Command, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for t in range(4):
        Image.fromarray(FRAMES[t]).save(tmp_path / "in" / f"{t}.png")
    (tmp_path / "in" / "2.png").write_bytes(b"torn")
    outcome = track("--on-damage", "skip", "--format", "png", "--quiet", source=tmp_path / "in")
    assert outcome.code == 0
    assert outcome.err.startswith("warning: ")
    assert outcome.err.count("\n") == 1
    assert "2.png" in outcome.err


def test_a_mask_of_the_wrong_size(track: Command, tmp_path: Path) -> None:
    write_index_mask(tmp_path / "small.png", MASKS[0][::2, ::2])
    complaint = track(mask=tmp_path / "small.png").complaint
    assert "small.png: the mask is 32x24 pixels, the frame 64x48; use --fit" in complaint
    assert list(contents(tmp_path)) == ["small.png"]


def test_an_empty_mask(track: Command, tmp_path: Path) -> None:
    write_index_mask(tmp_path / "empty.png", np.zeros_like(MASKS[0]))
    assert "empty.png: the mask is empty" in track(mask=tmp_path / "empty.png").complaint
    assert list(contents(tmp_path)) == ["empty.png"]


def test_a_missing_mask(track: Command, tmp_path: Path) -> None:
    assert "first.png: no such mask file" in track(mask=tmp_path / "first.png").complaint
    assert contents(tmp_path) == {}


def test_a_later_prompt_that_does_not_fit_keeps_the_work_before(track: Command, tmp_path: Path) -> None:
    complaint = track("--remove", "5@8").complaint
    assert "cannot remove object 8: followed are 1, 2" in complaint
    assert len(list((tmp_path / "out" / "masks").glob("*.png"))) == 5
    assert track("--remove", "5@2", "--resume").code == 0
    assert set(np.unique(read_index_mask(tmp_path / "out" / "masks" / "00005.png"))) <= {0, 1}


def test_a_full_disk(track: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_bytes = Path.write_bytes

    def full(path: Path, data: bytes) -> int:
        if "00003.png" in path.name:
            write_bytes(path, data[:10])
            raise OSError(errno.ENOSPC, "No space left on device")
        return write_bytes(path, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    complaint = track().complaint
    assert "00003.png: cannot be written (the disk is full; free some space)" in complaint
    names = {path.name for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert names == {"00000.png", "00001.png", "00002.png", ".segue.json", ".segue.jsonl"}


def test_a_disk_that_is_full_when_the_session_is_saved(
    track: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("segue.jobs.frame_loop.SAVE_EVERY_SECONDS", 0.0)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("segue.state._write_tensors", full)
    complaint = track().complaint
    assert "session.safetensors: cannot be written" in complaint
    assert "disk is full" in complaint


def test_output_that_is_not_of_segue(track: Command, tmp_path: Path) -> None:
    (tmp_path / "out" / "masks").mkdir(parents=True)
    write_index_mask(tmp_path / "out" / "masks" / "mine.png", MASKS[0])
    before = contents(tmp_path)
    assert "has images that segue did not write" in track("--overwrite").complaint
    assert contents(tmp_path) == before


def test_a_checkpoint_of_another_network(track: Command, tmp_path: Path) -> None:
    save_file({"encoder.weight": torch.zeros(3)}, tmp_path / "other.safetensors")
    complaint = track("--weights", tmp_path / "other.safetensors").complaint
    assert "other.safetensors: weights of another network or version: " in complaint
    assert "1 unexpected (encoder.weight)" in complaint
    assert list(contents(tmp_path)) == ["other.safetensors"]
