"""SAM 2.1 (arXiv 2408.00714): promptable segmentation of images and videos."""

from typing import TYPE_CHECKING

from segue.utils.lazy import lazy_names

if TYPE_CHECKING:
    from segue.models.sam2.network import SAM2 as SAM2
    from segue.models.sam2.objects import Settings as Settings
    from segue.models.sam2.sizes import SIZES as SIZES
    from segue.models.sam2.sizes import SizeName as SizeName
    from segue.models.sam2.tracker import SAM2Schedule as SAM2Schedule
    from segue.models.sam2.tracker import SAM2Tracker as SAM2Tracker
    from segue.models.sam2.video import VideoPredictor as VideoPredictor
    from segue.models.sam2.video import VideoResult as VideoResult

_MODULES = {
    "segue.models.sam2.video": "VideoPredictor VideoResult",
    "segue.models.sam2.network": "SAM2",
    "segue.models.sam2.objects": "Settings",
    "segue.models.sam2.sizes": "SIZES SizeName",
    "segue.models.sam2.tracker": "SAM2Schedule SAM2Tracker",
}

__all__ = [
    "SAM2",
    "SIZES",
    "SAM2Schedule",
    "SAM2Tracker",
    "Settings",
    "SizeName",
    "VideoPredictor",
    "VideoResult",
]

__getattr__, __dir__ = lazy_names(__name__, _MODULES)
