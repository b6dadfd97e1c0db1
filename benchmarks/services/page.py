"""What people who look at the page of cameras cost: processor time of a request, and memory.

Run it as ``python -m benchmarks.services.page``. Each person asks for the states and the images of all
cameras, again and again; the cameras have an image each, and watch nothing.
"""

from __future__ import annotations

import argparse
import http.client
import multiprocessing
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import torch

from benchmarks.lib.machine import describe
from segue.jobs.values import ForegroundJob, Model, VideoSource
from segue.types import Frame, Segmentation
from segue_watch.camera import Camera
from segue_watch.page import CameraPage
from segue_watch.threads import sharing_cores


def camera(name: str, height: int = 240, width: int = 320) -> Camera:
    """A camera with an image and an object on it."""
    job = ForegroundJob(source=VideoSource(place="0"), model=Model(name="median"))
    made = Camera(name, job, lambda *_: None, lambda _: None)
    rows, columns = np.indices((height, width))
    image = np.stack([rows, columns, rows + columns], axis=2).astype(np.uint8)
    mask = np.zeros((height, width), np.uint8)
    mask[50:90, 60:100] = 1
    made.frame(Frame(0, 0.0, image), Segmentation(0, 0.0, mask, ()), "")
    return made


def look(port: int, people: int, rounds: int, paths: list[str]) -> None:
    """Have people look, each in a thread."""

    def person() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        for path in paths * rounds:
            while not _is_answered(connection, path):
                connection.close()
                time.sleep(0.05)

    threads = [threading.Thread(target=person) for _ in range(people)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _is_answered(connection: http.client.HTTPConnection, path: str) -> bool:
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        answer.read()
    except (OSError, http.client.HTTPException):
        return False
    return answer.status == 200


def memory() -> float:
    """Resident memory of this process, in MB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6


def main() -> None:
    """Print all figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cameras", type=int, default=8)
    parser.add_argument("--people", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    print(describe(torch.get_num_threads()))
    names = [f"camera{number}" for number in range(options.cameras)]
    paths = ["/states", *(f"/image/{name}.jpg" for name in names)]
    with sharing_cores(options.cameras), CameraPage([camera(name) for name in names], 0) as page:
        arguments = urlsplit(page.address).port, options.people, options.rounds, paths
        people = multiprocessing.get_context("spawn").Process(target=look, args=arguments)
        before, begun = time.process_time(), time.monotonic()
        people.start()
        people.join()
        requests = options.people * options.rounds * len(paths)
        cost = 1000 * (time.process_time() - before) / requests
        print(
            f"{requests} requests in {time.monotonic() - begun:.1f} s, {cost:.2f} ms of processor time each"
        )
        print(f"memory {memory():.0f} MB")


if __name__ == "__main__":
    main()
