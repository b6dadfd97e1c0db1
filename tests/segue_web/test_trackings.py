"""Work goes on while something is tracked: other trackings wait for it, and undo passes by what it does."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segue.errors import SegueError
from segue_web.annotate import AnnotateBackend
from segue_web.project.annotations import FrameAnnotation
from segue_web.project.migrations import MIGRATIONS, hold_by_person
from segue_web.project.tracking import TrackedFrame
from segue_web.video import Video
from tests.segue_web.test_annotate import SEEN, Ask, CircleWorker, ask, backend, click, request

__all__ = ["ask", "backend"]  # fixtures


async def turns(backend: AnnotateBackend) -> None:
    """Let what was begun come as far as it can."""
    for _ in range(8):
        await asyncio.sleep(0)
        await backend.run(lambda: None)


async def give(backend: AnnotateBackend, index: int, number: int) -> None:
    """Have the tracking give the mask of an object on a frame."""
    mask = np.zeros(backend.video.size, np.uint8)
    mask[10:20, index : index + 5] = number
    found = TrackedFrame([mask], {number: (0, FrameAnnotation("tracked", 0.6))})
    backend._worker.coming.put_nowait((index, found))  # type: ignore[attr-defined]
    await turns(backend)


def tracked_objects(backend: AnnotateBackend) -> list[list[int]]:
    """The objects of each tracking that has begun, in their order."""
    return [job[3] for job in backend._worker.jobs if len(job) > 4]  # type: ignore[attr-defined]


class EndingWorker(CircleWorker):
    """Its jobs end where a test says so."""

    async def _steps(self, coming: asyncio.Queue[Any]) -> Any:
        while (value := await coming.get()) is not None:
            if isinstance(value, Exception):
                raise value
            yield value


@pytest.fixture
def three(backend: AnnotateBackend, ask: Ask) -> AnnotateBackend:
    """Objects 1, 2 and 3 were clicked on frame 4."""
    backend._worker.__class__ = EndingWorker
    for x in (10, 30, 50):
        click(ask, 4, x, 30)
    return backend


def run(
    backend: AnnotateBackend,
    steps: Callable[..., Awaitable[None]],
    events: list[dict[str, Any]] | None = None,
) -> list[dict[str, Any]]:
    """Run steps, which are given what asks the backend; the events that pages saw."""
    events = [] if events is None else events

    async def handle(op: str, **fields: Any) -> dict[str, Any]:
        return await backend.handle(request(op, **fields))

    async def all_steps() -> None:
        backend.send = backend.project.send = events.append
        await steps(handle)

    asyncio.run(all_steps())
    return events


def forward(*objects: int) -> dict[str, Any]:
    return {"op": "track", "direction": "forward", "frame": 4, "objects": objects}


def waiting(events: list[dict[str, Any]]) -> list[list[int]]:
    """The objects of the trackings that wait, as pages know them."""
    last = [event for event in events if event["event"] == "queue"][-1]
    return [one["objects"] for one in last["queue"]]


async def end(backend: AnnotateBackend, how: Exception | None = None) -> None:
    backend._worker.coming.put_nowait(how)  # type: ignore[attr-defined]
    await turns(backend)


def test_trackings_wait_for_each_other_in_an_order_that_can_be_changed(three: AnnotateBackend) -> None:
    async def steps(handle: Any) -> None:
        assert (await handle(**forward(1)))["start"] == 4
        with pytest.raises(SegueError, match="already being tracked"):
            await handle(**forward(1))
        second = (await handle(**forward(2)))["queued"]
        third = (await handle(**forward(3)))["queued"]
        with pytest.raises(SegueError, match="already queued"):
            await handle(**forward(3))
        await handle("move", waiting=third, place=0)
        assert waiting(events) == [[3], [2]]
        await handle("move", waiting=second)
        await handle(**forward(2))
        await end(three)
        assert tracked_objects(three) == [[1], [3]]
        await end(three)
        await end(three)

    events: list[dict[str, Any]] = []
    run(three, steps, events)
    assert tracked_objects(three) == [[1], [3], [2]]
    assert waiting(events) == []
    assert three.project.noted("tracking") is None


def test_no_object_is_tracked_twice_over_the_same_frames(three: AnnotateBackend, ask: Ask) -> None:
    async def steps(handle: Any) -> None:
        await handle(**forward(1))
        await handle(**forward(2))
        await handle(**forward(3) | {"due": True})  # object 2 is due, too, and waits already
        assert waiting(events) == [[2], [3]]
        with pytest.raises(SegueError, match="already"):
            await handle(**forward(1, 2, 3))
        await handle(**forward(2, 3) | {"direction": "back"})
        assert waiting(events) == [[2], [3], [2, 3]], "it is another way"
        await handle("stop")
        await handle(**forward(3) | {"due": True})  # in place of the one that was stopped
        assert tracked_objects(three)[-1] == [1, 2, 3]
        assert waiting(events) == [[2, 3]]

    events: list[dict[str, Any]] = []
    run(three, steps, events)


def test_a_stop_is_of_the_tracking_that_was_seen_alone(three: AnnotateBackend) -> None:
    async def steps(handle: Any) -> None:
        await handle(**forward(1), user="Ann")
        await handle(**forward(2), user="Ben")
        [mine] = {event["run"] for event in events if event["event"] == "progress"}
        assert {event["user"] for event in events if event["event"] == "progress"} == {"Ann"}
        await end(three)
        with pytest.raises(SegueError, match="another one of Ben is running and was not stopped"):
            await handle("stop", run=mine, user="Ann")
        running = (await handle("hello"))["running"]
        assert running["user"] == "Ben"
        await handle("stop", run=running["run"], user="Ann")
        assert (await handle("hello"))["running"] is None
        await handle("stop", run=running["run"])  # it has ended by itself: nothing to say

    events: list[dict[str, Any]] = []
    run(three, steps, events)


def test_a_stop_lets_the_others_wait_until_somebody_goes_on(three: AnnotateBackend, ask: Ask) -> None:
    async def steps(handle: Any) -> None:
        await handle(**forward(1))
        await handle(**forward(2))
        await handle(**forward(3))
        await give(three, 5, 1)
        await handle("stop")
        await turns(three)
        assert tracked_objects(three) == [[1]]

    events = run(three, steps)
    assert waiting(events) == [[1], [2], [3]]
    queue = ask("hello")["queue"]
    assert [(one["objects"], one["done"]) for one in queue] == [([1], 1), ([2], None), ([3], None)]
    assert all(one["held"] for one in queue)

    async def go_on(handle: Any) -> None:
        assert (await handle("track", direction="forward", frame=0, resume=True))["start"] == 5
        await handle("stop", next=True)  # this one alone
        await turns(three)
        assert tracked_objects(three) == [[1], [1], [2]]
        await handle("stop")
        [rest, _] = (await handle("hello"))["queue"]
        await handle("move", waiting=rest["id"])
        await handle("track", direction="forward", frame=0, resume=True)

    events = run(three, go_on)
    assert tracked_objects(three) == [[1], [1], [2], [3]]
    assert waiting(events) == []


def known(queue: list[dict[str, Any]]) -> list[tuple[str, list[int], int | None, bool]]:
    """Whose trackings wait, of which objects, how many frames they have given, and whether they are held."""
    return [(one["user"], one["objects"], one["done"], one["held"]) for one in queue]


def memory_of(backend: AnnotateBackend, job: int) -> Path:
    """The file of the memory of a job, which a worker would write."""
    memory = backend._worker.jobs[job][-2]  # type: ignore[attr-defined]
    return Path(memory.file)


@pytest.mark.parametrize("restarts", [False, True])
def test_a_stop_holds_the_trackings_of_one_person_alone(three: AnnotateBackend, restarts: bool) -> None:
    async def steps(handle: Any) -> None:
        await handle(**forward(1), user="Ann")
        await handle(**forward(2), user="Ann")
        await handle(**forward(3), user="Ben")
        await give(three, 5, 1)
        memory_of(three, 0).touch()
        await handle("stop", user="Ann")
        assert tracked_objects(three) == [[1], [3]]
        now = await handle("hello")
        assert now["running"]["user"] == "Ben"
        assert known(now["queue"]) == [("Ann", [1], 1, True), ("Ann", [2], None, True)]
        await give(three, 5, 3)
        if not restarts:
            await goes_on(three, handle)

    async def goes_on(backend: AnnotateBackend, handle: Any) -> None:
        if restarts:
            backend.open()
            await turns(backend)
            assert tracked_objects(backend) == [[3]], "what Ann has stopped stays stopped"
        await give(backend, 6, 3)
        answer = await handle("track", direction="forward", frame=0, resume=True, user="Ann")
        queue = (await handle("hello"))["queue"]
        assert answer == {"queued": queue[0]["id"]}, "that of Ben goes on"
        assert known(queue) == [("Ann", [1], 1, False), ("Ann", [2], None, False)]
        await end(backend)
        [(_, begin, *_, given)] = [job for job in backend._worker.jobs if job[3] == [1]][-1:]  # type: ignore[attr-defined]
        assert (begin, given) == (4, 5)
        assert memory_of(backend, -1) == memory_of(three, 0)
        assert memory_of(three, 0).exists()
        assert (await handle("hello"))["running"]["user"] == "Ann"
        await end(backend)
        assert not memory_of(three, 0).exists()
        await end(backend)
        assert tracked_objects(backend)[-3:] == [[3], [1], [2]]
        assert (await handle("hello"))["queue"] == []

    run(three, steps)
    if not restarts:
        return
    three.close()
    video = Video(three.video.path)
    with closing(AnnotateBackend(video, three.project.folder, worker=EndingWorker(video.size))) as again:
        run(again, lambda handle: goes_on(again, handle))


def test_another_tracking_takes_the_place_of_one_that_the_same_person_has_stopped(
    three: AnnotateBackend,
) -> None:
    async def steps(handle: Any) -> None:
        for user, number in (("Ann", 1), ("Ben", 2)):
            await handle(**forward(number), user=user)
            await give(three, 5, number)
            memory_of(three, -1).touch()
            await handle("stop", user=user)
        await handle(**forward(3), user="Ann")
        assert tracked_objects(three) == [[1], [2], [3]]
        assert known((await handle("hello"))["queue"]) == [("Ben", [2], 1, True)]
        assert [memory_of(three, number).exists() for number in (0, 1)] == [False, True]
        # While it runs, another one of Ben waits, in place of what he has stopped.
        await handle(**forward(2), user="Ben")
        assert known((await handle("hello"))["queue"]) == [("Ben", [2], None, False)]
        await end(three)
        assert tracked_objects(three)[-1] == [2]
        with pytest.raises(SegueError, match="no interrupted tracking"):
            await handle("track", direction="forward", frame=0, resume=True, user="Ann")

    run(three, steps)


def test_other_people_can_resume_held_trackings(three: AnnotateBackend) -> None:
    async def steps(handle: Any) -> None:
        await handle(**forward(1), user="Ann")
        await handle(**forward(2), user="Ben")
        await handle("stop", user="Ben")
        assert known((await handle("hello"))["queue"]) == [("Ann", [1], 0, True)], "it was the one of Ann"
        resume = {"op": "track", "direction": "forward", "frame": 0, "resume": True}
        with pytest.raises(SegueError, match="no interrupted tracking"):
            await handle(**resume, user="Cem")
        await handle(**resume, user="Cem", whose="Ann")
        await end(three)
        assert tracked_objects(three) == [[1], [2], [1]]

    run(three, steps)


@pytest.mark.parametrize("paused", [True, False])
def test_a_queue_paused_by_an_older_version_is_paused_per_person(
    three: AnnotateBackend, paused: bool
) -> None:
    async def steps(handle: Any) -> None:
        await handle(**forward(1), user="Ann")
        await give(three, 5, 1)

    run(three, steps)
    noted = {"direction": "forward", "start": 4, "first": 0, "last": 11}
    waiting = [noted | {"id": 7, "objects": [2], "user": "Ben"}, noted | {"id": 5, "objects": [3]}]
    three.project.note("queue", {"waiting": waiting, "last": 7, "paused": paused})
    three.close()
    with closing(sqlite3.connect(three.project.folder / "project.db")) as database:
        database.execute(f"PRAGMA user_version={MIGRATIONS.index(hold_by_person)}")

    video = Video(three.video.path)
    with closing(AnnotateBackend(video, three.project.folder, worker=EndingWorker(video.size))) as again:

        async def restarted(handle: Any) -> None:
            again.open()
            await turns(again)
            queue = (await handle("hello"))["queue"]
            others = [("Ben", [2], None, paused), ("", [3], None, paused)]
            assert known(queue) == ([("Ann", [1], 1, True)] if paused else []) + others
            for user in ("Ann", "Ben", ""):
                if paused:
                    await handle("track", direction="forward", frame=0, resume=True, whose=user)
                await end(again)
            assert tracked_objects(again) == [[1], [2], [3]]
            assert again._worker.jobs[0][-1] == 5, "after the last frame that it had given"  # type: ignore[attr-defined]

        run(again, restarted)


def test_a_tracking_that_cannot_start_does_not_block_the_queue(three: AnnotateBackend) -> None:
    async def steps(handle: Any) -> None:
        await handle(**forward(1))
        await handle(**forward(2))
        await handle(**forward(3))
        seen = (await handle("look", frames=[4]))["frames"][0]["revision"]
        await handle("forget", frame=4, object=2, seen=seen, hidden=False)
        await end(three)

    events = run(three, steps)
    assert tracked_objects(three) == [[1], [3]]
    [error] = [event["error"] for event in events if event["event"] == "failed"]
    assert "click on one here first" in error


def test_after_a_kill_what_ran_and_what_waited_goes_on_by_itself(
    tmp_path: Path, three: AnnotateBackend
) -> None:
    async def steps(handle: Any) -> None:
        await handle(**forward(1))
        await handle(**forward(2))
        await give(three, 5, 1)

    run(three, steps)
    three.close()

    video = Video(three.video.path)
    with closing(AnnotateBackend(video, three.project.folder, worker=EndingWorker(video.size))) as again:

        async def restarted(handle: Any) -> None:
            again.open()
            await turns(again)
            [(_, begin, *_, memory, given)] = again._worker.jobs  # type: ignore[attr-defined]
            assert (begin, given) == (4, 5), "with its memory, after the last frame that it had given"
            assert memory == three._worker.jobs[0][-2]  # type: ignore[attr-defined]
            await end(again)
            assert tracked_objects(again) == [[1], [2]]
            await handle("stop")

        run(again, restarted)

    with closing(
        AnnotateBackend(Video(video.path), three.project.folder, worker=EndingWorker(video.size))
    ) as last:

        async def stopped(handle: Any) -> None:
            last.open()
            await turns(last)
            assert tracked_objects(last) == []
            [rest] = (await handle("hello"))["queue"]
            assert (rest["objects"], rest["held"]) == ([2], True)

        run(last, stopped)


def test_undo_and_redo_pass_by_what_is_tracked(three: AnnotateBackend) -> None:
    async def steps(handle: Any) -> None:
        await handle("object", object=2, name="Koi")
        await handle(**forward(1))
        await give(three, 5, 1)
        seen = (await handle("look", frames=[4]))["frames"][0]["revision"]
        await handle("stroke", frame=4, object=2, add=True, path=[(30, 12)], width=3, seen=seen)
        await give(three, 6, 1)
        painted = three.project.mask(4)[12, 30]
        assert painted == 2
        answer = await handle("undo")
        assert (answer["label"], answer["objects"], answer["frames"]) == ("brush stroke", ["Koi"], [4])
        assert three.project.mask(4)[12, 30] == 0
        assert (await handle("undo"))["label"] == "name"
        assert (await handle("undo"))["objects"] == ["Object 3"]
        await give(three, 7, 1)
        for label in ("click", "name", "brush stroke"):
            assert (await handle("undo", redo=True))["label"] == label
        assert three.project.mask(4)[12, 30] == painted
        assert three.project.history()["redo"] is None
        await end(three)

    events = run(three, steps)
    labels = [event["history"]["undo"] for event in events if "history" in event]
    assert labels[-1] == "tracking", "once it has ended, it can be undone itself"
    assert {row[0] for row in three.project.timeline()} == {4, 5, 6, 7}
    while three.project.undo() is not None:
        pass
    assert three.project.objects() == []
    while three.project.undo(redo=True) is not None:
        pass
    assert {row[0] for row in three.project.timeline()} == {4, 5, 6, 7}


def test_frames_that_are_tracked_after_an_undo_make_a_step_of_their_own(three: AnnotateBackend) -> None:
    """So far the tracking has changed nothing, and is no step of the history."""

    async def steps(handle: Any) -> None:
        await handle(**forward(1))
        await give(three, 5, 1)
        await end(three)
        await handle(**forward(1))
        await give(three, 5, 1)  # as before
        undone = await handle("undo")
        assert (undone["label"], undone["objects"]) == ("click", ["Object 3"])
        await give(three, 6, 1)
        await end(three)
        assert (await handle("undo", redo=True))["objects"] == ["Object 3"]
        for redo in (False, True):
            for frames in ([4, 5], [4]) if not redo else ([4, 5], [4, 5, 6]):
                await handle("undo", redo=redo)
                assert sorted(three.project.masks_of(1)) == frames
            assert three.project.history()["redo" if redo else "undo"] == (None if redo else "click")

    run(three, steps)


def test_redo_stays_while_another_object_is_tracked(three: AnnotateBackend) -> None:
    async def steps(handle: Any) -> None:
        await handle(**forward(1))
        await give(three, 5, 1)
        await handle("forget", frame=5, object=2, seen=SEEN, hidden=True)
        await handle("forget", frame=6, object=2, seen=SEEN, hidden=True)
        assert [(await handle("undo"))["frames"] for _ in range(2)] == [[6], [5]]
        for index in (6, 7):
            await give(three, index, 1)
        assert three.project.history()["redo"] == "“Not visible”"
        assert [(await handle("undo", redo=True))["frames"] for _ in range(2)] == [[5], [6]]
        await give(three, 8, 1)
        assert sorted(three.project.masks_of(2)) == [4, 5, 6]
        await handle("undo")
        await end(three)
        await handle("undo")
        assert sorted(three.project.masks_of(1)) == [4, 5]

    run(three, steps)


def test_redo_of_the_object_that_is_tracked_ends_with_its_next_frame(three: AnnotateBackend) -> None:
    async def steps(handle: Any) -> None:
        await handle(**forward(2))
        await give(three, 5, 2)
        await end(three)
        await handle("forget", frame=6, object=1, seen=SEEN, hidden=True)
        await handle("merge", object=3, into=2, seen=SEEN)
        await handle("object", object=2, name="Koi")
        for _ in range(3):
            await handle("undo")
        await handle(**forward(1))
        await give(three, 5, 1)
        assert three.project.history()["redo"] == "merge"
        for label in ("merge", "name"):
            assert (await handle("undo", redo=True))["label"] == label
        with pytest.raises(SegueError, match="nothing to redo"):
            await handle("undo", redo=True)
        await end(three)

    run(three, steps)


def test_a_step_is_not_undone_beneath_a_later_one_that_stays(three: AnnotateBackend) -> None:
    async def steps(handle: Any) -> None:
        await handle("reviewed", seen=SEEN, objects=[1], first=4, last=4)
        await handle("reviewed", seen=SEEN, objects=[2], first=4, last=4)
        await handle(
            "reviewed", seen=SEEN, objects=[1, 2], first=4, last=4, reviewed=False
        )  # is of object 1, too
        await handle(**forward(1))
        with pytest.raises(SegueError, match="being tracked"):
            await handle("undo")

    run(three, steps)


def test_an_object_that_is_tracked_is_neither_removed_nor_split_nor_merged_and_others_are(
    three: AnnotateBackend,
) -> None:
    async def steps(handle: Any) -> None:
        await handle(**forward(1))
        for wanted in (
            {"op": "remove", "object": 1},
            {"op": "merge", "object": 1, "into": 2},
            {"op": "merge", "object": 2, "into": 1},
            {"op": "split", "object": 1, "frame": 5},
        ):
            with pytest.raises(SegueError, match="while it is tracked"):
                await handle(**wanted, seen=SEEN)
        await handle("merge", seen=SEEN, object=2, into=3)
        await handle("remove", seen=SEEN, object=3)
        assert [row["id"] for row in three.project.objects()] == [1]

    run(three, steps)


def test_an_export_runs_beside_a_tracking_and_has_what_is_there(three: AnnotateBackend) -> None:
    async def steps(handle: Any) -> None:
        await handle(**forward(1))
        tracking = three._worker.coming  # type: ignore[attr-defined]
        answer = await handle("export", format="coco")
        with pytest.raises(SegueError, match="another export"):
            await handle("export", format="coco")
        known = await handle("hello")
        assert (known["running"]["what"], known["exporting"]["what"]) == ("forward", "export")
        assert known["running"]["objects"] == [1]
        await end(three)
        tracking.put_nowait(None)
        await turns(three)
        assert answer["name"].endswith(".json")

    events = run(three, steps)
    ended = [event["job"] for event in events if event["event"] == "ended"]
    assert ended == ["export", "tracking"]


def test_pages_hear_of_the_queue_and_of_changes_in_the_order_in_which_they_were(
    three: AnnotateBackend,
) -> None:
    """Else a page takes an older history for the newest, and asks to undo another step than is shown."""

    async def steps(handle: Any) -> None:
        saved = threading.Event()

        def change() -> None:
            with three.project.change("later"):
                three.project.set_object(1, name="Koi")
            saved.set()

        telling = asyncio.create_task(three._trackings._tell())
        await asyncio.sleep(0)
        changing = asyncio.ensure_future(three.run(change))
        await asyncio.sleep(0)
        assert saved.wait(60), "both were done before this loop heard of either"
        await asyncio.gather(telling, changing)

    labels = [event["history"]["undo"] for event in run(three, steps) if "history" in event]
    assert labels == ["click", "later"]


def test_a_tracking_that_ends_while_its_project_is_closed_ends_without_a_word(
    three: AnnotateBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pages show another video by then; what was not noted goes on the next time."""
    unhandled: list[Any] = []

    async def steps(handle: Any) -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: unhandled.append(context))
        await handle(**forward(1))
        events.clear()
        monkeypatch.setattr(three, "_closed", True)
        three._worker.coming.put_nowait(None)  # type: ignore[attr-defined]
        task = three._trackings.runner._task
        assert task is not None
        await task
        monkeypatch.setattr(three, "_closed", False)

    events: list[dict[str, Any]] = []
    run(three, steps, events)
    assert unhandled == []
    assert [event["event"] for event in events] == ["ended"]
    assert three.project.noted("tracking")["objects"] == [1]
