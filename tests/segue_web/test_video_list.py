"""A folder of videos: one is open at a time, each keeps its project, and all are exported."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import closing
from copy import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segue.errors import PromptError, SegueError, SourceError
from segue_web.annotate import AnnotateBackend
from segue_web.exports import write_export
from segue_web.project.annotations import FrameAnnotation
from segue_web.project.project import Project
from segue_web.project.store import acting
from segue_web.server import messages
from segue_web.server.conflicts import ConflictError
from segue_web.video import Video
from segue_web.video_list import VideoListBackend, videos_of
from tests.segue_web.test_annotate import CircleWorker
from tests.segue_web.videos import numbered, write_video


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three videos, one of them below a folder."""
    place = tmp_path / "videos"
    (place / "night").mkdir(parents=True)
    for number, name in enumerate(("b2", "b10", "night/c")):
        write_video(place / f"{name}.mp4", numbered(5 + number))
    return place


def give(project: Project, frame: int, *, reviewed: bool = False) -> None:
    plane = np.ones(project.size, np.bool_)
    with project.change("draw"):
        number = next((row["id"] for row in project.objects()), None) or project.add_object()
        project.put(frame, {number: (plane, FrameAnnotation("given", reviewed=reviewed))})


class ExportWorker(CircleWorker):
    """Writes exports in this process."""

    def steps(self, make: Any, path: Path, *arguments: Any) -> Any:
        async def run() -> Any:
            for index in write_export(Video(path), *arguments):
                yield index

        return run()


@pytest.fixture
def videos(folder: Path, tmp_path: Path) -> Iterator[VideoListBackend]:
    def make(path: Path, place: Path) -> AnnotateBackend:
        video = Video(path)
        return AnnotateBackend(video, place, worker=ExportWorker(video.size))

    found = videos_of(folder)
    assert found is not None
    backend = VideoListBackend("videos", found, tmp_path / "out", make)
    yield backend
    backend.close()


def ask(backend: VideoListBackend, op: str, **fields: Any) -> dict[str, Any]:
    return asyncio.run(backend.handle(messages.parse(json.dumps({"id": 1, "op": op, **fields}))))


def test_the_videos_of_a_folder_are_in_natural_order_and_images_are_one_video(folder: Path) -> None:
    assert list(videos_of(folder) or ()) == ["b2", "b10", "night/c"]
    assert videos_of(folder / "b2.mp4") is None
    (folder / "0.png").touch()
    assert list(videos_of(folder) or ()) == ["b2", "b10", "night/c"], "a picture beside videos is none"
    frames = folder / "frames"
    frames.mkdir()
    (frames / "0.png").touch()
    assert videos_of(frames) is None
    write_video(folder / "frames.mp4", numbered(1))
    (folder / "empty").mkdir()
    found = videos_of(folder)
    assert found is not None
    assert list(found) == ["b2", "b10", "frames", "frames.mp4", "night/c"]
    assert found["frames"].is_dir()


def test_unreadable_videos_are_marked_and_skipped(folder: Path, tmp_path: Path) -> None:
    (folder / "a.mp4").write_bytes(b"no video")
    (folder / "b11.mp4").write_bytes(b"no video")
    damaged = tmp_path / "out" / "b10.project"
    damaged.mkdir(parents=True)
    (damaged / "project.db").write_bytes(b"no project")

    def make(path: Path, place: Path) -> AnnotateBackend:
        video = Video(path)
        return AnnotateBackend(video, place, worker=ExportWorker(video.size))

    found = videos_of(folder)
    assert found is not None
    with closing(VideoListBackend("videos", found, tmp_path / "out", make)) as backend:
        assert backend.current.video.name == "b2"
        listed = ask(backend, "videos")["videos"]
        assert [one["name"] for one in listed] == ["a", "b2", "b10", "b11", "night/c"]
        assert [i for i, one in enumerate(listed) if "error" in one] == [0, 2]
        assert "project.db" in listed[2]["error"]
        assert ask(backend, "open", number=2, onward=True) == {"number": 4, "skipped": 2}
        assert backend.current.video.name == "c"
        assert [i for i, one in enumerate(ask(backend, "videos")["videos"]) if "error" in one] == [0, 2, 3]
        with pytest.raises(SegueError, match="b11"):
            ask(backend, "open", number=3)
        assert ask(backend, "hello", video=3)["video"]["number"] == 4, "a page at its address has the list"
        write_video(folder / "b11.mp4", numbered(3))
        ask(backend, "open", number=3)
        assert "error" not in ask(backend, "videos")["videos"][3], "it was mended meanwhile"
    (tmp_path / "none").mkdir()
    (tmp_path / "none" / "a.mp4").write_bytes(b"no video")
    with pytest.raises(SegueError):
        VideoListBackend("none", videos_of(tmp_path / "none") or {}, tmp_path / "out2", make)


