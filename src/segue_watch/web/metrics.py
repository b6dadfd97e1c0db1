"""States of cameras and of the process, for the page and for Prometheus."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from segue.events.store.retention import days_left
from segue_watch.camera import Camera


def states_of(cameras: Iterable[Camera]) -> dict[str, dict[str, Any]]:
    """States of cameras by name, with the days until the disk is full."""
    states = {camera.name: camera.state() for camera in cameras}
    left = days_left(use for camera in cameras if (use := camera.disk) is not None)
    return {name: state | {"disk_days_left": left} for name, state in states.items()}


def process_state() -> dict[str, float | None]:
    """CPU time and wall time in seconds, and memory in bytes, of this process."""
    memory = None
    with suppress(OSError, ValueError, IndexError):  # Linux alone
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        memory = pages * os.sysconf("SC_PAGE_SIZE")
    return {"processor": time.process_time(), "wall": time.monotonic(), "memory": memory}


_METRICS = (
    ("online", "online", "gauge", "Whether the camera gives frames."),
    ("frames", "frames_total", "counter", "Frames that were looked at."),
    ("delay", "delay_seconds", "gauge", "Age of the last frame when it was done."),
    ("dropped", "dropped_frames_total", "counter", "Frames left out because the machine was late."),
    ("damaged", "damaged_frames_total", "counter", "Frames that could not be read."),
    ("reconnects", "reconnects_total", "counter", "Times that the camera was lost and came back."),
    ("restarts", "restarts_total", "counter", "Times that the camera began again after an error."),
    ("events", "events_total", "counter", "Events."),
    ("undelivered", "undelivered_messages", "gauge", "Messages that have not arrived."),
    ("blind_seconds", "blind_seconds_total", "counter", "Seconds without a known background."),
    ("armed", "armed", "gauge", "Whether people get alerts."),
    ("disk_problem", "disk_problem", "gauge", "Whether the disk does not take events, images or messages."),
    ("disk_used", "disk_used_bytes", "gauge", "Bytes of images and clips of events."),
    ("disk_per_day", "disk_bytes_per_day", "gauge", "Bytes of images and clips that came in the last day."),
)


def metrics(states: Mapping[str, Mapping[str, Any]]) -> str:
    """Format the states of cameras for Prometheus."""
    lines = []
    for key, name, kind, text in _METRICS:
        lines += [f"# HELP segue_{name} {text}", f"# TYPE segue_{name} {kind}"]
        values = {camera: state[key] for camera, state in states.items()}
        numbers = {
            camera: int(bool(each)) if isinstance(each, str) else each + 0 for camera, each in values.items()
        }
        lines += [f'segue_{name}{{camera="{camera}"}} {number}' for camera, number in numbers.items()]
    return "\n".join(lines) + "\n"
