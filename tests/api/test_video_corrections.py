"""Corrections in ``segue.Video``, in any number and order: each changes what was made from it alone."""

from __future__ import annotations

import json
import random
from contextlib import suppress
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as PillowImage

import segue
from segue.errors import PromptError
from segue.flow.change_regions import ChangeRegion
from segue.prompt_types import MaskPrompt, PointPrompt, RemovePrompt
from segue.sessions import TrackSession
from segue.types import Image
from tests.nearest_mask import (
    RESTLESS,
    CellPrompter,
    NearestMask,
    cells_of,
    centre_of,
    images,
    mask_of,
    whole_masks,
)

COUNT = 9
NUMBERS = st.integers(1, 3)
SAMPLE = Path(segue.__file__).parent / "assets/sample"
SAVED = Path(__file__).parents[1] / "saved/video.json"
"""Two objects, tracked from frame 0 and then corrected on frames 6 and 3, as saved by an earlier version."""


@pytest.fixture
def video() -> segue.Video:
    return segue.Video(images(COUNT), model=NearestMask(), prompter=CellPrompter, device="cpu")


def give(video: segue.Video, frame: int, cells: str, number: int = 1) -> None:
    """Give an object the cells of a text; object 2 is in the second row."""
    video.add(frame, masks={number: mask_of(map(int, cells), number - 1)})


def cells(video: segue.Video, number: int = 1) -> list[str]:
    """The cells of an object on each frame; None where it is not known."""
    found = []
    for index in range(COUNT):
        mask = whole_masks(video[index]).get(number)
        found.append("-" if mask is None else "".join(map(str, sorted(cells_of(mask, number - 1)))))
    return found


def track(video: segue.Video) -> list[int]:
    return [result.index for result in video.propagate()]


def test_two_corrections_before_one_tracking_change_each_what_is_near(video: segue.Video) -> None:
    give(video, 0, "03")
    track(video)
    give(video, 2, "01")  # instead of cell 3 there is cell 1
    give(video, 6, "023")
    track(video)
    assert cells(video) == ["03", "03", "01", "01", "01", "023", "023", "023", "023"]


def shown(video: segue.Video, number: int) -> list[str]:
    """The cells of the first row that an object has in the index masks."""
    found = (cells_of(video[index].mask == number, 0) for index in range(COUNT))
    return ["".join(str(cell) for cell in sorted(each) if cell != RESTLESS) for each in found]


@pytest.fixture
def stolen(video: segue.Video) -> segue.Video:
    """Object 2 has got cell 3, which belongs to object 1, and is corrected there by a click."""
    video.add(0, masks={1: mask_of({0}, 0), 2: mask_of({2, 3}, 0)})
    track(video)
    assert video.add(4, points=[centre_of(3, 0)], id=1).mask[12, int(centre_of(3, 0)[0])] == 1
    return video


def test_a_click_takes_a_region_from_the_object_that_is_shown_there(stolen: segue.Video) -> None:
    track(stolen)
    assert shown(stolen, 1) == [*["0"] * 3, *["03"] * 6]
    assert shown(stolen, 2) == [*["23"] * 3, *["2"] * 6]
    assert "3" not in "".join(cells_in_first_row(stolen, 2)[3:])


@pytest.mark.parametrize("how", ["frame", "object", "from here on"])
@pytest.mark.parametrize("tracked", [False, True])
def test_a_withdrawn_click_gives_back_what_it_took(stolen: segue.Video, how: str, tracked: bool) -> None:
    if tracked:
        track(stolen)
    state = json.loads(json.dumps(stolen.state()))
    stolen.reset()
    stolen.restore(state)
    if how == "from here on":
        stolen.add(4, [RemovePrompt(1)])
    else:
        stolen.remove(1, 4 if how == "frame" else None)
    assert 4 not in stolen.prompted
    track(stolen)
    assert cells_in_first_row(stolen, 2) == ["23"] * COUNT


