"""A video model of transformers in small: interface and books of its inference sessions, other numbers.

Written from ``sam3_tracker_video`` of Hugging Face transformers (``modeling_`` and ``processing_``, commits
0746345 and 0d7e95d): which frames become prompted ones, what a frame reads, what is recorded of it, and
what raises. In place of layers there are means, so that every input shows in the masks.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

SIDE = 32
LOW = 16
MAPS, POINTERS = 7, 16


class FakeCache:
    """The features of the latest frame."""

    def __init__(self) -> None:
        self.features: dict[int, Tensor] = {}

    def get_vision_features(self, frame_idx: int) -> Tensor | None:
        return self.features.get(frame_idx)

    def cache_vision_features(self, frame_idx: int, features: Tensor) -> None:
        self.features = {frame_idx: features}


class FakeSession:
    """What is known of the objects of a video."""

    def __init__(self) -> None:
        self.processed_frames: Any = None
        self.video_height: int | None = None
        self.video_width: int | None = None
        self.cache = FakeCache()
        self.numbers: dict[int, int] = {}
        self.obj_ids: list[int] = []
        self.point_inputs_per_obj: dict[int, dict[int, dict[str, Tensor]]] = {}
        self.mask_inputs_per_obj: dict[int, dict[int, Tensor]] = {}
        self.output_dict_per_obj: dict[int, dict[str, dict[int, dict[str, Tensor]]]] = {}
        self.frames_tracked_per_obj: dict[int, dict[int, dict[str, bool]]] = {}
        self.obj_with_new_inputs: list[int] = []

    @property
    def num_frames(self) -> int | None:
        return None if self.processed_frames is None else len(self.processed_frames)

    def obj_id_to_idx(self, obj_id: int) -> int:
        if obj_id not in self.numbers:
            number = self.numbers[obj_id] = len(self.numbers)
            self.obj_ids = list(self.numbers)
            self.point_inputs_per_obj[number] = {}
            self.mask_inputs_per_obj[number] = {}
            self.output_dict_per_obj[number] = {"cond_frame_outputs": {}, "non_cond_frame_outputs": {}}
            self.frames_tracked_per_obj[number] = {}
        return self.numbers[obj_id]


class FakeProcessor:
    """Prepares images and prompts."""

    def __call__(self, *, images: Any, return_tensors: str) -> dict[str, Tensor]:
        planes = torch.from_numpy(np.array(images)).permute(2, 0, 1)[None].float() / 255
        return {"pixel_values": F.interpolate(planes, size=(SIDE, SIDE), mode="bilinear", antialias=True)}

    def init_video_session(self, **_: Any) -> FakeSession:
        return FakeSession()

    def add_inputs_to_inference_session(
        self,
        inference_session: FakeSession,
        frame_idx: int,
        obj_ids: list[int],
        input_points: list[Any] | None = None,
        input_labels: list[Any] | None = None,
        input_masks: list[Tensor] | None = None,
        original_size: tuple[int, int] | None = None,
        clear_old_inputs: bool = True,
    ) -> None:
        session = inference_session
        if (input_points is None) != (input_labels is None):
            raise ValueError("points and labels must be provided together")
        if (input_points is None) == (input_masks is None):
            raise ValueError("masks cannot be provided together with points or boxes")
        if input_masks is not None:
            for obj_id, mask in zip(obj_ids, input_masks, strict=True):
                number = session.obj_id_to_idx(obj_id)
                plane = F.interpolate(mask[None, None].float(), size=(SIDE, SIDE), mode="bilinear")
                session.mask_inputs_per_obj[number][frame_idx] = (plane >= 0.5).float()
                session.point_inputs_per_obj[number].pop(frame_idx, None)
            session.obj_with_new_inputs = obj_ids
            return
        if original_size is not None:
            session.video_height, session.video_width = original_size
        if session.video_height is None or session.video_width is None:
            raise ValueError("original_size must be provided when adding points")
        scale = torch.tensor([SIDE / session.video_width, SIDE / session.video_height])
        points, labels = torch.tensor(input_points) * scale, torch.tensor(input_labels)
        for place, obj_id in enumerate(obj_ids):
            number = session.obj_id_to_idx(obj_id)
            coords, kinds = points[:, place, None], labels[:, place, None]
            earlier = session.point_inputs_per_obj[number].get(frame_idx)
            if not clear_old_inputs and earlier is not None:
                coords = torch.cat([earlier["point_coords"], coords], 2)
                kinds = torch.cat([earlier["point_labels"], kinds], 2)
            inputs = {"point_coords": coords, "point_labels": kinds}
            session.point_inputs_per_obj[number][frame_idx] = inputs
            session.mask_inputs_per_obj[number].pop(frame_idx, None)
        session.obj_with_new_inputs = obj_ids


class FakeVideoModel(nn.Module):
    """Follows objects; ``reads`` lists the frames whose features were computed."""

    def __init__(self) -> None:
        super().__init__()
        self.memory_encoder = nn.Identity()
        self.scale = nn.Parameter(torch.ones(1))
        self.config = SimpleNamespace(
            num_maskmem=MAPS, max_object_pointers_in_encoder=POINTERS, max_cond_frame_num=4
        )
        self.reads: list[int] = []

    def forward(
        self,
        inference_session: FakeSession,
        frame_idx: int,
        frame: Tensor | None = None,
        reverse: bool = False,
        run_mem_encoder: bool = True,
    ) -> Any:
        session = inference_session
        if frame is not None:
            session.processed_frames = session.processed_frames or {}
            session.processed_frames[frame_idx] = frame
        masks, scores = [], []
        for obj_id, number in session.numbers.items():
            outputs = session.output_dict_per_obj[number]
            has_new_inputs = obj_id in session.obj_with_new_inputs
            if not has_new_inputs and frame_idx in outputs["cond_frame_outputs"]:
                record = outputs["cond_frame_outputs"][frame_idx]
                is_first = True
            else:
                is_first, points, mask = False, None, None
                if has_new_inputs:
                    is_first = frame_idx not in session.frames_tracked_per_obj[number]
                    reverse = False if is_first else reverse
                    points = session.point_inputs_per_obj[number].get(frame_idx)
                    mask = session.mask_inputs_per_obj[number].get(frame_idx)
                    if points is not None or mask is not None:
                        session.obj_with_new_inputs.remove(obj_id)
                record = self.found(session, number, frame_idx, is_first, points, mask, reverse)
                kind = "cond_frame_outputs" if is_first else "non_cond_frame_outputs"
                outputs[kind][frame_idx] = record
                if run_mem_encoder:
                    place = (
                        "cond_frame_outputs"
                        if frame_idx in outputs["cond_frame_outputs"]
                        else "non_cond_frame_outputs"
                    )
                    outputs[place][frame_idx]["maskmem_features"] = record["pred_masks"].bfloat16()
                    outputs[place][frame_idx]["maskmem_pos_enc"] = torch.linspace(0, 1, LOW)
            masks.append(record["pred_masks"])
            scores.append(record["object_score_logits"])
            if not is_first:
                session.frames_tracked_per_obj[number][frame_idx] = {"reverse": reverse}
        return SimpleNamespace(
            object_ids=session.obj_ids.copy(), pred_masks=torch.cat(masks), frame_idx=frame_idx
        )

    def found(
        self,
        session: FakeSession,
        number: int,
        frame: int,
        is_first: bool,
        points: dict[str, Tensor] | None,
        mask: Tensor | None,
        reverse: bool,
    ) -> dict[str, Tensor]:
        """The record of a frame."""
        image = self.features(session, frame)
        if mask is not None:
            logits = F.interpolate(mask * 20 - 10, size=(LOW, LOW), mode="bilinear")
        else:
            logits = image if is_first else 0.5 * image + self.memory(session, number, frame, reverse)
            if points is not None:
                logits = logits + answered(points)
        return {
            "pred_masks": logits,
            "object_pointer": logits.mean((2, 3)),
            "object_score_logits": torch.ones(1, 1),
            "high_res_masks": F.interpolate(logits, scale_factor=4.0),
        }

    def features(self, session: FakeSession, frame: int) -> Tensor:
        """The image, small and centred, (1, 1, 16, 16)."""
        cached = session.cache.get_vision_features(frame)
        if cached is not None:
            return cached
        self.reads.append(frame)
        plane = session.processed_frames[frame].mean(0)[None, None]
        small = F.adaptive_avg_pool2d(plane, LOW)
        features = 4 * (small - small.mean()) * self.scale
        session.cache.cache_vision_features(frame, features)
        return features

    def memory(self, session: FakeSession, number: int, frame: int, reverse: bool) -> Tensor:
        """What is read of other frames: prompted ones, and the last six and their pointers."""
        outputs = session.output_dict_per_obj[number]
        prompted, tracked = outputs["cond_frame_outputs"], outputs["non_cond_frame_outputs"]
        if not prompted:
            raise ValueError("maskmem_features in conditioning outputs cannot be empty")
        nearest = sorted(prompted, key=lambda t: abs(t - frame))[: self.config.max_cond_frame_num]
        maps = [(1.0, prompted[t]) for t in nearest]
        sign = -1 if reverse else 1
        maps += [
            (1 / (1 + distance), tracked[frame - sign * distance])
            for distance in range(1, MAPS)
            if frame - sign * distance in tracked
        ]
        total = sum(weight for weight, _ in maps)
        read = sum(weight * record["maskmem_features"].float() for weight, record in maps) / total
        count = POINTERS if session.num_frames is None else min(session.num_frames, POINTERS)
        pointers = [
            tracked[t]["object_pointer"] * distance / count
            for distance in range(1, count)
            if (t := frame - sign * distance) in tracked
        ]
        return read + 0.01 * sum(pointers, torch.zeros(1, 1))[..., None, None]

    def propagate_in_video_iterator(
        self, session: FakeSession, start_frame_idx: int | None = None, reverse: bool = False
    ) -> Iterator[Any]:
        """The frames from the earliest prompted one on, or back from it."""
        prompted = [t for each in session.output_dict_per_obj.values() for t in each["cond_frame_outputs"]]
        start = min(prompted) if start_frame_idx is None else start_frame_idx
        assert session.num_frames is not None
        order = range(start, -1, -1) if reverse else range(start, session.num_frames)
        for frame in order if start or not reverse else ():
            yield self(session, frame_idx=frame, reverse=reverse)


def answered(points: dict[str, Tensor]) -> Tensor:
    """What prompts add to the logits, (1, 1, 16, 16): hills at points and corners, valleys beside objects."""
    places = (torch.arange(LOW) + 0.5) * SIDE / LOW
    y, x = torch.meshgrid(places, places, indexing="ij")
    added = torch.zeros(LOW, LOW)
    for (px, py), label in zip(points["point_coords"][0, 0], points["point_labels"][0, 0], strict=True):
        height = {1: 6.0, 0: -6.0, 2: 3.0, 3: 4.0}[int(label)]
        added += height * torch.exp(-((x - px) ** 2 + (y - py) ** 2) / 50)
    return added[None, None]
