"""Sources of frames and sinks of results; nothing else in segue touches a codec.

Read errors are a :class:`~segue.errors.SourceError`, write errors a
:class:`~segue.errors.SinkError`.
"""

from typing import TYPE_CHECKING

from segue.lazy import lazy_names

if TYPE_CHECKING:
    from segue.types import DamagePolicy as DamagePolicy
    from segue.types import WhenLate as WhenLate
    from segue.video.events import EventSink as EventSink
    from segue.video.file_sinks import CocoSink as CocoSink
    from segue.video.file_sinks import NpzSink as NpzSink
    from segue.video.live import Reconnect as Reconnect
    from segue.video.mask_folder import CdnetSink as CdnetSink
    from segue.video.mask_folder import PngSink as PngSink
    from segue.video.mask_folder import read_marker as read_marker
    from segue.video.mask_folder import replay as replay
    from segue.video.outputs import OpenSinks as OpenSinks
    from segue.video.outputs import open_sinks as open_sinks
    from segue.video.outputs import output_paths as output_paths
    from segue.video.outputs import replayed as replayed
    from segue.video.sinks import BackgroundSink as BackgroundSink
    from segue.video.sinks import MultiSink as MultiSink
    from segue.video.sinks import Sink as Sink
    from segue.video.source import DamageWarning as DamageWarning
    from segue.video.source import Source as Source
    from segue.video.source import open_source as open_source
    from segue.video.span import Span as Span
    from segue.video.span import parse_position as parse_position
    from segue.video.video_sink import OverlayVideoSink as OverlayVideoSink

_MODULES = {
    "segue.video.events": "EventSink",
    "segue.video.file_sinks": "CocoSink NpzSink",
    "segue.video.live": "Reconnect",
    "segue.video.mask_folder": "CdnetSink PngSink read_marker replay",
    "segue.video.outputs": "OpenSinks open_sinks output_paths replayed",
    "segue.video.sinks": "BackgroundSink MultiSink Sink",
    "segue.video.source": "DamagePolicy DamageWarning Source WhenLate open_source",
    "segue.video.span": "Span parse_position",
    "segue.video.video_sink": "OverlayVideoSink",
}

__all__ = [*" ".join(_MODULES.values()).split()]

__getattr__, __dir__ = lazy_names(__name__, _MODULES)
