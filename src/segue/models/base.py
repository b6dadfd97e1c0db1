"""The interfaces that networks show to sessions: trackers, memory, foreground and instance networks.

A tracker owns everything that it remembers of a video. The session hands it pictures and the prompts of
them, and asks for probabilities, for its state, and that objects be removed; it knows no memory.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from segue.layers.flow_attention import FilteredFlow
from segue.registry import PromptKind
from segue.types import BoxPrompt, Image, PointPrompt

MemoryPolicy = Literal["usage", "fifo", "all"]


@dataclass(frozen=True, slots=True)
class Schedule:
    """When a frame becomes memory, what is read of it, and how much is kept.

    Attributes:
        mem_every: distance of two permanent memory frames, in frames that the session has seen.
        top_k: memory positions that a query position reads; None means all of them.
        include_last: whether the previous frame is read as well, without being kept.
        last_window: how far from its own place, in memory positions, a position may read in the previous
            frame; None for anywhere. Objects move little from one frame to the next, their doubles elsewhere
            in the picture do not move to them.
        penalty: confidence penalty, taken off the affinities of kept frames unless their masks were given:
            other masks are predictions, whose errors would otherwise feed on themselves. Only for L2.
        last_penalty: the same for the previous frame.
        uncertainty_penalty: also taken off, times how uncertain the masks of the frame are, in [0, 1], see
            :func:`segue.models.memory.tracker.uncertainty`: a frame on which objects were nearly lost is read
            less, and by the policy ``usage`` makes room first. Not for XMem, Cutie and SAM 2.
        memory_frames: bound on the number of permanent memory frames.
        memory_policy: which one makes room when the bound is reached; ``all`` ignores the bound.
        max_jump: components of a predicted mask that lie farther than this part of the picture's diagonal
            from the object's mask on the frame before are removed before the frame becomes memory, see
            :func:`segue.models.memory.components.suppress_distant_components`; None keeps them.
        short_side: larger pictures are reduced to this short side for the network, and its probabilities
            brought back to their size; None never reduces.
        flip_tta: look at the mirrored picture as well, with a memory of its own, and take the mean of both
            log-odds; both memories keep what they agreed on. Takes twice the time.
    """

    mem_every: int = 5
    top_k: int | None = 20
    include_last: bool = False
    last_window: int | None = None
    penalty: float = 0.0
    last_penalty: float = 0.0
    uncertainty_penalty: float = 0.0
    memory_frames: int = 50
    memory_policy: MemoryPolicy = "usage"
    max_jump: float | None = None
    short_side: int | None = None
    flip_tta: bool = False


@dataclass(frozen=True, slots=True)
class QueryFeatures:
    """What a network sees in one frame, before any memory is read.

    Attributes:
        image: the prepared picture, (1, 3, H, W).
        key: query key, (1, Ck, h, w).
        features: further features for the decoder and the value encoder, private to the network.
    """

    image: Tensor
    key: Tensor
    features: tuple[Tensor, ...]


@dataclass(frozen=True, slots=True)
class Setup:
    """How a tracker is to run.

    Attributes:
        schedule: what becomes memory and how it is read; trackers heed what concerns them.
        device, dtype: of the network.
        memory_limit: bytes that one pass over several objects may take, roughly.
        frames: number of frames of the film; None where it is not known.
    """

    schedule: Schedule
    device: torch.device
    dtype: torch.dtype
    memory_limit: int
    frames: int | None = None


@dataclass(frozen=True, slots=True)
class FramePrompts:
    """The prompts of a frame.

    Attributes:
        mask: index mask (H, W) of the objects that have a mask, int32, on the tracker's device; 0 elsewhere.
        masked: their ids.
        prompts: boxes and points of the other objects, in pixels of the picture; only of the kinds that
            :attr:`Tracker.prompts` names.
    """

    mask: Tensor
    masked: tuple[int, ...]
    prompts: tuple[BoxPrompt | PointPrompt, ...] = ()

    @property
    def ids(self) -> tuple[int, ...]:
        """All objects with prompts, each once."""
        return tuple(dict.fromkeys((*self.masked, *(prompt.id for prompt in self.prompts))))


@dataclass(frozen=True, slots=True)
class TrackOutput:
    """Where the objects are on a frame.

    Attributes:
        ids: the objects, ascending.
        probabilities: (K+1, H, W), float32, background first, then the objects; sums to 1.
        recompute_probabilities: computes ``probabilities`` again from little CPU memory; it is kept with the
            result, and can be pickled.
        scores: how good the mask of each object is likely to be, in [0, 1], where the network says so itself;
            None leaves it to the session.
    """

    ids: tuple[int, ...]
    probabilities: Tensor
    recompute_probabilities: Callable[[], npt.NDArray[np.float32]]
    scores: tuple[float, ...] | None = None


class Tracker(Protocol):
    """Follows objects, one picture after another, with a memory of its own, which is bounded.

    All methods run without gradients. Pictures are RGB (H, W, 3), uint8, all of one size.
    """

    prompts: frozenset[PromptKind]
    """Kinds of prompts that it takes as they are; others are made masks before. Masks it always takes."""

    def __init__(self, network: Any, setup: Setup) -> None: ...

    @property
    def ids(self) -> tuple[int, ...]:
        """The objects that are followed, ascending."""

    @property
    def requires_update(self) -> bool:
        """Whether the next picture changes the memory: then it must not be skipped."""

    def step(self, image: Image, given: FramePrompts | None = None, *, predict: bool = True) -> TrackOutput:
        """Take the next picture.

        Args:
            image: the picture.
            given: its prompts; objects may be new. Never None as long as nothing is followed.
            predict: False takes what is given alone, and all other objects for hidden.

        Returns:
            Probabilities of background and objects on this picture.

        Raises:
            PromptError: the network cannot do anything with a box or a point; then nothing has changed.
        """

    def peek(self, image: Image) -> TrackOutput:
        """Predict the next picture without taking it: nothing changes.

        Args:
            image: the picture.

        Returns:
            Probabilities of background and objects on it.
        """

    def skip(self) -> None:
        """Let a picture pass that nobody needs."""

    def forget(self, ids: Collection[int]) -> None:
        """Stop following objects.

        Args:
            ids: their ids; unknown ones are ignored.
        """

    def reset(self) -> None:
        """Forget everything."""

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Give all that :meth:`restore` needs.

        Returns:
            Tensors, which may share the memory of the tracker, and JSON values, by name.
        """

    def restore(self, tensors: dict[str, Tensor], values: dict[str, Any]) -> None:
        """Go on from where :meth:`state` was called; the tensors are copied.

        Args:
            tensors: as :meth:`state` returned them; they are copied, to the tracker's device.
            values: as :meth:`state` returned them.
        """


