"""Entries of stages, the rules of a foreground session."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class StageEntry:
    """A rule of a foreground session around its network.

    Attributes:
        name: the name that users give to ``--stages`` and ``--without``, and that of the stage.
        build: makes it for the segmenter of a session, which has a ``threshold``; gives a
            ``segue.sessions.foreground.stages.base.Stage``.
        of_scene: whether it has no effect on a model that does not look at the empty scene.
    """

    name: str
    build: Callable[[Any], Any]
    of_scene: bool = False
