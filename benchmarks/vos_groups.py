"""What makes the annotated clips hard: scores by kind of difficulty, and the worst kind.

A mean over clips hides that one kind of video is lost. Weights and options are chosen by the mean and by the
worst group together, see :func:`group_table`.
"""

from __future__ import annotations

from collections.abc import Mapping

GROUPS: dict[str, tuple[str, ...]] = {
    "slow": (
        "goat over dog_1280x720",
        "soapbox over office",
        "breakdance over people_640x480",
        "drift-chicane over juggle_1280x720",
        "bmx-trees over highway",
        "pond 7",
        "pond 11",
    ),
    "fast": ("bmx-trees", "breakdance", "drift-chicane", "drift-straight", "swing+dance-jump"),
    "look-alikes": ("breakdance", "soapbox", "elephant+drift-chicane", "pond 7", "pond 11"),
    "occlusion": ("bmx-trees", "drift-chicane", "bear+soccerball", "swing+dance-jump"),
    "thin parts": ("bmx-trees", "paragliding-launch", "bmx-trees over highway", "swing+dance-jump"),
    "several objects": (
        "bear+soccerball",
        "elephant+drift-chicane",
        "flamingo+mallard-fly",
        "swing+dance-jump",
        "pond 7",
        "pond 11",
    ),
    "small objects": ("drift-chicane", "bear+soccerball", "drift-chicane over juggle_1280x720"),
}
"""Development clips by what is hard in them, by their names; a clip may stand in several groups."""

Scores = Mapping[str, Mapping[str, float]]
"""J&F by clip name, by set."""


def group_means(scores: Scores) -> dict[str, float]:
    """Mean J&F of each group, over all its clips of all sets; groups without a clip are missing."""
    found = {
        group: [clips[name] for clips in scores.values() for name in names if name in clips]
        for group, names in GROUPS.items()
    }
    return {group: sum(values) / len(values) for group, values in found.items() if values}


def group_table(by_method: Mapping[str, Scores]) -> str:
    """Markdown: J&F of each group by method, the worst group, and the mean over all clips of all sets."""
    means = {method: group_means(scores) for method, scores in by_method.items()}
    present = [group for group in GROUPS if all(group in groups for groups in means.values())]
    lines = ["| J&F | " + " | ".join(means) + " |", "| --- |" + " --- |" * len(means)]
    for group in present:
        lines.append(_row(group, [groups[group] for groups in means.values()]))
    if present:
        lines.append(_row("**worst group**", [min(groups.values()) for groups in means.values()]))
    lines.append(_row("**mean of clips**", [_mean(scores) for scores in by_method.values()]))
    return "\n".join(lines)


def _mean(scores: Scores) -> float:
    values = [value for clips in scores.values() for value in clips.values()]
    return sum(values) / len(values)


def _row(name: str, values: list[float]) -> str:
    return f"| {name} | " + " | ".join(f"{value:.3f}" for value in values) + " |"