@pytest.mark.parametrize("how", ["frame", "from here on"])
def test_an_object_that_has_only_lost_pixels_goes_with_its_last_prompt(stolen: segue.Video, how: str) -> None:
    track(stolen)
    if how == "frame":
        stolen.remove(2, 0)
    else:
        stolen.add(0, [RemovePrompt(2)])
    assert (stolen.ids, stolen.prompted) == ((1,), (0, 4))
    track(stolen)
    assert shown(stolen, 1) == [*["0"] * 3, *["03"] * 6]
    stolen.remove(1, 4)
    assert stolen.ids == (1,)


def test_lost_pixels_are_no_prompt_that_can_be_removed(stolen: segue.Video) -> None:
    with pytest.raises(PromptError, match="object 2 has no prompt on frame 4"):
        stolen.remove(2, 4)
    assert (shown(stolen, 1)[4], shown(stolen, 2)[4]) == ("03", "2")
    stolen.add(4, masks={2: mask_of({2}, 0)})
    stolen.remove(2, 4)
    assert (shown(stolen, 1)[4], shown(stolen, 2)[4]) == ("03", "2"), "the click still holds"


def test_a_mask_that_was_clicked_since_is_not_given_back(stolen: segue.Video) -> None:
    stolen.add(4, points=[centre_of(2, 0)], id=1)
    assert (shown(stolen, 1)[4], shown(stolen, 2)[4]) == ("023", "")
    track(stolen)
    assert shown(stolen, 2) == [*["23"] * 3, *[""] * 6]
    stolen.add(4, points=[centre_of(3, 0)], id=2)
    assert (shown(stolen, 1)[4], shown(stolen, 2)[4]) == ("02", "3")
    stolen.remove(1, 4)
    assert (shown(stolen, 1)[4], shown(stolen, 2)[4]) == ("0", "3"), "it was clicked since"
    stolen.remove(2, 4)
    assert (shown(stolen, 1)[4], shown(stolen, 2)[4]) == ("0", "23")


def test_clicks_on_two_objects_take_regions_of_a_third_one(video: segue.Video) -> None:
    """At once or one after the other; each region comes back with its click, in any order."""
    clicks = [PointPrompt(number, centre_of(3, number - 1)) for number in (1, 2)]

    def cells_at(frame: int) -> list[str]:
        mask, places = video[frame].mask, [(cell, row) for row in (0, 1) for cell in range(RESTLESS)]
        return [
            "".join(str(c) for c, row in places if (mask[mask_of([c], row)] == i).all()) for i in (1, 2, 3)
        ]

    video.add(0, masks={1: mask_of({0}, 0), 2: mask_of({0}, 1), 3: mask_of({2, 3}, 0) | mask_of({3}, 1)})
    track(video)
    for at_once in (True, False):
        for prompts in [clicks] if at_once else [[each] for each in clicks]:
            video.add(4, prompts)
        assert cells_at(4) == ["03", "03", "2"]
        for order in ((1, 2), (2, 1)):
            state = json.loads(json.dumps(video.state()))
            video.remove(order[0], 4)
            assert cells_at(4) == (["0", "03", "23"] if order[0] == 1 else ["03", "0", "23"])
            video.remove(order[1], 4)
            assert cells_at(4) == ["0", "0", "233"]
            assert video.prompted == (0,)
            video.restore(state)
        video.remove(1, 4)
        video.remove(2, 4)


def test_objects_that_are_clicked_at_once_take_regions_from_each_other(video: segue.Video) -> None:
    video.add(0, masks={1: mask_of({0}, 0), 2: mask_of({2, 3}, 0)})
    track(video)
    of_both = [PointPrompt(1, centre_of(3, 0)), PointPrompt(2, centre_of(0, 0))]
    for prompts in (of_both, of_both[::-1]):
        video.add(4, prompts)
        assert (shown(video, 1)[4], shown(video, 2)[4]) == ("3", "02")
        video.remove(1, 4)
        assert (shown(video, 1)[4], shown(video, 2)[4]) == ("", "023")
        video.remove(2, 4)
    video.add(4, [PointPrompt(1, centre_of(3, 0)), PointPrompt(2, centre_of(3, 0))])
    assert "3" in shown(video, 2)[4], "both are clicked there"


