"""Write your own loop over a camera or a file, and add objects by text and by a click while frames arrive.

python live_loop.py my.mp4 330,120
"""

import sys

import cv2

import segue

path, (x, y) = sys.argv[1], map(float, sys.argv[2].split(","))
camera = cv2.VideoCapture(int(path) if path.isdecimal() else path)
session = segue.TrackSession("stcn-lite")
number = 0

while True:
    there, image = camera.read()
    if not there:
        break
    if number == 2:  # a person has seen the previous frame and clicks
        session.add(points=[(x, y)], id=7)
    result = session.step(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), text="person" if number == 0 else None)
    drawn = result.plot(cv2.cvtColor(image, cv2.COLOR_BGR2RGB))
    print(number, drawn.shape, [(item.id, item.label, item.box) for item in result.objects])
    number += 1
