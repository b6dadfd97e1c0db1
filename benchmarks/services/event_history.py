"""How long the page of cameras looks for visits, events and counts in a year of events.

python -m benchmarks.services.event_history --events 400000 --days 366
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import datetime
from functools import partial
from pathlib import Path

from segue.events.store.records import RecordedEvent, insert_event
from segue.events.store.store import EventStore
from segue.events.table import Event, Kind
from segue_watch.web.history import Stores, choices_of, counts_of, events_of, visits_of
from segue_watch.web.query import Query

KINDS: tuple[Kind, ...] = ("enter", "zone-enter", "zone-leave", "leave")


def fill(store: EventStore, events: int, days: int) -> None:
    """Write visits of four events each, evenly over some days up to now."""
    store.begin_part("", "gate.csv")
    store.flush()
    begin, step = time.time() - 86400 * days, 86400 * days / events
    with store.changing() as base:
        for seq in range(1, events + 1):
            visit = seq - (seq - 1) % 4
            at = datetime.fromtimestamp(begin + seq * step).astimezone().isoformat(timespec="milliseconds")
            kind = KINDS[(seq - 1) % 4]
            zone = ("door", "street")[visit // 4 % 2] if "zone" in kind else ""
            label = "dog" if visit // 4 % 5000 == 7 else ("person", "car", "unknown")[visit // 4 % 3]
            where = (0.0, 0.0, 0.0, 9.0, 9.0, 81, 1.0, 81)
            names = f"{seq:05d}-{kind}-1.jpg", f"{visit:05d}-enter-1.mp4"
            event = Event(kind, visit // 4 % 65535 + 1, seq, *where, label, 0.9, zone, "", at, "gate", *names)
            insert_event(base, RecordedEvent(seq, visit, event), None)
        base.execute("insert into media select part, snapshot, 30000, 'complete', moment from events")
    store.reload()


def milliseconds(call: Callable[[], object], times: int = 15) -> float:
    """Median of the processor time of a call."""
    found = []
    for _ in range(times):
        begin = time.process_time()
        call()
        found.append(1000 * (time.process_time() - begin))
    return statistics.median(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=400_000)
    parser.add_argument("--days", type=int, default=366)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        store = EventStore.open(Path(folder) / "gate.db")
        begin = time.perf_counter()
        fill(store, options.events, options.days)
        size = (Path(folder) / "gate.db").stat().st_size
        print(f"{options.events} events, {size / 1e6:.0f} MB, written in {time.perf_counter() - begin:.0f} s")
        stores: Stores = {"gate": store}
        now = time.time()
        quarter = 900 * (now // 900)
        middle = now - 86400 * options.days / 2
        questions = {
            "visits, newest": "",
            "visits of a day in the middle": f"after={middle}&before={middle + 86400}",
            "visits before the middle": f"before={middle}",
            "visits, zone": "zone=door",
            "visits, zone and event": "zone=door&event=zone-enter",
            "visits, rare class": "label=dog",
            "visits, words": "search=dog",
            "visits, not reviewed": "unreviewed=1",
        }
        for name, text in questions.items():
            print(f"{name}\t{milliseconds(partial(visits_of, stores, Query.parse(text))):.1f} ms")
        page = visits_of(stores, Query())
        for _ in range(5):
            page = visits_of(stores, Query.parse(f"cursor={page.next}"))
        sixth, rare = Query.parse(f"cursor={page.next}"), Query.parse("label=dog")
        print(f"visits, sixth page\t{milliseconds(lambda: visits_of(stores, sixth)):.1f} ms")
        print(f"events, newest\t{milliseconds(lambda: events_of(stores, Query())):.1f} ms")
        print(f"events, rare class\t{milliseconds(lambda: events_of(stores, rare)):.1f} ms")
        print(f"choices\t{milliseconds(lambda: choices_of(stores)):.1f} ms")
        for name, edges in {
            "counts, 24 hours": [quarter - 3600 * each for each in range(24, 0, -1)],
            "counts, 14 days": [quarter - 86400 * each for each in range(14, 0, -1)],
            "counts, 366 days": [quarter - 86400 * each for each in range(options.days, 0, -1)],
        }.items():
            print(f"{name}\t{milliseconds(partial(counts_of, stores, Query(), edges)):.1f} ms")
        store.close()


if __name__ == "__main__":
    main()
