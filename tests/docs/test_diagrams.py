"""The diagrams of the docs are what tools/diagrams.py draws."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

import segue
from tools.diagrams import DIAGRAMS, svg

DOCS = Path(segue.__file__).parents[2] / "docs"
pytestmark = pytest.mark.skipif(not DOCS.exists(), reason="the docs are not beside the package")


@pytest.mark.parametrize("name", DIAGRAMS)
def test_a_committed_diagram_is_the_one_that_the_script_draws_and_a_page_shows_it(name: str) -> None:
    text = (DOCS / "images" / "diagrams" / f"{name}.svg").read_text("utf-8")
    assert text == svg(DIAGRAMS[name])
    assert ElementTree.fromstring(text).tag.endswith("svg")
    page = next(path for path in (DOCS / "systems" / f"{name}.md", DOCS / f"{name}.md") if path.exists())
    assert f"images/diagrams/{name}.svg)" in page.read_text("utf-8")


def test_no_system_is_without_a_diagram() -> None:
    assert {path.stem for path in (DOCS / "systems").glob("*.md")} <= DIAGRAMS.keys()
