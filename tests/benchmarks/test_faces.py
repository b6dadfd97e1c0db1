"""The benchmark of the faces: all four run, and their masks are the same bytes."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).resolve().parents[2] / "benchmarks"))  # scripts find their siblings so

import faces


@pytest.mark.slow
def test_each_face_writes_the_same_masks(tmp_path: Path) -> None:
    found = []
    for number, words in enumerate(faces.FACES.values()):
        assert faces.processor_seconds(words(3, tmp_path / str(number))) > 0
        found.append(faces.masks(tmp_path / str(number)))
    assert len(found[0]) == 3
    assert all(other == found[0] for other in found[1:])


def test_a_face_that_fails_ends_the_benchmark_with_its_message(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="not in the film"):
        faces.processor_seconds(["-c", "raise SystemExit('not in the film')"])
