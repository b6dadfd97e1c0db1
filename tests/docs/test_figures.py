"""A figure that two pages give is the same on both."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"

pytestmark = pytest.mark.skipif(not DOCS.exists(), reason="not beside the documentation")


def test_the_comparison_with_other_subtractors_is_that_of_the_table() -> None:
    rows = (DOCS / "systems" / "mustan-lite.md").read_text("utf-8").splitlines()
    names = next(row for row in rows if row.startswith("| F | mustan-lite |")).split("|")
    means = next(row for row in rows if row.startswith("| **mean** |")).split("|")
    table = {name.strip(): mean.strip() for name, mean in zip(names, means, strict=True)}
    (told,) = re.findall(r"mean F of .*?CNT 0\.\d+", (DOCS / "others.md").read_text("utf-8"))
    found = re.findall(r"(KNN|GSOC|MOG2|LSBP|CNT) (0\.\d+)", told)
    found += [("mustan-lite", value) for value in re.findall(r"scenes (0\.\d+)", told)]
    assert len(found) == 6
    assert {name: table[name] for name, _ in found} == dict(found)


@pytest.mark.parametrize(
    ("row", "page"),
    [
        ("stcn-lite", "systems/stcn-lite.md"),
        ("segue-prompt", "systems/segue-prompt.md"),
        ("mustan-lite", "systems/mustan-lite.md"),
        ("nanodet and stcn-lite", "instances.md"),
    ],
)
def test_figures_of_the_readme_are_on_the_page_of_the_network(row: str, page: str) -> None:
    lines = (ROOT / "README.md").read_text("utf-8").splitlines()
    (values,) = (line.split("|")[-2] for line in lines if line.startswith(f"| {row} |"))
    text = (DOCS / page).read_text("utf-8")
    for card in re.findall(r'^--8<-- "(.+)"', text, re.MULTILINE):
        text += (ROOT / card).read_text("utf-8")
    figures = re.findall(r"0?\.\d+", values)
    assert figures
    assert not [figure for figure in figures if figure not in text]
