"""Whole clips through sessions of XMem and Cutie, measured as their golden files are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np

from segue.models.base import Schedule
from segue.sessions import TrackSession
from segue.types import Frame
from tests.clips import Bytes, clip
from tests.golden_arrays import Array, Golden

CLIPS = {
    "A": (31, 12, 97, 131, 1),
    "B": (81, 13, 100, 133, 3),
    "C": (87, 14, 96, 128, 2),
    "D": (37, 7, 120, 164, 2),
}
ENTRIES = {1: (5, 0), 2: (2, 3), 3: (9, 7)}
"""In clip B: the id of each label, and the frame on which it enters."""


@cache
def video(name: str) -> tuple[Bytes, Bytes]:
    """Frames and masks of a clip."""
    return clip(*CLIPS[name])


def late_prompts() -> dict[int, Array]:
    """Masks of clip B: on each frame only the objects that enter on it."""
    masks = video("B")[1]
    return {t: np.where(masks[t] == label, i, 0).astype(np.uint8) for label, (i, t) in ENTRIES.items()}


@dataclass
class Run:
    """Probabilities (T, K, H, W) of the objects, ids ascending, labels (T, H, W) and sizes of the memory."""

    probabilities: Array
    labels: Array
    sizes: list[Any] = field(default_factory=list)

    def check(self, golden: Golden, variant: str) -> None:
        """Hold everything against the arrays of a variant."""
        names = golden.arrays
        golden.check(f"labels_{variant}", self.labels)
        mean = self.probabilities.mean((2, 3), dtype=np.float64).astype(np.float32)
        expected = names[f"mean_{variant}"]
        assert np.abs(mean - expected).max() <= 1e-4 * np.abs(expected).max()
        if f"prob_{variant}" in names:
            halves = self.probabilities[..., ::2, ::2]
            golden.check(f"prob_{variant}", halves[FRAMES_OF.get((golden.name, variant), slice(None))])
        if f"full_{variant}" in names:
            frames = names.get(f"full_frames_{variant}", names.get("full_frames"))
            golden.check(f"full_{variant}", self.probabilities[frames])
        if f"sizes_{variant}" in names:
            assert np.array_equal(self.sizes, names[f"sizes_{variant}"])


FRAMES_OF: dict[tuple[str, str], slice] = {
    ("xmem_longterm", "noevict"): slice(8, None),
    ("xmem_longterm", "work"): slice(8, None),
    ("xmem_resize", "antialias"): slice(1, 4),
    ("cutie_late", "delete"): slice(8, None),
    ("cutie_longterm", "noevict"): slice(8, None),
    ("cutie_longterm", "delete"): slice(6, None),
    ("cutie_resize", "reader"): slice(1, 4),
}
"""Frames whose probabilities are stored, where not all are."""


def run(
    network: Any,
    schedule: Schedule,
    name: str,
    prompts: Mapping[int, Array],
    sizes: Callable[[Any], Any],
    removed: Mapping[int, int] | None = None,
    device: str = "cpu",
) -> Run:
    """Follow a clip; ``sizes`` looks at the tracker after each frame, ``removed`` names objects by frame."""
    frames = video(name)[0]
    session = TrackSession(network, schedule, device=device)
    ids = sorted({int(i) for mask in prompts.values() for i in np.unique(mask) if i})
    found = Run(
        np.zeros((len(frames), len(ids), *frames.shape[1:3]), np.float32),
        np.zeros(frames.shape[:3], np.uint8),
    )
    for t, image in enumerate(frames):
        frame = Frame(t, t / 25, image)
        if t in (removed or {}):
            session.remove([removed[t]])  # type: ignore[index]
        # The releases take the last frame with `end`: nothing is remembered of it.
        last = t == len(frames) - 1 and t not in prompts
        result = session.peek(frame) if last else session.step(frame, prompts.get(t))
        for channel, i in enumerate(session.ids, start=1):
            found.probabilities[t, ids.index(i)] = result.probabilities[channel]
        found.labels[t] = result.mask
        found.sizes.append(sizes(session.tracker))
    return found
