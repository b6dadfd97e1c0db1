"""Watch several cameras of this machine on one core: frames a second, processor time of a frame, and memory.

Example::

    python -m benchmarks.services.cameras --images CDNET/baseline/highway/input \\
        --images CDNET/baseline/office/input \\
        --cameras 8 --seconds 60 --fast

    git worktree add /tmp/before 1a6fe92c
    python -m benchmarks.services.cameras --images CDNET/baseline/highway/input \\
        --cameras 4 --other /tmp/before

Each camera shows a folder of images again and again as MJPEG, forwards and backwards, at 5 frames a second;
they take the folders in turn. With ``--h264 25`` they send H.264 in MPEG-TS at 25 frames a second, of which 5
are taken; give so many images (``--number``) that they last. ``segue watch`` gets one core, and the cameras
another one where there is one. The first 20 seconds are not measured: all networks and backgrounds are made
there. With ``--other`` the ``segue watch`` of another checkout, in the first row, runs at the same time on
the same core, each with all cameras: compare the processor time of a frame.
"""

from __future__ import annotations

import argparse
import io
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from urllib.request import urlopen

import av
import cv2
import numpy as np
from PIL import Image

from benchmarks.lib.machine import describe
from segue.video import open_source

WARM_UP = 20.0
"""Seconds that are not measured."""

PORTS = 18473, 18474
"""Ports of the pages of the cameras, here and of another checkout."""


def jpegs_of(folder: Path, size: tuple[int, int], number: int) -> list[bytes]:
    """The first images of a folder at a width and height as JPEG, forwards and backwards."""
    with open_source(folder, end=number) as source:
        images = [cv2.cvtColor(cv2.resize(frame.image, size), cv2.COLOR_RGB2BGR) for frame in source]
    coded = [cv2.imencode(".jpg", image, (cv2.IMWRITE_JPEG_QUALITY, 90))[1].tobytes() for image in images]
    return [*coded, *coded[-2:0:-1]]


def packets_of(film: list[bytes], rate: int) -> list[bytes]:
    """A film as H.264 in MPEG-TS at so many frames a second, a part for each frame."""
    parts, file = list[bytes](), io.BytesIO()
    with av.open(file, "w", format="mpegts") as container:
        stream = container.add_stream("libx264", rate=rate)
        images = [np.asarray(Image.open(io.BytesIO(each)).convert("RGB")) for each in film]
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt, stream.gop_size = "yuv420p", 2 * rate
        stream.options = {"preset": "veryfast", "tune": "zerolatency", "crf": "23"}
        for image in images:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
            parts.append(file.getvalue())
            file.seek(0)
            file.truncate()
        container.mux(stream.encode())
    return parts


def serve(
    films: Sequence[list[bytes]],
    fps: float,
    ports: multiprocessing.SimpleQueue[int],
    core: int,
    is_h264: bool,
) -> None:
    """Show films as MJPEG, or as they are in MPEG-TS: that of /N is film N."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {core})

    class Camera(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            film = films[int(self.path[1:]) % len(films)]
            self.send_response(200)
            kind = "video/mp2t" if is_h264 else "multipart/x-mixed-replace; boundary=b"
            self.send_header("Content-Type", kind)
            self.end_headers()
            begun = time.monotonic()
            try:
                for index in count():
                    jpeg = film[index % len(film)]
                    if is_h264:
                        self.wfile.write(jpeg)
                        time.sleep(max(0.0, begun + (index + 1) / fps - time.monotonic()))
                        continue
                    head = b"--b\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(jpeg)
                    self.wfile.write(head + jpeg + b"\r\n")
                    time.sleep(max(0.0, begun + (index + 1) / fps - time.monotonic()))
            except OSError:
                pass

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Camera)
    ports.put(server.server_port)
    server.serve_forever()


def used(pid: int) -> tuple[float, float]:
    """Processor time in seconds, and memory in MB, of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    ticks = int(fields[11]) + int(fields[12])
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    kilobytes = next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
    return ticks / os.sysconf("SC_CLK_TCK"), kilobytes / 1024


