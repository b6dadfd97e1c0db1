"""Interface of video instance networks for :class:`segue.sessions.InstanceSession`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor


@dataclass(frozen=True, slots=True)
class InstanceCapabilities:
    """Optional capabilities of an instance network.

    Attributes:
        observes_encoder: ``encode`` takes an ``observer``, which keeps what the encoder attends to, see
            :class:`segue.models.seqformer.observing.ObservableNetwork`.
    """

    observes_encoder: bool = False


def instance_capabilities(network: object) -> InstanceCapabilities:
    """The declared capabilities of an instance network, or the defaults.

    Args:
        network: the network.

    Returns:
        The declared capabilities.
    """
    declared = getattr(network, "capabilities", None)
    return declared if isinstance(declared, InstanceCapabilities) else InstanceCapabilities()


class InstanceNetwork(Protocol):
    """A network for :class:`segue.sessions.InstanceSession`.

    It may declare ``capabilities``, see :class:`InstanceCapabilities`.

    Encoded frames (``memory``) and queries (``decoded``) are passed back unchanged.
    """

    class_names: dict[int, str]
    """Names of class channels, as far as the weights tell them."""

    score: float
    """Least class score of an object where the caller says nothing."""

    short_side: int
    """Images are resized to this short side where the caller says nothing."""

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
        """Join the memories of neighbouring frames into one clip; only if the encoder does not relate frames.

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
            State of each query, in the network's own form.
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
