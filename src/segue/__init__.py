"""segue: video segmentation that carries context through time."""

import os

# PyTorch's worker threads otherwise spin while they wait for one another; where a decoder, an encoder or
# another program wants a core too, that makes two threads many times slower than one.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from importlib import import_module
from typing import TYPE_CHECKING, Any

from segue.errors import SegueError

if TYPE_CHECKING:
    from segue import models
    from segue.moving import foreground
    from segue.recognising import instances
    from segue.sessions import ForegroundSession, InstanceSession, Session, SessionState, TrackSession
    from segue.sessions.auto import Auto
    from segue.sessions.detecting import detector
    from segue.tracking import save, track
    from segue.types import (
        BoxPrompt,
        Frame,
        MaskPrompt,
        ObjectInfo,
        PointPrompt,
        Prompt,
        RemovePrompt,
        Segmentation,
    )
    from segue.video import open_source
    from segue.weights import load

__version__ = "0.1.0"

_MODULES = {
    "moving": ("foreground",),
    "recognising": ("instances",),
    "sessions": ("ForegroundSession", "InstanceSession", "Session", "SessionState", "TrackSession"),
    "sessions.auto": ("Auto",),
    "sessions.detecting": ("detector",),
    "tracking": ("save", "track"),
    "types": (
        "BoxPrompt",
        "Frame",
        "MaskPrompt",
        "ObjectInfo",
        "PointPrompt",
        "Prompt",
        "RemovePrompt",
        "Segmentation",
    ),
    "video": ("open_source",),
    "weights": ("load",),
}
"""Where the names of this package are; they are imported when first used, since PyTorch takes seconds."""

__all__ = [
    "Auto",
    "BoxPrompt",
    "ForegroundSession",
    "Frame",
    "InstanceSession",
    "MaskPrompt",
    "ObjectInfo",
    "PointPrompt",
    "Prompt",
    "RemovePrompt",
    "Segmentation",
    "SegueError",
    "Session",
    "SessionState",
    "TrackSession",
    "detector",
    "foreground",
    "instances",
    "load",
    "models",
    "open_source",
    "save",
    "track",
]


def __getattr__(name: str) -> Any:
    if name == "models":
        return import_module("segue.models")
    for module, names in _MODULES.items():
        if name in names:
            value = getattr(import_module(f"segue.{module}"), name)
            globals()[name] = value
            return value
    raise AttributeError(f"module 'segue' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
