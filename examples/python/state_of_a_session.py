"""Save a session and continue it in another process.

python state_of_a_session.py my.mp4 300,80,360,160
"""

import sys

import segue

path, (x0, y0, x1, y1) = sys.argv[1], map(float, sys.argv[2].split(","))
frames = iter(segue.open_source(path))
session = segue.TrackSession("stcn-lite")
session.step(next(frames), box=(x0, y0, x1, y1))
session.step(next(frames))
session.state().save("session.safetensors")

other = segue.TrackSession("stcn-lite")
other.restore(segue.SessionState.load("session.safetensors"))
for frame in frames:
    assert other.step(frame) == session.step(frame)
print(other.ids)
