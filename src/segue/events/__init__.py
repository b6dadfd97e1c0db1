"""Objects that come, go, enter zones and cross lines: rules, tables, images, clips and messages."""

from typing import TYPE_CHECKING

from segue.utils.lazy import lazy_names

if TYPE_CHECKING:
    from segue.events.images.snapshots import Snapshots as Snapshots
    from segue.events.messages.notify import Notifier as Notifier
    from segue.events.rules import EventRules as EventRules
    from segue.events.sink import EventSink as EventSink
    from segue.events.table import Event as Event
    from segue.events.table import read_events as read_events
    from segue.events.zone_events import ZoneEvents as ZoneEvents
    from segue.events.zones import Zone as Zone

_MODULES = {
    "segue.events.messages.notify": "Notifier",
    "segue.events.rules": "EventRules",
    "segue.events.sink": "EventSink",
    "segue.events.images.snapshots": "Snapshots",
    "segue.events.table": "Event read_events",
    "segue.events.zone_events": "ZoneEvents",
    "segue.events.zones": "Zone",
}

__all__ = [*" ".join(_MODULES.values()).split()]

__getattr__, __dir__ = lazy_names(__name__, _MODULES)
