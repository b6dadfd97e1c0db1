"""What follows objects with a memory network: when a frame becomes memory, and how masks are merged.

Pieces of a predicted mask that appear far from where the object was are taken away before they become memory.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from segue.models.base import FramePrompts, MemoryNetwork, QueryFeatures, Setup, TrackOutput
from segue.models.geometry import ResizePadGeometry
from segue.models.memory.bank import MemoryBank
from segue.registry import PromptKind
from segue.types import Image

LIKELY = -2.2
"""Log-odds (probability 0.1) above which a position belongs to a piece."""

UNLIKELY = -10.0
"""Log-odds that a position gets which is taken away."""

LARGE = 0.3
"""A piece this large, compared with all that is near, stays: it may well be the object."""


def suppress_distant_components(
    logits: npt.NDArray[np.float32], before: npt.NDArray[np.bool_], max_jump: int
) -> npt.NDArray[np.float32]:
    """Lower the log-odds of small pieces that nothing of the previous mask is near to.

    A piece is a connected region of likely positions. One that comes within ``max_jump`` rows and columns of
    the previous mask stays as a whole. Where no piece does, or where there was no mask, everything stays: an
    object that jumped or comes back is found anywhere. Log-odds and masks are (K, h, w), and the log-odds
    are changed in place.
    """
    kernel = np.ones((2 * max_jump + 1,) * 2, np.uint8)
    for plane, mask in zip(logits, before, strict=True):
        if not mask.any():
            continue
        likely = (plane > LIKELY).astype(np.uint8)
        count, pieces, stats, _ = cv2.connectedComponentsWithStats(likely, connectivity=8)
        if count <= 2:
            continue
        near = cv2.dilate(mask.astype(np.uint8), kernel)
        touched = np.bincount(pieces[near > 0], minlength=count) > 0
        areas = stats[:, cv2.CC_STAT_AREA]
        main = areas[1:][touched[1:]].sum()
        stray = ~touched & (areas < LARGE * main)
        stray[0] = False
        if stray.any():
            plane[stray[pieces]] = UNLIKELY
    return logits


COARSE_ABOVE = 2500
"""Memory positions of one frame above which stride-8 networks read from coarse to fine (240p has 1620)."""

Views = list[QueryFeatures]
"""The picture, and its mirror image where the schedule is careful; each has a memory bank of its own."""

MIRRORED = "mirror."
"""Begins the names of the tensors of the mirror image's memory in a state."""

PASS_BYTES_PER_PIXEL = 512
"""Rough use of memory by one object in one pass of a decoder, per pixel of the picture."""