def test_a_click_takes_nothing_from_an_object_that_is_removed_at_once(video: segue.Video) -> None:
    for frame in (0, 4):  # on its first frame, no object is left
        video.reset()
        video.add(frame, masks={1: mask_of({0}, 0), 2: mask_of({2, 3}, 0)})
        track(video)
        video.add(4, [PointPrompt(1, centre_of(3, 0)), RemovePrompt(2)])
        assert shown(video, 1)[4] == "03"
        assert shown(video, 2)[4:] == [""] * 5


def test_a_click_that_means_the_whole_object_takes_its_region_too(video: segue.Video) -> None:
    video.add(0, masks={1: mask_of({0}, 0), 2: mask_of({2, 3}, 0)})
    track(video)
    video.add(4, [PointPrompt(1, (centre_of(0, 0), centre_of(3, 0)), whole=True)])
    assert (shown(video, 1)[4], shown(video, 2)[4]) == ("03", "2")


def test_a_mask_in_place_of_a_click_gives_back_what_it_took(stolen: segue.Video) -> None:
    stolen.add(4, masks={1: mask_of({0, 3}, 0)})
    assert shown(stolen, 2)[4] == "2", "the same mask confirms the click"
    stolen.add(4, masks={1: mask_of({0, 1}, 0)})
    assert (shown(stolen, 1)[4], shown(stolen, 2)[4]) == ("01", "23")
    assert 4 not in stolen._session.objects[2].prompts
    stolen.add(4, points=[centre_of(3, 0)], id=1)
    assert shown(stolen, 2)[4] == "2"
    stolen.add(4, masks={1: mask_of({1}, 0), 2: mask_of({2}, 0)})
    assert (shown(stolen, 1)[4], shown(stolen, 2)[4]) == ("1", "2")


@pytest.mark.parametrize("tracked", [False, True])
def test_a_withdrawn_prompt_leaves_others_the_pixels_that_they_took(
    stolen: segue.Video, tracked: bool
) -> None:
    before = shown(stolen, 2)[4]
    for _ in range(2):
        stolen.add(4, points=[centre_of(1, 0)], id=2)
        assert shown(stolen, 2)[4] == "12"
        if tracked:
            track(stolen)
        state = json.loads(json.dumps(stolen.state()))
        stolen.reset()
        stolen.restore(state)
        assert json.loads(json.dumps(stolen.state())) == state
        stolen.remove(2, 4)
        assert shown(stolen, 2)[4] == before
    stolen.remove(1, 4)
    assert shown(stolen, 2)[4] == "23"
    assert stolen.prompted == (0,)


def test_a_region_that_two_objects_took_stays_with_the_second_one(video: segue.Video) -> None:
    video.add(0, masks={1: mask_of({0}, 0), 2: mask_of({1, 2}, 0), 3: mask_of({3}, 0)})
    track(video)
    for number in (3, 2, 1):
        video.add(4, points=[centre_of(2, 0)], id=number)
    video.remove(2, 4)
    assert cells_in_first_row(video, 2)[4] == "1"
    video.restore(json.loads(json.dumps(video.state())))
    video.remove(3, 4)
    assert cells_in_first_row(video, 2)[4] == "1", "object 1 has it"
    video.remove(1, 4)
    assert cells_in_first_row(video, 2)[4] == "12"


@pytest.mark.parametrize("how", ["frame", "object", "mask"])
def test_a_region_that_is_given_back_stays_with_a_third_object_that_took_it(
    video: segue.Video, how: str
) -> None:
    """Object 1 took cell 2 from object 2, and object 3 from object 1."""
    video.add(0, masks={1: mask_of({0}, 0), 2: mask_of({1, 2}, 0), 3: mask_of({3}, 0)})
    track(video)
    for number in (1, 3):
        video.add(4, points=[centre_of(2, 0)], id=number)
    assert [cells_in_first_row(video, number)[4] for number in (1, 2, 3)] == ["0", "1", "23"]
    if how == "mask":
        video.add(4, masks={1: mask_of({0, 4}, 0)})
    else:
        video.remove(1, 4 if how == "frame" else None)
    assert [cells_in_first_row(video, number)[4] for number in (2, 3)] == ["1", "23"]
    video.restore(json.loads(json.dumps(video.state())))
    video.remove(3, 4)
    assert [cells_in_first_row(video, number)[4] for number in (2, 3)] == ["12", "3"]
    assert 4 not in video._session.objects[2].prompts


