"""Who sways in his place from the first frame on is foreground; the scene behind him is inpainted."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np
import pytest

from segue.sessions.background import EVERY, MaskedMedian
from segue.sessions.empty_scene import Scene
from segue.sessions.foreground import ForegroundSession
from segue.sessions.initial_objects import FIRST, LAST, InitialObjectDetector, filled
from segue.sessions.subtractors import BackgroundDifference
from tests.sessions.scenes import Bytes, film, overlap, square_mask, wall, with_squares

SIZE = (96, 128)
PLACE, SIDE = (30, 50), 24
EMPTY = np.clip(wall().astype(np.int16) // 2 + 60, 0, 255).astype(np.uint8)
OBJECT = square_mask(SIZE, [PLACE], SIDE)
NOBODY = np.zeros(SIZE, bool)
LENGTH = FIRST + 3 * EVERY


def sway(t: int) -> int:
    """Pixels by which somebody has swayed to the right."""
    return (0, 1, 2, 1)[t // 3 % 4]


def stands(t: int, scene: Bytes = EMPTY) -> Bytes:
    """Somebody dark who sways."""
    row, column = PLACE
    return with_squares(scene, [(row + sway(t + 3) % 2, column + sway(t))], SIDE, level=10)


def found(
    picture: Callable[[int], Bytes], mask: Callable[[Bytes], np.ndarray] = lambda _: NOBODY
) -> list[tuple[Bytes, np.ndarray]]:
    """What is found in a film that the background learns."""
    background, detector, results = MaskedMedian(), InitialObjectDetector(), []
    for t in range(LENGTH):
        frame = picture(t)
        background.update(frame, mask(frame))
        result = detector.look(frame, background.scene or Scene.of(frame), mask(frame))
        results += [] if result is None else [result]
    return results


def test_who_sways_is_found_and_the_scene_behind_him_is_guessed() -> None:
    guess, where = found(stands)[0]
    assert overlap(where, OBJECT) > 0.5, "with a border"
    assert where[OBJECT].all()
    wrong = np.abs(guess[OBJECT].astype(int) - EMPTY[OBJECT]).max(axis=1)
    assert np.median(wrong) < 15, "and the object differs from it by a hundred levels"


def test_who_is_cut_by_the_border_of_the_picture_is_found() -> None:
    def below(t: int) -> Bytes:
        return with_squares(EMPTY, [(SIZE[0] - SIDE + 4 + sway(t + 3) % 2, 50 + sway(t))], SIDE, level=10)

    assert found(below)[0][1][-1, 53:70].all()


def leaves(t: int) -> Bytes:
    """Something full of edges that waves."""
    rng = np.random.default_rng(1)
    speckled = EMPTY.copy()
    row, column = PLACE
    spots = cv2.resize(rng.integers(0, 255, (SIDE // 3, SIDE // 3, 1), dtype=np.uint8), (SIDE, SIDE))
    speckled[row : row + SIDE, column + sway(t) : column + sway(t) + SIDE] = spots[..., None]
    return speckled


def screen(t: int) -> Bytes:
    """Something whose rim shows what was not there."""
    row, column = PLACE
    rim = with_squares(EMPTY, [PLACE], SIDE, level=(10, 240)[t // 3 % 2])
    return with_squares(rim, [(row + 2, column + 2)], SIDE - 4, level=10)


def trembles(t: int) -> Bytes:
    """The camera moves, and all edges with it."""
    scene = with_squares(stands(0), [(5, 5), (5, 95), (60, 5), (60, 95)], 25, level=200)
    return np.roll(scene, sway(t), axis=1)


@pytest.mark.parametrize(
    "picture",
    [leaves, screen, trembles, lambda _: stands(0), lambda _: EMPTY],
    ids=lambda each: each.__name__,
)
def test_what_else_changes_or_stands_is_none(picture: Callable[[int], Bytes]) -> None:
    assert found(picture) == []


def test_who_is_foreground_already_needs_nothing() -> None:
    assert found(stands, lambda frame: frame[..., 0] < 30) == []


def test_a_wrong_guess_is_given_up_where_the_object_has_left() -> None:
    detector, background = InitialObjectDetector(), MaskedMedian()
    for t in range(LENGTH):
        background.update(stands(t))
        assert background.scene is not None
        if detector.look(stands(t), background.scene, NOBODY) is not None:
            break
    elsewhere = with_squares(EMPTY, [(60, 90)], 10)
    for picture, given_up in ((stands(0), False), (elsewhere, True)):
        looks = [detector.look(picture, Scene.of(EMPTY), OBJECT) for _ in range(4 * EVERY)]
        given = [look for look in looks if look is not None]
        assert bool(given) is given_up
    truth, where = given[0]
    assert (truth == elsewhere).all()
    assert where[OBJECT].all()
    assert len(given) == 1


def test_nobody_is_looked_for_later() -> None:
    detector, scene = InitialObjectDetector(), Scene.of(EMPTY)
    for _ in range(LAST):
        detector.look(EMPTY, scene, NOBODY)
    background = MaskedMedian()
    for t in range(LENGTH):
        background.update(stands(t))
        assert background.scene is not None
        assert detector.look(stands(t), background.scene, NOBODY) is None


def test_it_goes_on_from_a_saved_state() -> None:
    background, first, second = MaskedMedian(), InitialObjectDetector(), InitialObjectDetector()
    answers: list[Sequence[bool]] = []
    for t in range(LENGTH):
        background.update(stands(t))
        assert background.scene is not None
        second.restore(first.state())
        both = [each.look(stands(t), background.scene, NOBODY) is not None for each in (first, second)]
        answers.append(both)
    assert all(one == other for one, other in answers)
    assert any(one for one, _ in answers)


def test_what_a_piece_encloses_belongs_to_it() -> None:
    ring = np.zeros((9, 9), bool)
    ring[[2, 6], 2:7] = ring[2:7, [2, 6]] = True
    whole = slice(0, 9), slice(0, 9)
    assert filled(ring, whole, (9, 9)).sum() == 25
    cup = ring[:, :5]
    part = slice(0, 9), slice(0, 5)
    assert filled(cup, part, (9, 5)).sum() == 15, "the border of the picture closes it"
    assert filled(cup, part, (9, 9)).sum() == cup.sum(), "and nothing else does"


class Guessing(BackgroundDifference):
    """A difference to the background for which the scene is guessed."""

    guesses_behind = True


@pytest.mark.parametrize(("model", "found_standing"), [(Guessing, True), (BackgroundDifference, False)])
def test_a_session_finds_who_stands_from_the_first_frame_on(
    model: type[BackgroundDifference], found_standing: bool
) -> None:
    session = ForegroundSession(model(), align=False)
    pictures = [stands(t) for t in range(LENGTH)] + [EMPTY] * 60
    results = [session.step(frame) for frame in film(pictures)]
    standing, left = results[LENGTH - 1], results[-1]
    assert standing is not None
    assert left is not None
    share = (standing.mask[stands(LENGTH - 1)[..., 0] < 30] > 0).mean()
    assert share > 0.8 if found_standing else share < 0.2
    assert (left.mask > 0).mean() < 0.01, "and nothing is left of him"
