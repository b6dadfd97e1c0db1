"""Sources of frames and sinks of results; nothing else in segue touches a codec.

Read errors are a :class:`~segue.errors.SourceError`, write errors a
:class:`~segue.errors.SinkError`.
"""

from typing import TYPE_CHECKING

from segue.utils.lazy import lazy_names

if TYPE_CHECKING:
    from segue.events.sink import EventSink as EventSink
    from segue.sinks.base import BackgroundSink as BackgroundSink
    from segue.sinks.base import MultiSink as MultiSink
    from segue.sinks.base import Sink as Sink
    from segue.sinks.files import CocoSink as CocoSink
    from segue.sinks.files import NpzSink as NpzSink
    from segue.sinks.masks import CdnetSink as CdnetSink
    from segue.sinks.masks import PngSink as PngSink
    from segue.sinks.masks import read_marker as read_marker
    from segue.sinks.masks import replay as replay
    from segue.sinks.outputs import OpenSinks as OpenSinks
    from segue.sinks.outputs import open_sinks as open_sinks
    from segue.sinks.outputs import output_paths as output_paths
    from segue.sinks.outputs import replayed as replayed
    from segue.sinks.overlay import OverlayVideoSink as OverlayVideoSink
    from segue.types import DamagePolicy as DamagePolicy
    from segue.types import WhenLate as WhenLate
    from segue.video.sources.live import Reconnect as Reconnect
    from segue.video.sources.source import DamageWarning as DamageWarning
    from segue.video.sources.source import Source as Source
    from segue.video.sources.source import open_source as open_source
    from segue.video.sources.span import Span as Span
    from segue.video.sources.span import parse_position as parse_position

_MODULES = {
    "segue.events.sink": "EventSink",
    "segue.sinks.files": "CocoSink NpzSink",
    "segue.video.sources.live": "Reconnect",
    "segue.sinks.masks": "CdnetSink PngSink read_marker replay",
    "segue.sinks.outputs": "OpenSinks open_sinks output_paths replayed",
    "segue.sinks.base": "BackgroundSink MultiSink Sink",
    "segue.video.sources.source": "DamagePolicy DamageWarning Source WhenLate open_source",
    "segue.video.sources.span": "Span parse_position",
    "segue.sinks.overlay": "OverlayVideoSink",
}

__all__ = [*" ".join(_MODULES.values()).split()]

__getattr__, __dir__ = lazy_names(__name__, _MODULES)