class MemoryTracker:
    """Follows objects with a :class:`segue.models.base.MemoryNetwork` and a :class:`MemoryBank`.

    See :class:`segue.models.base.Tracker` for what the methods do.
    """

    prompts: frozenset[PromptKind] = frozenset()

    def __init__(self, network: MemoryNetwork, setup: Setup) -> None:
        self.network, self._setup = network, setup
        self.schedule = setup.schedule
        self._peeked: tuple[npt.NDArray[np.uint8], Views] | None = None
        self.reset()

    def reset(self) -> None:
        self.banks = [self._new_bank() for _ in range(2 if self.schedule.flip_tta else 1)]
        self.ids: tuple[int, ...] = ()
        self._before: Tensor | None = None
        self._seen = self._last_memory = 0

    def _new_bank(self) -> MemoryBank:
        schedule, network = self.schedule, self.network
        return MemoryBank(
            similarity=network.similarity,
            shared_keys=network.shared_keys,
            top_k=schedule.top_k,
            memory_frames=schedule.memory_frames,
            policy=schedule.memory_policy,
            coarse_above=COARSE_ABOVE if network.read_stride < 16 else None,
            last_window=schedule.last_window if schedule.include_last else None,
            penalty=schedule.penalty,
            last_penalty=schedule.last_penalty,
        )

    @property
    def requires_update(self) -> bool:
        return bool(self.ids) and (self.schedule.include_last or self._keeps)

    @property
    def _keeps(self) -> bool:
        return self._seen - self._last_memory >= self.schedule.mem_every

    def skip(self) -> None:
        self._seen += 1

    def step(self, image: Image, given: FramePrompts | None = None, *, predict: bool = True) -> TrackOutput:
        geometry, views = self._look(image)[1:]
        logits = self._decode(views) if self.ids and predict else None
        if given is None:
            assert logits is not None
            tracked, seen = self._tracked(logits, geometry)
        else:
            ids = tuple(sorted({*self.ids, *given.ids}))
            seen, shown = self._merge(logits, given, geometry, ids)
            tracked = TrackOutput(ids, shown, functools.partial(_to_array, shown.cpu()))
        before = None if self.schedule.max_jump is None else seen[1:] > 0.5
        # All that may fail is done before anything changes, so that a step that failed can be taken again.
        entries = self._encode(tracked.ids, views, seen, geometry, pinned=given is not None)
        self.ids, self._before = tracked.ids, before
        self._remember(entries, pinned=given is not None)
        self._seen += 1
        return tracked

    def peek(self, image: Image) -> TrackOutput:
        pixels, geometry, views = self._look(image)
        self._peeked = pixels, views
        return self._tracked(self._decode(views, count=False), geometry)[0]

    def forget(self, ids: Collection[int]) -> None:
        stay = [i not in ids for i in self.ids]
        self.ids = tuple(i for i in self.ids if i not in ids)
        self._before = None if self._before is None else self._before[stay]
        for bank in self.banks:
            bank.forget(tuple(ids))

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        tensors, bank = self.banks[0].state()
        if self._before is not None:
            tensors["before"] = self._before
        values = {"bank": bank, "ids": self.ids, "seen": self._seen, "last_memory": self._last_memory}
        for mirror in self.banks[1:]:
            mirrored, values["mirror"] = mirror.state()
            tensors |= {MIRRORED + name: value for name, value in mirrored.items()}
        return tensors, values

    def restore(self, tensors: dict[str, Tensor], values: dict[str, Any]) -> None:
        self.reset()
        self.ids = tuple(values["ids"])
        self._seen, self._last_memory = int(values["seen"]), int(values["last_memory"])
        bank = {name: value.to(self._setup.device) for name, value in tensors.items()}
        self._before = bank.pop("before", None)
        names = [name for name in bank if name.startswith(MIRRORED)]
        mirrored = {name.removeprefix(MIRRORED): bank.pop(name) for name in names}
        self.banks[0].restore(bank, values["bank"])
        for mirror in self.banks[1:]:
            mirror.restore(mirrored, values["mirror"])

    def _look(self, image: Image) -> tuple[npt.NDArray[np.uint8], ResizePadGeometry, Views]:
        """What the network sees of a picture (a copy), and its features."""
        geometry = ResizePadGeometry.of(image.shape[:2], self.schedule.short_side, self.network.stride)
        # A copy, because PyTorch complains of pictures that are read-only.
        pixels = np.array(geometry.to_network(image), order="C")
        peeked, self._peeked = self._peeked, None
        # By content: a caller may fill one array with picture after picture.
        if peeked is not None and np.array_equal(peeked[0], pixels):
            return pixels, geometry, peeked[1]
        prepared = self.network.prepare(torch.from_numpy(pixels).to(self._setup.device, non_blocking=True))
        return (
            pixels,
            geometry,
            [
                self.network.encode_query(view.contiguous(memory_format=torch.channels_last))
                for view in self._with_mirrored(prepared.to(self._setup.dtype))
            ],
        )

    def _with_mirrored(self, planes: Tensor) -> list[Tensor]:
        """Planes (..., H, W) for each bank."""
        return [planes] if len(self.banks) == 1 else [planes, planes.flip(-1)]

    def _passes(self, query: QueryFeatures, objects: int) -> list[slice]:
        """Which of so many objects go through the network together."""
        height, width = query.image.shape[-2:]
        size = max(1, self._setup.memory_limit // (PASS_BYTES_PER_PIXEL * height * width))
        return [slice(start, start + size) for start in range(0, objects, size)]

    def _decode(self, views: Views, *, count: bool = True) -> Tensor:
        """Log-odds of all objects, (K, h, w), float32."""
        merged, *mirrored = (
            self._decode_view(query, bank, count) for query, bank in zip(views, self.banks, strict=True)
        )
        for logits in mirrored:
            merged = (merged + logits.flip(-1)) / 2
        if self._before is None or self.schedule.max_jump is None:
            return merged
        max_jump = round(self.schedule.max_jump * math.hypot(*merged.shape[1:]))
        step = self._before.shape[-1] // merged.shape[-1]
        before = self._before[:, step // 2 :: step, step // 2 :: step]
        kept = suppress_distant_components(merged.cpu().numpy(), before.cpu().numpy(), max_jump)
        return torch.from_numpy(kept).to(merged.device)

    def _decode_view(self, query: QueryFeatures, bank: MemoryBank, count: bool) -> Tensor:
        parts = self._passes(query, len(self.ids))
        readouts = (bank.read(query.key, self.ids[part], count=count) for part in parts)
        return _joined([self.network.decode(query, read.to(self._setup.dtype)).float() for read in readouts])

    def _tracked(self, logits: Tensor, geometry: ResizePadGeometry) -> tuple[TrackOutput, Tensor]:
        """The result of a prediction, and its probabilities at the padded size."""
        seen = Compact(logits, geometry, self.network.aggregate).probabilities()
        again = Compact(logits.cpu(), geometry, self.network.aggregate)
        return TrackOutput(self.ids, geometry.to_image(seen), again), seen

    def _merge(
        self, logits: Tensor | None, given: FramePrompts, geometry: ResizePadGeometry, ids: Sequence[int]
    ) -> tuple[Tensor, Tensor]:
        """Put given masks into the prediction; ``ids`` are all objects, also those new to the tracker.

        Gives probabilities at the padded size for the memory, and at the picture's for the result, which
        holds the masks as they were given even where the network sees the picture reduced.
        """
        predicted = None
        if logits is not None:
            predicted = Compact(logits, geometry, self.network.aggregate).probabilities()
        seen = self._put_in(predicted, ids, geometry.mask_to_network(given.mask), given.ids)
        if not geometry.resizes:
            return seen, geometry.unpad(seen)
        predicted = None if predicted is None else geometry.to_image(predicted)
        return seen, self._put_in(predicted, ids, given.mask, given.ids)

    def _put_in(
        self, predicted: Tensor | None, ids: Sequence[int], mask: Tensor, given: Sequence[int]
    ) -> Tensor:
        """Probabilities of the objects ``ids``: those ``given`` as in ``mask``, the others as predicted.

        Inside the given masks nothing else remains; a corrected object has nothing outside its new mask
        (spec of the STCN release, "objects that appear later").
        """
        merged = torch.zeros(len(ids), *mask.shape, device=mask.device)
        for channel, i in enumerate(ids):
            if i in given:
                merged[channel] = mask == i
            elif predicted is not None:
                merged[channel] = predicted[self.ids.index(i) + 1].masked_fill(mask > 0, 0)
        if self.network.aggregate_prompts:
            return self.network.aggregate(merged)
        return torch.cat([1 - merged.sum(0, keepdim=True), merged])

    def _encode(
        self,
        ids: Sequence[int],
        views: Views,
        probabilities: Tensor,
        geometry: ResizePadGeometry,
        *,
        pinned: bool,
    ) -> list[tuple[Tensor, Tensor]]:
        """Keys and values of the objects for each bank; none where the frame does not become memory."""
        if not (pinned or self._keeps or self.schedule.include_last):
            return []
        masks = probabilities[1:].to(self._setup.dtype)
        if not self.network.masks_in_padding:
            masks = geometry.pad(geometry.unpad(masks))
        entries = []
        for query, side in zip(views, self._with_mirrored(masks), strict=True):
            total = side.sum(0, keepdim=True)
            parts = self._passes(query, len(ids))
            encoded = [self.network.encode_memory(query, side[part], total) for part in parts]
            keys = [key for key, _ in encoded if key is not None] or [query.key]
            entries.append((_joined(keys), _joined([value for _, value in encoded])))
        return entries

    def _remember(self, entries: Sequence[tuple[Tensor, Tensor]], *, pinned: bool) -> None:
        if not entries:
            return
        keep = pinned or self._keeps
        for bank, (keys, values) in zip(self.banks, entries, strict=True):
            bank.write(self.ids, keys, values, keep=keep, pinned=pinned)
        if keep:
            self._last_memory = self._seen


@dataclass(frozen=True, slots=True)
class Compact:
    """Probabilities, worked out again when they are asked for; it can be pickled, and holds no GPU."""

    logits: Tensor
    geometry: ResizePadGeometry
    aggregate: Callable[[Tensor], Tensor]

    def probabilities(self) -> Tensor:
        """Those at the padded size, (K+1, h', w'), float32, of log-odds (K, h, w)."""
        full = F.interpolate(self.logits[None], size=self.geometry.padded, mode="bilinear")[0]
        return self.aggregate(full.sigmoid_())

    @torch.inference_mode()
    def __call__(self) -> npt.NDArray[np.float32]:
        return _to_array(self.geometry.to_image(self.probabilities()))


def _joined(parts: list[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def _to_array(probabilities: Tensor) -> npt.NDArray[np.float32]:
    return np.array(probabilities.numpy(), np.float32)
