"""Segmenters: one interface for networks and for classical background subtraction."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, cast

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segue.arrays import UInt8Array
from segue.layers.running import prepare_for_inference, weights_apart
from segue.models.base import (
    PLAIN_STAGES,
    Features,
    ForegroundNetwork,
    foreground_capabilities,
)
from segue.sessions.base import Checkpointable, SessionState, checkpointed
from segue.sessions.empty_scene import Scene
from segue.sessions.explaining import Explanation
from segue.sessions.extra_inputs import Extra
from segue.types import Image
from segue.weights.identity import WeightsIdentity

if TYPE_CHECKING:
    from segue.sessions.contrast import Tone

Maps = npt.NDArray[np.float32]
"""Probabilities of foreground and, with two channels, of shadow: (channels, h, w), float32."""


class Segmenter(Protocol):
    """Frames of one scene in, probabilities out; the session does everything else.

    A class that derives from this one only says what is different: it is never behind, and has nothing to
    forget or to save.

    Attributes:
        name: what it is called in messages and saved states.
        lag: frames by which the maps trail the frames.
        channels: 1 is foreground, 2 adds shadow.
        threshold: probability from which on a pixel is foreground, where nobody says another one.
        uses_background: whether it looks at the empty scene that it is given.
        extra: its further input, if it has one.
        restorable: whether :meth:`state` holds all that it knows.
        past: distances, below 0, of the frames before that it looks at.
        stages: names of the rules of a session that it runs with, see :mod:`segue.sessions.stage_list`.
        explains: whether it keeps what each result was made of as ``explanation``, if it can tell.
        explanation: that of the last result.
    """

    name: str
    lag: int = 0
    channels: int = 1
    threshold: float = 0.5
    uses_background: bool = False
    extra: Extra | None = None
    restorable: bool = True
    past: tuple[int, ...] = ()
    stages: tuple[str, ...] = PLAIN_STAGES
    explains: bool = False
    explanation: Explanation = Explanation()

    def step(self, image: Image, scene: Scene, plane: UInt8Array | None = None) -> Maps | None:
        """Take the next frame.

        Args:
            image: RGB (h, w, 3), uint8; all of one size.
            scene: the empty scene for the frame whose result is due; another object if it has changed.
            plane: the frame's ``extra``, uint8, if it has one.

        Returns:
            Maps of the frame ``lag`` frames before, or None if there is none.
        """

    def probe(self, image: Image, context: Mapping[int, Image], scene: Scene) -> Maps:
        """Maps of a single frame outside of a video; the state of :meth:`step` is dropped.

        Args:
            image: RGB (h, w, 3), uint8.
            context: other frames of the video by their distance, such as -3; what is not there is the frame.
            scene: the empty scene.

        Returns:
            Probability maps (C, h, w), float32 in [0, 1].
        """
        self.restart()
        maps = self.step(image, scene)
        self.restart()
        assert maps is not None, f"{self.name} looks ahead"
        return maps

    def drain(self, scene: Scene) -> Maps | None:
        """Maps (C, h, w) of the next frame that is still due after the last one; None after all of them."""
        return None

    def pause(self) -> None:
        """Forget what must be close in time; called when frames are missing or the light has changed."""
        self.restart()

    def restart(self) -> None:
        """Forget the scene."""
        return

    def state(self) -> SessionState:
        """All that :meth:`restore` needs; only if ``restorable``."""
        return SessionState({}, {})

    def restore(self, state: SessionState) -> None:
        """Go on from where :meth:`state` was called; CheckpointError if the network or settings differ."""
        return


@dataclass(slots=True, eq=False)
class _Taken:
    """A frame with what it brings, (h, w, 3) and (h, w) or (h, w, gaps), and what is computed of it once."""

    image: Image
    plane: UInt8Array | None
    pixels: Tensor | None = field(default=None, compare=False)
    features: dict[str, Features] = field(default_factory=dict, compare=False)


class NetworkSegmenter(Checkpointable, Segmenter):
    """Runs a foreground network frame by frame; each frame is encoded once for each of its roles.

    Context beyond the ends of the scene is its first or last frame. Sizes that do not fit the network are
    extended by repeating the border.

    Args:
        network: in evaluation mode; it is not changed.
        device: None takes a GPU if there is one.
        fast: bfloat16 on GPUs and processors that are faster with it.
    """

    _taken: dict[int, _Taken] = checkpointed()
    _seen: int = checkpointed()
    _due: int = checkpointed()
    state_types = (_Taken,)

    def __init__(
        self,
        network: ForegroundNetwork,
        *,
        device: str | torch.device | None = None,
        fast: bool = False,
    ) -> None:
        self._network, self._device, self._dtype = prepare_for_inference(network, device, fast)
        self._weights = WeightsIdentity.of(cast(nn.Module, network))
        self.offsets = tuple(dict.fromkeys(offset for offset, _ in network.context))
        self._reach = max(0, -min(self.offsets, default=0))
        self.past = tuple(sorted((offset for offset in self.offsets if offset < 0), reverse=True))
        self.lag = max(0, max(self.offsets, default=0))
        self.name = f"{type(network).__name__} in {self._dtype}"
        self.channels, self.threshold = network.channels, network.threshold
        self.uses_background = network.background is not None
        self._capabilities = foreground_capabilities(network)
        if self._capabilities.flow:
            self.extra = "flow"
        elif self._capabilities.depth:
            self.extra = "depth"
        self.stages = self._capabilities.stages
        self.restart()

    def restart(self) -> None:
        self._taken = {}
        self.explanation = Explanation()
        self._seen = self._due = 0
        self._backgrounds: deque[tuple[Scene, Features]] = deque(maxlen=3)  # sharp, and blurred like frames
        self._tone: Tone | None = None

    def step(
        self,
        image: Image,
        scene: Scene,
        plane: UInt8Array | None = None,
        *,
        tone: Tone | None = None,
        context: Mapping[int, Image] | None = None,
    ) -> Maps | None:
        """Maps of the frame ``lag`` frames before, or None; see :meth:`Segmenter.step`.

        ``tone``: contrast in which that frame and those beside it are seen, ``scene`` has it already;
        ``context``: frames beside it by their distance, instead of those that were taken.
        """
        self._taken[self._seen] = _Taken(image, plane)
        self._seen += 1
        return self._decode(scene, tone, context) if self._seen > self._due + self.lag else None

    @torch.inference_mode()
    def probe(
        self, image: Image, context: Mapping[int, Image], scene: Scene, tone: Tone | None = None
    ) -> Maps:
        """Maps of one frame by itself; ``scene`` has the tone already."""
        network, (height, width) = self._network, image.shape[:2]
        with weights_apart(network):
            current = network.encode(self._prepared(_toned(image, tone)), network.current)
            beside = self._encoded_beside(image, context, tone)
            background = self._encoded_background(scene)
            logits = network.decode(current, beside, background, self._padded((height, width)))
        return self._maps(logits, (height, width))

    def drain(
        self, scene: Scene, *, tone: Tone | None = None, context: Mapping[int, Image] | None = None
    ) -> Maps | None:
        return self._decode(scene, tone, context) if self._seen > self._due else None

    def _config_fingerprint(self) -> dict[str, str]:
        return {"weights": self._weights.digest}

    def _reset_transient_state(self) -> None:
        self.restart()

    @torch.inference_mode()
    def _decode(self, scene: Scene, tone: Tone | None, beside: Mapping[int, Image] | None) -> Maps:
        network, t = self._network, self._due
        if tone != self._tone:  # what was encoded before has another contrast
            self._tone = tone
            self._taken = {i: _Taken(each.image, each.plane) for i, each in self._taken.items()}
        last, image = self._seen - 1, self._taken[t].image
        height, width = image.shape[:2]
        with weights_apart(network):
            current = self._encoded(t, network.current)
            if beside is None:
                context = [
                    self._encoded(min(max(t + offset, 0), last), role) for offset, role in network.context
                ]
            else:
                context = self._encoded_beside(image, beside, tone)
            background = self._encoded_background(scene)
            logits = network.decode(current, context, background, self._padded((height, width)))
        if self.explains:
            shown = current, context, background, self._taken[t].plane
            self.explanation = Explanation.of(network, self._capabilities, *shown)
        self._due += 1
        first = self._due - self._reach
        self._taken = {i: each for i, each in self._taken.items() if i >= first}
        return self._maps(logits, (height, width))

    @staticmethod
    def _maps(logits: Tensor, size: tuple[int, int]) -> Maps:
        """Probabilities without the padding, from logits (1, C, h', w')."""
        inside = logits[0, :, : size[0], : size[1]]
        return np.asarray(inside.float().sigmoid_().cpu().numpy(), np.float32)

    def _encoded_beside(
        self, image: Image, context: Mapping[int, Image], tone: Tone | None
    ) -> list[Features]:
        """Features of frames that are given by their distance; those that are not are the frame itself."""
        return [
            self._network.encode(self._prepared(_toned(context.get(offset, image), tone)), role)
            for offset, role in self._network.context
        ]

    def _encoded(self, index: int, role: str) -> Features:
        """Features of a frame in a role, which are computed once."""
        taken, network = self._taken[index], self._network
        if role not in taken.features:
            beside = {}
            if self.extra is not None and role == network.current and taken.plane is not None:
                beside[self.extra] = self._tensor(np.atleast_3d(taken.plane).transpose(2, 0, 1))
            if taken.pixels is None:
                taken.pixels = self._prepared(_toned(taken.image, self._tone))
            taken.features[role] = network.encode(taken.pixels, role, **beside)
        return taken.features[role]

    def _encoded_background(self, scene: Scene) -> Features | None:
        if self._network.background is None:
            return None
        found = next((each for each in self._backgrounds if each[0] is scene), None)
        if found is None:
            found = scene, self._network.encode(self._known(scene), self._network.background)
        else:
            self._backgrounds.remove(found)
        self._backgrounds.append(found)  # the least recently used one goes
        return found[1]

    def _known(self, scene: Scene) -> Tensor:
        """A scene as the network takes it: its planes, or the image alone."""
        if self._capabilities.temporal_quantiles:
            return self._tensor(scene.planes)
        return self._prepared(scene.picture)

    def _tensor(self, planes: npt.NDArray[np.uint8]) -> Tensor:
        """Planes (C, h, w) as the network takes them, (1, C, h, w) in [0, 1]."""
        known = torch.from_numpy(planes.copy()).to(self._device, self._dtype)[None].div_(255)
        return extended(known, self._network.size_multiple)

    def _padded(self, size: tuple[int, int]) -> tuple[int, int]:
        return padded_size(size, self._network.size_multiple)

    def _prepared(self, image: Image) -> Tensor:
        """An image as the network takes it, (1, 3, h, w) in [0, 1]."""
        # A copy, because PyTorch complains of images that are read-only.
        pixels = torch.from_numpy(np.array(image, order="C")).to(self._device, non_blocking=True)
        frames = pixels[None].permute(0, 3, 1, 2).to(self._dtype).div_(255)
        return extended(frames, self._network.size_multiple).contiguous(memory_format=torch.channels_last)


def _toned(image: Image, tone: Tone | None) -> Image:
    return image if tone is None else tone.act(image)


def padded_size(size: tuple[int, int], multiple: int) -> tuple[int, int]:
    """The smallest height and width that are multiples of a number and not below ``size``."""
    height, width = (-(-side // multiple) * multiple for side in size)
    return height, width


def extended(planes: Tensor, multiple: int) -> Tensor:
    """Planes (N, C, h, w) whose border is repeated, right and below, up to multiples of a number."""
    height, width = planes.shape[-2:]
    rows, columns = padded_size((height, width), multiple)
    if (rows, columns) == (height, width):
        return planes
    return F.pad(planes, (0, columns - width, 0, rows - height), mode="replicate")
