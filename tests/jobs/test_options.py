"""Each option is defined once: in the model of its job."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import segue
from segue.cli.main import load_command
from segue.cli.running import given_in_file, parse_job
from segue.errors import ArgumentError, SegueError
from segue.jobs import ForegroundJob, InstancesJob, TrackJob, VideoJob, from_json, to_json
from segue.options import PANELS, by_arguments, flags_of, offered
from segue.prompt_inputs.arguments import PromptArguments

JOBS: dict[str, type[VideoJob]] = {"track": TrackJob, "foreground": ForegroundJob, "instances": InstancesJob}

OF_FILES = ("source", "outputs", "finding")  # open_source, save and detector have these arguments
IN_PYTHON_ALONE = {"prompts", "text", "required", *PromptArguments.__annotations__}
EVENTS = {
    "events",
    "zones",
    "ignore",
    "min_seconds",
    "min_height",
    "loiter",
    "home_assistant",
    "notify",
    "only",
    "name_events",
    "snapshots",
    "clips",
    "before",
    "after",
    "recording",
    "keep",
    "background",
}
OF_SOURCES = {"start", "end", "stride", "colour", "layout", "max_size"}  # as open_source has them
NOT_IN_PYTHON = {*EVENTS, "explain"}


@pytest.mark.parametrize("name", JOBS)
def test_the_arguments_of_a_function_are_the_options_of_its_job(name: str) -> None:
    function: Callable[..., Any] = getattr(segue, name)
    signature = inspect.signature(function).parameters
    arguments = set(signature) - IN_PYTHON_ALONE - OF_SOURCES - {"source", "progress", "keep_images"}
    fields = {place: item for place, item in offered(JOBS[name]) if place[0] not in OF_FILES}
    wanted = {"model" if place == ("model", "name") else place[-1] for place in fields}
    assert arguments == wanted - NOT_IN_PYTHON
    for place, item in fields.items():
        if place[-1] in arguments and place[-1] not in ("settings", "without", "stages"):
            assert signature[place[-1]].default == item.default, place


@pytest.mark.parametrize("name", JOBS)
def test_every_option_is_in_the_help_with_its_panel(name: str) -> None:
    command: Any = load_command(name)
    shown = {word: item for item in command.params for word in item.opts}
    for place, field in offered(JOBS[name]):
        flags = flags_of(place, field)
        if (name, flags[0]) == ("foreground", "stride"):
            continue
        item = shown["source" if place[-1] == "place" else f"--{flags[0]}"]
        assert item.help
        assert field.description
        assert place[-1] == "place" or item.rich_help_panel in PANELS
    panels = [item.rich_help_panel for item in command.params if getattr(item, "rich_help_panel", None)]
    assert list(dict.fromkeys(panels)) == list(PANELS)


@pytest.mark.parametrize("name", JOBS)
def test_a_command_line_without_options_is_the_job_of_the_defaults(name: str) -> None:
    words = ["my.mp4", *(["--box", "1,2,3,4"] if name == "track" else [])]
    words += ["--model", "msstsvis-lite"] if name == "instances" else []
    job = parse_job(name, words)
    assert isinstance(job, VideoJob)
    plain = JOBS[name](source=job.source, model=job.model)
    assert job.model_copy(update={"prompts": ()} if name == "track" else {}) == plain
    assert from_json(to_json(job)) == job


def test_formats_and_classes_are_separated_by_commas() -> None:
    job: Any = parse_job("foreground", ["my.mp4", "--format", "png,overlay", "--format", "coco"])
    assert job.outputs.formats == ("png", "overlay", "coco")
    job = parse_job("instances", ["my.mp4", "--model", "msstsvis-lite", "--classes", "person, dog"])
    assert job.classes == ("person", "dog")
    job = parse_job("track", ["my.mp4", "--auto", "--classes", "person,dog", "--auto-every", "5"])
    assert (job.finding.classes, job.finding.every) == (("person", "dog"), 5)


def test_a_table_of_events_asks_for_objects() -> None:
    job: Any = parse_job("foreground", ["my.mp4", "--events", "events.csv", "--zone", "door=1,2 3,4"])
    assert job.options.objects
    assert job.outputs.formats is None
    assert (job.events, job.zones) == (Path("events.csv"), ("door=1,2 3,4",))


@pytest.mark.parametrize("name", JOBS)
def test_every_option_of_a_command_is_one_of_a_file(name: str) -> None:
    command: Any = load_command(name)
    options = [item for item in command.params if item.name not in ("quiet", "live", "port", "browser")]
    assert len(options) > 20
    for item in options:
        value = True if getattr(item, "is_flag", False) else "1"
        for flag in (word.lstrip("-") for word in item.opts if len(word) > 2):
            assert [*given_in_file(name, {flag: value})] == [item.name], flag
            assert [*given_in_file(name, {flag.replace("-", "_"): value})] == [item.name], flag
        for flag in (word.lstrip("-") for word in item.secondary_opts):
            assert given_in_file(name, {flag: True}) == {item.name: False}
    with pytest.raises(SegueError, match="--colour"):
        given_in_file(name, {"colour": "red"})


def test_an_unknown_argument_has_no_place() -> None:
    with pytest.raises(KeyError):
        by_arguments(TrackJob, {"remember": 1})
    wrong = {"kind": "track", "source": {"place": "a"}, "model": {"name": "b"}, "options": {"mem_every": "x"}}
    with pytest.raises(ArgumentError):
        from_json(json.dumps(wrong))


def test_an_interrupt_while_words_are_read_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("segue.cli.running.checked", interrupted)
    with pytest.raises(KeyboardInterrupt):
        parse_job("foreground", ["street.mp4"])
