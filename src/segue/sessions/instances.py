"""Find, classify, segment and follow every instance of a video of any length."""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from segue.errors import PromptError, SourceError
from segue.inputs import whole_number
from segue.masks.drawing import attention_strip
from segue.masks.measure import ObjectExtent, measure
from segue.models.base import InstanceNetwork
from segue.sessions.base import ready
from segue.sessions.clips import SHORT_SIDE, as_tensor, best_per_query, encode_frames, enlarged, resized
from segue.sessions.instance_tracks import Instances, Track, Tracks, suppress
from segue.sessions.snapshot import Kept
from segue.types import Frame, Image, IndexMask, ObjectInfo, Prompt, Segmentation

DUPLICATE = 0.6
"""Overlap (IoU over the window) from which on the weaker of two queries is the same object again."""


@dataclass(frozen=True, slots=True)
class InstanceOptions:
    """How a video is cut into windows, and what counts as found.

    Attributes:
        window: frames that are looked at together.
        overlap: frames that neighbouring windows share; objects are matched on them.
        score: least class score of an object, in 0..1.
        top: most objects of a window.
        classes: class channels that are wanted; None is all.
        short_side: pictures are resized to this short side for the network.

    Raises:
        ValueError: a number is out of range.
    """

    window: int = 10
    overlap: int = 3
    score: float = 0.3
    top: int = 10
    classes: frozenset[int] | None = None
    short_side: int = SHORT_SIDE

    def __post_init__(self) -> None:
        if self.window < 1 or not 0 <= self.overlap < self.window:
            raise ValueError(
                f"window is {self.window} and overlap {self.overlap}; a window has at least one frame, and "
                "shares fewer than it has"
            )
        if not 0 <= self.score <= 1:
            raise ValueError(f"score is {self.score}; it must be in 0..1")
        if self.top < 1 or self.short_side < 32:
            raise ValueError(f"top is {self.top} and short_side {self.short_side}; give at least 1 and 32")


@dataclass
class _Pending:
    """A frame of the current window."""

    index: int
    time: float
    size: tuple[int, int]
    picture: Image  # what the network sees, (h, w, 3), uint8
    memory: Any = field(default=None, compare=False)  # what it made of it, if apart from other frames


