"""Distillation from the soft masks of a tracking network.

The teacher tracks the objects of a clip in a session, as a user would run it, without gradients. The student
also learns its probabilities, which say where a boundary is unsure (Hinton et al., "Distilling the Knowledge
in a Neural Network", 2015, section 2; here at temperature 1).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from segue.sessions import TrackSession
from segue.weights import prepare
from segue.weights.available import check_available


@dataclass(slots=True)
class Teacher:
    """A tracking network by name, loaded with the first clip.

    Attributes:
        name: name of the network, such as ``cutie``.
        weights: its weight file; None is the one that comes with segue or was downloaded.
        share: weight of the distillation beside the loss of the student.

    Raises:
        CheckpointError: it does not track, or its weights are missing; the message says how to get them.
    """

    name: str
    weights: Path | None = None
    share: float = 0.5
    _prepared: Any = field(default=None, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        check_available("track", self.name, self.weights)

    def __getstate__(self) -> dict[str, Any]:
        """State for another process, which loads the network itself."""
        return {"name": self.name, "weights": self.weights, "share": self.share, "_prepared": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            setattr(self, name, value)

    def probabilities(self, frames: Tensor, masks: Tensor, slots: int) -> Tensor:
        """Track the objects of clips.

        Args:
            frames: RGB clips (B, T, 3, H, W), uint8.
            masks: ids of the first frames, (B, H, W); other values than 1 to ``slots`` are background.
            slots: number of channels for objects, K.

        Returns:
            Probabilities (B, T-1, K+1, H, W) of frames 1 to T-1, float32, background first; they sum to 1.
        """
        if self._prepared is None:
            self._prepared = prepare(self.name, self.weights, device=frames.device)
        clips = frames.movedim(2, -1).cpu().numpy()
        ids = torch.where(masks <= slots, masks, 0).cpu().numpy().astype(np.uint8)
        tracked = [self._track(clip, mask, slots) for clip, mask in zip(clips, ids, strict=True)]
        return torch.from_numpy(np.stack(tracked)).to(frames.device)

    def _track(self, clip: np.ndarray, mask: np.ndarray, slots: int) -> np.ndarray:
        """Track one clip (T, H, W, 3): probabilities (T-1, K+1, H, W)."""
        planes = np.zeros((len(clip) - 1, slots + 1, *mask.shape), np.float32)
        if not mask.any():
            planes[:, 0] = 1
            return planes
        session = TrackSession(self._prepared, frames=len(clip))
        session.step(np.ascontiguousarray(clip[0]), mask)
        for plane, image in zip(planes, clip[1:], strict=True):
            result = session.step(np.ascontiguousarray(image))
            plane[[0, *result.ids]] = result.probabilities
        return planes


def distillation_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Mean cross-entropy of log-odds with a teacher's probabilities, both (B, T, K+1, H, W)."""
    return -(target * logits.float().log_softmax(2)).sum(2).mean()
