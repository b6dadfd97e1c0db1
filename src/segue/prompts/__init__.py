"""Prompts given by hand: masks, boxes and points become one annotation of a frame."""

from segue.prompts.annotation import Annotation, resolve
from segue.prompts.files import read_prompt_masks
from segue.prompts.parse import parse_box, parse_boxes, parse_point

__all__ = [
    "Annotation",
    "parse_box",
    "parse_boxes",
    "parse_point",
    "read_prompt_masks",
    "resolve",
]
