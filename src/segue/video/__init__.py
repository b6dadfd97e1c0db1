"""Sources of frames: ``sources`` and, as the only reader that uses a codec, ``decoding``.

Read errors are a :class:`~segue.errors.SourceError`.
"""

from typing import TYPE_CHECKING

from segue.utils.lazy import lazy_names

if TYPE_CHECKING:
    from segue.types import DamagePolicy as DamagePolicy
    from segue.types import WhenLate as WhenLate
    from segue.video.sources.live import Reconnect as Reconnect
    from segue.video.sources.opening import open_source as open_source
    from segue.video.sources.source import DamageWarning as DamageWarning
    from segue.video.sources.source import Source as Source
    from segue.video.sources.span import Span as Span
    from segue.video.sources.span import parse_position as parse_position

_MODULES = {
    "segue.events.sink": "EventSink",
    "segue.formats.base": "Sink",
    "segue.formats.cdnet": "CdnetSink",
    "segue.formats.coco": "CocoSink",
    "segue.formats.npz": "NpzSink",
    "segue.formats.png": "PngSink read_marker replay",
    "segue.sinks.base": "BackgroundSink MultiSink",
    "segue.sinks.outputs": "OpenSinks open_sinks output_paths replayed",
    "segue.formats.overlay": "OverlayVideoSink",
    "segue.video.sources.live": "Reconnect",
    "segue.video.sources.opening": "open_source",
    "segue.video.sources.source": "DamagePolicy DamageWarning Source WhenLate",
    "segue.video.sources.span": "Span parse_position",
}
"""Sinks are in ``segue.sinks`` and ``segue.events``; their names of before still work here."""

__all__ = [*" ".join(_MODULES.values()).split()]

__getattr__, __dir__ = lazy_names(__name__, _MODULES)