@dataclass(frozen=True, slots=True)
class TrackCapabilities:
    """What a tracking network tells of itself beyond the plain case.

    Attributes:
        confidence: factor and offset by which the log-odds of an expected overlap become those of the
            measured one, see :func:`segue.sessions.track.expected_overlap`.
        graphs: ``memory`` where :func:`segue.export.onnx.export_onnx` can write it; None where it cannot.
    """

    confidence: tuple[float, float] = (1.0, 0.0)
    graphs: Literal["memory"] | None = None


def track_capabilities(network: object) -> TrackCapabilities:
    """The capabilities that a tracking network declares; those of the plain case where it declares none.

    Args:
        network: the network. An attribute ``confidence``, which was there before ``capabilities``, is read
            for one release, with a warning.

    Returns:
        What it declares.
    """
    declared = getattr(network, "capabilities", None)
    if isinstance(declared, TrackCapabilities):
        return declared
    old = vars(type(network)) | vars(network)
    if "confidence" not in old:
        return TrackCapabilities()
    warnings.warn(
        f"{type(network).__name__} has an attribute confidence; it belongs into "
        "capabilities = TrackCapabilities(confidence=...), and is read in this release only",
        DeprecationWarning,
        stacklevel=2,
    )
    return TrackCapabilities(old["confidence"])


