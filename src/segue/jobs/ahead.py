"""Check a job's first frame, prompts and outputs before PyTorch is imported."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from segue.entries.formats import SQUARE
from segue.errors import PromptError, SinkError
from segue.jobs.opened import first_frame, open_video
from segue.jobs.places import OutputPlaces, with_defaults
from segue.jobs.values import TrackJob, VideoJob, check_prompts
from segue.masks import resize_mask
from segue.prompt_inputs.checks import check_pixels, errors_name, fit_mask
from segue.prompt_inputs.mask_files import read_masks
from segue.prompt_inputs.values import PromptWarning
from segue.prompt_types import AnyPrompt, MaskPrompt, Prompt
from segue.sinks.outputs import free_paths
from segue.types import Frame
from segue.utils.inputs import exists
from segue.utils.notices import warn_caller
from segue.video import Source
from segue.video.sources.addresses import is_url
from segue.video.sources.images import match_images


@dataclass(frozen=True, slots=True)
class Plan:
    """A job checked before PyTorch is imported.

    Attributes:
        source: its source; None for cameras, addresses and images in memory, which are opened when the run
            begins.
        prompts: the prompts of each frame, as a session takes them; None where they are read with the first
            frame of the run.
    """

    source: Source | None = None
    prompts: Mapping[int, list[Prompt]] | None = None

    @classmethod
    def of(cls, job: VideoJob, source: Source | None = None) -> Plan:
        """Check a job: model, outputs, and prompts on the first frame.

        Args:
            job: the job.
            source: its source if it is already open.

        Raises:
            SegueError: an output exists, or a prompt does not fit; the source is closed.
        """
        if isinstance(job, TrackJob):
            check_prompts(job)
        place = job.source.place
        if place is None or is_url(place) or not (exists(Path(place)) or match_images(place)):
            return cls(source)
        source = source or open_video(job.source)
        try:
            return cls(source, _checked_prompts(job, source))
        except BaseException:
            source.close()
            raise


def _checked_prompts(job: VideoJob, source: Source) -> Mapping[int, list[Prompt]] | None:
    """Check outputs, frames and prompts; return the prompts if the first frame is known."""
    job = with_defaults(job, endless=False)
    outputs = job.outputs
    explanations, replaces = getattr(job, "explain", None), outputs.overwrite or outputs.resume
    if explanations is not None and not replaces and any(explanations.glob(f"{'[0-9]' * 6}.png")):
        raise SinkError(f"{explanations}: has images already; give --overwrite, or another folder")
    places = OutputPlaces.of(job, source.name)
    places.check(job, source)
    if outputs.rotate is None and not outputs.append:
        free_paths(places.folder, outputs.formats or (), source, outputs, places.other_outputs)
    if isinstance(job, TrackJob):
        check_frames(job, source)
    if job.source.on_damage not in (None, "stop"):  # it may be another frame that comes first
        return None
    with source:
        first, _ = first_frame(source.name, source)
    if not isinstance(job, TrackJob):
        return None
    return plan_prompts(job, first, source.original_size or first.size, source)


def plan_prompts(
    job: TrackJob, first: Frame, size: tuple[int, int], source: Source | None = None
) -> dict[int, list[Prompt]]:
    """Prompts by frame, at the size of frames; those of the job are in pixels of ``size``."""
    by_frame: dict[int, list[AnyPrompt]] = defaultdict(list)
    for value in job.prompts:
        by_frame[first.index if value.frame is None else value.frame].append(value)
    stride = job.source.stride
    for index in by_frame:
        if index < first.index or (index - first.index) % stride:
            steps = f"in steps of {stride} from {first.index} on"
            raise PromptError(f"there is a prompt for frame {index}, but the frames go {steps}")
    fit = partial(
        fit_mask,
        size=size,
        fit=job.fit,
        turns=source.turns if source else 0,
        pixel_aspect=source.pixel_aspect if source else SQUARE,
    )
    total = None if source is None else source.total
    return {
        index: list(_prompts(prompts, size, first.size, fit, partial(read_masks, frame=index, frames=total)))
        for index, prompts in by_frame.items()
    }


def check_frames(job: TrackJob, source: Source) -> None:
    """Raise PromptError if the source lacks a frame of a prompt, a text or a required result."""
    frames_by_option = {
        "a prompt": [prompt.frame for prompt in job.prompts if prompt.frame is not None],
        "a text": (job.finding and job.finding.frames) or (),
        "a result": job.required or (),
    }
    for what, frames in frames_by_option.items():
        for index in sorted(frames):
            if why := source.lacks_frame(index):
                raise PromptError(f"there is {what} for frame {index}, but {why}")


def _prompts(
    prompts: Sequence[AnyPrompt],
    size: tuple[int, int],
    frame_size: tuple[int, int],
    fit: Callable[[Any], Any],
    read_masks: Callable[[MaskPrompt, tuple[int, int]], list[MaskPrompt]],
) -> Iterator[Prompt]:
    """Read, check and scale the prompts of one frame from pixels of ``size`` to ``frame_size``."""
    for item in prompts:  # in their order: where they overlap, the later one wins
        if not isinstance(item, MaskPrompt):
            check_pixels(item)
            yield item.scaled(frame_size[1] / size[1], frame_size[0] / size[0])
            continue
        with errors_name(item.path or f"object {item.id}"):
            read = read_masks(item, size)
            if not any(one.mask.any() for one in read):
                raise PromptError("the mask is empty; draw at least one object")
            for one in read:
                # A mask of the reduced frames has their size already.
                mask = one.mask if one.mask.shape == frame_size else fit(one.mask)
                mask = resize_mask(mask, frame_size)
                if mask.any():
                    yield replace(one, mask=mask != 0, digest=None)
                else:
                    warn_caller(
                        f"object {one.id} is left out: it has no pixel in frames of {frame_size[1]}x"
                        f"{frame_size[0]}; give larger frames",
                        PromptWarning,
                    )
