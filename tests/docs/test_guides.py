"""Every guide has the same sections in the same order, so that a reader knows where to look."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"

GUIDES = (
    "tracking",
    "foreground",
    "instances",
    "detection",
    "annotate",
    "batch",
    "evaluation",
    "training",
    "synth",
    "export",
    "datasets",
)

SECTIONS = [
    "What it does",
    "One command",
    "What it looks like",
    "Options",
    "In Python",
    "Formats",
    "Troubleshooting",
]

FURTHER = ["Measured", "How it works"]
"""What may follow, in this order."""


def sections(guide: str) -> dict[str, str]:
    """Text below each heading of the second level, by the heading."""
    page = (DOCS / f"{guide}.md").read_text(encoding="utf-8")
    prose = re.sub(r"^```.*?^```$", lambda code: code[0].replace("\n#", "\n #"), page, flags=re.M | re.S)
    parts = re.split(r"^## (.+)$", prose, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


@pytest.mark.parametrize("guide", GUIDES)
def test_guides_have_their_sections_in_one_order(guide: str) -> None:
    found = list(sections(guide))
    assert found[: len(SECTIONS)] == SECTIONS
    further = found[len(SECTIONS) :]
    assert further == [name for name in FURTHER if name in further]


@pytest.mark.parametrize("guide", GUIDES)
def test_no_section_of_a_guide_is_empty(guide: str) -> None:
    assert [name for name, text in sections(guide).items() if not text.strip()] == []


@pytest.mark.parametrize("guide", GUIDES)
def test_guides_show_a_command_and_what_comes_of_it(guide: str) -> None:
    found = sections(guide)
    assert re.search(r"^(?:segue|pip) ", found["One command"], re.MULTILINE)
    assert re.search(r"^(?:!\[.+\]\(images/.+\)|```text)$", found["What it looks like"], re.MULTILINE)
