"""``segue train``: train a network on labelled pictures."""

from segue.cli.train import foreground, instances, objects
from segue.cli.train.making import app

__all__ = ["app", "foreground", "instances", "objects"]
