"""The view of an object that a name is asked for."""

from __future__ import annotations

import numpy as np
import pytest

from segue.events.images.best_views import BestViews
from segue.types import Box, Frame, Image

SIZE = 200, 300
INSIDE: Box = (100, 80, 140, 110)
CUT = {
    "left": (0, 80, 40, 110),
    "top": (100, 0, 140, 30),
    "right": (260, 80, 300, 110),
    "bottom": (9, 170, 49, 200),
}


class Looks:
    """Names what it is shown and notes the brightness of each view and the box in it."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, Box]] = []

    def __call__(self, image: Image, box: Box) -> tuple[str, float]:
        self.seen.append((int(image[0, 0, 0]), box))
        return f"look {len(self.seen)}", 0.5 + 0.1 * len(self.seen)


def see(views: BestViews, level: int, box: Box, area: int) -> None:
    views.update(Frame(level, level / 10, np.full((*SIZE, 3), level, np.uint8)), 7, box, area, SIZE)


@pytest.mark.parametrize("side", CUT)
def test_an_object_that_the_border_cuts_counts_half(side: str) -> None:
    looks = Looks()
    views = BestViews(looks)
    see(views, 1, INSIDE, 1000)
    see(views, 2, CUT[side], 1900)
    assert views.name(7) == ("look 1", 0.6)
    assert looks.seen[0][0] == 1


def test_a_much_larger_view_is_looked_at_again_and_a_hardly_larger_one_is_not() -> None:
    looks = Looks()
    views = BestViews(looks)
    see(views, 1, INSIDE, 1000)
    assert views.name(7) == views.name(7) == ("look 1", 0.6)
    see(views, 2, INSIDE, 1100)
    assert views.name(7) == ("look 1", 0.6)
    see(views, 3, INSIDE, 1300)
    assert views.name(7) == ("look 2", 0.7)
    assert [level for level, _ in looks.seen] == [1, 3]
    views.forget(7)
    assert views.name(7) is None


def test_a_view_shows_the_surroundings_and_tells_where_the_object_is_in_it() -> None:
    looks = Looks()
    views = BestViews(looks)
    see(views, 1, INSIDE, 1000)
    views.name(7)
    assert looks.seen[0][1] == INSIDE, "eight times the longer side is more than the image"
    near = (120, 90, 130, 95)
    views.update(Frame(0, 0.0, np.zeros((*SIZE, 3), np.uint8)), 8, near, 50, SIZE)
    views.name(8)
    left, top = 125 - 40, 92 - 40  # eight times the longer side, 80 pixels, around the middle
    assert looks.seen[1][1] == (120 - left, 90 - top, 130 - left, 95 - top)


def test_views_of_large_images_are_reduced() -> None:
    sizes = list[tuple[int, ...]]()

    def name(image: Image, box: Box) -> tuple[str, float]:
        sizes.append((*image.shape[:2], *(round(side) for side in box)))
        return "car", 0.9

    views = BestViews(name)
    frame = Frame(0, 0.0, np.zeros((2160, 3840, 3), np.uint8))
    views.update(frame, 1, (1720, 980, 2120, 1180), 80000, frame.size)
    views.name(1)
    assert sizes == [(864, 1280, 560, 392, 720, 472)]