@settings(max_examples=20, deadline=None)
@given(
    owners=st.lists(NUMBERS, min_size=4, max_size=4),
    clicks=st.lists(st.tuples(NUMBERS, st.integers(0, 3)), min_size=1, max_size=6),
    order=st.permutations([1, 2, 3]),
)
def test_no_cell_belongs_to_two_of_three_objects_that_are_clicked(
    owners: list[int], clicks: list[tuple[int, int]], order: list[int]
) -> None:
    """Clicks come and are withdrawn in any order, and leave nothing."""
    video = segue.Video(images(3), model=NearestMask(), prompter=CellPrompter, device="cpu")
    first = {i: {cell for cell, owner in enumerate(owners) if owner == i} for i in (1, 2, 3)}
    video.add(0, masks={i: mask_of(cells, 0) | mask_of({i}, 1) for i, cells in first.items()})
    track(video)

    def owners_of(cell: int) -> set[int]:
        return {i for i, mask in whole_masks(video[2]).items() if mask[mask_of({cell}, 0)].all()}

    for number, cell in clicks:
        video.add(2, points=[centre_of(cell, 0)], id=number)
        assert [len(owners_of(i)) for i in range(4)] == [1] * 4
        assert owners_of(cell) == {number}
    for number in order:
        if number in {i for i, _ in clicks}:
            video.remove(number, 2)
            assert max(len(owners_of(i)) for i in range(4)) == 1
    assert [owners_of(i) for i in range(4)] == [{owner} for owner in owners]
    assert video.prompted == (0,)


def test_a_click_on_an_object_that_lost_pixels_does_not_bring_them_back(video: segue.Video) -> None:
    """The object was made of clicks, so that clicks could change all of its mask."""
    video.add(0, masks={1: mask_of({0}, 0)})
    track(video)
    video.add(4, points=[centre_of(2, 0), centre_of(3, 0)], id=2)
    video.add(4, points=[centre_of(3, 0)], id=1)
    assert (shown(video, 1)[4], shown(video, 2)[4]) == ("03", "2")
    for cell in (1, 2):
        video.add(4, points=[centre_of(cell, 0)], id=2)
        assert (shown(video, 1)[4], shown(video, 2)[4]) == ("03", "12")
    video.remove(2, 4)
    assert video.ids == (1,)


def test_a_click_on_an_object_that_lost_all_pixels_brings_none_of_them_back(video: segue.Video) -> None:
    """Its earlier clicks are asked again, since there is no mask to correct."""
    video.add(0, masks={1: mask_of({0}, 0), 2: mask_of({1}, 0)})
    track(video)
    for number, cell in ((1, 3), (2, 0), (2, 3), (1, 2)):
        video.add(4, points=[centre_of(cell, 0)], id=number)
    assert (cells_in_first_row(video, 1)[4], cells_in_first_row(video, 2)[4]) == ("2", "013")
    video.add(4, points=[centre_of(3, 0)], id=1)
    assert (cells_in_first_row(video, 1)[4], cells_in_first_row(video, 2)[4]) == ("23", "01")


def test_points_beside_a_mask_or_box_take_nothing(video: segue.Video) -> None:
    """They belong to the prompt that replaces the mask, as for a new object."""
    video.add(0, masks={1: mask_of({0}, 0), 2: mask_of({2, 3}, 0)})
    track(video)
    video.add(4, [MaskPrompt(1, mask_of({1}, 0)), PointPrompt(1, centre_of(3, 0))])
    assert cells_in_first_row(video, 1)[4] == "13"
    assert cells_in_first_row(video, 2)[4] == "23"


def test_an_object_that_lost_all_pixels_of_its_only_prompt_is_not_tracked_again(video: segue.Video) -> None:
    video.add(0, masks={1: mask_of({0}, 0), 2: mask_of({2}, 0)})
    video.add(0, points=[centre_of(0, 0)], id=2)
    assert (shown(video, 1)[0], shown(video, 2)[0]) == ("", "02")
    track(video)
    steps = NearestMask.steps
    assert track(video) == list(range(COUNT))
    assert NearestMask.steps == steps
    assert shown(video, 2) == ["02"] * COUNT
    video.remove(2)
    track(video)
    assert shown(video, 1) == ["0"] * COUNT


