"""Follow objects through a video: the function behind ``segue track``."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from pathlib import Path
from types import NoneType
from typing import Any, Literal, cast

import torch

from segue.api.results import Progress, Results
from segue.errors import ArgumentError, PromptError
from segue.inputs import kind_of
from segue.jobs.describing import (
    Colour,
    described,
    model_value,
    opened_source,
    prompt_values,
    required_value,
    source_value,
)
from segue.jobs.options import TrackOptions, checked
from segue.jobs.parts import Finding
from segue.jobs.prepared import Objects
from segue.jobs.tracking import prepare_track
from segue.jobs.values import TrackJob
from segue.models.base import MemoryPolicy, TrackNetwork
from segue.prompts import MakePrompter
from segue.prompts.given import PromptPlan, PromptsLike
from segue.sessions import TrackSession
from segue.sessions.auto import Auto, AutoSession
from segue.types import Box, Point
from segue.video import Source

Prompts = Mapping[int, PromptsLike]
"""The prompts of each frame, by frame index."""


def track(
    source: Source | str | Path | int | Iterable[Any],
    prompts: Prompts | PromptsLike | Auto | None = None,
    *,
    box: Box | None = None,
    points: Point | Sequence[Point] | None = None,
    negative: Point | Sequence[Point] | None = None,
    labels: Sequence[int] | None = None,
    masks: PromptsLike | None = None,
    model: str | TrackNetwork = "stcn-lite",
    weights: str | Path | None = None,
    mem_every: int | None = None,
    top_k: int | Literal["published"] | None = "published",
    include_last: bool | None = None,
    memory_frames: int | None = None,
    memory_policy: MemoryPolicy | None = None,
    max_jump: float | None = None,
    short_side: int | None = None,
    flip_tta: bool = False,
    reverse: bool = False,
    settings: Mapping[str, Any] | None = None,
    device: str | torch.device | None = None,
    fast: bool = False,
    colour: Colour = "rgb",
    fit: bool = False,
    prompter: str | MakePrompter | None = None,
    required: Container[int] | None = None,
    progress: Progress | None = None,
) -> Results[TrackSession] | Results[AutoSession]:
    """Follow the objects that ``prompts`` names, or those that are found.

    What is left out of ``mem_every`` to ``memory_policy`` is as published for the model: every fifth frame
    and the best 20 positions for STCN, all positions and also the previous frame for STM.

    Args:
        source: anything :func:`segue.open_source` takes, such as a file, a folder, an array (T, H, W, 3) or a
            list of RGB pictures.
        prompts: what to follow: an index mask (H, W) of the first frame, or by frame index the prompts of
            each frame: an index mask, masks (N, H, W), prompts such as :class:`segue.BoxPrompt`, a box
            ``(x0, y0, x1, y1)``, the path of a mask file, or a mapping from ids to masks or boxes; see
            :func:`segue.prompts.given.as_prompts`. Objects may be added, corrected and removed on any frame.
            :class:`segue.Auto` finds the objects instead.
        box: ``(x0, y0, x1, y1)`` in pixels around the one object to follow, on the first frame.
        points: ``(x, y)`` in pixels on that object, one or several, alone or with ``box``.
        negative: points beside it, which are not to be in its mask; they go with ``points``.
        labels: as in SAM 2, 1 for each of ``points`` on the object and 0 for each beside it.
        masks: objects of the first frame by their ids, as in ``{1: mask, 2: mask}``, each (H, W), bool or
            uint8; or an index mask (H, W). It stands for ``prompts``.
        model: name for :func:`segue.load`, or a network.
        weights: weight file for a network by name.
        mem_every: a frame becomes memory this many frames after the last one did; None is that of
            the network.
        top_k: memory positions that are read for a position; None is all of them.
        include_last: read the previous frame as well; None is what the network does.
        memory_frames: bound on the memory, in frames; None is that of the network.
        memory_policy: ``usage`` removes the least read frame first, ``fifo`` the oldest; ``all`` keeps
            everything, as the papers do; None is that of the network.
        max_jump: take small pieces away that are farther from an object's last mask than this part of the
            diagonal; 0 never does; None is that of the network.
        short_side: reduce larger pictures to this short side for the network; 0 never does; None is that of
            the network.
        flip_tta: track in the mirrored picture as well, and take the mean of both; takes twice the time.
        reverse: follow each object backwards as well, from its first prompt to the first frame.
        settings: further settings of the network by name, such as ``{"long_term": True}``; `segue weights
            list NAME` shows them, and the page of the network tells what they mean.
        device: for example ``"cpu"`` or ``"cuda:1"``; None takes a GPU if there is one.
        fast: bfloat16 where the hardware has it.
        colour: order of the channels of arrays and tensors; ``bgr`` is that of ``cv2.imread``.
        fit: resize given masks of another size instead of refusing them.
        prompter: what turns boxes and points into masks, or its name or weight file, such as ``sam2-tiny``;
            None is the model, if it takes them itself, else segue-prompt.
        required: indices of the frames whose results are wanted, as in YouTube-VOS; others give none, and
            those that are not due as memory either are passed over.
        progress: called after each result with the number of results so far and the expected one, or None.

    Returns:
        An iterator of results with its ``session``, see :class:`segue.api.Results`: one result per frame,
        in order, as soon as it is there. Before the first prompt of an object it is not in the masks, unless
        ``reverse`` is asked for: then the part of the film before the last of these prompts is read
        backwards before the first result.

    Raises:
        SourceError, PromptError, CheckpointError: as described there.
        ArgumentError: an argument has the wrong type or range, or ``required`` is given where objects are
            found.

    Example:
        >>> for result in segue.track("dog.mp4", first_mask):
        ...     print(result.index, result.mask.shape, [item.box for item in result.objects])
        >>> segue.track("dog.mp4", box=(120, 80, 310, 260)).save("out", formats=["png", "overlay"])
        >>> segue.track("dog.mp4", points=[(200, 150)]).save("out-of-a-click")
        >>> cars = segue.detector("maskrcnn", classes=["car"])
        >>> for result in segue.track("street.mp4", segue.Auto(cars, every=25)):
        ...     print(result.index, [(item.id, item.label) for item in result.objects])
    """
    options = checked(
        TrackOptions,
        {
            "mem_every": mem_every,
            "top_k": top_k,
            "include_last": include_last,
            "memory_frames": memory_frames,
            "memory_policy": memory_policy,
            "max_jump": max_jump,
            "short_side": short_side,
            "flip_tta": flip_tta,
            "reverse": reverse,
            "settings": settings,
        },
    )
    opened = opened_source(source, colour)
    marks = {"box": box, "points": points, "negative": negative, "labels": labels, "masks": masks}
    if isinstance(prompts, Auto):
        for argument, value in {"required": required, **marks}.items():
            if value is not None:
                raise ArgumentError(
                    f"{argument} goes with prompts; with Auto objects are looked for on every frame"
                )
    elif prompts is None and all(mark is None for mark in marks.values()):
        raise PromptError(
            "prompts: say what to follow, for example {0: first_mask}, box=(x0, y0, x1, y1), "
            "points=[(x, y)], masks={1: mask} or Auto()"
        )
    if required is not None and not isinstance(required, Container):
        raise ArgumentError(f"required: {kind_of(required)}; give a set of frame indices")
    plan = None if isinstance(prompts, Auto) else PromptPlan(prompts, **marks, start=opened.request.start)
    found = prompts if isinstance(prompts, Auto) else None
    place, frames = source_value(opened)
    named, network = model_value(model, weights)
    wanted, listed = required_value(required)
    named_detector = None if found is None else found.detector
    name = named_detector if isinstance(named_detector, str) else None
    find = None if isinstance(named_detector, str) else named_detector
    make = prompter if not isinstance(prompter, (str, NoneType)) else None
    objects = Objects(
        source=opened,
        model=None if isinstance(model, str) else model,
        prompter=make,
        detector=find,
        prompts=plan,
        required=required,
    )
    job = checked(
        TrackJob,
        {
            "source": place,
            "model": named,
            "prompts": () if plan is None else prompt_values(plan, opened),
            "finding": found and Finding(name=name, every=found.every),
            "prompter": prompter if make is None else None,
            "fit": fit,
            "required": wanted,
            "options": options,
            "device": None if device is None else str(device),
            "fast": fast,
            "given": (*frames, *network, *listed, *described(prompter=make, detector=find)),
        },
    )
    prepared = prepare_track(job, objects)
    session = cast("TrackSession | AutoSession", prepared.session)
    return cast(
        "Results[TrackSession] | Results[AutoSession]",
        Results(job, session, prepared, objects, progress=progress),
    )
