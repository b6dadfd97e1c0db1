"""Which videos a batch has: folders, patterns and lists."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from segue.batch import Task, plan, read_tasks
from segue.batch.plan import _rows, check_name, check_names, identity_now, in_threads
from segue.batch.work import JobConfig
from segue.cli import batch
from segue.cli.batch import with_jobs
from segue.errors import PromptError, SegueError, SourceError
from segue.jobs.values import DetectorConfig, TrackJob
from segue.prompt_types import BoxPrompt, PointPrompt
from segue.video.sources.identity import SourceIdentity
from tests.needs import needs


def test_a_folder_stands_for_the_videos_below_it_named_by_their_place(videos: Path) -> None:
    (videos / "notes.txt").write_text("no video")

    assert [task.name for task in read_tasks([str(videos)])] == ["a", "b", "inner/c"]


def test_a_table_gives_prompts_and_options_with_paths_beside_it(tmp_path: Path) -> None:
    table = tmp_path / "list.csv"
    table.write_text(
        "source,name,mask,box,point,auto,options\n"
        'a.mp4,first,3@2=m.png,"10,20,30,40;5@7:1,2,3,4",,,--mem-every 3\n'
        "/abs/b.mp4,,,,,yes,\n"
    )

    first, second = read_tasks([str(table)])

    assert (first.name, first.source) == ("first", str(tmp_path / "a.mp4"))
    assert first.arguments == (
        *("--mask", f"3@2={tmp_path / 'm.png'}"),
        *("--box", "10,20,30,40", "--box", "5@7:1,2,3,4"),
        *("--mem-every", "3"),
    )
    assert (second.name, second.source, second.arguments) == ("b", "/abs/b.mp4", ("--auto",))


@pytest.mark.parametrize(
    ("mask", "before", "path"),
    [
        ("masks/logo@2x.png", "", "masks/logo@2x.png"),
        ("5@masks/logo@2x.png", "5@", "masks/logo@2x.png"),
        ("5@4=masks/a=b@c.png", "5@4=", "masks/a=b@c.png"),
        ("a=b.png", "", "a=b.png"),
        ("7=a=b.png", "7=", "a=b.png"),
    ],
)
def test_the_name_of_a_mask_may_have_the_signs_of_frames_and_ids(
    mask: str, before: str, path: str, tmp_path: Path
) -> None:
    (tmp_path / "list.csv").write_text(f"source,mask\na.mp4,{mask}\n")
    [task] = read_tasks([str(tmp_path / "list.csv")])
    assert task.arguments == ("--mask", f"{before}{tmp_path / path}")


def test_a_presigned_address_of_a_mask_stays_whole(tmp_path: Path) -> None:
    address = "https://bucket.example/m.png?X-Amz-Credential=me%2F1&X-Amz-Signature=abc=="
    (tmp_path / "list.csv").write_text(f"source,mask\na.mp4,{address}\nb.mp4,3@2={address}\n")
    first, second = read_tasks([str(tmp_path / "list.csv")])
    assert first.arguments == ("--mask", address)
    assert second.arguments == ("--mask", f"3@2={address}")


def test_each_camera_has_its_region_depth_and_flow(tmp_path: Path) -> None:
    table = tmp_path / "list.csv"
    table.write_text("source,roi,depth,flow\na.mp4,street.png,maps,\nb.mp4,/abs/yard.png,,flow/b\n")

    first, second = read_tasks([str(table)])

    assert first.arguments == ("--roi", str(tmp_path / "street.png"), "--depth", str(tmp_path / "maps"))
    assert second.arguments == ("--roi", "/abs/yard.png", "--flow", str(tmp_path / "flow/b"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("source,colour\na.mp4,red\n", "column 'colour' is not known"),
        ("name\na\n", "row 1 has no source"),
        ("source,name\na.mp4,../b\n", "must stay inside the output"),
        ("source,box\na.mp4,1,2,3,4\n", "quote those with commas"),
        ('source,options\na.mp4,"--x \'"\n', "options cannot be read"),
    ],
)
def test_a_table_with_a_mistake_is_refused_with_its_row(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "list.csv").write_text(text)

    with pytest.raises(SourceError, match=message):
        read_tasks([str(tmp_path / "list.csv")])


def touched(folder: Path, *names: str) -> Path:
    """A folder with empty files; who plans opens none."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def names_and_sources(*sources: object) -> dict[str, str]:
    return {task.name: Path(task.source).name for task in read_tasks(list(map(str, sources)))}


