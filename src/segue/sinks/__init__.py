"""Write results: masks, videos, run lengths and cut-outs.

A failure to write is a :class:`~segue.errors.SinkError`.
"""

from typing import TYPE_CHECKING

from segue.utils.lazy import lazy_names

if TYPE_CHECKING:
    from segue.formats.base import Sink as Sink
    from segue.formats.cdnet import CdnetSink as CdnetSink
    from segue.formats.coco import CocoSink as CocoSink
    from segue.formats.npz import NpzSink as NpzSink
    from segue.formats.overlay import OverlayVideoSink as OverlayVideoSink
    from segue.formats.png import PngSink as PngSink
    from segue.formats.png import read_marker as read_marker
    from segue.formats.png import replay as replay
    from segue.sinks.base import BackgroundSink as BackgroundSink
    from segue.sinks.base import MultiSink as MultiSink
    from segue.sinks.outputs import OpenSinks as OpenSinks
    from segue.sinks.outputs import open_sinks as open_sinks
    from segue.sinks.outputs import output_paths as output_paths
    from segue.sinks.outputs import replayed as replayed

_MODULES = {
    "segue.formats.base": "Sink",
    "segue.formats.cdnet": "CdnetSink",
    "segue.formats.coco": "CocoSink",
    "segue.formats.npz": "NpzSink",
    "segue.formats.png": "PngSink read_marker replay",
    "segue.sinks.base": "BackgroundSink MultiSink",
    "segue.sinks.outputs": "OpenSinks open_sinks output_paths replayed",
    "segue.formats.overlay": "OverlayVideoSink",
}

__all__ = [*" ".join(_MODULES.values()).split()]

__getattr__, __dir__ = lazy_names(__name__, _MODULES)
