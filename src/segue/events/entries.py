"""Registry entry of the format ``events``; the sink is imported when it is opened."""

from __future__ import annotations

from pathlib import Path

from segue.entries.formats import SinkEntry, SinkOptions
from segue.errors import SinkError
from segue.formats.base import Sink


def _open_events(path: Path, options: SinkOptions) -> Sink:
    from segue.events.receivers.counts import counts_path
    from segue.events.sink import with_publisher

    counts = counts_path(path)
    replaces = options.overwrite or options.resume or options.append
    if options.events.zones and counts.exists() and not replaces:
        raise SinkError(f"{counts}: exists already; give --overwrite, or another name of the table of events")
    return with_publisher(path, options)


ENTRIES = (SinkEntry("events", "events.csv", _open_events, appends=True),)
