"""Write results: masks, videos, run lengths and cut-outs.

A failure to write is a :class:`~segue.errors.SinkError`.
"""

from typing import TYPE_CHECKING

from segue.utils.lazy import lazy_names

if TYPE_CHECKING:
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

_MODULES = {
    "segue.sinks.base": "BackgroundSink MultiSink Sink",
    "segue.sinks.files": "CocoSink NpzSink",
    "segue.sinks.masks": "CdnetSink PngSink read_marker replay",
    "segue.sinks.outputs": "OpenSinks open_sinks output_paths replayed",
    "segue.sinks.overlay": "OverlayVideoSink",
}

__all__ = [*" ".join(_MODULES.values()).split()]

__getattr__, __dir__ = lazy_names(__name__, _MODULES)
