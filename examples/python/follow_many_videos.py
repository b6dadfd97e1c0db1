"""Track clicked objects in several videos, one per thread; the network is loaded once.

python follow_many_videos.py my.mp4 my.mp4
"""

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import segue


def follow(place: tuple[int, str]) -> Path:
    """Write the masks of a video."""
    number, path = place
    results = segue.track(path, points=[(330, 120)])
    return results.save(f"out/{number}", formats=["png"], overwrite=True)["png"]


with ThreadPoolExecutor(2) as pool:
    for folder in pool.map(follow, enumerate(sys.argv[1:])):
        print(folder, len(list(folder.iterdir())))
