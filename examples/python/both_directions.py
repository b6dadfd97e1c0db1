"""Prompts on any frame of a video, masks in both directions, and a correction, as in SAM 2's notebook.

python both_directions.py my.mp4 300,80,360,160
"""

import sys

import segue

path, box = sys.argv[1], sys.argv[2].split(",")
x0, y0, x1, y1 = map(float, box)
video = segue.Video(path)
middle = len(video) // 2

first = video.add(middle, box=(x0, y0, x1, y1))
for result in video.propagate():
    print(result.index, [(item.id, item.box, round(item.score, 2)) for item in result.objects])

worst = min(video, key=lambda result: min(item.score for item in result.objects))
left, top, right, bottom = worst.objects[0].box or (x0, y0, x1, y1)
video.add(worst.index, box=(left, top, right, bottom))  # a person would click here

for result in video.propagate():
    print(result.index, [(item.id, item.box, round(item.score, 2)) for item in result.objects])
print(*video.save("out", formats=["png", "overlay"], overwrite=True).values())
