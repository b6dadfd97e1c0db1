"""The face of everything that carries context through time."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from segue.errors import CheckpointError
from segue.types import Frame, IndexMask, ObjectInfo, Prompt, Segmentation
from segue.video.partial import PartialFile, writing

FORMAT = "segue-session-1"


@dataclass(frozen=True, slots=True)
class SessionState:
    """All that a session knows, as named tensors and JSON values."""

    tensors: dict[str, Tensor]
    values: dict[str, Any]

    @classmethod
    def of(cls, arrays: Mapping[str, npt.NDArray[Any]], values: dict[str, Any]) -> SessionState:
        """A state whose tensors are copies of numpy arrays."""
        return cls({name: torch.from_numpy(np.array(array)) for name, array in arrays.items()}, values)

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """The tensors as numpy arrays of their own."""
        return {name: np.array(tensor.numpy()) for name, tensor in self.tensors.items()}

    @classmethod
    def joined(cls, parts: Mapping[str, SessionState], values: dict[str, Any]) -> SessionState:
        """One state of the states of parts; :meth:`part` gives them back."""
        tensors = {
            f"{name}.{key}": tensor for name, part in parts.items() for key, tensor in part.tensors.items()
        }
        return cls(tensors, {**values, "parts": {name: part.values for name, part in parts.items()}})

    def part(self, name: str) -> SessionState:
        """The state of a part that went into :meth:`joined`."""
        start = f"{name}."
        tensors = {
            key.removeprefix(start): tensor for key, tensor in self.tensors.items() if key.startswith(start)
        }
        return SessionState(tensors, self.values["parts"][name])

    def require(self, origin: Mapping[str, Any]) -> None:
        """See that it was saved with the same model and settings.

        Raises:
            CheckpointError: one of the values of ``origin`` is another.
        """
        for name, value in origin.items():
            if self.values.get(name) != value:
                saved = self.values.get(name)
                raise CheckpointError(f"the session was saved with {name} {saved}, not {value}")

    def save(self, path: str | Path) -> None:
        """Write a safetensors file; it appears under its name only when complete.

        Raises:
            SinkError: it cannot be written.
        """
        file = PartialFile(Path(path))
        metadata = {"format": FORMAT, "values": json.dumps(self.values)}
        try:
            with writing(file.final):
                file.path.write_bytes(safetensors.torch.save(self.tensors, metadata))
            file.commit()
        except BaseException:
            file.discard()
            raise

    @classmethod
    def load(cls, path: str | Path) -> SessionState:
        """Read what :meth:`save` wrote.

        Raises:
            CheckpointError: the file is missing, damaged or not a session.
        """
        try:
            with safe_open(path, framework="pt") as file:
                metadata = file.metadata() or {}
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (OSError, SafetensorError) as error:
            raise CheckpointError(f"{path}: cannot read the saved session ({error})") from None
        if metadata.get("format") != FORMAT:
            raise CheckpointError(f"{path}: not a saved session of this version of segue")
        return cls(tensors, json.loads(metadata["values"]))


def saved_result(result: Segmentation) -> tuple[npt.NDArray[np.int32], dict[str, Any]]:
    """A result that waits to be given, for a state: its mask, and all else as JSON values."""
    values = {
        "index": result.index,
        "time": result.time,
        "wide": result.mask.dtype == np.uint16,
        "objects": [asdict(item) for item in result.objects],
    }
    return result.mask.astype(np.int32), values


def restored_result(mask: npt.NDArray[np.int32], values: Mapping[str, Any]) -> Segmentation:
    """What :func:`saved_result` was given; its probabilities are those of the mask."""
    dtype = np.uint16 if values["wide"] else np.uint8
    objects = (
        ObjectInfo(**{**item, "box": None if item["box"] is None else tuple(item["box"])})
        for item in values["objects"]
    )
    return Segmentation(values["index"], values["time"], mask.astype(dtype), tuple(objects))


class Session(Protocol):
    """Frames in, segmentations out, in order; holds all that time carries, in bounded memory."""

    lag: int
    """Number of frames by which results trail the frames; 0 means that ``step`` answers at once."""

    def step(self, frame: Frame, prompts: IndexMask | Sequence[Prompt] | None = None) -> Segmentation | None:
        """Take the next frame, and give the result that is due, if any."""
        ...

    def finish(self) -> Iterator[Segmentation]:
        """Give the results that are still due after the last frame."""
        ...

    def reset(self) -> None:
        """Forget everything but the settings."""
        ...

    def state(self) -> SessionState:
        """All that :meth:`restore` needs to go on identically."""
        ...

    def restore(self, state: SessionState) -> None:
        """Go on from where :meth:`state` was called."""
        ...


def results(session: Session, frames: Iterable[Frame]) -> Iterator[Segmentation]:
    """All results of frames, each as soon as it is there."""
    for frame in frames:
        result = session.step(frame)
        if result is not None:
            yield result
    yield from session.finish()
