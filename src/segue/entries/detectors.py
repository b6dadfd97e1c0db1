"""Entries of detectors and prompters, which find and segment objects on one frame."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import os
    from collections.abc import Collection

    from torch import device

    from segue.types import FeatureName, Frame, Image, Refinement, Segmentation


class Detector(Protocol):
    """Finds objects in a frame."""

    names: Mapping[int, str]
    """Its labels by class number; empty for a detector without labels."""

    lookahead: int
    """Number of later frames that it needs for a frame."""

    def __call__(self, frame: Frame, *following: Frame) -> Segmentation:
        """Detect the objects of a frame, best first; ``lookahead``: the next frames, fewer at the end."""


@dataclass(frozen=True, slots=True)
class DetectorOptions:
    """Options of a user for a detector; None and empty are the detector's defaults.

    Attributes:
        weights: weight file.
        classes: labels to keep.
        score: minimum score, in 0..1.
        max_objects: maximum number of objects on a frame.
        features, refine, tiles: see :func:`segue.detector`.
        text: phrases to detect.
        device: device; None selects a GPU if there is one.
        fast: half precision or 8-bit integers if they are faster on the device; detectors may ignore it.
    """

    weights: str | os.PathLike[str] | None = None
    classes: Collection[str] | None = None
    score: float | None = None
    max_objects: int | None = None
    features: FeatureName | None = None
    refine: Refinement | None = None
    tiles: int | None = None
    device: str | int | device | None = None
    text: tuple[str, ...] | None = None
    fast: bool = False


@dataclass(frozen=True, slots=True)
class DetectorEntry:
    """A detector.

    Attributes:
        name: name for users.
        build: creates it.
        supported_options: its options of :class:`DetectorOptions`, in addition to ``max_objects`` and
            ``device``; other options are refused. A detector with ``classes`` but without ``text`` maps a
            text to its classes.
        network: the entry of its network in the registry of networks, if any.
        categories: class names by their numbers in result files; None uses the detector's numbers.
        rank: among detectors with available weights, the lowest rank is the default; segue's own start at 1.
            None: never.
    """

    name: str
    build: Callable[[DetectorOptions], Detector]
    supported_options: frozenset[str] = frozenset()
    network: str | None = None
    categories: Mapping[int, str] | None = None
    rank: int | None = None


@dataclass(frozen=True, slots=True)
class PrompterOptions:
    """Options of a user for a prompter.

    Attributes:
        weights: weight file, or several separated by commas; None uses the prompter's default.
        device: device; None selects a GPU if there is one.
        fast: half precision or 8-bit integers if they are faster on the device; prompters may ignore it.
    """

    weights: str | os.PathLike[str] | None = None
    device: str | int | device | None = None
    fast: bool = False


@dataclass(frozen=True, slots=True)
class PrompterEntry:
    """Converts boxes, clicks and earlier masks on one image to masks.

    Attributes:
        name: name for ``--prompter``.
        build: loads its network and returns a function that creates a ``segue.prompts.ImagePrompter`` for an
            image.
        network: the entry of its network in the registry of networks, if any; a weight file of that network
            instead of a name selects this prompter.
    """

    name: str
    build: Callable[[PrompterOptions], Callable[[Image], Any]]
    network: str | None = None
