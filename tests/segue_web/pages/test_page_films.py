"""Times and shapes of the page are those of the file, in a real Chromium."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from tests.segue_web.chromium import needs_chromium
from tests.segue_web.conftest import ServeHere
from tests.segue_web.pages.page import Page, playwright
from tests.segue_web.pages.test_page_edits import saved
from tests.segue_web.videos import numbered, write_video

pytestmark = needs_chromium


def test_the_clock_shows_the_times_of_a_file_whose_rate_varies(
    serve_here: ServeHere,
    browser: Any,
    tmp_path: Path,
) -> None:
    ticks = [0, 40, 80, 1000, 1040, 1080, 2500, 2600]
    video = write_video(tmp_path / "phone.mp4", numbered(8), ticks=ticks)
    address = serve_here("annotate", video, "--project", tmp_path / "p", "--device", "cpu")
    page = Page(browser, address)
    for index in (3, 6, 7):
        page.go(index)
        playwright.expect(page.page.locator("#clock")).to_contain_text(f"00:0{ticks[index] / 1000:.2f} /")
    assert page.errors == []


def test_wide_pixels_are_shown_wide_and_clicked_where_they_are(
    serve_here: ServeHere,
    browser: Any,
    tmp_path: Path,
) -> None:
    path = tmp_path / "pal.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.height, stream.width, stream.pix_fmt = 96, 120, "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(2, 1)
        for _ in range(3):
            image = np.full((96, 120, 3), 90, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))
    page = Page(browser, serve_here("annotate", path, "--project", tmp_path / "p", "--device", "cpu"))
    places = page.page.evaluate(
        """() => import("./static/view.js").then(({ view: { canvas, scale, offset } }) => {
          const box = canvas.getBoundingClientRect();
          const at = (x, y) => [
            box.left + ((x * scale + offset.x) * box.width) / canvas.width,
            box.top + ((y * scale + offset.y) * box.height) / canvas.height,
          ];
          return [at(0, 0), at(60, 48), at(90, 48), at(120, 96)];
        })"""
    )
    (left, top), start, end, (right, bottom) = places
    assert (right - left) / (bottom - top) == pytest.approx(2 * 120 / 96, rel=0.02)
    page.key("b")
    page.page.mouse.move(*start)
    page.page.mouse.down()
    page.page.mouse.move(*end, steps=3)
    page.page.mouse.up()
    page.here("Object 1: corrected by you")
    page.page.locator("#saved", has_text="Saved").wait_for()

    [masks] = saved(path, tmp_path / "p", 0)
    columns = np.flatnonzero(masks[1][48])
    assert columns.min() == pytest.approx(60 - 12, abs=2), "a brush of 24 pixels"
    assert columns.max() == pytest.approx(90 + 12, abs=2)
    assert page.errors == []
