"""Memory of a process; it imports nothing of segue, so that older versions can be measured as well."""

from __future__ import annotations

import sys
from pathlib import Path

STATUS = Path("/proc/self/status")


def resident_peak() -> int:
    """Largest resident memory of this process so far, in bytes."""
    if STATUS.is_file():  # on Linux, ru_maxrss also counts the parent that this process was forked from
        lines = STATUS.read_text(encoding="utf-8", errors="replace").splitlines()
        line = next(line for line in lines if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
