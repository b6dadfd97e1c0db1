"""``segue eval``: score results with the numbers of the official tools."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from segue.cli.outcome import Files, progress
from segue.cli.scoring import DataSetName, ForegroundMissingName, MissingName, Request, TaskName, YearName
from segue.cli.tables import print_evaluation
from segue.reports import evaluation_values, write_csv, write_json, write_report

app = typer.Typer(
    help="Score results of any program; the numbers equal those of the official tools.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)

Results = Annotated[
    Path, typer.Argument(help="Folder or zip with masks SEQUENCE/FRAME.png.", show_default=False)
]
Tracks = Annotated[
    Path, typer.Argument(help="Result file of the official form, JSON or zip.", show_default=False)
]
Videos = Annotated[
    Path,
    typer.Argument(help="Folder or zip with pictures VIDEO/*000001.png.", show_default=False),
]
Data = Annotated[Path, typer.Option("--data", help="Folder of the data set.", show_default=False)]
DavisSet = Annotated[
    str | None,
    typer.Option(
        "--set",
        help="Split in ImageSets.  [default: val; without ImageSets, all sequences]",
        show_default=False,
    ),
]
AnnotatedSet = Annotated[str, typer.Option("--set", help="Split: train, valid or test.")]
OnlySequences = Annotated[
    list[str] | None,
    typer.Option("--sequence", help="Score only this sequence; may be given several times."),
]
OnlyVideos = Annotated[
    list[str] | None,
    typer.Option("--sequence", help="Score only this video or category; may be given several times."),
]
Task = Annotated[TaskName, typer.Option(help="Task.")]
Year = Annotated[
    YearName, typer.Option(help="Edition; 2016 takes all objects as one, 2016-toolkit scores all frames.")
]
Threshold = Annotated[
    int | None,
    typer.Option(
        min=1,
        max=255,
        help="Results are foreground from this value on.  [default: 255; hofam 15]",
        show_default=False,
    ),
]
Missing = Annotated[MissingName, typer.Option(help="What a frame without a result is.")]
ForegroundMissing = Annotated[
    ForegroundMissingName, typer.Option(help="What a labelled frame without a result is.")
]
Workers = Annotated[int, typer.Option(min=1, help="Sequences to score side by side.")]
Json = Annotated[Path | None, typer.Option("--json", help="File for all scores in full precision.")]
Csv = Annotated[Path | None, typer.Option("--csv", help="Folder for the official result files.")]
Report = Annotated[Path | None, typer.Option("--report", help="File for a page with charts and pictures.")]


@app.command("davis")
def davis(
    results: Results,
    data: Data,
    subset: DavisSet = None,
    sequence: OnlySequences = None,
    task: Task = TaskName.semi,
    year: Year = YearName.y2017,
    missing: Missing = MissingName.error,
    workers: Workers = 1,
    json: Json = None,
    csv: Csv = None,
    report: Report = None,
) -> None:
    """DAVIS 2016 and 2017: J, F and their mean.

    Examples:

        segue eval davis results/ --data DAVIS

        segue eval davis results.zip --data DAVIS --task unsupervised --workers 4 --report scores.html

        segue eval davis results/ --data DAVIS --year 2016 --json scores.json --csv official/
    """
    request = Request(
        dataset=DataSetName.davis,
        data=data,
        subset=subset,
        sequences=tuple(sequence or ()),
        task=task,
        year=year,
        missing=missing.value,
        workers=workers,
    )
    _run(request, results, Files(json, report, csv))


@app.command("folder")
def folder(
    results: Results,
    data: Data,
    sequence: OnlySequences = None,
    task: Task = TaskName.semi,
    missing: Missing = MissingName.error,
    workers: Workers = 1,
    json: Json = None,
    csv: Csv = None,
    report: Report = None,
) -> None:
    """Any folder in the layout of DAVIS, all of its sequences: J, F and their mean.

    Examples:

        segue eval folder results/ --data my_videos

        segue eval folder results/ --data my_videos --sequence dog --sequence cat --report scores.html
    """
    request = Request(
        dataset=DataSetName.folder,
        data=data,
        sequences=tuple(sequence or ()),
        task=task,
        missing=missing.value,
        workers=workers,
    )
    _run(request, results, Files(json, report, csv))


@app.command("ytvos")
def ytvos(
    results: Results,
    data: Data,
    subset: Annotated[
        str | None, typer.Option("--set", help="Part below the folder, such as train.", show_default=False)
    ] = None,
    sequence: OnlySequences = None,
    seen: Annotated[
        Path | None,
        typer.Option(
            help="Categories that were trained on: one in a line, or a meta.json.  [default: all]",
            show_default=False,
        ),
    ] = None,
    missing: Missing = MissingName.error,
    workers: Workers = 1,
    json: Json = None,
    report: Report = None,
) -> None:
    """YouTube-VOS where all annotations are at hand: J and F of seen and unseen categories, and overall.

    Examples:

        segue eval ytvos results/ --data YouTubeVOS --set train --sequence 003234408d

        segue eval ytvos results.zip --data held_out --seen train/meta.json --workers 4
    """
    request = Request(
        dataset=DataSetName.ytvos,
        data=data,
        subset=subset,
        sequences=tuple(sequence or ()),
        seen=seen,
        missing=missing.value,
        workers=workers,
    )
    _run(request, results, Files(json, report))


@app.command("ytvis")
def ytvis(
    results: Tracks,
    data: Data,
    subset: AnnotatedSet = "valid",
    json: Json = None,
    report: Report = None,
) -> None:
    """YouTube-VIS 2019, 2021: AP, AP50, AP75, AR1, AR10. `--data` may also be the annotation file.

    Examples:

        segue eval ytvis results.json --data youtube_vis_2021 --set train

        segue eval ytvis results.zip --data annotations.json --json scores.json
    """
    _run(Request(dataset=DataSetName.ytvis, data=data, subset=subset), results, Files(json, report))


@app.command("ovis")
def ovis(
    results: Tracks,
    data: Data,
    subset: AnnotatedSet = "valid",
    json: Json = None,
    report: Report = None,
) -> None:
    """OVIS, scored as YouTube-VIS: AP, AP50, AP75, AR1, AR10.

    Example:

        segue eval ovis results.json --data OVIS --set train --report scores.html
    """
    _run(Request(dataset=DataSetName.ovis, data=data, subset=subset), results, Files(json, report))


@app.command("cdnet")
def cdnet(
    results: Videos,
    data: Data,
    sequence: OnlyVideos = None,
    threshold: Threshold = None,
    training_frames: Annotated[
        str | None,
        typer.Option(help="Leave out the training frames of a list, COUNT@FILE.", show_default=False),
    ] = None,
    missing: ForegroundMissing = ForegroundMissingName.error,
    workers: Workers = 1,
    json: Json = None,
    csv: Csv = None,
    report: Report = None,
) -> None:
    """CDnet2014: Re, Sp, FPR, FNR, PWC, Pr and F by video, category and overall.

    Examples:

        segue eval cdnet results/ --data CDnet2014 --workers 4

        segue eval cdnet results/ --data CDnet2014 --sequence shadow --sequence baseline/highway

        segue eval cdnet results/ --data CDnet2014 --training-frames 200@train_frame_lists.json
    """
    request = Request(
        dataset=DataSetName.cdnet,
        data=data,
        sequences=tuple(sequence or ()),
        threshold=threshold,
        training_frames=training_frames,
        missing=missing.value,
        workers=workers,
    )
    _run(request, results, Files(json, report, csv))


_OF_VIDEOS = {
    DataSetName.sbi: """SBI2015 with its later foreground masks: F and the other measures of CDnet2014.

    Example:

        segue eval sbi results/ --data SBI2015 --report scores.html
    """,
    DataSetName.lasiesta: """LASIESTA: F and the other measures of CDnet2014, overall with a static camera.

    Example:

        segue eval lasiesta results/ --data LASIESTA --json scores.json
    """,
    DataSetName.limu: """LIMU: F and the other measures of CDnet2014.

    Example:

        segue eval limu results/ --data LIMU --sequence LightSwitch
    """,
    DataSetName.hofam: """Composite pictures of HOFAM: Mean Dice, recall, precision, F, as its program counts.

    Example:

        segue eval hofam results/ --data demo --report scores.html
    """,
    DataSetName.foreground: """Any videos VIDEO/input/* with labels VIDEO/groundtruth/*: F and its like.

    Example:

        segue eval foreground results/ --data my_videos --report scores.html
    """,
}
"""Help of the data sets whose commands differ in nothing else."""


def _command(dataset: DataSetName) -> Callable[..., None]:
    def score(
        results: Videos,
        data: Data,
        sequence: OnlyVideos = None,
        threshold: Threshold = None,
        missing: ForegroundMissing = ForegroundMissingName.error,
        workers: Workers = 1,
        json: Json = None,
        report: Report = None,
    ) -> None:
        request = Request(
            dataset=dataset,
            data=data,
            sequences=tuple(sequence or ()),
            threshold=threshold,
            missing=missing.value,
            workers=workers,
        )
        _run(request, results, Files(json, report))

    return score


for _dataset, _help in _OF_VIDEOS.items():
    app.command(_dataset.value, help=_help)(_command(_dataset))


def _run(request: Request, results: Path, files: Files) -> None:
    """Score, print and write."""
    files.check()
    with progress(results.name) as show:
        evaluation = request.score(results, show)
    print_evaluation(evaluation)
    if files.json is not None:
        write_json(files.json, evaluation_values(evaluation))
    if files.csv is not None:
        write_csv(files.csv, evaluation)
    if files.report is not None:
        about = {"results": str(results), "data": str(request.data)}
        write_report(evaluation, files.report, about=about)
    files.tell()
