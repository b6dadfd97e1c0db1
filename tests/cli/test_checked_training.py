"""Words of ``segue train`` are checked without training."""

from __future__ import annotations

import pytest

from segue.cli.running import check_training
from segue.errors import SegueError
from tests.needs import needs

STM = ("stm", "--data", "a", "--init", "resnet50.pth", "--stage", "0", "--out", "runs")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("stm", "--stepz", "4"), "segue train stm: No such option: --stepz"),
        ((*STM, "--steps", "many"), "segue train stm: .*'--steps': Input should be a valid integer"),
        ((*STM, "--steps", "0"), "'--steps': Input should be greater than or equal to 1"),
        ((*STM, "--precision", "8"), "'--precision': .*'8' is not one of"),
        ((*STM, "--steps"), "'--steps' requires an argument"),
        (("stm", "--steps", "4"), "segue train stm needs --data; --stage; --out; weights to begin from"),
    ],
)
def test_words_that_a_training_would_refuse_are_refused_without_it(
    words: tuple[str, ...], message: str
) -> None:
    with pytest.raises(SegueError, match=message):
        check_training(words)


def test_words_of_a_training_are_checked_without_starting_it() -> None:
    needs("tensorboard")
    check_training([*STM, "--data", "5@b", "--steps", "4", "--precision", "32-true", "--resume", "-q"])
