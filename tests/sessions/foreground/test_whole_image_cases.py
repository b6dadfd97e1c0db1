"""Films of ``shared/cases`` in which the whole image changes: infrared, presets, a cut, a slow turn."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import segue
from segue.types import Segmentation

pytestmark = pytest.mark.slow

SECOND = 25
"""Frames after a change that may have no foreground."""


def made(shared: Path, case: str, folder: Path) -> Path:
    """The folder with the films of a case."""
    script = next((shared / "cases").glob(f"{case}-*/make.py"))
    subprocess.run(
        [sys.executable, script], cwd=folder, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    return folder


def results_of(film: Path) -> list[Segmentation]:
    return list(segue.foreground(film, passes=1, objects=True, device="cpu"))


def ids_of(results: list[Segmentation]) -> set[int]:
    return {item.id for result in results for item in result.objects}


def f_of(results: list[Segmentation], truth: np.ndarray) -> float:
    found = np.stack([result.mask > 0 for result in results])
    return float(2 * (found & (truth > 0)).sum() / (found.sum() + (truth > 0).sum()))


def test_after_a_switch_to_infrared_the_person_alone_is_found(shared: Path, tmp_path: Path) -> None:
    folder = made(shared, "19", tmp_path)
    colourful = results_of(folder / "cam.mp4")
    assert ids_of(colourful[:200]) == set(), "nobody is there"
    assert len(ids_of(colourful)) == 1
    assert f_of(colourful, np.load(folder / "truth.npy")) > 0.9
    calm = results_of(folder / "calm.mp4")
    assert ids_of(calm[:130]) == set(), "nobody is there"
    assert f_of(calm, np.load(folder / "truth_calm.npy")) > 0.6
    assert max((result.mask > 0).mean() for result in calm) < 0.05


def test_a_camera_that_tours_presets_finds_the_person_alone(shared: Path, tmp_path: Path) -> None:
    folder = made(shared, "22", tmp_path)
    tour = results_of(folder / "ptz.mp4")
    assert len(ids_of(tour)) == 1
    assert f_of(tour, np.load(folder / "truth.npy")) > 0.85
    assert not any(result.mask.any() for result in results_of(folder / "cut.mp4"))
    turned = results_of(folder / "slow.mp4")
    assert not any(result.mask.any() for result in turned[100 + SECOND :])
    assert ids_of(turned) == set()
