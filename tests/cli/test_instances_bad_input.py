"""What can be wrong with the input of ``segue instances``: one line that says what, and what is kept."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segue.weights import write_checkpoint
from tests.cli.running import FRAMES, Command, Outcome
from tests.lite import lively_instances

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


def save_folder(root: Path, *images: np.ndarray) -> Path:
    """A folder with these images in order."""
    root.mkdir()
    for t, image in enumerate(images):
        Image.fromarray(image).save(root / f"{t}.png")
    return root


def test_an_unreadable_image_stops_or_is_passed_over(find: Command, tmp_path: Path) -> None:
    source = save_folder(tmp_path / "in", *FRAMES[:6])
    (source / "4.png").write_bytes(b"torn")
    complaint = find(source).complaint
    assert "4.png: unreadable image" in complaint
    assert "frames read before it: 4" in complaint
    outcome = find(source, "--resume", "--on-damage", "skip")
    assert outcome.code == 0, outcome.err
    assert names_in(tmp_path / "out" / "masks") == [f"{t}.png" for t in (0, 1, 2, 3, 5)]