class TrackNetwork(Protocol):
    """A network for :class:`segue.sessions.TrackSession`.

    It may declare ``capabilities``, see :class:`TrackCapabilities`.
    """

    schedule: Schedule
    """The schedule of the publication, used where the caller says nothing."""

    tracker: ClassVar[type[Tracker]]
    """What follows objects with it."""


class MemoryNetwork(TrackNetwork, Protocol):
    """A network that a :class:`segue.models.memory.MemoryTracker` can run."""

    stride: int
    """Height and width of a prepared picture are multiples of this."""

    key_channels: int
    value_channels: int
    read_stride: int
    """Pixels per memory position in each direction."""

    similarity: Literal["l2", "dot", "weighted"]
    """``l2``: negative squared distance (STCN); ``dot``: scaled dot product (STM); ``weighted``: ``l2`` times
    a sharpness of each position, see :func:`segue.layers.attention.affinity`."""

    shared_keys: bool
    """Whether one memory key serves all objects (STCN) or each object has its own (STM)."""

    aggregate_prompts: bool
    """Whether given masks pass through soft aggregation before they are memorised and reported."""

    masks_in_padding: bool
    """Whether predicted masks may reach into the padding when they are memorised, or are empty there."""

    def prepare(self, image: Tensor) -> Tensor:
        """Normalise and pad a picture.

        Args:
            image: RGB (H, W, 3), values of 0 to 255, uint8 or float.

        Returns:
            (1, 3, H', W'), float; sides are multiples of ``stride``.
        """

    def encode_query(self, image: Tensor) -> QueryFeatures:
        """Encode a prepared picture.

        Args:
            image: (1, 3, H', W'), as :meth:`prepare` returned it.

        Returns:
            Its key, (1, Ck, h, w) with cells of ``read_stride`` pixels, and the feature maps that the decoder
            needs.
        """

    def encode_memory(
        self, query: QueryFeatures, masks: Tensor, total: Tensor | None = None
    ) -> tuple[Tensor | None, Tensor]:
        """Encode a frame with the soft masks of its objects, (K, H', W') in [0, 1].

        Args:
            query: what :meth:`encode_query` gave for the frame.
            masks: as above.
            total: sum of the masks of all objects, (1, H', W'), for calls that hold only some of them.

        Returns:
            Memory keys (K, Ck, h, w), or None where the query key serves all objects; values (K, Cv, h, w).
        """

    def decode(self, query: QueryFeatures, readout: Tensor) -> Tensor:
        """Decode what each object read from memory.

        Args:
            query: what :meth:`encode_query` gave for the frame.
            readout: values that were read, (K, Cv, h, w).

        Returns:
            Log-odds of each object, (K, H'/4, W'/4).
        """

    def aggregate(self, probabilities: Tensor) -> Tensor:
        """Merge the probabilities of single objects to those of classes.

        Args:
            probabilities: of each object by itself, (K, H, W) in [0, 1].

        Returns:
            Class probabilities (K+1, H, W), background first; they sum to 1.
        """


Features = tuple[Tensor, ...]
"""Feature maps of a frame, fine to coarse, each (N, C, h, w)."""

Shape = tuple[int, int]
"""Height and width."""


