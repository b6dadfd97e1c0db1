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
        """Memory, in the network's own form, of clips (N, T, 3, H, W), RGB in [0, 1]."""

    def join(self, parts: Sequence[Any]) -> Any:
        """Join memories of neighbouring frames, in order; only if the encoder does not relate frames."""

    def decode(self, memory: Any) -> Any:
        """State of every query about the clips of :meth:`encode`, in the network's own form."""

    def class_logits(self, decoded: Any) -> Tensor:
        """Class scores (N, Q, classes) of the queries of :meth:`decode` before the sigmoid."""

    def embeddings(self, decoded: Any) -> Tensor:
        """Vectors (N, Q, C) that are alike for one object in neighbouring clips."""

    def mask_logits(self, memory: Any, decoded: Any, sample: int, queries: Tensor) -> Tensor:
        """Masks (K, T, h, w) before the sigmoid of queries (K,), int64, of clip ``sample``."""

    def attention(self, memory: Any, decoded: Any, queries: Tensor) -> Tensor:
        """Where queries (K,) of the first clip look, maps (K, T, h, w); each sums to 1."""
