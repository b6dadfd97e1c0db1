"""Sources of frames and sinks of results; nothing else in segue touches a codec.

What cannot be read is a :class:`~segue.errors.SourceError`, what cannot be written a
:class:`~segue.errors.SinkError`.
"""

from segue.video.events import EventSink
from segue.video.file_sinks import CocoSink, NpzSink
from segue.video.live import Reconnect
from segue.video.mask_folder import CdnetSink, PngSink, read_marker, replay
from segue.video.outputs import Outputs, open_sinks, output_paths, replayed
from segue.video.sinks import BackgroundSink, MultiSink, Sink
from segue.video.source import DamagePolicy, DamageWarning, Source, WhenLate, open_source
from segue.video.span import Span, parse_position
from segue.video.video_sink import OverlayVideoSink

__all__ = [
    "BackgroundSink",
    "CdnetSink",
    "CocoSink",
    "DamagePolicy",
    "DamageWarning",
    "EventSink",
    "MultiSink",
    "NpzSink",
    "Outputs",
    "OverlayVideoSink",
    "PngSink",
    "Reconnect",
    "Sink",
    "Source",
    "Span",
    "WhenLate",
    "open_sinks",
    "open_source",
    "output_paths",
    "parse_position",
    "read_marker",
    "replay",
    "replayed",
]
