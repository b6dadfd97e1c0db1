"""Interface between tracking networks and sessions: trackers own all state of a video."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol

import torch
from torch import Tensor

from segue.prompt_types import BoxPrompt, PointPrompt
from segue.registry import PromptKind
from segue.state import SessionState
from segue.types import Box, Image, MemoryPolicy, Point
from segue.utils.devices import to_device


@dataclass(frozen=True, slots=True)
class Schedule:
    """Settings of the memory: which frames enter it, what is read, and how much is kept.

    Attributes:
        mem_every: distance of two permanent memory frames, in frames that the session has seen.
        top_k: memory positions that a query position reads; None means all of them.
        include_last: whether the previous frame is read as well, without being kept.
        last_window: maximum distance, in memory positions, at which a position reads the previous
            frame; None for anywhere. Objects move little from one frame to the next, look-alikes elsewhere
            in the image do not move to them.
        dense_radius: how far from the objects, in memory positions, all positions of a permanent memory frame
            are read; farther away one in four is, which counts for two. None reads all of them, as a GPU
            does, and images that are read from coarse to fine. Only for L2.
        penalty: confidence penalty, taken off the affinities of kept frames unless their masks were given:
            other masks are predictions, whose errors would otherwise feed on themselves. Predictions that
            clicks corrected count as such. Only for L2.
        last_penalty: the same for the previous frame.
        memory_frames: bound on the number of permanent memory frames.
        memory_policy: which one makes room when the bound is reached; ``all`` ignores the bound.
        max_jump: components of a predicted mask that lie farther than this part of the image's diagonal
            from the object's mask on the frame before are removed before the frame becomes memory, see
            :func:`segue.models.memory.components.suppress_distant_components`; None keeps them.
        short_side: larger images are reduced to this short side for the network, and its probabilities
            brought back to their size; None never reduces.
        window: on frames that do not become permanent memory, read and decode only a window around the
            objects: their last masks and this part of the short side of the network's image on each side. The
            whole image is read where an object is out of sight or reaches the window's border. None always
            reads the whole image, as a GPU does. Only for stcn-lite.
        flip_tta: track in the mirrored image as well, with a memory of its own, and take the mean of both
            log-odds; both memories keep what they agreed on. Takes twice the time.
    """

    mem_every: int = 5
    top_k: int | None = 20
    include_last: bool = False
    last_window: int | None = None
    dense_radius: int | None = None
    penalty: float = 0.0
    last_penalty: float = 0.0
    memory_frames: int = 50
    memory_policy: MemoryPolicy = "usage"
    max_jump: float | None = None
    short_side: int | None = None
    window: float | None = None
    flip_tta: bool = False


@dataclass(frozen=True, slots=True)
class Setup:
    """Options of a tracker.

    Attributes:
        schedule: memory settings; a tracker uses those that apply to it.
        device, dtype: device and type of the network.
        memory_limit: bytes that one pass over several objects may take, roughly.
        frames: number of frames of the video; None where it is not known.
        in_int8: whether the convolutions are of 8-bit integers.
    """

    schedule: Schedule
    device: torch.device
    dtype: torch.dtype
    memory_limit: int
    frames: int | None = None
    in_int8: bool = False


@dataclass(frozen=True, slots=True)
class FramePrompts:
    """Prompts of a frame from :func:`segue.prompts.resolve_prompts`.

    Attributes:
        mask: index mask (H, W) of the objects that have a mask, int32, 0 elsewhere: what is shown where they
            overlap; trackers receive it on their device.
        masked: their ids, those in front last.
        prompts: boxes and points of the other objects, in pixels of the image; only of the kinds that
            :attr:`Tracker.prompts` names.
        labels: label of every object that has one.
        removed: ids that are followed no longer from this frame on.
        expected: predicted IoU of the masks that a prompter made and judged, by id, in [0, 1].
        corrected: objects whose mask is where they were taken to be, with regions that points changed.
        whole: masks (H, W), bool, of the objects of which others hide a part or all; on the device of
            ``mask``.
    """

    mask: Tensor
    masked: tuple[int, ...]
    prompts: tuple[BoxPrompt | PointPrompt, ...] = ()
    labels: Mapping[int, str] = field(default_factory=dict)
    removed: tuple[int, ...] = ()
    expected: Mapping[int, float] = field(default_factory=dict)
    corrected: frozenset[int] = frozenset()
    whole: Mapping[int, Tensor] = field(default_factory=dict)

    @property
    def ids(self) -> tuple[int, ...]:
        """Ids of all objects with prompts, without duplicates."""
        return tuple(dict.fromkeys((*self.masked, *(prompt.id for prompt in self.prompts))))

    def plane(self, id: int) -> Tensor:
        """Get the whole mask of an object.

        Args:
            id: id of an object in ``masked``.

        Returns:
            Mask (H, W), bool, with the pixels that other objects hide.
        """
        whole = self.whole.get(id)
        return self.mask == id if whole is None else whole

    def without(self, ids: Collection[int]) -> FramePrompts:
        """Remove the masks of some objects.

        Args:
            ids: ids of these objects.

        Returns:
            A copy in which the pixels that they hid belong to the objects below.
        """
        masked = tuple(i for i in self.masked if i not in ids)
        visible = torch.isin(self.mask, torch.tensor(masked, dtype=self.mask.dtype))
        mask, whole = torch.where(visible, self.mask, 0), {}
        for i in masked:
            if i in self.whole:
                mask = torch.where(~visible & self.whole[i], i, mask)
                whole[i] = self.whole[i]
        return replace(self, mask=mask, masked=masked, whole=whole)

    def on(self, device: torch.device) -> FramePrompts:
        """Move the masks to a device.

        Args:
            device: the device.

        Returns:
            A copy with masks on the device.
        """
        whole = {i: to_device(plane, device) for i, plane in self.whole.items()}
        return replace(self, mask=to_device(self.mask, device), whole=whole)


@dataclass(frozen=True, slots=True)
class Highest:
    """Maximum over probabilities (K+1, H, W), for a result.

    Attributes:
        best: the highest of each pixel, (H, W), float32.
        channel: which one that is, (H, W), int16; the first of equals.
        sums: the sum of each plane, (K+1,), float32.
    """

    best: Tensor
    channel: Tensor
    sums: Tensor

    @classmethod
    def of(cls, planes: Tensor) -> Highest:
        """Compute it from probabilities.

        Args:
            planes: (K+1, H, W), float32.

        Returns:
            The highest value of each pixel, its channel, and the sums.
        """
        sums = planes.sum((1, 2))
        if planes.device.type != "cpu":
            best, place = planes.max(0)
            return cls(best, place.to(torch.int16), sums)
        # Plane by plane: places of all pixels, int64, would take twice the memory of the highest values.
        best, channel = planes[0].clone(), torch.zeros(planes.shape[1:], dtype=torch.int16)
        for number, plane in enumerate(planes[1:], 1):
            channel.masked_fill_(plane > best, number)
            torch.maximum(best, plane, out=best)
        return cls(best, channel, sums)


@dataclass(frozen=True, slots=True)
class PredictedObjects:
    """Predicted objects of a frame on which other objects were given.

    Attributes:
        ids: their ids.
        compact: their log-odds in a small tensor, on the tracker's device.
        expand: computes maps at the size of the image, (K, H, W), from ``compact``; it can be pickled.
    """

    ids: tuple[int, ...]
    compact: Tensor
    expand: Callable[[Tensor], Tensor]


@dataclass(frozen=True, slots=True)
class TrackOutput:
    """Result of a frame, on the tracker's device; the session downloads it at once.

    Attributes:
        ids: the objects, ascending.
        probabilities: (K+1, H, W), float32, background first, then the objects; sums to 1. None where
            ``highest`` is known without them, and ``compact`` gives them if they are asked for.
        compact: a small tensor from which ``expand`` computes ``probabilities`` again; the result keeps it on
            the processor. None keeps the probabilities themselves.
        expand: computes ``probabilities`` from ``compact``; it can be pickled.
        logits: computes independent log-odds of each object, (K, H, W), from ``compact``; it can be pickled.
            None if only ``probabilities`` are known.
        predicted: the objects of which nothing was given on a frame with prompts, and what gives their
            log-odds; None where ``logits`` has all.
        scores: (K,), how good the mask of each object is likely to be, in [0, 1], where the network says so
            itself; None leaves it to the session.
        highest: object with the highest probability at each pixel; None leaves it to the session.
        by_object: whether rows of ``compact`` are objects, of which ``logits`` and ``predicted`` take some.
    """

    ids: tuple[int, ...]
    probabilities: Tensor | None
    compact: Tensor | None = None
    expand: Callable[[Tensor], Tensor] | None = None
    scores: Tensor | None = None
    highest: Highest | None = None
    logits: Callable[[Tensor], Tensor] | None = None
    predicted: PredictedObjects | None = None
    by_object: bool = False


class Tracker(Protocol):
    """Tracks objects from image to image with a bounded memory.

    All methods run without gradients. Images are RGB (H, W, 3), uint8, all of one size.
    """

    prompts: frozenset[PromptKind]
    """Kinds of prompts that it accepts besides masks; others are converted to masks first."""

    def __init__(self, network: Any, setup: Setup) -> None: ...

    @property
    def ids(self) -> tuple[int, ...]:
        """Ids of the tracked objects, ascending."""

    @property
    def requires_update(self) -> bool:
        """Whether the next image changes the memory, so that it must not be skipped."""

    def step(self, image: Image, prompts: FramePrompts | None = None, *, predict: bool = True) -> TrackOutput:
        """Process the next image.

        Args:
            image: the image.
            prompts: its prompts; objects may be new. Never None as long as nothing is followed.
            predict: False uses only the given masks; all other objects count as hidden.

        Returns:
            Probabilities of background and objects on this image.

        Raises:
            PromptError: the network cannot do anything with a box or a point; then nothing has changed.
        """

    def peek(self, image: Image) -> TrackOutput:
        """Predict the next image without changing state.

        Args:
            image: the image.

        Returns:
            Probabilities of background and objects on it.
        """

    def skip(self) -> None:
        """Skip an image whose result is not needed."""

    def forget(self, ids: Collection[int]) -> None:
        """Stop tracking objects; tensors shared with a :meth:`state` do not change.

        Args:
            ids: their ids; unknown ones are ignored.
        """

    def reset(self) -> None:
        """Remove all objects and memory."""

    def state(self, *, copy: bool = True) -> SessionState:
        """State for :meth:`restore`; :class:`segue.state.Checkpointable` provides both.

        Args:
            copy: False lets tensors share the memory of the tracker, to be used before its next step.

        Returns:
            Tensors and JSON values.
        """

    def restore(self, state: SessionState) -> None:
        """Continue from a state of :meth:`state`.

        Args:
            state: as :meth:`state` returned it, with tensors on the tracker's device; they are copied.
        """


class VideoTracker(Protocol):
    """Tracks objects through a whole video in both directions, with prompts on any frame.

    Frames are numbered from 0 without gaps. Return values of methods are not read.
    """

    @property
    def ids(self) -> tuple[int, ...]:
        """Ids of the objects."""

    def click(
        self,
        frame: int,
        id: int,
        points: Sequence[Point] = (),
        labels: Sequence[int] | None = None,
        *,
        box: Box | None = None,
        add: bool = False,
    ) -> Any:
        """Prompt an object with points or a box.

        Args:
            frame: index of the frame.
            id: id of the object.
            points: points (x, y) in pixels of the image.
            labels: 1 for a point on the object and 0 for one outside, one each; None is 1 for all.
            box: left, top, right and bottom in pixels.
            add: keep the earlier points of the object on this frame.

        Returns:
            The objects of the frame, as :meth:`output` returns them.
        """

    def mask(self, frame: int, id: int, mask: Any) -> Any:
        """Prompt an object with a mask.

        Args:
            frame: index of the frame.
            id: id of the object.
            mask: mask (H, W), true or non-zero on the object.

        Returns:
            The objects of the frame, as :meth:`output` returns them.
        """

    def unprompt(self, frame: int, id: int) -> None:
        """Remove the prompts of an object on a frame.

        Args:
            frame: index of the frame.
            id: id of the object.
        """

    def remove(self, id: int) -> None:
        """Stop tracking an object.

        Args:
            id: id of the object.
        """

    def propagate(
        self, start: int | None = None, *, reverse: bool = False, frames: int | None = None
    ) -> Iterator[Any]:
        """Track all objects, one frame per step.

        Args:
            start: index of the first frame; None is the first prompted frame.
            reverse: go towards the beginning of the video.
            frames: maximum number of frames after ``start``; None goes to the end.

        Returns:
            An iterator over the objects of each frame, from ``start`` on.
        """

    def is_prompted(self, frame: int, id: int) -> bool:
        """Whether an object keeps its mask on a frame when the video is tracked again.

        Args:
            frame: index of the frame.
            id: id of the object.

        Returns:
            True if the object has prompts on the frame.
        """

    def output(self, frame: int) -> TrackOutput | None:
        """Get the objects with a mask on a frame, prompted or tracked.

        Args:
            frame: index of the frame.

        Returns:
            The objects; None without any.
        """

    def reset(self) -> None:
        """Remove all objects."""

    def state(self, *, copy: bool = True) -> SessionState:
        """Save the state.

        Args:
            copy: copy tensors; False shares them with the tracker.

        Returns:
            The state for :meth:`restore`.
        """

    def restore(self, state: SessionState) -> None:
        """Continue from a saved state.

        Args:
            state: a state of :meth:`state`, from the same video and network.

        Raises:
            CheckpointError: it is of another network or has other settings.
        """


class MakeVideoTracker(Protocol):
    """Factory of a network's :class:`VideoTracker`."""

    def __call__(
        self,
        network: Any,
        setup: Setup,
        frames: Callable[[int], Image],
        count: int,
        *,
        keep_corrections: bool,
    ) -> VideoTracker:
        """Create the tracker.

        Args:
            network: the network.
            setup: its options.
            frames: returns the image of a frame.
            count: number of frames.
            keep_corrections: corrected frames keep their masks; overrides the schedule.

        Returns:
            A tracker without objects.
        """