@dataclass(frozen=True, slots=True)
class ForegroundCapabilities:
    """What a foreground network can do beyond the plain case.

    Attributes:
        depth: ``encode`` takes ``depth`` of the current frame, (N, 1, H, W) in [0, 1].
        flow: ``encode`` takes ``flow`` of the current frame, (N, gaps, H, W) in [0, 1]: lengths of the
            optical flow to earlier frames, the largest gap first, in parts of 20 pixels of a picture of
            256 x 256.
        flow_gaps: those gaps in frames, growing, where they are known: then a session can compute flow, which
            is what happens with a network by name.
        explains_flow: it shows what it makes of flow, see :class:`ExplainedFlow`, for ``--explain``.
        temporal_quantiles: of the empty scene it takes all planes, see
            :class:`segue.sessions.empty_scene.Scene`, not the picture alone.
        retains_stationary: it loses what comes to a stand, which is held for it, see
            :class:`segue.sessions.segmenters.StationaryForegroundRetention`.
        stretches_contrast: it is to see fog and dusk in usual contrast, see :mod:`segue.sessions.contrast`.
        context_maps: it has a method ``context_maps(current, context, background)`` that gives what the past
            says about the frame, (N, h, w) at each scale, for ``--explain``.
        two_passes: it finds more, as was measured, where the empty scene is learnt from the whole film first;
            films that are files are gone through twice then, if nothing else is asked for.
        graphs: ``scene`` where :func:`segue.export.onnx.export_onnx` can write it; None where it cannot.
    """

    depth: bool = False
    flow: bool = False
    flow_gaps: tuple[int, ...] = ()
    explains_flow: bool = False
    temporal_quantiles: bool = False
    retains_stationary: bool = False
    stretches_contrast: bool = False
    context_maps: bool = False
    two_passes: bool = False
    graphs: Literal["scene"] | None = None


def foreground_capabilities(network: object) -> ForegroundCapabilities:
    """The capabilities that a foreground network declares.

    Networks that were written before there was ``capabilities`` have attributes instead (``takes_depth``,
    ``takes_flow``); they are read for one release, with a warning.
    """
    declared = getattr(network, "capabilities", None)
    if isinstance(declared, ForegroundCapabilities):
        return declared
    warnings.warn(
        f"{type(network).__name__} declares no capabilities = ForegroundCapabilities(...); "
        "its attributes takes_depth and takes_flow are read instead, in this release only",
        DeprecationWarning,
        stacklevel=2,
    )
    old = vars(type(network)) | vars(network)
    return ForegroundCapabilities(bool(old.get("takes_depth")), bool(old.get("takes_flow")))


@runtime_checkable
class ForegroundNetwork(Protocol):
    """A network whose work on a frame splits into a part per frame, which is kept, and a part per result.

    A session encodes each frame once per role and keeps what later results need, so that streaming costs
    one encoding per role and gives what ``forward`` gives on the whole window.
    """

    context: tuple[tuple[int, str], ...]
    """Frames other than the current one: offset to it in frames, negative is the past, and role."""

    current: str
    """Role of the current frame."""

    background: str | None
    """Role of a picture of the empty scene, or None where the network takes none."""

    channels: int
    """Output maps: 1 is foreground, 2 adds shadow."""

    threshold: float
    """Probability from which on a pixel is foreground: as published, or as our own were trained."""

    size_multiple: int
    """Height and width must be multiples of this."""

    capabilities: ForegroundCapabilities
    """What it can do beyond the plain case."""

    def encode(self, frames: Tensor, role: str) -> Features:
        """Encode frames for one role.

        Args:
            frames: RGB (N, 3, H, W), float in [0, 1].
            role: what the frames serve for: ``current``, one of ``context``, or the background.

        Returns:
            Feature maps, each (N, C, h, w).
        """

    def decode(
        self, current: Features, context: Sequence[Features], background: Features | None, size: Shape
    ) -> Tensor:
        """Decode features to logits.

        Args:
            current: features of the frames that get a result.
            context: features of the frames around, in the order of ``self.context``.
            background: features of the empty scene, or None where the network looks at none.
            size: height and width of the logits in pixels.

        Returns:
            Logits (N, channels, H, W) at ``size``: foreground, then shadow if there is one.
        """


