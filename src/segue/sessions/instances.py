"""Detect, classify, segment and track every instance of a video of any length, window by window."""

from __future__ import annotations

import functools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from segue.errors import ArgumentError, PromptError
from segue.masks.drawing import attention_strip
from segue.masks.measure import measure
from segue.models.base import InstanceNetwork
from segue.sessions.instance_tracks import Instance, Overlap, Tracks, distinct
from segue.sessions.networks import instance_network
from segue.sessions.official import SHORT_SIDE, as_tensor, resized, upsample
from segue.sessions.session import ExplainedSession
from segue.state import checkpointed
from segue.types import Frame, Image, IndexMask, ObjectInfo, ObjectMaps, Segmentation
from segue.utils.devices import to_cpu, to_device
from segue.utils.inputs import check_number, whole_number
from segue.utils.keywords import suggests_names
from segue.weights.prepared import Prepared

DUPLICATE = 0.6  # overlap (IoU over the window) above which the weaker of two queries is left out


@dataclass(frozen=True, slots=True)
class WindowOptions:
    """Windows of a video and thresholds of instances.

    Attributes:
        window: number of frames that are processed together.
        overlap: number of frames shared by neighbouring windows; objects are matched on them.
        score: minimum class score of an object, in 0..1.
        top: maximum number of objects in a window.
        classes: class channels to keep; None keeps all.
        short_side: images are resized to this short side for the network.

    Raises:
        ArgumentError: a number is out of range.
    """

    window: int = 10
    overlap: int = 3
    score: float = 0.3
    top: int = 10
    classes: frozenset[int] | None = None
    short_side: int = SHORT_SIDE

    def __post_init__(self) -> None:
        check_number("window", self.window, minimum=1, whole=True)
        check_number("overlap", self.overlap, minimum=0, whole=True)
        if self.overlap >= self.window:
            raise ArgumentError(
                f"window is {self.window} and overlap {self.overlap}; "
                "a window shares fewer frames than it has"
            )
        check_number("score", self.score, minimum=0, maximum=1)
        check_number("top", self.top, minimum=1, whole=True)
        check_number("short_side", self.short_side, minimum=32, whole=True)


@dataclass
class _Pending:
    """A frame of the current window."""

    index: int
    time: float
    size: tuple[int, int]
    image: Image  # what the network sees, (h, w, 3), uint8
    memory: Any = field(default=None, compare=False)  # what it made of it, if apart from other frames


@dataclass(frozen=True, slots=True)
class _ClipResult:
    """Output of the network for a window: instances, mask logits, and query positions."""

    instances: list[Instance]
    masks: Tensor  # (K, T, h, w)
    attention: npt.NDArray[np.float32] | None


