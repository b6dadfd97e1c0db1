"""Memory of an object in SAM 2, and its selection for a frame (arXiv 2408.00714, section 4).

The rules are those of the release's video predictor, commit 2b90b9f. Prompted frames and tracked frames are
kept apart: all prompted frames are seen, however far they are, and the last six tracked ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import cv2
import numpy as np
import torch
from torch import Tensor

from segue.models.sam2.memory import MEMORY_WIDTH
from segue.models.sam2.values import ABSENT, LOW, MEMORY_FRAMES, Constants, Encoded, Record, VideoNetwork
from segue.utils.devices import to_device

POINTERS = 16
"""Number of frames whose object pointers are used, including the current one."""

LIMIT = 32.0
"""Logits of the previous mask are clamped to this before they become a prompt."""

FILLED = 0.1
"""Logit of a filled hole."""


@dataclass(frozen=True)  # without slots, so that a schedule can have its fields in addition to its own
class Settings:
    """Settings of the predictor, by default those of the release on a CPU.

    Attributes:
        dynamic_multimask: let a mask for a plain prompt that is not stable give way to the best of three.
            Part of the release's "postprocessing", as is the next.
        binary_prompts: remember masks of prompted frames as 0 and 1, not as probabilities.
        hole_area: largest area of holes that are filled, in cells of stride 4. The release fills up to 8, but
            only where its CUDA extension is built.
        prompted_frames: most prompted frames that a frame sees, at least 2; None is all of them
            (``max_cond_frames_in_attn``).
        stride: distance of the tracked frames that a frame sees in addition to the last
            (``memory_temporal_stride_for_eval``).
        keep_corrections: let a corrected frame become a prompted frame
            (``add_all_frames_to_correct_as_cond``).
        exact_memory: keep memory in the precision of the network instead of bfloat16.
    """

    dynamic_multimask: bool = True
    binary_prompts: bool = True
    hole_area: int = 0
    prompted_frames: int | None = None
    stride: int = 1
    keep_corrections: bool = False
    exact_memory: bool = False

    def __post_init__(self) -> None:
        if self.prompted_frames is not None and self.prompted_frames < 2:
            raise ValueError(f"prompted_frames is {self.prompted_frames}, but must be at least 2")
        if self.stride < 1:
            raise ValueError(f"stride is {self.stride}, but must be at least 1")


@dataclass(frozen=True, slots=True)
class View:
    """Memory of an object that a frame attends to."""

    maps: tuple[tuple[Record, int], ...] = ()
    pointers: tuple[tuple[int, Record], ...] = ()
    longest: int = 1


@dataclass(slots=True)
class ObjectMemory:
    """Records of one object by frame: prompted frames in order of insertion, and tracked frames."""

    prompted: dict[int, Record] = field(default_factory=dict)
    tracked: dict[int, Record] = field(default_factory=dict)

    def view(self, frame: int, settings: Settings, length: int | None, reverse: bool = False) -> View:
        """Memory for ``frame``."""
        sign = -1 if reverse else 1
        selected, unselected = nearest(self.prompted, frame, settings.prompted_frames)
        by_frame = {**unselected, **self.tracked}
        maps = [(record, MEMORY_FRAMES - 1) for record in selected.values()]
        for distance in range(MEMORY_FRAMES - 1, 0, -1):
            record = by_frame.get(_slot(frame * sign, distance, settings.stride) * sign)
            if record is not None:
                maps.append((record, distance - 1))
        limit = POINTERS if length is None else min(length, POINTERS)
        pointers = [
            (distance, record)
            for past, record in selected.items()
            if (distance := (frame - past) * sign) >= 0
        ]
        for distance in range(1, limit):
            past = frame - distance * sign
            if past < 0 or (length is not None and past >= length):
                break
            if past in by_frame:
                pointers.append((distance, by_frame[past]))
        return View(tuple(maps), tuple(pointers), max(1, limit - 1))

    def prune(self, frame: int, settings: Settings) -> None:
        """Drop everything that no later frame reads, in a forward pass without later prompts."""
        stride = settings.stride
        first_map = _slot(frame + 1, MEMORY_FRAMES - 1, stride)
        first_pointer = frame + 2 - POINTERS
        for past, record in list(self.tracked.items()):
            on_grid = past % stride == 0 or past == frame
            if past < min(first_map, first_pointer):
                del self.tracked[past]
            elif past < first_map or not on_grid:
                if past < first_pointer:
                    del self.tracked[past]
                else:
                    self.tracked[past] = replace(record, features=None, low_res_masks=None)
            else:
                self.tracked[past] = replace(record, low_res_masks=None)
        max_prompted = settings.prompted_frames
        # One more than are seen is kept, so that the same rule chooses among them.
        recent = sorted(self.prompted)[-(max_prompted + 1) :] if max_prompted is not None else self.prompted
        for past, record in list(self.prompted.items()):
            if past in recent or past >= min(first_map, first_pointer):
                self.prompted[past] = replace(record, low_res_masks=None)
            else:
                del self.prompted[past]


def _slot(frame: int, distance: int, stride: int) -> int:
    """Frame in the memory slot ``distance`` before ``frame``; every ``stride``-th, except the last."""
    if distance == 1:
        return frame - 1
    return (frame - 2) // stride * stride - (distance - 2) * stride


def nearest(
    records: Mapping[int, Record], frame: int, maximum: int | None
) -> tuple[dict[int, Record], dict[int, Record]]:
    """Split records into those nearest a frame and the others."""
    if maximum is None or len(records) <= maximum:
        return dict(records), {}
    previous = max((t for t in records if t < frame), default=None)
    following = min((t for t in records if t >= frame), default=None)
    selected = [t for t in (previous, following) if t is not None]
    rest = sorted((t for t in records if t not in selected), key=lambda t: abs(t - frame))
    selected += rest[: maximum - len(selected)]
    return {t: records[t] for t in selected}, {t: r for t, r in records.items() if t not in selected}


def fill_holes(low: Tensor, area: int) -> Tensor:
    """Fill small background regions, 8-connected, in logits (1, 1, h, w)."""
    if area <= 0:
        return low
    background = (low[0, 0] <= 0).cpu().numpy().astype(np.uint8)
    _, regions, stats, _ = cv2.connectedComponentsWithStats(background, connectivity=8)
    small = stats[:, cv2.CC_STAT_AREA] <= area
    small[0] = False  # what is no background
    holes = to_device(torch.from_numpy(small[regions]), low.device)
    return low.masked_fill(holes, FILLED)


class ObjectSteps:
    """Steps of the predictor for the objects on one frame."""

    def __init__(
        self, network: VideoNetwork, constants: Constants, settings: Settings, together: int = 1
    ) -> None:
        self.network, self.constants, self.settings = network, constants, settings
        self.together = together

    def track(
        self, encoded: Encoded, views: Mapping[int, View], *, remember: bool = True
    ) -> dict[int, Record]:
        """Track objects on a frame without prompts, batched by size of memory."""
        groups: dict[tuple[int, int], list[int]] = {}
        read = {i: self.assemble(view) for i, view in views.items()}
        for i, (memory, _, pointers) in read.items():
            groups.setdefault((len(memory), pointers), []).append(i)
        records: dict[int, Record] = {}
        for ids in groups.values():
            for part in (ids[k : k + self.together] for k in range(0, len(ids), self.together)):
                image = self._conditioned(encoded, [read[i] for i in part])
                dynamic = self.settings.dynamic_multimask
                answer = self.network.predict_masks(
                    image, encoded, self.constants, multimask=True, dynamic=dynamic
                )
                if remember:
                    answer = self._with_memory(encoded, answer, binary=False)
                records |= zip(part, self._each(answer), strict=True)
        return records

    def click(
        self, encoded: Encoded, points: Tensor, labels: Tensor, previous: Tensor | None, view: View | None
    ) -> Record:
        """Segment an object by points (1, N, 2), optionally with ``previous`` logits at stride 4."""
        image = self._conditioned(encoded, [self.assemble(view or View())])
        mask = None if previous is None else previous.clamp(-LIMIT, LIMIT)
        prompt_inputs = points, labels, mask
        plain, dynamic = labels.shape[1] > 1, self.settings.dynamic_multimask
        (record,) = self._each(
            self.network.predict_masks(
                image, encoded, self.constants, *prompt_inputs, multimask=not plain, dynamic=dynamic
            )
        )
        return record

    def from_mask(self, encoded: Encoded, mask: Tensor) -> Record:
        """Create a record from a mask (1, 1, side, side), 0 or 1, without memory."""
        (record,) = self._each(self.network.answer_mask(mask, encoded, self.constants))
        return record

    def encode_memory(self, encoded: Encoded, record: Record) -> Record:
        """Encode the memory of a prompted frame's record."""
        return self._with_memory(encoded, record, binary=self.settings.binary_prompts)

    def low_masks(self, records: Sequence[Record | None]) -> Tensor:
        """Mask logits (1, K, side/4, side/4) of objects; missing ones are empty."""
        side = self.constants.side // LOW
        absent = self.constants.memory.new_full((1, 1, side, side), ABSENT, dtype=torch.float32)
        return torch.cat(
            [absent if r is None or r.low_res_masks is None else r.low_res_masks for r in records], 1
        )

    def _each(self, batch: Record) -> Iterator[Record]:
        for record in batch.each():
            assert record.low_res_masks is not None
            yield replace(record, low_res_masks=fill_holes(record.low_res_masks, self.settings.hole_area))

    def _with_memory(self, encoded: Encoded, record: Record, *, binary: bool) -> Record:
        features = self.network.encode_memory(encoded, record, binary)
        return replace(record, features=features if self.settings.exact_memory else features.bfloat16())

    def _conditioned(self, encoded: Encoded, read: Sequence[tuple[Tensor, Tensor, int]]) -> Tensor:
        """Condition the image map on the memories of objects, (K, 256, g, g)."""
        memories, positions, (pointers, *_) = zip(*read, strict=True)
        if not len(memories[0]):  # nothing was remembered, all was removed, or it lies ahead without a map
            return self.network.without_memory(encoded.coarse).expand(len(read), -1, -1, -1)
        memory, position = torch.stack(memories), torch.stack(positions)
        return self.network.with_memory(encoded, memory, position, pointers, self.constants)

    def assemble(self, view: View) -> tuple[Tensor, Tensor, int]:
        """Assemble memory (N, 64), positions (N, 64), and the number of pointer tokens at the end."""
        network, constants = self.network, self.constants
        dtype, place = network.no_mem_embed.dtype, network.no_mem_embed.device
        codes = network.maskmem_tpos_enc[:, 0]
        visible_maps = [
            (record.features[0], index) for record, index in view.maps if record.features is not None
        ]
        memory = [features.to(dtype) for features, _ in visible_maps]
        position = [constants.memory + codes[index] for _, index in visible_maps]
        tokens = 0
        if view.pointers:
            distances = torch.tensor([float(distance) for distance, _ in view.pointers]) / view.longest
            pointers = torch.cat([record.pointer for _, record in view.pointers])
            split = pointers.view(-1, MEMORY_WIDTH)
            tokens = len(split)
            code = network.pointer_position(to_device(distances, place))
            memory.append(split.to(dtype))
            position.append(code.repeat_interleave(tokens // len(pointers), 0))
        if not memory:
            return constants.memory[:0], constants.memory[:0], 0
        return torch.cat(memory), torch.cat(position), tokens
