"""Find the objects of a video without being told, and follow them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from segue.errors import PromptError, SegueError
from segue.prompts.detectors import Detector
from segue.sessions.base import SessionState
from segue.sessions.track import TrackSession
from segue.types import Frame, IndexMask, MaskPrompt, ObjectInfo, Prompt, Segmentation

OVERLAP = 0.5
"""Share of a found object, or of a known one, from which on both are the same."""


@dataclass(frozen=True, slots=True)
class Auto:
    """Says that the objects are to be found.

    Attributes:
        detector: what finds them; None is the one that comes with segue, which finds what moves.
        every: look for newcomers every so many frames; None looks only until the first objects are found.
    """

    detector: Detector | None = None
    every: int | None = None

    def __post_init__(self) -> None:
        """Refuse a distance that is none.

        Raises:
            ValueError: ``every`` is below 1.
        """
        if self.every is not None and self.every < 1:
            raise ValueError(f"every is {self.every}, but must be at least 1")


class AutoSession:
    """Finds objects and follows them.

    Every frame is looked at until the first objects are found. With ``every``, newcomers are looked for that
    many frames later, and again; what overlaps a known object is that object and changes nothing.

    Args:
        session: follows the objects; new.
        detector: finds them. Where it compares frames, results trail by that many frames.
        every: see above.
    """

    def __init__(self, session: TrackSession, detector: Detector, every: int | None = None) -> None:
        self._track = session
        self._detector = detector
        self._every = every
        self.lag = detector.lookahead
        self._waiting: deque[Frame] = deque()
        self._seen = 0
        self._looked = 0
        self._last_id = 0

    @property
    def found(self) -> int:
        """Number of objects found so far."""
        return self._last_id

    def reset(self) -> None:
        """Forget all objects and frames."""
        self._track.reset()
        self._waiting.clear()
        self._seen = self._looked = self._last_id = 0

    def step(self, frame: Frame, prompts: IndexMask | Sequence[Prompt] | None = None) -> Segmentation | None:
        """Take the next frame, and give the result that is due, if any.

        Raises:
            PromptError: there are prompts; here the objects are found.
            SourceError: the frame has another size than those before.
        """
        if prompts is not None:
            raise PromptError(f"frame {frame.index}: objects are found here; leave the prompts out")
        self._waiting.append(frame)
        try:
            return self._advance() if len(self._waiting) > self.lag else None
        except SegueError:
            self._waiting.pop()  # as if it had never come, so that the session can be saved
            raise

    def finish(self) -> Iterator[Segmentation]:
        """Results of the last frames."""
        while self._waiting:
            yield self._advance()

    def state(self) -> SessionState:
        """Everything that is needed to go on identically."""
        images = {str(i): frame.image for i, frame in enumerate(self._waiting)}
        times = [[frame.index, frame.time] for frame in self._waiting]
        return SessionState.joined(
            {"track": self._track.state(), "waiting": SessionState.of(images, {"frames": times})},
            {**self._origin(), "seen": self._seen, "looked": self._looked, "last_id": self._last_id},
        )

    def restore(self, state: SessionState) -> None:
        """Go on from a saved state.

        Raises:
            CheckpointError: it was saved with another detector, network, or distance of the searches.
        """
        state.require(self._origin())
        self._track.restore(state.part("track"))
        waiting = state.part("waiting")
        images = waiting.arrays()
        self._waiting = deque(
            Frame(index, time, images[str(i)]) for i, (index, time) in enumerate(waiting.values["frames"])
        )
        self._seen, self._looked = state.values["seen"], state.values["looked"]
        self._last_id = state.values["last_id"]

    def _origin(self) -> dict[str, object]:
        return {"detector": type(self._detector).__name__, "every": self._every}

    @property
    def _due(self) -> bool:
        if self._last_id == 0:
            return True
        return self._every is not None and self._seen - self._looked >= self._every

    def _advance(self) -> Segmentation:
        """Take the frame that has waited longest; nothing changes where that fails."""
        frame, *following = self._waiting
        looking = self._due
        newcomers = self._newcomers(frame, following) if looking else []
        result = self._track.step(frame, newcomers or None)
        self._waiting.popleft()
        self._looked = self._seen if looking else self._looked
        self._seen += 1
        self._last_id += len(newcomers)
        return result

    def _newcomers(self, frame: Frame, following: Sequence[Frame]) -> list[MaskPrompt]:
        found = self._detector(frame, *following)
        if not self._track.ids or not found.objects:
            planes = [(found.mask == item.id, item.label) for item in found.objects]
        else:
            known = self._track.peek(frame)
            planes = [
                (mask & (known.mask == 0), item.label)
                for item in found.objects
                if not is_known(mask := found.mask == item.id, item.label, known)
            ]
        return [
            MaskPrompt(number, mask, label=label)
            for number, (mask, label) in enumerate(planes, start=self._last_id + 1)
        ]


def is_known(mask: npt.NDArray[np.bool_], label: str | None, known: Segmentation) -> bool:
    """Whether a found object is one of those that are followed.

    It is if more than half of it lies in known objects, or if more than half of a known object of the same
    label, or of none, lies in it.

    Args:
        mask: the found object, (H, W).
        label: its label, if it has one.
        known: where the others are on the same frame.
    """
    if np.count_nonzero(known.mask[mask]) > OVERLAP * mask.sum():
        return True
    return any(
        np.count_nonzero(mask & (known.mask == item.id)) > OVERLAP * item.area
        for item in known.objects
        if item.area and _may_be(label, item)
    )


def _may_be(label: str | None, item: ObjectInfo) -> bool:
    return label is None or item.label is None or label == item.label