class InstanceSession(ExplainedSession):
    """Tracks all instances frame by frame; results are ``lag`` frames late.

    The frames of a window are processed together. The next window shares some frames with it. On these
    frames, its instances are matched with the existing objects by overlap, query embeddings and class. If the
    encoder does not relate frames (SeqFormer), each frame is encoded once.

    With :meth:`explain`, :attr:`explanation` is one strip of images at network size. It shows the frame with
    its objects, and then once for each object of its window, with the sampling points of the object's query
    and a border in its colour, in the order of the ids.

    Args:
        network: name for :func:`segue.load`; a network such as SeqFormer or MS-STS VIS, which is not changed;
            or a shared network from ``segue.load(name, device="cpu")``.
        options: windows and thresholds.
        names: name of each class channel.
        device: None selects a GPU if there is one.
        fast: half precision or 8-bit integers if they are faster on the device.
    """

    finds = "instances are"
    _frames: list[_Pending] = checkpointed(list)
    _tracks: Tracks = checkpointed(Tracks)
    _shared: int = checkpointed(0)
    state_types = (_Pending, Tracks, Instance)

    @suggests_names
    def __init__(
        self,
        network: str | InstanceNetwork | Prepared[InstanceNetwork],
        options: WindowOptions | None = None,
        *,
        names: Mapping[int, str] | None = None,
        device: str | int | torch.device | None = None,
        fast: bool = False,
    ) -> None:
        self.options = options or WindowOptions()
        self._prepared = prepared = instance_network(network, device=device, fast=fast)
        self._network, self.device, self._dtype = prepared.network, prepared.device, prepared.dtype
        self.precision = prepared.precision
        self._names = dict(names or {})
        self.lag = self.options.window - 1
        self.reset()

    def _prepare(self, frame: Frame) -> tuple[_Pending, _ClipResult | None]:
        # A copy where nothing is resized: the caller may fill one array again and again.
        image = np.array(resized(frame.image, self.options.short_side))
        pending = _Pending(frame.index, frame.time, frame.size, image)
        window = [*self._frames, pending]
        return pending, self._segment_clip(window) if len(window) == self.options.window else None

    def _take(self, frame: Frame, prepared: tuple[_Pending, _ClipResult | None]) -> None:
        pending, clip_result = prepared
        self._frames.append(pending)
        if clip_result is not None:
            self._follow(clip_result, keep=self.options.overlap)

    def _end(self) -> None:
        if len(self._frames) > self._shared:
            self._follow(self._segment_clip(self._frames), keep=0)

    def _forms(self) -> dict[str, Any]:
        return self._prepared.forms.as_json()

    def _config_fingerprint(self) -> dict[str, Any]:
        classes = self.options.classes
        return {
            "network": type(self._network).__name__,
            "weights": self._prepared.digest,
            "options": {**asdict(self.options), "classes": None if classes is None else sorted(classes)},
            "names": {str(channel): name for channel, name in self._names.items()},
            "precision": str(self._prepared.precision),
        }

    @torch.inference_mode()
    def _segment_clip(self, window: Sequence[_Pending]) -> _ClipResult:
        """Run the network on a window."""
        network, options = self._network, self.options
        with self._prepared.inference_guard():
            memory = self._encode(window)
            decoded = network.decode(memory)
            scores = network.class_logits(decoded)[0].float().sigmoid()
            if options.classes is not None:  # none of the others becomes a label
                scores[:, [label for label in range(scores.shape[1]) if label not in options.classes]] = 0.0
            ranked = scores.amax(1).topk(min(2 * options.top, len(scores)))
            queries = ranked.indices[ranked.values >= options.score]
            masks = network.mask_logits(memory, decoded, 0, queries).float()
            embeddings = network.embeddings(decoded)[0, queries].float()
            inside = masks > 0
            keep_indices = distinct(Overlap.of(inside, inside), DUPLICATE)[: options.top]
            places = to_device(torch.tensor(keep_indices, dtype=torch.int64), masks.device)
            masks, inside, queries = masks[places], inside[places], queries[places]
            attention_maps = None
            if self._explains:
                attention_maps = network.attention(memory, decoded, queries).float().cpu().numpy()
        embeddings_and_scores = (values.numpy() for values in to_cpu(embeddings[places], scores[queries]))
        instances = [Instance(*parts) for parts in zip(*embeddings_and_scores, inside, strict=True)]
        return _ClipResult(instances, masks, attention_maps)

    @torch.inference_mode()
    def _follow(self, clip_result: _ClipResult, keep: int) -> None:
        """Queue the results of the window's new frames, and keep its last ``keep`` frames."""
        tracks, attention_maps = (
            self._tracks.update(clip_result.instances, self._shared, keep),
            clip_result.attention,
        )
        ids = [track.id for track in tracks]
        order = sorted(range(len(ids)), key=ids.__getitem__)
        by_id = to_device(torch.tensor(order, dtype=torch.int64), clip_result.masks.device)
        many = max(ids, default=0) > 255
        labels = torch.tensor(ids, dtype=torch.int32 if many else torch.uint8)
        labels = to_device(labels, clip_result.masks.device)
        for t in range(self._shared, len(self._frames)):
            pending, logits = self._frames[t], clip_result.masks[:, t]
            index_masks = compose(upsample(logits, pending.size), labels)
            mask, half_logits = (part.numpy() for part in to_cpu(index_masks, logits[by_id].half()))
            mask = mask.astype(np.uint16) if many else mask
            result = self._segment(pending, mask, half_logits, [tracks[k] for k in order])
            strip = (
                None
                if attention_maps is None
                else attention_strip(pending.image, result.mask, attention_maps[:, t], ids)
            )
            self._due.append((result, strip))
        self._frames = self._frames[len(self._frames) - keep :]
        self._shared = keep

    def _encode(self, window: Sequence[_Pending]) -> Any:
        """Encode the frames of a window; frames shared with the previous window are cached."""
        network = self._network
        if network.relates_frames:
            return self._encoded(window)
        for pending in window:
            if pending.memory is None:
                pending.memory = self._encoded([pending])
        return network.join([pending.memory for pending in window])

    def _encoded(self, frames: Sequence[_Pending]) -> Any:
        """Encode frames as one batch."""
        return self._network.encode(as_tensor([each.image for each in frames], self.device, self._dtype))

    def _segment(
        self, pending: _Pending, mask: IndexMask, logits: npt.NDArray[Any], tracks: Sequence[Instance]
    ) -> Segmentation:
        """Result of one frame from the image and the logits (K, h, w) of its instances, ids ascending."""
        extents, objects = measure(mask), []
        for track in tracks:
            extent, label = extents.get(track.id), self._names.get(track.label, str(track.label))
            where = () if extent is None else (extent.box, extent.area)
            objects.append(ObjectInfo(track.id, label, track.score, *where))
        logits_and_size = torch.from_numpy(logits), pending.size
        maps = ObjectMaps(
            functools.partial(_object_logits, *logits_and_size),
            functools.partial(_probabilities, *logits_and_size),
        )
        return Segmentation(pending.index, pending.time, mask, tuple(objects), maps)


def compose(logits: Tensor, ids: Tensor) -> Tensor:
    """Index mask (H, W) of mask logits (K, H, W); the first of equal logits wins."""
    if len(ids) == 0:
        return ids.new_zeros(logits.shape[-2:])
    best = logits.max(0)
    return torch.where(best.values > 0, ids[best.indices], 0)


def _probabilities(logits: Tensor, size: tuple[int, int]) -> npt.NDArray[np.float32]:
    """Probability of each object against all else, (K+1, H, W), background first, summing to one."""
    inside = upsample(logits, size).sigmoid()
    background = (1 - inside).prod(0, keepdim=True)
    together = torch.cat((background, inside))
    return np.asarray((together / together.sum(0)).cpu().numpy(), np.float32)


def _object_logits(logits: Tensor, size: tuple[int, int]) -> npt.NDArray[np.float32]:
    """Logits (K, H, W) at the size of the frame."""
    return np.asarray(upsample(logits, size).cpu().numpy(), np.float32)


def allowed_classes(requested: Collection[str], names: Mapping[int, str]) -> frozenset[int]:
    """Class channels of names or numbers; raise an error for unknown ones."""
    by_name = {name: channel for channel, name in names.items()}
    channels = set()
    for text in requested:
        channel = by_name.get(text, whole_number(text))
        if channel is None or channel not in names:
            raise PromptError(f"no class {text!r}; there are {', '.join(sorted(by_name))}")
        channels.add(channel)
    return frozenset(channels)
