"""Video models of Hugging Face transformers on a whole video, for :class:`segue.Video`.

Each object has an inference session of transformers; they share the features of the latest frame. Images are
read when they are needed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields
from functools import partial
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from segue.errors import PromptError, SegueError, memory_error
from segue.models.base import Schedule, Setup, TrackOutput
from segue.models.sam2.images import video_logits
from segue.models.sam2.tracker import merged
from segue.state import Checkpointable
from segue.types import Box, Image, Point
from segue.utils.inputs import first_line

OUTPUTS = "output_dict_per_obj"
TRACKED = "frames_tracked_per_obj"
POINTS = "point_inputs_per_obj"
MASKS = "mask_inputs_per_obj"
BOOKS = (OUTPUTS, TRACKED, POINTS, MASKS)
"""Attributes of an inference session, dictionaries of the data of each object; transformers does not
document them."""

PROMPTED_FRAMES, TRACKED_FRAMES = "cond_frame_outputs", "non_cond_frame_outputs"
"""Kinds of records of an object, by frame."""

POSITION = "maskmem_pos_enc"
POINTER = "object_pointer"
SAVED_OUTPUTS = ("maskmem_features", POSITION, POINTER)
"""Parts of a record of a frame that later frames read."""

LOGITS = "pred_masks"
RECORD = (*SAVED_OUTPUTS, LOGITS, "object_score_logits")
"""Parts of a record that any frame may need again."""


def check_schedule(schedule: Schedule, supported: Schedule) -> None:
    """Raise an error for settings that these models do not support."""
    for item in fields(supported):
        if getattr(schedule, item.name) != getattr(supported, item.name):
            raise SegueError(f"models of transformers have no {item.name}; leave it out")


def has_books(session: Any) -> bool:
    """Whether an inference session exposes its memory."""
    has_dicts = all(isinstance(getattr(session, name, None), dict) for name in BOOKS)
    return has_dicts and hasattr(session, "processed_frames")


def new_session(processor: Any, setup: Setup) -> Any:
    """Create an inference session without objects."""
    return processor.init_video_session(
        inference_device=setup.device, inference_state_device=setup.device, dtype=setup.dtype
    )


def pixels_of(processor: Any, image: Image, setup: Setup) -> Tensor:
    """Preprocess an image for a model, (3, S, S)."""
    prepared = processor(images=np.ascontiguousarray(image), return_tensors="pt")
    pixels: Tensor = prepared["pixel_values"][0]
    return pixels.to(setup.device, setup.dtype)


def run_model(model: Any, session: Any, **arguments: Any) -> Any:
    """Run a model on a frame; wrap its errors."""
    try:
        return model(session, **arguments)
    except Exception as error:
        if memory_error(error) is not None:
            raise
        raise SegueError(f"{type(model).__name__} of transformers failed: {first_line(error)}") from error


def with_masks(ids: tuple[int, ...], low: Tensor, size: tuple[int, int]) -> TrackOutput:
    """Create the output of objects with mask logits (1, K, h, w), at image size."""
    logits = partial(video_logits, size=size)
    return TrackOutput(ids, merged(low, size), low, partial(merged, size=size), logits=logits)


class _Frames:
    """Frames of a video for an inference session."""

    def __init__(self, count: int, read: Callable[[int], Tensor]) -> None:
        self._count, self._read = count, read

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> Tensor:
        return self._read(index)


class TransformersPredictor(Checkpointable):
    """Tracks objects through a whole video; see :class:`segue.models.base.VideoTracker`.

    Prompts and passes are those of transformers with a whole video, one object at a time. With
    ``keep_corrections`` a corrected frame becomes a prompted one, which transformers has no setting for.
    """

    state_fields: ClassVar[dict[str, Any]] = {"_saved": ...}

    def __init__(
        self,
        network: Any,
        setup: Setup,
        frames: Callable[[int], Image],
        count: int,
        *,
        keep_corrections: bool,
    ) -> None:
        check_schedule(setup.schedule, network.schedule)
        self._model, self._processor, self._setup = network.model, network.processor, setup
        self._image, self._count, self._keep = frames, count, keep_corrections
        self._frames = _Frames(count, lambda index: pixels_of(self._processor, self._read(index), setup))
        self._size: tuple[int, int] | None = None
        self._features: Any = None
        self._positions: Tensor | None = None
        self.device = setup.device
        self.reset()

    def reset(self) -> None:
        self._sessions: dict[int, Any] = {}

    def _reset_transient_state(self) -> None:
        self.reset()

    @property
    def ids(self) -> tuple[int, ...]:
        return tuple(self._sessions)

    def click(
        self,
        frame: int,
        id: int,
        points: Sequence[Point] = (),
        labels: Sequence[int] | None = None,
        *,
        box: Box | None = None,
        add: bool = False,
    ) -> None:
        marks = [[float(x), float(y)] for x, y in points]
        kinds = [1] * len(marks) if labels is None else [int(label) for label in labels]
        if box is not None:  # its corners are points of their own kinds
            x0, y0, x1, y1 = map(float, box)
            marks, kinds = [[x0, y0], [x1, y1], *marks], [2, 3, *kinds]
        self._prompt(frame, id, input_points=[[marks]], input_labels=[[kinds]], clear_old_inputs=not add)

    def mask(self, frame: int, id: int, mask: Any) -> None:
        plane = torch.as_tensor(np.asarray(mask) != 0)
        self._prompt(frame, id, input_masks=[plane])

    def unprompt(self, frame: int, id: int) -> None:
        session = self._sessions[id]
        outputs, index = self._outputs(id), session.obj_id_to_idx(id)
        record = outputs[PROMPTED_FRAMES].pop(frame, None)
        if record is not None:
            outputs[TRACKED_FRAMES][frame] = record
        for name in (TRACKED, POINTS, MASKS):
            getattr(session, name)[index].pop(frame, None)

    def remove(self, id: int) -> None:
        del self._sessions[id]

    def is_prompted(self, frame: int, id: int) -> bool:
        return id in self._sessions and frame in self._outputs(id)[PROMPTED_FRAMES]

    def propagate(
        self, start: int | None = None, *, reverse: bool = False, frames: int | None = None
    ) -> Iterator[int]:
        prompted = [frame for id in self.ids for frame in self._outputs(id)[PROMPTED_FRAMES]]
        if not prompted:
            raise PromptError("no prompts: say what to follow")
        first = min(prompted) if start is None else start
        length = self._count if frames is None else frames
        if reverse:
            order = range(first, max(first - length, 0) - 1, -1) if first else range(0)
        else:
            order = range(first, min(first + length, self._count - 1) + 1)
        for frame in order:
            for id in self.ids:
                is_followed = bool(self._outputs(id)[PROMPTED_FRAMES])
                if is_followed and not self.is_prompted(frame, id):
                    self._run(self._sessions[id], id, frame, reverse=reverse)
            yield frame

    def output(self, frame: int) -> TrackOutput | None:
        low = {id: record[LOGITS] for id in sorted(self.ids) if (record := self._record(id, frame))}
        if not low:
            return None
        if self._size is None:
            self._read(frame)
        assert self._size is not None
        planes = [plane.float().reshape(1, 1, *plane.shape[-2:]) for plane in low.values()]
        return with_masks(tuple(low), torch.cat(planes, 1), self._size)

    def _prompt(self, frame: int, id: int, **inputs: Any) -> None:
        """Pass the prompts of an object on a frame to the model, and segment it."""
        self._read(frame)
        session = self._sessions.get(id) or self._new_session()
        self._processor.add_inputs_to_inference_session(
            session, frame, [id], original_size=self._size, **inputs
        )
        passed = getattr(session, TRACKED)[session.obj_id_to_idx(id)].get(frame)
        self._run(session, id, frame, reverse=passed is not None and bool(passed["reverse"]))
        self._sessions[id] = session
        outputs = self._outputs(id)
        if self._keep and frame in outputs[TRACKED_FRAMES]:
            outputs[PROMPTED_FRAMES][frame] = outputs[TRACKED_FRAMES].pop(frame)
        elif frame in outputs[PROMPTED_FRAMES]:
            outputs[TRACKED_FRAMES].pop(frame, None)

    def _run(self, session: Any, id: int, frame: int, *, reverse: bool) -> None:
        """Run the model on a frame for an object, and cache reusable features."""
        run_model(self._model, session, frame_idx=frame, reverse=reverse)
        index = session.obj_id_to_idx(id)
        getattr(session, MASKS)[index].clear()
        for frames in getattr(session, OUTPUTS)[index].values():
            record: dict[str, Any] = frames.get(frame, {})
            for part in [part for part in record if part not in RECORD]:
                del record[part]
            if POSITION in record:
                record[POSITION] = self._shared(record[POSITION])

    def _shared(self, position: Tensor) -> Tensor:
        """Position code that is shared by all frames."""
        if self._positions is None or not torch.equal(self._positions, position):
            self._positions = position
        return self._positions

    def _outputs(self, id: int) -> dict[str, dict[int, dict[str, Any]]]:
        session = self._sessions[id]
        outputs: dict[str, dict[int, dict[str, Any]]] = getattr(session, OUTPUTS)[session.obj_id_to_idx(id)]
        return outputs

    def _record(self, id: int, frame: int) -> dict[str, Any] | None:
        outputs = self._outputs(id)
        return outputs[PROMPTED_FRAMES].get(frame) or outputs[TRACKED_FRAMES].get(frame)

    def _read(self, index: int) -> Image:
        image = self._image(index)
        self._size = image.shape[0], image.shape[1]
        return image

    def _new_session(self) -> Any:
        """Create an inference session that shares the features of the latest frame."""
        session = new_session(self._processor, self._setup)
        session.processed_frames = self._frames
        if hasattr(session, "cache"):
            self._features = self._features or session.cache
            session.cache = self._features
        return session

    @property
    def _saved(self) -> dict[int, dict[str, Any]]:
        """State of each object."""
        saved = {}
        for id, session in self._sessions.items():
            index = session.obj_id_to_idx(id)
            passed = getattr(session, TRACKED)[index]
            saved[id] = {
                "outputs": self._outputs(id),
                "passed": {frame: bool(each["reverse"]) for frame, each in passed.items()},
                "points": getattr(session, POINTS)[index],
            }
        return saved

    @_saved.setter
    def _saved(self, saved: Mapping[int, Mapping[str, Any]]) -> None:
        for id, values in saved.items():
            session = self._new_session()
            index = session.obj_id_to_idx(id)
            for kind, records in values["outputs"].items():
                getattr(session, OUTPUTS)[index][kind].update(records)
            passed = {frame: {"reverse": reverse} for frame, reverse in values["passed"].items()}
            getattr(session, TRACKED)[index].update(passed)
            getattr(session, POINTS)[index].update(values["points"])
            self._sessions[id] = session


def follow_video(
    network: Any,
    setup: Setup,
    frames: Callable[[int], Image],
    count: int,
    *,
    keep_corrections: bool,
) -> TransformersPredictor:
    """Create the tracker of a whole video with a transformers model."""
    return TransformersPredictor(network, setup, frames, count, keep_corrections=keep_corrections)
