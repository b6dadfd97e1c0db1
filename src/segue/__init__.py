"""segue: video segmentation that carries context through time."""

import os

# PyTorch's worker threads otherwise spin while they wait for one another; where a decoder, an encoder or
# another program wants a core too, that makes two threads many times slower than one.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from segue import models
from segue.errors import SegueError
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
