"""The rounds of a batch: what becomes of each video by the news of its workers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from segue.batch import Ledger, Scheduler, Task
from segue.batch import run as rounds
from segue.batch.engines import Event
from segue.batch.names import key_of
from segue.batch.run import run_batch, write_batch_report
from segue.batch.work import Outcome
from segue.cancel import CancelToken
from segue.errors import SegueError


def outcome(picture: bytes = b"") -> Outcome:
    return Outcome(8, 2.0, "digest", picture)


class Script:
    """An engine whose workers say what is written: a list of news for each video, by its name."""

    def __init__(self, news: dict[str, list[Any]], workers: Sequence[str] = ("w0",)) -> None:
        self._news = {name: list(said) for name, said in news.items()}
        self.workers = dict.fromkeys(workers, "here")
        self.memory: dict[str, float] = {}
        self._at: dict[str, str] = {}
        self.given: list[tuple[str, str]] = []
        self.told: list[str] = []

    def give(self, worker: str, task: Task) -> None:
        self.given.append((worker, task.name))
        self._at[worker] = task.name

    def events(self, seconds: float) -> Sequence[Event]:
        assert seconds == rounds.ROUND_SECONDS
        found = []
        for worker, name in list(self._at.items()):
            if self._news[name]:
                kind, values = self._news[name].pop(0)
                if kind != "beat":
                    del self._at[worker]
                found.append(Event(kind, worker, **values))
        return found

    def interrupt(self) -> None:
        self.told.append("interrupt")
        for name in self._at.values():
            self._news[name].insert(0, ("stopped", {}))

    def close(self) -> None:
        self.told.append("close")


@pytest.fixture
def ledger(tmp_path: Path) -> Any:
    with Ledger(tmp_path / "ledger.sqlite") as made:
        made.add(Task(name, f"{name}.mp4", (), cost) for name, cost in (("a", 3), ("b", 2), ("c", 1)))
        yield made


def states(ledger: Ledger) -> dict[str, str]:
    return {row.name: row.state for row in ledger.rows()}


def test_each_video_becomes_what_its_worker_says(ledger: Ledger, tmp_path: Path) -> None:
    engine = Script(
        {
            "a": [("beat", {"frames": 3}), ("done", {"outcome": outcome(b"picture")})],
            "b": [("failed", {"error": "rotten"})],
            "c": [("done", {"outcome": outcome()})],
        }
    )
    shown: list[list[Event]] = []
    run_batch(ledger, Scheduler(ledger.queued()), engine, pictures=tmp_path / "p", show=shown.append)
    assert engine.given == [("w0", "a"), ("w0", "b"), ("w0", "c")]
    rows = {row.name: row for row in ledger.rows()}
    assert states(ledger) == {"a": "done", "b": "failed", "c": "done"}
    assert (rows["a"].frames, rows["a"].seconds, rows["a"].digest, rows["a"].worker) == (
        8,
        2.0,
        "digest",
        "w0",
    )
    assert rows["b"].error == "rotten"
    assert [event.kind for events in shown for event in events] == ["beat", "done", "failed", "done"]
    assert engine.told == ["close"]
    assert [path.name for path in (tmp_path / "p").iterdir()] == [f"{key_of('a')}.jpg"]
    assert (tmp_path / "p" / f"{key_of('a')}.jpg").read_bytes() == b"picture"


def test_a_video_that_workers_die_of_has_failed_and_says_how_many(ledger: Ledger, tmp_path: Path) -> None:
    died = ("lost", {"error": "the worker died (killed by signal 9)"})
    engine = Script({"a": [died, died], "b": [died, ("done", {"outcome": outcome()})], "c": [died, died]})
    run_batch(ledger, Scheduler(ledger.queued(), tries=2), engine, pictures=tmp_path)
    assert states(ledger) == {"a": "failed", "b": "done", "c": "failed"}
    (row, *_) = ledger.rows("failed")
    assert row.error == "the worker died (killed by signal 9), and so did 1 before it"
    assert row.tries == 2


def test_news_of_a_worker_without_a_video_say_nothing(ledger: Ledger, tmp_path: Path) -> None:
    scheduler = Scheduler(ledger.queued())
    rounds._apply_event(Event("done", "w9", outcome=outcome()), ledger, scheduler, tmp_path)
    rounds._apply_event(Event("lost", "w9"), ledger, scheduler, tmp_path)
    assert set(states(ledger).values()) == {"queued"}


def test_videos_are_given_to_idle_workers_alone(ledger: Ledger, tmp_path: Path) -> None:
    engine = Script({name: [("done", {"outcome": outcome()})] for name in "abc"}, ["w1", "w0"])
    run_batch(ledger, Scheduler(ledger.queued()), engine, pictures=tmp_path)
    assert engine.given[:2] == [("w0", "a"), ("w1", "b")]
    assert len(engine.given) == 3


def test_an_interrupted_batch_asks_its_workers_once_and_queues_the_rest(
    ledger: Ledger, tmp_path: Path
) -> None:
    token = CancelToken()
    engine = Script({"a": [("beat", {"frames": 1})] * 3, "b": [], "c": []})

    def stop(events: list[Event]) -> None:
        token.cancel()

    with pytest.raises(KeyboardInterrupt):
        run_batch(ledger, Scheduler(ledger.queued()), engine, pictures=tmp_path, show=stop, cancel=token)
    assert engine.told == ["interrupt", "close"]
    assert engine.given == [("w0", "a")]
    assert set(states(ledger).values()) == {"queued"}


def test_workers_that_do_not_stop_are_waited_for_only_so_long(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = CancelToken()
    token.cancel()
    scheduler = Scheduler(ledger.queued())
    task = scheduler.assign("w0", 0.0)
    assert task is not None
    ledger.begun(task.name, "w0")
    engine = Script({"a": []})
    clock = iter(range(100))
    monkeypatch.setattr(rounds.time, "monotonic", lambda: float(next(clock)))
    seen: list[list[Event]] = []
    with pytest.raises(KeyboardInterrupt):
        run_batch(ledger, scheduler, engine, pictures=tmp_path, show=seen.append, cancel=token)
    assert len(seen) == 2, "2.5 seconds, looked at once a second"
    assert states(ledger)["a"] == "queued"


def test_what_came_before_an_engine_without_workers_is_kept(ledger: Ledger, tmp_path: Path) -> None:
    engine = Script({"a": [("done", {"outcome": outcome()})], "b": [], "c": []})
    once: list[int] = []

    def none_left(events: list[Event]) -> None:
        once.append(len(events))
        if len(once) == 2:
            raise SegueError("no workers")

    with pytest.raises(SegueError, match="no workers"):
        run_batch(ledger, Scheduler(ledger.queued()), engine, pictures=tmp_path, show=none_left)
    assert engine.told == ["close"]
    assert states(ledger)["a"] == "done"


def test_the_page_of_a_batch_says_what_was_done_how_fast_and_what_failed(tmp_path: Path) -> None:
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        ledger.add(Task(name, f"s3://user:secret@host/{name}.mp4", ()) for name in ("a", "b", "c"))
        for name in ("a", "b"):
            ledger.begun(name, "w3")
        ledger.done("a", "w3", 30, 4.0, "digest")
        ledger.failed("b", "no \x1b[31mpicture")
        pictures = tmp_path / "pictures"
        pictures.mkdir()
        (pictures / f"{key_of('a')}.jpg").write_bytes(b"jpeg")
        (pictures / f"{key_of('b')}.jpg").write_bytes(b"jpeg")
        write_batch_report(ledger, pictures, tmp_path / "batch.html")
        page = (tmp_path / "batch.html").read_text("utf-8")
        for text in ("30", "4.0", "7.5", "w3"):
            assert f">{text}<" in page
        assert "secret" not in page
        assert "\x1b" not in page
        assert "picture" in page
        assert f"pictures/{key_of('a')}.jpg" in page
        assert f"pictures/{key_of('b')}.jpg" not in page, "of what is done"
        assert rounds._cells(next(iter(ledger.rows("queued")))) == ("c", ["0", "0.0", "–", ""])