def test_the_list_says_how_far_each_video_is(videos: VideoListBackend) -> None:
    give(videos.current.project, 0, reviewed=True)
    give(videos.current.project, 1)
    found = ask(videos, "videos")

    assert found["open"] == 0
    assert found["videos"] == [
        {"name": "b2", "frames": 5, "annotated": 2, "reviewed": 1, "objects": 1, "state": "work"},
        {"name": "b10", "state": "open"},
        {"name": "night/c", "state": "open"},
    ]


def test_each_page_has_a_video_of_its_own(videos: VideoListBackend) -> None:
    ask(videos, "schema", schema={"classes": [{"name": "fish"}]}, seen=0, video=0)
    first = videos.current
    assert ask(videos, "open", number=2, video=0) == {"number": 2, "skipped": 0}

    known = ask(videos, "hello", video=2)
    assert (known["video"]["number"], known["video"]["frames"], known["objects"]) == (2, 7, [])
    assert known["schema"] == {"classes": [{"name": "fish"}]}, "for all videos of the folder"
    assert ask(videos, "hello", video=0)["video"]["frames"] == 5, "another page still has the first one"
    give(first.project, 1)
    ask(videos, "object", object=1, name="x", seen=first.project.revision, video=0)
    assert [row["name"] for row in first.project.objects()] == ["x"]
    assert videos.backend_of(2).project.objects() == []
    assert (videos.shown(0).count, videos.shown(2).count) == (5, 7)
    assert ask(videos, "videos", video=0)["open"] == 0
    with pytest.raises(SegueError, match="the last one is 3"):
        ask(videos, "open", number=3)
    assert ask(videos, "hello", video=99)["video"]["number"] == 2, "of another list: the video shown last"


@pytest.mark.parametrize("number", [[1], {}, "0", -1, 1.5])
def test_what_is_no_number_of_a_video_is_refused(videos: VideoListBackend, number: object) -> None:
    with pytest.raises(SegueError, match="not valid"):
        ask(videos, "look", frames=[0], video=number)


def test_an_export_that_is_refused_keeps_no_name(videos: VideoListBackend) -> None:
    give(videos.current.project, 0)
    with pytest.raises(SourceError, match="no longer open"):
        ask(videos, "export_all", format="coco", video=2)
    assert not videos.exports.exists() or not [*videos.exports.iterdir()]


