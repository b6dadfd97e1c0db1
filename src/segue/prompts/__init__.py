"""Masks from boxes, points, strokes and text."""

from typing import TYPE_CHECKING

from segue.utils.lazy import lazy_names

if TYPE_CHECKING:
    from segue.prompt_types import ImagePrompts
    from segue.prompts.annotation import resolve_prompts
    from segue.prompts.answers import ImagePrompter, MakePrompter, MaskPrediction
    from segue.prompts.correction import Click, ClickHistory, correct, refine, replay
    from segue.prompts.motion import MotionPrompter
    from segue.prompts.prompter import Prompter
    from segue.prompts.prompters import find_prompter

__all__ = [
    "Click",
    "ClickHistory",
    "ImagePrompter",
    "ImagePrompts",
    "MakePrompter",
    "MaskPrediction",
    "MotionPrompter",
    "Prompter",
    "correct",
    "find_prompter",
    "refine",
    "replay",
    "resolve_prompts",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "segue.prompts.annotation": "resolve_prompts",
        "segue.prompts.answers": "MaskPrediction MakePrompter ImagePrompter ImagePrompts",
        "segue.prompts.correction": "Click ClickHistory correct refine replay",
        "segue.prompts.motion": "MotionPrompter",
        "segue.prompts.prompter": "Prompter",
        "segue.prompts.prompters": "find_prompter",
    },
)
