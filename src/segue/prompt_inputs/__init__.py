"""Prompts from arguments, text and files, and their checks against a frame."""

from typing import TYPE_CHECKING

from segue.utils.lazy import lazy_names

if TYPE_CHECKING:
    from segue.prompt_inputs.arguments import (
        DetectionsLike,
        MaskLike,
        MasksLike,
        PromptArguments,
        PromptsLike,
        as_prompts,
    )
    from segue.prompt_inputs.values import PromptWarning

__all__ = [
    "DetectionsLike",
    "MaskLike",
    "MasksLike",
    "PromptArguments",
    "PromptWarning",
    "PromptsLike",
    "as_prompts",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "segue.prompt_inputs.arguments": "as_prompts DetectionsLike MaskLike MasksLike PromptArguments "
        "PromptsLike",
        "segue.prompt_inputs.values": "PromptWarning",
    },
)