def test_a_video_that_no_page_shows_is_closed(
    videos: VideoListBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("segue_web.video_list.IDLE", 0)
    first = videos.current

    async def go_on() -> None:
        for number in (0, 2):
            await videos.handle(messages.parse(json.dumps({"id": 1, "op": "open", "number": number})))
            videos.joined(number)
        videos.left(0)
        await asyncio.sleep(0.05)

    asyncio.run(go_on())
    Project(first.project.folder, first.video.describe(), first.video.size).close()  # it is free again
    with pytest.raises(SourceError, match="no longer open"):
        videos.shown(0)
    assert videos.shown(2).count == 7
    assert ask(videos, "hello", video=0)["video"]["frames"] == 5, "it is opened again"


def test_all_videos_with_masks_are_exported_together(videos: VideoListBackend, tmp_path: Path) -> None:
    give(videos.current.project, 1)
    ask(videos, "open", number=2)
    give(videos.current.project, 6)

    async def export() -> None:
        ended = asyncio.Event()

        def send(event: dict[str, Any]) -> None:
            if event["event"] == "exported":
                ended.set()

        videos.current.send = send
        request = messages.parse(json.dumps({"id": 1, "op": "export_all", "format": "coco"}))
        assert (await videos.handle(request))["name"] == "videos-coco"
        await asyncio.wait_for(ended.wait(), 60)

    asyncio.run(export())
    found = sorted((tmp_path / "out" / "exports" / "videos-coco").iterdir())
    assert [path.name for path in found] == ["b2-coco.json", "night_c-coco.json"]
    frames = [[one["frame_index"] for one in json.loads(path.read_text())["images"]] for path in found]
    assert frames == [[1], [6]]
    assert videos.export_file("videos-coco") == found[0].parent


def test_exports_of_one_name_are_told_apart_by_their_paths(tmp_path: Path) -> None:
    folder = tmp_path / "videos"
    for name in ("a", "b"):
        (folder / name).mkdir(parents=True)
        write_video(folder / name / "clip.mp4", numbered(3))
    found = videos_of(folder)
    assert found is not None

    def make(path: Path, place: Path) -> AnnotateBackend:
        video = Video(path)
        return AnnotateBackend(video, place, worker=ExportWorker(video.size))

    with closing(VideoListBackend("videos", found, tmp_path / "out", make)) as backend:
        ask(backend, "open", number=1)
        paths = []
        for number in range(2):
            exports = backend.backend_of(number).exports
            exports.mkdir(parents=True)
            paths.append(exports / "clip-coco.json")
            paths[-1].write_text(str(number))
        assert [backend.export_file("clip-coco.json", str(path)) for path in paths] == paths
        assert backend.export_file("clip-coco.json", str(tmp_path / "clip-coco.json")) is None


def test_a_person_has_one_name_at_all_videos(videos: VideoListBackend) -> None:
    first = ask(videos, "hello", browser="one")
    guest = ask(videos, "hello", browser="two", video=1)
    other = ask(videos, "hello", browser="three", video=2)
    assert [answer["user"] for answer in (first, guest, other)] == ["", "Person 2", "Person 3"]
    assert ask(videos, "hello", browser="two", guest=True, video=2)["user"] == "Person 2"


def states(videos: VideoListBackend) -> list[str]:
    return [one["state"] for one in ask(videos, "videos")["videos"]]


def test_a_video_goes_from_open_to_done_by_two_people(videos: VideoListBackend) -> None:
    assert states(videos) == ["open", "open", "open"]
    give(videos.current.project, 2)
    assert states(videos) == ["work", "open", "open"], "as far as its masks say"
    ask(videos, "assign", number=0, person="Ann")
    ask(videos, "set_state", number=0, state="review", seen="work", user="Ann")
    with pytest.raises(PromptError, match="another person than Ann"):
        ask(videos, "set_state", number=0, state="done", user="Ann")
    with pytest.raises(PromptError, match="b2 is already assigned to Ann"):
        ask(videos, "assign", number=0, person="Ann", role="reviewer")
    ask(videos, "assign", number=0, person="Ben", role="reviewer")
    with pytest.raises(ConflictError, match="b2 is to review now") as refused:
        ask(videos, "set_state", number=0, state="open", seen="work")
    assert refused.value.current == "review"
    ask(videos, "set_state", number=0, state="done", seen="review", user="Ben")
    [first, *_] = ask(videos, "videos")["videos"]
    assert {name: first[name] for name in ("assigned", "reviewer", "state", "by")} == {
        "assigned": "Ann",
        "reviewer": "Ben",
        "state": "done",
        "by": "Ben",
    }


def test_reviewers_start_with_a_video_to_review(folder: Path, tmp_path: Path) -> None:
    found = videos_of(folder)
    assert found is not None
    tasks = {
        "b2": {"person": "Ann", "state": "done"},
        "b10": {"person": "Ann", "reviewer": "Ben", "state": "review"},
    }
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "assigned.json").write_text(json.dumps(tasks | {"night/c": "Cem"}))

    def make(path: Path, place: Path) -> AnnotateBackend:
        video = Video(path)
        return AnnotateBackend(video, place, worker=ExportWorker(video.size))

    for user, name in (("Ben", "b10"), ("Cem", "c"), ("Ann", "b2")):
        with closing(VideoListBackend("videos", found, tmp_path / "out", make, user)) as backend:
            assert backend.current.project.folder.name == f"{name}.project", user
    (tmp_path / "out" / "assigned.json").write_text('{"b2": {"state": "gone"}}')
    with pytest.raises(SegueError, match=r"assigned\.json: is no JSON object"):
        VideoListBackend("videos", found, tmp_path / "out", make)


