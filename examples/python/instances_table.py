"""Print a table with boxes, classes, scores and ids of all objects in a video.

python instances_table.py my.mp4
"""

import csv
import sys

import segue

with open("objects.csv", "w", newline="") as file:  # noqa: PTH123
    table = csv.writer(file)
    table.writerow(["frame", "id", "class", "score", "x0", "y0", "x1", "y1"])
    for result in segue.instances(sys.argv[1]):
        for item in result.objects:
            if item.box is not None:
                table.writerow([result.index, item.id, item.label, round(item.score, 3), *item.box])
print(open("objects.csv").readline())  # noqa: PTH123, SIM115
