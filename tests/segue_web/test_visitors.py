"""Each browser has a name of its own."""

from __future__ import annotations

from segue_web.visitors import Visitors


def test_the_first_browser_has_the_name_of_the_command_and_others_have_their_own() -> None:
    visitors = Visitors("Ann")
    assert visitors.name_of("a", guest=False) == ("Ann", False)
    assert visitors.name_of("b", guest=False) == ("Person 2", True)
    assert visitors.name_of("c", guest=False) == ("Person 3", True)
    assert visitors.name_of("a", guest=False) == ("Ann", False)
    assert visitors.name_of("b", guest=True) == ("Person 2", True)
    assert Visitors("Person 2").name_of("b", guest=True) == ("Person 3", True)


def test_a_guest_that_comes_first_after_a_restart_stays_a_guest() -> None:
    visitors = Visitors("Ann")
    assert visitors.name_of("b", guest=True) == ("Person 2", True)
    assert visitors.name_of("a", guest=False) == ("Ann", False)


def test_a_new_guest_has_no_name_of_somebody_who_worked_here_before() -> None:
    assert Visitors("Ann").name_of("b", guest=True, used_names={"Ann", "Person 2"}) == ("Person 3", True)
