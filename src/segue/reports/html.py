"""Evaluations and comparisons as one page each, to read, to keep and to send: no script, no other file."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path

from segue.metrics.compare import CONFIDENCE, RESAMPLES, Comparison
from segue.metrics.evaluation import Evaluation
from segue.reports.charts import bars, drawn, pairs, timeline
from segue.reports.page import drawing, number, signed, write_page
from segue.reports.pictures import COLOURS, closer, colour_errors, data_uri, worst_frames

WORST = 12
"""Pictures of a page at most."""

CHARTS = 120
"""Sequences shown as charts at most; of more, those with the lowest scores."""

_PAIR = ("var(--one)", "var(--two)")
"""Colours of the first and the second line or dot of a chart."""


def write_report(evaluation: Evaluation, path: Path | str, *, about: Mapping[str, str] | None = None) -> None:
    """Write an evaluation as one HTML page.

    It holds the protocol, the remarks, all tables, bars by sequence, the measures over time and the worst
    frames as pictures. Its size is bounded: :data:`WORST` pictures, :data:`CHARTS` charts.

    Args:
        evaluation: what to show.
        path: file to write.
        about: further facts for the head of the page, such as where results and data lie.

    Raises:
        SinkError: the page cannot be written.
        SegueError: a frame to be shown cannot be read.
    """
    headline, series = evaluation.headline, evaluation.series
    scores = {name: measures.get(headline, math.nan) for name, measures in evaluation.sequences.items()}
    shown = {name: scores[name] for name in _lowest(scores)}
    over_time = _lowest({name: scores.get(name, math.nan) for name in series})
    over_time = [name for name in over_time if drawn(series[name])]
    measures = dict.fromkeys(key for name in over_time for key in drawn(series[name]))
    ordered = sorted(evaluation.overall.items(), key=lambda item: item[0] != headline)
    write_page(
        Path(path),
        "evaluation.html",
        title=f"{evaluation.protocol} – segue",
        it=evaluation,
        facts={"sequences": len(evaluation.sequences), "ranked by": headline, **(about or {})},
        headline_first=[(name, number(value)) for name, value in ordered],
        bars=shown,
        bars_chart=drawing(bars(shown)),
        lines=list(zip(measures, _PAIR, strict=False)),
        charts=[
            (f"{name} {number(scores.get(name, math.nan))}", drawing(timeline(series[name])))
            for name in over_time
        ],
        colours=[(kind, f"rgb{colour}") for kind, colour in COLOURS.items()],
        pictures=list(_pictures(evaluation)),
        groups=[("Categories", "category", evaluation.categories), ("Objects", "object", evaluation.objects)],
    )


def _pictures(evaluation: Evaluation) -> Iterator[tuple[str, str]]:
    """Address and caption of the worst frames."""
    for worst in worst_frames(evaluation.series, WORST) if evaluation.view is not None else ():
        view = evaluation.view(worst.sequence, worst.frame)  # type: ignore[misc]
        picture = colour_errors(view)[closer(view)]
        enlarged = ", enlarged" if picture.shape[:2] != view.truth.shape else ""
        caption = f"{worst.sequence}, frame {worst.frame}{enlarged}: {worst.measure} {number(worst.value)}"
        yield data_uri(picture), caption


def write_comparison(comparison: Comparison, path: Path | str) -> None:
    """Write a comparison of two results as one HTML page.

    Raises:
        SinkError: the page cannot be written.
    """
    first, second = comparison.first, comparison.second
    headline = first.headline
    scores = {
        name: (measures.get(headline, math.nan), second.sequences[name].get(headline, math.nan))
        for name, measures in first.sequences.items()
    }
    shown = _lowest({name: -abs(b - a) for name, (a, b) in scores.items()})
    write_page(
        Path(path),
        "comparison.html",
        title=f"{comparison.names[0]} and {comparison.names[1]} – segue",
        it=comparison,
        overall=[
            (key, _pair(value, second.overall.get(key, math.nan))) for key, value in first.overall.items()
        ],
        interval=describe_interval(comparison.seed),
        intervals=[
            (key, (signed(item.mean), signed(item.low), signed(item.high), str(item.sequences)))
            for key, item in comparison.intervals.items()
        ],
        lines=list(zip(comparison.names, _PAIR, strict=True)),
        shown=len(shown),
        pairs_chart=drawing(pairs({name: scores[name] for name in shown})),
        rows=[(name, _pair(*values)) for name, values in scores.items()],
    )


def describe_interval(seed: int) -> str:
    """What the numbers of a comparison's intervals are."""
    return (
        f"Every sequence counts the same; {CONFIDENCE:.0%} percentile interval of a paired bootstrap over "
        f"sequences ({RESAMPLES:,} resamples, seed {seed})."
    )


def _pair(first: float, second: float) -> tuple[str, str, str]:
    return number(first), number(second), signed(second - first)


def _lowest(scores: Mapping[str, float]) -> list[str]:
    """Names with the lowest scores, at most :data:`CHARTS`, in their own order."""
    kept = set(sorted(scores, key=lambda name: (math.isnan(scores[name]), scores[name]))[:CHARTS])
    return [name for name in scores if name in kept]
