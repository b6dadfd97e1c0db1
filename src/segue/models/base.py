"""The face that every memory network shows to a tracking session.

A memory network is four functions of tensors: prepare a picture, look at it as a query, remember it as
memory, decode what was read from the memory. It knows nothing of videos, devices or files; the session
calls the functions in turn and the memory bank does the reading in between.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor

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
        doubt: taken off the affinities of kept frames unless their masks were given: other masks are
            predictions, and an error in them that is believed without reserve feeds on itself. Only for L2.
        last_doubt: the same for the previous frame.
        memory_frames: bound on the number of permanent memory frames.
        memory_policy: which one makes room when the bound is reached; ``all`` ignores the bound.
        short_side: larger pictures are reduced to this short side for the network, and its probabilities
            brought back to their size; None never reduces.
    """

    mem_every: int = 5
    top_k: int | None = 20
    include_last: bool = False
    last_window: int | None = None
    doubt: float = 0.0
    last_doubt: float = 0.0
    memory_frames: int = 50
    memory_policy: MemoryPolicy = "usage"
    short_side: int | None = None


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


class MemoryNetwork(Protocol):
    """A network for :class:`segue.sessions.TrackSession`."""

    schedule: Schedule
    """The schedule of the publication, used where the caller says nothing."""

    stride: int
    """Height and width of a prepared picture are multiples of this."""

    key_channels: int
    value_channels: int
    read_stride: int
    """Pixels per memory position in each direction."""

    similarity: Literal["l2", "dot"]
    """``l2``: negative squared distance (STCN); ``dot``: scaled dot product (STM)."""

    shared_keys: bool
    """Whether one memory key serves all objects (STCN) or each object has its own (STM)."""

    aggregate_prompts: bool
    """Whether given masks pass through soft aggregation before they are memorised and reported."""

    masks_in_padding: bool
    """Whether predicted masks may reach into the padding when they are memorised, or are empty there."""

    def prepare(self, image: Tensor) -> Tensor:
        """Normalise and pad a picture, (H, W, 3) uint8 → (1, 3, H', W')."""
        ...

    def encode_query(self, image: Tensor) -> QueryFeatures:
        """Encode a prepared picture, (1, 3, H', W')."""
        ...

    def encode_memory(
        self, query: QueryFeatures, masks: Tensor, total: Tensor | None = None
    ) -> tuple[Tensor | None, Tensor]:
        """Encode a frame with the soft masks of its objects, (K, H', W') in [0, 1].

        Args:
            total: sum of the masks of all objects, (1, H', W'), for calls that hold only some of them.

        Returns:
            Memory keys (K, Ck, h, w), or None where the query key serves all objects; values (K, Cv, h, w).
        """
        ...

    def decode(self, query: QueryFeatures, readout: Tensor) -> Tensor:
        """Decode what each object read, (K, Cv, h, w), to log-odds of the object, (K, H'/4, W'/4)."""
        ...

    def aggregate(self, probabilities: Tensor) -> Tensor:
        """Merge object probabilities (K, H, W) to class probabilities (K+1, H, W), background first."""
        ...


def padding(height: int, width: int, multiple: int) -> tuple[int, int, int, int]:
    """Left, right, top, bottom padding up to multiples, the smaller half first (``F.pad`` order)."""
    extra_h, extra_w = -height % multiple, -width % multiple
    return extra_w // 2, extra_w - extra_w // 2, extra_h // 2, extra_h - extra_h // 2


def unpad(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Cut (..., H', W') back to ``size`` (H, W), as :func:`padding` padded it."""
    top, left = (x.shape[-2] - size[0]) // 2, (x.shape[-1] - size[1]) // 2
    return x[..., top : top + size[0], left : left + size[1]]


def aggregate(probabilities: Tensor, channels: int = 0) -> Tensor:
    """Soft aggregation of independent object probabilities (STM paper, section 3.4).

    With ``q_0 = prod(1 - p_i)``, ``q_i = p_i``, clamped to [1e-7, 1 - 1e-7], the result is the softmax of
    the log-odds of ``q``, which is the same as the odds divided by their sum.

    Args:
        probabilities: (K, H, W) in [0, 1], float32.
        channels: number of object channels the network was built with; those beyond K count as empty
            objects of probability 1e-7.

    Returns:
        (K+1, H, W), background first; sums to 1 over the channels (and the empty ones). Not for training:
        memory is reused; see :func:`aggregate_logits`.
    """
    merged = probabilities.new_empty(probabilities.shape[0] + 1, *probabilities.shape[1:])
    torch.prod(1 - probabilities, dim=0, out=merged[0])
    merged[1:] = probabilities
    odds = merged.clamp_(EPSILON, 1 - EPSILON).div_(1 - merged)
    total = odds.sum(0)
    empty = channels - probabilities.shape[0]
    if empty > 0:
        total += empty * EMPTY_ODDS
    return odds.div_(total)


def aggregate_logits(probabilities: Tensor) -> Tensor:
    """Log-odds of background and objects, (..., K, H, W) → (..., K+1, H, W); see :func:`aggregate`."""
    background = torch.prod(1 - probabilities, dim=-3, keepdim=True)
    merged = torch.cat([background, probabilities], dim=-3).clamp(EPSILON, 1 - EPSILON)
    return torch.log(merged / (1 - merged))


EPSILON = 1e-7
EMPTY_ODDS = EPSILON / (1 - EPSILON)
