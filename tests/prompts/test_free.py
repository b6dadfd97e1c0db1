"""The networks whose weights are free for products: prompts of one go to the other, on every way."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import segue
from segue.masks import read_index_mask
from segue.prompts import ImagePrompts, find_prompter
from segue.registry import MODELS
from segue.video.sources.images import write_image
from tests.cli.running import command_in
from tests.clips import clip

FRAME = clip(5, 1, 48, 64, 2)[0][0]
BOX = (8.0, 8.0, 40.0, 40.0)


@pytest.fixture(scope="module")
def expected() -> np.ndarray:
    """The mask of the free weights; the others give another one."""
    free = segue.Prompter(FRAME, "segue-prompt-free", device="cpu")(box=BOX).mask
    other = segue.Prompter(FRAME, "segue-prompt", device="cpu")(box=BOX).mask
    assert free.any()
    assert (free != other).any()
    return free


def test_prompts_of_a_free_tracker_go_to_free_weights(expected: np.ndarray) -> None:
    assert {entry.prompter for entry in MODELS} == {"segue-prompt", "segue-prompt-free"}
    made = find_prompter(MODELS.find("stcn-lite-free").prompter, device="cpu")(FRAME)
    assert np.array_equal(made.answer(ImagePrompts(box=BOX)).mask, expected)
    session = segue.TrackSession("stcn-lite-free", device="cpu")
    assert np.array_equal(session.step(FRAME, segue.BoxPrompt(1, BOX)).mask > 0, expected)
    (result,) = segue.track([FRAME], box=BOX, model="stcn-lite-free", device="cpu")
    assert np.array_equal(result.mask > 0, expected)


def test_the_command_takes_the_free_weights_too(
    expected: np.ndarray,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "video").mkdir()
    write_image(tmp_path / "video" / "00000.png", FRAME)
    command = command_in(capsys)
    box = ",".join(f"{edge:g}" for edge in BOX)
    words = ["track", "video", "--box", box, "--model", "stcn-lite-free", "--device", "cpu", "-o", "out"]
    assert command(*words).code == 0
    (mask,) = (tmp_path / "out").rglob("00000.png")
    assert np.array_equal(read_index_mask(mask) > 0, expected)