def frames_of(port: int) -> tuple[int, int]:
    """Frames that all cameras together have looked at, and that they have dropped."""
    with urlopen(f"http://127.0.0.1:{port}/states", timeout=10) as answer:  # also while one is not there
        states = json.load(answer).values()
    return sum(state["frames"] for state in states), sum(state["dropped"] for state in states)


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    add = parser.add_argument
    add("--images", type=Path, action="append", required=True, help="folder; may be given several times")
    add("--number", type=int, default=200, help="images of each folder")
    add("--size", default="320x240", help="of the cameras")
    add("--cameras", type=int, default=8)
    add("--fps", type=float, default=5.0)
    add("--seconds", type=float, default=60.0)
    add("--fast", action="store_true", help="8-bit integers")
    add("--h264", type=int, metavar="RATE", help="send H.264 at so many frames a second")
    add("--detector", help="none is without the stage agreement")
    add("--clips", default="packets", choices=("packets", "overlay"))
    add("--other", type=Path, help="another checkout to compare with")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print."""
    options = parse(arguments)
    width, height = map(int, options.size.split("x"))
    films = [jpegs_of(folder, (width, height), options.number) for folder in options.images]
    cores = sorted(os.sched_getaffinity(0))
    ports: multiprocessing.SimpleQueue[int] = multiprocessing.SimpleQueue()
    if options.h264:
        films = [packets_of(film, options.h264) for film in films]
    given = films, options.h264 or options.fps, ports, cores[-1], bool(options.h264)
    server = multiprocessing.Process(target=serve, args=given, daemon=True)
    server.start()
    port = ports.get()
    here = Path(__file__).resolve().parents[2]
    roots = [here] if options.other is None else [options.other.resolve(), here]
    ports_of_pages = PORTS[: len(roots)]
    with tempfile.TemporaryDirectory() as folder:
        lines = ["[defaults]", f"fast = {str(options.fast).lower()}", 'device = "cpu"']
        lines += [f"fps = {options.fps}", f'clips = "{options.clips}"']
        if options.detector is not None:
            lines.append(f'detector = "{options.detector}"')
        for number in range(options.cameras):
            lines += [f"[cameras.camera{number}]", f'source = "http://127.0.0.1:{port}/{number}"']
        processes = list[subprocess.Popen[bytes]]()
        try:
            for root, page in zip(roots, ports_of_pages, strict=True):
                file = Path(folder, str(page), "cameras.toml")
                file.parent.mkdir()
                file.write_text("\n".join(lines))
                processes.append(watch(root, file, page, cores[0]))
            time.sleep(WARM_UP)
            begun, before = time.monotonic(), state_of(processes, ports_of_pages)
            time.sleep(options.seconds)
            seconds, after = time.monotonic() - begun, state_of(processes, ports_of_pages)
        finally:
            for process in processes:
                process.terminate()
            for process in processes:
                process.wait()
            server.terminate()
    print(f"Measured on {describe(1)}.\n")
    print("| cameras | frames a second | of | ms of processor time a frame | dropped | MB |")
    print("| --- | --- | --- | --- | --- | --- |")
    for (used_before, _, done_before, lost_before), (used_now, memory, done, lost) in zip(
        before, after, strict=True
    ):
        frames, cost = done - done_before, 1000 * (used_now - used_before) / max(1, done - done_before)
        offered = options.cameras * options.fps
        row = f"| {options.cameras} | {frames / seconds:.1f} | {offered:.0f} | {cost:.1f} "
        print(f"{row}| {lost - lost_before} | {memory:.0f} |")
    return 0


def watch(root: Path, file: Path, port: int, core: int) -> subprocess.Popen[bytes]:
    """Start the ``segue watch`` of a checkout on one core."""
    command = [sys.executable, "-m", "segue", "watch", str(file), "-o", str(file.parent), "--port", str(port)]
    return subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        env=os.environ | {"PYTHONPATH": str(root / "src")},
        preexec_fn=lambda: os.sched_setaffinity(0, {core}),
    )


def state_of(
    processes: Sequence[subprocess.Popen[bytes]], ports: Sequence[int]
) -> list[tuple[float, float, int, int]]:
    """Processor time in seconds, memory in MB, and frames watched and dropped, of each process."""
    return [(*used(each.pid), *frames_of(port)) for each, port in zip(processes, ports, strict=True)]


if __name__ == "__main__":
    sys.exit(main())