@dataclass(frozen=True, slots=True)
class TrackCapabilities:
    """Optional capabilities of a tracking network.

    Attributes:
        confidence: factor and offset by which the log-odds of an expected overlap become those of the
            measured one, see :func:`segue.sessions.track_results.expected_overlap`.
        graphs: ``memory`` where :func:`segue.export.onnx.export_onnx` can write it; None where it cannot.
        video: makes what tracks a whole video with boxes and points on any frame, for :class:`segue.Video`;
            None makes masks of them, and sessions track these.
    """

    confidence: tuple[float, float] = (1.0, 0.0)
    graphs: Literal["memory"] | None = None
    video: MakeVideoTracker | None = None


def track_capabilities(network: object) -> TrackCapabilities:
    """Capabilities that a tracking network declares.

    Args:
        network: the network.

    Returns:
        Its attribute ``capabilities``, or the defaults.
    """
    declared = getattr(network, "capabilities", None)
    return declared if isinstance(declared, TrackCapabilities) else TrackCapabilities()


class TrackNetwork(Protocol):
    """A network for :class:`segue.sessions.TrackSession`.

    It may declare ``capabilities``, see :class:`TrackCapabilities`.
    """

    schedule: Schedule
    """Default schedule, as published."""

    @property
    def tracker(self) -> type[Tracker]:
        """Tracker class of the network; a class attribute suffices."""
