"""Index masks: palette, PNG files, run lengths, areas and boxes, overlays."""

from segue.masks.drawing import overlay
from segue.masks.edges import Edge, opacity
from segue.masks.files import (
    StoredMask,
    fold_ids,
    read_index_mask,
    read_stored_mask,
    write_index_mask,
)
from segue.masks.measure import ObjectExtent, fill_boxes, measure, resize_mask
from segue.masks.rle import Rle, decode_rle, encode_objects, encode_rle, rle_area, rle_box
from segue.masks.values import DAVIS_PALETTE, davis_palette

__all__ = [
    "DAVIS_PALETTE",
    "Edge",
    "ObjectExtent",
    "Rle",
    "StoredMask",
    "davis_palette",
    "decode_rle",
    "encode_objects",
    "encode_rle",
    "fill_boxes",
    "fold_ids",
    "measure",
    "opacity",
    "overlay",
    "read_index_mask",
    "read_stored_mask",
    "resize_mask",
    "rle_area",
    "rle_box",
    "write_index_mask",
]
