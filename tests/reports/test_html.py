"""Pages are whole, need nothing else, and show names as they are."""

from __future__ import annotations

import base64
import io
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segue.metrics.compare import compare
from segue.metrics.evaluation import FrameView
from segue.reports import write_comparison, write_report
from segue.reports.html import WORST
from segue.reports.images import COLOURS
from tests.reports.making import HEIGHT, WIDTH, evaluation, view

VOID = {"meta", "img", "link", "br", "hr", "input"}
HOSTILE = '<script>alert("x")</script>&amp;\'"><img src=x onerror=y>'


class Page(HTMLParser):
    """Reads a page and checks that all elements are closed in the order in which they were opened."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    @property
    def addresses(self) -> list[str]:
        return [
            value
            for name, value in self.attributes
            if name in ("src", "href", "srcset", "data", "xlink:href")
        ]


def read(path: Path) -> Page:
    return Page(path.read_text(encoding="utf-8"))


def test_page_holds_protocol_scores_remarks_and_facts(tmp_path: Path) -> None:
    write_report(evaluation({"bear": 0.75, "camel": 0.5}), tmp_path / "r.html", about={"results": "mine.zip"})
    page = read(tmp_path / "r.html")
    words = " ".join(page.texts)
    for expected in (
        "a protocol, val",
        "something to know",
        "mine.zip",
        "bear",
        "0.7500",
        "0.6250",
        "bear_1",
    ):
        assert expected in words


def test_page_needs_no_other_file_and_no_script(tmp_path: Path) -> None:
    write_report(evaluation({"bear": 0.75}), tmp_path / "r.html")
    page = read(tmp_path / "r.html")
    assert page.addresses
    assert all(address.startswith("data:image/jpeg;base64,") for address in page.addresses)
    assert not {"script", "link", "iframe", "object", "embed"}.intersection(page.tags)
    assert not re.search(r"url\(|@import|https?://", (tmp_path / "r.html").read_text(encoding="utf-8"))


def test_hostile_names_stay_text(tmp_path: Path) -> None:
    plain = evaluation({"bear": 0.75})
    hostile = evaluation({HOSTILE: 0.75}, protocol=HOSTILE, remarks=(HOSTILE,))
    write_report(plain, tmp_path / "plain.html", about={"results": "x"})
    write_report(hostile, tmp_path / "hostile.html", about={"results": HOSTILE})
    page = read(tmp_path / "hostile.html")
    assert page.tags == read(tmp_path / "plain.html").tags
    assert any(HOSTILE in text for text in page.texts)


def test_worst_frames_are_images_at_most_two_of_a_sequence(tmp_path: Path) -> None:
    write_report(evaluation({f"s{i}": 0.5 + i / 100 for i in range(20)}), tmp_path / "r.html")
    page = read(tmp_path / "r.html")
    captions = [value for name, value in page.attributes if name == "alt"]
    assert len(captions) == len(page.addresses) == 3 * WORST
    first = [f"{panel} of s0, frame 00002: J 0.2500" for panel in ("truth", "result", "errors")]
    assert captions[:4] == [*first, "truth of s1, frame 00002: J 0.2550"]
    image = Image.open(io.BytesIO(base64.b64decode(page.addresses[0].partition(",")[2])))
    assert image.size == (7 * WIDTH, 7 * HEIGHT)


def test_page_appears_only_when_it_is_complete(tmp_path: Path) -> None:
    (tmp_path / "r.html").write_text("before")

    def fail(sequence: str, frame: str) -> FrameView:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        write_report(evaluation({"bear": 0.75}, view=fail), tmp_path / "r.html")
    assert [path.name for path in tmp_path.iterdir()] == ["r.html"]
    assert (tmp_path / "r.html").read_text() == "before"


def test_comparison_shows_both_results_and_the_interval(tmp_path: Path) -> None:
    both = compare(
        evaluation({"bear": 0.75, "cat": 0.5}), evaluation({"bear": 0.8, "cat": 0.65}), names=(HOSTILE, "new")
    )
    write_comparison(both, tmp_path / "c.html")
    words = " ".join(read(tmp_path / "c.html").texts)
    for expected in (HOSTILE, "new", "+0.0500", "+0.1500", "+0.1000", "10,000 resamples", "only 2 sequences"):
        assert expected in words


def test_comparison_shows_the_frames_that_differ_most(tmp_path: Path) -> None:
    def empty(sequence: str, frame: str) -> FrameView:
        return replace(view(sequence, frame), result=np.zeros((HEIGHT, WIDTH), np.uint8))

    both = compare(
        evaluation({"bear": 0.75, "cat": 0.5}),
        evaluation({"bear": 0.8, "cat": 0.65}, view=empty),
        names=("a", "b"),
    )
    write_comparison(both, tmp_path / "c.html")
    page = read(tmp_path / "c.html")
    captions = [value for name, value in page.attributes if name == "alt"]
    assert captions[:3] == [
        f"{name} of cat, frame 00001: J 0.5000, 0.6500 (+0.1500)" for name in ("truth", "a", "b")
    ]
    assert [caption.partition(" of ")[2].partition(":")[0] for caption in captions[3::3]] == [
        "cat, frame 00002",
        "bear, frame 00001",
        "bear, frame 00002",
    ]
    images = [
        np.asarray(Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2]))), float)
        for address in page.addresses[:3]
    ]
    missed = slice(7 * 12, 7 * 18), slice(7 * 22, 7 * 28)  # by b alone
    assert [np.abs(image[missed] - COLOURS["false negative"]).mean() < 9 for image in images] == [
        False,
        False,
        True,
    ]
