"""Evaluations and comparisons as one page each, to read, to keep and to send: no script, no other file."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, tostring

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from segue.metrics.compare import CONFIDENCE, RESAMPLES, Comparison
from segue.metrics.evaluation import Evaluation, FrameView, Measures
from segue.reports.charts import bars, chart_order, number, pairs, signed, timeline
from segue.reports.files import Pairs, paired
from segue.reports.images import (
    COLOURS,
    PANEL_SIDE,
    changed_frames,
    data_uri,
    panels,
    worst_frames,
)
from segue.utils.files import prepare, write_complete
from segue.utils.inputs import user_path
from segue.utils.version import __version__

WORST = 12
"""Frames that a page shows as images, at most."""

CHARTS = 120
"""Sequences shown as charts at most; of more, those with the lowest scores."""

_PAIR = ("var(--one)", "var(--two)")
"""Colours of the first and the second line or dot of a chart."""


def write_report(evaluation: Evaluation, path: Path | str, *, about: Mapping[str, str] | None = None) -> None:
    """Write an evaluation as one HTML page.

    It holds the protocol, the remarks, all tables, bars by sequence, the measures over time and the worst
    frames as images, the truth, the result and its errors side by side. Its size is bounded: :data:`WORST`
    frames, :data:`CHARTS` charts.

    Args:
        evaluation: shown evaluation.
        path: file to write.
        about: further facts for the head of the page, such as where results and data lie.

    Raises:
        SinkError: the page cannot be written.
        SegueError: a frame to be shown cannot be read.
    """
    headline, series = evaluation.headline, evaluation.series
    scores = {name: measures.get(headline, math.nan) for name, measures in evaluation.sequences.items()}
    lowest = {name: scores[name] for name in _lowest(scores)}
    over_time = _lowest({name: scores.get(name, math.nan) for name in series})
    over_time = [name for name in over_time if chart_order(series[name])]
    measures = dict.fromkeys(key for name in over_time for key in chart_order(series[name]))
    ordered = sorted(evaluation.overall.items(), key=lambda item: item[0] != headline)
    write_page(
        user_path(path),
        "evaluation.html",
        title=f"{evaluation.protocol} – segue",
        it=evaluation,
        facts={"sequences": len(evaluation.sequences), "ranked by": headline, **(about or {})},
        headline_first=[(name, number(value)) for name, value in ordered],
        bars=lowest,
        bars_chart=_drawing(bars(lowest)),
        lines=list(zip(measures, _PAIR, strict=False)),
        charts=[
            (f"{name} {number(scores.get(name, math.nan))}", _drawing(timeline(series[name])))
            for name in over_time
        ],
        colours=_legend(),
        frames=list(_worst(evaluation)),
        groups=[
            ("Categories", "category", evaluation.categories),
            ("Groups", "group", evaluation.groups),
            ("Objects", "object", evaluation.objects),
        ],
    )


Panels = list[tuple[str, str]]
"""Name and address of each image of a frame."""


def _worst(evaluation: Evaluation) -> Iterator[tuple[str, Panels]]:
    """Caption and images of the worst frames."""
    for worst in worst_frames(evaluation.series, WORST) if evaluation.view is not None else ():
        view = evaluation.view(worst.sequence, worst.frame)  # type: ignore[misc]
        images, enlarged = _panels({"errors": view})
        value = f"{worst.measure} {number(worst.value)}"
        yield f"{worst.sequence}, frame {worst.frame}{enlarged}: {value}", images


def _legend() -> list[tuple[str, str]]:
    return [(kind, f"rgb{colour}") for kind, colour in COLOURS.items()]


def _changed(comparison: Comparison) -> Iterator[tuple[str, Panels]]:
    """Caption and images of the frames on which two results differ most."""
    one, other = comparison.first.view, comparison.second.view
    if one is None or other is None:
        return
    names = comparison.names
    if names[0] == names[1]:
        names = "first", "second"
    for item in changed_frames(comparison.first.series, comparison.second.series, WORST):
        views = (view(item.sequence, item.frame) for view in (one, other))
        images, enlarged = _panels(dict(zip(names, views, strict=True)))
        values = f"{number(item.first)}, {number(item.second)} ({signed(item.second - item.first)})"
        yield f"{item.sequence}, frame {item.frame}{enlarged}: {item.measure} {values}", images


def _panels(views: Mapping[str, FrameView]) -> tuple[Panels, str]:
    images, closer = panels(views)
    addresses = [(name, data_uri(image, PANEL_SIDE)) for name, image in images]
    return addresses, ", enlarged" if closer else ""


def write_comparison(comparison: Comparison, path: Path | str) -> None:
    """Write a comparison of two results as one HTML page.

    It holds both overall scores and, where there are scores by sequence, the mean differences with their
    intervals and the headline of each sequence in both results. The chart shows at most :data:`CHARTS`
    sequences, those that differ most. The :data:`WORST` frames that differ most are images: the truth and
    the errors of both results side by side.

    Args:
        comparison: two results on one data set.
        path: file to write; an existing one is replaced.

    Raises:
        SinkError: the page cannot be written.
        SegueError: a frame to be shown cannot be read.
    """
    overall, scores = in_both(comparison)
    largest_changes = _lowest({name: -abs(b - a) for name, (a, b) in scores.items()})
    write_page(
        user_path(path),
        "comparison.html",
        title=f"{comparison.names[0]} and {comparison.names[1]} – segue",
        it=comparison,
        overall=difference_rows(overall),
        interval=describe_interval(comparison.seed),
        intervals=interval_rows(comparison),
        lines=list(zip(comparison.names, _PAIR, strict=True)),
        shown=len(largest_changes),
        pairs_chart=_drawing(pairs({name: scores[name] for name in largest_changes})),
        rows=difference_rows(scores),
        colours=_legend(),
        frames=list(_changed(comparison)),
    )


def describe_interval(seed: int) -> str:
    """Explanation of the intervals of a comparison."""
    return (
        f"Every sequence counts the same; {CONFIDENCE:.0%} percentile interval of a paired bootstrap over "
        f"sequences ({RESAMPLES:,} resamples, seed {seed})."
    )


def in_both(comparison: Comparison) -> tuple[Pairs, Pairs]:
    """Overall measures, and the headline of each sequence, in both results; NaN if missing."""
    first, second = comparison.first, comparison.second
    one, other = (
        {name: measures.get(first.headline, math.nan) for name, measures in item.sequences.items()}
        for item in (first, second)
    )
    return paired(first.overall, second.overall), paired(one, other)


def difference_rows(pairs: Pairs) -> list[tuple[str, tuple[str, ...]]]:
    """Rows of a table: both values, and the second minus the first."""
    return [(name, (number(a), number(b), signed(b - a))) for name, (a, b) in pairs.items()]


def interval_rows(comparison: Comparison) -> list[tuple[str, tuple[str, ...]]]:
    """Rows of a table: mean, low and high end, and number of sequences of each interval."""
    return [
        (key, (signed(item.mean), signed(item.low), signed(item.high), str(item.sequences)))
        for key, item in comparison.intervals.items()
    ]


def _lowest(scores: Mapping[str, float]) -> list[str]:
    """Names with the lowest scores, at most :data:`CHARTS`, in their own order."""
    selected = set(sorted(scores, key=lambda name: (math.isnan(scores[name]), scores[name]))[:CHARTS])
    return [name for name in scores if name in selected]


def _columns(tables: Mapping[str, Measures]) -> list[str]:
    return list(dict.fromkeys(key for measures in tables.values() for key in measures))


def measured_rows(tables: Mapping[str, Measures], columns: Iterable[str]) -> list[tuple[str, list[str]]]:
    """Rows of a table of measures; missing values are empty."""
    return [
        (name, [number(measures[key]) if key in measures else "" for key in columns])
        for name, measures in tables.items()
    ]


_PAGES = Environment(
    loader=PackageLoader("segue.reports"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_PAGES.globals |= {"columns_of": _columns, "rows_of": measured_rows, "version": __version__}


def write_page(path: Path, template: str, **values: Any) -> None:
    """Write a page that needs no other file, by one of ``templates``; the texts in ``values`` are escaped."""
    prepare(path)
    text = _PAGES.get_template(template).render(values)
    # Names of files need not be valid text; what cannot be written becomes a question mark.
    write_complete(path, text.encode("utf-8", "replace"))


def _drawing(element: Element) -> Markup:
    """A chart for a template."""
    return Markup(tostring(element, encoding="unicode", method="html"))
