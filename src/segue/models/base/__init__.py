"""Interfaces between networks and sessions, a module per task."""

from segue.models.base.foreground import (
    NETWORK_STAGES,
    PLAIN_STAGES,
    ExplainedFlow,
    ExplainedNetwork,
    Features,
    ForegroundCapabilities,
    ForegroundNetwork,
    Shape,
    foreground_capabilities,
)
from segue.models.base.instances import InstanceNetwork
from segue.models.base.memory import MemoryNetwork, QueryFeatures
from segue.models.base.sharing import one_image, shared_image
from segue.models.base.tracking import (
    FramePrompts,
    Highest,
    MakeVideoTracker,
    PredictedObjects,
    Schedule,
    Setup,
    TrackCapabilities,
    Tracker,
    TrackNetwork,
    TrackOutput,
    VideoTracker,
    track_capabilities,
)

__all__ = [
    "NETWORK_STAGES",
    "PLAIN_STAGES",
    "ExplainedFlow",
    "ExplainedNetwork",
    "Features",
    "ForegroundCapabilities",
    "ForegroundNetwork",
    "FramePrompts",
    "Highest",
    "InstanceNetwork",
    "MakeVideoTracker",
    "MemoryNetwork",
    "PredictedObjects",
    "QueryFeatures",
    "Schedule",
    "Setup",
    "Shape",
    "TrackCapabilities",
    "TrackNetwork",
    "TrackOutput",
    "Tracker",
    "VideoTracker",
    "foreground_capabilities",
    "one_image",
    "shared_image",
    "track_capabilities",
]
