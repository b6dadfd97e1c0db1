"""Run lengths of binary masks in the compressed form of COCO, by pycocotools."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypedDict, cast

import numpy as np
import numpy.typing as npt
from pycocotools import mask as coco_mask

from segue.types import Box, IndexMask


class Rle(TypedDict):
    """Compressed run lengths; ``size`` is height and width, ``counts`` an ASCII string (fit for JSON)."""

    size: list[int]
    counts: str


def encode_rle(mask: npt.NDArray[np.generic]) -> Rle:
    """Run lengths of the pixels of ``mask`` (H, W) that are true or non-zero."""
    binary = np.asfortranarray(mask != 0).view(np.uint8)
    encoded = coco_mask.encode(binary)
    return Rle(size=[int(side) for side in encoded["size"]], counts=encoded["counts"].decode("ascii"))


def encode_objects(mask: IndexMask, ids: Iterable[int]) -> dict[int, Rle]:
    """Run lengths of each of ``ids`` in an index mask, (H, W)."""
    columns = np.asfortranarray(mask)
    return {number: encode_rle(columns == number) for number in ids}


def decode_rle(rle: Rle) -> npt.NDArray[np.bool_]:
    """Binary mask, (H, W), bool, of compressed run lengths."""
    return cast("npt.NDArray[np.bool_]", coco_mask.decode(_as_bytes(rle)).astype(bool))


def rle_area(rle: Rle) -> int:
    """Number of pixels, without decoding."""
    return int(coco_mask.area(_as_bytes(rle)))


def rle_box(rle: Rle) -> Box | None:
    """Tight ``(x0, y0, x1, y1)``, exclusive at the far side, or None if there is no pixel."""
    if rle_area(rle) == 0:
        return None
    x, y, width, height = (float(value) for value in coco_mask.toBbox(_as_bytes(rle)))
    return x, y, x + width, y + height


def _as_bytes(rle: Rle) -> dict[str, Any]:
    return {"size": rle["size"], "counts": rle["counts"].encode("ascii")}
