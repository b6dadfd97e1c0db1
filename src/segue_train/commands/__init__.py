"""``segue train``: train a network on labelled images; other packages add recipes by entry points."""

import sys
import warnings
from importlib.metadata import entry_points

from segue_train.commands import foreground, instances, objects
from segue_train.commands.foreground import VideoData
from segue_train.commands.making import Data, app, training
from segue_train.commands.objects import Clips, Labelled

__all__ = ["Clips", "Data", "Labelled", "VideoData", "app", "foreground", "instances", "objects", "training"]

RECIPES = "segue.recipes"
"""Entry point group of functions with the decorator :func:`training`."""

for _point in entry_points(group=RECIPES):
    if _point.module in sys.modules:  # it is importing this package, and adds its recipe itself
        continue
    try:
        _point.load()
    except Exception as _error:  # whatever a foreign module runs into while it is imported
        warnings.warn(
            f"{_point.name} ({RECIPES}) cannot be imported: {type(_error).__name__}: {_error}", stacklevel=1
        )