def test_a_second_look_has_a_project_of_its_own_and_both_are_compared(videos: VideoListBackend) -> None:
    first = videos.current
    with first.project.change("draw"):
        ids = [first.project.add_object(name) for name in ("fish", "leaf")]
        for frame in (1, 2):
            plane = np.zeros(first.project.size, np.bool_)
            plane[10:20, 10:30] = True
            first.project.put(frame, {ids[0]: (plane, FrameAnnotation("given"))})
        first.project.put(1, {ids[1]: (plane & False, FrameAnnotation("given"))})
        leaf = np.zeros(first.project.size, np.bool_)
        leaf[40:44, 40:44] = True
        first.project.put(2, {ids[1]: (leaf, FrameAnnotation("given"))})
    with pytest.raises(PromptError, match="no masks in the second annotation"):
        ask(videos, "agreement", number=0)
    ask(videos, "open", number=0, second=True)
    second = videos.current
    assert second.project.folder.name == "b2.second.project"
    assert second.project.objects() == [], "it shows nothing of the first one"
    hello = ask(videos, "hello")
    assert (hello["second"], hello["video"]["number"]) == (True, 3)
    with second.project.change("draw"), acting("Ben"):
        number = second.project.add_object("carp")
        for frame in (2, 3):
            plane = np.zeros(second.project.size, np.bool_)
            plane[10:20, 20:40] = True
            second.project.put(frame, {number: (plane, FrameAnnotation("given"))})
    answer = ask(videos, "agreement", number=0)
    # Only frame 2 has both: the fish by a third, the leaf by nothing.
    assert answer["objects"] == [
        {"first": "fish", "second": "carp", "iou": pytest.approx(1 / 3), "frames": 1},
        {"first": "leaf", "second": None, "iou": 0.0, "frames": 1},
    ]
    assert answer["mean"] == pytest.approx(1 / 6)
    [listed, *_] = ask(videos, "videos")["videos"]
    assert listed["agreement"] == answer["mean"]
    assert (listed["second"]["annotated"], listed["second"]["people"][0]["user"]) == (2, "Ben")
    ask(videos, "open", number=0)
    assert videos.current.project.folder.name == "b2.project"


def test_videos_are_assigned_and_the_list_shows_who_has_done_what(
    videos: VideoListBackend, folder: Path
) -> None:
    with acting("Ann"):
        give(videos.current.project, 2)
    ask(videos, "assign", number=1, person=" Ben ", user="Ann")
    ask(videos, "assign", number=0, person="Ann")

    listed = ask(videos, "videos")["videos"]
    assert [one.get("assigned", "") for one in listed] == ["Ann", "Ben", ""]
    assert [[who["user"] for who in one.get("people", [])] for one in listed] == [["Ann"], [], []]
    ask(videos, "assign", number=0)
    assert [one.get("assigned", "") for one in ask(videos, "videos")["videos"]] == ["", "Ben", ""]
    with pytest.raises(PromptError, match="there is no video"):
        ask(videos, "assign", number=3, person="Ben")


def test_a_person_begins_with_a_video_of_theirs(folder: Path, tmp_path: Path) -> None:
    found = videos_of(folder)
    assert found is not None
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "assigned.json").write_text('{"b2": "Ben"}')

    def make(path: Path, place: Path) -> AnnotateBackend:
        video = Video(path)
        return AnnotateBackend(video, place, worker=ExportWorker(video.size))

    for user, name in (("Ann", "b10"), ("Ben", "b2"), ("", "b2")):
        with closing(VideoListBackend("videos", found, tmp_path / "out", make, user)) as backend:
            assert backend.current.project.folder.name == f"{name}.project"
    (tmp_path / "out" / "assigned.json").write_text("[]")
    with pytest.raises(SegueError, match=r"assigned\.json"):
        VideoListBackend("videos", found, tmp_path / "out", make)


def test_a_list_shows_no_masks_of_a_video_of_the_same_name(folder: Path, tmp_path: Path) -> None:
    def make(path: Path, place: Path) -> AnnotateBackend:
        video = Video(path)
        return AnnotateBackend(video, place, worker=ExportWorker(video.size))

    with closing(VideoListBackend("day1", {"b2": folder / "b2.mp4"}, tmp_path / "out", make)) as backend:
        give(backend.current.project, 0)
    other = write_video(tmp_path / "b2.mp4", numbered(5)[::-1])
    videos = {"b2": other, "night": folder / "night" / "c.mp4"}
    with closing(VideoListBackend("day2", videos, tmp_path / "out", make)) as backend:
        listed = ask(backend, "videos")
        assert listed["open"] == 1
        assert "b2.mp4; choose another folder with --project" in listed["videos"][0]["error"]
        with pytest.raises(SegueError, match="no masks to export"):
            ask(backend, "export_all", format="coco")


def test_assignments_at_once_are_all_kept_also_by_two_processes(folder: Path, tmp_path: Path) -> None:
    def make(path: Path, place: Path) -> AnnotateBackend:
        video = Video(path)
        return AnnotateBackend(video, place, worker=ExportWorker(video.size))

    videos = {"b2": folder / "b2.mp4"} | {f"v{i}": folder / "b10.mp4" for i in range(39)}
    with closing(VideoListBackend("videos", videos, tmp_path / "out", make)) as first:
        second = copy(first)  # as another process has it, which shares the folder alone
        work = [
            threading.Thread(target=one._assign, args=(number, f"person {number}"))
            for number in range(40)
            for one in [(first, second)[number % 2]]
        ]
        for thread in work:
            thread.start()
        for thread in work:
            thread.join()
        assert set(first._assigned().values()) == {f"person {i}" for i in range(40)}
        assert [path.name for path in (tmp_path / "out").iterdir() if path.is_file()] == ["assigned.json"]


