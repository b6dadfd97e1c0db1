"""Find objects with your own detector and track them; this detector finds orange regions.

python own_detector.py my.mp4
"""

import sys
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

import segue


def orange(image: npt.NDArray[np.uint8]) -> dict[str, Any]:
    """Masks, scores and labels of an RGB image, in the format of detectron2 and torchvision."""
    hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)
    found = (hsv[..., 0] < 15) & (hsv[..., 1] > 150) & (hsv[..., 2] > 120)
    count, parts = cv2.connectedComponents(found.astype(np.uint8))
    masks = [parts == k for k in range(1, count) if (parts == k).sum() > 200]
    return {"masks": np.array(masks), "scores": [1.0] * len(masks), "labels": ["orange"] * len(masks)}


for result in segue.track(sys.argv[1], segue.Auto(segue.detector(orange), every=3)):
    print(result.index, [(item.id, item.label, item.box) for item in result.objects])
