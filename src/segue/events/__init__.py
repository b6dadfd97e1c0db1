"""Events of objects: rules, tables, images, clips and messages."""

from typing import TYPE_CHECKING

from segue.utils.lazy import lazy_names

if TYPE_CHECKING:
    from segue.events.deliveries import Notifier as Notifier
    from segue.events.images.snapshots import Snapshots as Snapshots
    from segue.events.monitor import EventMonitor as EventMonitor
    from segue.events.receivers.base import SENT as SENT
    from segue.events.receivers.base import Delivery as Delivery
    from segue.events.receivers.base import EventReceiver as EventReceiver
    from segue.events.rules import EventRules as EventRules
    from segue.events.sink import EventSink as EventSink
    from segue.events.store.store import EventStore as EventStore
    from segue.events.table import Event as Event
    from segue.events.table import read_events as read_events
    from segue.events.zone_events import ZoneEvents as ZoneEvents
    from segue.events.zones import Zone as Zone

_MODULES = {
    "segue.events.deliveries": "Notifier",
    "segue.events.monitor": "EventMonitor",
    "segue.events.receivers.base": "Delivery EventReceiver SENT",
    "segue.events.rules": "EventRules",
    "segue.events.sink": "EventSink",
    "segue.events.images.snapshots": "Snapshots",
    "segue.events.store.store": "EventStore",
    "segue.events.table": "Event read_events",
    "segue.events.zone_events": "ZoneEvents",
    "segue.events.zones": "Zone",
}

__all__ = [*" ".join(_MODULES.values()).split()]

__getattr__, __dir__ = lazy_names(__name__, _MODULES)
