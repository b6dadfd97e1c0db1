"""What a video instance network shows to :class:`segue.sessions.InstanceSession`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor


@dataclass(frozen=True, slots=True)
class InstanceCapabilities:
    """What an instance network declares of itself beyond the plain case.

    Attributes:
        observes_encoder: ``encode`` takes an ``observer``, which keeps what the encoder attends to, see
            :class:`segue.models.seqformer.observing.ObservableNetwork`.
    """

    observes_encoder: bool = False


def instance_capabilities(network: object) -> InstanceCapabilities:
    """The capabilities that an instance network declares; those of the plain case where it declares none.

    Args:
        network: the network.

    Returns:
        What it declares.
    """
    declared = getattr(network, "capabilities", None)
    return declared if isinstance(declared, InstanceCapabilities) else InstanceCapabilities()


class InstanceNetwork(Protocol):
    """A network for :class:`segue.sessions.InstanceSession`.

    It may declare ``capabilities``, see :class:`InstanceCapabilities`.

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
