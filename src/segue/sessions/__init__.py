"""What carries context through time: memory bank, background, windows, and the sessions built on them."""

from segue.sessions.base import Session, SessionState
from segue.sessions.foreground import ForegroundSession
from segue.sessions.instances import InstanceSession
from segue.sessions.memory import MemoryBank
from segue.sessions.track import TrackSession

__all__ = ["ForegroundSession", "InstanceSession", "MemoryBank", "Session", "SessionState", "TrackSession"]
