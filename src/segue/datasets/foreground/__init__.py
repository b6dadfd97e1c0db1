"""Data sets with foreground labels."""

from segue.utils.lazy import lazy_names

_MODULES = {
    "segue.datasets.foreground.folder": "ForegroundFolder ForegroundSequence VideoLayout by_number number_of "
    "numbered_files open_plain read_video",
}

__getattr__, __dir__ = lazy_names(__name__, _MODULES)
