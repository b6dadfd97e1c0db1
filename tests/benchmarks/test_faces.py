"""The benchmark of the faces: all four run, and their masks are the same bytes."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).resolve().parents[2] / "benchmarks"))  # scripts find their siblings so

import faces


@pytest.mark.slow
def test_each_face_writes_the_same_masks(tmp_path: Path) -> None:
    found = []
    for number, words in enumerate(faces.FACES.values()):
        assert faces.processor_seconds(words(3, tmp_path / str(number))) > 0
        found.append(faces.masks(tmp_path / str(number)))
    assert len(found[0]) == 3
    assert all(other == found[0] for other in found[1:])


def test_a_face_that_fails_ends_the_benchmark_with_its_message(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="not in the film"):
        faces.processor_seconds(["-c", "raise SystemExit('not in the film')"])


def test_a_disturbed_part_does_not_count_while_another_round_is_there() -> None:
    rounds = {"short": [3.0, 3.0, 9.0], "long": [11.0, 20.0, 11.5]}
    assert faces.seconds_of_a_frame(rounds["short"], rounds["long"], faces.SHORT + 40) == 0.2
    # The third round alone has the least difference, since its short part took too long.
    assert min(b - a for a, b in zip(rounds["short"], rounds["long"], strict=True)) / 40 < 0.1


def test_each_face_is_the_first_of_some_round() -> None:
    rounds = [faces.in_turn(turn) for turn in range(5)]
    assert [names[0] for names in rounds] == [*faces.FACES, next(iter(faces.FACES))]
    assert all(set(names) == set(faces.FACES) for names in rounds)


@pytest.mark.parametrize(("slower", "code"), [(1.04, 0), (1.06, 1)])
def test_the_benchmark_fails_where_a_face_takes_too_much_in_every_round(
    slower: float, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def took(words: tuple[str, int]) -> float:
        name, end = words
        disturbed.append(name)
        frame = 0.2 * (slower if name == "command line" else 1.0)
        return 3.0 + frame * end + (5.0 if len(disturbed) % 7 == 0 else 0.0)

    disturbed: list[str] = []
    monkeypatch.setattr(faces, "FACES", {name: lambda end, out, n=name: (n, end) for name in faces.FACES})
    monkeypatch.setattr(faces, "processor_seconds", took)
    monkeypatch.setattr(faces, "masks", lambda out: [b"same"])
    monkeypatch.setattr(sys, "argv", ["faces.py", "--rounds", "3"])
    assert faces.main() == code
    table = capsys.readouterr().out
    assert "| bare session | 200.0 | 1.00 |" in table
    assert f"| command line | {200 * slower:.1f} | {slower:.2f} |" in table
