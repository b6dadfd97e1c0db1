"""What a tracker with a memory does on a frame."""

from __future__ import annotations

from dataclasses import dataclass

from segue.models.base import FramePrompts


@dataclass(frozen=True, slots=True)
class FramePlan:
    """What happens on a frame.

    Attributes:
        given: the prompts of the frame.
        ids: the objects after it, ascending.
        keep: whether the frame becomes permanent memory.
        commit: False for a picture that is not taken: then nothing may change.
        uncertainty: of the masks with which it becomes memory, in [0, 1]; known when they are, and only where
            the schedule asks for it.
    """

    given: FramePrompts | None
    ids: tuple[int, ...]
    keep: bool
    commit: bool = True
    uncertainty: float = 0.0
