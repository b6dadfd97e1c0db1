"""An image and a short clip of each event."""

from __future__ import annotations

from typing import TYPE_CHECKING

from segue.entries import EventSinkEntry
from segue.events.receivers.base import ReceiverContext

if TYPE_CHECKING:
    from segue.events.images.snapshots import Snapshots


def open_images(context: ReceiverContext) -> Snapshots | None:
    """The images and clips of a part of a run; None where it has none."""
    from segue.events.images.snapshots import Snapshots  # late: it needs codecs

    options = context.options
    events = options.events
    if events.snapshots is None or context.store is None:
        return None
    images = Snapshots(
        events.snapshots,
        options.fps,
        replace=options.overwrite or options.resume,
        append=options.append,
        live=options.live,
        on_clip=context.count_clips,
        on_disk=context.report,
        pixel_aspect=options.pixel_aspect,
        stop_time=context.stop_time,
        packets=events.packets,
        keep=events.keep,
    )
    images.attach(context.store, context.part, options.source_size, context.images)
    return images


ENTRIES = (EventSinkEntry("images", open_images, part=True, rank=10),)
