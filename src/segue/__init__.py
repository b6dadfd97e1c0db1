"""segue: video segmentation that carries context through time."""

import os

# PyTorch's worker threads otherwise spin while they wait for one another; where a decoder, an encoder or
# another program wants a core too, that makes two threads many times slower than one.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from importlib import import_module
from typing import TYPE_CHECKING, Any

from segue.allocation import keep_freed_memory
from segue.errors import SegueError

if TYPE_CHECKING:
    from segue import models
    from segue.api.foreground import foreground
    from segue.api.instances import instances
    from segue.api.save import save
    from segue.api.track import track
    from segue.prompts import Prompter
    from segue.registry import Entry, register
    from segue.sessions import ForegroundSession, InstanceSession, Session, SessionState, TrackSession
    from segue.sessions.auto import Auto
    from segue.sessions.detecting import detector
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

keep_freed_memory()

_MODULES = {
    "api.foreground": "foreground",
    "api.instances": "instances",
    "api.save": "save",
    "api.track": "track",
    "prompts": "Prompter",
    "registry": "Entry register",
    "sessions": "ForegroundSession InstanceSession Session SessionState TrackSession",
    "sessions.auto": "Auto",
    "sessions.detecting": "detector",
    "types": "BoxPrompt Frame MaskPrompt ObjectInfo PointPrompt Prompt RemovePrompt Segmentation",
    "video": "open_source",
    "weights": "load",
}
"""Where the names of this package are; they are imported when first used, since PyTorch takes seconds."""

__all__ = [
    "Auto",
    "BoxPrompt",
    "Entry",
    "ForegroundSession",
    "Frame",
    "InstanceSession",
    "MaskPrompt",
    "ObjectInfo",
    "PointPrompt",
    "Prompt",
    "Prompter",
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
    "register",
    "save",
    "track",
]


def __getattr__(name: str) -> Any:
    if name == "models":
        return import_module("segue.models")
    for module, names in _MODULES.items():
        if name in names.split():
            value = getattr(import_module(f"segue.{module}"), name)
            globals()[name] = value
            return value
    raise AttributeError(f"module 'segue' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
