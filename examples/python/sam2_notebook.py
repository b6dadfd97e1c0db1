"""Repeat SAM 2's video notebook: clicks, masks in both directions, a correction, new masks, drawings.

python sam2_notebook.py my.mp4 330,120
"""

import sys

import segue

path, (x, y) = sys.argv[1], map(float, sys.argv[2].split(","))
video = segue.Video(path)
middle = len(video) // 2
video.add(middle, points=[(x, y)], labels=[1], id=1)
for result in video.propagate():
    print(result.index, result.ids)
video.add(0, points=[(x - 40, y + 20)], labels=[0], id=1)
for result in video.propagate():
    print(result.index, result.ids)
video.show().save("masks.html")