def test_a_file_of_masks_replaces_clicks(video: segue.Video, tmp_path: Path) -> None:
    video.add(0, points=[centre_of(0, 0)], id=1)
    file = tmp_path / "masks.png"
    PillowImage.fromarray(mask_of({2}, 0).astype(np.uint8)).save(file)
    video.add(0, file)
    assert [row[2:] for row in video.state()["clicks"]] == [[[], None, True]]


def test_a_click_on_the_background_takes_nothing(video: segue.Video) -> None:
    """What is in front of the found object stays there."""
    video.add(0, masks={1: mask_of({0}, 0), 2: mask_of({2}, 0)})
    track(video)
    video.add(4, points=[centre_of(1, 0)], id=1)
    assert (shown(video, 1)[4], shown(video, 2)[4]) == ("01", "2")
    assert 2 not in video._session.objects or 4 not in video._session.objects[2].prompts


def cells_in_first_row(video: segue.Video, number: int) -> list[str]:
    """The cells of the whole mask of an object on each frame, in the first row."""
    found = (whole_masks(video[index]).get(number) for index in range(COUNT))
    return [
        "-" if mask is None else "".join(str(c) for c in sorted(cells_of(mask, 0)) if c != RESTLESS)
        for mask in found
    ]


def test_a_correction_waits_while_another_one_is_tracked(
    video: segue.Video,
) -> None:
    """What changes behind the later one is near its change, and not anywhere."""
    give(video, 0, "03")
    track(video)
    for index, result in enumerate(video):  # another prompter might see cell 2 everywhere
        assert index == result.index
    give(video, 2, "013")
    give(video, 6, "0")
    list(video.propagate(2, 4))
    assert cells(video)[7:] == ["03", "03"]
    track(video)
    assert cells(video)[5:] == ["0", "0", "0", "0"]


def test_a_correction_and_a_new_object_on_one_frame(video: segue.Video) -> None:
    give(video, 0, "03")
    track(video)
    give(video, 4, "013")
    give(video, 4, "2", 2)
    track(video)
    assert cells(video) == ["03", "03", "03", *["013"] * 6]
    assert cells(video, 2) == ["2"] * COUNT
    assert track(video) == list(range(COUNT))
    assert cells(video) == ["03", "03", "03", *["013"] * 6]


def test_a_first_frame_that_was_clicked_twice_is_no_correction(video: segue.Video) -> None:
    give(video, 0, "03")
    give(video, 0, "013")
    track(video)
    steps = NearestMask.steps
    give(video, 5, "0123")
    track(video)
    # Forwards from frame 5 and back to frame 0; each pass sees both prompted frames.
    assert NearestMask.steps - steps == 2 + 3 + 2 + 4
    assert cells(video) == ["013", "013", "013", *["0123"] * 6]


@pytest.mark.parametrize("tracked", [False, True])
def test_a_withdrawn_correction_leaves_nothing(video: segue.Video, tracked: bool) -> None:
    give(video, 0, "0")
    track(video)
    give(video, 4, "03")  # wrong: cell 3 belongs to something else
    track(video)
    assert cells(video) == ["0", "0", "0", *["03"] * 6]
    give(video, 7, "01")
    if tracked:
        track(video)
    video.remove(1, 4)
    track(video)
    assert not any("3" in each for each in cells(video))
    assert cells(video)[7:] == ["01", "01"]
    video.remove(1, 7)
    track(video)
    assert cells(video) == ["0"] * COUNT


def test_a_correction_and_its_withdrawal_leave_all_as_it_was(video: segue.Video) -> None:
    give(video, 2, "03")
    track(video)
    give(video, 6, "01")
    track(video)
    before = cells(video)
    give(video, 4, "0123")
    track(video)
    assert cells(video) != before
    steps = NearestMask.steps
    video.remove(1, 4)
    assert cells(video) == before, "at once"
    track(video)
    assert cells(video) == before
    assert NearestMask.steps == steps, "the masks before are known"