class ExplainedNetwork(ForegroundNetwork, Protocol):
    """A foreground network that shows what its context says; it declares the capability ``context_maps``."""

    def context_maps(
        self, current: Features, context: Sequence[Features], background: Features | None
    ) -> Sequence[Tensor]:
        """Compute what the context says about a frame, to explain a result.

        Args:
            current: features of the frames that get a result.
            context: features of the frames around, in the order of ``self.context``.
            background: features of the empty scene, or None where the network looks at none.

        Returns:
            One map (N, h, w) for each scale, fine to coarse.
        """


class ExplainedFlow(ForegroundNetwork, Protocol):
    """A foreground network that takes flow and shows what it makes of it; it declares ``explains_flow``."""

    def encode(self, frames: Tensor, role: str, flow: Tensor | None = None) -> Features:
        """Encode frames for one role.

        Args:
            frames: RGB (N, 3, H, W), float in [0, 1].
            role: what the frames are, such as ``self.current``.
            flow: flow pictures of current frames, (N, gaps, H, W), float in [0, 1].

        Returns:
            What :meth:`decode` takes of them.
        """

    def explain_flow(
        self, current: Features, context: Sequence[Features], background: Features | None
    ) -> tuple[list[Tensor], list[FilteredFlow]]:
        """What the network makes of the flow of a frame.

        Args:
            current: features of the frame.
            context: features of the other frames, in the order of ``self.context``.
            background: features of the empty scene, for networks that take it.

        Returns:
            The flow to each earlier frame, that of the largest gap first, (N, 2, h, w) in pixels to the right
            and down; none where the frames bring their flow. Then the filtered flow of each scale, fine to
            coarse.
        """


class InstanceNetwork(Protocol):
    """A network for :class:`segue.sessions.InstanceSession`.

    What it makes of frames (``memory``) and of its queries (``decoded``) goes back to it as it is.
    """

    class_names: dict[int, str]
    """Names of class channels, as far as the weights tell them."""

    score: float
    """Least class score of an object where the caller says nothing."""

    short_side: int
    """Pictures are resized to this short side where the caller says nothing."""

    @property
    def classes(self) -> int:
        """Number of class channels."""

    @property
    def relates_frames(self) -> bool:
        """Whether what is encoded of a frame depends on the others of its clip."""

    def encode(self, frames: Tensor) -> Any:
        """Encode the frames of clips.

        Args:
            frames: RGB (N, T, 3, H, W), float in [0, 1].

        Returns:
            The memory of the clips, in a form of the network's own.
        """

    def join(self, parts: Sequence[Any]) -> Any:
        """Join memories of neighbouring frames to that of one clip; only where frames are not related.

        Args:
            parts: memories in the order of time.

        Returns:
            The memory of all their frames.
        """

    def decode(self, memory: Any) -> Any:
        """Ask every query about the clips.

        Args:
            memory: what :meth:`encode` returned.

        Returns:
            What the decoder knows of each query, in a form of the network's own.
        """

    def class_logits(self, decoded: Any) -> Tensor:
        """Classify the queries.

        Args:
            decoded: what :meth:`decode` returned.

        Returns:
            Class scores before the sigmoid, (N, Q, classes).
        """

    def embeddings(self, decoded: Any) -> Tensor:
        """Describe the queries, to recognise objects from clip to clip.

        Args:
            decoded: what :meth:`decode` returned.

        Returns:
            Vectors (N, Q, C) that are alike for one object in neighbouring clips.
        """

    def mask_logits(self, memory: Any, decoded: Any, sample: int, queries: Tensor) -> Tensor:
        """Compute the masks of chosen queries.

        Args:
            memory: what :meth:`encode` returned.
            decoded: what :meth:`decode` returned.
            sample: which of the N clips.
            queries: their numbers, (K,), int64.

        Returns:
            Masks (K, T, h, w) before the sigmoid.
        """

    def attention(self, memory: Any, decoded: Any, queries: Tensor) -> Tensor:
        """Show where chosen queries of the first clip look.

        Args:
            memory: what :meth:`encode` returned.
            decoded: what :meth:`decode` returned.
            queries: their numbers, (K,), int64.

        Returns:
            Maps (K, T, h, w); each sums to 1.
        """
