"""Interface of foreground networks for :class:`segue.sessions.ForegroundSession`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
from torch import Tensor

from segue.layers.flow_attention import FilteredFlow
from segue.types import Image

Features = tuple[Tensor, ...]
"""Feature maps of a frame, fine to coarse, each (N, C, h, w)."""

Shape = tuple[int, int]
"""Height and width."""

PLAIN_STAGES = ("align", "exposure", "blur")
NETWORK_STAGES = (*PLAIN_STAGES, "rain")
"""Rules of a foreground session that every method, and every network, runs with."""


@dataclass(frozen=True, slots=True)
class ForegroundCapabilities:
    """Optional capabilities of a foreground network.

    Attributes:
        depth: ``encode`` takes ``depth`` of the current frame, (N, 1, H, W) in [0, 1].
        flow: ``encode`` takes ``flow`` of the current frame, (N, gaps, H, W) in [0, 1]: lengths of the
            optical flow to earlier frames, the largest gap first, in parts of 20 pixels of an image of
            256 x 256.
        flow_gaps: those gaps in frames, growing, where they are known: then a session can compute flow, which
            is what happens with a network by name.
        flow_provider: computes the flow from a frame to an earlier one in a session; None where frames bring
            theirs.
        explains_flow: it shows what it makes of flow, see :class:`ExplainedFlow`, for ``--explain``.
        temporal_quantiles: of the empty scene it takes all planes, see
            :class:`segue.sessions.foreground.background.quantiles.Scene`, not the image alone.
        background_parts: two roles whose features together are those of the background: of the image of the
            empty scene, (N, 3, H, W), which is encoded once while the scene looks the same, and of all its
            planes. None where the background has one role.
        stages: names of the rules of a session that it runs with, see :mod:`.stage_list`.
        recurrence: ``encode`` takes ``recurrence`` of the current frame, (N, 6, H / 2, W / 2) in [0, 1]: how
            often its colours were seen at their places before, see
            :mod:`segue.sessions.foreground.background.recurrence`.
        context_maps: it has a method ``context_maps(current, context, background)`` that gives what the past
            says about the frame, (N, h, w) at each scale, for ``--explain``.
        two_passes: it finds more, as was measured, where the empty scene is learnt from the whole video
            first; videos that are files are read twice then, if nothing else is asked for.
        follows_pans: it finds more, as was measured, where a camera that pans is followed; in one pass it is,
            if nothing else is asked for.
        short_side: images are reduced to this short side for it, in pixels; None is that of the session.
        graphs: ``scene`` where :func:`segue.export.onnx.export_onnx` can write it; None where it cannot.
    """

    depth: bool = False
    flow: bool = False
    flow_gaps: tuple[int, ...] = ()
    flow_provider: Callable[[Image, Image], npt.NDArray[np.float32]] | None = None
    explains_flow: bool = False
    temporal_quantiles: bool = False
    background_parts: tuple[str, str] | None = None
    stages: tuple[str, ...] = NETWORK_STAGES
    recurrence: bool = False
    context_maps: bool = False
    two_passes: bool = False
    follows_pans: bool = False
    short_side: int | None = None
    graphs: Literal["scene"] | None = None


def foreground_capabilities(network: object) -> ForegroundCapabilities:
    """Capabilities that a foreground network declares.

    Args:
        network: the network.

    Returns:
        Its attribute ``capabilities``, or the defaults.
    """
    declared = getattr(network, "capabilities", None)
    return declared if isinstance(declared, ForegroundCapabilities) else ForegroundCapabilities()


@runtime_checkable
class ForegroundNetwork(Protocol):
    """A network with two steps: encoding a frame, which is cached, and decoding a result.

    A session encodes each frame once per role and keeps what later results need, so that streaming costs
    one encoding per role and gives what ``forward`` gives on the whole window.
    """

    @property
    def context(self) -> tuple[tuple[int, str], ...]:
        """Context frames: offset in frames, negative in the past, and role."""

    current: str
    """Role of the current frame."""

    background: str | None
    """Role of the background image; None if the network has no such input."""

    channels: int
    """Output maps: 1 is foreground, 2 adds shadow."""

    threshold: float
    """Minimum probability of foreground: as published, or as segue's networks were trained."""

    size_multiple: int
    """Height and width must be multiples of this."""

    capabilities: ForegroundCapabilities
    """Its optional capabilities."""

    def encode(self, frames: Tensor, role: str) -> Features:
        """Encode frames for one role.

        Args:
            frames: RGB (N, 3, H, W), float in [0, 1].
            role: role of the frames: ``current``, one of ``context``, or the background.

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
    """A foreground network that visualises its context; declares the capability ``context_maps``."""

    def context_maps(
        self, current: Features, context: Sequence[Features], background: Features | None
    ) -> Sequence[Tensor]:
        """Compute maps of the context, to explain a result.

        Args:
            current: features of the frames that get a result.
            context: features of the frames around, in the order of ``self.context``.
            background: features of the empty scene, or None where the network looks at none.

        Returns:
            One map (N, h, w) for each scale, fine to coarse.
        """


class ExplainedFlow(ForegroundNetwork, Protocol):
    """A foreground network that visualises its use of flow; declares ``explains_flow``."""

    def encode(self, frames: Tensor, role: str, flow: Tensor | None = None) -> Features:
        """Encode frames for one role, see :meth:`ForegroundNetwork.encode`.

        Args:
            frames: RGB (N, 3, H, W), float in [0, 1].
            role: role of the frames.
            flow: lengths of the flow of current frames (N, gaps, H, W), in [0, 1].

        Returns:
            Feature maps, each (N, C, h, w).
        """

    def explain_flow(
        self, current: Features, context: Sequence[Features], background: Features | None
    ) -> list[FilteredFlow]:
        """Compute maps of the flow to earlier frames, to explain a result.

        Args:
            current: features of the frames that get a result.
            context: features of the frames around, in the order of ``self.context``.
            background: features of the empty scene, or None.

        Returns:
            The filtered flow of each scale, fine to coarse.
        """
