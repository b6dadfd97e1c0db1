"""Jobs from words as they are typed: prompts, and options of trainings."""

from __future__ import annotations

import numpy as np
import pytest

from segue.errors import PromptError
from segue.jobs.ahead import plan_prompts
from segue.jobs.values import Model, TrackJob, VideoSource
from segue.prompt_inputs.texts import typed_prompts
from segue.prompt_types import BoxPrompt, MaskPrompt, PointPrompt, RemovePrompt
from segue.types import Frame

FIRST = Frame(4, 0.4, np.zeros((6, 8, 3), np.uint8))
SIZE = (12, 16)
"""Of the source; its frames are reduced to half of it."""


def test_prompts_name_frames_and_objects() -> None:
    assert typed_prompts(
        {
            "mask": ["a.png", "7@3=b@2.png"],
            "box": ["0,0,1,1", "2:1,1,2,2", "9@5,5,6,6", "9@7,7,8,8"],
            "point": ["1,2", "9@4:-3,4"],
            "remove": ["12@65535"],
        },
        fill=True,
    ) == (
        MaskPrompt(0, "a.png"),
        MaskPrompt(3, "b@2.png", frame=7),
        BoxPrompt(1, (0, 0, 1, 1), fill=True),
        BoxPrompt(2, (1, 1, 2, 2), fill=True),
        BoxPrompt(1, (5, 5, 6, 6), frame=9, fill=True),
        BoxPrompt(2, (7, 7, 8, 8), frame=9, fill=True),
        PointPrompt(1, ((1, 2),)),
        PointPrompt(4, frame=9, negative=((3, 4),)),
        RemovePrompt(65535, frame=12),
    )
    assert not typed_prompts({"box": ["0,0,1,1"]})[0].fill  # type: ignore[union-attr]
    for text in ("12@0", "12@65536", "12@x"):
        with pytest.raises(PromptError):
            typed_prompts({"remove": [text]})


@pytest.mark.parametrize(("frame", "there"), [(4, True), (6, True), (5, False), (3, False), (2, False)])
def test_a_prompt_has_a_frame_among_those_of_the_source(frame: int, there: bool) -> None:
    source = VideoSource(place="dog.mp4", stride=2)
    prompts = (BoxPrompt(1, (0, 0, 4, 4), frame=frame),)
    job = TrackJob(source=source, model=Model(name="stcn-lite"), prompts=prompts)
    if there:
        assert list(plan_prompts(job, FIRST, SIZE)) == [frame]
    else:
        with pytest.raises(PromptError, match=f"frame {frame}"):
            plan_prompts(job, FIRST, SIZE)
