"""SAM 3 finds what phrases name and tracks it, with the video model of Hugging Face transformers."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from segue.masks.measure import measure
from segue.sessions.base import SessionState, checkpointed
from segue.sessions.session import FindingSession
from segue.types import Frame, ObjectInfo, Segmentation

KINDS = ("cond_frame_outputs", "non_cond_frame_outputs")
MEMORY = ("maskmem_features", "maskmem_pos_enc")
"""The part of a record that only the next few frames read; its ``object_pointer`` is read for longer."""

CONDITIONED = 16
"""Most frames of an object on which the detector has confirmed its mask whose pointers are kept."""

PLAIN = (
    "obj_id_to_score",
    "obj_id_to_last_occluded",
    "obj_first_frame_idx",
    "trk_keep_alive",
    "obj_id_to_prompt_id",
)
"""Dictionaries of numbers by object in the inference session of transformers."""

BY_FRAME = ("unmatched_frame_inds", "overlap_pair_to_frame_inds")
"""Frames by object, or by pair of objects, that decide whether a new object is kept."""


class ConceptSession(FindingSession):
    """Finds and tracks all objects that phrases name, with the video model of SAM 3.

    Results are those of ``Sam3VideoModel`` and ``Sam3VideoProcessor`` for a whole video, but frames come one
    by one, and what no later frame reads is dropped. They trail by ``hotstart_delay`` - 1 frames, because the
    model removes objects that it finds only briefly. Of the frames on which the detector confirmed an object,
    the last :data:`CONDITIONED` are kept; transformers keeps all. The model follows every object to the end,
    so memory grows with their number.

    Args:
        model: ``Sam3VideoModel`` of transformers, in evaluation mode, on the device where it runs.
        processor: ``Sam3VideoProcessor`` of the model.
        phrases: what to look for, at least one; they become the labels.
        score: least score of a new object, in [0, 1]; None is the model's own.
        max_objects: most objects; None is the model's own limit.
    """

    _ids: dict[int, int] = checkpointed(dict)
    _carried: dict[str, Any] = checkpointed(dict)
    _seen: int = checkpointed(0)

    def __init__(
        self,
        model: Any,
        processor: Any,
        phrases: Sequence[str],
        *,
        score: float | None = None,
        max_objects: int | None = None,
    ) -> None:
        self._model, self._processor, self._phrases = model, processor, list(phrases)
        if score is not None:
            model.new_det_thresh = score
            model.score_threshold_detection = min(model.score_threshold_detection, score)
        if max_objects is not None:
            model.max_num_objects = max_objects
        self.device = model.device
        self.lag = max(model.hotstart_delay - 1, 0)
        self.names: Mapping[int, str] = dict(enumerate(self._phrases, start=1))
        self.reset()

    @property
    def found(self) -> int:
        """Number of objects found."""
        return len(self._ids)

    def reset(self) -> None:
        super().reset()
        self._waiting, self._ids, self._carried = deque(), {}, {}
        self._seen = 0
        self._reset_transient_state()

    def _reset_transient_state(self) -> None:
        self._memory = _memory_class()(
            inference_device=self.device,
            inference_state_device=self.device,
            video_storage_device=self.device,
            dtype=self._model.dtype,
        )
        self._memory.obj_with_new_inputs = []
        self._processor.add_text_prompt(self._memory, self._phrases)

    def state(self, *, copy: bool = True) -> SessionState:
        """All that :meth:`restore` needs to go on identically; see :meth:`Session.state`."""
        memory = self._memory
        self._carried = {
            "ids": list(memory.obj_ids),
            "records": [memory.output_dict_per_obj[place] for place in range(len(memory.obj_ids))],
            "removed": [sorted(memory.removed_obj_ids), sorted(memory.hotstart_removed_obj_ids)],
            "next": memory.max_obj_id,
            **{name: dict(getattr(memory, name)) for name in PLAIN},
            **{name: list(map(list, getattr(memory, name).items())) for name in BY_FRAME},
        }
        return super().state(copy=copy)

    def restore(self, state: SessionState) -> None:
        """Go on from where :meth:`state` was called; see :meth:`Session.restore`."""
        super().restore(state)
        memory, carried = self._memory, self._carried
        for place, number in enumerate(carried["ids"]):
            memory.obj_id_to_idx(number)
            memory.output_dict_per_obj[place] = carried["records"][place]
        memory.removed_obj_ids, memory.hotstart_removed_obj_ids = map(set, carried["removed"])
        memory.max_obj_id = carried["next"]
        for name in PLAIN:
            setattr(memory, name, carried[name])
        for name in BY_FRAME:
            pairs = ((tuple(key) if isinstance(key, (list, tuple)) else key, v) for key, v in carried[name])
            setattr(memory, name, defaultdict(list, pairs))

    def _config_fingerprint(self) -> dict[str, object]:
        model = self._model
        limits = [model.new_det_thresh, model.score_threshold_detection, model.max_num_objects]
        return {"network": type(model).__name__, "phrases": self._phrases, "limits": limits}

    @torch.inference_mode()
    def _look(self, frame: Frame) -> dict[str, Any]:
        """Run the model on a frame: what its result needs."""
        image = np.ascontiguousarray(frame.image)
        pixels = self._processor(images=image, return_tensors="pt")["pixel_values"][0]
        memory, now = self._memory, self._seen
        memory.processed_frames = {now: pixels.to(self.device, self._model.dtype)}
        found = self._model(inference_session=memory, frame_idx=now)
        if self._model.hotstart_delay:
            memory.hotstart_removed_obj_ids.update(found.removed_obj_ids)
        waiting = {
            "index": frame.index,
            "time": frame.time,
            "size": frame.size,
            "masks": {int(i): mask.float() for i, mask in found.obj_id_to_mask.items()},
            "scores": {int(i): float(value) for i, value in found.obj_id_to_score.items()},
            "tracker_scores": {int(i): float(v) for i, v in found.obj_id_to_tracker_score.items()},
            "suppressed": sorted(found.suppressed_obj_ids or ()),
        }
        self._seen += 1
        self._prune()
        return waiting

    def _prune(self) -> None:
        """Drop what no later frame reads."""
        memory, config, after = self._memory, self._model.tracker_model.config, self._seen
        nearest = config.max_cond_frame_num
        for records in memory.output_dict_per_obj.values():
            confirmed, tracked = (records[kind] for kind in KINDS)
            for frame in [t for t in tracked if t <= after - config.max_object_pointers_in_encoder]:
                del tracked[frame]
            for frame in sorted(confirmed)[:-CONDITIONED]:
                del confirmed[frame]
            read = {*confirmed} if nearest == -1 else {*sorted(confirmed)[-nearest:]}
            for record in (*confirmed.values(), *tracked.values()):
                for name in record.keys() - {"object_pointer", *MEMORY}:
                    del record[name]
            for held in (confirmed, tracked):
                for frame, record in held.items():
                    if frame not in read and frame <= after - self._model.tracker_model.num_maskmem:
                        record.update(dict.fromkeys(MEMORY))
        for held in (memory.mask_inputs_per_obj, memory.frames_tracked_per_obj):
            for inputs in held.values():
                inputs.clear()
        memory.obj_id_to_tracker_score_frame_wise.clear()
        memory.suppressed_obj_ids.clear()
        begun = after - self._model.hotstart_delay  # older objects are kept whatever comes
        for name in BY_FRAME:
            held = getattr(memory, name)
            for key in [key for key in held if memory.obj_first_frame_idx[_newest(key)] <= begun]:
                held[key] = held[key][-1:]

    @torch.inference_mode()
    def _advance(self) -> None:
        waiting = self._waiting.popleft()
        removed = self._memory.hotstart_removed_obj_ids
        masks: dict[int, Tensor] = {i: m for i, m in waiting["masks"].items() if i not in removed}
        height, width = waiting["size"]
        outputs = {
            "obj_id_to_mask": masks,
            "obj_id_to_score": waiting["scores"],
            "obj_id_to_tracker_score": waiting["tracker_scores"],
            "suppressed_obj_ids": set(waiting["suppressed"]),
        }
        found = self._processor.postprocess_outputs(self._memory, outputs, [[height, width]])
        shown = found["object_ids"].tolist()
        for i in shown:
            self._ids.setdefault(i, len(self._ids) + 1)
        planes, scores = found["masks"].cpu().numpy(), found["scores"].tolist()
        numbers = [self._ids[i] for i in shown]
        mask = np.zeros((height, width), np.uint8 if len(self._ids) < 256 else np.uint16)
        for place in sorted(range(len(shown)), key=lambda place: scores[place]):  # phrases may share pixels
            mask[planes[place]] = numbers[place]
        extents, prompts = measure(mask), self._memory.obj_id_to_prompt_id
        objects = []
        for i, number, score in sorted(zip(shown, numbers, scores, strict=True), key=lambda item: item[1]):
            extent = extents.get(number)
            area, box = (0, None) if extent is None else (extent.area, extent.box)
            label = self._memory.prompts[prompts[i]]
            objects.append(ObjectInfo(number, label, min(max(score, 0.0), 1.0), box, area))
        result = Segmentation(waiting["index"], waiting["time"], mask, tuple(objects))
        self._due.append((result, {}))


def _newest(key: Any) -> int:
    """The object, or of a pair the later one, that a rule may still remove."""
    return int(key[1] if isinstance(key, tuple) else key)


def _memory_class() -> type:
    """The inference session of transformers for a video whose length is unknown."""
    from transformers.models.sam3_video.modeling_sam3_video import Sam3VideoInferenceSession

    class Memory(Sam3VideoInferenceSession):  # type: ignore[misc]
        num_frames = 1 << 30  # of the video; bounds the pointers that are read

    return Memory
