"""Count the objects that cross a line, in a file or a camera stream.

python count_crossings.py my.mp4 "middle=50%,0% 50%,100%"
"""

import sys
from collections import Counter

import segue
from segue.events import ZoneEvents

crossings: Counter[str] = Counter()
events = ZoneEvents([sys.argv[2]])
for result in segue.foreground(sys.argv[1], objects=True, passes=1):
    for event in events.update(result):
        print(event.event, event.object, event.zone, event.time)
        crossings[event.event] += 1
for event in events.finish():
    crossings[event.event] += 1
print(dict(crossings))