def test_a_list_has_one_source_a_line_beside_it(tmp_path: Path) -> None:
    touched(tmp_path, "in/a.mp4", "b.mp4")
    (tmp_path / "list.txt").write_text("\n# the first\n  in/a.mp4  \n\nb.mp4\nhttps://host/c.mp4?key=1\n")
    tasks = read_tasks([str(tmp_path / "list.txt")])
    assert [task.name for task in tasks] == ["a", "b", "c"]
    assert [task.source for task in tasks] == [
        str(tmp_path / "in" / "a.mp4"),
        str(tmp_path / "b.mp4"),
        "https://host/c.mp4?key=1",
    ]


def test_a_list_may_lie_in_an_object_store(tmp_path: Path) -> None:
    """Its relative sources are there, too; masks are read on this machine."""
    fsspec = needs("fsspec")
    store = fsspec.filesystem("memory")
    mask = tmp_path / "first.png"
    store.pipe("/lists/all.csv", f"source,mask\na.mp4,{mask}\n/local/b.mp4,\ns3://other/c.mp4,\n".encode())
    store.pipe("/lists/all.txt", b"in/a.mp4\n")
    try:
        first, second, third = read_tasks(["memory://lists/all.csv"])
        assert (first.source, first.arguments) == ("memory://lists/a.mp4", ("--mask", str(mask)))
        assert [(task.name, task.source) for task in (second, third)] == [
            ("b", "/local/b.mp4"),
            ("c", "s3://other/c.mp4"),
        ]
        assert [task.source for task in read_tasks(["memory://lists/all.txt"])] == ["memory://lists/in/a.mp4"]
        store.pipe("/lists/all.csv", b"source,mask,roi\na.mp4,3@first.png,roi.png\n")
        (task,) = read_tasks(["memory://lists/all.csv"])
        beside = ("--mask", "3@memory://lists/first.png", "--roi", "memory://lists/roi.png")
        assert task.arguments == beside
        store.pipe("/lists/all.csv", b"source,depth\na.mp4,depth\n")
        for name in ("all.csv", "none.csv"):
            with pytest.raises(SourceError, match=rf"memory://lists/{name}: "):
                read_tasks([f"memory://lists/{name}"])
    finally:
        store.rm("/lists", recursive=True)


def test_the_home_folder_is_meant_by_a_tilde_in_lists_and_patterns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "a.mp4").touch()
    table = tmp_path / "list.csv"
    table.write_text("source,mask\n~/a.mp4,3=~/first.png\n")
    (task,) = read_tasks([str(table)])
    assert task.source == str(tmp_path / "home" / "a.mp4")
    assert task.arguments == ("--mask", f"3={tmp_path / 'home' / 'first.png'}")
    assert [task.name for task in read_tasks(["~/*.mp4"])] == ["a"]


def test_folders_and_patterns_leave_results_out(tmp_path: Path) -> None:
    touched(tmp_path, "a.mp4", "out/overlay.mp4", "out/.segue.result.json", "in/b.mp4", ".segue-batch/c.mp4")
    assert names_and_sources(tmp_path) == {"a": "a.mp4", "in/b": "b.mp4"}
    assert names_and_sources(tmp_path / "**" / "*.mp4") == {"a": "a.mp4", "b": "b.mp4"}
    (tmp_path / "list.csv").write_text("source\nin/b.mp4\nout/overlay.mp4\n")
    for place, named in (
        ("out", "out: results of segue"),
        ("out/overlay.mp4", r"out/overlay\.mp4: results of segue"),
        ("list.csv", r"row 2: out/overlay\.mp4: results of segue"),
    ):
        with pytest.raises(SourceError, match=named):
            read_tasks([str(tmp_path / place)])


