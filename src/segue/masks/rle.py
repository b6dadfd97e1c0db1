"""Run lengths of masks, validated before pycocotools, which trusts its input.

A mask is cut into runs down its columns, the first one of zeros. COCO stores them as a list of integers, or
as a string: every number in groups of five bits, lowest first, one character 48 + value each, with 32 added
while more follow; from the fourth number on the difference to the number two places before is stored.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypedDict

import numpy as np
import numpy.typing as npt

from segue.errors import DatasetError
from segue.utils.arrays import Box, IndexMask, whole_mask

MAX_PIXELS = 2**26
"""Maximum accepted image, 8192×8192: sizes in foreign files must not control memory."""

_MAX_NUMBER_LENGTH = 6
"""Characters of a number; six hold every difference of two runs of an image of `MAX_PIXELS`."""

_SIGNED = np.where(np.arange(64) & 16, np.arange(64) % 32 - 32, np.arange(64) % 32).astype(np.int32)
"""Value of the last five bits of a number; the highest of them is the sign."""


def check_size(height: object, width: object) -> tuple[int, int]:
    """Check height and width from a file."""
    if not (isinstance(height, int) and isinstance(width, int) and height > 0 and width > 0):
        raise DatasetError(f"size {height!r} x {width!r} (height x width) is not two positive integers")
    if height * width > MAX_PIXELS:
        raise DatasetError(f"size {height} x {width} (height x width) is beyond {MAX_PIXELS} pixels")
    return height, width


def check_runs(counts: Sequence[bytes], pixels: int) -> npt.NDArray[np.bool_]:
    """Whether run lengths have no empty runs inside, at which pycocotools may stop early."""
    if not counts:
        return np.zeros(0, np.bool_)
    if not all(counts):
        raise DatasetError("run lengths are empty")
    ends = np.cumsum([len(text) for text in counts])
    # Bytes below 48 wrap around, so one comparison finds them and those beyond 48 + 63.
    digits = np.frombuffer(b"".join(counts), np.uint8) - np.uint8(48)
    if digits.max() > 63:
        raise DatasetError("run lengths hold a character that is none of COCO's; they must be a COCO string")
    if (digits[ends - 1] >= 32).any():
        raise DatasetError("run lengths end in the middle of a number; the string is cut off")
    stops = np.flatnonzero(digits < 32)
    last = np.searchsorted(stops, ends - 1)
    first = np.concatenate([[0], last[:-1] + 1])
    runs = _undo_differences(_numbers(digits, stops), first)
    if (
        runs.min() < 0
        or runs.max() > pixels
        or (np.add.reduceat(runs, first, dtype=np.int64) != pixels).any()
    ):
        raise DatasetError(f"run lengths do not add up to the {pixels} pixels of the frame")
    empty = runs == 0
    empty[first] = empty[last] = False
    return ~np.logical_or.reduceat(empty, first)


def _numbers(digits: npt.NDArray[np.uint8], stops: npt.NDArray[np.intp]) -> npt.NDArray[np.int32]:
    """Parse the numbers that end at ``stops``."""
    values = _SIGNED[digits[stops]]
    longer = np.flatnonzero(np.diff(stops, prepend=-1) > 1)
    place = stops[longer]
    for _ in range(_MAX_NUMBER_LENGTH - 1):
        place = place - 1
        values[longer] = values[longer] * 32 + (digits[place] & 31)
        more = np.flatnonzero((place > 0) & (digits[place - 1] >= 32))
        longer, place = longer[more], place[more]
        if not len(longer):
            return values
    raise DatasetError("run lengths hold a number that is too large for any frame")


def _undo_differences(values: npt.NDArray[np.int32], first: npt.NDArray[np.intp]) -> npt.NDArray[np.int32]:
    """Runs of masks that begin at ``first``, from COCO's differences."""
    sums = np.empty_like(values)
    for half in (0, 1):
        np.cumsum(values[half::2], dtype=np.int32, out=sums[half::2])
    # Second, fourth, ... run of a mask: from the end of the mask before; third, ...: without the first.
    previous, start = np.where(first > 0, sums[first - 1], 0), sums[first]
    ends = np.append(first[1:], len(values))
    runs = np.empty_like(values)
    for half in (0, 1):
        length = (ends - half + 1) // 2 - (first - half + 1) // 2
        base = np.where(first % 2 == half, start, previous)
        runs[half::2] = sums[half::2] - np.repeat(base, length)
    runs[first] = values[first]
    return runs