def test_a_correction_that_comes_while_a_pass_runs_is_tracked_by_the_next(video: segue.Video) -> None:
    give(video, 0, "0")
    track(video)
    give(video, 4, "03")
    running = video.propagate()
    next(running)
    next(running)
    give(video, 7, "013")
    list(running)
    assert cells(video) == ["0", "0", "0", "03", "03", "03", "03", "013", "03"]
    track(video)
    assert cells(video) == ["0", "0", "0", "03", "03", "03", "013", "013", "013"]


def test_a_pass_that_was_stopped_goes_on_where_it_was(video: segue.Video) -> None:
    give(video, 0, "0")
    track(video)
    give(video, 3, "03")
    running = video.propagate()
    assert [next(running).index for _ in range(4)] == [3, 4, 5, 6]
    del running
    assert cells(video) == ["0", "0", "0", "03", "03", "03", "03", "0", "0"]
    state = json.loads(json.dumps(video.state()))
    other = segue.Video(images(COUNT), model=NearestMask(), device="cpu")
    other.restore(state)
    for each in (video, other):
        track(each)
        assert cells(each) == ["0", "0", *["03"] * 7]


def test_tracking_twice_changes_nothing_and_tracks_nothing(video: segue.Video) -> None:
    give(video, 3, "01")
    first = track(video)
    steps, before = NearestMask.steps, cells(video)
    assert first == [3, 4, 5, 6, 7, 8, 2, 1, 0]
    assert sorted(track(video)) == list(range(COUNT))
    assert [result.index for result in video.propagate(3, 5)] == [3, 4, 5]
    assert (NearestMask.steps, cells(video)) == (steps, before)


def test_an_object_that_is_removed_from_a_frame_on_stays_before_it(video: segue.Video) -> None:
    give(video, 0, "01")
    give(video, 0, "2", 2)
    track(video)
    steps = NearestMask.steps
    video.add(5, [RemovePrompt(1)])
    assert cells(video) == ["01"] * 5 + ["-"] * 4
    assert cells(video, 2) == ["2"] * COUNT
    track(video)
    assert (cells(video), NearestMask.steps) == (["01"] * 5 + ["-"] * 4, steps)
    state = json.loads(json.dumps(video.state()))
    give(video, 7, "03")
    track(video)
    assert cells(video) == ["01"] * 5 + ["-", "-", "03", "03"]
    video.restore(state)
    assert cells(video) == ["01"] * 5 + ["-"] * 4
    video.remove(1, 5)
    assert cells(video) == ["01"] * COUNT
    video.add(0, [RemovePrompt(1)])
    assert video.ids == (2,)


def test_an_object_that_is_unknown_cannot_be_removed_from_a_frame_on(video: segue.Video) -> None:
    give(video, 0, "01")
    with pytest.raises(PromptError, match="there is no object 2 to remove"):
        video.add(3, [RemovePrompt(2)])
    assert (video.ids, video.prompted) == ((1,), (0,))


def test_an_object_that_is_removed_before_it_is_tracked(video: segue.Video) -> None:
    give(video, 1, "01")
    video.add(5, [RemovePrompt(1)])
    give(video, 3, "2", 2)
    track(video)
    assert cells(video) == ["01"] * 5 + ["-"] * 4
    assert cells(video, 2) == ["2"] * COUNT


