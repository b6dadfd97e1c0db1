"""Prompts of jobs as a session takes them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from segue.detectors import DEFAULT
from segue.errors import PromptError
from segue.jobs.parts import AnyPrompt, Finding
from segue.jobs.values import TrackJob
from segue.masks import decode_rle, resize_mask
from segue.prompts import MakePrompter, find_prompter, prompter_of
from segue.prompts.detectors import Detector
from segue.prompts.parse import errors_name, fit_mask, read_prompt_mask
from segue.sessions.detecting import detector
from segue.types import Frame, MaskPrompt, Prompt

DEFAULT_NOTICE = f"looking for what moves (detector {DEFAULT}; --with chooses another)"
"""Notice where no detector was named."""


def plan_prompts(job: TrackJob, first: Frame, size: tuple[int, int]) -> dict[int, list[Prompt]]:
    """The prompts of each frame, as a session takes them; those of the job are in pixels of ``size``."""
    by_frame: dict[int, list[AnyPrompt]] = defaultdict(list)
    for value in job.prompts:
        by_frame[first.index if value.frame is None else value.frame].append(value)
    stride = job.source.stride
    for index in by_frame:
        if index < first.index or (index - first.index) % stride:
            steps = f"in steps of {stride} from {first.index} on"
            raise PromptError(f"there is a prompt for frame {index}, but the frames go {steps}")
    return {index: list(_prompts(given, size, first.size, job.fit)) for index, given in by_frame.items()}


def _prompts(
    prompts: Sequence[AnyPrompt], size: tuple[int, int], frame_size: tuple[int, int], fit: bool
) -> Iterator[Prompt]:
    """Read and check the prompts of one frame in pixels of ``size``; frames have ``frame_size``."""
    for item in prompts:  # in their order: where they overlap, the later one wins
        if not isinstance(item, MaskPrompt):
            yield item.scaled(frame_size[1] / size[1], frame_size[0] / size[0])
            continue
        with errors_name(item.path or f"object {item.id}"):
            mask: npt.NDArray[Any] = (
                read_prompt_mask(Path(item.path), one=item.id > 0) if item.path else _decoded(item.mask)
            )
            if mask.shape != frame_size:  # else it is a mask of the reduced frames
                mask = fit_mask(mask, size, fit)
            if not mask.any():
                raise PromptError("the mask is empty; draw at least one object")
            mask = resize_mask(mask, frame_size)
        if not item.id:
            yield from MaskPrompt.each(mask)
        elif mask.any():  # else it is too small for the reduced frames
            yield replace(item, mask=mask != 0, digest=None)


def _decoded(mask: Any) -> npt.NDArray[Any]:
    return mask if isinstance(mask, np.ndarray) else decode_rle(mask)


def make_prompter(job: TrackJob) -> MakePrompter | None:
    """Prompter for boxes and points, by name or weight file; None leaves it to the session."""
    if job.prompter is not None:
        if job.refine not in (None, "network"):
            raise PromptError(f"--prompter says what makes masks; leave out --refine {job.refine}")
        return find_prompter(job.prompter, device=job.device)
    if job.refine is None:
        return None
    if job.refine not in ("network", "grabcut"):
        raise PromptError(f"--refine {job.refine}: boxes and points take network or grabcut")
    network = job.refine == "network"
    return prompter_of(job.model.name, device=job.device) if network else find_prompter("grabcut")


def make_detector(finding: Finding, device: str | None) -> Detector:
    """The detector of a job."""
    wanted = finding.model_dump(exclude={"every", "frames", "name"})
    return detector(finding.name, **wanted, device=device)