def test_without_videos_each_inner_folder_is_one(tmp_path: Path) -> None:
    touched(tmp_path, "v10/0.png", "v9/0.png", "old/masks/.segue.json", ".segue-batch/x")
    assert names_and_sources(tmp_path) == {"v9": "v9", "v10": "v10"}
    assert names_and_sources(tmp_path / "v9") == {"v9": "v9"}
    touched(tmp_path / "only", "old/masks/.segue.json")
    for name in ("only", "none"):
        with pytest.raises(SourceError, match=f"{tmp_path / name}: "):
            read_tasks([str(tmp_path / name)])


def test_the_ending_of_an_address_is_that_of_its_path() -> None:
    address = "https://host/in/c.mp4?list=all.csv#part.txt"

    (task,) = read_tasks([address])

    assert (task.name, task.source) == ("c", address)


def test_a_video_is_as_long_as_what_its_source_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touched(tmp_path / "images", "0.jpg")
    (tmp_path / "a.mp4").write_bytes(b"12345")
    known = SourceIdentity("s3://b/known.mp4", "address", 1000)
    monkeypatch.setattr(plan, "remote_identity", {"s3://b/known.mp4": known}.get)
    sources = [str(tmp_path / "a.mp4"), str(tmp_path / "images"), known.place, "s3://b/new", "none.mp4"]
    found = list(in_threads(identity_now, [Task(source, source) for source in sources]))
    assert [replace(task, identity=now).size for task, now in found] == [5, 0, 1000, 0, 0]
    assert found[1][1] == SourceIdentity.of(tmp_path / "images")


def test_a_file_is_read_again_only_where_its_size_or_time_differs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(b"one")
    task = Task("a", str(path), identity=SourceIdentity.of(path))
    monkeypatch.setattr(SourceIdentity, "of", lambda _: pytest.fail("it is read"))
    assert list(in_threads(identity_now, [task])) == [(task, task.identity)]
    monkeypatch.undo()
    path.write_bytes(b"other")
    assert list(in_threads(identity_now, [task])) == [(task, SourceIdentity.of(path))]


