"""Save results as images: one frame, a page with a slider, and a data set for ultralytics.

python show_results.py my.mp4 300,80,360,160
"""

import sys

from PIL import Image

import segue

path, (x0, y0, x1, y1) = sys.argv[1], map(float, sys.argv[2].split(","))
results = list(segue.track(path, box=(x0, y0, x1, y1)))
print(results[0])
Image.fromarray(results[0].plot()).save("first.png")
print(segue.api.Slides.of(results, most=50).save("results.html"))
print(
    *segue.save(results, "results.zip", formats=["png", "coco", "yolo"], source=path, overwrite=True).values()
)
