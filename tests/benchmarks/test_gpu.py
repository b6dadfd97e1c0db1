"""``benchmarks/gpu/gpu.py`` in its short form on a processor."""

from __future__ import annotations

import pytest

from benchmarks.gpu import gpu

SHORT = ("--device", "cpu", "--short")


def rows(text: str) -> list[list[str]]:
    """The cells of all tables, without their heads."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    below = [*cells[1:], []]
    return [row for row, under in zip(cells, below, strict=True) if "---" not in row and "---" not in under]


@pytest.mark.parametrize(
    ("trackers", "others"),
    [
        pytest.param(["stcn-lite"], ["mustan-lite"], marks=pytest.mark.slow),
        pytest.param(
            ["stcn", "stm", "xmem", "cutie", "sam2-tiny"], ["msstsvis-lite"], marks=pytest.mark.slow
        ),
    ],
)
def test_speed_is_a_table_with_the_plain_loop_and_both_precisions(
    trackers: list[str], others: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert gpu.main([*SHORT, "--parts", "speed", "--models", ",".join([*trackers, *others])]) == 0
    table = rows(capsys.readouterr().out)
    loops = [("plain", "float32"), ("segue", "float32"), ("plain", "bfloat16"), ("segue", "fast")]
    expected = [(model, *loop) for model in trackers for loop in loops]
    expected += [(model, "segue", precision) for model in others for precision in ("float32", "fast")]
    assert [tuple(row[:3]) for row in table] == expected
    assert all(float(row[3]) > 0 and float(row[4]) >= 0 and row[5] == "–" for row in table)


def test_a_golden_clip_that_differs_fails(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong() -> None:
        raise AssertionError("differs by 3")

    checks = {"good": gpu.golden_checks(gpu.CPU)["SAM 2.1 tiny, one click"], "bad": wrong}
    monkeypatch.setattr(gpu, "golden_checks", lambda device: checks)
    assert gpu.main([*SHORT, "--parts", "goldens"]) == 1
    said = capsys.readouterr().out
    assert [row[:2] for row in rows(said)] == [["good", "as published"], ["bad", "**fails**"]]
    assert "differs by 3" in said


def test_measurements_without_time_left_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert gpu.main([*SHORT, "--parts", "compile", "--models", "stcn-lite", "--budget", "0"]) == 0
    said = capsys.readouterr().out
    assert {row[-1] for row in rows(said)} == {"left out"}
    assert said.count("- left out, no time: stcn-lite") == 4
