"""Axes of multi-page TIFF files, from the descriptions of ImageJ and OME."""

from __future__ import annotations

import re
from dataclasses import dataclass

from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile

DESCRIPTION = 270
"""Tag of TIFF: a text."""

_MAX_BYTES = 1 << 20
_NAMES = {"C": "channels|SizeC", "Z": "slices|SizeZ", "T": "frames|SizeT"}
_ORDER = re.compile(r'\bDimensionOrder="XY([CZT]{3})"')
_IMAGEJ = "CZT"


@dataclass(frozen=True, slots=True)
class StackAxes:
    """Order of the pages along channels, slices and times.

    Attributes:
        channels, slices, times: sizes of the axes, 1 where the file names none.
        order: the letters C, Z and T, the axis first along which the next page lies.
    """

    channels: int
    slices: int
    times: int
    order: str = _IMAGEJ

    @classmethod
    def of(cls, image: Image.Image) -> StackAxes:
        """Read the axes from the description of an image."""
        text = str(image.tag_v2.get(DESCRIPTION, ""))[:_MAX_BYTES] if isinstance(image, TiffImageFile) else ""
        sizes = [re.search(rf'\b(?:{names})="?([0-9]{{1,6}})\b', text) for names in _NAMES.values()]
        channels, slices, times = (1 if size is None else max(1, int(size[1])) for size in sizes)
        order = _ORDER.search(text)
        has_names = order is not None and len({*order[1]}) == len(_NAMES)
        return cls(channels, slices, times, order[1] if order is not None and has_names else _IMAGEJ)

    @property
    def text(self) -> str:
        """Describe the axes, such as ``2 slices at 12 times``; empty if pages are times."""
        counts = [(self.channels, "channels"), (self.slices, "slices")]
        axes = [f"{count} {name}" for count, name in counts if count > 1]
        return f"{', '.join(axes)} at {self.times} times" if axes and self.times > 1 else ""

    def pages_of_frames(self, count: int) -> list[list[int]] | None:
        """Pages of each frame: first channel, all slices; slices without times are frames.

        Args:
            count: pages of the file.

        Returns:
            Numbers of pages, a list for each frame; None where the axes do not explain the number of pages,
            or each page is a frame.
        """
        sizes = {"C": self.channels, "Z": self.slices, "T": self.times}
        if self.channels * self.slices * self.times != count:
            return None
        frames, other = ("T", "Z") if self.times > 1 else ("Z", "T")
        if sizes[frames] == 1 or sizes[frames] == count:
            return None
        steps, step = dict[str, int](), 1
        for axis in self.order:
            steps[axis], step = step, step * sizes[axis]
        return [
            [frame * steps[frames] + each * steps[other] for each in range(sizes[other])]
            for frame in range(sizes[frames])
        ]
