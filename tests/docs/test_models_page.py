"""The model zoo lists every network."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from segue.registry import MODELS

PAGE = Path(__file__).resolve().parent.parent.parent / "docs" / "models.md"


@pytest.mark.skipif(not PAGE.exists(), reason="the documentation is not installed with the package")
def test_the_page_lists_every_network_of_ours() -> None:
    rows = set(re.findall(r"^\| [\[`]([\w+.-]+)[\]`]", PAGE.read_text(encoding="utf-8"), re.MULTILINE))
    ours = {
        entry.name
        for entry in MODELS
        if entry.signature is not None and entry.task != "features" and not entry.packages
    }
    assert rows == ours