def test_a_tracking_ends_where_the_moved_region_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a real video, with the masks of a tracking of all frames, bit by bit."""
    steps = []
    step = TrackSession.step
    monkeypatch.setattr(TrackSession, "step", lambda *given, **more: steps.append(1) or step(*given, **more))

    def corrected() -> tuple[segue.Video, list[segue.Segmentation], int]:
        video = segue.Video(SAMPLE / "video.mp4", end=26, device="cpu")
        video.add(0, str(SAMPLE / "first.png"))
        track(video)
        number = video.ids[0]
        mask = video[12].mask == number
        top = np.flatnonzero(mask.any(1))[0]
        mask[top : top + 2] = False
        video.add(12, masks={number: mask})
        steps.clear()
        return video, [*video.propagate()], len(steps)

    video, results, count = corrected()
    monkeypatch.setattr(ChangeRegion, "is_gone", False)
    other, other_results, other_count = corrected()
    assert count < other_count
    assert results == other_results
    assert video.state() == other.state()
    steps.clear()
    track(video)
    assert not steps, "frames that keep their masks are tracked, too"


@pytest.mark.parametrize("rows", [(0, 1), (0, 0)])
def test_a_tracking_that_ends_early_leaves_the_state_of_a_whole_one(
    rows: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever people do: here the region of a correction is gone after one frame."""
    advance = ChangeRegion.advance

    def fade(region: ChangeRegion, image: Image) -> None:
        advance(region, image)
        region._region = region._region * np.float32(0.2)

    def act(video: segue.Video, chance: random.Random) -> None:
        frame, number = chance.randrange(COUNT), chance.choice((1, 2))
        what = chance.choice(("add", "add", "track", "part", "withdraw", "remove"))
        with suppress(PromptError):  # such as an object without a prompt
            if what == "add":
                cells = {0, *chance.sample(range(1, 4), chance.randrange(4))}
                video.add(frame, masks={number: mask_of(cells, rows[number - 1])})
            elif what == "track":
                list(islice(video.propagate(), chance.choice((4, COUNT))))
            elif what == "part":
                list(video.propagate(frame, chance.randrange(COUNT)))
            elif what == "withdraw":
                video.remove(number, frame)
            else:
                video.add(frame, [RemovePrompt(number)])

    def run(seed: int) -> tuple[segue.Video, int]:
        before, chance = NearestMask.steps, random.Random(seed)
        video = segue.Video(images(COUNT), model=NearestMask(), device="cpu")
        for _ in range(14):
            act(video, chance)
        return video, NearestMask.steps - before

    monkeypatch.setattr(ChangeRegion, "advance", fade)
    early = [run(seed) for seed in range(8)]
    monkeypatch.setattr(ChangeRegion, "is_gone", False)
    whole = [run(seed) for seed in range(8)]
    for (video, _), (other, _) in zip(early, whole, strict=True):
        assert video.state() == other.state()
    assert sum(count for _, count in early) < sum(count for _, count in whole)


def test_a_state_of_an_earlier_version_goes_on(video: segue.Video) -> None:
    """Its masks were made from all prompts before them, but for the corrections that wait."""
    video.restore(json.loads(SAVED.read_text()))
    assert (cells(video)[:6], cells(video, 2)[:3]) == (["03"] * 6, ["2"] * 3)
    track(video)
    assert cells(video) == [*["03"] * 4, *["01"] * 5]
    assert cells(video, 2) == ["2", "2", *["23"] * 7]
    steps = NearestMask.steps
    track(video)
    assert NearestMask.steps == steps


def test_a_prompt_for_another_frame_is_refused(video: segue.Video) -> None:
    with pytest.raises(PromptError, match="for frame 3, but was given on frame 0"):
        video.add(0, [MaskPrompt(1, mask_of([0], 0), frame=3)])
    assert video.ids == ()
    video.add(3, [MaskPrompt(1, mask_of([0], 0), frame=3)])
    assert video.prompted == (3,)


def test_a_withdrawn_prompt_shields_no_frames_any_more(video: segue.Video) -> None:
    give(video, 2, "0123")
    track(video)
    give(video, 5, "0123")  # as it is
    give(video, 2, "03")
    track(video)
    assert cells(video)[3:7] == ["03", "0123", "0123", "0123"], "frame 4 is nearer to frame 5"
    video.remove(1, 5)
    track(video)
    assert cells(video)[3:7] == ["03"] * 4


def test_a_mask_file_of_several_objects_has_no_object_of_its_own(video: segue.Video, tmp_path: Path) -> None:
    mask = np.where(mask_of([0], 0), 1, 2 * mask_of([1], 1)).astype(np.uint8)
    PillowImage.fromarray(mask).save(tmp_path / "mask.png")
    video.add(0, [MaskPrompt(0, str(tmp_path / "mask.png"))])
    assert video.ids == (1, 2)
    track(video)
    assert (cells(video), cells(video, 2)) == (["0"] * COUNT, ["1"] * COUNT)
