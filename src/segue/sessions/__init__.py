"""What carries context through time: the memory bank and the sessions built on it."""

from segue.sessions.base import Session, SessionState
from segue.sessions.memory import MemoryBank
from segue.sessions.track import TrackSession

__all__ = ["MemoryBank", "Session", "SessionState", "TrackSession"]