def test_videos_of_a_remote_folder_are_named_by_their_place_there(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []

    def files_below(place: str, suffixes: frozenset[str]) -> list[str]:
        asked.append((place, suffixes))
        return [f"s3://bucket/videos/{name}" for name in ("a.mkv", "a.mp4", "in/b.mp4")]

    monkeypatch.setattr(plan, "files_below", files_below)
    for place in ("s3://bucket/videos", "s3://bucket/videos/"):
        tasks = read_tasks([place])
        assert [(task.name, task.source) for task in tasks] == [
            ("a", "s3://bucket/videos/a.mkv"),
            ("a", "s3://bucket/videos/a.mp4"),
            ("in/b", "s3://bucket/videos/in/b.mp4"),
        ]
    assert asked[0] == ("s3://bucket/videos", plan.VIDEO_SUFFIXES)


@pytest.mark.parametrize(
    ("own", "shared", "named"),
    [(("--box", "x"), (), r"^a \(s3://b/a\.mp4\): box 'x'"), ((), ("--box", "x"), r"^box 'x'")],
    ids=["one", "all"],
)
def test_an_error_of_one_video_has_its_name_and_one_of_all_has_none(
    own: tuple[str, ...], shared: tuple[str, ...], named: str
) -> None:
    with pytest.raises(SegueError, match=named):
        with_jobs([Task("a", "s3://me:secret@b/a.mp4", own)], JobConfig(options=shared))


def test_columns_are_options_of_the_job_and_join_those_of_the_batch(tmp_path: Path) -> None:
    table = tmp_path / "list.csv"
    table.write_text(
        "source,box,point,auto,classes,with,options\n"
        'a.mp4,"1,2,3,4;5@2:5,6,7,8","-9,1",,,,--mem-every 3\n'
        "b.mp4,,,yes,person;dog,nanodet,\n"
    )
    a, b = with_jobs(read_tasks([str(table)]), JobConfig(options=("--fit", "--mem-every", "5")))
    assert isinstance(a.job, TrackJob)
    assert [type(prompt) for prompt in a.job.prompts] == [BoxPrompt, BoxPrompt, PointPrompt]
    assert (a.job.fit, a.job.options.mem_every, a.job.source.place) == (True, 3, str(tmp_path / "a.mp4"))
    assert isinstance(b.job, TrackJob)
    assert b.job.finding == DetectorConfig(name="nanodet", classes=("person", "dog"))
    assert b.job.options.mem_every == 5
    assert a.row is None, "jobs of many videos share memory"


def test_boxes_of_the_batch_and_of_a_video_are_both_taken() -> None:
    own = Task("a", "a.mp4", ("--box", "2:5,5,9,9"))
    (task,) = with_jobs([own], JobConfig(options=("--box", "1:0,0,4,4")))
    assert isinstance(task.job, TrackJob)
    assert task.job.prompts == (BoxPrompt(1, (0, 0, 4, 4)), BoxPrompt(2, (5, 5, 9, 9)))


def test_words_of_the_batch_are_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    read, given = list[Sequence[str]](), batch.given_in_words

    def note(name: str, words: Sequence[str]) -> dict[str, Any]:
        read.append(words)
        return given(name, words)

    monkeypatch.setattr(batch, "given_in_words", note)
    tasks = [Task(name, f"{name}.mp4", ("--box", f"{name},0,9,9")) for name in "0123"]
    with_jobs(tasks, JobConfig(options=("--fit",)))
    assert [words[1:] for words in read] == [["--fit"], *([*task.arguments] for task in tasks)]


def test_a_row_without_prompts_beside_others_is_named() -> None:
    tasks = [Task("a", "a.mp4", ("--box", "1:0,0,4,4")), Task("b", "b.mp4")]
    with pytest.raises(SegueError, match=r"^b \(b.mp4\): say what to follow"):
        with_jobs(tasks, JobConfig())
    with pytest.raises(PromptError, match=r"^say what to follow"):
        with_jobs(tasks[1:], JobConfig())


def test_a_column_that_the_command_does_not_have_is_refused_with_the_video(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text('source,box\na.mp4,"1,2,3,4"\n')
    with pytest.raises(SegueError, match=r"^a \(.*a\.mp4\): segue foreground: .*--box"):
        with_jobs(read_tasks([str(tmp_path / "list.csv")]), JobConfig(command="foreground"))


def test_a_list_that_is_no_text_or_not_there_is_told(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "bom.txt").write_bytes("\ufeffa.mp4\n".encode())
    for name in ("list.txt", "none.csv", "none.txt"):
        with pytest.raises(SourceError, match=f"{name}: "):
            read_tasks([str(tmp_path / name)])
    assert [task.name for task in read_tasks([str(tmp_path / "bom.txt")])] == ["a"]


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "a/..",
        "../a",
        "/a",
        "a//b",
        "a/",
        "./a",
        "a/./b",
        "a\0b",
        ".segue-batch",
        "a/.segue.json",
    ],
)
def test_names_that_lead_elsewhere_or_are_segues_own_are_refused(name: str) -> None:
    check_name("a/b.mp4")
    with pytest.raises(SegueError):
        check_name(name)


@pytest.mark.parametrize("names", [("a", "b", "a"), ("a/b", "a"), ("a/b/c", "x", "a"), ("x", "..")])
def test_names_that_are_equal_or_lie_in_each_other_are_refused(names: tuple[str, ...]) -> None:
    with pytest.raises(SegueError, match=r"'a'|'\.\.'"):
        check_names(names)


def test_names_that_lie_apart_are_taken() -> None:
    check_names(["a/b/c", "a/b/d", "a/c", "ab", "b.mp4"])


def test_hidden_files_are_no_videos_and_others_are_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    card = touched(
        tmp_path / "DCIM",
        *("100GOPRO/GX01.MP4", "100GOPRO/._GX01.MP4", "100GOPRO/GX01.LRV", "100GOPRO/GX01.THM"),
        *("__MACOSX/GX01.MP4", ".Trashes/GX02.mp4", "Thumbs.db", "100GOPRO/GX02.LRV"),
    )
    assert names_and_sources(card) == {"100GOPRO/GX01": "GX01.MP4"}
    said = capsys.readouterr().err
    assert "3 files" in said
    assert "2 .lrv" in said
    assert "1 .thm" in said


