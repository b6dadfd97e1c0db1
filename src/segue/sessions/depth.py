"""Depth maps as networks take them: near is dark, far is bright, over the range of the scene."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from segue.sessions.base import SessionState

Depth = npt.NDArray[np.uint8]
"""(H, W), uint8: the 1st to the 99th percentile of the scene as 0 to 255; 0 where nothing is known."""

PERCENTILES = (1, 99)


class DepthScale:
    """Scales depth maps by the range of the first one of a scene.

    The reading of the paper takes the range of the whole film, which a camera does not know yet; the depth of
    a scene hardly changes.
    """

    def __init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Forget the scene."""
        self._range: tuple[float, float] | None = None

    def __call__(self, depth: npt.NDArray[np.generic]) -> Depth:
        """Scale a map, (H, W), of any unit; 0, negative and infinite values and NaN are unknown."""
        values = np.asarray(depth, np.float32)
        known = np.isfinite(values) & (values > 0)
        if self._range is None and known.any():
            low, high = np.percentile(values[known], PERCENTILES)
            self._range = float(low), float(high)
        low, high = self._range or (0.0, 0.0)
        scaled = (np.where(known, values, low) - low) / max(high - low, 1e-6)
        return np.asarray(np.rint(255 * np.clip(scaled, 0, 1)), np.uint8)

    def state(self) -> SessionState:
        """All that :meth:`restore` needs."""
        return SessionState({}, {"range": self._range})

    def restore(self, state: SessionState) -> None:
        """Go on from where :meth:`state` was called."""
        found = state.values["range"]
        self._range = None if found is None else (found[0], found[1])
