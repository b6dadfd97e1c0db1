"""Interface of video instance networks for :class:`segue.sessions.InstanceSession`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from torch import Tensor


class InstanceNetwork(Protocol):
    """A network for :class:`segue.sessions.InstanceSession`.

    Encoded frames (``memory``) and queries (``decoded``) are passed back unchanged.
    """

    class_names: dict[int, str]
    """Names of class channels, as far as the weights tell them."""

    score: float
    """Default minimum class score of an object."""

    short_side: int
    """Default short side of images."""

    @property
    def classes(self) -> int:
        """Number of class channels."""

    @property
    def relates_frames(self) -> bool:
        """Whether encoded frames depend on the other frames of their clip."""

    def encode(self, frames: Tensor) -> Any:
        """Encode clips.

        Args:
            frames: RGB (N, T, 3, H, W), float in [0, 1].

        Returns:
            Memory of the clips, in the network's own form.
        """

    def join(self, parts: Sequence[Any]) -> Any:
        """Join memories of neighbouring frames; called only if :attr:`relates_frames` is False.

        Args:
            parts: memories in the order of the frames.

        Returns:
            One memory.
        """

    def decode(self, memory: Any) -> Any:
        """Decode all queries.

        Args:
            memory: result of :meth:`encode`.

        Returns:
            State of each query, in the network's own form.
        """

    def class_logits(self, decoded: Any) -> Tensor:
        """Score the classes of each query.

        Args:
            decoded: result of :meth:`decode`.

        Returns:
            Scores (N, Q, classes) before the sigmoid.
        """

    def embeddings(self, decoded: Any) -> Tensor:
        """Embed each query, to match instances between clips.

        Args:
            decoded: result of :meth:`decode`.

        Returns:
            Vectors (N, Q, C) that are alike for one object in neighbouring clips.
        """

    def mask_logits(self, memory: Any, decoded: Any, sample: int, queries: Tensor) -> Tensor:
        """Compute the masks of some queries of one clip.

        Args:
            memory: result of :meth:`encode`.
            decoded: result of :meth:`decode`.
            sample: number of the clip, below N.
            queries: numbers of queries (K,), int64.

        Returns:
            Masks (K, T, h, w) before the sigmoid.
        """

    def attention(self, memory: Any, decoded: Any, queries: Tensor) -> Tensor:
        """Compute attention maps of queries of the first clip.

        Args:
            memory: result of :meth:`encode`.
            decoded: result of :meth:`decode`.
            queries: numbers of queries (K,), int64.

        Returns:
            Maps (K, T, h, w); each sums to 1.
        """
