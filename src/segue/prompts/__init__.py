"""Prompts given by hand: masks, boxes and points become one annotation of a frame."""

from typing import TYPE_CHECKING

from segue.lazy import lazy_names

if TYPE_CHECKING:
    from segue.prompts.annotation import resolve as resolve
    from segue.prompts.answers import Answer as Answer
    from segue.prompts.answers import MakePrompter as MakePrompter
    from segue.prompts.answers import PicturePrompter as PicturePrompter
    from segue.prompts.answers import Prompts as Prompts
    from segue.prompts.grabcut import GrabCut as GrabCut
    from segue.prompts.granularity import Granularity as Granularity
    from segue.prompts.motion import MotionPrompter as MotionPrompter
    from segue.prompts.parse import parse_box as parse_box
    from segue.prompts.parse import parse_boxes as parse_boxes
    from segue.prompts.parse import parse_point as parse_point
    from segue.prompts.prompter import Prompter as Prompter
    from segue.prompts.prompters import find_prompter as find_prompter
    from segue.prompts.prompters import prompter_of as prompter_of

_MODULES = {
    "segue.prompts.annotation": "resolve",
    "segue.prompts.answers": "Answer MakePrompter PicturePrompter Prompts",
    "segue.prompts.granularity": "Granularity",
    "segue.prompts.grabcut": "GrabCut",
    "segue.prompts.motion": "MotionPrompter",
    "segue.prompts.parse": "parse_box parse_boxes parse_point",
    "segue.prompts.prompter": "Prompter",
    "segue.prompts.prompters": "find_prompter prompter_of",
}

__all__ = [*" ".join(_MODULES.values()).split()]

__getattr__, __dir__ = lazy_names(__name__, _MODULES)
