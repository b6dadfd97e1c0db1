"""Foreground segmentation: the session and its masks."""

from typing import TYPE_CHECKING

from segue.utils.lazy import lazy_names

if TYPE_CHECKING:
    from segue.sessions.foreground.session import ForegroundSession as ForegroundSession
    from segue.sessions.foreground.session import ForegroundWarning as ForegroundWarning

_MODULES = {"segue.sessions.foreground.session": "ForegroundSession ForegroundWarning"}

__getattr__, __dir__ = lazy_names(__name__, _MODULES)
