"""Prompts given by hand: masks, boxes and points become one annotation of a frame."""

from segue.prompts.annotation import Annotation, resolve
from segue.prompts.answers import Answer, MakePrompter, PicturePrompter, Prompts
from segue.prompts.extents import Extent
from segue.prompts.grabcut import GrabCut
from segue.prompts.motion import MotionPrompter
from segue.prompts.parse import parse_box, parse_boxes, parse_point, read_prompt_masks
from segue.prompts.prompter import Prompter
from segue.prompts.prompters import find_prompter, prompter_of

__all__ = [
    "Annotation",
    "Answer",
    "Extent",
    "GrabCut",
    "MakePrompter",
    "MotionPrompter",
    "PicturePrompter",
    "Prompter",
    "Prompts",
    "find_prompter",
    "parse_box",
    "parse_boxes",
    "parse_point",
    "prompter_of",
    "read_prompt_masks",
    "resolve",
]