def compress_runs(counts: Sequence[Any], size: tuple[int, int]) -> bytes:
    """Validate and compress a list of run lengths."""
    pixels = size[0] * size[1]
    try:
        runs = np.asarray(counts)
    except ValueError:  # lists of different lengths in it
        runs = np.zeros(0)
    if runs.ndim != 1 or runs.dtype.kind != "i" or runs.min() < 0 or runs.max() > pixels:
        raise DatasetError("run lengths are not a list of integers between 0 and the pixels of the frame")
    if runs.sum() != pixels:
        raise DatasetError(f"run lengths do not add up to the {pixels} pixels of the frame")
    return _compressed(runs)


def fill_polygons(polygons: Sequence[Any], size: tuple[int, int]) -> bytes:
    """Fill polygons, validated against ``size``, as one mask; fewer than three corners cover nothing."""
    corners = [_corners(polygon, size) for polygon in polygons]
    areas = [polygon.ravel().tolist() for polygon in corners if len(polygon) >= 3]
    if not areas:
        return compress_runs([size[0] * size[1]], size)
    from pycocotools import mask as coco_mask

    return bytes(coco_mask.merge(coco_mask.frPyObjects(areas, *size))["counts"])


def _corners(polygon: Any, size: tuple[int, int]) -> npt.NDArray[np.float64]:
    """Validated corners (n, 2) of a polygon."""
    numbers = isinstance(polygon, Sequence | np.ndarray) and all(
        isinstance(value, int | float) for value in polygon
    )
    if not numbers or len(polygon) % 2:
        raise DatasetError("a polygon is not a list of pairs of numbers")
    corners = np.array(polygon, np.float64).reshape(-1, 2)
    height, width = size
    frame = np.array([width, height])
    if not ((corners >= -frame) & (corners <= 2 * frame)).all():
        raise DatasetError(f"a polygon has a corner far outside its frame of {width}x{height}")
    length = np.abs(np.diff(corners, axis=0, append=corners[:1])).max(axis=1, initial=0).sum()
    if length > height * width + 4 * (height + width):  # pycocotools allocates by the length
        raise DatasetError("the outline of a polygon is longer than that of any mask of its frame")
    return corners


class Rle(TypedDict):
    """Compressed run lengths; ``size`` is height and width, ``counts`` an ASCII string for JSON."""

    size: list[int]
    counts: str


def stored_mask(value: object) -> str | Rle:
    """Validate a mask in JSON: run lengths of an array (H, W), or a path; else ValueError."""
    if isinstance(value, (str, os.PathLike)):
        return os.fspath(value) if isinstance(value, str) else str(value)
    if isinstance(value, Mapping):
        size, counts = value.get("size"), value.get("counts")
        if isinstance(size, (list, tuple)) and len(size) == 2 and isinstance(counts, str):
            try:
                height, width = check_size(*size)
                check_runs([counts.encode()], height * width)
            except DatasetError as error:
                raise ValueError(str(error)) from None
            return Rle(size=[height, width], counts=counts)
    elif isinstance(value, np.ndarray) and value.ndim == 2:
        return encode_rle(value)
    raise ValueError("must be a mask (H, W), its run lengths, or a path")


def encode_rle(mask: npt.NDArray[np.generic]) -> Rle:
    """Encode a binary mask in COCO's format.

    Args:
        mask: mask (H, W) whose true or non-zero pixels belong to the object.

    Returns:
        Size and compressed run lengths, fit for JSON.

    Raises:
        DatasetError: it has fractions, such as probabilities, or is not (H, W).
    """
    mask = whole_mask(mask, "mask", DatasetError)
    height, width = mask.shape
    columns = np.asfortranarray(mask if mask.dtype == bool else mask != 0).ravel("F")
    edges = np.flatnonzero(columns[1:] != columns[:-1]) + 1
    first = [0] if columns[:1].any() else []  # the first run is of zeros
    bounds = np.array([*first, 0, *edges, columns.size], np.int64)
    return Rle(size=[height, width], counts=_compressed(bounds[1:] - bounds[:-1]).decode("ascii"))


