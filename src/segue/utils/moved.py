"""Modules of the reference that have moved: their names of before still work, with a warning."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

_MEDIAN = "segue.sessions.foreground.background"
_SEGMENTERS = "segue.sessions.foreground.segmenters"

NEW_NAMES = {
    "segue.allocation": "segue.utils.allocation",
    "segue.datasets.cdnet": "segue.datasets.foreground.cdnet",
    "segue.conversions": "",
    "segue.conversions.fiftyone": "segue.formats.fiftyone",
    "segue.datasets.isd": "segue.datasets.foreground.isd",
    "segue.labels": "",
    "segue.labels.labels": "segue.formats.labels",
    "segue.labels.reading": "segue.formats.reading",
    "segue.labels.schema": "segue.formats.schema",
    "segue.layers.running": "segue.inference.running",
    "segue.reproduce": "segue_papers",
    "segue.sessions.background": f"{_MEDIAN}.median",
    "segue.sessions.backgrounds": f"{_MEDIAN}.base",
    "segue.sessions.extra_inputs": f"{_SEGMENTERS}.extra_inputs",
    "segue.sessions.foreground_masks": "segue.sessions.foreground.masks",
    "segue.sessions.segmenters": f"{_SEGMENTERS}.base",
    "segue.sessions.stages": "segue.sessions.foreground.stages.base",
    "segue.sessions.subtractors": f"{_SEGMENTERS}.subtractors",
    "segue.sessions.video_scenes": f"{_MEDIAN}.video_scenes",
    "segue.video.readers": "segue.video.decoding.readers",
    "segue_train.footage": "segue_train.data.footage",
    "segue_train.foreground_material": "segue_train.data.foreground.material",
    "segue_train.foreground_pool": "segue_train.data.foreground.pool",
    "segue_train.stcn_data": "segue_train.data.stcn_data",
    "segue_train.ytvis_clips": "segue_train.data.ytvis_clips",
    "segue_web.live": "segue_web.server.live",
}
"""Where each module is now, by the name that version 0.1.0 documented; empty of a package of such modules."""


class MovedModules(MetaPathFinder):
    """Finds the modules of :data:`MOVED`; it is asked last, so that other imports take no longer."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The module of today under its earlier name."""
        if fullname not in NEW_NAMES:
            return None
        if not NEW_NAMES[fullname]:
            return ModuleSpec(fullname, _Empty(), is_package=True)
        return ModuleSpec(fullname, _Alias(NEW_NAMES[fullname]))


class _Alias(Loader):
    """Gives a module that is imported by another name."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._spec: ModuleSpec | None = None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        warnings.warn(f"{spec.name} is {self._name} now", DeprecationWarning, stacklevel=2)
        module = import_module(self._name)
        self._spec = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self._spec  # the import gave it that of the alias


class _Empty(Loader):
    """Gives a package without modules of its own."""

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return None

    def exec_module(self, module: ModuleType) -> None: ...


def find_moved_modules() -> None:
    """Let imports find modules by their names of before."""
    if not any(isinstance(finder, MovedModules) for finder in sys.meta_path):
        sys.meta_path.append(MovedModules())
