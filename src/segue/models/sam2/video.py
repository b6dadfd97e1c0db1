"""SAM 2 on a whole video, like the release's predictor: prompts on any frame, both directions.

All results are kept, so that any frame can be corrected: half a MiB of memory and a quarter MiB of logits for
each object and frame, at the size of the release. Images are not kept. For videos of any length in bounded
memory, forwards, a session runs :class:`segue.models.sam2.tracker.SAM2Tracker`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence, Sized
from dataclasses import asdict, dataclass, field, replace
from typing import Any, ClassVar, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from segue.errors import ArgumentError, PromptError
from segue.models.base import Setup, TrackOutput
from segue.models.sam2.images import labelled, square_mask, video_image, video_logits
from segue.models.sam2.objects import ObjectMemory, ObjectSteps, Settings
from segue.models.sam2.tracker import output_of, settings_of, side_of
from segue.models.sam2.values import IMAGE_SIDE, Encoded, Record, VideoNetwork
from segue.prompt_inputs.values import as_box, as_masks, as_points
from segue.state import Checkpointable
from segue.types import Box, Image, Point
from segue.utils.devices import to_device
from segue.utils.inputs import check_number, kind_of
from segue.video.decoding.readers import as_rgb

OVERLAPPED = -10.0
"""Maximum logit of a pixel that another object has."""


@dataclass(frozen=True, slots=True)
class VideoResult:
    """Masks and scores of the objects on a frame.

    Attributes:
        frame: its number.
        ids: the objects, in the order in which they were named.
        logits: at the size of the video, (K, H, W), float32; an object is where they are above 0.
        records: stored data of each object; None without any.
    """

    frame: int
    ids: tuple[int, ...]
    logits: Tensor
    records: tuple[Record | None, ...]

    @property
    def masks(self) -> npt.NDArray[np.bool_]:
        """Masks of the objects, (K, H, W); may overlap."""
        return (self.logits > 0).cpu().numpy()

    @property
    def scores(self) -> tuple[float, ...]:
        """Predicted IoU of each mask; 0 for absent objects."""
        return tuple(0.0 if r is None else float(r.expected) for r in self.records)


@dataclass(slots=True)
class _Object:
    memory: ObjectMemory = field(default_factory=ObjectMemory)
    waiting: dict[bool, dict[int, Record]] = field(default_factory=lambda: {False: {}, True: {}})
    """Records whose memory is not encoded yet; True for frames that become prompted frames."""
    points: dict[int, tuple[Tensor, Tensor]] = field(default_factory=dict)
    passed: dict[int, bool] = field(default_factory=dict)
    """Frames that a pass went over, and whether it ran backwards."""

    def record(self, frame: int) -> Record | None:
        """Latest record of a frame."""
        for records in (self.waiting[True], self.waiting[False], self.memory.prompted, self.memory.tracked):
            if frame in records:
                return records[frame]
        return None


def _saved_records(records: Mapping[int, Record]) -> dict[int, tuple[Tensor | None, ...]]:
    return {
        frame: (record.pointer, record.score, record.iou, record.features, record.low_res_masks)
        for frame, record in records.items()
    }


class VideoPredictor(Checkpointable):
    """Tracks objects through a video whose frames can be read in any order.

    Args:
        network: a network in evaluation mode; it is not copied.
        frames: a list or array (T, H, W, 3) of frames, or a function that gives a frame by its number: RGB
            (H, W, 3), uint8, as arrays, tensors or PIL images.
        count: number of frames; None is the length of ``frames``.
        settings: which rules hold.
        side: side of the square input in pixels, a multiple of its ``side_step``.
        no_overlap: let every pixel of a result belong to at most one object. Memory does not change.

    Example:
        >>> video = VideoPredictor(segue.load("sam2-tiny"), frames)
        >>> video.click(0, 1, [(210, 350)])
        >>> for result in video.propagate():
        ...     print(result.frame, result.masks.sum((1, 2)))
    """

    state_fields: ClassVar[dict[str, Any]] = {"_saved": ...}

    def __init__(
        self,
        network: VideoNetwork,
        frames: Callable[[int], Any] | Sequence[Any] | npt.NDArray[np.uint8] | Tensor,
        count: int | None = None,
        settings: Settings | None = None,
        *,
        side: int = IMAGE_SIDE,
        no_overlap: bool = False,
    ) -> None:
        if not hasattr(network, "encode_memory"):
            raise ArgumentError(f"network: {kind_of(network)}; give a SAM 2, as of segue.load('sam2-tiny')")
        if not callable(frames) and not hasattr(frames, "__getitem__"):
            raise ArgumentError(f"frames: {kind_of(frames)}; give a list of images, or a function")
        if count is None and not isinstance(frames, Sized):
            raise ArgumentError("count: give the number of frames, which a function does not tell")
        count = len(cast(Sized, frames)) if count is None else count
        check_number("count", count, minimum=1, whole=True)
        check_number("side", side, minimum=network.side_step, whole=True)
        if side % network.side_step:
            raise ArgumentError(f"side {side}: must be a multiple of {network.side_step} pixels")
        self._frames = frames if callable(frames) else frames.__getitem__
        self._count, self._no_overlap = count, no_overlap
        self._settings = settings or Settings()
        with torch.inference_mode():
            self._steps = ObjectSteps(network, network.constants(side), self._settings)
        self.device = network.no_mem_embed.device
        self._dtype = network.no_mem_embed.dtype
        self._latest: tuple[int, Encoded] | None = None
        self._size: tuple[int, int] | None = None
        self.reset()

    def reset(self) -> None:
        """Remove all objects."""
        self._objects: dict[int, _Object] = {}

    @property
    def ids(self) -> tuple[int, ...]:
        """Ids of the objects, in order of creation."""
        return tuple(self._objects)

    @torch.inference_mode()
    def click(
        self,
        frame: int,
        id: int,
        points: Sequence[Point] = (),
        labels: Sequence[int] | None = None,
        *,
        box: Box | None = None,
        add: bool = False,
    ) -> VideoResult:
        """Prompt an object with points or a box.

        Args:
            frame: number of the frame.
            id: the object; one that is not known is new.
            points: in pixels of the video.
            labels: 1 for points on the object and 0 for those beside it; None means all on it.
            box: around the object, in pixels of the video.
            add: add to the points that were given on this frame, instead of replacing them.

        Returns:
            The current result of the frame. Memory changes with the next pass.

        Raises:
            PromptError: there are no prompts, or there is no such frame.
        """
        marks = list(as_points(points, "points")) if len(points) else []
        kinds = [1] * len(marks) if labels is None else [int(label) for label in labels]
        if len(kinds) != len(marks):
            raise PromptError(f"{len(marks)} points have {len(kinds)} labels")
        if not {*kinds} <= {0, 1}:
            raise PromptError(f"labels: {kinds}; 1 is a point on the object, 0 one beside it")
        if box is not None:
            if add:
                raise PromptError("a box comes before all points; it cannot be added to them")
            corners = as_box(box, "box")
            if corners[0] >= corners[2] or corners[1] >= corners[3]:
                raise PromptError(f"box: {kind_of(box)}; give (x0, y0, x1, y1) with x0 < x1, y0 < y1")
            marks, kinds = [corners[:2], corners[2:], *marks], [2, 3, *kinds]
        if not marks:
            raise PromptError("give a point or a box")
        encoded = self._encode(frame)
        one = self._objects.setdefault(id, _Object())
        assert self._size is not None
        side = self._steps.constants.side
        new_clicks = labelled(np.array(marks, np.float32), kinds, self._size, side, self.device)
        if add and frame in one.points:
            previous_clicks = one.points[frame]
            new_clicks = (
                torch.cat([previous_clicks[0], new_clicks[0]], 1),
                torch.cat([previous_clicks[1], new_clicks[1]], 1),
            )
        one.points[frame] = new_clicks
        keeps = self._becomes_prompted(one, frame)
        view = None
        if frame in one.passed:
            view = one.memory.view(frame, self._settings, self._count, one.passed[frame])
        record = one.record(frame)
        previous = None if record is None else record.low_res_masks
        one.waiting[keeps][frame] = self._steps.click(encoded, *new_clicks, previous, view)
        return self._result(frame)

    @torch.inference_mode()
    def mask(self, frame: int, id: int, mask: Any) -> VideoResult:
        """Prompt an object with a mask.

        Args:
            frame: number of the frame.
            id: id of the object; a new one adds an object.
            mask: (H, W), booleans or whole numbers, object where not 0, as an array, a tensor, a PIL image
                or a file; an empty one says that the object is not there.

        Returns:
            Masks of all objects on this frame.

        Raises:
            PromptError: the mask has another type or size than the frame.
        """
        encoded = self._encode(frame)
        mask = as_masks(mask, "mask") != 0
        if mask.shape != self._size:
            raise PromptError(f"the mask has shape {mask.shape}, the frame {self._size}")
        one = self._objects.setdefault(id, _Object())
        one.points.pop(frame, None)
        plane = to_device(torch.from_numpy(mask), self.device)
        square = square_mask(plane, self._steps.constants.side)
        one.waiting[self._becomes_prompted(one, frame)][frame] = self._steps.from_mask(encoded, square)
        return self._result(frame)

    @torch.inference_mode()
    def unprompt(self, frame: int, id: int) -> None:
        """Remove all prompts of an object on a frame; its mask there becomes a tracked one.

        Args:
            frame: number of the frame.
            id: object id.

        Raises:
            PromptError: no object has this id.
        """
        self._check_id(id)
        one = self._objects[id]
        for records in one.waiting.values():
            records.pop(frame, None)
        one.points.pop(frame, None)
        record = one.memory.prompted.pop(frame, None)
        if record is not None:
            one.memory.tracked[frame] = record
            one.passed.pop(frame, None)

    def is_prompted(self, frame: int, id: int) -> bool:
        """Whether an object keeps its mask on a frame in later passes.

        Args:
            frame: number of the frame.
            id: object id.

        Returns:
            False also where there is no such object.
        """
        one = self._objects.get(id)
        return one is not None and (frame in one.memory.prompted or frame in one.waiting[True])

    @torch.inference_mode()
    def output(self, frame: int) -> TrackOutput | None:
        """Objects on a frame, as a session's output.

        Args:
            frame: its number.

        Returns:
            Objects in the order of their ids; each pixel belongs to the one with the highest logit. None
            where nothing was found yet.
        """
        records = {i: record for i, one in self._objects.items() if (record := one.record(frame)) is not None}
        if not records:
            return None
        if self._size is None:
            self._encode(frame)
        assert self._size is not None
        ids = tuple(sorted(records))
        ordered = [records[i] for i in ids]
        return output_of(ids, ordered, self._steps.low_masks(ordered), self._size)

    def remove(self, id: int) -> None:
        """Stop tracking an object.

        Args:
            id: object id.

        Raises:
            PromptError: no object has this id.
        """
        self._check_id(id)
        del self._objects[id]

    def _check_id(self, id: int) -> None:
        if id not in self._objects:
            ids = ", ".join(map(str, self._objects)) or "none"
            raise PromptError(f"there is no object {id}; known are: {ids}")

    def propagate(
        self, start: int | None = None, *, reverse: bool = False, frames: int | None = None
    ) -> Iterator[VideoResult]:
        """Track all objects from a frame on.

        Prompted frames keep their masks; all others are recomputed, including corrected ones unless the
        settings keep corrections.

        Args:
            start: first frame; None is the earliest prompted one.
            reverse: run backwards, to the first frame of the video.
            frames: maximum number of frames, not counting the first.

        Yields:
            Masks of all objects on one frame after the other, the start included.

        Raises:
            PromptError: an object has no prompt, or there is no such frame.
        """
        self._encode_waiting()
        if not self._objects:
            raise PromptError("no prompts: say what to follow")
        if start is None:
            start = min(min(one.memory.prompted) for one in self._objects.values())
        self._check(start)
        if reverse:
            last = 0 if frames is None else max(start - frames, 0)
            order = range(start, last - 1, -1) if start > 0 else range(0)
        else:
            last = self._count - 1 if frames is None else min(start + frames, self._count - 1)
            order = range(start, last + 1)
        for frame in order:
            yield self._pass(frame, reverse)

    @torch.inference_mode()
    def _pass(self, frame: int, reverse: bool) -> VideoResult:
        for one in list(self._objects.values()):
            if not one.memory.prompted:  # it came after the pass began
                continue
            if frame not in one.memory.prompted:
                view = one.memory.view(frame, self._settings, self._count, reverse)
                one.memory.tracked[frame] = self._steps.track(self._encode(frame), {0: view})[0]
            one.passed[frame] = reverse
        return self._result(frame)

    @torch.inference_mode()
    def _encode_waiting(self) -> None:
        for id, one in self._objects.items():
            for keeps, records in one.waiting.items():
                memory_records = one.memory.prompted if keeps else one.memory.tracked
                for frame, record in records.items():
                    memory_records[frame] = self._steps.encode_memory(self._encode(frame), record)
                records.clear()
            if not one.memory.prompted:
                raise PromptError(f"object {id} has no prompt; give one, or remove it")
            for frame in one.memory.prompted:
                one.memory.tracked.pop(frame, None)

    @property
    def _saved(self) -> dict[int, dict[str, Any]]:
        """State of each object, with records as tuples."""
        return {
            i: {
                "memory": [_saved_records(one.memory.prompted), _saved_records(one.memory.tracked)],
                "waiting": [_saved_records(one.waiting[True]), _saved_records(one.waiting[False])],
                "points": one.points,
                "passed": one.passed,
            }
            for i, one in self._objects.items()
        }

    @_saved.setter
    def _saved(self, saved: dict[int, dict[str, Any]]) -> None:
        for i, values in saved.items():
            prompted, tracked, first, corrected = (
                {frame: Record(*record) for frame, record in records.items()}
                for records in (*values["memory"], *values["waiting"])
            )
            waiting = {True: first, False: corrected}
            memory = ObjectMemory(prompted, tracked)
            self._objects[i] = _Object(memory, waiting, values["points"], values["passed"])

    def _reset_transient_state(self) -> None:
        self.reset()

    def _config_fingerprint(self) -> dict[str, Any]:
        return {"side": self._steps.constants.side, "settings": asdict(self._settings)}

    def _becomes_prompted(self, one: _Object, frame: int) -> bool:
        return frame not in one.passed or self._settings.keep_corrections

    def _encode(self, frame: int) -> Encoded:
        self._check(frame)
        if self._latest is None or self._latest[0] != frame:
            image = as_rgb(self._frames(frame), f"frame {frame}")
            self._size = image.shape[0], image.shape[1]
            square = video_image(image, self._steps.constants.side, self.device).to(self._dtype)
            self._latest = frame, self._steps.network.encode(square, self._steps.constants)
        return self._latest[1]

    def _check(self, frame: int) -> None:
        if isinstance(frame, bool) or not isinstance(frame, (int, np.integer)):
            raise PromptError(f"frame: {kind_of(frame)}; give the number of a frame, from 0 on")
        if not 0 <= frame < self._count:
            raise PromptError(f"there is no frame {frame}; the video has {self._count}")

    def _result(self, frame: int) -> VideoResult:
        records = tuple(one.record(frame) for one in self._objects.values())
        if self._size is None:
            self._encode(frame)
        assert self._size is not None
        logits = video_logits(self._steps.low_masks(records), self._size)
        return VideoResult(frame, self.ids, without_overlap(logits) if self._no_overlap else logits, records)


def follow_video(
    network: VideoNetwork,
    setup: Setup,
    frames: Callable[[int], Image],
    count: int,
    *,
    keep_corrections: bool,
) -> VideoPredictor:
    """Create the predictor of a network with the settings of a schedule."""
    settings = settings_of(setup.schedule)
    if keep_corrections:
        settings = replace(settings, keep_corrections=True)
    return VideoPredictor(network, frames, count, settings, side=side_of(setup.schedule.short_side, network))


def without_overlap(logits: Tensor) -> Tensor:
    """Lower logits (K, H, W) to ``OVERLAPPED`` except the largest at each pixel."""
    if len(logits) < 2:
        return logits
    largest = torch.zeros_like(logits, dtype=torch.bool).scatter_(0, logits.argmax(0, keepdim=True), True)
    return torch.where(largest, logits, logits.clamp(max=OVERLAPPED))
