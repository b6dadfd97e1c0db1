"""Commands of segue with their modules and first help lines; nothing is imported yet."""

from __future__ import annotations

import sys
from functools import partial
from pkgutil import resolve_name
from typing import Any

from segue.entries.commands import CommandEntry
from segue.utils.allocation import permanent_imports

_COMMANDS = {
    "track": ("segue.cli.running:track", "Track objects through a video of any length."),
    "foreground": (
        "segue.cli.running:foreground",
        "Find what moves or does not belong to the background.",
    ),
    "watch": (
        "segue_watch.command:watch",
        "Watch several cameras for weeks in one process, with events, images and messages.",
    ),
    "instances": (
        "segue.cli.running:instances",
        "Find, classify and track every object in a video.",
    ),
    "batch": (
        "segue.cli.batch:batch",
        "Process many videos on all cores or on a Ray cluster; resumable.",
    ),
    "run": ("segue.cli.run:run", "Run a model on a whole data set with its protocol, and score it."),
    "detect": (
        "segue.cli.detect:detect",
        "Find and draw the objects in an image or video frame.",
    ),
    "annotate": (
        "segue_web.command:annotate",
        "Annotate in the browser: click an object, track it, correct a frame, export.",
    ),
    "view": (
        "segue_web.command:view",
        "View results in the browser, or compare them with other results or the ground truth.",
    ),
    "serve": (
        "segue_web.command:serve",
        "Serve annotation tools: as ML backend of Label Studio or remote server of X-AnyLabeling.",
    ),
    "demo": (
        "segue.cli.running:demo",
        "Track the objects in the bundled sample video, offline.",
    ),
    "compare": (
        "segue.cli.eval:compare",
        "Score two results with one protocol, and show their difference for every sequence.",
    ),
    "eval": (
        "segue.cli.eval:app",
        "Score results of any program; the numbers match the official tools.",
    ),
    "data": ("segue.cli.data:app", "Data sets and formats: list them, check folders, convert annotations."),
    "train": ("segue_train.commands:app", "Train a network; needs the extra `train`."),
    "synth": ("segue_isd.command:app", "Render labelled videos; needs the extra `synth`."),
    "reproduce": (
        "segue_papers.command:reproduce",
        "Reproduce the tables of the papers, next to the published numbers.",
    ),
    "export": ("segue.cli.weights:export", "Export a network as graphs that run without PyTorch."),
    "weights": ("segue.cli.weights:app", "Weight files: list, download, convert and verify."),
    "doctor": (
        "segue.cli.doctor:doctor",
        "Print information for a bug report: versions, devices, codecs, extras, layers, and a self-test.",
    ),
}
"""Module of each command, and the first line of its help."""


def _load(place: str) -> Any:
    """Import a command."""
    if place.partition(":")[0] in sys.modules:
        return resolve_name(place)
    with permanent_imports():
        return resolve_name(place)


ENTRIES = tuple(CommandEntry(name, text, partial(_load, place)) for name, (place, text) in _COMMANDS.items())
"""The commands of segue, for the registry."""
