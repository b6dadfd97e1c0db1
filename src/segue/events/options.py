"""Options of events: fields of jobs, and the settings that the sink derives from them."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import BeforeValidator

from segue.entries.events import EventSettings
from segue.errors import SegueError, SinkError
from segue.events.rules import EventRules
from segue.events.store.retention import Retention
from segue.events.zones import Zone
from segue.options import FilePath, OptionModel, by_commas, option
from segue.video.sources.span import parse_duration

RULES = ("zones", "ignore", "min_seconds", "min_height", "loiter", "only")
"""Fields that may change while a camera is watched."""


LONGEST = 60.0
"""Maximum seconds of a clip before or after its event, whose frames and packets are in memory."""


def check_table_path(path: Path) -> None:
    """Raise SinkError unless a path may be a table of events."""
    if path.suffix.lower() not in (".csv", ".json"):
        raise SinkError(f"{path}: events go to a file ending in .csv or .json")


def _listed(value: object) -> object:
    """Convert a single text, as in records of version 0.1.0, to a list."""
    return (() if value is None else (value,)) if value is None or isinstance(value, str) else value


def _clip_seconds(text: str, option: str) -> float:
    """Parse a part of the length of a clip; SegueError if it is too long."""
    seconds = parse_duration(text, option)
    if seconds > LONGEST:
        raise SegueError(f"{option} {text}: a clip has at most {LONGEST:.0f} s there")
    return seconds


def _check_recording(address: str) -> None:
    """Raise SegueError unless an address is a link to a recording without a password."""
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username:
        raise SegueError(
            "--recording: give an address http://HOST/... or https://HOST/... without user and password"
        )
    if "{start}" not in address:
        raise SegueError("--recording: write {start}, and if you like {end}, where the times stand")
    if unknown := {*re.findall(r"\{.*?\}", address)} - {"{start}", "{end}"}:
        raise SegueError(f"--recording: there is no {min(unknown)}; write {{start}} and {{end}}")


class EventOptions(OptionModel):
    """Options of the format ``events``."""

    events: FilePath | None = option(None, "Objects and events")
    """Table of entering and leaving objects, .csv or .json; sets `--objects`."""

    zones: tuple[str, ...] = option((), "Objects and events", "zone")
    """Region or line to watch for events, in pixels (door=10,20 100,20 100,90), percent
    (door=5%,10% 50%,10% 50%,45%) or fractions from 0 to 1. Two points are a line. Repeatable."""

    ignore: tuple[str, ...] = option((), "Objects and events")
    """Region whose pixels cause no events, such as a tree or a television: tree=0%,0% 30%,0% 30%,40%, with
    corners as for `--zone`. Repeatable."""

    min_seconds: float = option(0.0, "Objects and events", ge=0)
    """Minimum duration of an object in seconds before it causes events."""

    min_height: tuple[str, ...] = option((), "Objects and events")
    """Minimum height of an object in pixels, such as 20. To let it depend on the image row, give it twice as
    ROW:PIXELS, such as 100:12 and 460:60."""

    loiter: tuple[str, ...] = option((), "Objects and events")
    """ZONE=30s: an event when an object has been in a zone for this time. Repeatable."""

    only: Annotated[tuple[str, ...], BeforeValidator(by_commas)] = option((), "Objects and events")
    """Classes of objects that cause events, such as person,car or unknown; needs `--name-events`. An object
    is reported as soon as a view shows such a class."""

    notify: Annotated[tuple[str, ...], BeforeValidator(_listed)] = option((), "Objects and events")
    """Address that receives each event as JSON: http:// and https:// by POST, mqtt:// and mqtts://HOST/TOPIC
    by MQTT. apprise+ADDRESS sends a text and the image by Apprise. Append a rule as in
    "mqtt://HOST/TOPIC only=person,car zone=door event=zone-enter when=22:00-06:00". Repeatable, also for
    several rules of one address."""

    home_assistant: bool = option(False, "Objects and events")
    """With `--notify mqtt://HOST/TOPIC`: create entities for the zones and the image of the last event in
    Home Assistant (MQTT discovery)."""

    name_events: str | None = option(None, "Objects and events")
    """Detector that classifies each object, such as nanodet, at most once per event."""

    snapshots: FilePath | None = option(None, "Objects and events")
    """Folder for an image and a short clip of each event.  [default: none; for a camera or live stream
    without `--format`, the name of the table without its extension]"""

    clips: Literal["packets", "overlay"] = option("packets", "Objects and events")
    """Clips of a camera: packets stores its H.264 packets without re-encoding, and the outlines next to them
    for the page of `segue watch`; overlay encodes the images with the masks drawn on them. Streams without
    H.264 are always encoded."""

    before: str = option("3s", "Objects and events")
    """Length of a clip before its event, such as 10s; at most a minute."""

    after: str = option("3s", "Objects and events")
    """Length of a clip after its event, such as 10s; at most a minute."""

    recording: str | None = option(None, "Objects and events")
    """Address of a recording of another program, for links on the page of `segue watch`:
    http://HOST/.../{start}/{end}, where both are Unix times in seconds."""

    keep: tuple[str, ...] = option((), "Objects and events")
    """Delete images and clips of a camera that are older than this (30d), or the oldest if all exceed this
    size (50GB). Give each kind at most once.  [default: keep all]"""

    def event_settings(self, formats: Collection[str]) -> EventSettings:
        """Zones with unique names, and rules; both need events among the outputs.

        Args:
            formats: further formats of the run.

        Returns:
            They alone; the names and places of a run are not known here.

        Raises:
            SegueError: options do not fit together, or a text is not understood.
        """
        zones = tuple(Zone.parse(text) for text in self.zones)
        if len({zone.name for zone in zones}) < len(zones):
            raise SegueError("two zones have one name; give each a name of its own")
        if self.home_assistant and not any(text.startswith(("mqtt://", "mqtts://")) for text in self.notify):
            raise SegueError("--home-assistant: its messages go by MQTT; give --notify mqtt://HOST/TOPIC")
        if self.only and self.name_events is None:
            raise SegueError("--only: classes of objects are known by a detector; add --name-events nanodet")
        rules = self.min_seconds or self.min_height or self.loiter or self.ignore or self.only
        keep = Retention.parse(self.keep)
        needs_events = zones or rules or self.notify or self.snapshots or self.name_events or keep
        if needs_events and self.events is None and "events" not in formats:
            raise SegueError("zones, messages, names and snapshots need events; add --events FILE")
        if self.events is not None:
            check_table_path(self.events)
        parsed = EventRules.parse(
            self.min_seconds, self.loiter, self.min_height, zones, self.ignore, self.only
        )
        if self.recording is not None:
            _check_recording(self.recording)
        before, after = _clip_seconds(self.before, "--before"), _clip_seconds(self.after, "--after")
        return EventSettings(zones, parsed, keep=keep, before=before, after=after)
