"""Strips of frames as in figures of papers: one column per frame, image above results."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import cv2
import numpy as np

from segue.masks import overlay
from segue.metrics.evaluation import Evaluation, FrameView
from segue.reports.images import changed_frames, colour_errors, worst_frames
from segue.types import Image
from segue.video.sources.images import write_image

Strip = Literal["masks", "errors"]
"""Objects over the image; or false positives in green and false negatives in orange."""

WIDTH = 320
"""Width of an image of a strip, in pixels."""

MAX_FRAMES = 5
"""Frames of a strip at most."""


def draw_strips(evaluations: Mapping[str, Evaluation], kind: Strip, folder: Path) -> list[Path]:
    """Draw a strip per sequence of the frames on which the first and the last row differ most.

    Args:
        evaluations: by the name of their row, from top to bottom.
        kind: kind of drawing.
        folder: folder for the images, ``SEQUENCE.png``.

    Returns:
        The images.
    """
    first, *_, last = [*evaluations.values()] * 2
    paths = []
    for name in first.series:
        if any(name not in each.series or each.view is None for each in evaluations.values()):
            continue
        frames = _frames(first, last, name)
        if not frames:
            continue
        columns = [
            _column({row: each.view(name, frame) for row, each in evaluations.items() if each.view}, kind)
            for frame in frames
        ]
        height = max(column.shape[0] for column in columns)
        padded = [np.pad(each, ((0, height - len(each)), (0, 4), (0, 0))) for each in columns]
        path = folder / f"{name.replace('/', '-')}.png"
        write_image(path, np.concatenate(padded, axis=1))
        paths.append(path)
    return paths


def _frames(first: Evaluation, last: Evaluation, sequence: str) -> list[str]:
    """Frames of a sequence in order."""
    one, other = ({sequence: each.series[sequence]} for each in (first, last))
    changed = [item.frame for item in changed_frames(one, other, MAX_FRAMES)] if first is not last else []
    names = changed or [item.frame for item in worst_frames(one, MAX_FRAMES)]
    order = {name: place for place, name in enumerate(next(iter(one[sequence].values())).frames)}
    return sorted(dict.fromkeys(names), key=order.__getitem__)


def _column(views: Mapping[str, FrameView], kind: Strip) -> Image:
    """Image of a frame above the named results of each row."""
    some = next(iter(views.values()))
    image = np.zeros((*some.truth.shape, 3), np.uint8) if some.image is None else some.image
    panels = [panel(image, "")]
    for name, view in views.items():
        image_panel = colour_errors(view) if kind == "errors" else overlay(image, view.result, ids=False)
        panels.append(panel(image_panel, name))
    return np.concatenate(panels)


def panel(image: Image, text: str) -> Image:
    """Resize an image to the width of a strip, with a name in its corner."""
    height = max(round(image.shape[0] * WIDTH / image.shape[1]), 1)
    resized = np.ascontiguousarray(cv2.resize(image, (WIDTH, height), interpolation=cv2.INTER_AREA), np.uint8)
    for colour, thickness in (((0, 0, 0), 3), ((255, 255, 255), 1)):
        cv2.putText(resized, text, (6, 16), cv2.FONT_HERSHEY_SIMPLEX, 0.42, colour, thickness, cv2.LINE_AA)
    return resized
