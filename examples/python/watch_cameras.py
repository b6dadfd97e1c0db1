"""Watch cameras from a program: events come from a loop, and a camera that fails begins again.

Here a video stands for two cameras. Give yours by name: addresses, numbers of cameras of this machine, or
options of ``segue foreground`` with a ``source``. For weeks, add ``"keep": ["30d", "50GB"]`` to the defaults.

    python watch_cameras.py my.mp4
"""

import sys
from pathlib import Path
from typing import Any

from segue_watch import Watch

place = sys.argv[1]
cameras: dict[str, Any] = {
    "gate": {"source": place, "zone": ["middle=50%,0% 50%,100%"]},  # a line: who crosses it, and how
    "yard": place,
}
folder = Path("cameras")
with Watch(cameras, defaults={"fps": 5}, output=folder) as watch:
    for event in watch:  # until both have ended; watch.close() ends them earlier, from any thread
        print(event.source, event.event, "object", event.object, event.zone or "", f"{event.time:.1f} s")
    for name, state in watch.states().items():
        print(f"{name}: {state['frames']} frames, {state['events']} events")
        (folder / f"{name}.jpg").write_bytes(watch.image(name))  # its last frame with its objects
