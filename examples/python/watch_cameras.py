"""Watch cameras from a program: iterate over events; a failed camera restarts.

This example uses one video as two cameras. Pass your cameras by name, as addresses, numbers of local cameras,
or options of ``segue foreground`` with a ``source``. For weeks, add ``"keep": ["30d", "50GB"]`` to the
defaults.

    python watch_cameras.py my.mp4
"""

import sys
from pathlib import Path
from typing import Any

from segue_watch import Watch

place = sys.argv[1]
cameras: dict[str, Any] = {
    "gate": {"source": place, "zone": ["middle=50%,0% 50%,100%"]},  # a line, with the direction of crossings
    "yard": place,
}
folder = Path("cameras")
with Watch(cameras, defaults={"fps": 5}, output=folder) as watch:
    for event in watch:  # until both end; any thread may call watch.close() to end them earlier
        print(event.source, event.event, "object", event.object, event.zone or "", f"{event.time:.1f} s")
    for name, state in watch.states().items():
        print(f"{name}: {state['frames']} frames, {state['events']} events")
        (folder / f"{name}.jpg").write_bytes(watch.image(name))  # the last frame with its objects