def encode_objects(mask: IndexMask, ids: Iterable[int]) -> dict[int, Rle]:
    """Encode several objects of an index mask.

    Args:
        mask: index mask (H, W).
        ids: objects to encode; those without a pixel have empty run lengths.

    Returns:
        Compressed run lengths by id.
    """
    columns = np.asfortranarray(mask)
    return {number: encode_rle(columns == number) for number in ids}


def decode_rle(rle: Rle | Mapping[str, Any]) -> npt.NDArray[np.bool_]:
    """Decode compressed run lengths.

    Args:
        rle: run lengths as :func:`encode_rle` gives them; they are not checked.

    Returns:
        Binary mask (H, W), bool.
    """
    height, width = rle["size"]
    runs = _runs(rle)
    filled: npt.NDArray[np.bool_] = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    mask: npt.NDArray[np.bool_] = filled.reshape(width, height).T
    return mask


def _compressed(runs: npt.NDArray[np.integer]) -> bytes:
    """Encode run lengths as COCO's string."""
    values = np.array(runs, np.int64)
    values[3:] -= runs[1:-2]
    groups, more = [], []
    while True:
        groups.append((values & 31).astype(np.uint8))
        high = groups[-1] >= 16
        values = values >> 5
        more.append(np.where(high, values != -1, values != 0))
        if not more[-1].any():
            break
    # A number has as many groups as those before it say that more follow.
    is_used = np.logical_and.accumulate([np.ones(len(values), np.bool_), *more[:-1]], axis=0)
    signs = np.array(groups) + 32 * np.array(more) + 48
    return bytes(signs.astype(np.uint8).T[is_used.T].tobytes())


def _runs(rle: Rle | Mapping[str, Any]) -> npt.NDArray[np.int32]:
    """Run lengths of a mask, not validated: zeros and ones in turn."""
    counts: Any = rle["counts"]
    text = counts.encode("ascii") if isinstance(counts, str) else counts
    digits = np.frombuffer(text, np.uint8) - np.uint8(48)
    return _undo_differences(_numbers(digits, np.flatnonzero(digits < 32)), np.zeros(1, np.intp))


def overlapping(masks: Mapping[int, str], size: tuple[int, int], share: float) -> Iterator[tuple[int, int]]:
    """Pairs of masks that share more than a part of the smaller one, by number."""
    from pycocotools import mask as coco_mask

    if len(masks) < 2:
        return
    ids, encoded = [*masks], [{"size": list(size), "counts": counts} for counts in masks.values()]
    areas = coco_mask.area(encoded)
    x0, y0, width, height = coco_mask.toBbox(encoded).T
    across = np.minimum((x0 + width)[:, None], x0 + width) > np.maximum(x0[:, None], x0)
    down = np.minimum((y0 + height)[:, None], y0 + height) > np.maximum(y0[:, None], y0)
    for one, other in np.argwhere(np.triu(across & down, 1)).tolist():
        both = coco_mask.area(coco_mask.merge([encoded[one], encoded[other]], intersect=True))
        if both > share * min(areas[one], areas[other]):
            yield ids[one], ids[other]


def rle_area(rle: Rle | Mapping[str, Any]) -> int:
    """Area of an object in pixels, without decoding.

    Args:
        rle: run lengths as :func:`encode_rle` gives them.

    Returns:
        Number of pixels.
    """
    return int(_runs(rle)[1::2].sum(dtype=np.int64))


def rle_box(rle: Rle | Mapping[str, Any]) -> Box | None:
    """Box of an object, without decoding.

    Args:
        rle: run lengths as :func:`encode_rle` gives them.

    Returns:
        Tight ``(x0, y0, x1, y1)`` in pixels, exclusive at the far side; None if there is no pixel.
    """
    height, ends = rle["size"][0], np.cumsum(_runs(rle), dtype=np.int64)
    begins, ends = ends[: len(ends) // 2 * 2 : 2], ends[1::2] - 1
    begins, ends = begins[ends >= begins], ends[ends >= begins]
    if not len(begins):
        return None
    tops, bottoms = begins % height, ends % height
    if (begins // height < ends // height).any():  # a run over two columns is at the bottom and at the top
        tops, bottoms = np.zeros(1, np.int64), np.full(1, height - 1)
    left, right = int(begins[0]) // height, int(ends[-1]) // height + 1
    return float(left), float(tops.min()), float(right), float(bottoms.max() + 1)
