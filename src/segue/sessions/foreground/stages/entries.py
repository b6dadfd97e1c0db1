"""Entries of segue's own stages; importing them imports neither the stages nor PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from segue.errors import ArgumentError
from segue.registry import STAGES, StageEntry
from segue.utils.lazy import LazyCallable

_PACKAGE = "segue.sessions.foreground.stages"

OF_CAMERA = ("follow", "average")
"""Stages for panning cameras and two passes."""


def _built(place: str, *names: str) -> Callable[[Any], Any]:
    """Build a stage with these attributes of the segmenter."""
    stage = LazyCallable(f"{_PACKAGE}.{place}")
    return lambda segmenter: stage(*(getattr(segmenter, name) for name in names))


ENTRIES = (
    StageEntry("agreement", _built("agreement:Agreement", "threshold"), of_scene=True),
    StageEntry("align", _built("align:Alignment")),
    StageEntry("exposure", _built("exposure:Exposure"), of_scene=True),
    StageEntry("blur", _built("blur:ReferenceBlur"), of_scene=True),
    StageEntry("panels", _built("panels:Panels"), of_scene=True),
    StageEntry("shadows", _built("shadows:Shadows", "threshold")),
    StageEntry("lights", _built("lights:Lights", "threshold")),
    StageEntry("rain", _built("rain:Precipitation", "threshold")),
    StageEntry("contrast", _built("contrast:Contrast"), of_scene=True),
)
"""Stages that a model asks for, see :class:`segue.models.base.ForegroundCapabilities`, outermost first; those
of other packages follow."""


def checked(without: Collection[str]) -> frozenset[str]:
    """Return names of stages to remove; raise an error for unknown ones."""
    if isinstance(without, str):
        raise ArgumentError(f"without: give a list of names, [{without!r}]")
    names = (*OF_CAMERA, *STAGES.names)
    if unknown := sorted(set(without) - set(names)):
        raise ArgumentError(f"without: no stage {', '.join(unknown)}; there are {', '.join(names)}")
    return frozenset(without)