class InstanceSession(Kept):
    """Follows all instances; frames go in one by one, results come out ``lag`` frames later.

    A window of frames is looked at together. The next window shares some frames with it, on which its
    instances are matched with the known objects by overlap, by the embeddings of their queries and by class.
    Where the encoder does not relate frames (SeqFormer), each frame is encoded once.

    Args:
        network: such as SeqFormer or MS-STS VIS, in evaluation mode; it is not changed.
        options: windows and thresholds.
        names: name of each class channel.
        device: None takes a GPU if there is one.
        fast: bfloat16 where the processor or GPU has it.
    """

    kept = "_frames _tracks _due _strips _shared _size"
    kinds = (_Pending, Tracks, Track)

    def __init__(
        self,
        network: InstanceNetwork,
        options: InstanceOptions | None = None,
        *,
        names: Mapping[int, str] | None = None,
        device: str | torch.device | None = None,
        fast: bool = False,
    ) -> None:
        self.options = options or InstanceOptions()
        self._network, self.device, self._dtype = ready(network, device, fast)
        count = sum(parameter.numel() for parameter in cast(nn.Module, network).parameters())
        self._name = f"{type(network).__name__} with {count} parameters"
        self._names = dict(names or {})
        self.lag = self.options.window - 1
        self._explains = False
        self.reset()

    def reset(self) -> None:
        self._frames: list[_Pending] = []
        self._shared = 0
        self._tracks = Tracks()
        self._due: deque[Segmentation] = deque()
        self._strips: deque[Image] = deque()
        self._explanation: Image | None = None
        self._size: tuple[int, int] | None = None

    def explain(self) -> None:
        """Keep with each result from now on where the network looked, for :attr:`explanation`."""
        self._explains = True

    @property
    def explanation(self) -> Image | None:
        """Where the network looked for the last result, as one strip of pictures, RGB (h, n w, 3).

        The frame with its objects, as large as the network sees it; then the frame once for each object that
        was found in its window, with what the query of the object attends to, in the order of the ids, rimmed
        in its colour. None before the first result, and if :meth:`explain` was not called.
        """
        return self._explanation

    def step(self, frame: Frame, prompts: IndexMask | Sequence[Prompt] | None = None) -> Segmentation | None:
        """Take the next frame, and give the result that is due, if any.

        Raises:
            SourceError: the frame has another size than those before.
            PromptError: prompts were given; instances are found without.
        """
        if prompts is not None:
            raise PromptError("instances are found without prompts; use segue track for objects of your own")
        if self._size is not None and frame.size != self._size:
            raise SourceError(
                f"frame {frame.index} is {frame.size[1]}x{frame.size[0]}, but the frames before are "
                f"{self._size[1]}x{self._size[0]}"
            )
        self._size = frame.size
        # A copy where nothing is resized: the caller may fill one array again and again.
        picture = np.array(resized(frame.image, self.options.short_side))
        self._frames.append(_Pending(frame.index, frame.time, frame.size, picture))
        if len(self._frames) == self.options.window:
            self._segment_window(keep=self.options.overlap)
        return self._give() if self._due else None

    def finish(self) -> Iterator[Segmentation]:
        if len(self._frames) > self._shared:
            self._segment_window(keep=0)
        while self._due:
            yield self._give()

    def _give(self) -> Segmentation:
        if self._strips:
            self._explanation = self._strips.popleft()
        return self._due.popleft()

    def _origin(self) -> dict[str, Any]:
        classes = self.options.classes
        return {
            "network": self._name,
            "options": {**asdict(self.options), "classes": None if classes is None else sorted(classes)},
            "names": {str(channel): name for channel, name in self._names.items()},
            "precision": str(self._dtype),
        }

    @torch.inference_mode()
    def _segment_window(self, keep: int) -> None:
        """Segment the window, queue the results of its new frames, and keep its last ``keep`` frames."""
        network, options = self._network, self.options
        memory = self._encode()
        decoded = network.decode(memory)
        logits = network.class_logits(decoded)[0].float()
        found = best_per_query(logits, 2 * options.top, options.score, options.classes)
        masks = network.mask_logits(memory, decoded, 0, found.queries).float()
        embeddings = network.embeddings(decoded)[0, found.queries].float()
        instances = Instances(embeddings, self._class_scores(logits[found.queries]), masks > 0)
        seen = instances.masks.flatten(1).any(1).tolist()
        kept = [i for i in suppress(instances, DUPLICATE) if seen[i]][: options.top]
        chosen = Instances(instances.embeddings[kept], instances.class_scores[kept], instances.masks[kept])
        ids = self._tracks.update(chosen, self._shared, keep)
        known = {track.id: track for track in self._tracks.known}
        looks = None
        if self._explains:
            looks = network.attention(memory, decoded, found.queries[kept]).cpu().numpy()
        for t in range(self._shared, len(self._frames)):
            pending = self._frames[t]
            self._due.append(self._segment(pending, masks[kept, t], ids, known))
            if looks is not None:
                self._strips.append(attention_strip(pending.picture, self._due[-1].mask, looks[:, t], ids))
        self._frames = self._frames[len(self._frames) - keep :] if keep else []
        self._shared = keep

    def _class_scores(self, logits: Tensor) -> Tensor:
        """Scores (K, classes); 0 for classes that are not wanted, so that none of them becomes a label."""
        scores = logits.sigmoid()
        if self.options.classes is None:
            return scores
        wanted = torch.zeros_like(scores)
        wanted[:, sorted(self.options.classes)] = 1.0
        return scores * wanted

    def _encode(self) -> Any:
        """What the network sees in the window; frames of an earlier window are not encoded again."""
        tensors = [as_tensor([p.picture], self.device, self._dtype) for p in self._frames if p.memory is None]
        if self._network.relates_frames:
            return encode_frames(self._network, tensors)
        fresh = iter(tensors)
        for pending in self._frames:
            if pending.memory is None:
                pending.memory = self._network.encode(next(fresh))
        return self._network.join([pending.memory for pending in self._frames])

    def _segment(
        self, pending: _Pending, logits: Tensor, ids: list[int], known: Mapping[int, Track]
    ) -> Segmentation:
        """The result for one frame from the mask logits (K, h, w) of its instances."""
        mask = compose(enlarged(logits, pending.size), ids)
        extents = measure(mask)
        objects = tuple(self._describe(known[number], extents.get(number)) for number in sorted(ids))
        order = [ids.index(item.id) for item in objects]
        lazily = functools.partial(_probabilities, logits[order].half().cpu(), pending.size)
        return Segmentation(pending.index, pending.time, mask, objects, lazily)

    def _describe(self, track: Track, extent: ObjectExtent | None) -> ObjectInfo:
        label = self._names.get(track.label, str(track.label))
        if extent is None:
            return ObjectInfo(track.id, label, track.score)
        return ObjectInfo(track.id, label, track.score, extent.box, extent.area)


def compose(logits: Tensor, ids: Sequence[int]) -> IndexMask:
    """Index mask (H, W) of mask logits (K, H, W); the surest object has a pixel, the first one of equals."""
    if len(ids) == 0:
        return np.zeros(tuple(logits.shape[-2:]), np.uint8)
    best = logits.max(0)
    dtype = torch.int32 if max(ids) > 255 else torch.uint8
    table = torch.tensor(ids, dtype=dtype, device=logits.device)
    mask = torch.where(best.values > 0, table[best.indices], 0).cpu().numpy()
    return mask.astype(np.uint16) if dtype == torch.int32 else mask


def _probabilities(logits: Tensor, size: tuple[int, int]) -> npt.NDArray[np.float32]:
    """Each object against all else, (K+1, H, W), background first, summing to one."""
    inside = enlarged(logits, size).sigmoid()
    background = (1 - inside).prod(0, keepdim=True)
    together = torch.cat((background, inside))
    return np.asarray((together / together.sum(0)).cpu().numpy(), np.float32)


def allowed_classes(wanted: Collection[str], names: Mapping[int, str]) -> frozenset[int]:
    """Class channels of names or numbers.

    Raises:
        PromptError: there is no such class.
    """
    by_name = {name: channel for channel, name in names.items()}
    chosen = set()
    for text in wanted:
        channel = by_name.get(text, whole_number(text))
        if channel is None or channel not in names:
            raise PromptError(f"no class {text!r}; there are {', '.join(sorted(by_name))}")
        chosen.add(channel)
    return frozenset(chosen)