def test_every_video_that_a_single_run_takes_is_one_of_a_batch(tmp_path: Path) -> None:
    names = [
        "a.MTS",
        "b.m2ts",
        "c.3gp",
        "d.asf",
        "e.flv",
        "f.mxf",
        "g.vob",
        "h.ogv",
        "i.AVI",
        "j.mpg",
        "k.h264",
        "l.gif",
        "m.wmv",
    ]
    assert sorted(names_and_sources(touched(tmp_path, *names)).values()) == names


def test_a_list_may_end_in_list(tmp_path: Path) -> None:
    touched(tmp_path, "a.mp4")
    (tmp_path / "videos.list").write_text("# ours\na.mp4\n")
    assert names_and_sources(tmp_path / "videos.list") == {"a": "a.mp4"}


def test_a_pattern_may_match_lists(tmp_path: Path) -> None:
    touched(tmp_path, "a.mp4", "b.mp4", "c.mp4")
    (tmp_path / "l1.csv").write_text("source\na.mp4\n")
    (tmp_path / "l2.csv").write_text("source\nb.mp4\n")
    assert names_and_sources(tmp_path / "l*.csv") == {"a": "a.mp4", "b": "b.mp4"}


def test_the_folder_of_a_pattern_may_have_brackets(tmp_path: Path) -> None:
    folder = touched(tmp_path / "take [1]", "a.mp4", "in/b.mp4")
    assert names_and_sources(folder / "*.mp4") == {"a": "a.mp4"}
    assert names_and_sources(folder / "**" / "[ab].mp4") == {"a": "a.mp4", "b": "b.mp4"}


def test_a_pattern_without_an_ending_takes_videos(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = touched(tmp_path / "in", "a.mp4", "b.mts", "a.thm", "._a.mp4", "notes.pdf")
    assert names_and_sources(folder / "*") == {"a": "a.mp4", "b": "b.mts"}
    assert "1 .pdf, 1 .thm" in capsys.readouterr().err
    assert names_and_sources(folder / "*.thm") == {"a": "a.thm"}


@pytest.mark.parametrize(
    "address", ["rtsp://u:secret@cam/1", "udp://239.0.0.1:1234", "srt://host:9000", "https://cam/live.m3u8"]
)
def test_a_stream_without_an_end_is_refused_at_once(tmp_path: Path, address: str) -> None:
    (tmp_path / "cameras.txt").write_text(f"{address}\n")
    for source in (address, str(tmp_path / "cameras.txt")):
        with pytest.raises(SourceError, match="has no end") as error:
            read_tasks([source])
        assert "secret" not in str(error.value)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_lists_that_windows_writes_are_read(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "ä.mp4").write_bytes(b"x")
    path = tmp_path / "list.txt"
    path.write_text("# videos\nä.mp4\n", encoding)
    assert [row["source"] for row in _rows(str(path))] == ["ä.mp4"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("semi.csv", "source;box\na.mp4;1,2,3,4\n"),
        ("tabs.csv", "source\tbox\na.mp4\t1,2,3,4\n"),
        ("usual.csv", 'source,box\na.mp4,"1,2,3,4"\n'),
        ("commas.tsv", 'source,box\na.mp4,"1,2,3,4"\n'),
    ],
)
def test_tables_of_spreadsheets_of_other_countries_are_read(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text, "utf-16" if "tabs" in name else "utf-8-sig")
    [task] = read_tasks([str(tmp_path / name)])
    assert (task.source, task.arguments) == (str(tmp_path / "a.mp4"), ("--box", "1,2,3,4"))


def test_paths_as_the_explorer_of_windows_copies_them(tmp_path: Path) -> None:
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos/a b.mp4").touch()
    (tmp_path / "list.txt").write_text('"videos/a b.mp4"\n')
    assert [task.source for task in read_tasks([str(tmp_path / "list.txt")])] == [
        f"{tmp_path}/videos/a b.mp4"
    ]
    (tmp_path / "list.txt").write_text("videos\\a b.mp4\n")
    assert [task.source for task in read_tasks([str(tmp_path / "list.txt")])] == [
        f"{tmp_path}/videos/a b.mp4"
    ]
    (tmp_path / "list.txt").write_text("videos\\gone.mp4\n")
    with pytest.raises(SourceError, match=r"row 1: .*backslashes separate no folders here"):
        read_tasks([str(tmp_path / "list.txt")])
