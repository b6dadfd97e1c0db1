"""The page of inputs lists the endings that the readers take."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from segue.video.sources.dicom import DICOM_SUFFIXES
from segue.video.sources.kinds import IMAGE_SUFFIXES, LIST_SUFFIXES, VIDEO_SUFFIXES

PAGE = Path(__file__).resolve().parents[2] / "docs/inputs.md"


@pytest.mark.parametrize(
    ("row", "suffixes"),
    [
        ("video", VIDEO_SUFFIXES),
        ("image", IMAGE_SUFFIXES),
        ("DICOM", DICOM_SUFFIXES),
        ("list", LIST_SUFFIXES),
    ],
)
def test_a_row_has_the_endings_of_its_reader(row: str, suffixes: frozenset[str]) -> None:
    line = next(line for line in PAGE.read_text("utf-8").splitlines() if line.startswith(f"| {row} |"))
    assert re.findall(r"`(\.\w+)`", line) == sorted(suffixes)