def test_a_video_that_was_given_to_somebody_else_meanwhile_is_told(videos: VideoListBackend) -> None:
    ask(videos, "assign", number=1, person="Ann", seen="")
    with pytest.raises(ConflictError, match="assigned to Ann in the meantime"):
        ask(videos, "assign", number=1, person="Ben", seen="")
    ask(videos, "assign", number=1, person="Ann", seen="")
    ask(videos, "assign", number=1, person="Ben", seen="Ann")
    assert ask(videos, "videos")["videos"][1]["assigned"] == "Ben"


def test_a_click_that_is_computed_while_another_page_opens_a_video_is_made(
    folder: Path, tmp_path: Path
) -> None:
    class HeldWorker(ExportWorker):
        async def ask(self, method: str, *arguments: Any) -> Any:
            if method == "click":
                computing.set()
                await opened.wait()
            return await super().ask(method, *arguments)

    def make(path: Path, place: Path) -> AnnotateBackend:
        video = Video(path)
        return AnnotateBackend(video, place, worker=HeldWorker(video.size))

    async def run() -> None:
        nonlocal computing, opened
        computing, opened = asyncio.Event(), asyncio.Event()
        fields = {"frame": 0, "object": None, "seen": 0, "points": [(20, 30, True)], "video": 0}
        click = asyncio.ensure_future(backend.handle(request(op="click", **fields)))
        await computing.wait()
        await backend.handle(request(op="open", number=1))
        opened.set()
        assert (await click)["object"] == 1

    def request(**fields: Any) -> messages.PageRequest:
        return messages.parse(json.dumps({"id": 1, **fields}))

    computing = opened = asyncio.Event()
    videos = {name: folder / f"{name}.mp4" for name in ("b2", "b10")}
    with closing(VideoListBackend("videos", videos, tmp_path / "out", make)) as backend:
        asyncio.run(asyncio.wait_for(run(), 60))


def opened_list(folder: Path, projects: Path) -> VideoListBackend:
    def make(path: Path, place: Path) -> AnnotateBackend:
        video = Video(path)
        return AnnotateBackend(video, place, worker=ExportWorker(video.size))

    return VideoListBackend("videos", videos_of(folder) or {}, projects, make)


def named_paths(backend: VideoListBackend) -> dict[str, str]:
    return {name: path.name for name, path in zip(backend._names, backend._paths, strict=True)}


def test_a_video_of_the_same_name_that_comes_later_takes_no_project_and_no_task(tmp_path: Path) -> None:
    folder, projects = tmp_path / "videos", tmp_path / "out"
    folder.mkdir()
    write_video(folder / "cam1.mp4", numbered(5))
    write_video(folder / "cam2.mp4", numbered(6))
    with closing(opened_list(folder, projects)) as backend:  # the first one has a project, the other a task
        give(backend.current.project, 1)
        ask(backend, "assign", number=1, person="Bert")
    for name in ("cam1", "cam2"):
        write_video(folder / f"{name}.mov", numbered(7))
    with closing(opened_list(folder, projects)) as backend:
        assert named_paths(backend) == {
            "cam1.mov": "cam1.mov",
            "cam1": "cam1.mp4",
            "cam2.mov": "cam2.mov",
            "cam2": "cam2.mp4",
        }
        rows = {row["name"]: row for row in ask(backend, "videos")["videos"]}
    assert rows["cam1"]["annotated"] == 1
    assert rows["cam2"]["assigned"] == "Bert"
    assert "annotated" not in rows["cam1.mov"] or not rows["cam1.mov"]["annotated"]
    assert "assigned" not in rows["cam2.mov"]


@pytest.mark.parametrize("length", [241, 248, 251])
def test_a_name_may_be_as_long_as_file_systems_allow(tmp_path: Path, length: int) -> None:
    folder = tmp_path / "videos"
    folder.mkdir()
    names = ["a" * length, "a" * (length - 1) + "b"]
    for name in names:
        write_video(folder / f"{name}.mp4", numbered(5))
    with closing(opened_list(folder, tmp_path / "out")) as backend:
        ask(backend, "open", number=1)
        assert [row["name"] for row in ask(backend, "videos")["videos"]] == names
        assert not any("error" in row for row in ask(backend, "videos")["videos"])
    assert len([*(tmp_path / "out").glob("*.project")]) == 2
