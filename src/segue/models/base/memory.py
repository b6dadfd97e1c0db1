"""Interface of memory networks for :class:`segue.models.memory.MemoryTracker`: keys, values, decoder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from torch import Tensor

from segue.models.base.tracking import TrackNetwork


@dataclass(frozen=True, slots=True)
class QueryFeatures:
    """Features of one frame, before any memory is read.

    Attributes:
        image: the prepared image, (1, 3, H, W).
        key: query key, (1, Ck, h, w).
        features: further features for the decoder and the value encoder, private to the network.
        shrinkage: decay of similarity to its positions with distance, (1, 1, h, w), at least 1; for the
            anisotropic similarity of XMem and Cutie.
        selection: weight of each channel of the key when this frame asks, (1, Ck, h, w) in (0, 1); for the
            same.
    """

    image: Tensor
    key: Tensor
    features: tuple[Tensor, ...]
    shrinkage: Tensor | None = None
    selection: Tensor | None = None


class MemoryNetwork(TrackNetwork, Protocol):
    """A network that a :class:`segue.models.memory.MemoryTracker` can run."""

    stride: int
    """Height and width of a prepared image are multiples of this."""

    key_channels: int
    value_channels: int
    read_stride: int
    """Pixels per memory position in each direction."""

    similarity: Literal["l2", "dot"]
    """``l2``: negative squared distance (STCN); ``dot``: scaled dot product (STM)."""

    shared_keys: bool
    """Whether one memory key serves all objects (STCN) or each object has its own (STM)."""

    aggregate_prompts: bool
    """Whether given masks are soft-aggregated before they are memorised and reported."""

    masks_in_padding: bool
    """Whether memorised predictions keep masks in the padding; else they are empty there."""

    def prepare(self, image: Tensor) -> Tensor:
        """Normalise and pad an image.

        Args:
            image: RGB (H, W, 3), values of 0 to 255, uint8 or float.

        Returns:
            (1, 3, H', W'), float; sides are multiples of ``stride``.
        """

    def encode_query(self, image: Tensor) -> QueryFeatures:
        """Encode a prepared image.

        Args:
            image: (1, 3, H', W'), as :meth:`prepare` returned it.

        Returns:
            Its key, (1, Ck, h, w) with cells of ``read_stride`` pixels, and the feature maps that the decoder
            needs.
        """

    def encode_memory(
        self, query: QueryFeatures, masks: Tensor, total: Tensor | None = None
    ) -> tuple[Tensor | None, Tensor]:
        """Encode a frame with the soft masks of its objects.

        Args:
            query: result of :meth:`encode_query` for the frame.
            masks: (K, H', W') in [0, 1].
            total: sum of the masks of all objects, (1, H', W'), for calls that hold only some of them.

        Returns:
            Memory keys (K, Ck, h, w), or None where the query key serves all objects; values (K, Cv, h, w).
        """

    def decode(self, query: QueryFeatures, readout: Tensor) -> Tensor:
        """Decode the memory readout of each object.

        Args:
            query: result of :meth:`encode_query` for the frame.
            readout: values that were read, (K, Cv, h, w).

        Returns:
            Log-odds of each object, (K, H'/4, W'/4).
        """

    def aggregate(self, probabilities: Tensor) -> Tensor:
        """Merge probabilities of single objects into class probabilities.

        Args:
            probabilities: independent probabilities of the objects, (K, H, W) in [0, 1].

        Returns:
            Class probabilities (K+1, H, W), background first; they sum to 1.
        """
