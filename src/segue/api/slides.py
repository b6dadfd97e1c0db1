"""Results in a notebook, with a slider."""

from __future__ import annotations

import base64
import html
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from segue.errors import SegueError
from segue.types import Segmentation
from segue.utils.files import write_complete
from segue.utils.inputs import check_number, user_path

MAX_SLIDES = 200
"""Frames that are shown at most."""

WIDTH = 640
"""Largest width of the images, in pixels."""

QUALITY = 85


@dataclass(frozen=True, slots=True)
class _Slide:
    """A rendered frame."""

    jpeg: bytes
    caption: str


class Slides:
    """Rendered results for a notebook: one at a time, with a slider."""

    def __init__(self, slides: list[_Slide]) -> None:
        self._slides = slides

    @classmethod
    def of(cls, results: Iterable[Segmentation], *, most: int = MAX_SLIDES, width: int = WIDTH) -> Slides:
        """Draw evenly spaced results; memory does not grow with their number.

        Args:
            results: results that have images.
            most: maximum number of frames.
            width: maximum width of the images, in pixels.

        Returns:
            The frames.

        Raises:
            SegueError: there are no results, or they have no images.
        """
        check_number("most", most, minimum=1, whole=True)
        check_number("width", width, minimum=16, whole=True)
        slides, every = list[_Slide](), 1
        for number, result in enumerate(results):
            if number % every:
                continue
            if len(slides) == most:
                slides, every = slides[::2], 2 * every
                if number % every:
                    continue
            slides.append(_slide(result, width))
        if not slides:
            raise SegueError("there are no results to show")
        return cls(slides)

    def __len__(self) -> int:
        """Number of frames."""
        return len(self._slides)

    def __repr__(self) -> str:
        return f'<{len(self)} frames: shown by a notebook, or save("results.html") and open that>'

    def _repr_html_(self) -> str:
        images = [
            f'<img title="{html.escape(each.caption)}" style="max-width:100%;display:'
            f'{"none" if number else "block"}" src="data:image/jpeg;base64,'
            f'{base64.b64encode(each.jpeg).decode()}">'
            for number, each in enumerate(self._slides)
        ]
        # Notebooks run the handlers of elements, but not the scripts of all outputs.
        change = (
            "const box=this.parentNode;box.querySelectorAll('img').forEach((image,number)=>{"
            "const shown=number==this.value;image.style.display=shown?'block':'none';"
            "if(shown)box.querySelector('output').textContent=image.title})"
        )
        first = html.escape(self._slides[0].caption)
        return (
            f'<div style="max-width:{WIDTH}px"><input type="range" min="0" max="{len(self) - 1}" value="0" '
            f'aria-label="Frame" style="width:100%" oninput="{html.escape(change)}">'
            f"<output>{first}</output>{''.join(images)}</div>"
        )

    def save(self, path: str | Path) -> Path:
        """Write a page that any browser shows.

        Args:
            path: the file, such as ``results.html``; an existing one is replaced.

        Returns:
            The file.

        Raises:
            SinkError: it cannot be written.
        """
        page = f"<!doctype html><meta charset=utf-8><title>Results</title>{self._repr_html_()}"
        write_complete(user_path(path), page.encode())
        return user_path(path)


def _slide(result: Segmentation, width: int) -> _Slide:
    image = result.plot()
    if image.shape[1] > width:
        height = max(1, round(image.shape[0] * width / image.shape[1]))
        image = np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
    coded = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), (cv2.IMWRITE_JPEG_QUALITY, QUALITY))[
        1
    ]
    objects = ", ".join(f"{item.id} {item.label or ''}".strip() for item in result.objects if item.area)
    caption = f"frame {result.index}, {result.time:.2f} s: {objects or 'no object'}"
    return _Slide(coded.tobytes(), caption)
