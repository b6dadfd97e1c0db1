"""The table of formats in the docs is what the formats say of themselves."""

from __future__ import annotations

from pathlib import Path

import pytest

import segue
from segue.cli.data import FORMATS_HEADER, format_rows
from segue.registry import FORMATS

PAGE = Path(segue.__file__).parents[2] / "docs" / "formats.md"
pytestmark = pytest.mark.skipif(not PAGE.exists(), reason="the docs are not beside the package")


def markdown() -> str:
    """The table as the page has it."""
    lines = [FORMATS_HEADER, ("---",) * len(FORMATS_HEADER)]
    own = {*FORMATS.names} - {*FORMATS.added}
    lines += [
        (f"`{name}`", title, f"`{file}`", *rest)
        for name, title, file, *rest in format_rows()
        if name.partition(" ")[0] in own
    ]
    return "\n".join("|" + "".join(f" {cell} |" if cell else " |" for cell in line) for line in lines)


def test_the_table_of_formats_is_made_from_what_they_hold() -> None:
    assert markdown() in PAGE.read_text("utf-8")
