"""Sessions: state over time for trackers, background models and windows, one frame at a time."""

from typing import TYPE_CHECKING

from segue.utils.lazy import lazy_names

if TYPE_CHECKING:
    from segue.sessions.foreground.session import ForegroundSession as ForegroundSession
    from segue.sessions.instances import InstanceSession as InstanceSession
    from segue.sessions.review import Doubt as Doubt
    from segue.sessions.review import to_review as to_review
    from segue.sessions.session import Session as Session
    from segue.sessions.track import TrackSession as TrackSession
    from segue.state import SessionState as SessionState

_MODULES = {
    "segue.state": "SessionState",
    "segue.sessions.foreground.session": "ForegroundSession",
    "segue.sessions.instances": "InstanceSession",
    "segue.sessions.review": "Doubt to_review",
    "segue.sessions.session": "Session",
    "segue.sessions.track": "TrackSession",
}

__all__ = [
    "Doubt",
    "ForegroundSession",
    "InstanceSession",
    "Session",
    "SessionState",
    "TrackSession",
    "to_review",
]

__getattr__, __dir__ = lazy_names(__name__, _MODULES)
