"""The commands of segue: where each is, and the first line of its help; none is imported before it is run."""

from __future__ import annotations

import sys
from functools import partial
from pkgutil import resolve_name
from typing import Any

from segue.entries import CommandEntry
from segue.utils.allocation import permanent_imports

_COMMANDS = {
    "track": ("segue.cli.running:track", "Follow objects through a video of any length."),
    "foreground": ("segue.cli.running:foreground", "Find what moves or does not belong to the scene."),
    "watch": (
        "segue_watch.command:watch",
        "Watch several cameras for weeks in one process: events, images and messages of each.",
    ),
    "instances": (
        "segue.cli.running:instances",
        "Find, classify and follow every instance of a video.",
    ),
    "batch": (
        "segue.cli.batch:batch",
        "Process many videos on all cores, or on a Ray cluster; an interrupted batch can be resumed.",
    ),
    "run": ("segue.cli.run:run", "Run a model over a whole data set by its protocol, and score it."),
    "detect": (
        "segue.cli.detect:detect",
        "Find the objects of an image, or of one frame of a video, and draw them.",
    ),
    "annotate": (
        "segue_web.command:annotate",
        "Annotate in the browser: click an object, track it, correct a frame, export.",
    ),
    "view": (
        "segue_web.command:view",
        "Look at results in the browser, or compare two of them, or one with the truth.",
    ),
    "serve": (
        "segue_web.command:serve",
        "Answer annotation tools: an ML backend of Label Studio, a remote server of X-AnyLabeling.",
    ),
    "demo": (
        "segue.cli.running:demo",
        "Follow the objects of the bundled sample video; needs no network and no files of yours.",
    ),
    "compare": (
        "segue.cli.eval:compare",
        "Score two results under one protocol, and say how much they differ, sequence by sequence.",
    ),
    "eval": (
        "segue.cli.eval:app",
        "Score results of any program; the numbers equal those of the official tools.",
    ),
    "data": ("segue.cli.data:app", "Data sets: see what is there and what is missing."),
    "train": ("segue_train.commands:app", "Train a network; needs the extra `train`."),
    "synth": ("segue_isd.command:app", "Render labelled videos; needs the extra `synth`."),
    "reproduce": (
        "segue_papers.command:reproduce",
        "Repeat the tables of the papers: one command a table, with the published numbers beside.",
    ),
    "export": ("segue.cli.weights:export", "Write a network as graphs that run without PyTorch."),
    "weights": ("segue.cli.weights:app", "Weight files: list, download, convert and verify."),
    "doctor": (
        "segue.cli.doctor:doctor",
        "Show what a bug report needs: versions, devices, codecs, extras, layers, and a self-test.",
    ),
}
"""Where each command is, and the first line of its help."""


def _load(place: str) -> Any:
    """Import a command."""
    if place.partition(":")[0] in sys.modules:
        return resolve_name(place)
    with permanent_imports():
        return resolve_name(place)


ENTRIES = tuple(CommandEntry(name, text, partial(_load, place)) for name, (place, text) in _COMMANDS.items())
"""The commands of segue, for the registry."""
