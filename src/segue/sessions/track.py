"""Follow objects through a video with a memory network."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from segue.errors import PromptError, SourceError
from segue.masks import measure
from segue.models.base import MemoryNetwork, QueryFeatures, Schedule
from segue.prompts import Annotation, resolve
from segue.sessions.base import SessionState
from segue.sessions.canvas import Canvas
from segue.sessions.inference import choose_device, has_bfloat16, inference_copy
from segue.sessions.memory import MemoryBank
from segue.types import Frame, Image, IndexMask, ObjectInfo, Prompt, Segmentation

COARSE_ABOVE = 2500
"""Memory positions of one frame above which stride-8 networks read from coarse to fine (240p has 1620)."""

PASS_BYTES_PER_PIXEL = 512
"""Rough use of memory by one object in one pass of a decoder, per pixel of the picture."""

MAX_OBJECTS = 1000


class TrackSession:
    """Follows objects; frames go in one by one, results come out at once.

    Objects can be added, corrected or removed on any frame. A corrected object takes the new mask from there
    on; one that is out of sight stays known and may come back.

    Args:
        network: a memory network in evaluation mode; it is not changed.
        schedule: what becomes memory and how it is read; None is the network's own.
        device: None takes a GPU if there is one.
        fast: bfloat16 where the processor or GPU has it; masks may differ by a few pixels.
        fit: resize given masks of another size instead of refusing them.
        memory_limit: bytes that one pass of value encoder or decoder may take, roughly; more objects than fit
            are run in several passes.

    Example:
        >>> session = TrackSession(segue.load("stcn-lite"))
        >>> for frame in segue.open_source("dog.mp4"):
        ...     result = session.step(frame, first_mask if frame.index == 0 else None)
    """

    lag = 0

    def __init__(
        self,
        network: MemoryNetwork,
        schedule: Schedule | None = None,
        *,
        device: str | torch.device | None = None,
        fast: bool = False,
        fit: bool = False,
        memory_limit: int = 4 << 30,
    ) -> None:
        self.device = choose_device(device)
        self.schedule = schedule or network.schedule
        self.fit = fit
        self._dtype = torch.bfloat16 if fast and has_bfloat16(self.device) else torch.float32
        self._name = type(network).__name__
        self._network = inference_copy(network, self.device, self._dtype)
        self._memory_limit = memory_limit
        self.reset()

    def reset(self) -> None:
        """Forget all objects and frames."""
        schedule, network = self.schedule, self._network
        self._bank = MemoryBank(
            similarity=network.similarity,
            shared_keys=network.shared_keys,
            top_k=schedule.top_k,
            memory_frames=schedule.memory_frames,
            policy=schedule.memory_policy,
            coarse_above=COARSE_ABOVE if network.read_stride < 16 else None,
            last_window=schedule.last_window if schedule.include_last else None,
            doubt=schedule.doubt,
            last_doubt=schedule.last_doubt,
        )
        self._labels: dict[int, str | None] = {}
        self._size: tuple[int, int] | None = None
        self._seen = 0
        self._last_memory = 0

    @property
    def ids(self) -> tuple[int, ...]:
        """Ids of the objects that are followed, ascending."""
        return tuple(self._labels)

    @property
    def due(self) -> bool:
        """Whether the next frame becomes memory."""
        return bool(self._labels) and self._seen - self._last_memory >= self.schedule.mem_every

    def skip(self, frame: Frame) -> None:
        """Let a frame pass whose result nobody needs; it counts for the schedule."""
        self._check_size(frame)
        self._seen += 1

    @torch.inference_mode()
    def step(
        self,
        frame: Frame,
        prompts: IndexMask | Sequence[Prompt] | None = None,
        *,
        predict: bool = True,
    ) -> Segmentation:
        """Segment the next frame.

        Args:
            frame: all frames of a session have one size.
            prompts: index mask or prompts for this frame.
            predict: False takes the prompts alone for this frame, and all other objects for hidden; the
                evaluation of the STCN release does so on annotated frames whose result is not required.

        Raises:
            PromptError: a prompt does not fit the frame.
            SourceError: the frame has another size than those before.
        """
        self._check_size(frame)
        annotation = None if prompts is None else resolve(frame, prompts, fit=self.fit)
        if annotation:
            self._check_prompts(annotation)
            self._remove(annotation.removed)
        nothing_given = annotation is None or not annotation.ids
        if nothing_given and not (self._labels and predict):
            self._seen += 1
            return Segmentation(frame.index, frame.time, np.zeros(frame.size, np.uint8))
        canvas = Canvas.of(frame.size, self.schedule.short_side, self._network.stride)
        query = self._encode(canvas.reduce(frame.image))
        logits = self._decode(query) if self._labels and predict else None
        if nothing_given:
            assert logits is not None
            seen = self._probabilities(logits, canvas)
            shown = canvas.enlarge(seen)
            lazy = self._again(logits, canvas)
        else:
            assert annotation is not None
            seen, shown = self._merge(logits, annotation, canvas)
            lazy = functools.partial(_to_array, shown)
        self._remember(query, seen, canvas, pinned=not nothing_given)
        self._seen += 1
        return self._result(frame, shown, lazy)

    @torch.inference_mode()
    def peek(self, frame: Frame) -> Segmentation:
        """Where the followed objects are on the next frame, without taking it: :meth:`step` comes after.

        Raises:
            PromptError: no object is followed.
            SourceError: the frame has another size than those before.
        """
        self._check_size(frame)
        if not self._labels:
            raise PromptError(f"frame {frame.index}: no object is followed yet; give a prompt first")
        canvas = Canvas.of(frame.size, self.schedule.short_side, self._network.stride)
        logits = self._decode(self._encode(canvas.reduce(frame.image)))
        shown = canvas.enlarge(self._probabilities(logits, canvas))
        return self._result(frame, shown, self._again(logits, canvas))

    def finish(self) -> Iterator[Segmentation]:
        """Nothing is ever due: every ``step`` answers at once."""
        return iter(())

    def state(self) -> SessionState:
        """Everything that is needed to go on identically, as CPU tensors."""
        tensors, bank = self._bank.state()
        values = {
            **self._origin(),
            "bank": bank,
            "labels": [[i, label] for i, label in self._labels.items()],
            "size": self._size,
            "seen": self._seen,
            "last_memory": self._last_memory,
        }
        return SessionState({name: value.cpu() for name, value in tensors.items()}, values)

    @torch.inference_mode()
    def restore(self, state: SessionState) -> None:
        """Go on from a saved state; network, schedule and precision must be those that it was saved with.

        Raises:
            CheckpointError: they are not.
        """
        state.require(self._origin())
        self.reset()
        values: dict[str, Any] = state.values
        self._labels = {int(i): label for i, label in values["labels"]}
        self._size = tuple(values["size"]) if values["size"] else None
        self._seen, self._last_memory = int(values["seen"]), int(values["last_memory"])
        self._bank.restore({k: v.to(self.device) for k, v in state.tensors.items()}, values["bank"])

    def _origin(self) -> dict[str, Any]:
        """What a saved state belongs to."""
        return {
            "network": self._name,
            "schedule": asdict(self.schedule),
            "precision": str(self._dtype),
        }

    def _check_size(self, frame: Frame) -> None:
        if self._size is None:
            self._size = frame.size
        elif self._size != frame.size:
            (height, width), (rows, columns) = frame.size, self._size
            raise SourceError(
                f"frame {frame.index} is {width}x{height}, but the frames before it are {columns}x{rows}"
            )

    def _check_prompts(self, annotation: Annotation) -> None:
        unknown = [i for i in annotation.removed if i not in self._labels]
        if unknown:
            raise PromptError(f"cannot remove object {unknown[0]}: only {list(self.ids)} are followed")
        total = len({*self._labels, *annotation.ids} - set(annotation.removed))
        if total > MAX_OBJECTS:
            raise PromptError(f"{total} objects are more than the {MAX_OBJECTS} that one session can follow")

    def _remove(self, ids: Sequence[int]) -> None:
        for i in ids:
            del self._labels[i]
        if ids:
            self._bank.forget(ids)

    def _encode(self, image: Image) -> QueryFeatures:
        # A copy, because PyTorch complains of pictures that are read-only.
        pixels = torch.from_numpy(np.array(image, order="C")).to(self.device, non_blocking=True)
        prepared = self._network.prepare(pixels).to(self._dtype)
        return self._network.encode_query(prepared.contiguous(memory_format=torch.channels_last))

    def _passes(self, ids: Sequence[int], query: QueryFeatures) -> list[list[int]]:
        height, width = query.image.shape[-2:]
        size = max(1, self._memory_limit // (PASS_BYTES_PER_PIXEL * height * width))
        return [list(ids[start : start + size]) for start in range(0, len(ids), size)]

    def _decode(self, query: QueryFeatures) -> Tensor:
        """Log-odds of all objects, (K, h, w), float32."""
        logits = [
            self._network.decode(query, self._bank.read(query.key, ids).to(self._dtype)).float()
            for ids in self._passes(self.ids, query)
        ]
        return logits[0] if len(logits) == 1 else torch.cat(logits)

    def _probabilities(self, logits: Tensor, canvas: Canvas) -> Tensor:
        """Aggregated probabilities at the padded size, (K+1, h', w'), float32."""
        full = F.interpolate(logits[None], size=canvas.padded, mode="bilinear")[0]
        return self._network.aggregate(full.sigmoid_())

    def _merge(self, logits: Tensor | None, given: Annotation, canvas: Canvas) -> tuple[Tensor, Tensor]:
        """Put given masks into the prediction; objects new to the session are added.

        Returns:
            Probabilities at the padded size for the memory, and at the size of the picture for the result;
            the result holds the masks as they were given even where the network sees the picture reduced.
        """
        before = self.ids
        self._labels |= {i: given.labels.get(i, self._labels.get(i)) for i in given.ids}
        self._labels = dict(sorted(self._labels.items()))
        predicted = None if logits is None else self._probabilities(logits, canvas)
        mask = torch.from_numpy(given.mask).to(self.device)
        seen = self._put_in(predicted, before, canvas.reduce_mask(mask), given.ids)
        if not canvas.resizes:
            return seen, canvas.unpad(seen)
        predicted = None if predicted is None else canvas.enlarge(predicted)
        return seen, self._put_in(predicted, before, mask, given.ids)

    def _put_in(
        self, predicted: Tensor | None, before: Sequence[int], mask: Tensor, ids: Sequence[int]
    ) -> Tensor:
        """Predicted probabilities of the objects ``before`` with the objects ``ids`` of ``mask`` put in.

        Inside the given masks nothing else remains; a corrected object has nothing outside its new mask
        (spec of the STCN release, "objects that appear later").
        """
        merged = torch.zeros(len(self.ids), *mask.shape, device=self.device)
        for channel, i in enumerate(self.ids):
            if i in ids:
                merged[channel] = mask == i
            elif predicted is not None:
                merged[channel] = predicted[before.index(i) + 1].masked_fill(mask > 0, 0)
        if self._network.aggregate_prompts:
            return self._network.aggregate(merged)
        return torch.cat([1 - merged.sum(0, keepdim=True), merged])

    def _remember(self, query: QueryFeatures, probabilities: Tensor, canvas: Canvas, *, pinned: bool) -> None:
        keep = pinned or self.due
        if not keep and not self.schedule.include_last:
            return
        masks = probabilities[1:].to(self._dtype)
        if not self._network.masks_in_padding:
            masks = canvas.pad(canvas.unpad(masks))
        total = masks.sum(0, keepdim=True)
        keys: list[Tensor] = []
        values: list[Tensor] = []
        for ids in self._passes(range(len(masks)), query):
            key, value = self._network.encode_memory(query, masks[ids[0] : ids[-1] + 1], total)
            keys.append(query.key if key is None else key)
            values.append(value)
        shared = self._network.shared_keys
        self._bank.write(
            self.ids,
            keys[0] if shared or len(keys) == 1 else torch.cat(keys),
            values[0] if len(values) == 1 else torch.cat(values),
            keep=keep,
            pinned=pinned,
        )
        if keep:
            self._last_memory = self._seen

    def _result(
        self, frame: Frame, probabilities: Tensor, lazy: Callable[[], npt.NDArray[np.float32]]
    ) -> Segmentation:
        best, channel = probabilities.max(0)
        numbers = np.array([0, *self.ids])
        channels = channel.cpu().numpy()
        mask = numbers.astype(np.uint8 if numbers.max() < 256 else np.uint16)[channels]
        totals = np.bincount(channels.ravel(), best.cpu().numpy().ravel(), minlength=len(numbers))
        extents = measure(mask)
        objects = []
        for total, (i, label) in zip(totals[1:], self._labels.items(), strict=True):
            extent = extents.get(i)
            if extent is None:
                objects.append(ObjectInfo(i, label, score=0.0))
            else:
                score = float(total) / extent.area
                objects.append(ObjectInfo(i, label, score, extent.box, extent.area))
        return Segmentation(frame.index, frame.time, mask, tuple(objects), lazy)

    def _again(self, logits: Tensor, canvas: Canvas) -> Callable[[], npt.NDArray[np.float32]]:
        """A function that works the probabilities out once more, from the small log-odds."""

        @torch.inference_mode()
        def compute() -> npt.NDArray[np.float32]:
            return _to_array(canvas.enlarge(self._probabilities(logits, canvas)))

        return compute


def _to_array(probabilities: Tensor) -> npt.NDArray[np.float32]:
    return np.array(probabilities.cpu().numpy(), np.float32)
