"""What carries context through time: trackers, backgrounds and windows, a frame at a time."""

from segue.sessions.base import Session, SessionState
from segue.sessions.foreground import ForegroundSession
from segue.sessions.instances import InstanceSession
from segue.sessions.track import TrackSession

__all__ = ["ForegroundSession", "InstanceSession", "Session", "SessionState", "TrackSession"]
