"""Object tracking: the function behind ``segue track``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, TypedDict, Unpack, overload

import torch

from segue.api.results import (
    Colour,
    Layout,
    Position,
    Progress,
    Results,
    opened_source,
    reading_of,
    results_of,
    runtime_object,
)
from segue.errors import ArgumentError
from segue.jobs.values import DetectorConfig, Licence, TrackJob, checked
from segue.models.base import TrackNetwork
from segue.prompt_inputs.arguments import MasksLike, PromptArguments, PromptsLike, collect_prompts
from segue.prompt_types import Prompt
from segue.prompts import MakePrompter
from segue.sessions import TrackSession
from segue.sessions.auto import Auto
from segue.sessions.detected import DetectionSession
from segue.types import BoxesLike, BoxLike, LabelsLike, MemoryPolicy, PointsLike
from segue.utils.arrays import in_rgb
from segue.utils.keywords import suggests_names
from segue.video import Source
from segue.video.sources.given import SourceLike


class TrackArguments(TypedDict, total=False):
    """Arguments of :func:`track` for prompted and detected objects."""

    model: str | TrackNetwork
    weights: str | Path | None
    licence: Licence
    mem_every: int | None
    top_k: int | Literal["published"] | None
    include_last: bool | None
    memory_frames: int | None
    memory_policy: MemoryPolicy | None
    max_jump: float | None
    short_side: int | None
    flip_tta: bool
    reverse: bool
    settings: Mapping[str, Any] | None
    device: str | int | torch.device | None
    fast: bool
    colour: Colour
    layout: Layout
    max_size: int | None
    start: Position | None
    end: Position | None
    stride: int
    fit: bool
    prompter: str | MakePrompter | None
    progress: Progress | None
    keep_images: bool


class PromptedTrackArguments(TrackArguments, PromptArguments, total=False):
    """Arguments of :func:`track` for prompts."""


@overload
def track(
    source: Source | SourceLike,
    prompts: Auto,
    *,
    text: str | Sequence[str] | None = None,
    **arguments: Unpack[TrackArguments],
) -> Results[DetectionSession]: ...


@overload
def track(
    source: Source | SourceLike,
    prompts: None = None,
    *,
    text: str | Sequence[str],
    **arguments: Unpack[TrackArguments],
) -> Results[DetectionSession]: ...


@overload
def track(
    source: Source | SourceLike,
    prompts: Mapping[int, PromptsLike] | PromptsLike | None = None,
    *,
    required: Iterable[int] | None = None,
    **arguments: Unpack[PromptedTrackArguments],
) -> Results[TrackSession]: ...


@suggests_names
def track(
    source: Source | SourceLike,
    prompts: Mapping[int, PromptsLike] | PromptsLike | Auto | None = None,
    *,
    box: BoxLike | None = None,
    boxes: BoxesLike | None = None,
    masks: MasksLike | None = None,
    points: PointsLike | None = None,
    labels: LabelsLike | None = None,
    negative: PointsLike | None = None,
    scribble: Sequence[PointsLike] | None = None,
    text: str | Sequence[str] | None = None,
    model: str | TrackNetwork = "stcn-lite",
    weights: str | Path | None = None,
    licence: Licence = "any",
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
    device: str | int | torch.device | None = None,
    fast: bool = False,
    colour: Colour = "rgb",
    layout: Layout = "thwc",
    max_size: int | None = None,
    start: Position | None = None,
    end: Position | None = None,
    stride: int = 1,
    fit: bool = False,
    prompter: str | MakePrompter | None = None,
    required: Iterable[int] | None = None,
    progress: Progress | None = None,
    keep_images: bool = False,
) -> Results[TrackSession] | Results[DetectionSession]:
    """Track objects from prompts, or objects that a detector finds.

    By default, ``mem_every`` to ``memory_policy`` have the published values of the model. STCN keeps every
    fifth frame and reads the best 20 positions; STM reads all positions and also the previous frame.

    Args:
        source: any input of :func:`segue.open_source`, such as a file, a folder, an array (T, H, W, 3) or a
            list of RGB images.
        prompts: objects to track: those of the first frame, or a mapping from frame index to prompts.
            Prompts of a frame are an index mask (H, W), masks (N, H, W), the path of a mask file, values
            such as :class:`segue.BoxPrompt`, an earlier result, or ``Detections`` of supervision; see
            :func:`segue.prompt_inputs.as_prompts`. Prompts on later frames add, correct and remove
            objects. :class:`segue.Auto` finds the objects instead.
        box: ``(x0, y0, x1, y1)`` in pixels around a single object, on the first frame.
        boxes: boxes of several objects by id, or (N, 4) for the ids 1 to N.
        masks: masks of objects on the first frame by id, or (N, H, W) or (N, 1, H, W) for the ids 1 to N.
            Each is an array (H, W), a path, a polygon (N, 2), or polygons or run lengths of COCO.
        points: ``(x, y)`` in pixels on a single object, one or several, alone or with ``box``.
        labels: for each of ``points`` 1 if it is on the object and 0 if it is off the object, as in SAM 2.
        negative: points off the object, together with ``points`` or ``scribble``.
        scribble: strokes on a single object, each of several points, as in ``[[(x, y), (x, y)]]``.
        text: phrases to detect, such as ``"red car"`` or ``["person", "red car"]``; results have them as
            labels, with the score of the match. :class:`segue.Auto` sets the detector, the frames and the
            minimum score; without it, the text is detected every 5 frames.
        model: name for :func:`segue.load`, or a network.
        weights: weight file for a network by name.
        licence: ``commercial`` replaces networks by the same networks with weights that allow commercial use,
            such as stcn-lite-free, or raises CheckpointError if there are none.
        mem_every: interval between memory frames; None is the network's value.
        top_k: memory positions that each position reads; None reads all.
        include_last: read the previous frame too; None is the network's value.
        memory_frames: maximum number of memory frames; None is the network's value.
        memory_policy: frame to evict first: ``usage`` the least read, ``fifo`` the oldest; ``all`` keeps all
            frames, as in the papers; None is the network's value.
        max_jump: remove small components farther from an object's last mask than this share of the diagonal;
            0 removes none; None is the network's value.
        short_side: resize larger frames to this short side in pixels; 0 never; None is the network's value.
        flip_tta: also track in the mirrored video and average both; doubles the time.
        reverse: also track each object backwards from its first prompt to the first frame.
        settings: further settings of the network by name, such as ``{"long_term": True}``; `segue weights
            list NAME` lists them, and the page of the network explains them.
        device: for example ``"cpu"`` or ``"cuda:1"``; None selects a GPU if there is one.
        fast: half precision or 8-bit integers if they are faster on the device.
        colour: order of the channels of arrays and tensors; ``bgr`` is that of ``cv2.imread``. It also counts
            for masks in colours (H, W, 3).
        layout: axes of arrays and tensors; ``tchw`` has the channels first.
        max_size: maximum longer side in pixels; larger frames are reduced by averaging. Prompts and results
            are in pixels of the reduced frames; saved files have the size of the source.
        start: first frame that is read: an int counts frames, a float seconds, a string is either ("250",
            "12.5s", "1:30"). Frames keep the index of the source.
        end: end before this frame, written like ``start``.
        stride: read every ``stride``-th frame.
        fit: resize masks that differ in size from the video, instead of refusing them.
        prompter: prompter for boxes and points, its name or its weight file, such as ``sam2-tiny``; None is
            the model if it accepts them directly, otherwise segue-prompt.
        required: indices of frames that need results, as in YouTube-VOS. Other frames have no result and are
            skipped unless they become memory.
        progress: called after each result with the number of results so far and the expected number, or None.
        keep_images: keep the image of each result in memory; otherwise :attr:`segue.Segmentation.image` reads
            the frame again if the source allows it.

    Returns:
        An iterator of results with its ``session``, see :class:`segue.api.Results`: one result per frame,
        in order, as soon as it is available. An object is not in the masks before its first prompt, unless
        ``reverse`` is set. In this case, the part of the video before the last of these prompts is read
        backwards before the first result.

    Raises:
        SourceError, PromptError, CheckpointError: as described there.
        ArgumentError: an argument has the wrong type or range, or ``required`` is given although a
            detector finds the objects.

    Example:
        >>> for result in segue.track("dog.mp4", first_mask):
        ...     print(result.index, result.mask.shape, [item.box for item in result.objects])
        >>> segue.track("dog.mp4", box=(120, 80, 310, 260)).save("out", formats=["png", "overlay"])
        >>> segue.track("dog.mp4", points=[(200, 150)]).save("out-of-a-click")
        >>> segue.track("dog.mp4", masks={1: dog, 2: ball}).save("out-of-two-masks")
        >>> segue.track("street.mp4", text="person, red car").save("out-of-a-text")
        >>> cars = segue.detector("maskrcnn", classes=["car"])
        >>> for result in segue.track("street.mp4", segue.Auto(cars, every=25)):
        ...     print(result.index, [(item.id, item.label) for item in result.objects])
    """
    arguments = dict(locals())
    opened = arguments["source"] = opened_source(source, **reading_of(arguments))
    marks = {name: arguments.pop(name) for name in PromptArguments.__annotations__}
    if colour == "bgr" and not isinstance(prompts, Auto):
        prompts, marks["masks"] = in_rgb(prompts), in_rgb(masks)
    del arguments["prompts"], arguments["required"], arguments["text"]
    if text is not None:
        if prompts is not None and not isinstance(prompts, Auto):
            raise ArgumentError("text says what to look for; leave out prompts")
        prompts = replace(prompts or Auto(), text=text)
    if isinstance(prompts, Auto):
        finds = "Auto" if text is None else "text"
        for argument, value in {"required": required, **marks}.items():
            if value is not None:
                raise ArgumentError(f"{argument} goes with prompts; {finds} finds the objects; leave one out")
        return results_of(TrackJob, arguments, finding=_detector_config(prompts))
    collected = collect_prompts(prompts, **marks, size=opened.size)
    return results_of(TrackJob, arguments, prompts=stored_prompts(collected, opened), required=required)


def _detector_config(auto: Auto) -> DetectorConfig:
    """Convert ``auto`` to the detector of a job."""
    name = auto.detector if isinstance(auto.detector, str) else None
    options = {item: getattr(auto, item) for item in ("every", "text", "frames", "score")}
    return checked(
        DetectorConfig,
        {"name": name, "detector": None if name else runtime_object(auto.detector), **options},
    )


def stored_prompts(prompts: Sequence[Prompt], source: Source) -> tuple[Prompt, ...]:
    """Convert prompts from pixels of frames to pixels of the source, for a job."""
    across = down = 1.0
    if source.size is not None and source.original_size is not None:
        down, across = (of / to for of, to in zip(source.original_size, source.size, strict=True))
    return tuple(item.scaled(across, down) for item in prompts)
