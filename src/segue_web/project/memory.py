"""State of a tracking on disk, so that an interrupted one continues identically."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from segue.errors import SegueError
from segue.sessions.videos.corrections import ConditioningFrame, Layer
from segue.state import SessionState, blaming_state
from segue.utils.system import rename


@dataclass(frozen=True, slots=True)
class TrackingMemory:
    """File with the layers of a tracking, all after the same frame.

    A state is written beside the file and takes its name once the results up to its frame are in the project.
    """

    folder: Path
    run: str  # identifies the tracking

    def save(self, layers: Sequence[Layer], index: int) -> None:
        """Write the state of layers after frame ``index``; :meth:`publish` makes it valid."""
        parts = {str(number): layer.state() for number, layer in enumerate(layers)}
        SessionState.joined(parts, {"run": self.run, "index": index}).save(self._next)

    def publish(self) -> None:
        """Replace the valid state by the last written one."""
        rename(self._next, self.file)

    def restore(self, layers: Sequence[Layer], saved: range) -> int | None:
        """Restore layers and return their last frame; None without a state.

        ``saved``: the frames whose results are in the project; a state after others does not count.
        """
        path = self.file
        if not path.exists():
            return None
        try:
            with blaming_state(path):
                state = SessionState.load(path)
                index = int(state.values["index"])
                if state.values["run"] != self.run or index not in saved:
                    return None
                for number, layer in enumerate(layers):
                    layer.restore(state.part(str(number)))
        except SegueError as error:
            path.unlink(missing_ok=True)
            raise SegueError(
                f"{error}; resuming starts the interrupted tracking from the beginning"
            ) from error
        return index

    @property
    def file(self) -> Path:
        """The valid state file."""
        return self.folder / f"tracking-{self.run}.safetensors"

    @property
    def _next(self) -> Path:
        return self.folder / f"next-{self.file.name}"


def prune_memories(folder: Path, runs: Collection[str]) -> None:
    """Remove all memories except those of these runs."""
    for path in folder.glob("*.safetensors"):
        match = re.fullmatch(r"(?:next-)?tracking(?:-([0-9a-f]{32}))?", path.stem)
        if match and match[1] not in runs:  # earlier versions had one for all trackings
            path.unlink(missing_ok=True)


def fingerprint(layers: Sequence[Mapping[int, ConditioningFrame]]) -> str:
    """SHA-256 of the conditioning frames of each layer."""
    digest = hashlib.sha256()
    for layer in layers:
        for index, frame in sorted(layer.items()):
            about = [index, sorted(frame.checked), sorted(frame.expected.items())]
            if frame.whole:
                about.append(sorted(frame.whole.items()))
            digest.update(json.dumps(about).encode())
            digest.update(frame.mask.tobytes())
        digest.update(b"layer")
    return digest.hexdigest()
