"""Segmenters: one interface for networks and for classical background subtraction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, cast

import cv2
import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segue.arrays import UInt8Array
from segue.layers.running import prepare_for_inference, weights_apart
from segue.models.base import (
    ExplainedFlow,
    ExplainedNetwork,
    Features,
    ForegroundNetwork,
    foreground_capabilities,
)
from segue.sessions.base import Checkpointable, SessionState, checkpointed
from segue.sessions.contrast import Tone, tone_for
from segue.sessions.empty_scene import Scene
from segue.sessions.explaining import Explanation
from segue.sessions.extra_inputs import Extra
from segue.types import Image
from segue.weights.identity import WeightsIdentity

Maps = npt.NDArray[np.float32]
"""Probabilities of foreground and, with two channels, of shadow: (channels, h, w), float32."""

UNCHANGED = 10  # levels up to which a pixel, averaged with its neighbours, is as it was on the frame before
DIFFERENT = 14  # levels above which it is not the empty scene
SURE = 0.5  # probability above which a pixel may be held
PART = 0.5  # share of a piece that the network itself must take for foreground, for the rest to be held


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
        ignores_lights: whether light on a dark scene is no foreground, see :mod:`segue.sessions.lights`.
        suppresses_shadows: whether foreground where it finds shadow more probable may be shadow, see
            :mod:`segue.sessions.shadows`.
    """

    name: str
    lag: int = 0
    channels: int = 1
    threshold: float = 0.5
    uses_background: bool = False
    extra: Extra | None = None
    restorable: bool = True
    past: tuple[int, ...] = ()
    ignores_lights: bool = False
    suppresses_shadows: bool = False

    def follows(self, image: Image) -> bool:
        """Tell whether the segmenter follows a moving camera by itself.

        While it does, the session looks for no cuts, which pans resemble, and its empty scene does not count.

        Args:
            image: next frame as it was taken, not aligned, RGB (H, W, 3), uint8.

        Returns:
            True while the camera is followed; always false for segmenters that cannot.
        """
        return False

    @property
    def camera_moved(self) -> bool:
        """Whether the camera is known to have gone a step to that frame, so that no scene or light is new."""
        return False

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
        """Maps of one frame by itself, before or after those of a film; what :meth:`step` took is dropped.

        Args:
            image: RGB (h, w, 3), uint8.
            context: other frames of the film by their distance, such as -3; what is not there is the frame.
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
        """Give the maps of the next frame that is still due after the last frame.

        Args:
            scene: the empty scene.

        Returns:
            Probability maps (C, h, w), float32 in [0, 1], or None after the last frame.
        """
        return None

    def pause(self) -> None:
        """Forget what must be close in time; called when frames are missing or the light has changed."""
        self.restart()

    def restart(self) -> None:
        """Forget the scene."""
        return

    def state(self) -> SessionState:
        """All that :meth:`restore` needs; only if ``restorable``.

        Returns:
            Tensors and JSON values.
        """
        return SessionState({}, {})

    def restore(self, state: SessionState) -> None:
        """Go on from where :meth:`state` was called.

        Args:
            state: what :meth:`state` returned.

        Raises:
            CheckpointError: it was saved with another network or other settings.
        """
        return


class NetworkSegmenter(Checkpointable, Segmenter):
    """Runs a foreground network frame by frame; each frame is encoded once for each of its roles.

    Context beyond the ends of the scene is its first or last frame. Sizes that do not fit the network are
    extended by repeating the border.

    Args:
        network: in evaluation mode; it is not changed.
        device: None takes a GPU if there is one.
        fast: bfloat16 where the processor or GPU has it.
    """

    _images: dict[int, Image] = checkpointed()
    _planes: dict[int, UInt8Array] = checkpointed()
    _seen: int = checkpointed()
    _due: int = checkpointed()
    _standing: StationaryForegroundRetention | None = checkpointed()
    _tone: Tone | None = checkpointed()
    state_types = (Tone,)
    explains = False
    """Whether what each result was made of is kept as :attr:`explanation`, for networks that tell it."""

    def __init__(
        self,
        network: ForegroundNetwork,
        *,
        device: str | torch.device | None = None,
        fast: bool = False,
    ) -> None:
        self._network, self._device, self._dtype = prepare_for_inference(network, device, fast)
        self._weights = WeightsIdentity.of(cast(nn.Module, network))
        offsets = [offset for offset, _ in network.context]
        self._reach = max(0, -min(offsets, default=0))
        self.past = tuple(sorted({offset for offset in offsets if offset < 0}, reverse=True))
        self.lag = max(0, max(offsets, default=0))
        self.name = f"{type(network).__name__} in {self._dtype}"
        self.channels, self.threshold = network.channels, network.threshold
        self.uses_background = network.background is not None
        self._capabilities = foreground_capabilities(network)
        if self._capabilities.flow:
            self.extra = "flow"
        elif self._capabilities.depth:
            self.extra = "depth"
        holds = self._capabilities.retains_stationary
        self._standing = StationaryForegroundRetention(network.threshold) if holds else None
        self.ignores_lights = self._capabilities.ignores_lights
        self.suppresses_shadows = self._capabilities.suppresses_shadows
        self._stretches = self._capabilities.stretches_contrast
        self.restart()

    def restart(self) -> None:
        self._images = {}
        self._planes = {}
        self._features: dict[tuple[int, str], Features] = {}
        self.explanation = Explanation()
        self._seen = self._due = 0
        self._background: tuple[Scene, Features] | None = None
        self._tone = None
        self._toned: tuple[Scene, Scene] | None = None
        if self._standing is not None:
            self._standing.restart()

    def step(self, image: Image, scene: Scene, plane: UInt8Array | None = None) -> Maps | None:
        self._images[self._seen] = image
        if plane is not None:
            self._planes[self._seen] = plane
        self._seen += 1
        return self._decode(scene) if self._seen > self._due + self.lag else None

    @torch.inference_mode()
    def probe(self, image: Image, context: Mapping[int, Image], scene: Scene) -> Maps:
        network, (height, width) = self._network, image.shape[:2]
        scene = self._in_tone(scene)
        with weights_apart(network):
            current = network.encode(self._prepared(self._toned_image(image)), network.current)
            beside = [
                network.encode(self._prepared(self._toned_image(context.get(offset, image))), role)
                for offset, role in network.context
            ]
            background = self._encoded_background(scene)
            logits = network.decode(current, beside, background, self._padded((height, width)))
        return self._maps(logits, (height, width))

    def drain(self, scene: Scene) -> Maps | None:
        return self._decode(scene) if self._seen > self._due else None

    def _config_fingerprint(self) -> dict[str, str]:
        return {"weights": self._weights.digest}

    def _reset_transient_state(self) -> None:
        self.restart()

    @torch.inference_mode()
    def _decode(self, scene: Scene) -> Maps:
        network, t = self._network, self._due
        scene = self._in_tone(scene)
        last, image = self._seen - 1, self._shown(t)
        height, width = image.shape[:2]
        with weights_apart(network):
            current = self._encoded(t, network.current)
            context = [self._encoded(min(max(t + offset, 0), last), role) for offset, role in network.context]
            background = self._encoded_background(scene)
            logits = network.decode(current, context, background, self._padded((height, width)))
        if self.explains:
            self.explanation = self._explained(current, context, background)
        maps = self._maps(logits, (height, width))
        self._due += 1
        self._evict(self._due - self._reach)
        return maps if self._standing is None else self._retained(image, scene, maps)

    def _explained(
        self, current: Features, context: Sequence[Features], background: Features | None
    ) -> Explanation:
        """What the network tells of the frame that is due, without padding."""
        able, found = self._capabilities, Explanation()
        if able.context_maps:
            maps = cast(ExplainedNetwork, self._network).context_maps(current, context, background)
            found.context = [each[0].float().cpu().numpy() for each in maps]
        if able.explains_flow:
            network = cast(ExplainedFlow, self._network)
            motion, scales = network.explain_flow(current, context, background)
            found.motion = [each[0].movedim(0, -1).float().cpu().numpy() for each in motion]
            plane = self._planes.get(self._due)
            found.lengths = None if plane is None else np.float32(np.atleast_3d(plane)) / 255
            found.filtered = [each.filtered[0].float().abs().mean(0).cpu().numpy() for each in scales]
            weights = [each.attention for each in scales if each.attention is not None]
            found.attention = [each[0].float().mean(0).cpu().numpy() for each in weights]
        return found

    def _retained(self, image: Image, scene: Scene, maps: Maps) -> Maps:
        """Maps with what has come to a stand."""
        assert self._standing is not None
        maps[0] = self._standing.retain(image, scene, maps[0])
        return maps

    @staticmethod
    def _maps(logits: Tensor, size: tuple[int, int]) -> Maps:
        """Probabilities without the padding, from logits (1, C, h', w')."""
        inside = logits[0, :, : size[0], : size[1]]
        return np.asarray(inside.float().sigmoid_().cpu().numpy(), np.float32)

    def _in_tone(self, scene: Scene) -> Scene:
        """The scene in usual contrast; frames are encoded anew where the tone has changed."""
        if not self._stretches:
            return scene
        if self._toned is None or self._toned[0] is not scene:
            tone = tone_for(scene, self._tone)
            if tone != self._tone:
                self._tone = tone
                self._features.clear()
            self._toned = scene, scene if tone is None else tone.of_scene(scene)
        return self._toned[1]

    def _shown(self, index: int) -> Image:
        """A frame as the network sees it."""
        return self._toned_image(self._images[index])

    def _toned_image(self, image: Image) -> Image:
        return image if self._tone is None else self._tone.act(image)

    def _encoded(self, index: int, role: str) -> Features:
        key = index, role
        if key not in self._features:
            beside = {}
            if self.extra is not None and role == self._network.current and index in self._planes:
                plane = np.atleast_3d(self._planes[index]).transpose(2, 0, 1)
                beside[self.extra] = self._tensor(plane)
            self._features[key] = self._network.encode(self._prepared(self._shown(index)), role, **beside)
        return self._features[key]

    def _encoded_background(self, scene: Scene) -> Features | None:
        if self._network.background is None:
            return None
        if self._background is None or self._background[0] is not scene:
            features = self._network.encode(self._known(scene), self._network.background)
            self._background = scene, features
        return self._background[1]

    def _known(self, scene: Scene) -> Tensor:
        """A scene as the network takes it: its planes, or the picture alone."""
        if self._capabilities.temporal_quantiles:
            return self._tensor(scene.planes)
        return self._prepared(scene.picture)

    def _tensor(self, planes: npt.NDArray[np.uint8]) -> Tensor:
        """Planes (C, h, w) as the network takes them, (1, C, h, w) in [0, 1]."""
        return self._extended(torch.from_numpy(planes.copy()).to(self._device, self._dtype)[None].div_(255))

    def _evict(self, first: int) -> None:
        """Forget what lies before the first frame that a later result looks at."""
        self._images = {i: image for i, image in self._images.items() if i >= first}
        self._planes = {i: plane for i, plane in self._planes.items() if i >= self._due}
        self._features = {key: found for key, found in self._features.items() if key[0] >= first}

    def _padded(self, size: tuple[int, int]) -> tuple[int, int]:
        return padded_size(size, self._network.size_multiple)

    def _prepared(self, image: Image) -> Tensor:
        """A picture as the network takes it, (1, 3, h, w) in [0, 1]."""
        # A copy, because PyTorch complains of pictures that are read-only.
        pixels = torch.from_numpy(np.array(image, order="C")).to(self._device, non_blocking=True)
        frames = pixels.permute(2, 0, 1)[None].to(self._dtype).div_(255)
        return self._extended(frames).contiguous(memory_format=torch.channels_last)

    def _extended(self, planes: Tensor) -> Tensor:
        """Planes (1, C, h, w) whose border is repeated up to a size that fits the network."""
        return extended(planes, self._network.size_multiple)


def padded_size(size: tuple[int, int], multiple: int) -> tuple[int, int]:
    """The smallest height and width that are multiples of a number and not below ``size``."""
    height, width = (-(-side // multiple) * multiple for side in size)
    return height, width


def extended(planes: Tensor, multiple: int) -> Tensor:
    """Planes (N, C, h, w) whose border is repeated, right and below, up to multiples of a number.

    Args:
        planes: (N, C, h, w).
        multiple: what height and width must be multiples of.

    Returns:
        (N, C, H, W); the same tensor where it fits.
    """
    height, width = planes.shape[-2:]
    rows, columns = padded_size((height, width), multiple)
    if (rows, columns) == (height, width):
        return planes
    return F.pad(planes, (0, columns - width, 0, rows - height), mode="replicate")


class StationaryForegroundRetention(Checkpointable):
    """Holds the parts of standing objects that a network loses.

    A network that sees what changes gives up parts of an object that stops, those first that look like the
    scene, though nothing has happened to them. Here a pixel keeps its probability as long as it is as it was
    on the frame before and is not the empty scene, and as long as the network still takes most of the piece
    that it belongs to for foreground. What moves, flickers or waves is never held, and nothing outlives what
    is left of it. The threshold is the network's.
    """

    _before: Image | None = checkpointed()
    _held: npt.NDArray[np.float32] | None = checkpointed()

    def __init__(self, threshold: float) -> None:
        self._threshold = threshold
        self.restart()

    def restart(self) -> None:
        self._before = None
        self._held = None
        self._scene: tuple[Scene, Image] | None = None

    def retain(
        self, image: Image, scene: Scene, foreground: npt.NDArray[np.float32]
    ) -> npt.NDArray[np.float32]:
        """Take the next frame, and raise its probabilities where something is held.

        Args:
            image: RGB (h, w, 3), uint8.
            scene: the empty scene, of the same size.
            foreground: probabilities of the network, (h, w), float32.

        Returns:
            (h, w), float32, nowhere below ``foreground``.
        """
        smooth = np.asarray(cv2.blur(image, (3, 3)), np.uint8)
        if self._before is not None and self._held is not None:
            lost = (self._held > SURE) & (self._held > foreground)
            if lost.any():
                lost &= _alike(smooth, self._before, UNCHANGED)
                lost &= ~_alike(smooth, self._smooth(scene), DIFFERENT)
            if lost.any():
                foreground = self._joined(foreground, np.where(lost, self._held, foreground))
        self._before, self._held = smooth, foreground
        return foreground

    def _joined(self, own: npt.NDArray[np.float32], held: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """``held`` in pieces most of which are foreground in the network's ``own`` eyes, else ``own``."""
        sure = (held > SURE).view(np.uint8)
        count, pieces, stats, _ = cv2.connectedComponentsWithStats(sure, connectivity=8)
        found = np.bincount(pieces[own >= self._threshold], minlength=count)
        seen = found > PART * stats[:, cv2.CC_STAT_AREA]
        seen[0] = False
        return np.where(seen[pieces], held, own)

    def _smooth(self, scene: Scene) -> Image:
        if self._scene is None or self._scene[0] is not scene:
            self._scene = scene, np.asarray(cv2.blur(scene.picture, (3, 3)), np.uint8)
        return self._scene[1]


def _alike(one: Image, other: Image, levels: int) -> npt.NDArray[np.bool_]:
    """Where all channels of two pictures differ by at most so many levels, (h, w)."""
    return np.asarray(cv2.inRange(cv2.absdiff(one, other), (0, 0, 0), (levels, levels, levels)) > 0)
