"""The format ``events``, for the registry; what writes it is imported when it is opened."""

from __future__ import annotations

from pathlib import Path

from segue.entries import SinkEntry, SinkOptions
from segue.errors import SinkError
from segue.events.counts import counts_path
from segue.formats.base import Sink


def _open_events(path: Path, options: SinkOptions) -> Sink:
    from segue.events.images.snapshots import Snapshots
    from segue.events.sink import EventSink

    events, counts = options.events, counts_path(path)
    if events.zones and counts.exists() and not (options.overwrite or options.resume or options.append):
        raise SinkError(f"{counts}: exists already; give --overwrite, or another name of the table of events")
    snapshots = None
    if events.snapshots is not None:
        replace = options.overwrite or options.resume
        snapshots = Snapshots(
            events.snapshots,
            options.fps,
            replace=replace,
            append=options.append,
            live=options.live,
            on_clip=events.on_clip,
            on_disk=events.on_disk,
            pixel_aspect=options.pixel_aspect,
            keep=events.keep,
            archive=events.archive,
            stop_time=events.stop_time,
            packets=events.packets,
        )
    return EventSink(
        path,
        size=options.source_size,
        zones=events.zones,
        rules=events.rules,
        live=options.live,
        append=options.append,
        earlier=events.earlier,
        notify=events.notify,
        snapshots=snapshots,
        on_event=events.on_event,
        on_disk=events.on_disk,
        name=events.name_object,
        memory=events.memory,
        stop_time=events.stop_time,
        on_resumed=events.on_resumed,
        source=options.source,
        at=options.at,
    )


ENTRIES = (SinkEntry("events", "events.csv", _open_events, appends=True),)
