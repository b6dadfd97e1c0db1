"""``segue train``: train a network on labelled images."""

from segue_train.commands import foreground, instances, objects
from segue_train.commands.making import app

__all__ = ["app", "foreground", "instances", "objects"]
