"""Evaluations and comparisons as one page each, to read, to keep and to send: no script, no other file."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from xml.etree.ElementTree import Element

from segue.metrics.compare import CONFIDENCE, RESAMPLES, Comparison
from segue.metrics.evaluation import Evaluation, Measures
from segue.reports.charts import bars, drawn, pairs, timeline
from segue.reports.page import legend, node, number, signed, table, write_page
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
    write_page(Path(path), f"{evaluation.protocol} – segue", _evaluation(evaluation, about or {}))


def write_comparison(comparison: Comparison, path: Path | str) -> None:
    """Write a comparison of two results as one HTML page.

    Raises:
        SinkError: the page cannot be written.
    """
    title = f"{comparison.names[0]} and {comparison.names[1]} – segue"
    write_page(Path(path), title, _comparison(comparison))


def _evaluation(evaluation: Evaluation, about: Mapping[str, str]) -> Iterator[Element]:
    yield node("h1", evaluation.protocol)
    facts = {"sequences": str(len(evaluation.sequences)), "ranked by": evaluation.headline, **about}
    yield node("p", "; ".join(f"{name}: {fact}" for name, fact in facts.items()), class_="quiet")
    yield _numbers(evaluation.overall, evaluation.headline)
    yield from _remarks(evaluation.remarks)
    if evaluation.sequences:
        yield from _sequences(evaluation)
    if evaluation.series:
        yield from _over_time(evaluation)
        yield from _pictures(evaluation)
    for title, kind, tables in (
        ("Categories", "category", evaluation.categories),
        ("Objects", "object", evaluation.objects),
    ):
        if tables:
            yield node("h2", title)
            yield _folded(len(tables), _measure_table(kind, tables))


def _sequences(evaluation: Evaluation) -> Iterator[Element]:
    headline = evaluation.headline
    scores = {name: measures.get(headline, math.nan) for name, measures in evaluation.sequences.items()}
    yield node("h2", f"{headline} by sequence")
    shown = _lowest(scores)
    if len(shown) < len(scores):
        yield node("p", f"The {len(shown)} lowest of {len(scores)}.", class_="quiet")
    yield bars({name: scores[name] for name in shown})
    yield node("h2", "Sequences")
    yield _measure_table("sequence", evaluation.sequences, evaluation.overall)


def _over_time(evaluation: Evaluation) -> Iterator[Element]:
    headline, series = evaluation.headline, evaluation.series
    scores = {name: evaluation.sequences.get(name, {}).get(headline, math.nan) for name in series}
    shown = [name for name in _lowest(scores) if drawn(series[name])]
    measures = list(dict.fromkeys(key for name in shown for key in drawn(series[name])))
    yield node("h2", "Over time")
    yield legend(zip(measures, _PAIR, strict=False))
    charts = (
        node("figure", timeline(series[name]), node("figcaption", f"{name} {number(scores[name])}"))
        for name in shown
    )
    yield node("div", *charts, class_="grid")


def _pictures(evaluation: Evaluation) -> Iterator[Element]:
    worst_of_all = worst_frames(evaluation.series, WORST)
    if evaluation.view is None or not worst_of_all:
        return
    yield node("h2", "Worst frames")
    yield legend((kind, f"rgb{colour}") for kind, colour in COLOURS.items())
    figures = []
    for worst in worst_of_all:
        view = evaluation.view(worst.sequence, worst.frame)
        part = closer(view)
        picture = colour_errors(view)[part]
        enlarged = ", enlarged" if picture.shape[:2] != view.truth.shape else ""
        caption = f"{worst.sequence}, frame {worst.frame}{enlarged}: {worst.measure} {number(worst.value)}"
        figures.append(_figure(data_uri(picture), caption))
    yield node("div", *figures, class_="grid wide")


def _comparison(comparison: Comparison) -> Iterator[Element]:
    first, second = comparison.first, comparison.second
    headline = first.headline
    yield node("h1", f"{comparison.names[0]} and {comparison.names[1]}")
    yield node("p", f"{first.protocol}; differences are second minus first.", class_="quiet")
    yield from _remarks(comparison.remarks)
    yield node("h2", "Overall")
    rows = [(key, _pair(value, second.overall.get(key, math.nan))) for key, value in first.overall.items()]
    yield table(("measure", *comparison.names, "difference"), rows, None)
    if not comparison.intervals:
        return
    yield node("h2", "Mean difference by sequence")
    yield node("p", describe_interval(comparison.seed), class_="quiet")
    intervals = [
        (key, (signed(item.mean), signed(item.low), signed(item.high), str(item.sequences)))
        for key, item in comparison.intervals.items()
    ]
    yield table(("measure", "mean", "from", "to", "sequences"), intervals, None)
    scores = {
        name: (measures.get(headline, math.nan), second.sequences[name].get(headline, math.nan))
        for name, measures in first.sequences.items()
    }
    yield node("h2", f"{headline} by sequence")
    yield legend(zip(comparison.names, _PAIR, strict=True))
    shown = _lowest({name: -abs(b - a) for name, (a, b) in scores.items()})
    if len(shown) < len(scores):
        yield node("p", f"The {len(shown)} most different of {len(scores)}.", class_="quiet")
    yield pairs({name: scores[name] for name in shown})
    by_sequence = ((name, _pair(*values)) for name, values in scores.items())
    columns = ("sequence", *comparison.names, "difference")
    yield _folded(len(scores), table(columns, by_sequence, None))


def describe_interval(seed: int) -> str:
    """What the numbers of a comparison's intervals are."""
    return (
        f"Every sequence counts the same; {CONFIDENCE:.0%} percentile interval of a paired bootstrap over "
        f"sequences ({RESAMPLES:,} resamples, seed {seed})."
    )


def _pair(first: float, second: float) -> tuple[str, str, str]:
    return number(first), number(second), signed(second - first)


def _numbers(measures: Measures, headline: str) -> Element:
    ordered = sorted(measures.items(), key=lambda item: item[0] != headline)
    return node("ul", *(node("li", node("b", number(v)), k) for k, v in ordered), class_="numbers")


def _remarks(remarks: Iterable[str]) -> Iterator[Element]:
    items = [node("li", remark) for remark in remarks]
    if items:
        yield node("ul", *items, class_="remarks")


def _measure_table(first: str, tables: Mapping[str, Measures], total: Measures | None = None) -> Element:
    columns = list(dict.fromkeys(key for measures in tables.values() for key in measures))
    rows = ((name, _cells(measures, columns)) for name, measures in tables.items())
    return table((first, *columns), rows, None if total is None else ("all", _cells(total, columns)))


def _cells(measures: Measures, columns: Sequence[str]) -> list[str]:
    return [number(measures[key]) if key in measures else "" for key in columns]


def _folded(rows: int, content: Element) -> Element:
    return node("details", node("summary", f"{rows} row{'s' if rows > 1 else ''}"), content)


def _figure(address: str, caption: str) -> Element:
    return node("figure", node("img", src=address, alt=caption, loading="lazy"), node("figcaption", caption))


def _lowest(scores: Mapping[str, float]) -> list[str]:
    """Names with the lowest scores, at most :data:`CHARTS`, in their own order."""
    kept = set(sorted(scores, key=lambda name: (math.isnan(scores[name]), scores[name]))[:CHARTS])
    return [name for name in scores if name in kept]
