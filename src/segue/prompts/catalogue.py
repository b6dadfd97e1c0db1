"""Registry entries of the detectors; each is imported when it is used."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from segue.entries.detectors import DetectorEntry
from segue.models.detection.classes import COCO_NAMES, COCO_ORDER
from segue.models.detection.released import RELEASED
from segue.utils.lazy import LazyCallable

DEFAULT = "motion"
"""Detector that needs only bundled weights."""

_CLASSED = frozenset({"weights", "classes", "score"})
_OPEN = frozenset({"weights", "score", "refine", "text"})
_DISCOVERY = frozenset({"weights", "features", "refine"})


def _built(how: str, *arguments: Any, **kwargs: Any) -> Any:
    return partial(LazyCallable(f"segue.sessions.detecting:{how}"), *arguments, **kwargs)


def _classed(
    name: str, factory: str, categories: Mapping[int, str] | None, rank: int, **options: Any
) -> DetectorEntry:
    build = _built("build_network", name, LazyCallable(f"segue.prompts.detectors:{factory}"), **options)
    return DetectorEntry(name, build, _CLASSED, name, categories, rank)


ENTRIES = (
    DetectorEntry(DEFAULT, _built("build_motion")),
    _classed("maskrcnn", "NetworkDetector", COCO_NAMES, 1, names=COCO_NAMES),
    _classed("maskrcnn-v1", "NetworkDetector", COCO_NAMES, 3, names=COCO_NAMES),
    _classed("pointrend", "NetworkDetector", COCO_ORDER, 2, names=COCO_ORDER),
    DetectorEntry(
        "nanodet", _built("build_nanodet"), _CLASSED | {"refine", "tiles"}, "nanodet", COCO_NAMES, 4
    ),
    *(
        DetectorEntry(model.name, _built("build_open_vocabulary", released=model), _OPEN)
        for model in RELEASED
    ),
    DetectorEntry("zero-shot", _built("build_open_vocabulary"), _OPEN),
    _classed("deeplab", "SemanticDetector", None, 5),
    DetectorEntry("lost", _built("build_discovery", "dino-s16"), _DISCOVERY, "dino-s16"),
    DetectorEntry("lost-b16", _built("build_discovery", "dino-b16"), _DISCOVERY, "dino-b16"),
)
"""Detectors, ranked by their published mask AP on COCO."""
