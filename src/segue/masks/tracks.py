"""Masks of one object through a video, as run lengths that are decoded on demand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from segue.errors import DatasetError
from segue.masks.rle import (
    check_runs,
    check_size,
    compress_runs,
    decode_rle,
    encode_rle,
    fill_polygons,
    rle_area,
    rle_box,
)

Forms = Literal["any", "compressed"]
"""Allowed forms of a mask: polygons, a list or a string of run lengths; or only a string."""


@dataclass(frozen=True, slots=True, eq=False)
class RleTrack:
    """Masks of one object, one per frame; created and validated by :meth:`parse`."""

    size: tuple[int, int]  # height and width of all frames
    counts: tuple[bytes | None, ...]  # compressed run lengths by frame; None where the object is absent
    areas: npt.NDArray[np.int64]  # pixels by frame, (T,)

    @classmethod
    def parse(cls, segmentations: Sequence[Any], size: tuple[int, int], *, forms: Forms = "any") -> RleTrack:
        """Validate a ``segmentations`` list of YouTube-VIS."""
        check_size(*size)
        counts: list[bytes | None] = []
        for t, entry in enumerate(segmentations):
            try:
                counts.append(_compress(entry, size, forms) if entry else None)
            except DatasetError as error:
                raise DatasetError(f"segmentations[{t}]: {error}") from None
        pixels = size[0] * size[1]
        present = [t for t, entry in enumerate(counts) if entry is not None]
        texts = [entry for entry in counts if entry is not None]
        try:
            canonical = check_runs(texts, pixels)
        except DatasetError:
            _complain(dict(zip(present, texts, strict=True)), pixels)
            raise
        for i in np.flatnonzero(~canonical):
            decoded = decode_rle({"size": list(size), "counts": texts[i]})
            counts[present[i]] = encode_rle(decoded)["counts"].encode("ascii")
        areas = np.zeros(len(counts), np.int64)
        areas[present] = [rle_area({"size": list(size), "counts": counts[t]}) for t in present]
        areas.setflags(write=False)
        return cls(size, tuple(counts), areas)

    def __len__(self) -> int:
        return len(self.counts)

    def rle(self, frame: int) -> dict[str, Any]:
        """Run lengths of a frame, in pycocotools' form."""
        counts = self.counts[frame]
        if counts is None:
            raise DatasetError(f"the object is absent on frame {frame}; it has no mask there")
        return {"size": list(self.size), "counts": counts}

    def decode(self, frame: int) -> npt.NDArray[np.bool_]:
        """Mask of a frame. Returns (H, W), bool."""
        if self.counts[frame] is None:
            return np.zeros(self.size, np.bool_)
        return decode_rle(self.rle(frame))

    def box(self, frame: int) -> npt.NDArray[np.float32]:
        """Tight box ``(x0, y0, x1, y1)`` of a frame in pixels, exclusive at the far side, (4,), float32."""
        if not self.areas[frame]:
            return np.zeros(4, np.float32)
        return np.array(rle_box(self.rle(frame)), np.float32)

    @property
    def mean_area(self) -> float:
        """Mean area over the frames that show the object; 0 if none does."""
        areas = self.areas[self.areas > 0]
        return float(areas.mean()) if len(areas) else 0.0


def _compress(entry: Any, size: tuple[int, int], forms: Forms) -> bytes:
    """Compress run lengths; those given compressed are not validated yet."""
    if isinstance(entry, list) and forms == "any":
        return fill_polygons(entry, size)
    if not isinstance(entry, dict) or not {"size", "counts"} <= entry.keys():
        raise DatasetError('not a mask; give {"size": [height, width], "counts": ...} or null')
    if entry["size"] != list(size):
        raise DatasetError(
            f"size is {entry['size']!r}, that of the video {list(size)} (height, width); they must agree"
        )
    counts = entry["counts"]
    if isinstance(counts, str):
        return counts.encode("utf-8", errors="surrogatepass")  # the check refuses all that is not ASCII
    if isinstance(counts, bytes):
        return counts
    if isinstance(counts, list) and forms == "any":
        return compress_runs(counts, size)
    raise DatasetError(f"counts are a {type(counts).__name__}; they must be a string of COCO run lengths")


def _complain(texts: dict[int, bytes], pixels: int) -> None:
    """Raise an error that names the first damaged frame."""
    for t, text in texts.items():
        try:
            check_runs([text], pixels)
        except DatasetError as error:
            raise DatasetError(f"segmentations[{t}]: {error}") from None
