"""``segue`` whose clock a test may set, and which looks for old images every second.

The first argument is a file with the seconds by which the clock is wrong.
"""

from __future__ import annotations

import datetime as standard
import sys
import time
from pathlib import Path

from segue.cli.main import main
from segue.events.store import upkeep
from segue.video.sources import source

FILE = Path(sys.argv.pop(1))
right = time.time


def wrong_by() -> float:
    return float(FILE.read_text() or 0)


class Clock(standard.datetime):
    @classmethod
    def now(cls, tz: standard.tzinfo | None = None) -> Clock:
        return cls.fromtimestamp(time.time(), tz)


time.time = lambda: right() + wrong_by()
vars(source)["datetime"] = Clock
upkeep.KEEP_SECONDS = 1.0
main()
